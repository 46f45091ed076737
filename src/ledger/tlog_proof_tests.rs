//! Receipts against one that another implementation made, and broken ones.
//!
//! Knows: nothing.

use super::*;
use crate::ledger::merkle::empty_root;
use crate::ledger::tests::{
    GOLDEN_NOTE, GOLDEN_RECEIPT_HEAD, LEDGER_VKEY, WITNESS_VKEY, reference_leaves,
};

fn golden() -> String {
    format!("{GOLDEN_RECEIPT_HEAD}{GOLDEN_NOTE}")
}

fn vkeys() -> [Vkey; 2] {
    [LEDGER_VKEY, WITNESS_VKEY].map(|vkey| Vkey::parse(vkey).unwrap())
}

#[test]
fn verifies_a_receipt_made_elsewhere() {
    let receipt = TlogProof::parse(golden().as_bytes()).unwrap();
    assert_eq!(receipt.extra(), Some(b"an opening".as_slice()));
    assert_eq!((receipt.index(), receipt.path().len()), (5, 3));
    let (index, checkpoint) = receipt.verify(&reference_leaves()[5], &vkeys()).unwrap();
    assert_eq!((index, checkpoint.size()), (5, 8));
}

#[test]
fn writes_the_bytes_another_implementation_writes() {
    let parsed = TlogProof::parse(golden().as_bytes()).unwrap();
    let path = parsed.path().to_vec();
    let plain = TlogProof::new(5, path, GOLDEN_NOTE.as_bytes()).unwrap();
    let without_extra = golden().replacen("extra YW4gb3BlbmluZw==\n", "", 1);
    assert_eq!(plain.to_text(), without_extra);
    assert_eq!(TlogProof::parse(without_extra.as_bytes()), Ok(plain.clone()));
    let written = plain.with_extra(b"an opening".to_vec()).unwrap();
    assert_eq!(written.to_text(), golden());
    assert_eq!(written.checkpoint(), GOLDEN_NOTE.as_bytes());
}

#[test]
fn refuses_a_receipt_for_another_leaf_or_place() {
    let receipt = TlogProof::parse(golden().as_bytes()).unwrap();
    let leaves = reference_leaves();
    let verified = receipt.verify(&leaves[4], &vkeys());
    assert_eq!(verified, Err(Error::ProofRefused));
    for (index, error) in [("4", Error::ProofRefused), ("8", Error::OutOfRange)] {
        let moved = golden().replacen("index 5", &format!("index {index}"), 1);
        let receipt = TlogProof::parse(moved.as_bytes()).unwrap();
        assert_eq!(receipt.verify(&leaves[5], &vkeys()), Err(error));
    }
    let verified = receipt.verify(&leaves[5], &vkeys()[1..]);
    assert_eq!(verified, Err(Error::NoKnownSignature));
    let forged = golden().replacen("\n8\n", "\n7\n", 1);
    let receipt = TlogProof::parse(forged.as_bytes()).unwrap();
    let verified = receipt.verify(&leaves[5], &vkeys());
    assert_eq!(verified, Err(Error::BadSignature));
}

#[test]
fn refuses_broken_receipts() {
    let change = |from: &str, to: &str| {
        assert!(golden().contains(from), "{from}");
        golden().replacen(from, to, 1)
    };
    let (head, note) = (GOLDEN_RECEIPT_HEAD, GOLDEN_NOTE);
    for broken in [
        String::new(),
        head.to_owned(),
        note.to_owned(),
        change("@v1", "@v2"),
        change("@v1\n", "@v1\r\n"),
        change("extra YW4", "extra  YW4"),
        change("extra YW4gb3BlbmluZw==", "extra "),
        change("uZw==", "uZx=="),
        change("index 5", "index 05"),
        change("index 5", "index"),
        change("index 5", "index -1"),
        change("index 5", "index 9223372036854775808"),
        change("index 5\n", ""),
        change("index 5\n", "index 5\nextra AAAA\n"),
        change("Znms=", "Znmt="),
        change("Znms=\n", "Znms= \n"),
        change("Znms=\n", "Znms=\n\n"),
        change("ZdaCuA=", "ZdaCu="),
        format!("{}{note}", head.trim_end()),
        format!("{head}{}", note.trim_end()),
        golden() + "\n",
    ] {
        assert!(TlogProof::parse(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn takes_hashes_and_extra_up_to_the_bound_and_no_more() {
    let path = vec![empty_root(); PROOF_HASHES_MAX + 1];
    let note = GOLDEN_NOTE.as_bytes();
    assert!(TlogProof::new(0, path.clone(), note).is_err());
    let largest = TlogProof::new(LEDGER_SIZE_MAX, path[1..].to_vec(), note).unwrap();
    let largest = largest.with_extra(vec![7; EXTRA_BYTES_MAX]).unwrap();
    let text = largest.to_text();
    assert_eq!(TlogProof::parse(text.as_bytes()), Ok(largest.clone()));
    assert!(largest.with_extra(vec![7; EXTRA_BYTES_MAX + 1]).is_err());

    let hash = STANDARD.encode(empty_root().as_bytes());
    let longer = text.replacen("\n\n", &format!("\n{hash}\n\n"), 1);
    assert!(TlogProof::parse(longer.as_bytes()).is_err());
    let receipt = TlogProof::new(0, vec![], note).unwrap();
    assert!(receipt.with_extra(vec![]).is_err());
    assert!(TlogProof::new(LEDGER_SIZE_MAX + 1, vec![], note).is_err());
    assert!(TlogProof::new(0, vec![], b"no note").is_err());
    assert!(TlogProof::parse(&vec![b'x'; TLOG_PROOF_BYTES_MAX + 1]).is_err());
}
