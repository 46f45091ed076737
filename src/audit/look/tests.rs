use super::*;
use crate::{
    crypto::sign::{SigningKey, sign_dsse},
    proto::{DirectoryChange, Signature, SignedChange, directory_change::Change},
};

/// A directory with one key of the system `police-ardness/desk`.
fn directory(key: &SigningKey) -> Directory {
    let mut directory = Directory::of("cairn.example/test");
    let record = proto::SigningKey {
        agency: "police-ardness".into(),
        system: "desk".into(),
        public_key: key.public().to_bytes().to_vec(),
        ..Default::default()
    };
    directory.apply(0, &change(Change::SigningKey(record)));
    directory
}

fn change(change: Change) -> SignedChange {
    let change = DirectoryChange { change: Some(change), ..Default::default() };
    SignedChange { change: proto::encode(&change), signatures: Vec::new() }
}

fn envelope(key: &SigningKey, from: &str, system: &str) -> Vec<u8> {
    let statement = Statement { from: from.into(), system: system.into(), ..Statement::default() };
    let statement = proto::encode(&statement);
    let signature = Signature {
        key_id: key.key_id().0.to_vec(),
        signature: sign_dsse(key, STATEMENT_TYPE, &statement).to_vec(),
    };
    proto::encode(&Envelope { statement, signature: Some(signature), body: None })
}

#[test]
fn a_statement_must_be_signed_by_a_key_of_the_system_it_names() {
    let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let directory = directory(&key);
    let signed = envelope(&key, "police-ardness", "desk");
    assert!(!must_be_signed(&directory, &signed, Moment(0)).unwrap());
    let mut altered: Envelope = proto::decode(&signed).unwrap();
    // An unknown field, which a reader skips: only the signature can tell.
    altered.statement.extend([0x98, 0x06, 1]);
    let unsigned = Envelope { signature: None, ..altered.clone() };
    let refused = [
        envelope(&other, "police-ardness", "desk"),
        envelope(&key, "police-ardness", "van"),
        envelope(&key, "sw-ardness", "desk"),
        proto::encode(&altered),
        proto::encode(&unsigned),
        vec![0xFF],
    ];
    for (number, envelope) in refused.iter().enumerate() {
        assert!(must_be_signed(&directory, envelope, Moment(0)).is_err(), "{number}");
    }
}

#[test]
fn a_revoked_key_casts_doubt_on_what_came_after_it_was_suspected() {
    let key = SigningKey::from_seed(&[1; 32]);
    let mut directory = directory(&key);
    let revocation = proto::KeyRevocation { key_id: key.key_id().0.to_vec(), suspected_since: 100 };
    directory.apply(1, &change(Change::KeyRevocation(revocation)));
    let signed = envelope(&key, "police-ardness", "desk");
    for (second, suspected) in [(99, false), (100, true), (101, true)] {
        let at = Moment(second * 1_000_000_000);
        assert_eq!(must_be_signed(&directory, &signed, at).unwrap(), suspected, "{second}");
    }
}
