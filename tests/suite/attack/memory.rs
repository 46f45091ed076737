//! Too little memory: the program may die of it, and no receipt with it.

use super::{Attacked, Before};
use crate::support::senders::Load;

/// More at once than fits into the memory below.
const LOAD: Load = Load { senders: 16, each: 6, body_bytes: 200_000 };
/// Of data segments, stacks included, in MiB: from what suffices for a start to what suffices.
const MEBIBYTES: [u64; 4] = [24, 40, 56, 96];

/// I1, I8, I9: it dies for want of memory under load, and every receipt stands.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_want_of_memory() {
    let mut attacked = Attacked::new().await;
    let (mut died, mut accepted) = (0, 0);
    for mebibytes in MEBIBYTES {
        attacked.lay(Before::Room);
        let wrapper = ["prlimit".to_owned(), format!("--data={}", mebibytes << 20)];
        let ended = attacked.round(&wrapper, LOAD).await;
        let told = (ended.told.accepted.len(), ended.told.not.len());
        println!("{mebibytes} MiB: {}, {told:?}", ended.status);
        if !ended.status.success() {
            assert!(!ended.said.is_empty(), "{mebibytes} MiB: {}", ended.status);
            died += 1;
        }
        accepted += ended.told.accepted.len();
        attacked.settles(ended.told).await;
    }
    assert!(died > 0 && accepted > 0, "{died} died, {accepted} accepted");
}
