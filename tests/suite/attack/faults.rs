//! System calls that fail: EIO and ENOSPC from each call that changes what is on disk.

use std::path::PathBuf;

use super::{Attacked, Before, LOAD};
use crate::support::strace::{Fault, fired};

/// How far each sweep goes; `CAIRN_FAULTS` says otherwise. A sweep ends where no call is left to
/// fail.
const DEPTH: u32 = 3;

/// One kind of call, failing once in each thread: the first, the second, and so on.
struct Sweep {
    calls: &'static str,
    /// In the data folder; none means any file.
    files: &'static [&'static str],
    before: Before,
}

const WRITTEN_IN_ORDER: [&str; 4] = [
    "journal/00000000000000000000.seg.tmp",
    "journal/spare.tmp",
    "journal/published.tmp",
    "journal/clean-stop.tmp",
];

const SWEEPS: [Sweep; 8] = [
    Sweep { calls: "pwrite64", files: &[], before: Before::NearlyFull },
    Sweep { calls: "write", files: &WRITTEN_IN_ORDER, before: Before::Unclean },
    Sweep { calls: "fdatasync", files: &[], before: Before::NearlyFull },
    Sweep { calls: "fsync", files: &[], before: Before::Unclean },
    Sweep { calls: "/^rename", files: &[], before: Before::Unclean },
    Sweep { calls: "/^mkdir", files: &[], before: Before::WithoutIndex },
    Sweep { calls: "/^unlink", files: &[], before: Before::Unclean },
    Sweep { calls: "ftruncate", files: &[], before: Before::WithoutIndex },
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
    match ended.status.code() {
        Some(0) => outcome.went_on = 1,
        Some(1) => {
            let number = if error == "EIO" { "os error 5" } else { "os error 28" };
            assert!(ended.said.contains(number), "{what}: it says why: {}", ended.said);
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
        for (error, odd) in [("EIO", 1), ("ENOSPC", 0)] {
            let mut all = Outcome::default();
            for when in 1..=depth {
                // The short form takes them in turn.
                if depth == DEPTH && when % 2 != odd {
                    continue;
                }
                let one = round(&mut attacked, &sweep, error, when).await;
                all.fired += one.fired;
                all.went_on += one.went_on;
                all.stopped += one.stopped;
                if one.fired == 0 {
                    break;
                }
            }
            println!("{} {error}: {all:?}", sweep.calls);
            assert!(all.fired > 0, "{} {error} never came", sweep.calls);
        }
    }
    println!("{} rounds", attacked.rounds);
}
