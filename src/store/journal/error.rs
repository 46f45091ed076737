//! What can go wrong with the journal, and where exactly it did.
//!
//! Knows: nothing.

use std::io;
use std::path::{Path, PathBuf};

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is already a journal in this folder; open it instead.
    #[error("there is already a journal in {}", .0.display())]
    AlreadyThere(PathBuf),
    /// The bytes on disk are not what was written. Nothing was modified.
    #[error(transparent)]
    Damaged(#[from] Box<Damage>),
    /// The system refused an operation; nothing of the batch reached the journal.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The batch needs a new segment and the disk has no room for one. Nothing was written and the
    /// journal still works; try again when there is room.
    #[error("no room for a new segment in {}", .dir.display())]
    NoRoom {
        /// The journal's folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no journal in this folder.
    #[error("there is no journal in {}", .0.display())]
    NotThere(PathBuf),
    /// A bound was broken by the caller; nothing was written.
    #[error("{what} is {given}, allowed is {allowed}")]
    OutOfBounds {
        /// What was out of bounds.
        what: &'static str,
        /// What was given.
        given: u64,
        /// The nearest allowed value.
        allowed: u64,
    },
    /// A write or a sync failed after bytes may have reached the file: the batch may be durable or
    /// not. Only opening the journal again can tell. The journal is poisoned.
    #[error("the outcome of the write is unknown: {}", .path.display())]
    OutcomeUnknown {
        /// The segment written to.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An earlier call failed in a way that leaves the disk's state unknown. Open the journal again.
    #[error("the journal has stopped after an earlier failure; open it again")]
    Poisoned,
    /// The entry lies in the last batch, where recovery could not tell an erasure from a torn
    /// write. It can be erased once a later batch (that with the erasure's own entry) is durable.
    #[error("an entry of the last batch cannot be erased yet")]
    TooYoungToErase,
}

/// One damaged place: which file, which byte, which entry, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} at byte {offset}, entry {entry}: {fault}", .file.display())]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// Where in the file the damaged frame, header or run of bytes begins.
    pub offset: u64,
    /// The number of the entry that is, or should be, at that place. For a trailer: the number that
    /// follows its batch. For a whole segment: its first entry.
    pub entry: u64,
    /// What is wrong.
    pub fault: Fault,
}

impl Damage {
    pub(super) fn new(file: &Path, offset: u64, entry: u64, fault: Fault) -> Damage {
        Damage { file: file.to_owned(), offset, entry, fault }
    }
}

impl From<Damage> for JournalError {
    fn from(damage: Damage) -> JournalError {
        JournalError::Damaged(Box::new(damage))
    }
}

/// What is wrong at a damaged place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not whole, though another source says that it was acknowledged.
    #[error("{by} names {named} entries, but: {what}")]
    Acknowledged {
        /// Who says so.
        by: Source,
        /// How many entries that source names.
        named: u64,
        /// What is wrong in the journal itself.
        what: Box<Fault>,
    },
    /// The whole-batch checksum fails although every frame is good by itself.
    #[error("the checksum of the whole batch does not match")]
    Batch,
    /// The trailer does not describe the entries before it.
    #[error("the trailer does not describe the entries before it")]
    BatchShape,
    /// The segments do not join: numbers or names skip or overlap.
    #[error("the segments do not join: expected entry {expected} here")]
    Gap {
        /// The entry number that should come next.
        expected: u64,
    },
    /// Header, leaf or facts of an entry.
    #[error("the checksum of header, leaf and facts does not match")]
    Head,
    /// A detail that is neither whole nor zeroed.
    #[error("the checksum of the detail does not match")]
    Detail,
    /// A zeroed detail that no later entry erases.
    #[error("the detail is zeroed, and no later entry erases it")]
    DetailZeroed,
    /// The published-size file or the clean-stop mark is unreadable.
    #[error("the mark is unreadable")]
    Mark,
    /// A mark contradicts the ledger (root, or a size that no batch ends at).
    #[error("the mark contradicts the batches")]
    MarkContradicts,
    /// The journal ends before this entry.
    #[error("the journal ends here")]
    Missing,
    /// A segment file is not there.
    #[error("the segment is missing")]
    MissingSegment,
    /// A batch that breaks off before its trailer.
    #[error("the batch has no trailer")]
    NoTrailer,
    /// Bytes after the written part that are not zero.
    #[error("there are bytes after the written part")]
    NotZero,
    /// A frame with another number than its place.
    #[error("the frame bears the number {found}")]
    Number {
        /// The number it bears.
        found: u64,
    },
    /// A length in a frame header beyond its bound or beyond the segment.
    #[error("a length is out of bounds")]
    OutOfBounds,
    /// A segment header with a bad checksum.
    #[error("the checksum of the segment header does not match")]
    SegmentHeader,
    /// A segment file shorter or longer than its header says.
    #[error("the segment is {found} bytes long, not {expected}")]
    SegmentLength {
        /// Its length.
        found: u64,
        /// The length it should have.
        expected: u64,
    },
    /// A file that does not belong in the journal's folder.
    #[error("the file does not belong here")]
    StrayFile,
    /// An unfinished last batch that nothing acknowledged; opening cuts it and keeps it aside.
    #[error("an unfinished batch that nothing acknowledged ({0}); opening keeps it aside")]
    Torn(Box<Fault>),
    /// The trailer's own checksum.
    #[error("the checksum of the trailer does not match")]
    Trailer,
    /// Neither an entry nor a trailer nor the end.
    #[error("no frame begins here")]
    UnknownKind,
    /// A format version that this program does not know.
    #[error("the format version {0} is unknown")]
    UnknownVersion(u8),
    /// The file belongs to another ledger.
    #[error("the file belongs to another ledger")]
    WrongLedger,
    /// The segment's header names another first entry than the file's name.
    #[error("the header says that the segment begins with entry {found}")]
    WrongName {
        /// What the header names.
        found: u64,
    },
}

/// Who named a size, when the journal holds less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The mark left by an orderly close.
    CleanStop,
    /// The index: the last entry it applied.
    IndexWatermark,
    /// The published-size file.
    PublishedSize,
    /// A witness's cosigned checkpoint.
    Witness,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::CleanStop => "the clean-stop mark",
            Source::IndexWatermark => "the index",
            Source::PublishedSize => "the published size",
            Source::Witness => "a witness",
        })
    }
}

/// Turns an `io::Error` into [`JournalError::Io`] with what was being done.
pub(super) fn broken(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { doing, path, source }
}
