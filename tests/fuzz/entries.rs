//! A small ledger: the same eleven entries for ever, and true proofs of each.

use cairn::ledger::checkpoint::Checkpoint;
use cairn::ledger::leaf::{Leaf, commit};
use cairn::ledger::merkle::Hash;
use cairn::ledger::tlog_proof::TlogProof;
use cairn::proto::{self, EntryType, Facts};
use cairn::store::Record;

use crate::{AGENCIES, EXCHANGE, inbox, ledger_key, reference};

/// How many entries there are.
pub const ENTRIES: usize = 11;

/// The facts of an entry: a concern.
pub fn facts(entry: usize) -> Facts {
    let mut facts = Facts {
        sender: AGENCIES[0].to_owned(),
        inboxes: vec![inbox(AGENCIES[1])],
        urgency: "urgent".to_owned(),
        reply_to: inbox(AGENCIES[0]),
        sender_number: entry as u64 + 1,
        inbox_numbers: vec![entry as u64 + 1],
        ..Facts::default()
    };
    facts.set_type(EntryType::Concern);
    facts
}

/// An entry, its openings made from its number.
pub fn record(entry: usize) -> Record {
    let facts = proto::encode(&facts(entry));
    let detail = format!("detail of {entry}").into_bytes();
    let (facts_opening, detail_opening) = ([entry as u8; 32], [!entry as u8; 32]);
    let leaf = Leaf {
        entry_id: [entry as u8; 16],
        time_unix_ns: 1_768_435_200_000_000_000 + entry as u64,
        facts: commit(&facts, &facts_opening),
        detail: commit(&detail, &detail_opening),
    };
    Record { leaf: leaf.encode(), facts_opening, facts, detail_opening, detail }
}

/// The hashes of the leaves.
pub fn hashes() -> Vec<reference::Hash> {
    (0..ENTRIES).map(|entry| reference::leaf(&record(entry).leaf)).collect()
}

/// The signed checkpoint of the first `size` entries.
pub fn checkpoint(size: usize) -> Vec<u8> {
    let root = Hash::from_bytes(reference::root(&hashes()[..size]));
    Checkpoint::new(EXCHANGE, size as u64, root).expect("a checkpoint").sign(&ledger_key())
}

/// The proof of an entry under the checkpoint of the first `size`.
pub fn proof(entry: usize, size: usize) -> TlogProof {
    let path = reference::inclusion(entry, &hashes()[..size]);
    let path = path.into_iter().map(Hash::from_bytes).collect();
    TlogProof::new(entry as u64, path, &checkpoint(size)).expect("a proof")
}
