//! Checkpoints against one that another implementation made, and broken ones.
//!
//! Knows: crypto.

use super::*;
use crate::ledger::tests::{GOLDEN_NOTE, LEDGER_VKEY, WITNESS_VKEY, leaf_hashes, naive_root};

const ORIGIN: &str = "cairn.example/ardness";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn vkey(origin: &str, seed: u8) -> Vkey {
    Vkey::new(origin, KeyKind::Ed25519, key(seed).public()).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new(ORIGIN, 5, naive_root(&leaf_hashes(5))).unwrap()
}

#[test]
fn opens_a_checkpoint_made_elsewhere() {
    let vkeys = [LEDGER_VKEY, WITNESS_VKEY].map(|vkey| Vkey::parse(vkey).unwrap());
    let opened = Checkpoint::open_any(GOLDEN_NOTE.as_bytes(), &vkeys).unwrap();
    assert_eq!((opened.origin(), opened.size()), (ORIGIN, 8));
    let root = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
    assert_eq!(opened.root().to_string(), root);
    let signed = String::from_utf8(opened.sign(&key(1))).unwrap();
    assert!(GOLDEN_NOTE.starts_with(&signed));
}

#[test]
fn opens_what_it_signed() {
    let signed = checkpoint().sign(&key(7));
    assert_eq!(Checkpoint::open(&signed, &vkey(ORIGIN, 7)), Ok(checkpoint()));
}

#[test]
fn opens_with_any_of_the_keys_a_ledger_has_had() {
    let vkeys = [vkey(ORIGIN, 7), vkey(ORIGIN, 8)];
    for seed in [7, 8] {
        let signed = checkpoint().sign(&key(seed));
        assert_eq!(Checkpoint::open_any(&signed, &vkeys), Ok(checkpoint()));
    }
    let signed = checkpoint().sign(&key(9));
    let opened = Checkpoint::open_any(&signed, &vkeys);
    assert_eq!(opened, Err(Error::NoKnownSignature));
}

#[test]
fn a_witness_alone_does_not_make_a_checkpoint() {
    let witness = Vkey::parse(WITNESS_VKEY).unwrap();
    let opened = Checkpoint::open(GOLDEN_NOTE.as_bytes(), &witness);
    assert_eq!(opened, Err(Error::NoKnownSignature));
}

#[test]
fn refuses_a_checkpoint_of_another_ledger() {
    let other = Note::sign(&checkpoint().text(), "cairn.example/other", &key(7)).unwrap();
    let opened = Checkpoint::open(&other.to_bytes(), &vkey("cairn.example/other", 7));
    assert_eq!(opened, Err(Error::WrongOrigin));
}

#[test]
fn refuses_forged_signature() {
    let signed = String::from_utf8(checkpoint().sign(&key(7))).unwrap();
    let forged = signed.replacen("\n5\n", "\n6\n", 1);
    let opened = Checkpoint::open(forged.as_bytes(), &vkey(ORIGIN, 7));
    assert_eq!(opened, Err(Error::BadSignature));
}

#[test]
fn refuses_texts_that_are_no_checkpoint_even_if_signed() {
    let root = STANDARD.encode(checkpoint().root().as_bytes());
    for text in [
        format!("{ORIGIN}\n5\n"),
        format!("{ORIGIN}\n5\n{root}\nextension\n"),
        format!("{ORIGIN}\n5\n{root}\n\n"),
        format!("{ORIGIN}\n05\n{root}\n"),
        format!("{ORIGIN}\n+5\n{root}\n"),
        format!("{ORIGIN}\n-5\n{root}\n"),
        format!("{ORIGIN}\n\n{root}\n"),
        format!("{ORIGIN}\n5 \n{root}\n"),
        format!("{ORIGIN}\n0\n{root}\n"),
        format!("{ORIGIN}\n9223372036854775808\n{root}\n"),
        format!("{ORIGIN}\n5\n{}\n", &root[..43]),
        format!("{ORIGIN}\n5\n{root}AAAA\n"),
        format!("{ORIGIN}\n5\n{}\n", STANDARD.encode([7; 31])),
        format!("{ORIGIN}\n5\n{}\n", STANDARD.encode([7; 33])),
        format!("\n5\n{root}\n"),
        format!("cairn example\n5\n{root}\n"),
    ] {
        assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        let signed = Note::sign(&text, ORIGIN, &key(7)).unwrap().to_bytes();
        let opened = Checkpoint::open(&signed, &vkey(ORIGIN, 7));
        assert!(opened.is_err(), "{text:?}");
    }
    assert_eq!(Checkpoint::parse(&checkpoint().text()), Ok(checkpoint()));
    assert!(Checkpoint::parse(checkpoint().text().trim_end()).is_err());
}

#[test]
fn takes_sizes_and_origins_up_to_the_bound_and_no_more() {
    let root = leaf_hashes(1)[0];
    let origin = "o".repeat(KEY_NAME_BYTES_MAX);
    let largest = Checkpoint::new(&origin, LEDGER_SIZE_MAX, root).unwrap();
    let signed = largest.sign(&key(7));
    assert_eq!(Checkpoint::open(&signed, &vkey(&origin, 7)), Ok(largest));
    let beyond = Checkpoint::new(&origin, LEDGER_SIZE_MAX + 1, root);
    assert_eq!(beyond, Err(Error::OutOfRange));
    assert!(Checkpoint::new(&(origin + "o"), 1, root).is_err());
    assert!(Checkpoint::new(ORIGIN, 0, root).is_err());
    assert!(Checkpoint::new(ORIGIN, 0, empty_root()).is_ok());
}
