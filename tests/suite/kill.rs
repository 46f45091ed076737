//! The real program under `kill -9`. The judge is the senders' own receipts.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use cairn::{
    audit,
    ledger::tlog_proof::TlogProof,
    proto::Receipt,
    wire::client::{Client, ClientError, folder::SystemFolder},
};
use tokio::task::JoinSet;

use crate::{
    process::Process,
    support::{World, launch, statements::*},
};

const ROUNDS: usize = 20;
const SENDERS: usize = 8;

/// A world whose server is the real program from now on.
async fn with_program() -> (World, Process) {
    let mut world = World::with_agencies().await;
    world.stop().await;
    let program = Process::serve(&world).await;
    (world, program)
}

/// What a sender holds: its envelope and the receipt that came for it.
type Held = Arc<Mutex<BTreeMap<String, (Vec<u8>, Receipt)>>>;

/// Sends until told to stop; whatever is not answered is sent again, the same bytes.
async fn sender(
    client: Client,
    number: usize,
    stop: Arc<std::sync::atomic::AtomicBool>,
    held: Held,
) {
    let mut count = 0;
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        let reference = format!("K-{number}-{count}");
        count += 1;
        let document = concern("police", &["school/duty", "social-work/duty"], &reference);
        let envelope = envelope(&client, &document);
        loop {
            match client.submit(&envelope).await {
                Ok(response) => {
                    let receipt = response.receipt.unwrap();
                    held.lock().unwrap().insert(reference, (envelope, receipt));
                    break;
                }
                Err(ClientError::Again(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// I1, I3, I4, I8, I9: twenty times with submits in flight: every receipt that a sender
/// holds is in the ledger and still verifies, nothing counts twice, the journal is whole, the index a fold.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_being_killed_under_load() {
    let (world, mut program) = with_program().await;
    let held: Held = Arc::default();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut senders = JoinSet::new();
    let path = world.agency("police").folder().path().to_path_buf();
    for number in 0..SENDERS {
        let client = Client::new(SystemFolder::open(&path).unwrap()).unwrap();
        client.refresh().await.unwrap();
        senders.spawn(sender(client, number, Arc::clone(&stop), Arc::clone(&held)));
    }
    for round in 0..ROUNDS {
        let before = held.lock().unwrap().len();
        // Kill while receipts are coming in, at a different point each time.
        while held.lock().unwrap().len() < before + 5 + round {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        program.kill();
        program = Process::serve(&world).await;
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let held = Arc::into_inner(held).unwrap().into_inner().unwrap();
    let summary = world.summary().await;
    assert_eq!(summary.concerns as usize, held.len(), "nothing lost, nothing counted twice");
    let police = world.agency("police");
    for (envelope, receipt) in held.values().take(200) {
        let again = police.submit(envelope).await.unwrap();
        assert_eq!((again.duplicate, again.receipt.as_ref()), (true, Some(receipt)));
    }
    let mirror = world.folder.path().join("mirror-outside");
    audit::mirror::mirror(&world.auditor, &mirror, "test", &mut |_, _| {}).await.unwrap();
    let verified =
        audit::verify::verify_mirror(&mirror, std::slice::from_ref(&world.vkey)).unwrap();
    for (_, receipt) in held.values() {
        let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
        let (entry, checkpoint) =
            proof.verify(&receipt.leaf, std::slice::from_ref(&world.vkey)).unwrap();
        assert_eq!(entry, receipt.entry);
        let signed = proof.checkpoint();
        assert!(checkpoint.size() <= verified.size);
        audit::verify::verify_extends(&mirror, signed, std::slice::from_ref(&world.vkey)).unwrap();
    }
    program.stop();
    let mut world = world;
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
