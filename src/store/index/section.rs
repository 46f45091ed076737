//! A section: some tens of blocks that lie before it, and a filter for all their keys. One page
//! says whether a key may be there, and in which block.
//!
//! ```text
//! content  filter length 4 · fence length 2 · filter · fence · first key of each block → where
//! ```
//!
//! The *fence* is the key that the next section begins with (length 65,535: there is none). What
//! comes last is packed as a block is.
//!
//! Holds: I5. Knows: limits.

use std::ops::Range;

use super::{
    IndexError,
    block::{Block, BlockBuilder},
    filter::{self, BEGINNING_BYTES, FilterBuilder},
    page::{Kind, Page, Pointer, wrong},
};
use crate::limits::INDEX_BLOCK_BYTES;

const HEAD_BYTES: usize = 6;
const NO_FENCE: u16 = u16::MAX;

/// A section in the making.
#[derive(Default)]
pub(super) struct SectionBuilder {
    filter: FilterBuilder,
    blocks: BlockBuilder,
}

impl SectionBuilder {
    /// Takes the next key of a block of it.
    pub(super) fn push(&mut self, key: &[u8]) {
        self.filter.push(key);
    }

    /// Takes a block whose keys were pushed.
    pub(super) fn push_block(&mut self, first: &[u8], block: Pointer) {
        self.blocks.push(first, Some(&block.encode()));
    }

    /// Whether the next block belongs in another.
    pub(super) fn is_full(&self) -> bool {
        self.filter.is_full() || self.blocks.bytes() >= INDEX_BLOCK_BYTES
    }

    /// Whether it has no block.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The content; the builder is empty again.
    pub(super) fn finish(&mut self, fence: Option<&[u8]>) -> Vec<u8> {
        let filter = self.filter.finish();
        // Keys are shorter: `super::Index::apply` refuses others.
        let length = fence.map_or(NO_FENCE, |fence| u16::try_from(fence.len()).unwrap_or(NO_FENCE));
        let mut content = (filter.len() as u32).to_le_bytes().to_vec();
        content.extend_from_slice(&length.to_le_bytes());
        content.extend_from_slice(&filter);
        content.extend_from_slice(fence.unwrap_or_default());
        content.extend_from_slice(&self.blocks.finish());
        content
    }
}

/// A section that was verified.
pub(super) struct Section {
    blocks: Block,
    filter: Range<usize>,
    fence: Option<Range<usize>>,
}

impl Section {
    pub(super) fn open(page: Page) -> Result<Self, IndexError> {
        let page = page.must_be(Kind::Section)?;
        let content = page.content();
        let head: &[u8; HEAD_BYTES] = content.first_chunk().ok_or_else(|| wrong("is cut short"))?;
        let [l0, l1, l2, l3, f0, f1] = *head;
        let filter_end = HEAD_BYTES.saturating_add(u32::from_le_bytes([l0, l1, l2, l3]) as usize);
        let length = u16::from_le_bytes([f0, f1]);
        let fence = (length != NO_FENCE)
            .then(|| filter_end..filter_end.saturating_add(usize::from(length)));
        let blocks_at = fence.as_ref().map_or(filter_end, |fence| fence.end);
        if blocks_at > content.len() {
            return Err(wrong("is cut short"));
        }
        let blocks = Block::within(page, blocks_at)?;
        Ok(Self { blocks, filter: HEAD_BYTES..filter_end, fence })
    }

    /// Whether it may hold a key; false is certain.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        filter::may_hold(&self.blocks.page().content()[self.filter.clone()], key)
    }

    /// Whether it, or the next one, may hold keys that begin so, none of them before it; false
    /// is certain.
    pub(super) fn may_begin(&self, prefix: &[u8]) -> bool {
        let fence = || self.fence.clone().map(|fence| &self.blocks.page().content()[fence]);
        match prefix.get(..BEGINNING_BYTES) {
            None => true,
            Some(beginning) => {
                self.may_hold(beginning) || fence().is_some_and(|fence| fence.starts_with(prefix))
            }
        }
    }

    /// The page that it is.
    pub(super) fn page(&self) -> &Page {
        self.blocks.page()
    }

    /// Where the block is that would have a key.
    pub(super) fn block(&self, key: &[u8]) -> Result<Pointer, IndexError> {
        self.blocks.pointer(key)
    }
}
