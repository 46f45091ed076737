//! A block: keys in order with their values, packed.
//!
//! ```text
//! entry    shared · rest · value length + 1 (0: the key is removed) · rest of the key · value
//! content  entries · where each restart begins, 4 bytes · how many restarts, 4 bytes
//! ```
//!
//! Lengths are LEB128. A key shares its beginning with the one before it, but for every
//! sixteenth, a *restart*, so that a look-up unpacks few.
//!
//! Holds: I5. Knows: nothing.

use std::ops::Range;

use super::{
    IndexError,
    page::{Page, Pointer, wrong},
};

const RESTART_KEYS: u32 = 16;

/// A block in the making.
#[derive(Default)]
pub(super) struct BlockBuilder {
    content: Vec<u8>,
    restarts: Vec<u32>,
    last: Vec<u8>,
    keys: u32,
}

impl BlockBuilder {
    /// Takes the next key, greater than the one before.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let shared = match self.keys % RESTART_KEYS {
            0 => {
                self.restarts.push(self.content.len() as u32);
                0
            }
            _ => self.last.iter().zip(key).take_while(|(one, other)| one == other).count(),
        };
        let rest = &key[shared..];
        for length in [shared, rest.len(), value.map_or(0, |value| value.len() + 1)] {
            put_length(&mut self.content, length);
        }
        self.content.extend_from_slice(rest);
        self.content.extend_from_slice(value.unwrap_or_default());
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
        self.keys += 1;
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.content.len() + 4 * self.restarts.len()
    }

    /// Whether it has no key.
    pub(super) fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// The content; the builder is empty again.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        for restart in &self.restarts {
            self.content.extend_from_slice(&restart.to_le_bytes());
        }
        self.content.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.restarts.clear();
        self.last.clear();
        self.keys = 0;
        std::mem::take(&mut self.content)
    }
}

fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

/// A length, and where what follows it begins.
fn length_at(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut length = 0;
    for shift in (0..32).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        length |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some((length, at));
        }
    }
    None
}

/// One entry as it lies in the content.
struct Packed {
    shared: usize,
    rest: Range<usize>,
    /// Absent where the key is removed.
    value: Option<Range<usize>>,
    end: usize,
}

/// A block in a page that was verified.
pub(super) struct Block {
    page: Page,
    /// Where in the content of the page it begins.
    at: usize,
    entries_end: usize,
    restarts: usize,
}

impl Block {
    /// The block that begins there in the content of a page, and ends with it.
    pub(super) fn within(page: Page, at: usize) -> Result<Self, IndexError> {
        let content = page.content().get(at..).ok_or_else(|| wrong("is cut short"))?;
        let count = content.last_chunk().ok_or_else(|| wrong("is cut short"))?;
        let restarts = u32::from_le_bytes(*count) as usize;
        let entries_end = restarts
            .checked_mul(4)
            .and_then(|bytes| content.len().checked_sub(4 + bytes))
            .filter(|_| restarts > 0)
            .ok_or_else(|| wrong("is cut short"))?;
        Ok(Self { page, at, entries_end, restarts })
    }

    fn content(&self) -> &[u8] {
        &self.page.content()[self.at..]
    }

    /// The page it is.
    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    /// What the block says of a key: nothing, that it is removed, or its value.
    pub(super) fn find(self, key: &[u8]) -> Result<Option<Option<Vec<u8>>>, IndexError> {
        let cursor = BlockCursor::seek(self, key)?;
        Ok(match cursor.entry() {
            Some((found, value)) if found == key => Some(value.map(<[u8]>::to_vec)),
            _ => None,
        })
    }

    /// Where the page is that would have a key: what lies under the greatest key not beyond it.
    pub(super) fn pointer(&self, key: &[u8]) -> Result<Pointer, IndexError> {
        let mut at = self.restart_before(key)?;
        let (mut found, mut current) = (None, Vec::new());
        while at < self.entries_end {
            let packed = self.packed(at)?;
            current.truncate(packed.shared);
            current.extend_from_slice(&self.content()[packed.rest]);
            if current.as_slice() > key {
                break;
            }
            found = packed.value;
            at = packed.end;
        }
        let found = found.ok_or_else(|| wrong("is missing"))?;
        Pointer::decode(&self.content()[found])
    }

    fn packed(&self, at: usize) -> Result<Packed, IndexError> {
        let bytes = &self.content()[..self.entries_end];
        let read = || {
            let (shared, at) = length_at(bytes, at)?;
            let (rest, at) = length_at(bytes, at)?;
            let (value, at) = length_at(bytes, at)?;
            let rest = at..at.checked_add(rest)?;
            let end = rest.end.checked_add(value.saturating_sub(1))?;
            let value = (value > 0).then_some(rest.end..end);
            (end <= bytes.len()).then_some(Packed { shared, rest, value, end })
        };
        read().ok_or_else(|| wrong("does not add up"))
    }

    fn restart(&self, number: usize) -> usize {
        let at = self.entries_end + 4 * number;
        let offset = self.content().get(at..).and_then(<[u8]>::first_chunk);
        offset.map_or(self.entries_end, |offset| u32::from_le_bytes(*offset) as usize)
    }

    /// Where the last restart at or before a key begins, or the first.
    fn restart_before(&self, key: &[u8]) -> Result<usize, IndexError> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let packed = self.packed(self.restart(middle))?;
            match &self.content()[packed.rest] <= key {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(self.restart(low))
    }
}

/// A way through a block.
pub(super) struct BlockCursor {
    block: Block,
    key: Vec<u8>,
    value: Option<Range<usize>>,
    next: usize,
    ended: bool,
}

impl BlockCursor {
    /// At the first key that is not less than `key`.
    pub(super) fn seek(block: Block, key: &[u8]) -> Result<Self, IndexError> {
        let next = block.restart_before(key)?;
        let mut cursor = Self { block, key: Vec::new(), value: None, next, ended: false };
        cursor.advance()?;
        while !cursor.ended && cursor.key.as_slice() < key {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// Where it stands; `None` past the end.
    pub(super) fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let value = || self.value.clone().map(|value| &self.block.content()[value]);
        (!self.ended).then(|| (self.key.as_slice(), value()))
    }

    /// Goes on by one key.
    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        if self.next >= self.block.entries_end {
            self.ended = true;
            return Ok(());
        }
        let packed = self.block.packed(self.next)?;
        if packed.shared > self.key.len() {
            return Err(wrong("does not add up"));
        }
        self.key.truncate(packed.shared);
        self.key.extend_from_slice(&self.block.content()[packed.rest]);
        self.value = packed.value;
        self.next = packed.end;
        Ok(())
    }
}
