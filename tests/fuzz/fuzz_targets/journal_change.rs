//! A journal that is whole, and one byte of it changed: the change is always told, and no reader
//! is ever given other words than were written.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};

use cairn::store::JournalReader;
use cairn::store::journal::{
    Detail, Exchange, Journal, LEAF_BYTES, LedgerId, Options, Record, Scanned, fsck,
};
use cairn_fuzz::{Choices, scratch};
use libfuzzer_sys::fuzz_target;

const LEDGER: LedgerId = [0x5A; 16];
const SIZES: Options = Options { segment_bytes: 8_192 };
const BATCHES_MAX: usize = 4;
const ENTRIES_MAX: usize = 4;
const PART_BYTES_MAX: usize = 400;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let folder = scratch();
    let dir = folder.path().join("journal");
    let records = written(&dir, &mut choices);
    assert!(check(&dir), "unsound as written");

    let files = files(&dir);
    let file = &files[choices.below(files.len())];
    let mut bytes = fs::read(file).expect("a file");
    let at = choices.below(bytes.len());
    bytes[at] ^= choices.byte().max(1);
    fs::write(file, bytes).expect("a file");

    assert!(!check(&dir), "byte {at} of {} was changed, and nothing is said", file.display());
    // Where even the beginning cannot be read, nothing is.
    let Ok(reader) = JournalReader::open_read_only(&dir) else { return };
    for scanned in reader.scan(0, records.len() as u64).map_while(Result::ok) {
        let Scanned::Entry { index, record, .. } = scanned else { continue };
        let written = &records[index as usize];
        assert_eq!((&record.leaf, &record.facts), (&written.leaf, &written.facts));
        if let Detail::Present { opening, content } = record.detail {
            assert_eq!((opening, &content), (written.detail_opening, &written.detail));
        }
    }
});

/// A journal of a few batches, closed in order.
fn written(dir: &Path, choices: &mut Choices<'_>) -> Vec<Record> {
    let mut journal = Journal::create_with(dir, LEDGER, SIZES).expect("a journal");
    let mut records = Vec::new();
    for _ in 0..1 + choices.below(BATCHES_MAX) {
        let batch: Vec<Record> =
            (0..1 + choices.below(ENTRIES_MAX)).map(|_| record(choices)).collect();
        journal.append(&batch, [batch.len() as u8; 32], b"checkpoint\n").expect("a batch");
        records.extend(batch);
    }
    journal.close_clean().expect("an orderly close");
    records
}

fn record(choices: &mut Choices<'_>) -> Record {
    let (facts, detail) = (choices.below(PART_BYTES_MAX), choices.below(PART_BYTES_MAX));
    Record {
        leaf: [choices.byte(); LEAF_BYTES],
        facts_opening: [choices.byte(); 32],
        facts: vec![choices.byte(); facts],
        detail_opening: [choices.byte(); 32],
        detail: vec![choices.byte(); detail],
    }
}

/// What belongs to the ledger: the next segment's empty file does not.
fn files(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = listed.filter(|path| !path.ends_with("spare.tmp")).collect();
    files.sort();
    files
}

fn check(dir: &Path) -> bool {
    let report = fsck(dir, Exchange::Stopped, &mut |_| false, &mut |_, _| {});
    report.expect("files that can be read").is_sound()
}
