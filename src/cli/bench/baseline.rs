//! What a measurement is set beside: strict verification alone, and the disk's `fdatasync`.
//!
//! Knows: store (durable files).

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::load::{Signed, cores};
use crate::store::{
    disk::{BoxFile, RealDisk},
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

/// A file that was filled with zeros beforehand, as the journal's segments are, to be appended
/// to and synced.
pub(super) struct SyncFile {
    file: BoxFile,
    path: PathBuf,
    next: u64,
}

impl SyncFile {
    /// One with room for `count` blocks, in this folder.
    pub(super) fn create(folder: &Path, count: usize) -> io::Result<Self> {
        let path = folder.join("fdatasync.tmp");
        let length = (count * BLOCK_BYTES) as u64;
        let file = RealDisk.create_zeroed(&path, length, &AtomicBool::new(false))?;
        Ok(Self { file, path, next: 0 })
    }

    /// How long it takes to write the next block and sync it.
    pub(super) fn append(&mut self) -> io::Result<Duration> {
        let block = [0x5a; BLOCK_BYTES];
        let begun = Instant::now();
        self.file.write_all_at(&block, self.next)?;
        self.file.sync_data()?;
        self.next += BLOCK_BYTES as u64;
        Ok(begun.elapsed())
    }
}

impl Drop for SyncFile {
    fn drop(&mut self) {
        drop(files::remove(&self.path));
    }
}
