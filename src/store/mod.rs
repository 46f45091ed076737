//! The storage contract, and the engine that keeps it: the journal for the truth,
//! the index for fast questions.
//!
//! The contract, for this engine and any later one: [`Store::commit`] appends a
//! batch of entries in one total order, durable on return, and gives one
//! [`Committed`] each; [`Store::record`] reads one back. A detail can be
//! overwritten; leaf and facts never. Nothing else is asked of an engine: who is
//! owed what is the fold's to say.
//!
//! Holds: I1, I3, I9. Knows: limits.

pub mod disk;
pub mod files;
pub mod index;
pub mod journal;
pub mod lock;
#[cfg(test)]
pub(crate) mod simulated;

pub use index::{Changes, Index, IndexError, Key, Overlay, View, Watermark};
pub use journal::{Journal, JournalError, JournalReader, Location, Record, Spare};

use crate::limits;

/// A batch that was not committed, or whose index changes were not applied.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written.
    #[error("the batch was not written: {}", with_causes(.0))]
    NotWritten(JournalError),
    /// It may or may not be on disk. Stop; recovery reads the truth.
    #[error("it is unknown whether the batch is on disk: {}", with_causes(.0))]
    Unknown(JournalError),
    /// It is on disk, but the index is not to be used any more.
    #[error("the batch is durable, but {0}")]
    Index(#[from] IndexError),
}

/// An error and what caused it, in one line for a trace: without what the system said, nobody
/// could tell a full disk from a broken one.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// One entry that is on stable storage. Made by [`Store::commit`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    entry: u64,
}

impl Committed {
    /// Its number.
    pub fn entry(self) -> u64 {
        self.entry
    }
}

/// A batch ready to be committed.
pub struct Batch<'a> {
    /// The number of its first entry.
    pub first: u64,
    /// Its entries, in order.
    pub records: &'a [Record],
    /// The root of the tree with it.
    pub root: [u8; 32],
    /// The checkpoint of that tree, signed.
    pub checkpoint: &'a [u8],
}

/// The journal and the index, written by the committer alone.
pub struct Store {
    journal: Journal,
    index: Index,
}

impl Store {
    /// Takes both, already recovered.
    pub fn new(journal: Journal, index: Index) -> Self {
        Self { journal, index }
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Puts a batch on stable storage with one write and one `fdatasync`, then
    /// applies `changes`, which `place` completes with where the journal put each
    /// entry and the batch's trailer.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`]: as if never called. [`StoreError::Unknown`]: the
    /// journal takes nothing more. [`StoreError::Index`]: committed all the same.
    pub fn commit(
        &mut self,
        batch: &Batch<'_>,
        place: impl FnOnce(&[Location], Location) -> (Changes, Watermark),
    ) -> Result<Vec<Committed>, StoreError> {
        // Judged with an index that could not be read, the batch may say a thing twice.
        self.index.must_be_whole()?;
        // Before anything is on the disk, and before readers wait for the two to agree.
        self.index.make_room()?;
        let appended =
            self.journal.append(batch.records, batch.root, batch.checkpoint).map_err(|error| {
                match error {
                    JournalError::OutOfBounds { .. } | JournalError::NoRoom { .. } => {
                        StoreError::NotWritten(error)
                    }
                    _ => StoreError::Unknown(error),
                }
            })?;
        let (changes, watermark) = place(&appended.locations, appended.trailer);
        self.index.apply(changes, &watermark)?;
        // Evidence for recovery, not part of durability: a failure is not the batch's.
        if let Err(error) = self.journal.published(watermark.size, batch.root) {
            let error = with_causes(&error);
            tracing::warn!(error, "the published size could not be noted");
        }
        let numbers = batch.first..batch.first + batch.records.len() as u64;
        Ok(numbers.map(|entry| Committed { entry }).collect())
    }

    /// Whether the disk is so full that what is left must be kept for steps of
    /// deliveries under way: the next segment could not be made, and this one is
    /// nearly full. Asking tries to make it again.
    pub fn is_low(&mut self) -> bool {
        let room = self.journal.room();
        room.spare == Spare::Failed && room.in_segment < limits::RESERVE_BYTES
    }

    /// Closes in order: a later start needs no recovery.
    ///
    /// # Errors
    /// If the clean-stop mark cannot be made durable.
    pub fn close(self) -> Result<(), JournalError> {
        self.index.flush();
        self.journal.close_clean()
    }
}
