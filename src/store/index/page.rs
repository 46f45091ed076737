//! A page: what a run's file is made of. A block of keys, a section of blocks, a part of the tree
//! above the sections, or the foot.
//!
//! ```text
//! 0 checksum 4 (CRC32C of the rest) · 4 content length 4 · 8 kind 1 · 9 run 8 · 17 at 8
//! 25 content
//! ```
//!
//! *At* is where in the file the page begins. A file is written once, and whoever asks for a page
//! knows where it is: so one that was lost, harmed or put elsewhere is noticed.
//!
//! Holds: I5. Knows: nothing.

use super::IndexError;

/// What comes before the content, in bytes.
pub(super) const HEAD_BYTES: usize = 25;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Keys and values.
    Block = b'b',
    /// Where everything is.
    Foot = b'f',
    /// A filter, and where the blocks before it are.
    Section = b's',
    /// Where sections, or other parts of the tree, are.
    Tree = b't',
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Block, Self::Foot, Self::Section, Self::Tree]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A page whose checksum was verified.
#[derive(Debug)]
pub(super) struct Page {
    bytes: Vec<u8>,
    kind: Kind,
}

/// The bytes of a page.
pub(super) fn seal(kind: Kind, run: u64, at: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.push(kind as u8);
    bytes.extend_from_slice(&run.to_le_bytes());
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.extend_from_slice(content);
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// How long the page is that begins so, if that can be told; nothing is verified.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    let content = head.get(4..)?.first_chunk()?;
    (u32::from_le_bytes(*content) as usize).checked_add(HEAD_BYTES)
}

impl Page {
    /// Verifies that this is the whole page of this run that begins there.
    pub(super) fn open(bytes: Vec<u8>, run: u64, at: u64) -> Result<Self, IndexError> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or_else(|| wrong("is cut short"))?;
        let [c0, c1, c2, c3, _, _, _, _, kind, place @ ..] = *head;
        if u32::from_le_bytes([c0, c1, c2, c3]) != crc32c::crc32c(&bytes[4..]) {
            return Err(wrong("is not what was written"));
        }
        if length(&bytes) != Some(bytes.len()) {
            return Err(wrong("is cut short"));
        }
        let [r0, r1, r2, r3, r4, r5, r6, r7, a0, a1, a2, a3, a4, a5, a6, a7] = place;
        if u64::from_le_bytes([r0, r1, r2, r3, r4, r5, r6, r7]) != run {
            return Err(wrong("is another run's"));
        }
        if u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]) != at {
            return Err(wrong("is out of place"));
        }
        let kind = Kind::of(kind).ok_or_else(|| wrong("is of no known kind"))?;
        Ok(Self { bytes, kind })
    }

    /// What it holds.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The page, if it is of this kind.
    pub(super) fn must_be(self, kind: Kind) -> Result<Self, IndexError> {
        match self.kind == kind {
            true => Ok(self),
            false => Err(wrong("is of another kind")),
        }
    }

    /// How long it is, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that it holds.
    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[HEAD_BYTES..]
    }
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) at: u64,
    pub(super) length: u32,
}

impl Pointer {
    /// As a value.
    pub(super) fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.at.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let (at, rest) = bytes.split_first_chunk().ok_or_else(|| wrong("does not add up"))?;
        let length = <[u8; 4]>::try_from(rest).map_err(|_| wrong("does not add up"))?;
        Ok(Self { at: u64::from_le_bytes(*at), length: u32::from_le_bytes(length) })
    }
}

/// A page that is not as it should be.
pub(super) fn wrong(how: &str) -> IndexError {
    IndexError::Damaged(format!("a page of it {how}"))
}
