//! Writes a run: its pages in the order in which they lie in the file.
//!
//! Holds: I5. Knows: limits.

use std::path::Path;

use super::{
    IndexError,
    block::BlockBuilder,
    file::NewRunFile,
    page::{self, Kind, Pointer},
    run::{Foot, RunMeta},
    section::SectionBuilder,
};
use crate::limits::{INDEX_BLOCK_BYTES, INDEX_TOP_BYTES};

/// A run in the making. Until the manifest names it, it is nobody's; dropped unfinished, it goes.
pub(super) struct RunWriter {
    file: NewRunFile,
    meta: RunMeta,
    block: BlockBuilder,
    block_first: Vec<u8>,
    section: SectionBuilder,
    section_first: Vec<u8>,
    /// The first key of each section and where it is: about a thousandth of the run.
    sections: Vec<(Vec<u8>, Pointer)>,
}

impl RunWriter {
    pub(super) fn new(folder: &Path) -> Result<Self, IndexError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| IndexError::Damaged(error.to_string()))?;
        let id = u64::from_le_bytes(id);
        Ok(Self {
            file: NewRunFile::create(folder, id)?,
            meta: RunMeta { id, first: Vec::new(), last: Vec::new(), keys: 0, bytes: 0 },
            block: BlockBuilder::default(),
            block_first: Vec::new(),
            section: SectionBuilder::default(),
            section_first: Vec::new(),
            sections: Vec::new(),
        })
    }

    /// Takes the next key, greater than the one before. True when a block was written.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, IndexError> {
        let full = self.block.bytes() >= INDEX_BLOCK_BYTES;
        if full {
            self.put_block()?;
            if self.section.is_full() {
                self.put_section(Some(key))?;
            }
        }
        if self.meta.keys == 0 {
            self.meta.first = key.to_vec();
        }
        if self.block.is_empty() {
            replace(&mut self.block_first, key);
            if self.section.is_empty() {
                replace(&mut self.section_first, key);
            }
        }
        self.block.push(key, value);
        self.section.push(key);
        self.meta.keys += 1;
        replace(&mut self.meta.last, key);
        Ok(full)
    }

    /// Writes what is left; the run is then on the disk. `None` if there was no key at all.
    pub(super) fn finish(mut self) -> Result<Option<RunMeta>, IndexError> {
        if self.meta.keys == 0 {
            return Ok(None);
        }
        self.put_block()?;
        self.put_section(None)?;
        let tree_at = self.file.length();
        let top = self.put_tree()?;
        self.put(Kind::Foot, &Foot { top, tree_at }.encode())?;
        self.meta.bytes = self.file.length();
        self.file.finish()?;
        Ok(Some(self.meta))
    }

    fn put_block(&mut self) -> Result<(), IndexError> {
        let content = self.block.finish();
        let pointer = self.put(Kind::Block, &content)?;
        self.section.push_block(&self.block_first, pointer);
        Ok(())
    }

    fn put_section(&mut self, fence: Option<&[u8]>) -> Result<(), IndexError> {
        let content = self.section.finish(fence);
        let pointer = self.put(Kind::Section, &content)?;
        self.sections.push((std::mem::take(&mut self.section_first), pointer));
        Ok(())
    }

    /// Level upon level, until one is small enough to be kept in memory whole.
    fn put_tree(&mut self) -> Result<Pointer, IndexError> {
        let mut level = std::mem::take(&mut self.sections);
        loop {
            let entry_bytes = |key: &[u8]| key.len() + size_of::<Pointer>();
            let bytes: usize = level.iter().map(|(key, _)| entry_bytes(key)).sum();
            if bytes <= INDEX_TOP_BYTES {
                return self.put_tree_page(&level);
            }
            let mut above = Vec::new();
            let mut rest = level.as_slice();
            while let Some((first, _)) = rest.first() {
                let mut bytes = 0;
                let fits = |(key, _): &&(Vec<u8>, Pointer)| {
                    bytes += entry_bytes(key);
                    bytes <= INDEX_BLOCK_BYTES
                };
                let count = rest.iter().take_while(fits).count().max(1);
                let (page, others) = rest.split_at(count);
                above.push((first.clone(), self.put_tree_page(page)?));
                rest = others;
            }
            level = above;
        }
    }

    fn put_tree_page(&mut self, entries: &[(Vec<u8>, Pointer)]) -> Result<Pointer, IndexError> {
        let mut builder = BlockBuilder::default();
        for (key, pointer) in entries {
            builder.push(key, Some(&pointer.encode()));
        }
        self.put(Kind::Tree, &builder.finish())
    }

    fn put(&mut self, kind: Kind, content: &[u8]) -> Result<Pointer, IndexError> {
        let at = self.file.length();
        let page = page::seal(kind, self.meta.id, at, content);
        self.file.append(&page)?;
        Ok(Pointer { at, length: page.len() as u32 })
    }
}

fn replace(key: &mut Vec<u8>, with: &[u8]) {
    key.clear();
    key.extend_from_slice(with);
}
