//! Brings an index up to a journal: every entry folded, every batch's root checked on
//! the way.
//!
//! Two threads: `ahead.rs` reads and opens what comes next, while this one folds.
//!
//! Holds: I4, I5. Knows: store, ledger, proto.

use std::thread;

use super::{
    OpenError,
    ahead::{Ahead, Opened, read_ahead},
};
use crate::{
    broker::{
        projection,
        records::{self, Place},
        tree::Head,
    },
    ledger::{
        self,
        growth::{FullTile, Growth},
        merkle::{Hash, leaf_hash},
        tiles::{TileSource, decode_tile, encode_tile, tile_from_below},
    },
    store::{
        Index, JournalReader, Location, Overlay, View, Watermark,
        journal::{Stored, Trailer},
    },
};

/// Entries folded into the index at once while it is rebuilt: about what it keeps in memory, so
/// that it takes them as they are.
const REBUILD_ENTRIES: usize = 16_384;

/// An entry as the journal has it, found through the index.
pub(super) fn stored_at(
    index: &Index,
    reader: &JournalReader,
    entry: u64,
) -> Result<Stored, OpenError> {
    let place = records::place(index, entry).ok_or_else(|| OpenError::Diverged {
        entry,
        reason: "it has no place in the index".into(),
    })?;
    Ok(reader.read(place.entry())?)
}

/// The head of a ledger without entries.
pub(super) fn empty_head() -> Head {
    Head { growth: Growth::new(), checkpoint: Vec::new(), time: 0 }
}

/// Brings an index up to a journal.
pub(super) struct Fold<'a> {
    pub(super) index: &'a Index,
    pub(super) reader: &'a JournalReader,
    pub(super) ledger: [u8; 16],
}

/// Entries folded but not yet applied.
struct Pending<'a> {
    overlay: Overlay<'a>,
    places: Vec<(u64, Location)>,
    full: Vec<FullTile>,
    entries: usize,
}

impl<'a> Fold<'a> {
    /// Folds from a head up to `size`, checking every batch's root on the way.
    pub(super) fn follow(
        &self,
        head: Head,
        size: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Head, OpenError> {
        let from = head.growth.size();
        if from == size {
            progress(size, size);
            return Ok(head);
        }
        thread::scope(|scope| {
            let ahead = read_ahead(scope, self.reader, from, size)?;
            self.take(head, size, ahead, progress)
        })
    }

    fn take(
        &self,
        mut head: Head,
        size: u64,
        ahead: impl Iterator<Item = Result<Ahead, OpenError>>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Head, OpenError> {
        let mut pending = self.pending();
        for read in ahead {
            match read? {
                Ahead::Entry(opened) => self.entry(&opened, &mut head, &mut pending)?,
                Ahead::Batch(trailer, location) => {
                    self.batch(trailer, location, &mut head, &mut pending)?;
                    if pending.entries >= REBUILD_ENTRIES {
                        self.apply(&head, std::mem::replace(&mut pending, self.pending()))?;
                        progress(head.growth.size(), size);
                    }
                }
            }
        }
        if pending.entries > 0 {
            self.apply(&head, pending)?;
        }
        progress(head.growth.size(), size);
        match head.growth.size() == size {
            true => Ok(head),
            false => Err(OpenError::Diverged {
                entry: head.growth.size(),
                reason: format!("the journal should hold {size} entries"),
            }),
        }
    }

    fn pending(&self) -> Pending<'a> {
        let overlay = Overlay::over(self.index);
        Pending { overlay, places: Vec::new(), full: Vec::new(), entries: 0 }
    }

    fn entry(
        &self,
        opened: &Opened,
        head: &mut Head,
        pending: &mut Pending<'a>,
    ) -> Result<(), OpenError> {
        let entry = opened.entry;
        let diverged = |reason: String| OpenError::Diverged { entry, reason };
        if entry != head.growth.size() {
            return Err(diverged(format!("expected entry {}", head.growth.size())));
        }
        let (overlay, facts) = (&mut pending.overlay, &opened.facts);
        let effect = projection::judge(overlay, entry, opened.time, facts)
            .map_err(|refusal| diverged(format!("it does not follow: {refusal}")))?;
        projection::apply(overlay, entry, opened.time, facts, effect);
        head.growth.push(opened.leaf, &mut pending.full);
        head.time = opened.time;
        pending.places.push((entry, opened.location));
        pending.entries += 1;
        Ok(())
    }

    fn batch(
        &self,
        trailer: Trailer,
        location: Location,
        head: &mut Head,
        pending: &mut Pending<'a>,
    ) -> Result<(), OpenError> {
        if *head.growth.root().as_bytes() != trailer.root {
            let reason = "the tree has another root than the batch says".to_owned();
            return Err(OpenError::Diverged { entry: head.growth.size(), reason });
        }
        for (entry, at) in pending.places.drain(..) {
            if let Some(meta) = pending.overlay.changed(&records::entry_key(entry)) {
                Place::new(at, location).follow(meta);
            }
        }
        head.checkpoint = trailer.checkpoint;
        Ok(())
    }

    fn apply(&self, head: &Head, mut pending: Pending<'a>) -> Result<(), OpenError> {
        for tile in &pending.full {
            let key = records::tile_key(tile.level, tile.index);
            pending.overlay.put(key, encode_tile(&tile.hashes));
        }
        let watermark = Watermark {
            ledger: self.ledger,
            size: head.growth.size(),
            root: *head.growth.root().as_bytes(),
            frontier: head.growth.frontier().to_bytes(),
            time: head.time,
        };
        self.index.apply(pending.overlay.into_changes(), &watermark)?;
        Ok(self.index.make_room()?)
    }

    /// The head that an index stands at, from its tiles and the last leaves.
    pub(super) fn head_at(&self, mark: &Watermark) -> Result<Head, OpenError> {
        let diverged = |reason: String| OpenError::Diverged { entry: mark.size, reason };
        let growth = Growth::restore(self, mark.size, &Hash::from_bytes(mark.root))
            .map_err(|error| diverged(error.to_string()))?;
        let last = records::place(self.index, mark.size - 1)
            .ok_or_else(|| diverged("its last entry has no place".into()))?;
        let trailer = self.reader.read_trailer(last.trailer())?;
        Ok(Head { growth, checkpoint: trailer.checkpoint, time: mark.time })
    }
}

impl TileSource for Fold<'_> {
    type Error = ledger::Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, ledger::Error> {
        if let Some(bytes) = self.index.value(&records::tile_key(level, index)) {
            let mut hashes = decode_tile(&bytes, ledger::tiles::TILE_WIDTH)?;
            hashes.truncate(usize::from(width));
            return Ok(hashes);
        }
        if level > 0 {
            return tile_from_below(self, level, index, width);
        }
        let first = index * u64::from(ledger::tiles::TILE_WIDTH);
        (first..first + u64::from(width))
            .map(|entry| {
                stored_at(self.index, self.reader, entry)
                    .map(|record| leaf_hash(&record.leaf))
                    .map_err(|_| ledger::Error::OutOfRange)
            })
            .collect()
    }
}
