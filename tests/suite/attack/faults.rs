//! System calls that fail: EIO and ENOSPC from each call that changes what is on disk.

use std::path::PathBuf;

use tonic::Status;

use super::{Attacked, Before, LOAD};
use crate::support::{
    senders::reason,
    strace::{Fault, fired},
};

/// How far each sweep goes; `CAIRN_FAULTS` says otherwise, for each error. A sweep ends where no
/// call is left to fail.
const DEPTH: u32 = 3;

/// One kind of call, failing once in each thread: the first, the second, and so on.
struct Sweep {
    calls: &'static str,
    /// In the data folder; none means any file.
    files: &'static [&'static str],
    before: Before,
    /// Calls that must have failed, or the sweep proves nothing.
    at_least: usize,
}

const WRITTEN_IN_ORDER: [&str; 4] = [
    "journal/00000000000000000000.seg.tmp",
    "journal/spare.tmp",
    "journal/published.tmp",
    "journal/clean-stop.tmp",
];

const SWEEPS: [Sweep; 8] = [
    Sweep { calls: "pwrite64", files: &[], before: Before::NearlyFull, at_least: 3 },
    Sweep {
        calls: "write,pwrite64",
        files: &WRITTEN_IN_ORDER,
        before: Before::Unclean,
        at_least: 3,
    },
    Sweep { calls: "fdatasync", files: &[], before: Before::NearlyFull, at_least: 3 },
    Sweep { calls: "fsync", files: &[], before: Before::Unclean, at_least: 3 },
    Sweep { calls: "/^rename", files: &[], before: Before::Unclean, at_least: 3 },
    Sweep { calls: "/^mkdir", files: &[], before: Before::WithoutIndex, at_least: 2 },
    Sweep { calls: "/^unlink", files: &[], before: Before::Unclean, at_least: 3 },
    Sweep { calls: "ftruncate", files: &[], before: Before::WithoutIndex, at_least: 1 },
];

/// What became of the rounds of one sweep.
#[derive(Debug, Default)]
struct Outcome {
    /// Calls that failed.
    fired: usize,
    went_on: usize,
    stopped: usize,
}

/// One round: the fault, and what the program makes of it.
async fn round(attacked: &mut Attacked, sweep: &Sweep, error: &str, when: u32) -> Outcome {
    let what = format!("{} {error} {when}", sweep.calls);
    attacked.lay(sweep.before);
    let files: Vec<PathBuf> = sweep.files.iter().map(|file| attacked.data().join(file)).collect();
    let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    let becomes = format!("error={error}");
    let fault = Fault { calls: sweep.calls, becomes: &becomes, when };
    let ended = attacked.round(&fault.wrapper(&attacked.report(), &files), LOAD).await;
    let fired = fired(&attacked.report()).len();
    let mut outcome = Outcome { fired, ..Outcome::default() };
    let unknown = |(_, status): &(Vec<u8>, Status)| reason(status) == "OUTCOME_UNKNOWN";
    let unknown = ended.told.not.iter().any(unknown);
    assert!(!unknown || ended.status.code() == Some(1), "{what}: unknown, and it went on");
    match ended.status.code() {
        Some(0) => outcome.went_on = 1,
        Some(1) => {
            let number = if error == "EIO" { "5" } else { "28" };
            let why = [format!("os error {number})"), format!("code: {number},")];
            let says = why.iter().any(|why| ended.said.contains(why));
            assert!(says, "{what}: it says why: {}", ended.said);
            outcome.stopped = 1;
        }
        _ => panic!("{what}: {}: {}", ended.status, ended.said),
    }
    attacked.settles(ended.told).await;
    outcome
}

/// I1, I8, I9, I10: whichever call fails, the program goes on, puts off, or stops and says why;
/// started again, every receipt stands, what was not answered counts once, and all is whole.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_each_call_that_fails() {
    let depth = std::env::var("CAIRN_FAULTS").map_or(DEPTH, |depth| depth.parse().unwrap());
    let mut attacked = Attacked::new().await;
    for sweep in SWEEPS {
        let mut all = Outcome::default();
        for when in 1..=depth {
            // The short form takes the errors in turn.
            let both = depth > DEPTH;
            let errors = ["ENOSPC", "EIO"].into_iter().enumerate();
            let errors = errors.filter(|(at, _)| both || when as usize % 2 == *at);
            let before = all.fired;
            for (_, error) in errors {
                let one = round(&mut attacked, &sweep, error, when).await;
                all.fired += one.fired;
                all.went_on += one.went_on;
                all.stopped += one.stopped;
            }
            if all.fired == before {
                break;
            }
        }
        println!("{}: {all:?}", sweep.calls);
        assert!(all.fired >= sweep.at_least, "{}: {all:?}", sweep.calls);
    }
    println!("{} rounds", attacked.rounds);
}
