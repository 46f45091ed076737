//! The index: a projection of the ledger for fast questions.
//!
//! Disposable: it carries the number of entries applied, and is thrown away and rebuilt from the
//! journal at any doubt. No receipt rests on its being on the disk.
//!
//! ```text
//! recent changes (in memory) → frozen (full, being written) → runs, newest first (files)
//! ```
//!
//! A batch goes into the recent changes, in memory; when they are full, the [`keeper`] writes
//! them to a file as a sorted [`run`] of blocks with filters among them, and merges runs so that
//! few exist at any size; the pages that show the [`ways`] through them stay in memory. The [`manifest`] names the runs; it lies on the [`shelf`]. What was only in memory at a
//! crash is folded again from the journal; an orderly stop writes it first.
//!
//! Holds: I5, I10. Knows: limits.

mod block;
mod core;
mod file;
mod filter;
mod keeper;
mod layers;
mod manifest;
mod merge;
mod overlay;
mod page;
mod run;
mod section;
mod shelf;
mod ways;
mod writer;

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::Path,
    sync::Arc,
    thread,
};

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

pub use self::overlay::Overlay;
use self::{core::Core, keeper::Keeper, layers::Walked};
use crate::limits::{INDEX_KEY_BYTES_MAX, INDEX_RECENT_BYTES, INDEX_WALK_MAX};

/// Keys of the first page of a walk; each page after it is twice as long, up to a bound.
const WALK_FIRST: usize = 16;

/// Why the index cannot be used. Always mended by a rebuild.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its files cannot be opened, read or written, or are not what was written.
    #[error("the index is damaged ({0}); it will be rebuilt from the ledger")]
    Damaged(String),
    /// The folder could not be moved or made, or its thread not started.
    #[error("the index folder cannot be used: {0}")]
    Folder(#[from] io::Error),
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

/// A key. Most lie in the map itself, so that to compare them is to read what is at hand.
pub type Key = SmallVec<[u8; 40]>;

/// Keys and the values they get; `None` removes the key.
pub type Changes = BTreeMap<Key, Option<Vec<u8>>>;

/// What the fold reads and writes through.
pub trait View {
    /// The value under a key.
    fn value(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// Keys and values under a prefix, in order, at most `limit`.
    fn under(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// The index. Clones share it; with the last one it is closed, and what was not flushed is left
/// to be folded again.
#[derive(Clone)]
pub struct Index {
    core: Arc<Core>,
    _keeper: Arc<Kept>,
}

/// The keeper's thread, ended with the index.
struct Kept {
    core: Arc<Core>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.core.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the keeper of the index did not end in order");
        }
    }
}

impl Index {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] if it is not whole; call [`Index::set_aside`] and open again.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        Self::open_with(folder, INDEX_RECENT_BYTES)
    }

    /// The same, keeping other than [`INDEX_RECENT_BYTES`] in memory before it is written.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_with(folder: &Path, recent_bytes_max: usize) -> Result<Self, IndexError> {
        let (core, manifest) = Core::open(folder, recent_bytes_max)?;
        let keeper = Keeper::new(Arc::clone(&core), manifest);
        let thread =
            thread::Builder::new().name("index keeper".into()).spawn(move || keeper.run())?;
        let kept = Kept { core: Arc::clone(&core), thread: Some(thread) };
        Ok(Self { core, _keeper: Arc::new(kept) })
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

    /// How far it follows the ledger now, with what is only in memory; `None` when empty. Just
    /// opened, it is what the files hold: never beyond what was durable in the journal.
    pub fn watermark(&self) -> Option<Watermark> {
        self.core.layers().watermark.clone()
    }

    /// How many entries it follows; what is asked after this sees them all.
    pub fn size(&self) -> u64 {
        self.core.layers().watermark.as_ref().map_or(0, |mark| mark.size)
    }

    /// Refuses once a read has failed: what was taken for absent may be there.
    ///
    /// # Errors
    /// [`IndexError::Damaged`].
    pub fn must_be_whole(&self) -> Result<(), IndexError> {
        self.core.must_be_whole()
    }

    /// Makes room in memory for more changes. Waits if the disk cannot keep up: whoever applies
    /// while others wait for it asks for room before they do.
    ///
    /// # Errors
    /// [`IndexError::Damaged`]; the index must then be rebuilt.
    pub fn make_room(&self) -> Result<(), IndexError> {
        self.core.hand_over(self.core.recent_bytes_max)
    }

    /// Applies changes and the watermark at once, in memory.
    ///
    /// # Errors
    /// [`IndexError::Damaged`]; the index must then be rebuilt.
    pub fn apply(&self, changes: Changes, watermark: &Watermark) -> Result<(), IndexError> {
        self.must_be_whole()?;
        if changes.keys().any(|key| key.len() > INDEX_KEY_BYTES_MAX) {
            return Err(IndexError::Damaged("a key is too long".into()));
        }
        let mut layers = self.core.layers_mut();
        layers.recent.take(changes, watermark.clone());
        layers.watermark = Some(watermark.clone());
        Ok(())
    }

    /// Keys and values from `from` on, below `below`, in order. It goes page by page: each is of
    /// one moment, and keeps who applies waiting while it is read, and no longer.
    pub fn range(
        &self,
        from: &[u8],
        below: &[u8],
    ) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + use<> {
        self.walk(from.to_vec(), Some(below.to_vec()))
    }

    fn walk(&self, from: Vec<u8>, below: Option<Vec<u8>>) -> Walk {
        let index = self.clone();
        Walk { index, next: Some(from), below, page: VecDeque::new(), limit: WALK_FIRST }
    }

    /// SHA-256 over every key and value in order, each behind its length, and the watermark.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mark = self.watermark().and_then(|mark| postcard::to_allocvec(&mark).ok());
        let watermark = (b"watermark".to_vec(), mark.unwrap_or_default());
        for (key, value) in self.walk(Vec::new(), None).chain([watermark]) {
            for part in [&key, &value] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hash.finalize().into()
    }

    /// Writes what is in memory: a start after it folds nothing. After a power cut one may fold
    /// more; nothing relies on this.
    pub fn flush(&self) {
        let flushed = self.core.hand_over(0).and_then(|()| self.core.written_out());
        if let Err(error) = flushed {
            tracing::warn!(%error, "index flush failed; it will be rebuilt if need be");
        }
    }

    /// Whether it holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.watermark().is_none() && self.walk(Vec::new(), None).next().is_none()
    }

    /// Where it lives.
    pub fn folder(&self) -> &Path {
        &self.core.folder
    }
}

impl View for Index {
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let layers = self.core.layers();
        if let Some(found) = layers.in_memory(key) {
            return found;
        }
        let runs = Arc::clone(&layers.runs);
        drop(layers);
        for run in runs.iter() {
            if let Some(found) = self.core.noted(run.find(key))? {
                return found;
            }
        }
        None
    }

    fn under(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let below = layers::beyond(prefix);
        let (mut found, mut next) = (Vec::new(), Some(prefix.to_vec()));
        while let Some(from) = next.take().filter(|_| found.len() < limit) {
            let left = limit - found.len();
            let walked = self.core.layers().walk(&from, below.as_deref(), prefix, left);
            let Some(walked) = self.core.noted(walked) else { break };
            found.extend(walked.found);
            next = walked.next;
        }
        found
    }
}

/// See [`Index::range`].
struct Walk {
    index: Index,
    next: Option<Vec<u8>>,
    below: Option<Vec<u8>>,
    page: VecDeque<(Vec<u8>, Vec<u8>)>,
    limit: usize,
}

impl Iterator for Walk {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.page.is_empty() {
            let from = self.next.take()?;
            let below = self.below.as_deref();
            let prefix = below.map_or(&[][..], |below| layers::common(&from, below));
            let walked = self.index.core.layers().walk(&from, below, prefix, self.limit);
            let Walked { found, next } = self.index.core.noted(walked)?;
            (self.page, self.next) = (found.into(), next);
            self.limit = (2 * self.limit).min(INDEX_WALK_MAX);
        }
        self.page.pop_front()
    }
}

#[cfg(test)]
mod tests;
