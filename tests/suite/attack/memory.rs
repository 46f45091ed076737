//! Too little memory: the program may die of it, and no receipt with it.

use super::{Attacked, Before};
use crate::support::senders::Load;

/// More at once than fits into the memory below.
const LOAD: Load = Load { senders: 16, each: 4, body_bytes: 200_000 };
/// Of data segments, stacks included, in MiB: more each time, until the load is borne.
const BEGIN: u64 = 80;
const STEP: usize = 10;
const END: u64 = 400;

/// I1, I8, I9: it dies for want of memory under load, and every receipt stands.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_want_of_memory() {
    let mut attacked = Attacked::new().await;
    let (mut died_at_work, mut borne) = (0, false);
    for mebibytes in (BEGIN..END).step_by(STEP) {
        attacked.lay(Before::Room);
        let wrapper = ["prlimit".to_owned(), format!("--data={}", mebibytes << 20)];
        let ended = attacked.round(&wrapper, LOAD).await;
        let accepted = ended.told.accepted.len();
        println!("{mebibytes} MiB: {}, {accepted} accepted", ended.status);
        borne = ended.status.success();
        assert!(borne || !ended.said.is_empty(), "{mebibytes} MiB: {}", ended.status);
        died_at_work += usize::from(!borne && accepted > 0);
        attacked.settles(ended.told).await;
        if borne {
            break;
        }
    }
    assert!(died_at_work > 0 && borne, "{died_at_work} died at work");
}
