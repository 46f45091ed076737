//! The exchange on a disk that forgets, fails and lies: committer, journal and index together,
//! judged by the receipts and checkpoints that left the process, and by the ladders, of which each
//! rung must be climbed once.
//!
//! A run is one seed, as in the journal's own power tests; the index, which is sled's and on the
//! machine's disk, is at each start as it was, older, or gone. What counts as failure, what this
//! cannot see, and the table of planted bugs: `tests/durability.md`.

mod check;
mod ladder;
mod planted;
mod template;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::world::{Judged, Told, World};
use super::receive::Offered;
use crate::{
    limits,
    store::{
        journal::power_tests::{again, seeds},
        simulated::Plan,
    },
};

/// Seeds of an ordinary run.
const SEEDS: u64 = 100;

/// One run. A panic is a failure too.
fn run(seed: u64) -> Judged<Told> {
    let lives = || {
        let mut world = World::new(seed);
        for _ in 0..2 + world.chance.below(3) {
            world.live()?;
        }
        world.check()
    };
    no_panic(lives)
}

fn no_panic<T>(run: impl FnOnce() -> Judged<T>) -> Judged<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panicked: {}", text.unwrap_or_else(|| "without words".to_owned())))
    })
}

/// I1, I3, I4, I5, I6, I8, I9: through power cuts, failed steps and kills, with each kind of index.
#[test]
fn every_receipt_that_left_is_honoured_for_ever() {
    let mut told = Told::default();
    for seed in seeds(SEEDS) {
        match run(seed) {
            Ok(more) => {
                told.receipts += more.receipts;
                told.unknown += more.unknown;
                told.repeats += more.repeats;
                told.lives += more.lives;
                told.steps += more.steps;
                told.rungs += more.rungs;
            }
            Err(failure) => {
                panic!("{}", again("every_receipt_that_left", seed, &failure));
            }
        }
    }
    println!("{told:?}");
    assert!(told.rungs > 0, "some ladders were climbed");
}

/// I7: what is not stored is offered again and again, and after a restart too.
fn redelivered() -> Judged<()> {
    const ATTEMPTS: u32 = 12;
    let mut world = World::new(0);
    world.disk.plan(Plan::Nothing);
    let running = world.start()?.ok_or("it did not start")?;
    let said = world.concern();
    let accepted = world.say(&running.broker, &said).map_err(|error| error.to_string())?;
    let inbox = template::inbox_of(&world.template.speakers[2].folder);
    let offered = world.runtime.block_on(async {
        let ended = tokio_util::sync::CancellationToken::new();
        let mut stream = running.broker.receive(vec![inbox], || true, ended.clone());
        let bound = limits::REDELIVERY_INTERVAL * 2;
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let next = async {
                loop {
                    match stream.recv().await {
                        Some(Ok(Offered::Incoming(incoming))) => return Some(incoming),
                        Some(Ok(Offered::Alive(_))) => {}
                        _ => return None,
                    }
                }
            };
            match tokio::time::timeout(bound, next).await {
                Ok(Some(incoming)) if incoming.entry == accepted.receipt.entry => {
                    attempt = incoming.attempt;
                }
                _ => break,
            }
        }
        ended.cancel();
        drop(stream);
        attempt
    });
    // The stream's task holds the broker until the runtime has let it end.
    world.runtime.block_on(async { tokio::time::sleep(limits::ALIVE_INTERVAL).await });
    running.close();
    match offered >= ATTEMPTS {
        true => Ok(()),
        false => Err(format!("after {offered} attempts it was offered no more")),
    }
}

#[test]
fn redelivers_until_stored_on_any_number_of_attempts() {
    redelivered().unwrap();
}
