//! The pages that show the way to a block, kept in memory while they are asked for: parts of
//! trees, and sections with their filters. Read and verified once, they answer "is this request
//! id new?" without a read.
//!
//! Blocks are not kept: the operating system has them.
//!
//! Holds: I10. Knows: limits.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::{block::Block, section::Section};
use crate::limits::{INDEX_BLOCK_BYTES, INDEX_WAY_BYTES};

/// A page that shows the way.
pub(super) enum Way {
    Tree(Block),
    Section(Section),
}

impl Way {
    fn bytes(&self) -> usize {
        match self {
            Self::Tree(part) => part.page().bytes(),
            Self::Section(section) => section.page().bytes(),
        }
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(u64, u64), Arc<Way>> for Bytes {
    fn weight(&self, _: &(u64, u64), way: &Arc<Way>) -> u64 {
        way.bytes() as u64
    }
}

/// Those in memory, at most [`INDEX_WAY_BYTES`] of them, by run and place.
pub(super) struct Ways(Cache<(u64, u64), Arc<Way>, Bytes>);

impl Default for Ways {
    fn default() -> Self {
        let pages = INDEX_WAY_BYTES / (2 * INDEX_BLOCK_BYTES);
        Self(Cache::with_weighter(pages, INDEX_WAY_BYTES as u64, Bytes))
    }
}

impl Ways {
    /// The page of this run that begins there; `read` if it is not here.
    pub(super) fn get<E>(
        &self,
        run: u64,
        at: u64,
        read: impl FnOnce() -> Result<Way, E>,
    ) -> Result<Arc<Way>, E> {
        if let Some(way) = self.0.get(&(run, at)) {
            return Ok(way);
        }
        let way = Arc::new(read()?);
        self.0.insert((run, at), Arc::clone(&way));
        Ok(way)
    }
}
