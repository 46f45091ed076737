//! Reads the journal ahead of the fold: a thread that scans, opens each leaf's facts and hashes
//! the leaf, so that what needs no order is done beside what does.
//!
//! Bounded: it is never more than a few chunks ahead, and ends when nobody listens.
//!
//! Holds: I4, I10. Knows: store, ledger, proto, limits.

use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread::{Builder, Scope},
};

use super::OpenError;
use crate::{
    ledger::{
        self,
        leaf::Leaf,
        merkle::{Hash, leaf_hash},
    },
    limits,
    proto::{self, Facts},
    store::{
        JournalReader, Location,
        journal::{Scanned, Stored, Trailer},
    },
};

/// What comes next in the ledger.
pub(super) enum Ahead {
    Batch(Trailer, Location),
    Entry(Box<Opened>),
}

/// An entry whose facts are those that its leaf commits to.
pub(super) struct Opened {
    pub(super) entry: u64,
    pub(super) location: Location,
    /// Unix nanoseconds.
    pub(super) time: u64,
    pub(super) facts: Facts,
    pub(super) leaf: Hash,
}

type Chunk = Vec<Result<Ahead, OpenError>>;

/// Everything from an entry on, below `size`, in order, up to the first error.
pub(super) fn read_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    reader: &'scope JournalReader,
    from: u64,
    size: u64,
) -> Result<impl Iterator<Item = Result<Ahead, OpenError>> + use<>, OpenError> {
    let (sender, chunks) = sync_channel(limits::READ_AHEAD_CHUNKS);
    Builder::new()
        .name("reading ahead".into())
        .spawn_scoped(scope, move || read(reader, from, size, &sender))?;
    Ok(chunks.into_iter().flatten())
}

fn read(reader: &JournalReader, from: u64, size: u64, to: &SyncSender<Chunk>) {
    let mut chunk = Chunk::new();
    for scanned in reader.scan(from, size) {
        let ahead = match scanned {
            Ok(Scanned::Entry { index, location, record }) => open(index, location, &record),
            Ok(Scanned::Batch { trailer, location }) => Ok(Ahead::Batch(trailer, location)),
            Err(error) => Err(error.into()),
        };
        chunk.push(ahead);
        if chunk.len() == limits::READ_AHEAD_ENTRIES && to.send(std::mem::take(&mut chunk)).is_err()
        {
            return; // the fold has ended early
        }
    }
    drop(to.send(chunk));
}

fn open(entry: u64, location: Location, record: &Stored) -> Result<Ahead, OpenError> {
    let diverged = |reason: String| OpenError::Diverged { entry, reason };
    let leaf = Leaf::decode(&record.leaf).map_err(|error| diverged(error.to_string()))?;
    if !ledger::leaf::opens(&leaf.facts, &record.facts, &record.facts_opening) {
        return Err(diverged("its facts are not those the leaf commits to".into()));
    }
    let facts = proto::decode(&record.facts).map_err(|error| diverged(error.to_string()))?;
    let (time, leaf) = (leaf.time_unix_ns, leaf_hash(&record.leaf));
    Ok(Ahead::Entry(Box::new(Opened { entry, location, time, facts, leaf })))
}
