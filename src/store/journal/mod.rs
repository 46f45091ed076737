//! The journal: the truth of the ledger, in append-only segment files.
//!
//! Takes batches of records with the root and checkpoint that follow them; gives their places on
//! disk once they are durable, and the records back. One writer ([`Journal`]), any number of
//! readers ([`JournalReader`]). Synchronous; no clock and no chance: the ledger's id and the label
//! of what recovery keeps aside are passed in.
//!
//! Each call of [`Journal::append`] is one write and one `fdatasync` of one batch: its entry
//! frames, then a trailer. A batch lies in one segment. It assumes of the disk only that a sector
//! is written whole or not at all.
//!
//! In the journal's folder:
//!
//! ```text
//! 00000000000000000000.seg   segments, named by their first entry's number
//! published                  the size that readers may go to, and its root
//! clean-stop                 left by an orderly close, gone while the journal is open
//! spare.tmp                  the next segment, being zero-filled
//! cut-<label>-<size>         an unfinished batch that recovery cut and kept
//! ```
//!
//! Holds: I1, I3, I9, I10. Knows: limits, files, disk.

mod error;
mod frame;
mod fsck;
mod marks;
mod mend;
mod reader;
mod recovery;
mod segment;
mod spare;
mod walk;
mod writer;

#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod fsck_tests;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod writer_tests;

pub use error::{Damage, Fault, JournalError, Source};
pub use frame::{
    Detail, DetailState, ENTRY_FRAME_BYTES_MAX, LEAF_BYTES, OPENING_BYTES, Record, Stored, Trailer,
};
pub use fsck::{Exchange, Report, fsck};
pub use marks::Published;
pub use reader::{JournalReader, Scan, Scanned};
pub use recovery::{Cut, Doubtful, Evidence, Recovery};
pub use segment::LedgerId;
pub use spare::Spare;
pub use writer::{Appended, Journal, Room};

use crate::limits::SEGMENT_BYTES;

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The number of the first entry of the segment.
    pub segment: u64,
    /// The frame's offset in the segment file, in bytes.
    pub offset: u64,
    /// The frame's length in bytes.
    pub length: u32,
}

/// What may be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The length of new segments in bytes; existing ones keep theirs. A segment too short for a
    /// whole batch refuses that batch.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { segment_bytes: SEGMENT_BYTES }
    }
}
