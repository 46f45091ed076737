//! A leaf: 89 bytes with one spelling, which give one hash.
#![no_main]

use cairn::ledger::leaf::{LEAF_BYTES, LEAF_VERSION, Leaf, commit, opens};
use cairn_fuzz::{harmed, reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let read = Leaf::decode(data);
    assert_eq!(read.is_ok(), data.len() == LEAF_BYTES && data[0] == LEAF_VERSION);
    if let Ok(leaf) = read {
        assert_eq!(leaf.encode(), data);
        assert_eq!(leaf.hash().as_bytes(), &reference::leaf(data));
        let other = harmed(data).and_then(|harmed| Leaf::decode(&harmed).ok());
        assert!(other.is_none_or(|other| other != leaf && other.hash() != leaf.hash()));
    }
    let Some((opening, content)) = data.split_first_chunk::<32>() else { return };
    let commitment = commit(content, opening);
    assert!(opens(&commitment, content, opening));
    if let Some(other) = harmed(content) {
        assert!(!opens(&commitment, &other, opening));
    }
});
