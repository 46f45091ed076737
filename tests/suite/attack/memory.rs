//! Too little memory: the program may die of it, and no receipt with it.

use tokio::time::timeout;

use super::{Attacked, Before, is_documented};
use crate::{
    process::{PATIENCE, Process},
    support::senders::Load,
};

/// More at once than fits into the little that is left.
const LOAD: Load = Load { senders: 16, each: 4, body_bytes: 200_000 };
/// What is left to it once it serves, in MiB: more each time, until the load is borne.
const BEGIN: u64 = 2;
const STEP: usize = 6;
const END: u64 = 400;

/// I1, I8, I9: it dies for want of memory under load, and every receipt stands.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_want_of_memory() {
    let attacked = Attacked::new().await;
    let (mut died, mut accepted, mut borne) = (0, 0, false);
    for mebibytes in (BEGIN..END).step_by(STEP) {
        attacked.lay(Before::Room);
        let process = Process::serve(&attacked.world).await;
        let bound = (process.data_kibibytes() << 10) + (mebibytes << 20);
        process.limit(&format!("--data={bound}:{bound}"));
        let sending = LOAD.send(&attacked.world, "little");
        let told = timeout(PATIENCE, sending).await.expect("it works or dies");
        let status = process.finish().await;
        println!("{mebibytes} MiB: {status}, {} accepted", told.accepted.len());
        for (_, not) in &told.not {
            assert!(is_documented(not, status), "{status}: {not:?}");
        }
        borne = status.success();
        died += usize::from(!borne);
        accepted += told.accepted.len();
        attacked.settles(told).await;
        if borne {
            break;
        }
    }
    assert!(died > 0 && accepted > 0 && borne, "{died} died, {accepted} accepted");
}
