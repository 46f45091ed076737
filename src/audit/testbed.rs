//! What the tests of this room share: a small ledger of known content, as a journal and
//! as a mirror, and ways to harm either.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    crypto::sign::SigningKey,
    ledger::{
        checkpoint::Checkpoint,
        growth::Growth,
        leaf::{Leaf, commit},
        merkle::{Hash, leaf_hash},
        note::{KeyKind, Vkey},
        tiles::{TILE_WIDTH, encode_bundle, encode_tile, entries_path, tile_path, tiles_of},
    },
    proto::{self, EntryType, Facts},
    store::{
        Journal, Record,
        journal::{LedgerId, Options},
    },
};

pub(super) const ORIGIN: &str = "cairn.example/test";
pub(super) const LEDGER: LedgerId = [0x5A; 16];
const SMALL: Options = Options { segment_bytes: 64 * 1024 };

/// The root and the checkpoint that close a batch.
type Sealed = ([u8; 32], Vec<u8>);

/// A ledger in memory.
#[derive(Clone)]
pub(super) struct Ledger {
    key: [u8; 32],
    pub(super) records: Vec<Record>,
}

impl Ledger {
    /// A ledger of `size` entries: its genesis, then concerns.
    pub(super) fn of(size: u64) -> Self {
        let mut ledger = Self { key: [7; 32], records: Vec::new() };
        ledger.grow(size);
        ledger
    }

    pub(super) fn grow(&mut self, size: u64) {
        for entry in self.records.len() as u64..size {
            let facts = self.facts(entry);
            self.records.push(record(entry, entry, &facts));
        }
    }

    pub(super) fn facts(&self, entry: u64) -> Facts {
        let mut facts = Facts::default();
        if entry == 0 {
            facts.set_type(EntryType::Genesis);
            facts.subject = self.vkey().to_string();
            return facts;
        }
        facts.set_type(EntryType::Concern);
        facts.sender = "police-ardness".into();
        facts.inboxes = vec!["sw-ardness/duty".into()];
        (facts.sender_number, facts.inbox_numbers) = (entry, vec![entry]);
        facts
    }

    /// Writes an entry anew, as an operator might who has the key.
    pub(super) fn rewrite(&mut self, entry: u64) {
        let mut facts = self.facts(entry);
        facts.urgency = "routine".into();
        self.records[entry as usize] = record(entry, entry, &facts);
    }

    pub(super) fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.key)
    }

    pub(super) fn vkey(&self) -> Vkey {
        Vkey::new(ORIGIN, KeyKind::Ed25519, self.signing_key().public()).unwrap()
    }

    pub(super) fn size(&self) -> u64 {
        self.records.len() as u64
    }

    pub(super) fn root(&self, size: u64) -> Hash {
        let mut growth = Growth::new();
        for record in &self.records[..size as usize] {
            growth.push(leaf_hash(&record.leaf), &mut Vec::new());
        }
        growth.root()
    }

    pub(super) fn checkpoint(&self, size: u64) -> Vec<u8> {
        let checkpoint = Checkpoint::new(ORIGIN, size, self.root(size)).unwrap();
        checkpoint.sign(&self.signing_key())
    }

    /// The hashes of a tile, from nothing but their definition.
    pub(super) fn tile(&self, level: u8, index: u64, width: u16) -> Vec<Hash> {
        let below = 1_u64 << (8 * level);
        let first = index * u64::from(TILE_WIDTH) * below;
        (0..u64::from(width))
            .map(|offset| {
                let from = (first + offset * below) as usize;
                let mut subtree = Growth::new();
                for record in &self.records[from..from + below as usize] {
                    subtree.push(leaf_hash(&record.leaf), &mut Vec::new());
                }
                subtree.root()
            })
            .collect()
    }

    pub(super) fn bundle(&self, index: u64, width: u16) -> Vec<u8> {
        let first = index as usize * usize::from(TILE_WIDTH);
        let records = &self.records[first..first + usize::from(width)];
        encode_bundle(records.iter().map(|record| &record.leaf[..])).unwrap()
    }

    /// Writes the mirror of the whole ledger.
    pub(super) fn mirror(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for tile in tiles_of(self.size()) {
            let hashes = self.tile(tile.level, tile.index, tile.width);
            put(&tile_path(tile.level, tile.index, tile.width), &encode_tile(&hashes));
            if tile.level == 0 {
                let bundle = self.bundle(tile.index, tile.width);
                put(&entries_path(tile.index, tile.width), &bundle);
            }
        }
        put("checkpoint", &self.checkpoint(self.size()));
        folder
    }

    /// Writes the journal, in batches of this many entries.
    pub(super) fn journal(&self, batches: &[usize]) -> TempDir {
        self.journal_sealed(batches, &|ledger, size| {
            (*ledger.root(size).as_bytes(), ledger.checkpoint(size))
        })
    }

    /// The same, with other roots and checkpoints.
    pub(super) fn journal_sealed(
        &self,
        batches: &[usize],
        seal: &dyn Fn(&Ledger, u64) -> Sealed,
    ) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("journal");
        let mut journal = Journal::create_with(&dir, LEDGER, SMALL).unwrap();
        let mut first = 0;
        for count in batches {
            let size = first + count;
            let (root, checkpoint) = seal(self, size as u64);
            journal.append(&self.records[first..size], root, &checkpoint).unwrap();
            first = size;
        }
        journal.close_clean().unwrap();
        folder
    }
}

/// A whole record of these facts, its openings made from its number.
pub(super) fn record(entry: u64, time: u64, facts: &Facts) -> Record {
    let facts = proto::encode(facts);
    let detail = format!("detail of {entry}").into_bytes();
    let (facts_opening, detail_opening) = ([entry as u8; 32], [!entry as u8; 32]);
    let leaf = Leaf {
        entry_id: [entry as u8; 16],
        time_unix_ns: time,
        facts: commit(&facts, &facts_opening),
        detail: commit(&detail, &detail_opening),
    };
    Record { leaf: leaf.encode(), facts_opening, facts, detail_opening, detail }
}

/// Changes one byte of a file.
pub(super) fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(file, bytes).unwrap();
}

/// Every file below a folder, by its path from there.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}
