//! The one writer of the journal: append, roll, erase, close.
//!
//! Whatever fails while bytes may be half on disk poisons the writer: it never writes or syncs
//! again, since a second sync may answer "done" for pages that the first one lost. Opening the
//! journal anew reads the truth from the disk.
//! Holds: I1, I3, I9, I10. Knows: limits, files, disk.

use std::io;
use std::path::PathBuf;

use super::error::{JournalError, broken};
use super::frame::{EntryHead, Record, Trailer, encode_entry, encode_trailer};
use super::marks::{self, Published, PublishedFile};
use super::reader::JournalReader;
use super::recovery::{self, Evidence, Recovery};
use super::segment::{self, HEADER_BYTES, Header, LedgerId, path_of};
use super::spare::{Spare, SpareMaker};
use super::{Location, Options, mend};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, CHECKPOINT_BYTES_MAX, DETAIL_BYTES_MAX,
    LEAF_AND_FACTS_BYTES_MAX,
};
use crate::store::disk::{BoxFile, Dir, DiskFile};
use crate::store::files::{self, Durable};

/// The label of what recovery keeps aside, in bytes.
const LABEL_BYTES_MAX: usize = 64;

/// Where the entries and the trailer of a durable batch lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// One for each record, in order.
    pub locations: Vec<Location>,
    /// The trailer's.
    pub trailer: Location,
}

/// How much can still be written before the disk is asked for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes left in the segment being written.
    pub in_segment: u64,
    /// The next segment. While it is [`Spare::Failed`], only what must go in should be let in.
    pub spare: Spare,
}

/// The segment being written.
pub(super) struct Active {
    path: PathBuf,
    pub(super) file: BoxFile,
    first: u64,
    length: u64,
    end: u64,
}

/// The journal, open for writing. There must be one for each folder at a time; the lock on the data
/// folder sees to that.
pub struct Journal {
    dir: Dir,
    ledger_id: LedgerId,
    options: Options,
    pub(super) active: Active,
    spare: SpareMaker,
    published: PublishedFile,
    reader: JournalReader,
    size: u64,
    root: [u8; 32],
    /// Where the last batch begins: segment and offset.
    last_batch: Option<(u64, u64)>,
    scratch: Vec<u8>,
    poisoned: bool,
}

impl Journal {
    /// Creates an empty journal in `dir`, the journal's own folder, which must be absent or empty.
    /// Durable on return; an interruption leaves no journal.
    ///
    /// # Errors
    /// [`JournalError::AlreadyThere`], or [`JournalError::Io`].
    pub fn create(dir: impl Into<Dir>, ledger_id: LedgerId) -> Result<Journal, JournalError> {
        Journal::create_with(dir, ledger_id, Options::default())
    }

    /// Like [`Journal::create`], with options.
    pub fn create_with(
        dir: impl Into<Dir>,
        ledger_id: LedgerId,
        options: Options,
    ) -> Result<Journal, JournalError> {
        check_options(&options)?;
        let dir = &dir.into();
        match segment::names(dir) {
            Err(JournalError::NotThere(_)) => {}
            Ok(names) if names.is_empty() => {}
            Ok(_) => return Err(JournalError::AlreadyThere(dir.path().to_owned())),
            Err(error) => return Err(error),
        }
        // All under another name first, so that a journal is there whole or not at all.
        let temporary = &dir.beside(files::temporary_for(dir.path()));
        let disk = dir.disk();
        disk.make_dir_anew(temporary.path()).map_err(broken("create", temporary.path()))?;
        let nothing = Published { size: 0, segment: 0, root: [0; 32] };
        PublishedFile::create(temporary, ledger_id, nothing)?;
        marks::write_clean_stop(temporary, &ledger_id, &nothing)?;
        let header = Header { ledger_id, first: 0, previous: None, length: options.segment_bytes };
        let first = path_of(temporary, 0);
        disk.create_zeroed(&first, header.length, &false.into())
            .and_then(|file| write_header(file.as_ref(), &header))
            .and_then(|()| disk.sync_dir(temporary.path()))
            .map_err(broken("create", &first))?;
        disk.rename_durably(temporary.path(), dir.path()).map_err(broken("create", dir.path()))?;
        let (journal, _) =
            Journal::open_with(dir, Some(ledger_id), Evidence::default(), "created", options)?;
        Ok(journal)
    }

    /// Opens a journal: examines it, recovers from an unclean stop, and makes it fit to append to.
    /// `now_label` (1 to 64 letters, digits and hyphens; a time, say) names what is kept aside.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if anything but an unfinished, unacknowledged last batch is wrong:
    /// nothing was modified then. [`JournalError::NotThere`] if there is no journal.
    pub fn open(
        dir: impl Into<Dir>,
        ledger_id_expected: Option<LedgerId>,
        evidence: Evidence,
        now_label: &str,
    ) -> Result<(Journal, Recovery), JournalError> {
        Journal::open_with(dir, ledger_id_expected, evidence, now_label, Options::default())
    }

    /// Like [`Journal::open`], with options.
    pub fn open_with(
        dir: impl Into<Dir>,
        ledger_id_expected: Option<LedgerId>,
        evidence: Evidence,
        now_label: &str,
        options: Options,
    ) -> Result<(Journal, Recovery), JournalError> {
        check_options(&options)?;
        check_label(now_label)?;
        let dir = &dir.into();
        let plan = recovery::examine(dir, ledger_id_expected, &evidence)?;
        let mended = mend::carry_out(dir, &plan, now_label)?;
        let last = plan.last_batch.as_ref();
        let root = last.map_or([0; 32], |(_, batch)| batch.trailer.root);
        let first = plan.last.header.first;
        let mark = Published { size: plan.size, segment: first, root };
        let published = PublishedFile::create(dir, plan.ledger_id, mark)?;
        marks::remove_clean_stop(dir)?;
        let journal = Journal {
            dir: dir.clone(),
            ledger_id: plan.ledger_id,
            options,
            active: Active {
                path: plan.last.path.clone(),
                file: mended.active,
                first,
                length: plan.last.header.length,
                end: plan.end,
            },
            spare: SpareMaker::start(dir, options.segment_bytes),
            published,
            reader: JournalReader::new(dir, plan.ledger_id),
            size: plan.size,
            root,
            last_batch: last.map(|(segment, batch)| (*segment, batch.start)),
            scratch: Vec::new(),
            poisoned: false,
        };
        let recovery = Recovery {
            size: plan.size,
            last_trailer: plan.last_batch.map(|(_, batch)| batch.trailer),
            clean: plan.clean,
            cut: mended.cut,
            tail_rewritten: mended.tail_rewritten,
            half_created: plan.half_created,
            doubtful: plan.doubtful,
        };
        Ok((journal, recovery))
    }

    /// Appends one batch: durable on return. `root` and `checkpoint` are those after its last entry.
    ///
    /// # Errors
    /// - [`JournalError::OutOfBounds`], [`JournalError::NoRoom`]: nothing was written, and the
    ///   journal still works.
    /// - [`JournalError::OutcomeUnknown`]: the batch is durable or is not; only opening the journal
    ///   again can tell. The journal is poisoned.
    /// - [`JournalError::Io`]: the batch was not written, but the journal is poisoned.
    /// - [`JournalError::Poisoned`]: an earlier call failed.
    pub fn append(
        &mut self,
        records: &[Record],
        root: [u8; 32],
        checkpoint: &[u8],
    ) -> Result<Appended, JournalError> {
        self.must_work()?;
        check_batch(records, checkpoint)?;
        let trailer = Trailer {
            first: self.size,
            count: records.len() as u32,
            root,
            checkpoint: checkpoint.to_vec(),
        };
        let lengths = encode_batch(&mut self.scratch, records, &trailer);
        let bytes = self.scratch.len() as u64;
        if self.active.length - self.active.end < bytes {
            self.roll(bytes)?;
        }
        let start = self.active.end;
        let written = self
            .active
            .file
            .write_all_at(&self.scratch, start)
            .and_then(|()| self.active.file.sync_data());
        if let Err(source) = written {
            self.poisoned = true;
            let path = self.active.path.clone();
            return Err(JournalError::OutcomeUnknown { path, source });
        }
        self.active.end += bytes;
        self.size = trailer.size();
        self.root = root;
        self.last_batch = Some((self.active.first, start));
        Ok(places(self.active.first, start, &lengths))
    }

    /// Tells readers how far they may go: to be called once a batch's entries are applied. Not
    /// durable by itself; a reader may see it, and recovery takes it as evidence.
    ///
    /// # Errors
    /// [`JournalError::OutOfBounds`] for a size that is not durable, or less than the one before.
    pub fn published(&mut self, size: u64, root: [u8; 32]) -> Result<(), JournalError> {
        self.must_work()?;
        check_at_most("the published size", size, self.size)?;
        if size < self.published.last().size {
            return Err(JournalError::OutOfBounds {
                what: "the published size",
                given: size,
                allowed: self.published.last().size,
            });
        }
        self.published.write(Published { size, segment: self.active.first, root })
    }

    /// Overwrites an entry's detail and its opening with zeros; durable on return. The entry that
    /// records the erasure must be durable before. Doing it twice does no harm.
    ///
    /// # Errors
    /// [`JournalError::TooYoungToErase`] for an entry of the last batch. A failed write or sync is
    /// [`JournalError::OutcomeUnknown`] and poisons the journal: erase again once it is opened anew.
    pub fn erase(&mut self, location: Location) -> Result<(), JournalError> {
        self.must_work()?;
        if self.last_batch <= Some((location.segment, location.offset)) {
            return Err(JournalError::TooYoungToErase);
        }
        let frame = self.reader.entry_frame(location)?;
        let kept = frame
            .first_chunk()
            .and_then(|head| EntryHead::parse(head).ok())
            .map_or(frame.len(), |head| head.kept_bytes());
        let zeros = vec![0; frame.len() - kept];
        let offset = location.offset + kept as u64;
        let erased = if location.segment == self.active.first {
            erase_in(self.active.file.as_ref(), &zeros, offset)
        } else {
            let path = path_of(&self.dir, location.segment);
            let file = self.dir.disk().open(&path, true);
            file.and_then(|file| erase_in(file.as_ref(), &zeros, offset))
        };
        erased.map_err(|source| {
            self.poisoned = true;
            let path = path_of(&self.dir, location.segment);
            JournalError::OutcomeUnknown { path, source }
        })
    }

    /// Closes in order: publishes all that was appended and leaves the clean-stop mark, durable.
    /// A journal that is merely dropped is recovered when it is opened again.
    ///
    /// # Errors
    /// [`JournalError::Poisoned`], or [`JournalError::Io`] with no mark left.
    pub fn close_clean(mut self) -> Result<(), JournalError> {
        self.must_work()?;
        let mark = Published { size: self.size, segment: self.active.first, root: self.root };
        self.published.write(mark)?;
        self.published.sync()?;
        marks::write_clean_stop(&self.dir, &self.ledger_id, &mark)
    }

    /// A reader of this journal, which may outlive the writer.
    pub fn reader(&self) -> JournalReader {
        self.reader.clone()
    }

    /// How many entries are durable.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The identity in each of the journal's files.
    pub fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    /// Whether an earlier failure has stopped the journal.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// How much room is left. After a failure to make the next segment, asking tries again.
    pub fn room(&mut self) -> Room {
        Room { in_segment: self.active.length - self.active.end, spare: self.spare.state() }
    }

    /// Forgets the spare, as if it had never been made.
    #[cfg(test)]
    pub(super) fn lose_spare(&mut self) {
        self.spare.lose();
    }

    fn must_work(&self) -> Result<(), JournalError> {
        if self.poisoned { Err(JournalError::Poisoned) } else { Ok(()) }
    }

    /// Goes on to a new segment, for a batch of `bytes` that the active one cannot take.
    fn roll(&mut self, bytes: u64) -> Result<(), JournalError> {
        let empty = self.active.end == HEADER_BYTES;
        let fits = self.options.segment_bytes - HEADER_BYTES;
        // A second segment of the same first entry cannot be, so an empty one is never left.
        let allowed = if empty { self.active.length - HEADER_BYTES } else { fits };
        check_at_most("bytes of a batch with its trailer", bytes, allowed)?;
        let spare = self
            .spare
            .take()
            .map_err(|source| JournalError::NoRoom { dir: self.dir.path().to_owned(), source })?;
        let installed = self.install(spare);
        self.poisoned = installed.is_err();
        installed
    }

    fn install(&mut self, file: BoxFile) -> Result<(), JournalError> {
        let header = Header {
            ledger_id: self.ledger_id,
            first: self.size,
            previous: Some(self.active.first),
            length: self.options.segment_bytes,
        };
        let path = path_of(&self.dir, header.first);
        if self.dir.disk().exists(&path) {
            return Err(broken("create", &path)(io::ErrorKind::AlreadyExists.into()));
        }
        write_header(file.as_ref(), &header)
            .and_then(|()| self.dir.disk().rename_durably(self.spare.path(), &path))
            .map_err(broken("create", &path))?;
        self.spare.begin();
        // From now on a missing last segment is noticed, whatever becomes of the published size.
        let last = *self.published.last();
        self.published.write(Published { segment: header.first, ..last })?;
        self.published.sync()?;
        self.active =
            Active { path, file, first: header.first, length: header.length, end: HEADER_BYTES };
        Ok(())
    }
}

fn erase_in(file: &dyn DiskFile, zeros: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(zeros, offset)?;
    file.sync_data()
}

fn write_header(file: &dyn DiskFile, header: &Header) -> io::Result<()> {
    file.write_all_at(&header.encode(), 0)?;
    file.sync_all()
}

/// Encodes a batch into `out`; gives the frames' lengths in order, the trailer's last.
fn encode_batch(out: &mut Vec<u8>, records: &[Record], trailer: &Trailer) -> Vec<u32> {
    out.clear();
    let mut lengths = Vec::with_capacity(records.len() + 1);
    let mut kept_crc = 0;
    for (number, record) in (trailer.first..).zip(records) {
        let start = out.len();
        let kept = encode_entry(out, number, record);
        kept_crc = crc32c::crc32c_append(kept_crc, &out[start..start + kept]);
        lengths.push((out.len() - start) as u32);
    }
    let entry_bytes = out.len();
    encode_trailer(out, trailer, entry_bytes, kept_crc);
    lengths.push((out.len() - entry_bytes) as u32);
    lengths
}

fn places(segment: u64, start: u64, lengths: &[u32]) -> Appended {
    let mut offset = start;
    let mut locations: Vec<Location> = Vec::with_capacity(lengths.len());
    for &length in lengths {
        locations.push(Location { segment, offset, length });
        offset += u64::from(length);
    }
    let trailer =
        locations.pop().expect("invariant: a batch has a trailer, so lengths is not empty");
    Appended { locations, trailer }
}

fn check_batch(records: &[Record], checkpoint: &[u8]) -> Result<(), JournalError> {
    if records.is_empty() {
        return Err(JournalError::OutOfBounds { what: "entries of a batch", given: 0, allowed: 1 });
    }
    let bound =
        |what, given: usize, allowed: usize| check_at_most(what, given as u64, allowed as u64);
    bound("entries of a batch", records.len(), BATCH_ENTRIES_MAX)?;
    bound("bytes of a checkpoint", checkpoint.len(), CHECKPOINT_BYTES_MAX)?;
    for record in records {
        let leaf_and_facts = record.leaf.len() + record.facts.len();
        bound("bytes of leaf and facts", leaf_and_facts, LEAF_AND_FACTS_BYTES_MAX)?;
        bound("bytes of a detail", record.detail.len(), DETAIL_BYTES_MAX)?;
    }
    let bytes = records.iter().map(Record::frame_bytes).sum();
    bound("bytes of a batch", bytes, BATCH_BYTES_MAX)
}

fn check_options(options: &Options) -> Result<(), JournalError> {
    if options.segment_bytes > HEADER_BYTES {
        return Ok(());
    }
    Err(JournalError::OutOfBounds {
        what: "bytes of a segment",
        given: options.segment_bytes,
        allowed: HEADER_BYTES + 1,
    })
}

fn check_label(label: &str) -> Result<(), JournalError> {
    let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain || label.is_empty() {
        return Err(JournalError::OutOfBounds {
            what: "a label's characters beyond letters, digits and hyphens, or its length,",
            given: label.len() as u64,
            allowed: 1,
        });
    }
    check_at_most("bytes of a label", label.len() as u64, LABEL_BYTES_MAX as u64)
}

fn check_at_most(what: &'static str, given: u64, allowed: u64) -> Result<(), JournalError> {
    if given <= allowed {
        return Ok(());
    }
    Err(JournalError::OutOfBounds { what, given, allowed })
}
