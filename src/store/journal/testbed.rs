//! What the journal's tests share: small journals with known content, and ways to harm them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

pub(super) const LEDGER: LedgerId = [0x5A; 16];
pub(super) const SMALL: Options = Options { segment_bytes: 4096 + 4096 };

/// A folder with a journal in it, gone at the end of the test.
pub(super) struct Bed {
    _folder: TempDir,
    pub(super) dir: PathBuf,
}

impl Bed {
    pub(super) fn new() -> Bed {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("journal");
        Bed { _folder: folder, dir }
    }

    pub(super) fn create(&self) -> Journal {
        Journal::create_with(&self.dir, LEDGER, SMALL).unwrap()
    }

    pub(super) fn open(&self) -> Result<(Journal, Recovery), JournalError> {
        self.open_knowing(Evidence::default())
    }

    pub(super) fn open_knowing(
        &self,
        evidence: Evidence,
    ) -> Result<(Journal, Recovery), JournalError> {
        Journal::open_with(&self.dir, Some(LEDGER), evidence, "2026-01-01T00-00", SMALL)
    }

    /// A journal of `batches`, dropped without an orderly close; returns the last batch's places.
    pub(super) fn filled(&self, batches: &[usize]) -> Vec<Appended> {
        let mut journal = self.create();
        batches.iter().map(|&count| append(&mut journal, count)).collect()
    }

    /// Like [`Bed::filled`], closed in order.
    pub(super) fn filled_and_closed(&self, batches: &[usize]) -> Vec<Appended> {
        let places = self.filled(batches);
        let (journal, _) = self.open().unwrap();
        journal.close_clean().unwrap();
        places
    }

    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:020}.seg"))
    }

    pub(super) fn fsck(&self) -> Report {
        fsck(&self.dir, Exchange::Stopped, &mut |_| false, &mut |_, _| {}).unwrap()
    }

    /// Changes one byte of a file in place.
    pub(super) fn flip(path: &Path, at: u64) {
        let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 1 << (at % 8);
        file.write_all_at(&byte, at).unwrap();
    }

    /// Every file's name and content.
    pub(super) fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    pub(super) fn restore(&self, files: &[(PathBuf, Vec<u8>)]) {
        fs::remove_dir_all(&self.dir).unwrap();
        fs::create_dir(&self.dir).unwrap();
        for (path, content) in files {
            fs::write(path, content).unwrap();
        }
    }
}

pub(super) fn record(number: u64) -> Record {
    let byte = (number as u8).wrapping_mul(8);
    Record {
        leaf: [byte + 1; LEAF_BYTES],
        facts_opening: [byte + 2; 32],
        facts: vec![byte + 3; 20],
        detail_opening: [byte + 4; 32],
        detail: vec![byte + 5; 40],
    }
}

pub(super) fn root(size: u64) -> [u8; 32] {
    [size as u8 | 0x80; 32]
}

pub(super) fn checkpoint(size: u64) -> Vec<u8> {
    format!("checkpoint of {size}\n").into_bytes()
}

/// Appends a batch of known content.
pub(super) fn append(journal: &mut Journal, count: usize) -> Appended {
    try_append(journal, count).unwrap()
}

pub(super) fn try_append(journal: &mut Journal, count: usize) -> Result<Appended, JournalError> {
    let first = journal.size();
    let size = first + count as u64;
    let records: Vec<_> = (first..size).map(record).collect();
    journal.append(&records, root(size), &checkpoint(size))
}

/// What a record reads back as.
pub(super) fn stored(number: u64) -> Stored {
    let Record { leaf, facts_opening, facts, detail_opening: opening, detail: content } =
        record(number);
    Stored { number, leaf, facts_opening, facts, detail: Detail::Present { opening, content } }
}

/// The entries that a scan gives, each checked against what was appended.
pub(super) fn entries(reader: &JournalReader, from: u64, to: u64) -> Vec<u64> {
    reader
        .scan(from, to)
        .filter_map(|scanned| match scanned.unwrap() {
            Scanned::Entry { index, record, .. } => {
                assert_eq!(record, stored(index));
                Some(index)
            }
            Scanned::Batch { .. } => None,
        })
        .collect()
}

pub(super) fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The damage that an error names; panics on another error or none.
pub(super) fn damage<T>(result: Result<T, JournalError>) -> Damage {
    match result {
        Err(JournalError::Damaged(damage)) => *damage,
        Err(other) => panic!("not damage: {other}"),
        Ok(_) => panic!("no error"),
    }
}
