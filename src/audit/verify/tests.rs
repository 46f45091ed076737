use std::collections::BTreeMap;

use super::*;
use crate::{
    audit::testbed::{Ledger, files, flip},
    crypto::sign::SigningKey,
    ledger::{extension::extends, merkle::Frontier, note::KeyKind, tlog_proof::TlogProof},
};

fn altered(result: Result<Verified, VerifyError>) -> (PathBuf, u64) {
    match result {
        Err(VerifyError::Altered { file, entry, .. }) => (file, entry),
        other => panic!("not an altered file: {other:?}"),
    }
}

#[test]
fn verifies_what_was_mirrored() {
    for size in [1, 2, 255, 256, 257, 600] {
        let ledger = Ledger::of(size);
        let mirror = ledger.mirror();
        let verified = verify_mirror(mirror.path(), &[ledger.vkey()]).unwrap();
        assert_eq!((verified.size, verified.root), (size, ledger.root(size)));
        assert_eq!(verified.origin, "cairn.example/test");
    }
}

#[test]
fn says_how_far_it_is() {
    let ledger = Ledger::of(300);
    let mut seen = Vec::new();
    let mut progress = |done, total| seen.push((done, total));
    verify_mirror_with(ledger.mirror().path(), &[ledger.vkey()], &mut progress).unwrap();
    assert_eq!(seen, [(256, 300), (300, 300)]);
}

/// I3: there is no byte of a mirror that can change unseen.
#[test]
fn finds_every_changed_byte_of_a_small_mirror() {
    let ledger = Ledger::of(5);
    let mirror = ledger.mirror();
    let mut found = BTreeMap::new();
    for name in files(mirror.path()) {
        let file = mirror.path().join(&name);
        for at in 0..fs::metadata(&file).unwrap().len() as usize {
            flip(&file, at);
            let error = verify_mirror(mirror.path(), &[ledger.vkey()]).unwrap_err();
            let named = match error {
                VerifyError::Altered { file, .. } | VerifyError::Checkpoint { file, .. } => file,
                other => panic!("{name} at {at}: {other}"),
            };
            assert_eq!(named, file, "at {at}");
            *found.entry(name.clone()).or_insert(0) += 1;
            flip(&file, at);
        }
    }
    assert_eq!(found["tile/entries/000.p/5"], 5 * 91);
    assert_eq!(found["tile/0/000.p/5"], 5 * 32);
    assert_eq!(found.len(), 3);
    assert!(verify_mirror(mirror.path(), &[ledger.vkey()]).is_ok());
}

#[test]
fn names_the_file_and_the_entry_in_a_larger_mirror() {
    let ledger = Ledger::of(600);
    let mirror = ledger.mirror();
    for name in files(mirror.path()).into_iter().filter(|name| name != "checkpoint") {
        let file = mirror.path().join(&name);
        let length = fs::metadata(&file).unwrap().len() as usize;
        for at in (0..length).step_by(977) {
            flip(&file, at);
            let (named, entry) = altered(verify_mirror(mirror.path(), &[ledger.vkey()]));
            assert_eq!(named, file, "at {at}");
            let (kind, place) = name.strip_prefix("tile/").unwrap().split_once('/').unwrap();
            let index: u64 = place[..3].parse().unwrap();
            let expected = match kind {
                "entries" => index * 256 + at as u64 / 91,
                "0" => index * 256 + at as u64 / 32,
                _ => at as u64 / 32 * 256,
            };
            assert_eq!(entry, expected, "{name} at {at}");
            flip(&file, at);
        }
    }
}

#[test]
fn finds_a_leaf_that_was_changed_with_its_tile() {
    let mut ledger = Ledger::of(600);
    let mirror = ledger.mirror();
    ledger.rewrite(300);
    let (bundle, tile) = ("tile/entries/001", "tile/0/001");
    fs::write(mirror.path().join(bundle), ledger.bundle(1, 256)).unwrap();
    fs::write(mirror.path().join(tile), encode_tile(&ledger.tile(0, 1, 256))).unwrap();
    let (file, entry) = altered(verify_mirror(mirror.path(), &[ledger.vkey()]));
    assert_eq!((file, entry), (mirror.path().join(bundle), 256));
}

#[test]
fn refuses_a_whole_other_tree_under_the_checkpoint() {
    let mut ledger = Ledger::of(40);
    let checkpoint = ledger.checkpoint(40);
    ledger.rewrite(17);
    let mirror = ledger.mirror();
    fs::write(mirror.path().join("checkpoint"), checkpoint).unwrap();
    let refused = verify_mirror(mirror.path(), &[ledger.vkey()]);
    assert!(matches!(refused, Err(VerifyError::Checkpoint { .. })), "{refused:?}");
}

#[test]
fn refuses_files_that_are_missing_or_longer_or_shorter() {
    let ledger = Ledger::of(300);
    let mirror = ledger.mirror();
    for name in files(mirror.path()) {
        let file = mirror.path().join(&name);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(verify_mirror(mirror.path(), &[ledger.vkey()]).is_err(), "{name} shorter");
        fs::write(&file, [whole.as_slice(), &[0]].concat()).unwrap();
        assert!(verify_mirror(mirror.path(), &[ledger.vkey()]).is_err(), "{name} longer");
        fs::remove_file(&file).unwrap();
        match verify_mirror(mirror.path(), &[ledger.vkey()]) {
            Err(VerifyError::Altered { file: named, .. }) => assert_eq!(named, file),
            Err(VerifyError::File { file: named, .. }) => assert_eq!(named, file),
            other => panic!("{name} missing: {other:?}"),
        }
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn believes_nobody_but_the_keys_that_are_named() {
    let ledger = Ledger::of(3);
    let other = SigningKey::from_seed(&[8; 32]);
    let other = Vkey::new("cairn.example/test", KeyKind::Ed25519, other.public()).unwrap();
    let refused = verify_mirror(ledger.mirror().path(), &[other]);
    let unknown = ledger::Error::NoKnownSignature;
    assert!(matches!(refused, Err(VerifyError::Checkpoint { reason, .. }) if reason == unknown));
}

/// I4: the whole point of a mirror.
#[test]
fn catches_a_rewritten_entry_under_a_fresh_signature() {
    let honest = Ledger::of(600);
    let vkeys = [honest.vkey()];
    for size in [1, 299, 300, 301, 512, 600] {
        let old = honest.checkpoint(size);
        assert!(verify_extends(honest.mirror().path(), &old, &vkeys).is_ok(), "{size}");
        let mut rewritten = honest.clone();
        rewritten.rewrite(299);
        let mirror = rewritten.mirror();
        // By itself it is whole, and the true key signed it.
        verify_mirror(mirror.path(), &vkeys).unwrap();
        let extends = verify_extends(mirror.path(), &old, &vkeys);
        match size > 299 {
            true => assert!(matches!(extends, Err(VerifyError::Rewritten(_))), "{size}"),
            false => assert_eq!(extends.unwrap().size, size),
        }
    }
}

/// An honest beginning does not make up for an end that nobody signed.
#[test]
fn refuses_to_continue_into_leaves_that_the_mirror_was_not_signed_with() {
    let ledger = Ledger::of(600);
    let mirror = ledger.mirror();
    flip(&mirror.path().join("tile/entries/002.p/88"), 50);
    let refused = verify_extends(mirror.path(), &ledger.checkpoint(20), &[ledger.vkey()]);
    assert!(matches!(refused, Err(VerifyError::Checkpoint { .. })), "{refused:?}");
}

#[test]
fn refuses_a_mirror_that_became_shorter() {
    let ledger = Ledger::of(30);
    let old = Ledger::of(31).checkpoint(31);
    let refused = verify_extends(ledger.mirror().path(), &old, &[ledger.vkey()]);
    assert!(matches!(refused, Err(VerifyError::Rewritten(_))));
}

#[test]
fn refuses_an_old_checkpoint_that_nobody_signed() {
    let ledger = Ledger::of(30);
    for at in 0..ledger.checkpoint(20).len() {
        let mut old = ledger.checkpoint(20);
        old[at] ^= 1;
        let refused = verify_extends(ledger.mirror().path(), &old, &[ledger.vkey()]);
        assert!(matches!(refused, Err(VerifyError::Checkpoint { .. })), "{at}");
    }
}

/// The receipt of an entry under the checkpoint of the whole ledger, and its opening.
fn receipt(ledger: &Ledger, entry: u64) -> (Vec<u8>, Opening) {
    let leaves: Vec<_> = ledger.records.iter().map(|record| leaf_hash(&record.leaf)).collect();
    let (old, size) = (Frontier::new(), ledger.size());
    let extension = extends(&old, &old.root(), &leaves, &ledger.root(size)).unwrap();
    let path = extension.inclusion(entry).unwrap();
    let proof = TlogProof::new(entry, path, &ledger.checkpoint(size)).unwrap();
    let record = ledger.records[entry as usize].clone();
    let opening = Opening {
        entry,
        leaf: record.leaf.to_vec(),
        facts: record.facts,
        facts_opening: record.facts_opening.to_vec(),
        detail: record.detail,
        detail_opening: record.detail_opening.to_vec(),
    };
    (proof.to_text().into_bytes(), opening)
}

#[test]
fn a_receipt_proves_its_entry_its_facts_and_its_envelope() {
    let ledger = Ledger::of(20);
    let (proof, opening) = receipt(&ledger, 13);
    let proved = verify_receipt(&proof, &opening, &[ledger.vkey()]).unwrap();
    assert_eq!((proved.entry, proved.detail), (13, true));
    assert_eq!(proved.facts, ledger.facts(13));
    let without = Opening { detail: Vec::new(), detail_opening: Vec::new(), ..opening };
    assert!(!verify_receipt(&proof, &without, &[ledger.vkey()]).unwrap().detail);
}

#[test]
fn refuses_a_receipt_with_any_part_changed() {
    let ledger = Ledger::of(20);
    let (proof, opening) = receipt(&ledger, 13);
    let changed = |change: &dyn Fn(&mut Opening)| {
        let mut other = opening.clone();
        change(&mut other);
        verify_receipt(&proof, &other, &[ledger.vkey()]).unwrap_err();
    };
    changed(&|opening| opening.entry = 12);
    changed(&|opening| opening.leaf[30] ^= 1);
    changed(&|opening| opening.facts[3] ^= 1);
    changed(&|opening| opening.facts_opening[0] ^= 1);
    changed(&|opening| opening.facts_opening.truncate(31));
    changed(&|opening| opening.detail[0] ^= 1);
    changed(&|opening| opening.detail_opening[31] ^= 1);
    for at in 0..proof.len() {
        let mut other = proof.clone();
        other[at] ^= 1;
        assert!(verify_receipt(&other, &opening, &[ledger.vkey()]).is_err(), "{at}");
    }
}

#[test]
fn reads_an_opening_and_refuses_what_is_none() {
    let json = r#"{"entry":7,"envelope":"AQ==","leaf":"Ag==","facts":"Aw==",
        "facts_opening":"BA==","detail_opening":"BQ=="}"#;
    let opening = Opening::parse(json.as_bytes()).unwrap();
    assert_eq!((opening.entry, opening.leaf, opening.detail), (7, vec![2], vec![1]));
    for json in ["", "{}", "[]", r#"{"entry":7,"leaf":"?","facts":"","facts_opening":""}"#] {
        assert!(Opening::parse(json.as_bytes()).is_err(), "{json}");
    }
}
