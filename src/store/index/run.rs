//! A sorted run: keys in order in blocks on the shelf, with filters beside them. Written once,
//! never changed, removed whole.
//!
//! Its pages lie under `kind ‖ run ‖ first key of the page`. Nothing of them is kept in memory:
//! sled's tree finds a page and its cache keeps the newest.
//!
//! Holds: I5. Knows: limits.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    IndexError,
    block::{Block, BlockBuilder, BlockCursor},
    filter::{self, BEGINNING_BYTES, FilterBuilder},
    merge::Source,
    page::{Kind, Page, wrong},
    shelf::{Shelf, Slice},
};
use crate::limits::INDEX_BLOCK_BYTES;

/// What the manifest says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunMeta {
    /// Drawn at random, so that no leftover is taken for a page of another run.
    pub(super) id: u64,
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
    /// Removals included.
    pub(super) keys: u64,
    /// Of its blocks and filters.
    pub(super) bytes: u64,
}

/// A run that readers may use.
pub(super) struct Run {
    pub(super) meta: RunMeta,
    shelf: Shelf,
}

/// Where a page lies.
pub(super) fn page_key(kind: Kind, run: u64, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(9 + key.len());
    place.push(kind.byte());
    place.extend_from_slice(&run.to_be_bytes());
    place.extend_from_slice(key);
    place
}

impl Run {
    pub(super) fn new(meta: RunMeta, shelf: Shelf) -> Self {
        Self { meta, shelf }
    }

    /// What the run says of a key: nothing, that it is removed, or its value.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Option<Vec<u8>>>, IndexError> {
        if key < self.meta.first.as_slice() || key > self.meta.last.as_slice() {
            return Ok(None);
        }
        match filter::may_hold(&self.filter(key)?, key) {
            true => self.block(key)?.find(key),
            false => Ok(None),
        }
    }

    /// Whether it may hold keys that begin so; false is certain.
    pub(super) fn may_begin(&self, prefix: &[u8]) -> Result<bool, IndexError> {
        if self.meta.last.as_slice() < prefix {
            return Ok(false);
        }
        if self.meta.first.as_slice() >= prefix {
            return Ok(self.meta.first.starts_with(prefix));
        }
        let Some(beginning) = prefix.get(..BEGINNING_BYTES) else { return Ok(true) };
        let filter = self.filter(prefix)?;
        // The keys may begin with the next filter.
        let next = filter.fence().is_some_and(|fence| fence.starts_with(prefix));
        Ok(next || filter::may_hold(&filter, beginning))
    }

    /// Verifies every page.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        for kind in [Kind::Block, Kind::Filter] {
            let (mut key, mut place) = (Some(self.meta.first.clone()), 0);
            while let Some(first) = key {
                let bytes = self.shelf.get(&page_key(kind, self.meta.id, &first))?;
                let bytes = bytes.ok_or_else(|| wrong("is missing"))?;
                let page = Page::open(bytes, kind, self.meta.id)?;
                if page.place() != place {
                    return Err(wrong("is out of place"));
                }
                place += 1;
                key = page.fence().map(<[u8]>::to_vec);
            }
        }
        Ok(())
    }

    /// The filter for a key that is not less than the first.
    fn filter(&self, key: &[u8]) -> Result<Page, IndexError> {
        let page = Page::open(self.page(Kind::Filter, key)?, Kind::Filter, self.meta.id)?;
        page.must_cover(key)?;
        Ok(page)
    }

    /// The block for a key that is not less than the first.
    fn block(&self, key: &[u8]) -> Result<Block, IndexError> {
        let block = Block::open(self.page(Kind::Block, key)?, self.meta.id)?;
        block.page().must_cover(key)?;
        Ok(block)
    }

    fn page(&self, kind: Kind, key: &[u8]) -> Result<Slice, IndexError> {
        let id = self.meta.id;
        self.shelf
            .at_or_before(&page_key(kind, id, b""), &page_key(kind, id, key))?
            .ok_or_else(|| wrong("is missing"))
    }
}

/// A way through a run.
pub(super) struct RunCursor {
    run: Arc<Run>,
    at: Option<BlockCursor>,
}

impl RunCursor {
    /// At the first key that is not less than `from`.
    pub(super) fn seek(run: &Arc<Run>, from: &[u8]) -> Result<Self, IndexError> {
        let mut cursor = Self { run: Arc::clone(run), at: None };
        if from <= run.meta.last.as_slice() {
            let from = from.max(&run.meta.first);
            cursor.at = Some(BlockCursor::seek(run.block(from)?, from)?);
            cursor.enter_next_block()?;
        }
        Ok(cursor)
    }

    /// Past the end of a block comes the one that its fence names.
    fn enter_next_block(&mut self) -> Result<(), IndexError> {
        let Some(at) = &self.at else { return Ok(()) };
        if at.entry().is_some() {
            return Ok(());
        }
        let page = at.block().page();
        let Some(fence) = page.fence() else {
            self.at = None;
            return Ok(());
        };
        let id = self.run.meta.id;
        let bytes = self.run.shelf.get(&page_key(Kind::Block, id, fence))?;
        let next = Block::open(bytes.ok_or_else(|| wrong("is missing"))?, id)?;
        if next.page().place() != page.place() + 1 {
            return Err(wrong("is out of place"));
        }
        self.at = Some(BlockCursor::seek(next, fence)?);
        Ok(())
    }
}

impl Source for RunCursor {
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.at.as_ref().and_then(BlockCursor::entry)
    }

    fn advance(&mut self) -> Result<(), IndexError> {
        if let Some(at) = &mut self.at {
            at.advance()?;
        }
        self.enter_next_block()
    }
}

/// A run in the making. Until the manifest names it, its pages are nobody's.
pub(super) struct RunWriter {
    shelf: Shelf,
    meta: RunMeta,
    block: Stretch<BlockBuilder>,
    filter: Stretch<FilterBuilder>,
}

/// The page being filled: its builder, the key it begins with, its place.
#[derive(Default)]
struct Stretch<Builder> {
    builder: Builder,
    first: Vec<u8>,
    place: u32,
}

impl<Builder> Stretch<Builder> {
    fn begin(&mut self, first: &[u8]) {
        self.first.clear();
        self.first.extend_from_slice(first);
        self.place += 1;
    }
}

impl RunWriter {
    pub(super) fn new(shelf: &Shelf) -> Result<Self, IndexError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| IndexError::Damaged(error.to_string()))?;
        let id = u64::from_le_bytes(id);
        Ok(Self {
            shelf: shelf.clone(),
            meta: RunMeta { id, first: Vec::new(), last: Vec::new(), keys: 0, bytes: 0 },
            block: Stretch::default(),
            filter: Stretch::default(),
        })
    }

    /// Takes the next key, greater than the one before. True when a page went to the shelf.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, IndexError> {
        let mut written = false;
        if self.meta.keys == 0 {
            self.meta.first = key.to_vec();
            self.block.first = key.to_vec();
            self.filter.first = key.to_vec();
        }
        if self.block.builder.bytes() >= INDEX_BLOCK_BYTES {
            self.put_block(Some(key))?;
            self.block.begin(key);
            written = true;
        }
        if self.filter.builder.is_full() {
            self.put_filter(Some(key))?;
            self.filter.begin(key);
        }
        self.block.builder.push(key, value);
        self.filter.builder.push(key);
        self.meta.keys += 1;
        self.meta.last.clear();
        self.meta.last.extend_from_slice(key);
        Ok(written)
    }

    /// Puts what is left on the shelf. `None` if there was no key at all.
    pub(super) fn finish(mut self) -> Result<Option<RunMeta>, IndexError> {
        if self.meta.keys == 0 {
            return Ok(None);
        }
        self.put_block(None)?;
        self.put_filter(None)?;
        Ok(Some(self.meta))
    }

    fn put_block(&mut self, fence: Option<&[u8]>) -> Result<(), IndexError> {
        let page = self.block.builder.finish(self.meta.id, self.block.place, fence);
        self.meta.bytes += page.len() as u64;
        self.shelf.put(&page_key(Kind::Block, self.meta.id, &self.block.first), page)
    }

    fn put_filter(&mut self, fence: Option<&[u8]>) -> Result<(), IndexError> {
        let page = self.filter.builder.finish(self.meta.id, self.filter.place, fence);
        self.meta.bytes += page.len() as u64;
        self.shelf.put(&page_key(Kind::Filter, self.meta.id, &self.filter.first), page)
    }
}
