//! What the index keeps on disk, as keys and values in order: the only file that names sled.
//!
//! sled holds few, large values well and many small ones badly, so a value here is a page of
//! the index ([`super::page`]) and never one record. It can panic where others fail: every call
//! comes back as a result.
//!
//! Holds: I5. Knows: limits.

use std::{
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::IndexError;
use crate::limits::INDEX_CACHE_BYTES;

/// sled makes a file of its own of whatever is larger than a quarter of this: sixteen tiles of
/// hashes side by side must not be.
const SEGMENT_BYTES: usize = 1024 * 1024;

/// Bytes read from the shelf. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Slice(sled::IVec);

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Keys and values in order, on disk. Clones share it.
#[derive(Clone)]
pub(super) struct Shelf(sled::Db);

impl Shelf {
    /// Opens the folder, making it if need be.
    pub(super) fn open(folder: &Path) -> Result<Self, IndexError> {
        guarded(|| {
            sled::Config::new()
                .path(folder)
                .segment_size(SEGMENT_BYTES)
                .cache_capacity(INDEX_CACHE_BYTES)
                .flush_every_ms(Some(500))
                .mode(sled::Mode::HighThroughput)
                .open()
        })
        .map(Self)
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Slice>, IndexError> {
        guarded(|| self.0.get(key)).map(|value| value.map(Slice))
    }

    /// The value under the greatest key from `low` up to `key`, both included.
    pub(super) fn at_or_before(&self, low: &[u8], key: &[u8]) -> Result<Option<Slice>, IndexError> {
        guarded(|| self.0.range(low..=key).next_back().transpose())
            .map(|found| found.map(|(_, value)| Slice(value)))
    }

    /// Keys from `from` on and below `below`, at most `limit`.
    pub(super) fn keys(
        &self,
        from: &[u8],
        below: &[u8],
        limit: usize,
    ) -> Result<Vec<Slice>, IndexError> {
        guarded(|| self.0.range(from..below).keys().take(limit).map(|key| key.map(Slice)).collect())
    }

    /// Sets a key.
    pub(super) fn put(&self, key: &[u8], value: Vec<u8>) -> Result<(), IndexError> {
        guarded(|| self.0.insert(key, value)).map(drop)
    }

    /// Removes a key.
    pub(super) fn remove(&self, key: &[u8]) -> Result<(), IndexError> {
        guarded(|| self.0.remove(key)).map(drop)
    }

    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> Result<bool, IndexError> {
        guarded(|| Ok(self.0.is_empty()))
    }

    /// Hands what is buffered to the operating system. Not an fsync.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        guarded(|| self.0.flush()).map(drop)
    }
}

/// sled is known to panic, not only to fail, on damaged files.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(IndexError::Damaged("sled panicked".into())),
    }
}
