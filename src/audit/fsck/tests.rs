use std::fs;

use super::*;
use crate::{
    audit::testbed::{Ledger, flip, record},
    crypto::sign::SigningKey,
    ledger::note::KeyKind,
    store::journal::{self, Exchange},
};

fn check(ledger: &Ledger, folder: &tempfile::TempDir) -> Report {
    check_ledger(&folder.path().join("journal"), &ledger.vkey(), &mut |_, _| {}).unwrap()
}

/// The one problem that a ledger of a single batch has.
fn only_problem(ledger: &Ledger) -> Problem {
    let count = ledger.records.len();
    let report = check(ledger, &ledger.journal(&[count]));
    assert_eq!(report.problem_count, 1, "{:?}", report.problems);
    report.problems[0].clone()
}

#[test]
fn a_sound_ledger_has_no_problems() {
    let ledger = Ledger::of(30);
    let folder = ledger.journal(&[1, 4, 20, 5]);
    let mut seen = Vec::new();
    let mut progress = |done, total| seen.push((done, total));
    let dir = folder.path().join("journal");
    let report = check_ledger(&dir, &ledger.vkey(), &mut progress).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!((report.size, report.batches, report.details), (30, 4, 30));
    assert_eq!(report.root, ledger.root(30));
    assert_eq!(seen, [(1, 30), (5, 30), (25, 30), (30, 30)]);
}

#[test]
fn names_facts_that_their_leaf_does_not_commit_to() {
    let mut ledger = Ledger::of(7);
    ledger.records[6].facts = proto::encode(&ledger.facts(5));
    let problem = only_problem(&ledger);
    assert!(problem.reason.contains("facts"), "{problem}");
    assert_eq!((problem.entry, problem.at.map(|(segment, _)| segment)), (6, Some(0)));
    assert!(problem.to_string().starts_with("00000000000000000000.seg at byte "));
}

#[test]
fn names_a_detail_that_its_leaf_does_not_commit_to() {
    let mut ledger = Ledger::of(9);
    ledger.records[4].detail = b"another".to_vec();
    let problem = only_problem(&ledger);
    assert!(problem.reason.contains("detail"), "{problem}");
    assert_eq!(problem.entry, 4);
}

#[test]
fn names_a_leaf_of_an_unknown_version() {
    let mut ledger = Ledger::of(3);
    ledger.records[2].leaf[0] = 9;
    assert_eq!(only_problem(&ledger).entry, 2);
}

/// I14.
#[test]
fn names_the_entry_at_which_time_goes_back() {
    let mut ledger = Ledger::of(9);
    ledger.records[5] = record(5, 3, &ledger.facts(5));
    let problem = only_problem(&ledger);
    assert!(problem.reason.contains("time"), "{problem}");
    assert_eq!(problem.entry, 5);
}

#[test]
fn names_a_gap_in_the_numbers_of_a_sender_or_an_inbox_once() {
    let with = |change: &dyn Fn(&mut Facts)| {
        let mut ledger = Ledger::of(12);
        for entry in 7..12 {
            let mut facts = ledger.facts(entry);
            change(&mut facts);
            ledger.records[entry as usize] = record(entry, entry, &facts);
        }
        only_problem(&ledger)
    };
    let problem = with(&|facts| facts.sender_number += 1);
    assert_eq!(problem.entry, 7);
    assert_eq!(problem.reason, "sender police-ardness has the number 8 here, expected is 7");
    let problem = with(&|facts| facts.inbox_numbers[0] += 3);
    assert_eq!(problem.entry, 7);
    assert_eq!(problem.reason, "inbox sw-ardness/duty has the number 10 here, expected is 7");
}

#[test]
fn names_a_statement_without_a_number() {
    let mut ledger = Ledger::of(8);
    let facts = Facts { sender_number: 0, ..ledger.facts(7) };
    ledger.records[7] = record(7, 7, &facts);
    assert_eq!(only_problem(&ledger).entry, 7);
}

#[test]
fn names_an_inbox_without_a_number() {
    let mut ledger = Ledger::of(3);
    let mut facts = ledger.facts(2);
    facts.inboxes.push("nhs-ardness/duty".into());
    ledger.records[2] = record(2, 2, &facts);
    assert!(only_problem(&ledger).reason.contains("number"));
}

#[test]
fn names_a_ledger_that_began_with_another_key_or_without_one() {
    let mut ledger = Ledger::of(3);
    let mut facts = ledger.facts(0);
    facts.subject = "somebody+else".into();
    ledger.records[0] = record(0, 0, &facts);
    assert_eq!(only_problem(&ledger).entry, 0);
    let mut ledger = Ledger::of(3);
    ledger.records[2] = record(2, 2, &ledger.facts(0));
    assert_eq!(only_problem(&ledger).entry, 2);
}

/// I4: once one root is wrong, it is said once.
#[test]
fn names_the_first_batch_with_another_root() {
    let ledger = Ledger::of(9);
    let mut other = ledger.clone();
    other.rewrite(4);
    let folder = ledger.journal_sealed(&[3, 3, 3], &|_, size| {
        (*other.root(size).as_bytes(), other.checkpoint(size))
    });
    let report = check(&ledger, &folder);
    assert_eq!(report.problem_count, 1, "{:?}", report.problems);
    assert_eq!(report.problems[0].entry, 6);
    assert!(report.problems[0].reason.contains("root"));
}

#[test]
fn names_each_batch_whose_checkpoint_is_not_its_own_or_not_signed() {
    let ledger = Ledger::of(6);
    let stranger = SigningKey::from_seed(&[8; 32]);
    let sealed = |wrong: &dyn Fn(u64) -> Vec<u8>| {
        let folder = ledger.journal_sealed(&[2, 2, 2], &|ledger, size| {
            let checkpoint = if size == 4 { wrong(size) } else { ledger.checkpoint(size) };
            (*ledger.root(size).as_bytes(), checkpoint)
        });
        let report = check(&ledger, &folder);
        assert_eq!(report.problem_count, 1, "{:?}", report.problems);
        assert_eq!(report.problems[0].entry, 4);
    };
    sealed(&|_| ledger.checkpoint(2));
    sealed(&|size| {
        let root = ledger.root(size);
        Checkpoint::new("cairn.example/test", size, root).unwrap().sign(&stranger)
    });
    sealed(&|size| {
        let mut other = ledger.clone();
        other.rewrite(1);
        other.checkpoint(size)
    });
    sealed(&|_| b"no checkpoint".to_vec());
}

#[test]
fn a_key_that_is_not_the_ledgers_signs_nothing() {
    let ledger = Ledger::of(4);
    let stranger = SigningKey::from_seed(&[8; 32]).public();
    let stranger = Vkey::new("cairn.example/test", KeyKind::Ed25519, stranger).unwrap();
    let dir = ledger.journal(&[2, 2]);
    let report = check_ledger(&dir.path().join("journal"), &stranger, &mut |_, _| {}).unwrap();
    // Its genesis, and both checkpoints.
    assert_eq!(report.problem_count, 3, "{:?}", report.problems);
}

/// I3: whichever byte of the entries changes, either check names the place.
#[test]
fn names_a_changed_byte_of_a_journal() {
    let ledger = Ledger::of(5);
    let folder = ledger.journal(&[2, 3]);
    let dir = folder.path().join("journal");
    let segment = dir.join("00000000000000000000.seg");
    let written = fs::read(&segment).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..=written).step_by(13) {
        flip(&segment, at);
        let bytes = journal::fsck(&dir, Exchange::Stopped, &mut |_| false, &mut |_, _| {}).unwrap();
        let damage = bytes.problems.first().unwrap_or_else(|| panic!("byte {at} unseen"));
        assert_eq!(damage.file, segment, "byte {at}");
        assert!(damage.offset <= at as u64 && damage.entry <= 5, "byte {at}: {damage}");
        // A damaged header may keep the journal from being opened at all.
        if let Ok(report) = check_ledger(&dir, &ledger.vkey(), &mut |_, _| {}) {
            assert!(!report.is_sound(), "byte {at}");
        }
        flip(&segment, at);
    }
    assert!(check(&ledger, &folder).is_sound());
}

#[test]
fn lists_no_more_than_a_thousand_problems_and_counts_the_rest() {
    let mut ledger = Ledger::of(1_100);
    for record in &mut ledger.records {
        record.detail = b"another".to_vec();
    }
    let report = check(&ledger, &ledger.journal(&[200; 5]));
    assert_eq!((report.problems.len(), report.problem_count), (1_000, 1_000));
    let report = check(&ledger, &ledger.journal(&[220; 5]));
    assert_eq!((report.problems.len(), report.problem_count), (1_000, 1_100));
}
