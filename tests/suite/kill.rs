//! The real program under `kill -9` at random. The judge is the senders' own receipts.

use std::process::Command;

use crate::{
    process::Process,
    support::{
        World, launch,
        senders::{Load, Senders},
    },
};

/// How often it is killed; `CAIRN_KILLS` says otherwise.
const ROUNDS: usize = 20;
/// The senders at work meanwhile.
const LOAD: Load = Load { senders: 8, each: usize::MAX, body_bytes: 20 };

/// A world whose server is the real program from now on.
async fn with_program() -> (World, Process) {
    let mut world = World::with_agencies().await;
    world.stop().await;
    let program = Process::serve(&world).await;
    (world, program)
}

/// I1, I3, I4, I8, I9: again and again with submits in flight: every receipt that a sender
/// holds is in the ledger and still verifies, nothing counts twice, the journal is whole, the index a fold.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_being_killed_under_load() {
    let rounds = std::env::var("CAIRN_KILLS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let (mut world, mut program) = with_program().await;
    let mut senders = Senders::start(&world, "K", LOAD);
    for round in 0..rounds {
        // Kill while receipts are coming in, at a different point each time.
        senders.receive(5 + round % 20).await;
        program.kill();
        program = Process::serve(&world).await;
    }
    let told = senders.stop().await;
    told.is_kept(&world).await;
    told.is_proved(&world).await;
    println!("killed {rounds} times; {} receipts stand", told.accepted.len());
    program.stop();
    world.start().await;
    world.check().await;
}

/// One server on a data folder: a second one says who has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_folder_is_refused() {
    let (world, program) = with_program().await;
    let config = world.folder.path().join("cairn.toml");
    let mut second = Command::new(env!("CARGO_BIN_EXE_cairn"));
    let second = launch::output(second.args(["serve", "--config"]).arg(&config)).unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("in use") || said.contains("listen"), "{said}");
    program.stop();
}
