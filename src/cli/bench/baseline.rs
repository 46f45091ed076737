//! What a measurement is set beside: strict verification alone, and the disk's `fdatasync`.
//!
//! Knows: store (durable files).

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    load::{Signed, cores},
    stats::Times,
};
use crate::store::{
    disk::RealDisk,
    files::{self, Durable as _},
};

/// What is appended and synced at a time, in bytes.
const BLOCK_BYTES: usize = 8 * 1_024;
/// Signatures verified between two looks at the clock.
const VERIFIED_AT_ONCE: usize = 64;

/// Signatures verified a second, on all cores, one at a time each, for about this long.
pub(super) fn verify_rate(signed: &Signed, time: Duration) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let verify = || -> anyhow::Result<()> {
        while begun.elapsed() < time {
            let from = next.fetch_add(VERIFIED_AT_ONCE, Ordering::Relaxed);
            for at in from..from + VERIFIED_AT_ONCE {
                signed.verify(at)?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(verify)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(next.into_inner() as f64 / begun.elapsed().as_secs_f64())
}

/// How long `fdatasync` takes after each of `count` blocks appended to a file that was filled
/// with zeros beforehand, as the journal's segments are. The write is part of the time.
pub(super) fn sync_times(folder: &Path, count: usize) -> anyhow::Result<Times> {
    let path = folder.join("fdatasync.tmp");
    let length = (count * BLOCK_BYTES) as u64;
    let file = RealDisk.create_zeroed(&path, length, &AtomicBool::new(false))?;
    let block = vec![0x5a; BLOCK_BYTES];
    let mut times = Times::default();
    for at in 0..count {
        let begun = Instant::now();
        file.write_all_at(&block, (at * BLOCK_BYTES) as u64)?;
        file.sync_data()?;
        times.add(begun.elapsed());
    }
    files::remove(&path)?;
    Ok(times)
}
