//! A page: what one value on the shelf is. A block of keys, or a filter for many.
//!
//! ```text
//! 0 checksum 4 (CRC32C of the rest) · 4 kind 1 · 5 run 8 · 13 place 4 · 17 fence length 2
//! 19 fence · content
//! ```
//!
//! The *place* counts the pages of a run from 0. The *fence* is the key that the next page begins
//! with (length 65,535: there is none). So a page that was lost, changed or put elsewhere is
//! noticed by whoever comes from the one before it.
//!
//! Holds: I5. Knows: nothing.

use std::ops::Range;

use super::{IndexError, shelf::Slice};

const HEAD_BYTES: usize = 19;
const NO_FENCE: u16 = u16::MAX;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Keys and values.
    Block = b'b',
    /// A filter.
    Filter = b'f',
}

impl Kind {
    pub(super) fn byte(self) -> u8 {
        self as u8
    }
}

/// A page whose checksum was verified.
pub(super) struct Page {
    bytes: Slice,
    place: u32,
    fence: Option<Range<usize>>,
    content_at: usize,
}

/// The bytes of a page.
pub(super) fn seal(
    kind: Kind,
    run: u64,
    place: u32,
    fence: Option<&[u8]>,
    content: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + fence.map_or(0, <[u8]>::len) + content.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(kind.byte());
    bytes.extend_from_slice(&run.to_le_bytes());
    bytes.extend_from_slice(&place.to_le_bytes());
    // Keys are shorter: `super::Index::apply` refuses others.
    let length = fence.map_or(NO_FENCE, |fence| u16::try_from(fence.len()).unwrap_or(NO_FENCE));
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(fence.unwrap_or_default());
    bytes.extend_from_slice(content);
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

impl Page {
    /// Verifies that this is a whole page of this kind and run.
    pub(super) fn open(bytes: Slice, kind: Kind, run: u64) -> Result<Self, IndexError> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or_else(|| wrong("is cut short"))?;
        let [c0, c1, c2, c3, found, rest @ ..] = *head;
        if u32::from_le_bytes([c0, c1, c2, c3]) != crc32c::crc32c(&bytes[4..]) {
            return Err(wrong("is not what was written"));
        }
        let [r0, r1, r2, r3, r4, r5, r6, r7, p0, p1, p2, p3, f0, f1] = rest;
        if found != kind.byte() || u64::from_le_bytes([r0, r1, r2, r3, r4, r5, r6, r7]) != run {
            return Err(wrong("is another's"));
        }
        let length = u16::from_le_bytes([f0, f1]);
        let fence = (length != NO_FENCE).then(|| HEAD_BYTES..HEAD_BYTES + usize::from(length));
        let content_at = fence.as_ref().map_or(HEAD_BYTES, |fence| fence.end);
        if content_at > bytes.len() {
            return Err(wrong("is cut short"));
        }
        Ok(Self { place: u32::from_le_bytes([p0, p1, p2, p3]), fence, content_at, bytes })
    }

    /// How many pages of its kind come before it in the run.
    pub(super) fn place(&self) -> u32 {
        self.place
    }

    /// The key that the next page begins with.
    pub(super) fn fence(&self) -> Option<&[u8]> {
        self.fence.clone().map(|fence| &self.bytes[fence])
    }

    /// A key must lie before the fence: else the page that has it is missing.
    pub(super) fn must_cover(&self, key: &[u8]) -> Result<(), IndexError> {
        match self.fence().is_none_or(|fence| key < fence) {
            true => Ok(()),
            false => Err(wrong("is missing")),
        }
    }

    /// What it holds.
    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[self.content_at..]
    }
}

/// A page that is not as it should be.
pub(super) fn wrong(how: &str) -> IndexError {
    IndexError::Damaged(format!("a page of it {how}"))
}
