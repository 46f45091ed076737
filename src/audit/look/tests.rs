use super::*;
use crate::{
    audit::testbed::Ledger,
    crypto::sign::{SigningKey, sign_dsse},
    proto::{DirectoryChange, Signature, SignedChange, directory_change::Change},
};

fn served(ledger: &Ledger, entry: u64) -> AuditRow {
    let record = ledger.records[entry as usize].clone();
    AuditRow {
        entry,
        at: entry,
        facts: record.facts,
        leaf: record.leaf.to_vec(),
        facts_opening: record.facts_opening.to_vec(),
        suspected: false,
    }
}

fn row(entry: u64) -> Row {
    opened(&served(&Ledger::of(entry + 1), entry)).unwrap()
}

#[test]
fn takes_a_row_whose_leaf_commits_to_its_facts() {
    let ledger = Ledger::of(8);
    let row = opened(&served(&ledger, 7)).unwrap();
    assert_eq!((row.entry, row.leaf.time_unix_ns), (7, 7));
    assert_eq!(row.facts, ledger.facts(7));
}

#[test]
fn refuses_a_row_with_any_part_changed() {
    let ledger = Ledger::of(8);
    let refused = |change: &dyn Fn(&mut AuditRow)| {
        let mut row = served(&ledger, 7);
        change(&mut row);
        assert!(matches!(opened(&row), Err(ClientError::Suspect(_))));
    };
    refused(&|row| row.at += 1);
    refused(&|row| row.facts[2] ^= 1);
    refused(&|row| row.facts_opening[0] ^= 1);
    refused(&|row| row.facts_opening.truncate(31));
    refused(&|row| row.leaf[40] ^= 1);
    refused(&|row| row.leaf.truncate(88));
    refused(&|row| row.leaf[0] = 2);
}

#[test]
fn an_answer_by_time_alone_may_leave_nothing_out() {
    let all = QueryRequest::default();
    assert!(must_follow(&all, None, &row(3)).is_ok());
    assert!(must_follow(&all, Some(&row(3)), &row(4)).is_ok());
    assert!(must_follow(&all, Some(&row(3)), &row(5)).is_err());
    let agency = QueryRequest { agency: "sw-ardness".into(), ..QueryRequest::default() };
    let thread = QueryRequest { concern: Some(3), ..QueryRequest::default() };
    for question in [agency, thread] {
        assert!(must_follow(&question, Some(&row(3)), &row(5)).is_ok());
        assert!(must_follow(&question, Some(&row(3)), &row(3)).is_err());
        assert!(must_follow(&question, Some(&row(3)), &row(2)).is_err());
    }
}

#[test]
fn an_answer_holds_no_entry_of_another_time() {
    let question = QueryRequest { from_time: 3, until_time: 6, ..QueryRequest::default() };
    for entry in 0..9 {
        let fits = must_follow(&question, None, &row(entry)).is_ok();
        assert_eq!(fits, (3..6).contains(&entry), "{entry}");
    }
}

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
