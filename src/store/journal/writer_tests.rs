//! Append, read back, roll, erase, close, and what a failed write leaves.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::testbed::*;
use super::*;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, CHECKPOINT_BYTES_MAX, DETAIL_BYTES_MAX,
    LEAF_AND_FACTS_BYTES_MAX,
};
use crate::store::disk::{BoxFile, DiskFile};

#[test]
fn reads_back_what_was_appended_over_many_segments() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let mut places = Vec::new();
    for count in [1, 3, 7, 1, 12, 2, 9, 1] {
        places.push(append(&mut journal, count));
    }
    let reader = journal.reader();
    assert_eq!(journal.size(), 36);
    assert_eq!(entries(&reader, 0, 36), (0..36).collect::<Vec<_>>());
    let locations: Vec<_> = places.iter().flat_map(|p| p.locations.clone()).collect();
    for (number, location) in (0..).zip(&locations) {
        assert_eq!(reader.read(*location).unwrap(), stored(number));
    }
    assert!(locations.iter().any(|location| location.segment > 0));
    let trailer = reader.read_trailer(places[1].trailer).unwrap();
    assert_eq!((trailer.first, trailer.count), (1, 3));
    assert_eq!((trailer.root, trailer.checkpoint), (root(4), checkpoint(4)));
    drop(journal);
    assert!(bed.fsck().is_sound(), "{:?}", bed.fsck().problems);
}

#[test]
fn scans_from_and_to_any_entry_and_shows_the_batches_that_end_within() {
    let bed = Bed::new();
    bed.filled_and_closed(&[1, 3, 7, 1, 12, 2, 9, 1]);
    let reader = JournalReader::open_read_only(&bed.dir).unwrap();
    let ends = [1, 4, 11, 12, 24, 26, 35, 36];
    for from in 0..=36 {
        for to in 0..=36 {
            assert_eq!(entries(&reader, from, to), (from..to).collect::<Vec<_>>());
            let batches: Vec<u64> = reader
                .scan(from, to)
                .filter_map(|scanned| match scanned.unwrap() {
                    Scanned::Batch { trailer, location } => {
                        assert_eq!(reader.read_trailer(location).unwrap(), trailer);
                        Some(trailer.size())
                    }
                    Scanned::Entry { .. } => None,
                })
                .collect();
            let expected = ends.iter().copied().filter(|&e| from < e && e <= to && from < to);
            assert_eq!(batches, expected.collect::<Vec<_>>(), "{from}..{to}");
        }
    }
}

#[test]
fn a_scan_past_the_end_is_damage_and_ends_there() {
    let bed = Bed::new();
    bed.filled_and_closed(&[2, 2]);
    let reader = JournalReader::open_read_only(&bed.dir).unwrap();
    let mut scan = reader.scan(0, 5).skip(6);
    let missing = damage(scan.next().unwrap());
    assert_eq!((missing.entry, missing.fault), (4, Fault::Missing));
    assert!(scan.next().is_none());
}

#[test]
fn readers_see_the_published_size_and_not_more() {
    let bed = Bed::new();
    let mut journal = bed.create();
    append(&mut journal, 2);
    let reader = JournalReader::open_read_only(&bed.dir).unwrap();
    assert_eq!(reader.published().unwrap().size, 0);
    journal.published(2, root(2)).unwrap();
    append(&mut journal, 1);
    let published = reader.published().unwrap();
    assert_eq!((published.size, published.root), (2, root(2)));
    assert!(matches!(
        journal.published(4, root(4)),
        Err(JournalError::OutOfBounds { given: 4, allowed: 3, .. })
    ));
    assert!(matches!(
        journal.published(1, root(1)),
        Err(JournalError::OutOfBounds { given: 1, allowed: 2, .. })
    ));
}

#[test]
fn a_location_that_fits_no_frame_is_an_error_and_no_more() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let place = append(&mut journal, 2);
    let reader = journal.reader();
    let good = place.locations[0];
    let bad = [
        Location { offset: u64::MAX, ..good },
        Location { offset: 0, ..good },
        Location { offset: good.offset + 1, ..good },
        Location { length: 0, ..good },
        Location { length: 5, ..good },
        Location { length: good.length - 1, ..good },
        Location { length: good.length + 1, ..good },
        Location { length: u32::MAX, ..good },
        Location { segment: 1, ..good },
        place.trailer,
    ];
    for location in bad {
        damage(reader.read(location));
    }
    damage(reader.read_trailer(good));
}

#[test]
fn an_erased_detail_reads_as_erased_and_all_else_still_verifies() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let places = append(&mut journal, 3);
    assert!(matches!(journal.erase(places.locations[1]), Err(JournalError::TooYoungToErase)));
    append(&mut journal, 1);
    journal.erase(places.locations[1]).unwrap();
    journal.erase(places.locations[1]).unwrap();

    let erased = Stored { detail: Detail::Erased, ..stored(1) };
    assert_eq!(journal.reader().read(places.locations[1]).unwrap(), erased);
    let scanned: Vec<_> = journal.reader().scan(0, 4).map(Result::unwrap).collect();
    assert!(
        scanned.iter().any(|s| matches!(s, Scanned::Entry { record, .. } if *record == erased))
    );
    drop(journal);
    let raw = fs::read(bed.segment(0)).unwrap();
    let gone = record(1);
    assert!(!raw.windows(32).any(|w| w == gone.detail_opening || w == &gone.detail[..32]));

    let (journal, recovery) = bed.open().unwrap();
    assert_eq!(recovery.size, 4);
    let doubtful =
        Doubtful { number: 1, location: places.locations[1], state: DetailState::Erased };
    assert_eq!(recovery.doubtful, [doubtful]);
    journal.close_clean().unwrap();
    let report = fsck(&bed.dir, Exchange::Stopped, &mut |n| n == 1, &mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.erased, 1);
    assert_eq!(bed.fsck().problems[0].fault, Fault::DetailZeroed);
}

#[test]
fn erases_in_an_earlier_segment() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let places = append(&mut journal, 10);
    append(&mut journal, 10);
    append(&mut journal, 10);
    assert!(fs::exists(bed.segment(10)).unwrap());
    journal.erase(places.locations[9]).unwrap();
    let stored = journal.reader().read(places.locations[9]).unwrap();
    assert_eq!(stored.detail, Detail::Erased);
}

#[test]
fn a_half_erased_detail_is_told_and_the_erasure_can_be_finished() {
    let bed = Bed::new();
    let places = bed.filled(&[2, 1]);
    let at = places[0].locations[0];
    let end = (at.offset + u64::from(at.length)) as usize;
    change(&bed.segment(0), |bytes| bytes[end - 50..end].fill(0));
    let (mut journal, recovery) = bed.open().unwrap();
    assert_eq!(recovery.doubtful.len(), 1);
    assert_eq!(recovery.doubtful[0].state, DetailState::Damaged);
    journal.erase(recovery.doubtful[0].location).unwrap();
    assert_eq!(journal.reader().read(at).unwrap().detail, Detail::Erased);
}

#[test]
fn bounds_hold_at_the_limit_and_one_past() {
    let bed = Bed::new();
    let mut journal = Journal::create(&bed.dir, LEDGER).unwrap();
    let with = |facts: usize, detail: usize| Record {
        facts: vec![1; facts],
        detail: vec![1; detail],
        ..record(0)
    };
    let mut refused = |records: &[Record], checkpoint: usize| {
        let result = journal.append(records, root(0), &vec![b'x'; checkpoint]);
        matches!(result, Err(JournalError::OutOfBounds { .. }))
    };
    let facts_max = LEAF_AND_FACTS_BYTES_MAX - LEAF_BYTES;
    assert!(refused(&[], 1));
    assert!(refused(&[with(facts_max + 1, 0)], 1));
    assert!(refused(&[with(0, DETAIL_BYTES_MAX + 1)], 1));
    assert!(refused(&[with(0, 0)], CHECKPOINT_BYTES_MAX + 1));
    assert!(refused(&vec![with(0, 0); BATCH_ENTRIES_MAX + 1], 1));
    // Seven of the longest, and one that fills the batch to the byte.
    let mut full = vec![with(facts_max, DETAIL_BYTES_MAX); 7];
    let left = BATCH_BYTES_MAX - full.iter().map(Record::frame_bytes).sum::<usize>();
    let empty = with(0, 0).frame_bytes();
    full.push(with(0, left - empty + 1));
    assert!(refused(&full, CHECKPOINT_BYTES_MAX));
    full[7].detail.pop();
    assert!(!refused(&full, CHECKPOINT_BYTES_MAX));
    assert!(!refused(&vec![with(0, 0); BATCH_ENTRIES_MAX], 0));
    // Seven more full batches do not fit the first segment.
    for _ in 0..7 {
        assert!(!refused(&full, CHECKPOINT_BYTES_MAX));
    }
    let size = journal.size();
    assert_eq!(size, 8 * 8 + BATCH_ENTRIES_MAX as u64);
    assert_eq!(journal.reader().scan(0, size).filter(|s| s.is_ok()).count() as u64, size + 9);
    journal.close_clean().unwrap();
    let report = fsck(&bed.dir, Exchange::Stopped, &mut |_| false, &mut |_, _| {}).unwrap();
    assert!(report.is_sound() && report.segments == 2, "{report:?}");
}

#[test]
fn a_batch_that_fits_no_segment_is_refused_and_one_that_just_fits_is_not() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let room = journal.room().in_segment as usize;
    let trailer_bytes = 68;
    let mut big = record(0);
    big.detail = vec![1; room - trailer_bytes - (record(0).frame_bytes() - 40) + 1];
    for _ in 0..2 {
        let refused = journal.append(&[big.clone()], root(1), b"");
        assert!(matches!(refused, Err(JournalError::OutOfBounds { .. })));
        assert!(!journal.is_poisoned());
    }
    big.detail.pop();
    journal.append(&[big.clone()], root(1), b"").unwrap();
    assert_eq!(journal.room().in_segment, 0);
    journal.append(&[big.clone()], root(2), b"").unwrap();
    big.detail.push(1);
    let refused = journal.append(&[big], root(3), b"");
    assert!(matches!(refused, Err(JournalError::OutOfBounds { .. })));
    journal.close_clean().unwrap();
    assert!(bed.fsck().is_sound(), "{:?}", bed.fsck().problems);
    let (_, recovery) = bed.open().unwrap();
    assert_eq!((recovery.size, recovery.clean), (2, true));
}

#[test]
fn refuses_to_create_over_a_journal_and_to_open_none() {
    let bed = Bed::new();
    assert!(matches!(bed.open(), Err(JournalError::NotThere(_))));
    let reader = JournalReader::open_read_only(&bed.dir);
    assert!(matches!(reader, Err(JournalError::NotThere(_))));
    fs::create_dir(&bed.dir).unwrap();
    assert!(matches!(bed.open(), Err(JournalError::NotThere(_))));
    drop(bed.create());
    assert!(matches!(
        Journal::create_with(&bed.dir, LEDGER, SMALL),
        Err(JournalError::AlreadyThere(_))
    ));
}

#[test]
fn an_interrupted_creation_leaves_no_journal_and_can_be_repeated() {
    let bed = Bed::new();
    let half = bed.dir.with_file_name("journal.tmp");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("published"), b"half").unwrap();
    assert!(matches!(bed.open(), Err(JournalError::NotThere(_))));
    append(&mut bed.create(), 1);
    assert!(!half.exists());
}

#[test]
fn refuses_labels_that_are_no_file_names() {
    let bed = Bed::new();
    drop(bed.create());
    let long = "x".repeat(65);
    for label in ["", "a/b", "..", "a b", "é", long.as_str()] {
        let refused = Journal::open_with(&bed.dir, None, Evidence::default(), label, SMALL);
        assert!(matches!(refused, Err(JournalError::OutOfBounds { .. })), "{label}");
    }
    let label = "x".repeat(64);
    Journal::open_with(&bed.dir, None, Evidence::default(), &label, SMALL).unwrap();
}

/// Notes the calls a commit stands on, in order.
#[derive(Debug)]
struct Noting(BoxFile, Arc<Mutex<Vec<String>>>);

impl DiskFile for Noting {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let call = format!("write {} at {offset}", bytes.len());
        self.1.lock().unwrap().push(call);
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.lock().unwrap().push("sync data".to_owned());
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.1.lock().unwrap().push("sync all".to_owned());
        self.0.sync_all()
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

/// I1: the batch is on stable storage when append returns, by one write and one sync.
#[test]
fn a_batch_is_one_write_and_then_one_sync() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let calls = Arc::default();
    let inner =
        std::mem::replace(&mut journal.active.file, Box::new(tempfile::tempfile().unwrap()));
    journal.active.file = Box::new(Noting(inner, Arc::clone(&calls)));
    let places = append(&mut journal, 3);
    let start = places.locations[0].offset;
    let bytes = places.trailer.offset + u64::from(places.trailer.length) - start;
    let write = format!("write {bytes} at {start}");
    assert_eq!(*calls.lock().unwrap(), [write.as_str(), "sync data"]);

    append(&mut journal, 1);
    calls.lock().unwrap().clear();
    let erased = places.locations[2];
    journal.erase(erased).unwrap();
    let write = format!("write 72 at {}", erased.offset + u64::from(erased.length) - 72);
    assert_eq!(*calls.lock().unwrap(), [write.as_str(), "sync data"]);
}

#[test]
fn the_writer_can_move_to_its_thread_and_readers_can_be_shared() {
    fn moves<T: Send>() {}
    fn is_shared<T: Clone + Send + Sync>() {}
    moves::<Journal>();
    moves::<Scan>();
    is_shared::<JournalReader>();
}

/// Fails one of the two calls a commit stands on, after doing it or instead of it; counts syncs.
#[derive(Debug)]
struct Failing {
    inner: BoxFile,
    fail_write: bool,
    keep: bool,
    syncs: Arc<AtomicU32>,
}

impl DiskFile for Failing {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if !self.fail_write {
            return self.inner.write_all_at(bytes, offset);
        }
        let part = if self.keep { bytes.len() } else { bytes.len() / 2 };
        self.inner.write_all_at(&bytes[..part], offset)?;
        Err(io::Error::other("injected"))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if self.keep {
            self.inner.sync_data()?;
        }
        Err(io::Error::other("injected"))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}

fn harm(journal: &mut Journal, fail_write: bool, keep: bool) -> Arc<AtomicU32> {
    let syncs = Arc::new(AtomicU32::new(0));
    let inner =
        std::mem::replace(&mut journal.active.file, Box::new(tempfile::tempfile().unwrap()));
    journal.active.file = Box::new(Failing { inner, fail_write, keep, syncs: Arc::clone(&syncs) });
    syncs
}

/// I9: after a failed write or sync the outcome is unknown, the journal never writes or syncs
/// again, and opening it reads the truth.
#[test]
fn a_failed_write_or_sync_poisons_and_recovery_reads_the_truth() {
    for (fail_write, keep) in [(false, false), (false, true), (true, false), (true, true)] {
        let bed = Bed::new();
        let mut journal = bed.create();
        let early = append(&mut journal, 2);
        append(&mut journal, 2);
        let syncs = harm(&mut journal, fail_write, keep);
        let unknown = try_append(&mut journal, 3);
        assert!(matches!(unknown, Err(JournalError::OutcomeUnknown { .. })));
        assert!(journal.is_poisoned());
        let after = syncs.load(Ordering::Relaxed);
        assert_eq!(after, u32::from(!fail_write));
        assert!(matches!(try_append(&mut journal, 1), Err(JournalError::Poisoned)));
        assert!(matches!(journal.published(2, root(2)), Err(JournalError::Poisoned)));
        assert!(matches!(journal.erase(early.locations[0]), Err(JournalError::Poisoned)));
        assert!(matches!(journal.close_clean(), Err(JournalError::Poisoned)));
        assert_eq!(syncs.load(Ordering::Relaxed), after);

        let (mut journal, recovery) = bed.open().unwrap();
        let whole = !fail_write || keep;
        assert_eq!(recovery.size, if whole { 7 } else { 4 });
        assert_eq!(recovery.cut.is_some(), !whole);
        assert!(recovery.tail_rewritten && !recovery.clean);
        append(&mut journal, 1);
    }
}

#[test]
fn a_failed_erasure_poisons() {
    let bed = Bed::new();
    let mut journal = bed.create();
    let early = append(&mut journal, 2);
    append(&mut journal, 1);
    harm(&mut journal, false, false);
    let unknown = journal.erase(early.locations[0]);
    assert!(matches!(unknown, Err(JournalError::OutcomeUnknown { .. })));
    assert!(matches!(try_append(&mut journal, 1), Err(JournalError::Poisoned)));
}

#[test]
fn a_roll_that_fails_poisons_and_nothing_of_the_batch_is_there() {
    let bed = Bed::new();
    let mut journal = bed.create();
    append(&mut journal, 10);
    append(&mut journal, 4);
    // What stands in the way of the next segment's name.
    fs::create_dir(bed.segment(14)).unwrap();
    let failed = try_append(&mut journal, 10);
    assert!(matches!(failed, Err(JournalError::Io { .. })));
    assert!(matches!(try_append(&mut journal, 1), Err(JournalError::Poisoned)));
    drop(journal);
    fs::remove_dir(bed.segment(14)).unwrap();
    let (mut journal, recovery) = bed.open().unwrap();
    assert_eq!((recovery.size, recovery.cut), (14, None));
    append(&mut journal, 10);
}

#[test]
fn no_room_for_a_segment_writes_nothing_and_the_journal_goes_on() {
    let bed = Bed::new();
    let spare = bed.dir.join("spare.tmp");
    let mut journal = bed.create();
    append(&mut journal, 10);
    append(&mut journal, 10);
    let size = journal.size();
    // Take the spare away once it is there, and block its name for the one after.
    while journal.room().spare != Spare::Ready {
        std::thread::yield_now();
    }
    append(&mut journal, 10);
    while journal.room().spare != Spare::Ready {
        std::thread::yield_now();
    }
    assert_eq!(journal.size(), size + 10);
    journal.lose_spare();
    fs::remove_file(&spare).unwrap();
    fs::create_dir(&spare).unwrap();
    assert!(matches!(try_append(&mut journal, 12), Err(JournalError::NoRoom { .. })));
    assert_eq!(journal.room().spare, Spare::Failed);
    append(&mut journal, 1);
    fs::remove_dir(&spare).unwrap();
    append(&mut journal, 12);
    journal.close_clean().unwrap();
    assert!(bed.fsck().is_sound(), "{:?}", bed.fsck().problems);
}
