//! Where the manifest is kept, replaced whole or not at all: the only file that names sled.
//!
//! sled reads all of its log whenever it is opened, so it holds this one small value and the
//! runs are files beside it. It can panic where others fail: every call comes back as a result.
//!
//! Holds: I5. Knows: limits.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use super::IndexError;
use crate::limits::INDEX_CLOSE_TIME_MAX;

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
pub(super) struct Shelf(Arc<Catalogue>);

struct Catalogue {
    db: Option<sled::Db>,
    log: Option<File>,
}

impl Drop for Catalogue {
    /// sled's own threads have its file, and the lock on it, for a moment longer than its owner:
    /// until they let go, the folder cannot be opened again.
    fn drop(&mut self) {
        drop(self.db.take());
        let Some(log) = self.log.take() else { return };
        let (let_go, closed) = mpsc::channel();
        let waiting = thread::Builder::new().name("index closing".into()).spawn(move || {
            let locked = log.lock();
            drop(log);
            let _ = let_go.send(locked);
        });
        if waiting.is_err() || !matches!(closed.recv_timeout(INDEX_CLOSE_TIME_MAX), Ok(Ok(()))) {
            tracing::warn!("sled has not let go of the index");
        }
    }
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
        Ok(Self(Arc::new(Catalogue { db: Some(db), log: Some(log) })))
    }

    fn with<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, IndexError> {
        match &self.0.db {
            Some(db) => guarded(|| call(db)),
            None => Err(IndexError::Damaged("its catalogue is closed".into())),
        }
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.with(|db| db.get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    /// Sets a key, and hands it to the operating system. Not an fsync.
    pub(super) fn put(&self, key: &[u8], value: Vec<u8>) -> Result<(), IndexError> {
        self.with(|db| db.insert(key, value).and_then(|_| db.flush())).map(drop)
    }

    /// What was put is on the disk.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        // sled's own flush leaves it to the operating system.
        self.0.log.as_ref().map_or(Ok(()), File::sync_data).map_err(unsynced)
    }

    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> Result<bool, IndexError> {
        self.with(|db| Ok(db.is_empty()))
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
