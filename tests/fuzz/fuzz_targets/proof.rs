//! A `.tlog-proof`: written back as the same bytes, and a proof of one leaf at one place.
#![no_main]

use std::sync::LazyLock;

use cairn::ledger::merkle::Hash;
use cairn::ledger::tlog_proof::{EXTRA_BYTES_MAX, TLOG_PROOF_BYTES_MAX, TlogProof};
use cairn_fuzz::entries::{ENTRIES, hashes, record};
use cairn_fuzz::{harmed, reference, vkey};
use libfuzzer_sys::fuzz_target;

static LEAVES: LazyLock<Vec<[u8; 89]>> =
    LazyLock::new(|| (0..ENTRIES).map(|entry| record(entry).leaf).collect());
static HASHES: LazyLock<Vec<reference::Hash>> = LazyLock::new(hashes);

fuzz_target!(|data: &[u8]| {
    let Ok(proof) = TlogProof::parse(data) else { return };
    assert!(data.len() <= TLOG_PROOF_BYTES_MAX);
    assert!(proof.extra().is_none_or(|extra| extra.len() <= EXTRA_BYTES_MAX));
    assert_eq!(proof.to_text().as_bytes(), data);
    let vkeys = [vkey()];
    let proves = |leaf: &[u8; 89]| proof.verify(leaf, &vkeys).ok();
    let proved: Vec<_> = LEAVES.iter().filter_map(|leaf| Some((leaf, proves(leaf)?))).collect();
    let Some((leaf, (index, checkpoint))) = proved.first() else { return };
    assert_eq!(proved.len(), 1, "of several leaves");
    assert_eq!((*index, *leaf), (proof.index(), &LEAVES[*index as usize]), "of another leaf");
    let size = usize::try_from(checkpoint.size()).expect("a small ledger");
    assert_eq!(checkpoint.root(), Hash::from_bytes(reference::root(&HASHES[..size])));
    let path: Vec<_> = proof.path().iter().map(|hash| *hash.as_bytes()).collect();
    assert_eq!(path, reference::inclusion(*index as usize, &HASHES[..size]));
    let other = harmed(data).and_then(|harmed| TlogProof::parse(&harmed).ok());
    let other = other.and_then(|other| other.verify(*leaf, &vkeys).ok());
    assert!(other.is_none_or(|other| (other.0, &other.1) == (*index, checkpoint)), "of another");
});
