//! Notes against examples that other implementations made, and broken ones.
//!
//! Knows: nothing.

use super::*;
use crate::ledger::tests::{GOLDEN_NOTE, LEDGER_VKEY, WITNESS_VKEY};

const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n";
/// The example of golang.org/x/mod/sumdb/note.
const NEUMANN_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIu\
    GUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn vkey(text: &str) -> Vkey {
    Vkey::parse(text).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn malformed(note: &str) {
    let parsed = Note::parse(note.as_bytes());
    assert!(matches!(parsed, Err(Error::Malformed(_))), "{note:?} gives {parsed:?}");
}

#[test]
fn verifies_the_example_of_the_go_tools() {
    let note = Note::parse(format!("{TEXT}\n{NEUMANN_LINE}").as_bytes()).unwrap();
    assert_eq!(note.text(), TEXT);
    let signed = note.verify(&[vkey(NEUMANN_VKEY)]).unwrap();
    assert_eq!(signed[0].name, "PeterNeumann");
    assert_eq!(signed[0].id, [0xc7, 0x4f, 0x20, 0xa3]);
}

#[test]
fn verifies_a_signature_and_a_cosignature_made_elsewhere() {
    let note = Note::parse(GOLDEN_NOTE.as_bytes()).unwrap();
    let signed = note.verify(&[vkey(LEDGER_VKEY), vkey(WITNESS_VKEY)]).unwrap();
    let kinds: Vec<_> = signed.iter().map(|by| (by.kind, by.time)).collect();
    let witnessed = (KeyKind::Cosignature, Some(1_679_315_147));
    assert_eq!(kinds, [(KeyKind::Ed25519, None), witnessed]);
    assert_eq!(note.to_bytes(), GOLDEN_NOTE.as_bytes());
}

#[test]
fn writes_the_bytes_another_implementation_writes() {
    let text = GOLDEN_NOTE.split_inclusive('\n').take(3).collect::<String>();
    let note = Note::sign(&text, "cairn.example/ardness", &key(1)).unwrap();
    let mut expected: Vec<_> = GOLDEN_NOTE.split_inclusive('\n').collect();
    let cosignature = expected.pop().unwrap();
    assert_eq!(note.to_bytes(), expected.concat().as_bytes());

    let mut cosigned = note.clone();
    let line = SignatureLine::parse(cosignature.trim_end()).unwrap();
    let signed = cosigned.add(line, &vkey(WITNESS_VKEY)).unwrap();
    assert_eq!(signed.time, Some(1_679_315_147));
    assert_eq!(cosigned.to_bytes(), GOLDEN_NOTE.as_bytes());
}

/// The golden vector of a witness's message and line.
#[test]
fn cosigns_as_another_implementation_does() {
    let text = GOLDEN_NOTE.split_inclusive('\n').take(3).collect::<String>();
    let message = "cosignature/v1\ntime 1679315147\ncairn.example/ardness\n8\n\
        XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
    assert_eq!(cosigned_message(&text, 1_679_315_147), message);
    let by = |time| SignatureLine::cosign(&text, "witness.example/w1", &key(2), time);
    let line = by(1_679_315_147).unwrap().to_text();
    assert_eq!(GOLDEN_NOTE.split_inclusive('\n').next_back(), Some(line.as_str()));
    assert!(by(0).is_err() && by(1 << 63).is_err());
}

#[test]
fn adds_no_line_that_was_not_verified() {
    let mut note = Note::sign("another text\n", "a", &key(1)).unwrap();
    let before = note.clone();
    let cosignature = GOLDEN_NOTE.lines().last().unwrap();
    let line = SignatureLine::parse(cosignature).unwrap();
    let forged = note.add(line.clone(), &vkey(WITNESS_VKEY));
    assert_eq!(forged, Err(Error::BadSignature));
    let unknown = note.add(line, &vkey(LEDGER_VKEY));
    assert_eq!(unknown, Err(Error::NoKnownSignature));
    assert_eq!(note, before);
}

#[test]
fn vkeys_are_written_as_they_are_read() {
    for text in [NEUMANN_VKEY, LEDGER_VKEY, WITNESS_VKEY] {
        assert_eq!(vkey(text).to_string(), text);
    }
    let made = Vkey::new("cairn.example/ardness", KeyKind::Ed25519, key(1).public()).unwrap();
    assert_eq!(made.to_string(), LEDGER_VKEY);
}

#[test]
fn refuses_broken_vkeys() {
    let identity = [&[1][..], &[0; 31]].concat();
    let id = hex_id(key_id("a", KeyKind::Ed25519, &identity));
    let weak = format!("a+{id}+{}", STANDARD.encode([&[1], &identity[..]].concat()));
    for text in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "peterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+Bhpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        " PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        &weak,
    ] {
        assert!(matches!(Vkey::parse(text), Err(Error::Malformed(_))), "{text}");
    }
}

#[test]
fn refuses_names_that_would_break_a_line() {
    let name = |name: &str| Vkey::new(name, KeyKind::Ed25519, key(1).public()).is_ok();
    for broken in ["", "a b", "a+b", "a\nb", "a\tb", "a\u{a0}b", "a\u{2003}b", "a\u{0}b"] {
        assert!(!name(broken), "{broken:?}");
        assert!(Note::sign("text\n", broken, &key(1)).is_err(), "{broken:?}");
    }
    assert!(name(&"a".repeat(KEY_NAME_BYTES_MAX)));
    assert!(!name(&"a".repeat(KEY_NAME_BYTES_MAX + 1)));
}

#[test]
fn ignores_lines_of_unknown_keys() {
    let [log, witness] = [LEDGER_VKEY, WITNESS_VKEY].map(vkey);
    let note = Note::parse(GOLDEN_NOTE.as_bytes()).unwrap();
    assert_eq!(note.verify(&[witness]).unwrap().len(), 1);
    // The same name with another key, and the same key under another name, are unknown.
    let other_key = Vkey::new(log.name(), KeyKind::Ed25519, key(3).public()).unwrap();
    let other_name = Vkey::new("cairn.example/b", KeyKind::Ed25519, key(1).public()).unwrap();
    let signed = note.verify(&[other_key.clone(), log, other_name.clone()]);
    assert_eq!(signed.unwrap().len(), 1);
    let signed = note.verify(&[other_key, other_name]);
    assert_eq!(signed, Err(Error::NoKnownSignature));
    assert_eq!(note.verify(&[]), Err(Error::NoKnownSignature));
    let renamed = GOLDEN_NOTE.replacen("\u{2014} cairn.example/a", "\u{2014} cairn.example/b", 1);
    let note = Note::parse(renamed.as_bytes()).unwrap();
    let signed = note.verify(&[vkey(LEDGER_VKEY)]);
    assert_eq!(signed, Err(Error::NoKnownSignature));
}

#[test]
fn refuses_forged_signature() {
    let known = [LEDGER_VKEY, WITNESS_VKEY].map(vkey);
    let other_text = GOLDEN_NOTE.replacen("\n8\n", "\n9\n", 1);
    let other_time = GOLDEN_NOTE.replacen("AAAABkGFDL", "AAAABkGFDM", 1);
    let far_time = GOLDEN_NOTE.replacen("NQAAAABkGFDL", "NYAAAABkGFDL", 1);
    let short = GOLDEN_NOTE.replacen("V68CBQ==", "V68C", 1);
    for forged in [other_text, other_time, far_time, short] {
        assert_ne!(forged, GOLDEN_NOTE);
        let note = Note::parse(forged.as_bytes()).unwrap();
        assert_eq!(note.verify(&known), Err(Error::BadSignature), "{forged}");
    }
}

#[test]
fn refuses_cosignatures_from_beyond_the_last_second() {
    let witness = Vkey::new("w", KeyKind::Cosignature, key(2).public()).unwrap();
    let cosigned_at = |time: u64| {
        let mut note = Note::sign("text\n", "a", &key(1)).unwrap();
        let signature = key(2).sign(cosigned_message("text\n", time).as_bytes());
        let line = SignatureLine {
            name: "w".to_owned(),
            id: witness.id(),
            signature: [&time.to_be_bytes()[..], &signature].concat(),
        };
        note.add(line, &witness).map(|signed| signed.time)
    };
    let last = i64::MAX as u64;
    assert_eq!(cosigned_at(last), Ok(Some(last)));
    assert_eq!(cosigned_at(last + 1), Err(Error::BadSignature));
}

#[test]
fn refuses_the_whole_note_for_one_bad_line_of_a_known_key() {
    let good = Note::sign("one\n", "a", &key(1)).unwrap();
    let other = Note::sign("two\n", "a", &key(1)).unwrap();
    let known = [Vkey::new("a", KeyKind::Ed25519, key(1).public()).unwrap()];
    let lines = |note: &Note| String::from_utf8(note.to_bytes()).unwrap();
    let forged = lines(&other).split_once("\n\n").unwrap().1.to_owned();
    let both = lines(&good) + &forged;
    let note = Note::parse(both.as_bytes()).unwrap();
    assert_eq!(note.verify(&known), Err(Error::BadSignature));
    // The same good line twice is one signer.
    let twice = lines(&good) + lines(&good).split_once("\n\n").unwrap().1;
    let note = Note::parse(twice.as_bytes()).unwrap();
    assert_eq!(note.verify(&known).unwrap().len(), 1);
}

#[test]
fn text_ends_at_the_last_blank_line() {
    for text in ["a\n\nb\n", "\n", "\n\n", "a\n\n", "\u{2014} a AAAAAAA=\n\nb\n"] {
        let note = Note::sign(text, "a", &key(1)).unwrap();
        let parsed = Note::parse(&note.to_bytes()).unwrap();
        assert_eq!(parsed.text(), text);
        assert_eq!(parsed, note);
    }
}

#[test]
fn refuses_broken_notes() {
    let (text, lines) = GOLDEN_NOTE.split_once("\n\n").unwrap();
    malformed("");
    malformed("\n\n");
    malformed(text);
    malformed(&format!("{text}\n\n"));
    malformed(&format!("{text}\n{lines}"));
    malformed(&format!("\n{lines}"));
    malformed(&format!("{text}\n\n{}", lines.trim_end()));
    malformed(&format!("{text}\n\n{lines}\n"));
    malformed(&format!("{text}\n\n{}", lines.replace('\u{2014}', "-")));
    malformed(&format!("{text}\n\n{}", lines.replacen("ardness ", "ardness  ", 1)));
    malformed(&format!("{text}\n\n{}", lines.replacen("Lgg=\n", "Lgg= \n", 1)));
    malformed(&format!("{text}\n\n{}", lines.replacen("Lgg=", "Lgg", 1)));
    malformed(&format!("{text}\n\n{}", lines.replacen("Lgg=", "Lgh=", 1)));
    malformed(&format!("{text}\n\n{}", lines.replacen("cairn", "ca+irn", 1)));
    malformed(&format!("{text}\n\n{}", lines.replace('\n', "\r\n")));
    for control in (0..0x20u8).map(char::from).filter(|c| *c != '\n') {
        malformed(&format!("te{control}xt\n\n{lines}"));
    }
    assert!(Note::parse(format!("te xt\n\n{lines}").as_bytes()).is_ok());
    malformed("text\n\n\u{2014} a AAAAAA==\n");
    assert!(Note::parse("text\n\n\u{2014} a AAAAAAA=\n".as_bytes()).is_ok());
    let mut not_utf8 = GOLDEN_NOTE.as_bytes().to_vec();
    not_utf8[3] = 0xff;
    assert!(Note::parse(&not_utf8).is_err());
}

#[test]
fn takes_signatures_up_to_the_bound_and_no_more() {
    let line = "\u{2014} a AAAAAAA=\n";
    let note = |lines| format!("text\n\n{}", line.repeat(lines));
    assert!(Note::parse(note(SIGNATURES_MAX).as_bytes()).is_ok());
    malformed(&note(SIGNATURES_MAX + 1));
}

#[test]
fn adds_signatures_up_to_the_bound_and_no_more() {
    let vkey = Vkey::new("a", KeyKind::Ed25519, key(1).public()).unwrap();
    let mut note = Note::sign("text\n", "a", &key(1)).unwrap();
    let line = note.lines[0].clone();
    for _ in 1..SIGNATURES_MAX {
        note.add(line.clone(), &vkey).unwrap();
    }
    let full = note.clone();
    assert!(matches!(note.add(line, &vkey), Err(Error::Malformed(_))));
    assert_eq!(note, full);
    assert!(Note::parse(&note.to_bytes()).is_ok());
}

#[test]
fn takes_bytes_up_to_the_bound_and_no_more() {
    let empty = Note::sign("\n", "a", &key(1)).unwrap().to_bytes().len();
    let text = |bytes: usize| "x".repeat(bytes - empty) + "\n";
    let largest = Note::sign(&text(CHECKPOINT_BYTES_MAX), "a", &key(1)).unwrap();
    assert_eq!(largest.to_bytes().len(), CHECKPOINT_BYTES_MAX);
    assert!(Note::parse(&largest.to_bytes()).is_ok());
    assert!(Note::sign(&text(CHECKPOINT_BYTES_MAX + 1), "a", &key(1)).is_err());
    let longer = String::from_utf8(largest.to_bytes()).unwrap();
    malformed(&("x".to_owned() + &longer));
}

#[test]
fn refuses_to_sign_text_that_is_no_note() {
    for text in ["", "no newline", "tab\t\n", "return\r\n"] {
        assert!(Note::sign(text, "a", &key(1)).is_err(), "{text:?}");
    }
}
