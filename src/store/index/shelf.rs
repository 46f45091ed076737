//! Where the manifest is kept, replaced whole or not at all: the only file that names sled.
//!
//! sled reads all of its log whenever it is opened, so it holds this one small value and the
//! runs are files beside it. It can panic where others fail: every call comes back as a result.
//!
//! Holds: I5. Knows: nothing.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use super::IndexError;

/// sled writes its log in pieces of this, reuses those with nothing in them that still counts,
/// and makes a file of its own of whatever is larger than a quarter.
const SEGMENT_BYTES: usize = 512 * 1024;
const CACHE_BYTES: u64 = 1024 * 1024;
/// The file that sled keeps its log in.
const LOG: &str = "db";

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// The catalogue on disk. Clones share it.
#[derive(Clone)]
pub(super) struct Shelf {
    db: sled::Db,
    log: Arc<File>,
}

impl Shelf {
    /// Opens the folder, making it if need be.
    pub(super) fn open(folder: &Path) -> Result<Self, IndexError> {
        let db = guarded(|| {
            sled::Config::new()
                .path(folder)
                .segment_size(SEGMENT_BYTES)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None)
                .mode(sled::Mode::LowSpace)
                .open()
        })?;
        let log = File::open(folder.join(LOG)).map_err(unsynced)?;
        Ok(Self { db, log: Arc::new(log) })
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        guarded(|| self.db.get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    /// Sets a key, and hands it to the operating system. Not an fsync.
    pub(super) fn put(&self, key: &[u8], value: Vec<u8>) -> Result<(), IndexError> {
        guarded(|| self.db.insert(key, value).and_then(|_| self.db.flush())).map(drop)
    }

    /// What was put is on the disk.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        // sled's own flush leaves it to the operating system.
        self.log.sync_data().map_err(unsynced)
    }

    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> Result<bool, IndexError> {
        guarded(|| Ok(self.db.is_empty()))
    }
}

fn unsynced(error: io::Error) -> IndexError {
    IndexError::Damaged(format!("its catalogue cannot be synced: {error}"))
}

/// sled is known to panic, not only to fail, on damaged files.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(IndexError::Damaged("sled panicked".into())),
    }
}
