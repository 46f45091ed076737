//! A sorted run: keys in order, in a file of its own. Written once, never changed, removed whole.
//!
//! ```text
//! blocks · section · blocks · section · …   tree   foot
//! ```
//!
//! The foot says where the top of the tree is, which is kept in memory; the tree, where the
//! sections are; a section, whether a key may be there and where the blocks are. Every page is
//! verified each time it is read.
//!
//! Holds: I5. Knows: limits.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    IndexError,
    block::{Block, BlockCursor},
    file::RunFile,
    merge::Source,
    page::{self, HEAD_BYTES, Kind, Page, Pointer, wrong},
    section::Section,
    ways::{Way, Ways},
};
use crate::limits::{INDEX_BLOCK_BYTES, INDEX_READ_BYTES};

/// What the manifest says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunMeta {
    /// Drawn at random, so that no leftover is taken for another run.
    pub(super) id: u64,
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
    /// Removals included.
    pub(super) keys: u64,
    /// Of its file.
    pub(super) bytes: u64,
}

/// The last page of a run: where the top of the tree is, and where the tree begins.
pub(super) struct Foot {
    pub(super) top: Pointer,
    pub(super) tree_at: u64,
}

impl Foot {
    const CONTENT_BYTES: usize = 20;
    const BYTES: usize = HEAD_BYTES + Self::CONTENT_BYTES;

    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.top.encode()[..], &self.tree_at.to_le_bytes()].concat()
    }

    fn decode(content: &[u8]) -> Result<Self, IndexError> {
        let (top, tree_at) = content.split_last_chunk().ok_or_else(|| wrong("does not add up"))?;
        Ok(Self { top: Pointer::decode(top)?, tree_at: u64::from_le_bytes(*tree_at) })
    }
}

/// A run that readers may use.
pub(super) struct Run {
    pub(super) meta: RunMeta,
    file: RunFile,
    ways: Arc<Ways>,
    /// The part of the tree that all look-ups begin at.
    top: Block,
    /// Where blocks and sections end.
    tree_at: u64,
    /// Where the foot is.
    foot_at: u64,
}

impl Run {
    /// Opens a run, reading its foot and the top of its tree.
    pub(super) fn open(folder: &Path, meta: RunMeta, ways: &Arc<Ways>) -> Result<Self, IndexError> {
        let file = RunFile::open(folder, meta.id)?;
        let foot_at = meta.bytes.checked_sub(Foot::BYTES as u64);
        let foot_at = foot_at.ok_or_else(|| wrong("is missing"))?;
        if file.length()? != meta.bytes {
            return Err(wrong("is missing"));
        }
        let foot = Page::open(file.read(foot_at, Foot::BYTES)?, meta.id, foot_at)?;
        let Foot { top, tree_at } = Foot::decode(foot.must_be(Kind::Foot)?.content())?;
        if tree_at > top.at || top.at.checked_add(top.length.into()) != Some(foot_at) {
            return Err(wrong("does not add up"));
        }
        let bytes = file.read(top.at, top.length as usize)?;
        let top = Block::within(Page::open(bytes, meta.id, top.at)?.must_be(Kind::Tree)?, 0)?;
        Ok(Self { meta, file, ways: Arc::clone(ways), top, tree_at, foot_at })
    }

    /// What the run says of a key: nothing, that it is removed, or its value.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Option<Vec<u8>>>, IndexError> {
        if key < self.meta.first.as_slice() || key > self.meta.last.as_slice() {
            return Ok(None);
        }
        let block = self.section(key, |section| match section.may_hold(key) {
            true => section.block(key).map(Some),
            false => Ok(None),
        })?;
        match block {
            Some(block) => self.block(block)?.find(key),
            None => Ok(None),
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
        self.section(prefix, |section| Ok(section.may_begin(prefix)))
    }

    /// Verifies every page.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        let mut pages = Pages::new(0, self.foot_at);
        while pages.next(self)?.is_some() {}
        Ok(())
    }

    /// Asks the section for a key that is not less than the first.
    fn section<T>(
        &self,
        key: &[u8],
        ask: impl FnOnce(&Section) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut pointer = self.top.pointer(key)?;
        loop {
            let way = self.ways.get(self.meta.id, pointer.at, || self.way(pointer))?;
            let below = match &*way {
                Way::Section(section) => return ask(section),
                Way::Tree(part) => part.pointer(key)?,
            };
            // What a part of the tree names was written before it: the way down ends.
            if below.at >= pointer.at {
                return Err(wrong("is out of place"));
            }
            pointer = below;
        }
    }

    fn way(&self, pointer: Pointer) -> Result<Way, IndexError> {
        let page = self.page(pointer)?;
        match page.kind() {
            Kind::Section => Section::open(page).map(Way::Section),
            _ => Block::within(page.must_be(Kind::Tree)?, 0).map(Way::Tree),
        }
    }

    /// How many parts of the tree a look-up goes through.
    #[cfg(test)]
    pub(super) fn levels(&self) -> usize {
        let mut pointer = self.top.pointer(&self.meta.first).unwrap();
        let mut levels = 1;
        while let Ok(part) = self.page(pointer).unwrap().must_be(Kind::Tree) {
            pointer = Block::within(part, 0).unwrap().pointer(&self.meta.first).unwrap();
            levels += 1;
        }
        levels
    }

    fn block(&self, pointer: Pointer) -> Result<Block, IndexError> {
        Block::within(self.page(pointer)?.must_be(Kind::Block)?, 0)
    }

    fn page(&self, Pointer { at, length }: Pointer) -> Result<Page, IndexError> {
        if at.checked_add(length.into()).is_none_or(|end| end > self.foot_at) {
            return Err(wrong("is out of place"));
        }
        Page::open(self.file.read(at, length as usize)?, self.meta.id, at)
    }
}

/// The pages of a stretch of a run, one after the other. Reads more at once the longer it goes on.
struct Pages {
    next: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    read_bytes: usize,
}

impl Pages {
    fn new(from: u64, end: u64) -> Self {
        let read_bytes = 2 * INDEX_BLOCK_BYTES;
        Self { next: from, end, window: Vec::new(), window_at: from, read_bytes }
    }

    fn next(&mut self, run: &Run) -> Result<Option<Page>, IndexError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let head = self.bytes(run, HEAD_BYTES)?;
        let length = page::length(head).ok_or_else(|| wrong("is cut short"))?;
        let page = Page::open(self.bytes(run, length)?.to_vec(), run.meta.id, self.next)?;
        self.next += length as u64;
        Ok(Some(page))
    }

    /// So many bytes of what comes next.
    fn bytes(&mut self, run: &Run, length: usize) -> Result<&[u8], IndexError> {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        if length > left {
            return Err(wrong("is cut short"));
        }
        let mut from = (self.next - self.window_at) as usize;
        if from + length > self.window.len() {
            self.window = run.file.read(self.next, self.read_bytes.max(length).min(left))?;
            self.window_at = self.next;
            self.read_bytes = (2 * self.read_bytes).min(INDEX_READ_BYTES);
            from = 0;
        }
        Ok(&self.window[from..from + length])
    }
}

/// A way through a run.
pub(super) struct RunCursor {
    run: Arc<Run>,
    pages: Pages,
    at: Option<BlockCursor>,
}

impl RunCursor {
    /// At the first key that is not less than `from`.
    pub(super) fn seek(run: &Arc<Run>, from: &[u8]) -> Result<Self, IndexError> {
        let mut cursor = Self { run: Arc::clone(run), pages: Pages::new(0, 0), at: None };
        if from <= run.meta.last.as_slice() {
            let from = from.max(&run.meta.first);
            let pointer = run.section(from, |section| section.block(from))?;
            cursor.at = Some(BlockCursor::seek(run.block(pointer)?, from)?);
            cursor.pages = Pages::new(pointer.at + u64::from(pointer.length), run.tree_at);
            cursor.enter_next_block()?;
        }
        Ok(cursor)
    }

    /// Past the end of a block comes the next one, sections left out.
    fn enter_next_block(&mut self) -> Result<(), IndexError> {
        while self.at.as_ref().is_some_and(|at| at.entry().is_none()) {
            let Some(page) = self.pages.next(&self.run)? else {
                self.at = None;
                break;
            };
            if page.kind() != Kind::Section {
                let block = Block::within(page.must_be(Kind::Block)?, 0)?;
                self.at = Some(BlockCursor::seek(block, b"")?);
            }
        }
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
