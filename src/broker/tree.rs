//! The ledger's tree as readers see it: the newest durable checkpoint, and the
//! tiles from which any proof can be made.
//!
//! Full tiles live in the index; the partial ones at the right edge in memory.
//!
//! Holds: I4. Knows: ledger, store.

use std::sync::{
    Arc, RwLock, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use super::records;
use crate::{
    ledger::{
        self,
        growth::Growth,
        merkle::Hash,
        proof,
        tiles::{TileSource, decode_tile},
    },
    store::{Index, View},
};

/// A durable tree and its checkpoint.
#[derive(Debug, Clone)]
pub struct Head {
    /// The right edge.
    pub growth: Growth,
    /// The signed note; empty for the empty tree.
    pub checkpoint: Vec<u8>,
    /// The time of the last entry, Unix nanoseconds.
    pub time: u64,
}

/// The newest durable tree. Readers see one head at a time, whole.
pub struct Tree {
    head: RwLock<Arc<Head>>,
    /// The head's time, for those who must not wait while the index moves.
    time: AtomicU64,
    index: Index,
}

/// The tree while the index moves to its next head.
pub(super) struct Moving<'a>(RwLockWriteGuard<'a, Arc<Head>>, &'a AtomicU64);

impl Moving<'_> {
    /// Publishes a head that is durable and in the index.
    pub(super) fn publish(mut self, head: Arc<Head>) {
        self.1.store(head.time, Ordering::Release);
        *self.0 = head;
    }
}

/// One head with the index behind it.
struct Source<'a> {
    growth: &'a Growth,
    index: &'a Index,
}

impl TileSource for Source<'_> {
    type Error = ledger::Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, ledger::Error> {
        if let Some(edge) = self.growth.tile(level, index)
            && edge.len() >= usize::from(width)
        {
            return Ok(edge[..usize::from(width)].to_vec());
        }
        let bytes =
            self.index.value(&records::tile_key(level, index)).ok_or(ledger::Error::OutOfRange)?;
        let mut hashes = decode_tile(&bytes, ledger::tiles::TILE_WIDTH)?;
        hashes.truncate(usize::from(width));
        Ok(hashes)
    }
}

impl Tree {
    /// The tree at a durable head.
    pub fn new(head: Head, index: Index) -> Self {
        let time = AtomicU64::new(head.time);
        Self { head: RwLock::new(Arc::new(head)), time, index }
    }

    /// The newest head.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Keeps readers of the head waiting while the index moves, so that nobody finds
    /// in the index what the tree cannot prove yet.
    pub(super) fn moving(&self) -> Moving<'_> {
        let head = self.head.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Moving(head, &self.time)
    }

    /// The time of the newest entry, Unix nanoseconds. Waits for nobody.
    pub fn time(&self) -> u64 {
        self.time.load(Ordering::Acquire)
    }

    /// Proves that an entry is in the tree of `size`.
    ///
    /// # Errors
    /// [`ledger::Error::OutOfRange`] for an entry or size beyond the newest head.
    pub fn inclusion(&self, entry: u64, size: u64) -> Result<Vec<Hash>, ledger::Error> {
        let head = self.head();
        within(size, &head)?;
        proof::prove_inclusion(&Source { growth: &head.growth, index: &self.index }, entry, size)
    }

    /// Proves that the tree of `new` extends the tree of `old`.
    ///
    /// # Errors
    /// As [`Tree::inclusion`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ledger::Error> {
        let head = self.head();
        within(new, &head)?;
        proof::prove_consistency(&Source { growth: &head.growth, index: &self.index }, old, new)
    }

    /// The root that the tree had at `size`.
    ///
    /// # Errors
    /// As [`Tree::inclusion`].
    pub fn root_at(&self, size: u64) -> Result<Hash, ledger::Error> {
        let head = self.head();
        within(size, &head)?;
        proof::root_at(&Source { growth: &head.growth, index: &self.index }, size)
    }

    /// One tile of hashes.
    ///
    /// # Errors
    /// As [`Tree::inclusion`].
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, ledger::Error> {
        let head = self.head();
        Source { growth: &head.growth, index: &self.index }.tile(level, index, width)
    }
}

fn within(size: u64, head: &Head) -> Result<(), ledger::Error> {
    if size <= head.growth.size() { Ok(()) } else { Err(ledger::Error::OutOfRange) }
}
