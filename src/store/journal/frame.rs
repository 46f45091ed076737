//! The frames of the journal: how one entry and one trailer lie on disk.
//!
//! All numbers little-endian, all checksums CRC32C (Castagnoli). Nothing is padded.
//!
//! ```text
//! entry    0 kind 4 · 4 version 1 · 5 zero 3 · 8 number 8 · 16 facts length 4 · 20 detail length 4
//!          24 detail checksum 4 · 28 head checksum 4 · 32 leaf 89 · facts opening 32 · facts
//!          detail opening 32 · detail
//! trailer  0 kind 4 · 4 version 1 · 5 zero 3 · 8 first 8 · 16 count 4 · 20 checkpoint length 4
//!          24 bytes of the batch's entries 4 · 28 root 32 · 60 batch checksum 4
//!          64 trailer checksum 4 · 68 checkpoint
//! ```
//!
//! The head checksum covers the frame up to the detail's opening, itself left out. The batch
//! checksum covers the same part of every entry and then the trailer up to itself and the
//! checkpoint; a detail is covered through its own checksum, which stands in the covered header.
//! So an erasure, which zeroes detail and opening, leaves every other checksum valid.
//! Holds: I3. Knows: limits.

use super::error::Fault;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, CHECKPOINT_BYTES_MAX, DETAIL_BYTES_MAX,
    LEAF_AND_FACTS_BYTES_MAX,
};

/// A leaf, in bytes.
pub const LEAF_BYTES: usize = 89;
/// An opening of a commitment, in bytes.
pub const OPENING_BYTES: usize = 32;
/// The longest entry frame, in bytes.
pub const ENTRY_FRAME_BYTES_MAX: usize =
    ENTRY_HEAD_BYTES + LEAF_AND_FACTS_BYTES_MAX + 2 * OPENING_BYTES + DETAIL_BYTES_MAX;

pub(super) const ENTRY_HEAD_BYTES: usize = 32;
pub(super) const TRAILER_HEAD_BYTES: usize = 68;
pub(super) const TRAILER_FRAME_BYTES_MAX: usize = TRAILER_HEAD_BYTES + CHECKPOINT_BYTES_MAX;
pub(super) const KIND_BYTES: usize = 4;
/// What both kinds begin with, so that one search finds either.
pub(super) const KIND_PREFIX: [u8; 3] = [0xCA, 0x19, 0xFA];
const ENTRY_KIND: [u8; 4] = [0xCA, 0x19, 0xFA, b'E'];
const TRAILER_KIND: [u8; 4] = [0xCA, 0x19, 0xFA, b'T'];
const FRAME_VERSION: u8 = 1;

const HEAD_CRC_AT: usize = 28;
const BATCH_CRC_AT: usize = 60;
const TRAILER_CRC_AT: usize = 64;

/// One entry as it is appended. Leaf and facts are for ever; the detail and its opening can be
/// erased later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What is Merkle-hashed and mirrored.
    pub leaf: [u8; LEAF_BYTES],
    /// Opens the leaf's commitment to the facts.
    pub facts_opening: [u8; OPENING_BYTES],
    /// At most `LEAF_AND_FACTS_BYTES_MAX` together with the leaf.
    pub facts: Vec<u8>,
    /// Opens the leaf's commitment to the detail.
    pub detail_opening: [u8; OPENING_BYTES],
    /// At most `DETAIL_BYTES_MAX`.
    pub detail: Vec<u8>,
}

impl Record {
    /// What this record takes in a batch, in bytes: what is counted against `BATCH_BYTES_MAX`.
    pub fn frame_bytes(&self) -> usize {
        ENTRY_HEAD_BYTES + LEAF_BYTES + 2 * OPENING_BYTES + self.facts.len() + self.detail.len()
    }
}

/// One entry as it is read back. Leaf and facts are what was written: their checksum was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The entry's number in the ledger, from 0.
    pub number: u64,
    /// See [`Record::leaf`].
    pub leaf: [u8; LEAF_BYTES],
    /// See [`Record::facts_opening`].
    pub facts_opening: [u8; OPENING_BYTES],
    /// See [`Record::facts`].
    pub facts: Vec<u8>,
    /// The detail, if it is still there.
    pub detail: Detail,
}

/// The erasable part of an entry, as found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// As it was written.
    Present {
        /// See [`Record::detail_opening`].
        opening: [u8; OPENING_BYTES],
        /// See [`Record::detail`].
        content: Vec<u8>,
    },
    /// All zeros. Valid only if a later entry erases this one; only the caller can know.
    Erased,
    /// Neither whole nor all zeros: damage, or an erasure that was interrupted.
    Damaged,
}

/// The state of a detail, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailState {
    /// See [`Detail::Present`].
    Present,
    /// See [`Detail::Erased`].
    Erased,
    /// See [`Detail::Damaged`].
    Damaged,
}

/// What closes a batch: which entries it holds, and the signed checkpoint after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The number of the batch's first entry.
    pub first: u64,
    /// How many entries, from 1.
    pub count: u32,
    /// The ledger's root after the batch.
    pub root: [u8; 32],
    /// The signed checkpoint, at most `CHECKPOINT_BYTES_MAX`.
    pub checkpoint: Vec<u8>,
}

impl Trailer {
    /// The ledger's size after the batch.
    pub fn size(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// What begins at a place where a frame may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Entry,
    Trailer,
    Unknown,
}

impl Kind {
    pub(super) fn of(bytes: &[u8]) -> Kind {
        if bytes.starts_with(&ENTRY_KIND) {
            Kind::Entry
        } else if bytes.starts_with(&TRAILER_KIND) {
            Kind::Trailer
        } else if bytes.iter().take(KIND_BYTES).all(|&b| b == 0) {
            Kind::End
        } else {
            Kind::Unknown
        }
    }
}

/// An entry frame's header, its lengths within bounds but its checksum not yet verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryHead {
    pub(super) number: u64,
    facts: usize,
    detail: usize,
    detail_crc: u32,
    head_crc: u32,
}

impl EntryHead {
    pub(super) fn parse(bytes: &[u8; ENTRY_HEAD_BYTES]) -> Result<EntryHead, Fault> {
        if bytes[4] != FRAME_VERSION {
            return Err(Fault::UnknownVersion(bytes[4]));
        }
        let head = EntryHead {
            number: u64::from_le_bytes(part(bytes, 8)),
            facts: u32::from_le_bytes(part(bytes, 16)) as usize,
            detail: u32::from_le_bytes(part(bytes, 20)) as usize,
            detail_crc: u32::from_le_bytes(part(bytes, 24)),
            head_crc: u32::from_le_bytes(part(bytes, HEAD_CRC_AT)),
        };
        let in_bounds =
            head.facts <= LEAF_AND_FACTS_BYTES_MAX - LEAF_BYTES && head.detail <= DETAIL_BYTES_MAX;
        if in_bounds { Ok(head) } else { Err(Fault::OutOfBounds) }
    }

    /// The part that is for ever: header, leaf, opening of the facts, facts.
    pub(super) fn kept_bytes(&self) -> usize {
        ENTRY_HEAD_BYTES + LEAF_BYTES + OPENING_BYTES + self.facts
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.kept_bytes() + OPENING_BYTES + self.detail
    }

    /// Verifies the kept part (its first `kept_bytes`).
    pub(super) fn verify(&self, kept: &[u8]) -> Result<(), Fault> {
        if matches(head_crc(kept), self.head_crc) { Ok(()) } else { Err(Fault::Head) }
    }

    /// Judges the erasable part of a whole frame.
    pub(super) fn detail_state(&self, frame: &[u8]) -> DetailState {
        let erasable = &frame[self.kept_bytes()..self.frame_bytes()];
        if crc32c::crc32c(erasable) == self.detail_crc {
            DetailState::Present
        } else if erasable.iter().all(|&b| b == 0) {
            DetailState::Erased
        } else {
            DetailState::Damaged
        }
    }
}

/// Appends an entry's frame to `out`; gives the length of its kept part. The record must be within
/// its bounds.
pub(super) fn encode_entry(out: &mut Vec<u8>, number: u64, record: &Record) -> usize {
    let start = out.len();
    let detail_crc = crc32c::crc32c_append(crc32c::crc32c(&record.detail_opening), &record.detail);
    out.extend_from_slice(&ENTRY_KIND);
    out.extend_from_slice(&[FRAME_VERSION, 0, 0, 0]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&(record.facts.len() as u32).to_le_bytes());
    out.extend_from_slice(&(record.detail.len() as u32).to_le_bytes());
    out.extend_from_slice(&detail_crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&record.leaf);
    out.extend_from_slice(&record.facts_opening);
    out.extend_from_slice(&record.facts);
    let kept = out.len() - start;
    let crc = head_crc(&out[start..]);
    out[start + HEAD_CRC_AT..start + ENTRY_HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&record.detail_opening);
    out.extend_from_slice(&record.detail);
    kept
}

/// Reads a whole entry frame back.
pub(super) fn decode_entry(frame: &[u8]) -> Result<Stored, Fault> {
    let head = EntryHead::parse(frame.first_chunk().ok_or(Fault::OutOfBounds)?)?;
    if Kind::of(frame) != Kind::Entry {
        return Err(Fault::UnknownKind);
    }
    if frame.len() != head.frame_bytes() {
        return Err(Fault::OutOfBounds);
    }
    let (kept, erasable) = frame.split_at(head.kept_bytes());
    head.verify(kept)?;
    let detail = match head.detail_state(frame) {
        DetailState::Present => Detail::Present {
            opening: part(erasable, 0),
            content: erasable[OPENING_BYTES..].to_vec(),
        },
        DetailState::Erased => Detail::Erased,
        DetailState::Damaged => Detail::Damaged,
    };
    Ok(Stored {
        number: head.number,
        leaf: part(kept, ENTRY_HEAD_BYTES),
        facts_opening: part(kept, ENTRY_HEAD_BYTES + LEAF_BYTES),
        facts: kept[ENTRY_HEAD_BYTES + LEAF_BYTES + OPENING_BYTES..].to_vec(),
        detail,
    })
}

/// A trailer frame that is good by itself; whether its batch is, the caller compares.
#[derive(Clone, Debug)]
pub(super) struct TrailerFrame {
    pub(super) trailer: Trailer,
    pub(super) entry_bytes: usize,
    pub(super) batch_crc: u32,
}

impl TrailerFrame {
    /// The whole frame's length, from a header whose checksum is not yet verified.
    pub(super) fn frame_bytes(head: &[u8; TRAILER_HEAD_BYTES]) -> Result<usize, Fault> {
        if head[4] != FRAME_VERSION {
            return Err(Fault::UnknownVersion(head[4]));
        }
        let checkpoint = u32::from_le_bytes(part(head, 20)) as usize;
        if checkpoint > CHECKPOINT_BYTES_MAX {
            return Err(Fault::OutOfBounds);
        }
        Ok(TRAILER_HEAD_BYTES + checkpoint)
    }

    /// Reads a whole trailer frame back and verifies its own checksum.
    pub(super) fn decode(frame: &[u8]) -> Result<TrailerFrame, Fault> {
        let head = frame.first_chunk().ok_or(Fault::OutOfBounds)?;
        if Kind::of(frame) != Kind::Trailer {
            return Err(Fault::UnknownKind);
        }
        if frame.len() != TrailerFrame::frame_bytes(head)? {
            return Err(Fault::OutOfBounds);
        }
        if !matches(trailer_crc(frame), u32::from_le_bytes(part(head, TRAILER_CRC_AT))) {
            return Err(Fault::Trailer);
        }
        let trailer = Trailer {
            first: u64::from_le_bytes(part(head, 8)),
            count: u32::from_le_bytes(part(head, 16)),
            root: part(head, 28),
            checkpoint: frame[TRAILER_HEAD_BYTES..].to_vec(),
        };
        let entry_bytes = u32::from_le_bytes(part(head, 24)) as usize;
        let in_bounds = (1..=BATCH_ENTRIES_MAX).contains(&(trailer.count as usize))
            && entry_bytes <= BATCH_BYTES_MAX
            && trailer.first.checked_add(u64::from(trailer.count)).is_some();
        if !in_bounds {
            return Err(Fault::OutOfBounds);
        }
        Ok(TrailerFrame {
            trailer,
            entry_bytes,
            batch_crc: u32::from_le_bytes(part(head, BATCH_CRC_AT)),
        })
    }
}

/// Appends the trailer's frame to `out`. `kept_crc` is the running checksum over the kept parts of
/// the batch's entries, `entry_bytes` their whole length.
pub(super) fn encode_trailer(
    out: &mut Vec<u8>,
    trailer: &Trailer,
    entry_bytes: usize,
    kept_crc: u32,
) {
    let start = out.len();
    out.extend_from_slice(&TRAILER_KIND);
    out.extend_from_slice(&[FRAME_VERSION, 0, 0, 0]);
    out.extend_from_slice(&trailer.first.to_le_bytes());
    out.extend_from_slice(&trailer.count.to_le_bytes());
    out.extend_from_slice(&(trailer.checkpoint.len() as u32).to_le_bytes());
    out.extend_from_slice(&(entry_bytes as u32).to_le_bytes());
    out.extend_from_slice(&trailer.root);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&trailer.checkpoint);
    let frame = &mut out[start..];
    let crc = batch_crc(kept_crc, frame);
    frame[BATCH_CRC_AT..TRAILER_CRC_AT].copy_from_slice(&crc.to_le_bytes());
    let crc = trailer_crc(frame);
    frame[TRAILER_CRC_AT..TRAILER_HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum over a batch: the kept parts of its entries, then the trailer but for its checksums.
pub(super) fn batch_crc(kept_crc: u32, trailer_frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(kept_crc, &trailer_frame[..BATCH_CRC_AT]);
    crc32c::crc32c_append(crc, &trailer_frame[TRAILER_HEAD_BYTES..])
}

/// Whether a checksum is the one that was written.
pub(super) fn matches(found: u32, written: u32) -> bool {
    #[cfg(test)]
    if crate::planted::is(crate::planted::Bug::CrcIgnored) {
        return true;
    }
    found == written
}

fn trailer_crc(frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&frame[..TRAILER_CRC_AT]);
    crc32c::crc32c_append(crc, &frame[TRAILER_HEAD_BYTES..])
}

fn head_crc(kept: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&kept[..HEAD_CRC_AT]);
    crc32c::crc32c_append(crc, &kept[ENTRY_HEAD_BYTES..])
}

/// The `N` bytes at `at`, which the caller knows to be there.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
