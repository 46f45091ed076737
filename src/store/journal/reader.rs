//! Reading the journal, beside the writer or without one.
//!
//! Takes locations or a range of entry numbers; gives records whose checksums were verified. Goes
//! no further than the published size it is given, so that it never sees a batch half written.
//! Holds: I3. Knows: files, disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::Location;
use super::error::{Damage, Fault, JournalError, broken};
use super::frame::{
    ENTRY_FRAME_BYTES_MAX, Stored, TRAILER_FRAME_BYTES_MAX, Trailer, TrailerFrame, decode_entry,
    part,
};
use super::marks::{self, Published};
use super::recovery::must_join;
use super::segment::{self, LedgerId, Segment, path_of};
use super::walk::{Batch, Step, Walker};
use crate::store::disk::Dir;

/// How many segments a reader keeps open.
const OPEN_SEGMENTS_MAX: usize = 16;

/// Reads the journal. Cheap to clone; clones share their open files.
#[derive(Clone, Debug)]
pub struct JournalReader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: Dir,
    ledger_id: LedgerId,
    /// Least recently used first.
    open: Mutex<VecDeque<Arc<Segment>>>,
}

/// What a scan comes upon, in the order of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// The end of a batch.
    Batch {
        /// What closes it.
        trailer: Trailer,
        /// Where the trailer lies.
        location: Location,
    },
    /// An entry.
    Entry {
        /// Its number.
        index: u64,
        /// Where it lies.
        location: Location,
        /// What it holds.
        record: Stored,
    },
}

impl JournalReader {
    pub(super) fn new(dir: impl Into<Dir>, ledger_id: LedgerId) -> JournalReader {
        JournalReader {
            inner: Arc::new(Inner {
                dir: dir.into(),
                ledger_id,
                open: Mutex::new(VecDeque::new()),
            }),
        }
    }

    /// Opens the journal in `dir` for reading only, whether an exchange is running on it or not.
    /// Changes nothing; what recovery would cut stays where it is, beyond the published size.
    ///
    /// # Errors
    /// [`JournalError::NotThere`], or [`JournalError::Damaged`] if the first segment's header or
    /// the published size cannot be read.
    pub fn open_read_only(dir: impl Into<Dir>) -> Result<JournalReader, JournalError> {
        let dir = &dir.into();
        if segment::names(dir)?.is_empty() {
            return Err(JournalError::NotThere(dir.path().to_owned()));
        }
        let first = Segment::open(dir, 0)?;
        let reader = JournalReader::new(dir, first.header.ledger_id);
        reader.published()?;
        Ok(reader)
    }

    /// The identity in each of the journal's files.
    pub fn ledger_id(&self) -> LedgerId {
        self.inner.ledger_id
    }

    /// The published size as it stands on disk now: how far a reader may go.
    pub fn published(&self) -> Result<Published, JournalError> {
        marks::read_published(&self.inner.dir, &self.inner.ledger_id).map(|read| read.newest)
    }

    /// Reads one entry.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if what lies there is not a whole entry (of its detail, see
    /// [`super::Detail`]); the damage then names the number that the frame bears.
    pub fn read(&self, location: Location) -> Result<Stored, JournalError> {
        let frame = self.frame(location, ENTRY_FRAME_BYTES_MAX)?;
        decode_entry(&frame).map_err(|fault| self.damage(location, &frame, fault))
    }

    /// Reads one trailer.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if what lies there is not a whole trailer.
    pub fn read_trailer(&self, location: Location) -> Result<Trailer, JournalError> {
        let frame = self.frame(location, TRAILER_FRAME_BYTES_MAX)?;
        TrailerFrame::decode(&frame)
            .map(|decoded| decoded.trailer)
            .map_err(|fault| self.damage(location, &frame, fault))
    }

    /// All entries from `from_entry` on and below `to_size`, and the batches that end there. It
    /// reads whole batches, one in memory at a time, from the beginning of the segment that holds
    /// `from_entry`, and ends at the first error.
    ///
    /// `to_size` must be no more than the published size. A journal that ends before it is damaged.
    pub fn scan(&self, from_entry: u64, to_size: u64) -> Scan {
        Scan {
            reader: self.clone(),
            from: from_entry,
            to: to_size,
            walker: None,
            batch: None,
            done: from_entry >= to_size,
        }
    }

    /// The bytes of an entry that was verified but for its detail.
    pub(super) fn entry_frame(&self, location: Location) -> Result<Vec<u8>, JournalError> {
        let frame = self.frame(location, ENTRY_FRAME_BYTES_MAX)?;
        match decode_entry(&frame) {
            Ok(_) => Ok(frame),
            Err(fault) => Err(self.damage(location, &frame, fault)),
        }
    }

    fn frame(&self, location: Location, bytes_max: usize) -> Result<Vec<u8>, JournalError> {
        let segment = self.segment(location.segment)?;
        let length = location.length as usize;
        let end = location.offset.checked_add(u64::from(location.length));
        if length > bytes_max || end.is_none_or(|end| end > segment.header.length) {
            return Err(self.damage(location, &[], Fault::OutOfBounds));
        }
        let mut frame = vec![0; length];
        segment
            .file
            .read_exact_at(&mut frame, location.offset)
            .map_err(broken("read", &segment.path))?;
        Ok(frame)
    }

    fn damage(&self, location: Location, frame: &[u8], fault: Fault) -> JournalError {
        let bears_number = frame.len() >= 16;
        let entry =
            if bears_number { u64::from_le_bytes(part(frame, 8)) } else { location.segment };
        let path = path_of(&self.inner.dir, location.segment);
        Damage::new(&path, location.offset, entry, fault).into()
    }

    fn segment(&self, first: u64) -> Result<Arc<Segment>, JournalError> {
        // A panic elsewhere cannot leave the list half changed in a way that matters.
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|segment| segment.header.first == first);
        let segment = match at.and_then(|at| open.remove(at)) {
            Some(segment) => segment,
            None => Arc::new(self.open_segment(first)?),
        };
        open.push_back(Arc::clone(&segment));
        if open.len() > OPEN_SEGMENTS_MAX {
            open.pop_front();
        }
        Ok(segment)
    }

    fn open_segment(&self, first: u64) -> Result<Segment, JournalError> {
        let segment = Segment::open(&self.inner.dir, first)?;
        if segment.header.ledger_id == self.inner.ledger_id {
            Ok(segment)
        } else {
            Err(Damage::new(&segment.path, 0, first, Fault::WrongLedger).into())
        }
    }
}

/// See [`JournalReader::scan`].
pub struct Scan {
    reader: JournalReader,
    from: u64,
    to: u64,
    walker: Option<Walker>,
    /// The batch being given out, and how many of its entries were.
    batch: Option<(Batch, usize)>,
    done: bool,
}

impl Iterator for Scan {
    type Item = Result<Scanned, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.advance() {
                Ok(None) => {}
                Ok(Some(scanned)) => return Some(Ok(scanned)),
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Scan {
    /// One step; `None` where it gave nothing to show.
    fn advance(&mut self) -> Result<Option<Scanned>, JournalError> {
        let walker = match &mut self.walker {
            Some(walker) => walker,
            none => none.insert(Walker::new(start(&self.reader, self.from)?)),
        };
        let segment = walker.segment().header.first;
        if let Some((batch, given)) = &mut self.batch
            && let Some(placed) = batch.entries.get(*given)
        {
            *given += 1;
            self.done = placed.number >= self.to;
            if self.done || placed.number < self.from {
                return Ok(None);
            }
            let record = decode_entry(walker.frame(placed)).map_err(|fault| {
                let path = &walker.segment().path;
                Damage::new(path, placed.offset, placed.number, fault)
            })?;
            return Ok(Some(Scanned::Entry {
                index: placed.number,
                location: placed.location(segment),
                record,
            }));
        }
        if let Some((batch, _)) = self.batch.take() {
            self.done = batch.trailer.size() >= self.to;
            let shown = self.from < batch.trailer.size() && batch.trailer.size() <= self.to;
            return Ok(shown.then(|| Scanned::Batch {
                location: batch.trailer_location(segment),
                trailer: batch.trailer,
            }));
        }
        match walker.step()? {
            Step::Batch(batch) => self.batch = Some((batch, 0)),
            Step::Bad(damage) => return Err(damage.into()),
            Step::End(_) => self.walker = Some(next_segment(&self.reader, walker)?),
        }
        Ok(None)
    }
}

/// The segment that holds entry `from`, or would.
fn start(reader: &JournalReader, from: u64) -> Result<Arc<Segment>, JournalError> {
    let dir = &reader.inner.dir;
    let firsts = segment::list(dir)?;
    match firsts.iter().rev().find(|&&first| first <= from) {
        Some(&first) => reader.segment(first),
        None => Err(Damage::new(&path_of(dir, 0), 0, 0, Fault::MissingSegment).into()),
    }
}

fn next_segment(reader: &JournalReader, walker: &Walker) -> Result<Walker, JournalError> {
    let ended = walker.segment();
    let next = walker.next_entry();
    let path = path_of(&reader.inner.dir, next);
    if next == ended.header.first || !reader.inner.dir.disk().exists(&path) {
        return Err(Damage::new(&ended.path, walker.offset(), next, Fault::Missing).into());
    }
    let segment = reader.segment(next)?;
    must_join(&reader.inner.dir, Some(ended.header.first), &segment)?;
    Ok(Walker::new(segment))
}
