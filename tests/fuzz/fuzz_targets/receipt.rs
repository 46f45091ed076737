//! What opens a receipt, JSON, beside a proof that is good: it opens to what was committed to, or
//! not at all. The entry is number 3 of the corpus' ledger of entries.
#![no_main]

use std::sync::LazyLock;

use cairn::audit::verify::{Opening, verify_receipt};
use cairn::store::Record;
use cairn_fuzz::entries::{ENTRIES, proof, record};
use cairn_fuzz::vkey;
use libfuzzer_sys::fuzz_target;

const ENTRY: usize = 3;
static RECORD: LazyLock<Record> = LazyLock::new(|| record(ENTRY));
static PROOF: LazyLock<String> = LazyLock::new(|| proof(ENTRY, ENTRIES).to_text());

fuzz_target!(|data: &[u8]| {
    let Ok(opening) = Opening::parse(data) else { return };
    let Ok(proved) = verify_receipt(PROOF.as_bytes(), &opening, &[vkey()]) else { return };
    assert_eq!(proved.entry, ENTRY as u64);
    assert_eq!(opening.leaf, RECORD.leaf);
    assert_eq!(opening.facts, RECORD.facts);
    assert_eq!(opening.facts_opening, RECORD.facts_opening);
    assert!(!proved.detail || opening.detail == RECORD.detail);
});
