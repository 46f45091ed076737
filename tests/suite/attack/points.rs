//! `kill -9` at named points: between two system calls that we chose.

use std::os::unix::process::ExitStatusExt;

use super::{Attacked, Before, LOAD, SEGMENT};
use crate::support::strace::Fault;

const SIGKILL: i32 = 9;

/// It dies when it is about to make this call on this file for the `when`-th time.
struct Point {
    what: &'static str,
    before: Before,
    calls: &'static str,
    file: &'static str,
    when: u32,
}

const fn point(
    what: &'static str,
    before: Before,
    calls: &'static str,
    file: &'static str,
    when: u32,
) -> Point {
    Point { what, before, calls, file, when }
}

/// However a file is written.
const WRITES: &str = "write,pwrite64";
const REWRITTEN: &str = "journal/00000000000000000000.seg.tmp";

/// In the order in which they come from a start to a stop.
#[rustfmt::skip]
const POINTS: [Point; 22] = [
    point("the index folder is made", Before::WithoutIndex, "/^mkdir", "index", 1),
    point("the index file is made", Before::WithoutIndex, "pwrite64", "index/db", 1),
    point("the index is written", Before::Room, "pwrite64", "index/db", 1),
    point("the tail is copied", Before::Unclean, WRITES, REWRITTEN, 1),
    point("the copied tail is synced", Before::Unclean, "fsync", REWRITTEN, 1),
    point("the tail takes its place", Before::Unclean, "/^rename", REWRITTEN, 1),
    point("the folder is synced", Before::Unclean, "fsync", "journal", 1),
    point("the folder is synced again", Before::Unclean, "fsync", "journal", 2),
    point("the published size is begun anew", Before::Unclean, WRITES, "journal/published.tmp", 1),
    point("and takes its place", Before::Unclean, "/^rename", "journal/published.tmp", 1),
    point("the clean-stop mark goes", Before::Room, "/^unlink", "journal/clean-stop", 1),
    point("the next segment is filled", Before::Room, WRITES, "journal/spare.tmp", 100),
    point("the first batch is written", Before::Room, "pwrite64", SEGMENT, 1),
    point("the first batch is synced", Before::Room, "fdatasync", SEGMENT, 1),
    point("its size is published", Before::Room, "pwrite64", "journal/published", 1),
    point("the second batch is written", Before::Room, "pwrite64", SEGMENT, 2),
    point("the second batch is synced", Before::Room, "fdatasync", SEGMENT, 2),
    point("a later batch is written", Before::Room, "pwrite64", SEGMENT, 4),
    point("the next segment gets its name", Before::NearlyFull, "/^rename", "journal/spare.tmp", 1),
    point("the next segment is published", Before::NearlyFull, "fdatasync", "journal/published", 1),
    point("the clean-stop mark is written", Before::Room, WRITES, "journal/clean-stop.tmp", 1),
    point("the clean-stop mark gets its name", Before::Room, "/^rename", "journal/clean-stop.tmp", 1),
];

/// I1, I3, I8, I9: wherever it is killed, every receipt stands, what was not answered counts
/// once when it is sent again, the journal is whole and the index a fold.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_being_killed_at_each_named_point() {
    let mut attacked = Attacked::new().await;
    let mut accepted = 0;
    for Point { what, before, calls, file, when } in POINTS {
        attacked.lay(before);
        let fault = Fault { calls, becomes: "signal=SIGKILL", when };
        let wrapper = fault.wrapper(&attacked.report(), &[&attacked.data().join(file)]);
        let ended = attacked.round(&wrapper, LOAD).await;
        let said = (ended.status, ended.said);
        assert_eq!(said.0.signal(), Some(SIGKILL), "it dies where {what}: {said:?}");
        accepted += ended.told.accepted.len();
        attacked.settles(ended.told).await;
    }
    println!("killed at {} points; {accepted} receipts of those rounds stand", POINTS.len());
}
