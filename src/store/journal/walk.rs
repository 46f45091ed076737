//! Walking a segment batch by batch, and finding frames after a damaged place.
//!
//! Takes a segment and the entry number to expect; gives whole batches, the end, or the first place
//! that is wrong. Holds one batch in memory and reads no length before it is known to be in bounds.
//! Nothing here decides what damage means: recovery, readers and fsck do.
//! Knows: limits, files.

use std::io;
use std::sync::Arc;

use super::Location;
use super::error::{Damage, Fault, JournalError, broken};
use super::frame::{
    DetailState, ENTRY_HEAD_BYTES, EntryHead, KIND_BYTES, KIND_PREFIX, Kind, TRAILER_HEAD_BYTES,
    Trailer, TrailerFrame, batch_crc,
};
use super::segment::{HEADER_BYTES, Segment};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use crate::store::files::CHUNK_BYTES;

/// Where an entry lies within a batch, and how its detail looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) detail: DetailState,
}

impl Placed {
    pub(super) fn location(&self, segment: u64) -> Location {
        Location { segment, offset: self.offset, length: self.length }
    }
}

/// A batch whose checksums all match, details apart.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) start: u64,
    pub(super) entries: Vec<Placed>,
    pub(super) trailer: Trailer,
    pub(super) trailer_offset: u64,
    pub(super) trailer_length: u32,
}

impl Batch {
    /// Whether every detail is as it was written.
    pub(super) fn is_pristine(&self) -> bool {
        self.doubtful().next().is_none()
    }

    pub(super) fn trailer_location(&self, segment: u64) -> Location {
        Location { segment, offset: self.trailer_offset, length: self.trailer_length }
    }

    /// The entries whose detail is zeroed or damaged.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = &Placed> {
        doubtful(&self.entries)
    }
}

/// The entries whose detail is zeroed or damaged.
pub(super) fn doubtful(entries: &[Placed]) -> impl Iterator<Item = &Placed> {
    entries.iter().filter(|placed| placed.detail != DetailState::Present)
}

/// What the walker came upon.
#[derive(Debug)]
pub(super) enum Step {
    Batch(Batch),
    /// No frame begins at this offset. Whether zeros follow is for the caller to look.
    End(u64),
    /// Something is wrong; the walk cannot go on by itself.
    Bad(Damage),
}

enum Halt {
    Io(io::Error),
    Fault(Fault),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Halt {
        Halt::Io(error)
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Fault(fault)
    }
}

/// Walks one segment from its first batch, or from a given place.
pub(super) struct Walker {
    segment: Arc<Segment>,
    /// Where the next frame begins, and the entry number expected there.
    at: u64,
    next: u64,
    /// The same where the current batch began: the end of the last whole one.
    batch_start: u64,
    batch_first: u64,
    /// Set where the walk began within a batch, whose checksum then cannot be verified.
    resumed: bool,
    /// The entries of the current batch so far.
    entries: Vec<Placed>,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Walker {
    pub(super) fn new(segment: Arc<Segment>) -> Walker {
        let next = segment.header.first;
        Walker::at(segment, HEADER_BYTES, next, false)
    }

    /// Goes on within a damaged batch, at a frame that [`find_frame`] found.
    pub(super) fn resume(segment: Arc<Segment>, found: &Found) -> Walker {
        Walker::at(segment, found.offset, found.next, true)
    }

    fn at(segment: Arc<Segment>, at: u64, next: u64, resumed: bool) -> Walker {
        Walker {
            segment,
            at,
            next,
            batch_start: at,
            batch_first: next,
            resumed,
            entries: Vec::new(),
            buffer: Vec::new(),
            buffer_at: at,
        }
    }

    /// The entry number expected next.
    pub(super) fn next_entry(&self) -> u64 {
        self.next
    }

    /// After a bad step: the entries of the same batch that came before it.
    pub(super) fn seen(&self) -> &[Placed] {
        &self.entries
    }

    /// The entry number after the last whole batch.
    pub(super) fn batch_first(&self) -> u64 {
        self.batch_first
    }

    /// The offset after the last whole batch.
    pub(super) fn batch_start(&self) -> u64 {
        self.batch_start
    }

    /// Where the next frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The frame of an entry of the batch that [`Walker::step`] gave last.
    pub(super) fn frame(&self, placed: &Placed) -> &[u8] {
        let from = (placed.offset - self.buffer_at) as usize;
        &self.buffer[from..from + placed.length as usize]
    }

    /// The next batch, the end, or the first wrong place.
    pub(super) fn step(&mut self) -> Result<Step, JournalError> {
        // Not after every batch: small batches would move the same bytes over and over.
        let consumed = (self.at - self.buffer_at) as usize;
        if consumed >= CHUNK_BYTES {
            self.buffer.drain(..consumed);
            self.buffer_at = self.at;
        }
        self.entries.clear();
        (self.batch_start, self.batch_first) = (self.at, self.next);
        match self.batch() {
            Ok(Some(batch)) => Ok(Step::Batch(batch)),
            Ok(None) => Ok(Step::End(self.at)),
            Err(Halt::Io(error)) => Err(broken("read", &self.segment.path)(error)),
            Err(Halt::Fault(fault)) => {
                Ok(Step::Bad(Damage::new(&self.segment.path, self.at, self.next, fault)))
            }
        }
    }

    fn batch(&mut self) -> Result<Option<Batch>, Halt> {
        let start = self.at;
        let first = self.next;
        let mut kept_crc = 0;
        loop {
            let left = self.segment.header.length.saturating_sub(self.at);
            let kind = match left.min(KIND_BYTES as u64) as usize {
                0 => Kind::End,
                few => Kind::of(self.bytes(self.at, few)?),
            };
            match kind {
                Kind::End if self.entries.is_empty() && !self.resumed => return Ok(None),
                Kind::End => return Err(Fault::NoTrailer.into()),
                Kind::Unknown => return Err(Fault::UnknownKind.into()),
                Kind::Entry => {
                    let in_bounds = self.entries.len() < BATCH_ENTRIES_MAX
                        && self.at - start <= BATCH_BYTES_MAX as u64;
                    if !in_bounds {
                        return Err(Fault::OutOfBounds.into());
                    }
                    let placed = self.entry(&mut kept_crc)?;
                    self.entries.push(placed);
                }
                Kind::Trailer => return self.trailer(start, first, kept_crc).map(Some),
            }
        }
    }

    fn entry(&mut self, kept_crc: &mut u32) -> Result<Placed, Halt> {
        let (at, number) = (self.at, self.next);
        let head = self.bytes(at, ENTRY_HEAD_BYTES)?;
        let head = EntryHead::parse(head.first_chunk().ok_or(Fault::OutOfBounds)?)?;
        let kept = self.bytes(at, head.kept_bytes())?;
        head.verify(kept)?;
        *kept_crc = crc32c::crc32c_append(*kept_crc, kept);
        if head.number != number {
            return Err(Fault::Number { found: head.number }.into());
        }
        let frame = self.bytes(at, head.frame_bytes())?;
        let placed = Placed {
            number,
            offset: at,
            length: frame.len() as u32,
            detail: head.detail_state(frame),
        };
        self.at += u64::from(placed.length);
        self.next += 1;
        Ok(placed)
    }

    fn trailer(&mut self, start: u64, first: u64, kept_crc: u32) -> Result<Batch, Halt> {
        let at = self.at;
        let head = self.bytes(at, TRAILER_HEAD_BYTES)?;
        let length = TrailerFrame::frame_bytes(head.first_chunk().ok_or(Fault::OutOfBounds)?)?;
        let bytes = self.bytes(at, length)?;
        let frame = TrailerFrame::decode(bytes)?;
        let crc = batch_crc(kept_crc, bytes);
        let end_fits = frame.trailer.size() == self.next;
        let begin_fits = frame.trailer.first == first
            && frame.trailer.count as usize == self.entries.len()
            && frame.entry_bytes as u64 == at - start;
        if !end_fits || (!begin_fits && !self.resumed) {
            return Err(Fault::BatchShape.into());
        }
        if !self.resumed && crc != frame.batch_crc {
            return Err(Fault::Batch.into());
        }
        self.resumed = false;
        self.at += length as u64;
        Ok(Batch {
            start,
            entries: std::mem::take(&mut self.entries),
            trailer: frame.trailer,
            trailer_offset: at,
            trailer_length: length as u32,
        })
    }

    /// The bytes of the file at `at`, read ahead. `at` lies in the current batch.
    fn bytes(&mut self, at: u64, length: usize) -> Result<&[u8], Halt> {
        let end = self.segment.header.length;
        if at + length as u64 > end {
            return Err(Fault::OutOfBounds.into());
        }
        let from = (at - self.buffer_at) as usize;
        let have = self.buffer.len();
        if from + length > have {
            let room = end - self.buffer_at;
            let want = ((from + length).next_multiple_of(CHUNK_BYTES) as u64).min(room) as usize;
            self.buffer.resize(want, 0);
            let missing = &mut self.buffer[have..];
            self.segment.file.read_exact_at(missing, self.buffer_at + have as u64)?;
        }
        Ok(&self.buffer[from..from + length])
    }
}

/// A frame found by searching: a whole trailer, or an entry whose kept part is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) offset: u64,
    /// The entry's number; for a trailer the number that follows its batch.
    pub(super) next: u64,
    /// For a trailer, the first number of its batch.
    pub(super) batch_first: Option<u64>,
}

/// The first frame at or after `from` that `wanted` accepts, whatever lies in between.
pub(super) fn find_frame(
    segment: &Segment,
    from: u64,
    mut wanted: impl FnMut(&Found) -> bool,
) -> Result<Option<Found>, JournalError> {
    let end = segment.header.length;
    let mut window = vec![0; CHUNK_BYTES];
    let mut at = from;
    let read = |bytes: &mut [u8], at| {
        segment.file.read_exact_at(bytes, at).map_err(broken("read", &segment.path))
    };
    while at + (KIND_BYTES as u64) <= end {
        let length = (end - at).min(CHUNK_BYTES as u64) as usize;
        read(&mut window[..length], at)?;
        for (i, bytes) in window[..length].windows(KIND_BYTES).enumerate() {
            if bytes.starts_with(&KIND_PREFIX)
                && let Some(found) = frame_at(segment, at + i as u64)?
                && wanted(&found)
            {
                return Ok(Some(found));
            }
        }
        // The last bytes of a window may be the beginning of a kind.
        at += (length - (KIND_BYTES - 1)) as u64;
    }
    Ok(None)
}

fn frame_at(segment: &Segment, offset: u64) -> Result<Option<Found>, JournalError> {
    let read = |length: usize| -> Result<Option<Vec<u8>>, JournalError> {
        if offset + length as u64 > segment.header.length {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        let done = segment.file.read_exact_at(&mut bytes, offset);
        done.map_err(broken("read", &segment.path))?;
        Ok(Some(bytes))
    };
    let Some(head) = read(ENTRY_HEAD_BYTES)? else {
        return Ok(None);
    };
    if Kind::of(&head) == Kind::Entry {
        let Some(Ok(head)) = head.first_chunk().map(EntryHead::parse) else {
            return Ok(None);
        };
        let Some(kept) = read(head.kept_bytes())? else {
            return Ok(None);
        };
        return Ok(head.verify(&kept).ok().map(|()| Found {
            offset,
            next: head.number,
            batch_first: None,
        }));
    }
    let Some(head) = read(TRAILER_HEAD_BYTES)? else {
        return Ok(None);
    };
    let Some(Ok(length)) = head.first_chunk().map(TrailerFrame::frame_bytes) else {
        return Ok(None);
    };
    let Some(frame) = read(length)? else {
        return Ok(None);
    };
    Ok(TrailerFrame::decode(&frame).ok().map(|frame| Found {
        offset,
        next: frame.trailer.size(),
        batch_first: Some(frame.trailer.first),
    }))
}
