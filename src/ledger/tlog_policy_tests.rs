//! Policies, as C2SP tlog-policy has them, and broken ones.
//!
//! Knows: nothing.

use super::*;
use crate::crypto::sign::SigningKey;
use crate::ledger::note::SignatureLine;
use crate::ledger::tests::{GOLDEN_NOTE, LEDGER_VKEY, WITNESS_VKEY};

fn witness(seed: u8) -> (String, SigningKey) {
    (format!("witness.example/{seed}"), SigningKey::from_seed(&[seed; 32]))
}

fn vkey(seed: u8) -> Vkey {
    let (name, key) = witness(seed);
    Vkey::new(&name, KeyKind::Cosignature, key.public()).unwrap()
}

/// The golden checkpoint with lines of these witnesses.
fn cosigned_by(seeds: &[u8]) -> Vec<u8> {
    let lines: Vec<_> = GOLDEN_NOTE.split_inclusive('\n').collect();
    let mut note = lines[..5].concat();
    for seed in seeds {
        let (name, key) = witness(*seed);
        let text = lines[..3].concat();
        let line = SignatureLine::cosign(&text, &name, &key, 1000 + u64::from(*seed)).unwrap();
        note += &line.to_text();
    }
    note.into_bytes()
}

fn policy(text: &str) -> Result<TlogPolicy, PolicyError> {
    let mut text = text.replace("LOG", LEDGER_VKEY);
    for seed in 3..10 {
        text = text.replace(&format!("W{seed}"), &vkey(seed).to_string());
    }
    TlogPolicy::parse(text.as_bytes())
}

/// I4: two of three of one group and any of another, as in the specification's example.
#[test]
fn counts_witnesses_by_groups() {
    let policy = policy(
        "# a comment\nlog LOG https://log.example\n\nwitness X1 W3\n\twitness  X2 W4 \nwitness X3 W5\n\
         group X 2 X1 X2 X3\nwitness Y1 W6\nwitness Y2 W7\ngroup Y any Y1 Y2\n \
         # both\ngroup both all X Y\nquorum both\n",
    )
    .unwrap();
    for (by, enough) in [
        (&[][..], false),
        (&[3], false),
        (&[3, 4], false),
        (&[3, 4, 5], false),
        (&[6, 7], false),
        (&[3, 6, 7], false),
        (&[3, 5, 6], true),
        (&[3, 3, 6], false),
        (&[9, 4, 5, 7], true),
    ] {
        let judged = policy.judge(&cosigned_by(by)).unwrap();
        assert_eq!((judged.enough, judged.checkpoint.size()), (enough, 8), "{by:?}");
    }
    assert_eq!(policy.judge(&cosigned_by(&[3, 5])).unwrap().time(2), Some(1003));
}

#[test]
fn one_line_of_a_known_witness_that_is_not_good_spoils_the_note() {
    let policy = policy("log LOG\nwitness w W3\nquorum none\n").unwrap();
    assert!(policy.judge(&cosigned_by(&[])).unwrap().enough);
    let mut note = String::from_utf8(cosigned_by(&[3])).unwrap();
    let at = note.len() - 20;
    note.replace_range(at..=at, if &note[at..=at] == "A" { "B" } else { "A" });
    assert_eq!(policy.judge(note.as_bytes()), Err(Error::BadSignature));
}

#[test]
fn no_witness_replaces_the_ledger_itself() {
    let policy = policy("witness w W3\nquorum w\n").unwrap();
    assert_eq!(policy.judge(&cosigned_by(&[3])), Err(Error::NoKnownSignature));
}

#[test]
fn a_number_of_witnesses_is_a_policy_too() {
    let log = Vkey::parse(LEDGER_VKEY).unwrap();
    let policy = TlogPolicy::of(log, vec![vkey(3), vkey(4), vkey(5)], 2);
    assert!(!policy.judge(&cosigned_by(&[4])).unwrap().enough);
    assert!(policy.judge(&cosigned_by(&[4, 5])).unwrap().enough);
}

#[test]
fn refuses_what_is_no_policy_and_says_the_line() {
    for (text, line) in [
        ("", 0),
        ("log LOG\n", 0),
        ("quorum none\nquorum none\n", 2),
        ("quorum w\nwitness w W3\n", 1),
        ("witness none W3\nquorum none\n", 1),
        ("witness w W3\nwitness w W4\nquorum w\n", 2),
        ("witness a W3\nwitness b W3\nquorum a\n", 2),
        ("log LOG\nlog LOG\nquorum none\n", 2),
        ("witness w LOG\nquorum w\n", 1),
        ("log W3\nquorum none\n", 1),
        ("witness w W3\ngroup g 0 w\nquorum g\n", 2),
        ("witness w W3\ngroup g 2 w\nquorum g\n", 2),
        ("witness w W3\ngroup g +1 w\nquorum g\n", 2),
        ("witness w W3\ngroup g all\nquorum w\n", 2),
        ("witness w W3\ngroup g all w w\nquorum g\n", 2),
        ("witness w W3\ngroup g all w\ngroup h all w\nquorum h\n", 3),
        ("witness w W3\ngroup g all none\nquorum g\n", 2),
        ("group g all g\nquorum g\n", 1),
        ("quorum none\r\n", 1),
        ("Quorum none\n", 1),
        ("log\nquorum none\n", 1),
        ("log LOG url more\nquorum none\n", 1),
    ] {
        assert_eq!(policy(text).map_err(|error| error.line), Err(line), "{text}");
    }
    let long = format!("{}quorum none\n", "#\n".repeat(POLICY_BYTES_MAX / 2));
    assert_eq!(TlogPolicy::parse(long.as_bytes()).unwrap_err().line, 0);
    let other = "log LOG\nwitness w W3\nquorum w\n".replace("W3", WITNESS_VKEY);
    assert!(policy(&other).is_ok(), "made elsewhere");
}
