//! The index: a projection of the ledger for fast questions, in one sled tree.
//!
//! Disposable: it carries the number of entries applied, and is thrown away and
//! rebuilt from the journal at any doubt. Never on the path of a receipt, for
//! sled's `flush` does not fsync. The only file that names sled.
//!
//! Holds: I5. Knows: nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest, Sha256};

/// Under this key stands the [`Watermark`].
const WATERMARK: &[u8] = b"w";
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Why the index cannot be used. Always mended by a rebuild.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// sled would not open or read its files.
    #[error("the index is damaged ({0}); it will be rebuilt from the ledger")]
    Damaged(String),
    /// The folder could not be moved or made.
    #[error("the index folder cannot be used: {0}")]
    Folder(#[from] io::Error),
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// How far the index follows the ledger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Watermark {
    /// The ledger it belongs to.
    pub ledger: [u8; 16],
    /// Entries applied.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: [u8; 32],
    /// The right edge of that tree ([`crate::ledger`]'s frontier).
    pub frontier: Vec<u8>,
    /// The time of the last entry, Unix nanoseconds.
    pub time: u64,
}

/// Keys and the values they get; `None` removes the key.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What the fold reads and writes through.
pub trait View {
    /// The value under a key.
    fn value(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// Keys and values under a prefix, in order, at most `limit`.
    fn under(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// The index on disk. Clones share it.
#[derive(Clone)]
pub struct Index {
    db: sled::Db,
    folder: PathBuf,
    /// A read has failed: "not there" can no longer be told from "not readable".
    damaged: Arc<AtomicBool>,
}

impl Index {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] if sled refuses; call [`Index::set_aside`] and open again.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        // sled is known to panic, not only to fail, on damaged files.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(500))
                .mode(sled::Mode::HighThroughput)
                .open()
        }));
        match opened {
            Ok(db) => {
                let damaged = Arc::default();
                Ok(Self { db: db?, folder: folder.to_path_buf(), damaged })
            }
            Err(_) => Err(IndexError::Damaged("sled panicked while opening".into())),
        }
    }

    /// Moves a folder that cannot be used out of the way, to `<folder>.damaged`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn set_aside(folder: &Path) -> Result<(), IndexError> {
        let aside = folder.with_extension("damaged");
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        if folder.exists() {
            fs::rename(folder, &aside)?;
        }
        Ok(())
    }

    /// How far it follows the ledger; `None` when empty or unreadable.
    pub fn watermark(&self) -> Option<Watermark> {
        let bytes = self.value(WATERMARK)?;
        postcard::from_bytes(&bytes).ok()
    }

    /// Refuses once a read has failed: what was taken for absent may be there.
    ///
    /// # Errors
    /// [`IndexError::Damaged`].
    pub fn must_be_whole(&self) -> Result<(), IndexError> {
        match self.damaged.load(Ordering::SeqCst) {
            true => Err(IndexError::Damaged("a read failed".into())),
            false => Ok(()),
        }
    }

    /// A read's result; a failed one is remembered.
    fn noted<T>(&self, read: sled::Result<T>) -> Option<T> {
        if let Err(error) = &read {
            tracing::error!(%error, "the index cannot be read");
            self.damaged.store(true, Ordering::SeqCst);
        }
        read.ok()
    }

    /// Applies changes and the watermark in one atomic batch.
    ///
    /// # Errors
    /// [`IndexError::Damaged`]; the index must then be rebuilt.
    pub fn apply(&self, changes: Changes, watermark: &Watermark) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let mark = postcard::to_allocvec(watermark)
            .map_err(|error| IndexError::Damaged(error.to_string()))?;
        batch.insert(WATERMARK, mark);
        Ok(self.db.apply_batch(batch)?)
    }

    /// Keys and values from `from` on, below `below`, in order.
    pub fn range(
        &self,
        from: Vec<u8>,
        below: Vec<u8>,
    ) -> impl DoubleEndedIterator<Item = (Vec<u8>, Vec<u8>)> + use<> {
        let index = self.clone();
        self.db
            .range(from..below)
            .filter_map(move |read| index.noted(read))
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
    }

    /// SHA-256 over every key and value in order, each behind its length.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (key, value) in self.db.iter().filter_map(|read| self.noted(read)) {
            for part in [&key, &value] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hash.finalize().into()
    }

    /// Hands what is buffered to the operating system. Not an fsync, and nothing
    /// relies on one.
    pub fn flush(&self) {
        if let Err(error) = self.db.flush() {
            tracing::warn!(%error, "index flush failed; it will be rebuilt if need be");
        }
    }

    /// Whether it holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.db.is_empty()
    }

    /// Where it lives.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl View for Index {
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.noted(self.db.get(key)).flatten().map(|value| value.to_vec())
    }

    fn under(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.db
            .scan_prefix(prefix)
            .filter_map(|read| self.noted(read))
            .take(limit)
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    }
}

/// Changes on top of an index, readable as if they were already in it.
pub struct Overlay<'a> {
    base: &'a Index,
    changes: Changes,
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet.
    pub fn over(base: &'a Index) -> Self {
        Self { base, changes: Changes::new() }
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// What changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

impl View for Overlay<'_> {
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.changes.get(key) {
            Some(change) => change.clone(),
            None => self.base.value(key),
        }
    }

    fn under(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let hidden =
            self.changes.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> = self
            .base
            .under(prefix, limit + hidden.clone().count())
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        merged.extend(hidden.map(|(key, value)| (key.clone(), value.clone())));
        merged
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .take(limit)
            .collect()
    }
}
