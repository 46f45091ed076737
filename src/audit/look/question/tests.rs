use super::*;
use crate::{
    audit::testbed::Ledger,
    ledger::merkle::{Hash, node_hash},
    proto::{EntryType, Only},
};

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The path of RFC 6962, from its definition.
fn path(at: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut below, beside) = match at < middle {
        true => (path(at, left), root(right)),
        false => (path(at - middle, right), root(left)),
    };
    below.push(beside);
    below
}

fn under(ledger: &Ledger) -> Checkpoint {
    Checkpoint::open(&ledger.checkpoint(ledger.size()), &ledger.vkey()).unwrap()
}

fn served(ledger: &Ledger, entry: u64) -> AuditRow {
    let record = ledger.records[entry as usize].clone();
    let leaves: Vec<_> = ledger.records.iter().map(|record| leaf_hash(&record.leaf)).collect();
    let inclusion = path(entry as usize, &leaves).into_iter().map(|it| it.as_bytes().to_vec());
    AuditRow {
        entry,
        at: entry,
        facts: record.facts,
        leaf: record.leaf.to_vec(),
        facts_opening: record.facts_opening.to_vec(),
        suspected: false,
        inclusion: inclusion.collect(),
    }
}

fn row(entry: u64) -> Row {
    let ledger = Ledger::of(entry + 1);
    opened(&served(&ledger, entry), &under(&ledger)).unwrap()
}

#[test]
fn takes_a_row_that_is_in_the_tree_with_its_facts() {
    let ledger = Ledger::of(8);
    let row = opened(&served(&ledger, 7), &under(&ledger)).unwrap();
    assert_eq!((row.entry, row.leaf.time_unix_ns), (7, 7));
    assert_eq!(row.facts, ledger.facts(7));
}

#[test]
fn refuses_a_row_with_any_part_changed() {
    let ledger = Ledger::of(8);
    let refused = |change: &dyn Fn(&mut AuditRow)| {
        let mut row = served(&ledger, 7);
        change(&mut row);
        assert!(matches!(opened(&row, &under(&ledger)), Err(ClientError::Suspect(_))));
    };
    refused(&|row| row.at += 1);
    refused(&|row| row.entry = 6);
    refused(&|row| row.facts[2] ^= 1);
    refused(&|row| row.facts_opening[0] ^= 1);
    refused(&|row| row.facts_opening.truncate(31));
    refused(&|row| row.leaf[40] ^= 1);
    refused(&|row| row.leaf.truncate(88));
    refused(&|row| row.leaf[0] = 2);
    refused(&|row| row.inclusion[1][0] ^= 1);
    refused(&|row| drop(row.inclusion.pop()));
    refused(&|row| row.inclusion.push(vec![0; 32]));
    refused(&|row| row.inclusion[0].truncate(31));
    let forked = Ledger::of(9);
    assert!(opened(&served(&ledger, 7), &under(&forked)).is_err(), "of another tree");
}

#[test]
fn an_answer_holds_no_entry_of_another_time_and_none_out_of_order() {
    let question = QueryRequest { from_time: 3, until_time: 6, ..QueryRequest::default() };
    for entry in 0..9 {
        let fits = must_follow(&question, None, &row(entry)).is_ok();
        assert_eq!(fits, (3..6).contains(&entry), "{entry}");
    }
    assert!(must_follow(&question, Some(&row(3)), &row(5)).is_ok());
    assert!(must_follow(&question, Some(&row(3)), &row(3)).is_err());
    assert!(must_follow(&question, Some(&row(5)), &row(3)).is_err());
}

#[test]
fn an_answer_holds_nothing_that_was_not_asked_for() {
    let held = |change: &dyn Fn(&mut QueryRequest)| {
        let mut question = QueryRequest::default();
        change(&mut question);
        must_follow(&question, None, &row(3)).is_ok()
    };
    let concern = EntryType::Concern as i32;
    assert!(held(&|asked| asked.sender = "police-ardness".into()));
    assert!(held(&|asked| asked.agency = "sw-ardness".into()));
    assert!(held(&|asked| asked.inbox = "sw-ardness/duty".into()));
    assert!(held(&|asked| asked.types = vec![concern, EntryType::Stored as i32]));
    assert!(held(&|asked| asked.only = vec![Only::Late as i32]), "only the exchange can count it");
    for change in [
        (|asked| asked.sender = "sw-ardness".into()) as fn(&mut QueryRequest),
        |asked| asked.agency = "sw-ardnes".into(),
        |asked| asked.inbox = "sw-ardness/night".into(),
        |asked| asked.types = vec![EntryType::Stored as i32],
        |asked| asked.outcome = "assessment".into(),
        |asked| asked.urgency = "immediate".into(),
        |asked| asked.agreement = "isp".into(),
        |asked| asked.flags = vec!["missing_purpose".into()],
        |asked| asked.only = vec![Only::Refused as i32],
        |asked| asked.only = vec![Only::OutsideAgreement as i32, Only::Refused as i32],
    ] {
        assert!(!held(&change));
    }
}

#[test]
fn a_question_by_time_by_sender_or_by_inbox_may_leave_nothing_out() {
    let all = QueryRequest { from_time: 1, ..QueryRequest::default() };
    let sender = QueryRequest { sender: "police-ardness".into(), ..all.clone() };
    let inbox = QueryRequest { inbox: "sw-ardness/duty".into(), ..all.clone() };
    let numbered = Ok(Complete::ByNumber { first: 3, last: 5 });
    let rows = |entries: &[u64]| entries.iter().map(|entry| row(*entry)).collect::<Vec<_>>();
    for (question, shown) in
        [(&all, Ok(Complete::ByEntry)), (&sender, numbered), (&inbox, numbered)]
    {
        let complete = |entries| completeness(question, &rows(entries)).map_err(drop);
        assert_eq!(complete(&[3, 4, 5]), shown);
        assert_eq!(complete(&[3, 5]), Err(()), "one is left out");
        assert_eq!(complete(&[]), Ok(Complete::NotProved));
    }
    // From the beginning on, numbers begin at 1: nothing is missing before the first either.
    let whole = QueryRequest { from_time: 0, ..sender };
    assert!(completeness(&whole, &rows(&[2, 3])).is_err());
    let known = completeness(&whole, &rows(&[1, 2, 3])).unwrap();
    assert_eq!(known, Complete::ByNumber { first: 1, last: 3 });
    for narrowed in [
        QueryRequest { agency: "sw-ardness".into(), ..all.clone() },
        QueryRequest { concern: Some(3), ..all.clone() },
        QueryRequest { urgency: "urgent".into(), ..inbox },
        QueryRequest { types: vec![EntryType::Concern as i32], ..all },
    ] {
        assert_eq!(completeness(&narrowed, &rows(&[3, 5])).unwrap(), Complete::NotProved);
    }
}
