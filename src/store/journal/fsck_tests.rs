//! fsck finds every changed byte, names its entry, goes on after it, and bears a running writer.

use std::fs;
use std::path::PathBuf;

use super::testbed::*;
use super::*;

/// What each byte of a segment belongs to: the entry expected there, or nothing.
fn entry_at(places: &[Appended], segment: u64, at: u64) -> Option<u64> {
    let mut number = 0;
    let mut covers = |location: &Location, count: u64| {
        let range = location.offset..location.offset + u64::from(location.length);
        let here = location.segment == segment && range.contains(&at);
        let found = here.then_some(number);
        number += count;
        found
    };
    for batch in places {
        for location in &batch.locations {
            if let Some(found) = covers(location, 1) {
                return Some(found);
            }
        }
        if let Some(found) = covers(&batch.trailer, 0) {
            return Some(found);
        }
    }
    None
}

fn closed_journal(bed: &Bed) -> (Vec<Appended>, Vec<PathBuf>) {
    let places = bed.filled_and_closed(&[3, 7, 6, 4]);
    assert!(bed.segment(10).exists());
    let mut files: Vec<_> = bed.snapshot().into_iter().map(|(path, _)| path).collect();
    files.retain(|path| !path.ends_with("spare.tmp"));
    assert_eq!(files.len(), 4);
    (places, files)
}

#[test]
fn every_changed_byte_is_found_and_named() {
    let bed = Bed::new();
    let (places, files) = closed_journal(&bed);
    let sound = bed.fsck();
    assert!(sound.is_sound(), "{:?}", sound.problems);
    assert_eq!((sound.entries, sound.size, sound.segments), (20, 20, 2));
    for path in files {
        let segment = [0, 10].into_iter().find(|&first| bed.segment(first) == path);
        for at in 0..fs::metadata(&path).unwrap().len() {
            Bed::flip(&path, at);
            let report = bed.fsck();
            let names = |problem: &Damage| {
                let entry = segment.and_then(|first| entry_at(&places, first, at));
                problem.file == path
                    && problem.offset <= at
                    && entry.is_none_or(|entry| entry == problem.entry)
            };
            assert!(
                report.problems.iter().any(names),
                "{} byte {at}: {:?}",
                path.display(),
                report.problems
            );
            Bed::flip(&path, at);
        }
    }
    assert!(bed.fsck().is_sound());
}

#[test]
fn every_changed_byte_that_is_read_is_found_by_opening_or_scanning() {
    let bed = Bed::new();
    let (places, files) = closed_journal(&bed);
    let evidence = Evidence::default();
    for path in files {
        for at in 0..fs::metadata(&path).unwrap().len() {
            // The zeros after the last batch of a segment that is not the last are fsck's to read.
            let entry = entry_at(&places, 0, at);
            let is_first = path == bed.segment(0);
            if is_first && at >= 4096 && entry.is_none() {
                break;
            }
            Bed::flip(&path, at);
            match recovery::examine(&(&bed.dir).into(), Some(LEDGER), &evidence) {
                Err(JournalError::Damaged(damage)) => assert_eq!(damage.file, path),
                Err(other) => panic!("{} byte {at}: {other}", path.display()),
                Ok(plan) if !is_first => {
                    // An earlier batch's detail: the caller judges whether it was erased.
                    let entry = entry_at(&places, 10, at).unwrap();
                    assert_eq!(plan.doubtful[0].number, entry, "byte {at}");
                }
                Ok(_) => {
                    let found =
                        JournalReader::new(&bed.dir, LEDGER).scan(0, 20).find_map(|scanned| {
                            match scanned {
                                Err(error) => Some(damage::<()>(Err(error)).entry),
                                Ok(Scanned::Entry { index, record, .. })
                                    if record.detail == Detail::Damaged =>
                                {
                                    Some(index)
                                }
                                Ok(_) => None,
                            }
                        });
                    assert_eq!(found, entry, "byte {at}");
                }
            }
            Bed::flip(&path, at);
        }
    }
}

#[test]
fn goes_on_after_each_problem() {
    let bed = Bed::new();
    let (places, _) = closed_journal(&bed);
    // Heads, a detail, a trailer, a kind, and a byte after the last batch.
    Bed::flip(&bed.segment(0), places[0].locations[1].offset + 40);
    let detail = places[1].locations[1];
    let last_byte = detail.offset + u64::from(detail.length) - 1;
    Bed::flip(&bed.segment(0), last_byte);
    Bed::flip(&bed.segment(0), places[1].locations[2].offset + 40);
    Bed::flip(&bed.segment(0), places[1].trailer.offset + 40);
    Bed::flip(&bed.segment(10), places[2].locations[3].offset);
    Bed::flip(&bed.segment(10), 8191);
    let report = bed.fsck();
    let found: Vec<_> = report.problems.iter().map(|p| (p.entry, p.fault.clone())).collect();
    let expected = [
        (1, Fault::Head),
        (4, Fault::Detail),
        (5, Fault::Head),
        (10, Fault::Trailer),
        (13, Fault::UnknownKind),
        (20, Fault::NotZero),
    ];
    assert_eq!(found, expected);
    assert_eq!(report.entries, 17);
    assert_eq!(report.problem_count, expected.len() as u64);
}

#[test]
fn names_missing_truncated_and_stray_files() {
    let bed = Bed::new();
    bed.filled_and_closed(&[10, 10, 10]);
    let whole = bed.snapshot();
    fs::remove_file(bed.segment(10)).unwrap();
    fs::write(bed.dir.join("notes.txt"), b"").unwrap();
    let problems = bed.fsck().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!((&problems[0].file, problems[0].entry), (&bed.segment(10), 10));
    assert_eq!(problems[1].fault, Fault::StrayFile);

    bed.restore(&whole);
    fs::remove_file(bed.segment(20)).unwrap();
    let problems = bed.fsck().problems;
    assert!(problems.iter().any(|p| p.file == bed.segment(20)), "{problems:?}");

    bed.restore(&whole);
    change(&bed.segment(10), |bytes| bytes.truncate(6000));
    let problems = bed.fsck().problems;
    assert!(matches!(problems[0].fault, Fault::SegmentLength { found: 6000, .. }));
    assert!(problems.len() >= 2, "the cut frame is named too: {problems:?}");

    bed.restore(&whole);
    fs::remove_file(bed.dir.join("published")).unwrap();
    assert_eq!(bed.fsck().problems[0].fault, Fault::Mark);
}

#[test]
fn tells_an_unfinished_batch_from_damage() {
    let bed = Bed::new();
    let places = bed.filled(&[2, 2]);
    Bed::flip(&bed.segment(0), places[1].trailer.offset + 40);
    let problems = bed.fsck().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].fault, Fault::Torn(Box::new(Fault::Trailer)));

    let bed = Bed::new();
    let places = bed.filled_and_closed(&[2, 2]);
    Bed::flip(&bed.segment(0), places[1].trailer.offset + 40);
    assert_eq!(bed.fsck().problems[0].fault, Fault::Trailer);
}

#[test]
fn beside_a_running_writer_it_goes_no_further_than_the_published_size() {
    let bed = Bed::new();
    let mut journal = bed.create();
    append(&mut journal, 10);
    append(&mut journal, 2);
    journal.published(12, root(12)).unwrap();
    let unfinished = append(&mut journal, 2);
    let trailer = unfinished.trailer;
    Bed::flip(&bed.segment(trailer.segment), trailer.offset + 40);
    let check = |exchange| fsck(&bed.dir, exchange, &mut |_| false, &mut |_, _| {}).unwrap();
    let running = check(Exchange::Running);
    assert!(running.is_sound(), "{:?}", running.problems);
    assert_eq!((running.size, running.entries), (12, 12));
    assert_eq!(check(Exchange::Stopped).problems.len(), 1);
}

#[test]
fn reports_progress_to_the_last_byte() {
    let bed = Bed::new();
    bed.filled_and_closed(&[10, 10, 10]);
    let mut seen = Vec::new();
    let mut progress = |done, total| seen.push((done, total));
    fsck(&bed.dir, Exchange::Stopped, &mut |_| false, &mut progress).unwrap();
    assert!(seen.is_sorted());
    assert_eq!(seen.last(), Some(&(3 * 8192, 3 * 8192)));
}
