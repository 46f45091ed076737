//! What opening does with each way a disk can look after a stop: cut, mend, or refuse.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::recovery::examine;
use super::segment::{HEADER_BYTES, Header};
use super::testbed::*;
use super::*;

mod later;

/// A journal of two batches in one segment, dropped: its bytes and where the last batch lies.
fn two_batches(bed: &Bed) -> (Vec<u8>, Range<usize>) {
    let places = bed.filled(&[2, 2]);
    let from = places[1].locations[0].offset as usize;
    let to = places[1].trailer.offset as usize + places[1].trailer.length as usize;
    (fs::read(bed.segment(0)).unwrap(), from..to)
}

fn knowing_index(size: u64) -> Evidence {
    Evidence { index_watermark: Some(size), witnessed: None }
}

/// The size that recovery would keep, and whether it would cut.
fn outcome(bed: &Bed, evidence: Evidence) -> Result<(u64, bool), JournalError> {
    examine(&(&bed.dir).into(), Some(LEDGER), &evidence)
        .map(|plan| (plan.size, plan.cut_to.is_some()))
}

/// Opening refuses with this damage and modifies nothing.
fn refused(bed: &Bed) -> Damage {
    refused_knowing(bed, Evidence::default())
}

fn refused_knowing(bed: &Bed, evidence: Evidence) -> Damage {
    let before = bed.snapshot();
    let damage = damage(bed.open_knowing(evidence));
    assert!(before == bed.snapshot(), "something was modified");
    damage
}

fn is_acknowledged(damage: &Damage, source: Source) -> bool {
    matches!(damage.fault, Fault::Acknowledged { by, .. } if by == source)
}

#[test]
fn an_orderly_close_opens_clean_and_leaves_the_files_alone() {
    let bed = Bed::new();
    bed.filled_and_closed(&[1, 2]);
    assert!(bed.dir.join("clean-stop").exists());
    let inode = fs::metadata(bed.segment(0)).unwrap().ino();
    let (mut journal, recovery) = bed.open().unwrap();
    assert!(recovery.clean && !recovery.tail_rewritten);
    assert_eq!((recovery.size, recovery.cut), (3, None));
    let trailer = recovery.last_trailer.unwrap();
    assert_eq!((trailer.size(), trailer.checkpoint), (3, checkpoint(3)));
    assert!(!bed.dir.join("clean-stop").exists());
    assert_eq!(fs::metadata(bed.segment(0)).unwrap().ino(), inode);
    append(&mut journal, 2);
    assert_eq!(entries(&journal.reader(), 0, 5), [0, 1, 2, 3, 4]);
}

#[test]
fn an_empty_journal_opens_after_any_stop() {
    let bed = Bed::new();
    drop(bed.create());
    let (journal, recovery) = bed.open().unwrap();
    assert_eq!((recovery.size, recovery.last_trailer), (0, None));
    journal.close_clean().unwrap();
    assert!(bed.open().unwrap().1.clean);
}

/// I9: the page cache may show what the disk does not have, so the tail moves to a fresh file.
#[test]
fn after_an_unclean_stop_the_tail_is_rewritten_to_a_fresh_file() {
    let bed = Bed::new();
    bed.filled(&[1, 2]);
    let inode = fs::metadata(bed.segment(0)).unwrap().ino();
    fs::write(bed.dir.join("spare.tmp"), b"half").unwrap();
    fs::write(bed.dir.join("00000000000000000000.seg.tmp"), b"half").unwrap();
    let (mut journal, recovery) = bed.open().unwrap();
    assert!(!recovery.clean && recovery.tail_rewritten);
    assert_ne!(fs::metadata(bed.segment(0)).unwrap().ino(), inode);
    assert!(!bed.dir.join("00000000000000000000.seg.tmp").exists());
    append(&mut journal, 1);
    assert_eq!(entries(&journal.reader(), 0, 4), [0, 1, 2, 3]);
    assert_eq!(journal.reader().published().unwrap().size, 3);
}

#[test]
fn a_torn_tail_is_cut_at_every_byte_unless_somebody_named_it() {
    let bed = Bed::new();
    let (whole, batch) = two_batches(&bed);
    let path = bed.segment(0);
    for kept in 0..batch.len() {
        // Only a beginning of the batch reached the disk; then only an end of it did.
        for missing in [batch.start + kept..batch.end, batch.start..batch.start + kept] {
            if missing.is_empty() {
                continue;
            }
            let mut torn = whole.clone();
            torn[missing.clone()].fill(0);
            fs::write(&path, &torn).unwrap();
            let nothing_left = missing == batch;
            let kept_aside = outcome(&bed, Evidence::default()).unwrap();
            assert_eq!(kept_aside, (2, !nothing_left), "{missing:?}");
            assert_eq!(outcome(&bed, knowing_index(2)).unwrap(), kept_aside);
            let damage = damage(outcome(&bed, knowing_index(4)));
            assert!(is_acknowledged(&damage, Source::IndexWatermark));
            assert_eq!(damage.file, path);
            assert!((2..=4).contains(&damage.entry), "{damage}");
            assert!(damage.offset as usize >= batch.start);
        }
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(outcome(&bed, knowing_index(4)).unwrap(), (4, false));
}

#[test]
fn what_is_cut_is_kept_aside_and_reported() {
    let bed = Bed::new();
    let (whole, batch) = two_batches(&bed);
    for round in 1..=3 {
        let mut torn = whole.clone();
        torn[batch.end - 9..batch.end].fill(0);
        fs::write(bed.segment(0), &torn).unwrap();
        let (mut journal, recovery) = bed.open().unwrap();
        let cut = recovery.cut.unwrap();
        assert_eq!((cut.bytes, cut.from_size), (batch.len() as u64 - 9, 2));
        assert_eq!(fs::read(&cut.kept_at).unwrap(), torn[batch.start..batch.end - 9]);
        let name = cut.kept_at.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("cut-2026-01-01T00-00-00000000000000000002"), "{name}");
        assert_eq!(name.ends_with(&format!("-{round}")), round > 1, "{name}");
        assert_eq!((recovery.size, journal.size()), (2, 2));
        // What was cut is gone from the segment, and the numbers go on where it began.
        append(&mut journal, 1);
        assert_eq!(entries(&journal.reader(), 0, 3), [0, 1, 2]);
        journal.close_clean().unwrap();
        assert!(bed.fsck().is_sound(), "{:?}", bed.fsck().problems);
        // Back to what an unclean stop leaves.
        fs::remove_file(bed.dir.join("clean-stop")).unwrap();
        let published = bed.dir.join("published");
        drop(Journal::create_with(&bed.dir.with_file_name("other"), LEDGER, SMALL).unwrap());
        fs::copy(bed.dir.with_file_name("other").join("published"), published).unwrap();
        fs::remove_dir_all(bed.dir.with_file_name("other")).unwrap();
    }
}

/// I1: what was acknowledged is never cut, whoever knows of it.
#[test]
fn each_source_that_names_the_torn_batch_keeps_it_from_being_cut() {
    let bed = Bed::new();
    let (mut torn, batch) = two_batches(&bed);
    torn[batch.end - 1] ^= 1;
    fs::write(bed.segment(0), &torn).unwrap();
    let witnessed = Evidence { index_watermark: None, witnessed: Some(3) };
    assert!(is_acknowledged(&refused_knowing(&bed, witnessed), Source::Witness));
    let index = refused_knowing(&bed, knowing_index(4));
    assert!(is_acknowledged(&index, Source::IndexWatermark));

    let bed = Bed::new();
    let mut journal = bed.create();
    append(&mut journal, 2);
    append(&mut journal, 2);
    journal.published(4, root(4)).unwrap();
    drop(journal);
    fs::write(bed.segment(0), &torn).unwrap();
    let published = refused(&bed);
    assert!(is_acknowledged(&published, Source::PublishedSize));
    assert_eq!((published.file, published.entry), (bed.segment(0), 4));

    let bed = Bed::new();
    bed.filled_and_closed(&[2, 2]);
    change(&bed.segment(0), |bytes| bytes[batch.end + 5] = 1);
    assert!(is_acknowledged(&refused(&bed), Source::CleanStop));
}

#[test]
fn a_whole_journal_that_is_shorter_than_somebody_knows_is_refused() {
    let bed = Bed::new();
    bed.filled(&[2, 2]);
    let damage = refused_knowing(&bed, knowing_index(5));
    assert_eq!(damage.entry, 4);
    let what = Box::new(Fault::Missing);
    let by = Source::IndexWatermark;
    assert_eq!(damage.fault, Fault::Acknowledged { by, named: 5, what });
}

#[test]
fn a_zeroed_detail_in_the_last_batch_is_a_torn_write() {
    let bed = Bed::new();
    let places = bed.filled(&[2, 2]);
    let last = places[1].locations[1];
    let end = (last.offset + u64::from(last.length)) as usize;
    change(&bed.segment(0), |bytes| bytes[end - 72..end].fill(0));
    let damage = refused_knowing(&bed, knowing_index(4));
    let Fault::Acknowledged { what, .. } = damage.fault else {
        panic!("{damage}");
    };
    assert_eq!((damage.entry, *what), (3, Fault::DetailZeroed));
    assert_eq!(bed.open().unwrap().1.size, 2);
}

/// The erasing entry would lie in the torn batch, and was durable before the detail was zeroed.
#[test]
fn a_zeroed_detail_before_a_torn_tail_is_damage() {
    let bed = Bed::new();
    let places = bed.filled(&[2, 2]);
    let early = places[0].locations[0];
    let end = (early.offset + u64::from(early.length)) as usize;
    let trailer = places[1].trailer.offset as usize;
    change(&bed.segment(0), |bytes| {
        bytes[end - 72..end].fill(0);
        bytes[trailer + 30] ^= 1;
    });
    let damage = refused(&bed);
    assert_eq!((damage.entry, damage.fault), (0, Fault::DetailZeroed));
}

/// Three segments, beginning with 0, 10 and 20.
fn three_segments(bed: &Bed) {
    bed.filled_and_closed(&[10, 10, 10]);
    assert!(bed.segment(10).exists() && bed.segment(20).exists());
}

#[test]
fn a_missing_segment_is_named() {
    for first in [0, 10, 20] {
        let bed = Bed::new();
        three_segments(&bed);
        fs::remove_file(bed.segment(first)).unwrap();
        let damage = refused(&bed);
        assert_eq!((damage.file, damage.entry), (bed.segment(first), first));
        assert_eq!(damage.fault, Fault::MissingSegment);
    }
    let bed = Bed::new();
    three_segments(&bed);
    for first in [0, 10, 20] {
        fs::remove_file(bed.segment(first)).unwrap();
    }
    assert_eq!(refused(&bed).fault, Fault::MissingSegment);
}

#[test]
fn a_missing_last_segment_is_noticed_even_if_nobody_knows_its_entries() {
    let bed = Bed::new();
    bed.filled(&[10, 10]);
    fs::remove_file(bed.segment(10)).unwrap();
    let damage = refused(&bed);
    assert_eq!((damage.file, damage.fault), (bed.segment(10), Fault::MissingSegment));
}

#[test]
fn a_truncated_or_lengthened_segment_is_named() {
    for first in [0, 10, 20] {
        for length in [0, 1, 4095, 4096, 8191, 8193] {
            let bed = Bed::new();
            three_segments(&bed);
            change(&bed.segment(first), |bytes| bytes.resize(length, 0));
            let damage = refused(&bed);
            let expected = if length < 4096 { 4096 } else { 8192 };
            // An empty last segment looks half-created, but its entries are known.
            if (first, length) == (20, 0) {
                assert_eq!(damage.fault, Fault::MissingSegment);
                continue;
            }
            assert_eq!(damage.file, bed.segment(first));
            let found = length as u64;
            assert_eq!(damage.fault, Fault::SegmentLength { found, expected });
        }
    }
}

#[test]
fn a_renamed_segment_is_named() {
    let bed = Bed::new();
    three_segments(&bed);
    fs::rename(bed.segment(20), bed.segment(21)).unwrap();
    let damage = refused(&bed);
    assert_eq!((damage.file, damage.fault), (bed.segment(21), Fault::WrongName { found: 20 }));
    fs::rename(bed.segment(21), bed.dir.join("20.seg")).unwrap();
    assert_eq!(refused(&bed).fault, Fault::MissingSegment);
}

#[test]
fn files_of_another_ledger_are_refused() {
    let bed = Bed::new();
    three_segments(&bed);
    let wrong = Journal::open(&bed.dir, Some([1; 16]), Evidence::default(), "x");
    assert_eq!(damage(wrong).fault, Fault::WrongLedger);

    let other = Bed::new();
    let mut journal = Journal::create_with(&other.dir, [1; 16], SMALL).unwrap();
    for _ in 0..3 {
        append(&mut journal, 10);
    }
    drop(journal);
    for name in ["published", "00000000000000000010.seg"] {
        let bed = Bed::new();
        three_segments(&bed);
        fs::copy(other.dir.join(name), bed.dir.join(name)).unwrap();
        let damage = refused(&bed);
        assert_eq!((damage.file, damage.fault), (bed.dir.join(name), Fault::WrongLedger));
    }
}

#[test]
fn a_segment_that_was_created_and_never_written_to_is_removed() {
    for length in [0, 100, 4096, 8192] {
        let bed = Bed::new();
        bed.filled(&[2, 3]);
        fs::write(bed.segment(5), vec![0; length]).unwrap();
        let (mut journal, recovery) = bed.open().unwrap();
        assert_eq!((recovery.size, recovery.half_created), (5, Some(5)));
        assert!(!bed.segment(5).exists());
        append(&mut journal, 10);
        append(&mut journal, 5);
        assert_eq!(entries(&journal.reader(), 0, 20), (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_blank_segment_that_cannot_be_half_created_is_damage() {
    let bed = Bed::new();
    bed.filled(&[2, 3]);
    fs::write(bed.segment(6), [0; 8192]).unwrap();
    assert_eq!(refused(&bed).fault, Fault::Gap { expected: 5 });
    fs::rename(bed.segment(6), bed.segment(5)).unwrap();
    change(&bed.segment(5), |bytes| bytes[8000] = 1);
    assert_eq!(refused(&bed).fault, Fault::SegmentHeader);
    change(&bed.segment(5), |bytes| bytes[8000] = 0);
    assert!(is_acknowledged(&refused_knowing(&bed, knowing_index(6)), Source::IndexWatermark));
}

/// Leaves what a stop between creating a segment and its first batch leaves.
fn add_empty_segment(bed: &Bed, first: u64, previous: u64) {
    let header = Header { ledger_id: LEDGER, first, previous: Some(previous), length: 8192 };
    let mut bytes = header.encode().to_vec();
    bytes.resize(8192, 0);
    fs::write(bed.segment(first), bytes).unwrap();
}

#[test]
fn an_empty_last_segment_takes_the_last_trailer_from_the_one_before() {
    let bed = Bed::new();
    bed.filled(&[2, 3]);
    add_empty_segment(&bed, 5, 0);
    let (mut journal, recovery) = bed.open().unwrap();
    assert_eq!(recovery.last_trailer.unwrap().checkpoint, checkpoint(5));
    assert_eq!(recovery.size, 5);
    append(&mut journal, 1);
    assert!(bed.segment(5).exists());
    assert_eq!(entries(&journal.reader(), 0, 6), [0, 1, 2, 3, 4, 5]);
    drop(journal);

    // The same where the new segment's first batch is torn.
    let end = HEADER_BYTES as usize + 100;
    change(&bed.segment(5), |bytes| bytes[end..].fill(0));
    let published = fs::read(bed.dir.join("published")).unwrap();
    let (journal, recovery) = bed.open().unwrap();
    assert_eq!(recovery.last_trailer.unwrap().size(), 5);
    assert_eq!(recovery.cut.unwrap().bytes, 100);
    drop(journal);

    // And damage in the one before is damage.
    fs::write(bed.dir.join("published"), published).unwrap();
    change(&bed.segment(0), |bytes| bytes[HEADER_BYTES as usize + 40] ^= 1);
    assert_eq!(refused(&bed).fault, Fault::Head);
}

#[test]
fn a_segment_that_begins_too_late_is_a_gap() {
    let bed = Bed::new();
    bed.filled(&[2, 3]);
    add_empty_segment(&bed, 6, 0);
    let damage = refused(&bed);
    assert_eq!((damage.file, damage.entry), (bed.segment(0), 5));
    assert_eq!(damage.fault, Fault::Missing);
}

#[test]
fn a_torn_published_slot_is_borne_unless_something_must_be_cut() {
    let slots: [PathBuf; 2] = [0, 4096].map(|at| {
        let bed = Bed::new();
        let (whole, batch) = two_batches(&bed);
        change(&bed.dir.join("published"), |bytes| bytes[at + 30] ^= 1);
        fs::write(bed.segment(0), &whole[..]).unwrap();
        assert_eq!(outcome(&bed, Evidence::default()).unwrap(), (4, false));
        change(&bed.segment(0), |bytes| bytes[batch.end - 1] ^= 1);
        let damage = refused(&bed);
        assert_eq!((damage.offset, damage.fault), (at as u64, Fault::Mark));
        damage.file
    });
    assert!(slots[0].ends_with("published"));
}

#[test]
fn an_unreadable_mark_is_refused() {
    let bed = Bed::new();
    bed.filled(&[2]);
    let published = bed.dir.join("published");
    change(&published, |bytes| {
        bytes[30] ^= 1;
        bytes[4096 + 30] ^= 1;
    });
    assert_eq!(refused(&bed).fault, Fault::Mark);
    fs::write(&published, b"").unwrap();
    assert_eq!(refused(&bed).fault, Fault::Mark);
    fs::remove_file(&published).unwrap();
    assert_eq!(refused(&bed).fault, Fault::Mark);
}

#[test]
fn a_mark_with_another_root_or_size_is_refused() {
    for (size, other_root) in [(4, true), (3, false), (2, true)] {
        let bed = Bed::new();
        let mut journal = bed.create();
        append(&mut journal, 2);
        append(&mut journal, 2);
        let root = if other_root { [9; 32] } else { root(size) };
        journal.published(size, root).unwrap();
        drop(journal);
        let damage = refused(&bed);
        assert_eq!((damage.fault, damage.entry), (Fault::MarkContradicts, size));
    }
    // A clean-stop mark that outlived the entries after it.
    let bed = Bed::new();
    bed.filled_and_closed(&[2]);
    let mark = fs::read(bed.dir.join("clean-stop")).unwrap();
    let (mut journal, _) = bed.open().unwrap();
    append(&mut journal, 1);
    drop(journal);
    fs::write(bed.dir.join("clean-stop"), mark).unwrap();
    assert_eq!(refused(&bed).fault, Fault::MarkContradicts);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the last segment holds, opening neither panics nor keeps less than was named.
    #[test]
    fn any_bytes_in_the_last_segment_are_borne(
        at in 0_usize..8192,
        bytes in proptest::collection::vec(any::<u8>(), 1..300),
        zeros in 0_usize..300,
    ) {
        let bed = Bed::new();
        bed.filled(&[2, 2]);
        change(&bed.segment(0), |file| {
            let end = (at + bytes.len()).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
            let zeroed = (end + zeros).min(file.len());
            file[end..zeroed].fill(0);
        });
        match examine(&(&bed.dir).into(), Some(LEDGER), &knowing_index(2)) {
            Ok(plan) => prop_assert!(plan.size == 2 || plan.size == 4),
            Err(error) => prop_assert!(matches!(error, JournalError::Damaged(_))),
        }
        let report = fsck(&bed.dir, Exchange::Stopped, &mut |_| false, &mut |_, _| {});
        prop_assert!(report.is_ok());
        for scanned in JournalReader::new(&bed.dir, LEDGER).scan(0, 4) {
            if let Ok(Scanned::Entry { index, record, .. }) = scanned {
                prop_assert_eq!(record.leaf, stored(index).leaf);
            }
        }
    }
}
