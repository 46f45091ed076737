//! Writes the corpus: one small file for each thing that the targets should know from the start,
//! taken from the golden vectors, the pilot's documents and the small exchange of `lib.rs`.
//!
//!   tests/fuzz/run --seeds
//!
//! No private key is among them. It is a fuzz target in form, since what it uses is built with the
//! fuzzer's counters: all is done before the first input, which never comes.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};

use cairn::crypto::seal::{SealContext, Sealed, seal};
use cairn::crypto::sign::SigningKey;
use cairn::ledger::add_checkpoint::AddCheckpoint;
use cairn::ledger::merkle::Hash;
use cairn::ledger::note::{KeyKind, Vkey};
use cairn::ledger::tiles::{encode_bundle, encode_tile};
use cairn::proto::{self, EntryType, Facts, Statement, statement::Act};
use cairn::store::journal::{Journal, Options};
use cairn_fuzz::entries::{ENTRIES, checkpoint, facts, hashes, proof, record};
use cairn_fuzz::golden::Golden;
use cairn_fuzz::{AGENCIES, AGREEMENT, EXCHANGE, SYSTEM, inbox, scratch, vkey, world};
use libfuzzer_sys::fuzz_target;

struct Corpus(PathBuf);

impl Corpus {
    fn put(&self, target: &str, name: &str, bytes: impl AsRef<[u8]>) {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a file");
    }
}

fuzz_target!(init: write(), |_input: &[u8]| unreachable!("seeds are not fuzzed"));

fn write() {
    let corpus = Corpus(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    statements(&corpus);
    ledger(&corpus);
    journals(&corpus);
    texts(&corpus);
    for (at, change) in world().changes.iter().enumerate() {
        let signed = [&[0b11][..], &change.change].concat();
        corpus.put("directory", &format!("{at:02}"), signed);
    }
    corpus.put("directory", "as-sent", proto::encode(&world().changes[3]));
    for (at, certificate) in world().certificates.iter().enumerate() {
        corpus.put("certificate", AGENCIES[at], certificate);
    }
    for (at, sealed) in Golden::read().inputs().enumerate() {
        corpus.put("sealed", &format!("recipient-{at}"), sealed);
    }
    std::process::exit(0);
}

// --- statements, and the facts they become ---

fn person() -> Option<proto::Person> {
    let (staff_id, name, post) = ("s1".into(), "A. Example".into(), "duty worker".into());
    Some(proto::Person { staff_id, name, post, simulated: true })
}

fn concern() -> Act {
    Act::Concern(proto::Concern {
        kind: "concern".into(),
        reference: "2026/0042".into(),
        urgency: "urgent".into(),
        class: "child_protection".into(),
        agreement: AGREEMENT.into(),
        lawful_basis: "public_task".into(),
        occurred_at: "2026-01-14T22:00:00Z".into(),
    })
}

/// Every act, and the agency that says it.
fn acts() -> Vec<(&'static str, usize, Act)> {
    let reason = || "other".to_owned();
    let outcome = "emergency_action".to_owned();
    vec![
        ("concern", 0, concern()),
        ("stored", 1, Act::Stored(proto::Stored {})),
        ("not_taken", 1, Act::NotTaken(proto::NotTaken { reason: reason() })),
        ("cannot_open", 1, Act::CannotOpen(proto::CannotOpen { reason: reason() })),
        ("opened", 1, Act::Opened(proto::Opened { person: person() })),
        ("acknowledgement", 1, {
            Act::Acknowledgement(proto::Acknowledgement { person: person() })
        }),
        ("decision", 1, {
            let (person, reason) = (person(), String::new());
            Act::Decision(proto::Decision { person, outcome, reason })
        }),
        ("feedback", 1, Act::Feedback(proto::Feedback { person: person() })),
        ("redirection", 1, {
            let (person, next) = (person(), inbox(AGENCIES[0]));
            Act::Redirection(proto::Redirection { person, next, misdirected: false })
        }),
        ("resealed", 0, Act::Resealed(proto::Resealed {})),
        ("withdrawal", 0, Act::Withdrawal(proto::Withdrawal { reason: reason() })),
        ("withdrawal_confirmed", 1, {
            Act::WithdrawalConfirmed(proto::WithdrawalConfirmed { person: person() })
        }),
        ("phone_confirmed", 1, Act::PhoneConfirmed(proto::PhoneConfirmed { person: person() })),
        ("urgency_change", 1, {
            let (person, urgency, reason) = (person(), "immediate".into(), reason());
            Act::UrgencyChange(proto::UrgencyChange { person, urgency, reason })
        }),
        ("extension", 1, {
            let (approver, duty) = (person(), "decide".into());
            let (person, until, reason) = (person(), 1_768_600_000, reason());
            Act::Extension(proto::Extension { person, approver, duty, until, reason })
        }),
        ("agreement_review", 1, {
            let (person, outcome) = (person(), "sharing_was_right".into());
            Act::AgreementReview(proto::AgreementReview { person, outcome })
        }),
        ("manifest", 0, {
            Act::Manifest(proto::Manifest { request_ids: vec![vec![0xA5; 16], vec![0x5A; 64]] })
        }),
    ]
}

fn statement(by: usize, act: Act) -> Statement {
    let is_concern = matches!(act, Act::Concern(_));
    let to_other = matches!(act, Act::Concern(_) | Act::Feedback(_));
    let about = if matches!(act, Act::Resealed(_)) { AGENCIES[1] } else { AGENCIES[by] };
    Statement {
        exchange: EXCHANGE.into(),
        from: AGENCIES[by].into(),
        system: SYSTEM.into(),
        request_id: vec![0xA5; 16],
        to: if to_other { vec![inbox(AGENCIES[1 - by])] } else { Vec::new() },
        answers: (!is_concern && !matches!(act, Act::Manifest(_))).then_some(0),
        inbox: if is_concern { String::new() } else { inbox(about) },
        reply_to: if is_concern { inbox(AGENCIES[by]) } else { String::new() },
        created_at: "2026-01-15T00:00:00Z".into(),
        exercise: Some(true),
        flags: vec!["unknown_code".into()],
        content_tag: Some(proto::ContentTag { key_id: vec![1; 8], tag: vec![2; 32] }),
        act: Some(act),
        ..Statement::default()
    }
}

fn sealed(statement: &mut Statement) -> proto::SealedBody {
    let at = usize::from(statement.from == AGENCIES[0]);
    let (sender, request_id) = (statement.from.as_str(), &statement.request_id);
    let context = SealContext { exchange: EXCHANGE, sender, request_id };
    let recipients = [(AGENCIES[at], world().sealing[at].public())];
    let Sealed { nonce, ciphertext, key_commitment, wraps } =
        seal(br#"{"narrative":"made up"}"#, &context, &recipients).expect("a sealed body");
    let wrap = |wrap: cairn::crypto::seal::Wrap| proto::Wrap {
        inbox: inbox(AGENCIES[at]),
        agreement: String::new(),
        key_id: wrap.key_id.0.to_vec(),
        enc: wrap.enc,
        wrapped: wrap.wrapped,
    };
    let wraps = wraps.into_iter().map(wrap).collect();
    let body = proto::SealedBody { nonce: nonce.to_vec(), ciphertext, wraps };
    statement.seal = cairn_fuzz::seal_of(&body, key_commitment.to_vec());
    body
}

fn statements(corpus: &Corpus) {
    let mut thread = Vec::new();
    for (name, by, act) in acts() {
        let has_body = matches!(
            act,
            Act::Concern(_) | Act::Feedback(_) | Act::Redirection(_) | Act::Resealed(_)
        );
        let mut statement = statement(by, act);
        let body = has_body.then(|| sealed(&mut statement));
        let bytes = proto::encode(&statement);
        corpus.put("statement", name, &bytes);
        corpus.put("envelope", name, world().envelope(by, bytes, body));
        thread.push((name, by, statement));
    }
    let message = |facts: Facts| {
        let facts = proto::encode(&facts);
        [&(facts.len() as u16).to_be_bytes()[..], &facts].concat()
    };
    let concern = message(facts(0));
    let mut whole = concern.clone();
    for (name, by, statement) in thread.iter().skip(1) {
        let step = message(step(*by, statement, 0));
        corpus.put("facts", name, [concern.clone(), step.clone()].concat());
        if ["stored", "acknowledgement", "decision", "feedback"].contains(name) {
            whole.extend(step);
        }
    }
    let mut last = step(0, &thread[1].2, 4);
    last.inbox = inbox(AGENCIES[0]);
    corpus.put("facts", "to-the-end", [whole, message(last)].concat());
}

/// The facts that a step becomes.
fn step(by: usize, statement: &Statement, answers: u64) -> Facts {
    let mut facts = Facts {
        sender: AGENCIES[by].to_owned(),
        inboxes: statement.to.clone(),
        inbox: statement.inbox.clone(),
        answers: Some(answers),
        ..Facts::default()
    };
    let kind = match statement.act.as_ref().expect("an act") {
        Act::Concern(_) => EntryType::Concern,
        Act::Stored(_) => EntryType::Stored,
        Act::NotTaken(_) => EntryType::NotTaken,
        Act::CannotOpen(_) => EntryType::CannotOpen,
        Act::Opened(_) => EntryType::Opened,
        Act::Acknowledgement(_) => EntryType::Acknowledgement,
        Act::Decision(decision) => {
            facts.outcome = decision.outcome.clone();
            EntryType::Decision
        }
        Act::Feedback(_) => EntryType::Feedback,
        Act::Redirection(redirection) => {
            facts.next_inbox = redirection.next.clone();
            EntryType::Redirection
        }
        Act::Resealed(_) => EntryType::Resealed,
        Act::Withdrawal(_) => EntryType::Withdrawal,
        Act::WithdrawalConfirmed(_) => EntryType::WithdrawalConfirmed,
        Act::PhoneConfirmed(_) => EntryType::PhoneConfirmed,
        Act::UrgencyChange(change) => {
            facts.urgency = change.urgency.clone();
            EntryType::UrgencyChange
        }
        Act::Extension(extension) => {
            facts.subject = extension.duty.clone();
            facts.decision_due = vec![extension.until];
            EntryType::Extension
        }
        Act::AgreementReview(review) => {
            facts.outcome = review.outcome.clone();
            EntryType::AgreementReview
        }
        Act::Manifest(manifest) => {
            facts.count = manifest.request_ids.len() as u64;
            facts.missing = vec![1];
            facts.missing_requests = vec![vec![0x5A; 16]];
            EntryType::Manifest
        }
    };
    facts.set_type(kind);
    facts
}

// --- the ledger ---

/// Two witnesses, both needed.
fn policy() -> String {
    let witness = |name: &str, seed| {
        let public = SigningKey::from_seed(&[seed; 32]).public();
        let vkey = Vkey::new(name, KeyKind::Cosignature, public).expect("a vkey");
        format!("witness {name} {vkey}\n")
    };
    let (one, two) = (witness("one", 41), witness("two", 42));
    format!("# both\nlog {}\n{one}{two}group both 2 one two\nquorum both\n", vkey())
}

fn ledger(corpus: &Corpus) {
    for entry in [0, 3] {
        corpus.put("leaf", &entry.to_string(), record(entry).leaf);
    }
    for (old, size) in [(0, 1), (0, ENTRIES)] {
        let (old, proof, checkpoint) = (old, Vec::new(), checkpoint(size));
        let request = AddCheckpoint { old, proof, checkpoint };
        corpus.put("add_checkpoint", &size.to_string(), request.to_bytes());
    }
    corpus.put("policy", "two-of-two", policy());
    corpus.put("policy", "none", format!("log {}\nquorum none\n", vkey()));
    for size in [1, ENTRIES] {
        corpus.put("checkpoint", &size.to_string(), checkpoint(size));
        let text = checkpoint(size);
        let end = text.windows(2).position(|pair| pair == b"\n\n").expect("a blank line");
        corpus.put("checkpoint", &format!("{size}-text"), &text[..=end]);
    }
    for (entry, size) in [(0, 1), (3, ENTRIES), (10, ENTRIES), (4, 7)] {
        let name = format!("{entry}-of-{size}");
        corpus.put("proof", &name, proof(entry, size).to_text());
    }
    let extra = proof(2, 5).with_extra(b"extra".to_vec()).expect("a proof");
    corpus.put("proof", "extra", extra.to_text());
    for width in [1, ENTRIES] {
        let hashes: Vec<_> = hashes().into_iter().take(width).map(Hash::from_bytes).collect();
        let width_bytes = (width as u16).to_be_bytes();
        let tile = [&width_bytes[..], &encode_tile(&hashes)].concat();
        corpus.put("tile", &width.to_string(), tile);
        let leaves: Vec<_> = (0..width).map(|entry| record(entry).leaf).collect();
        let bundle = encode_bundle(leaves.iter().map(|leaf| &leaf[..])).expect("a bundle");
        corpus.put("bundle", &width.to_string(), [&width_bytes[..], &bundle].concat());
    }
    for (at, path) in
        ["tile/0/000", "tile/1/x001/x234/067.p/8", "tile/entries/x123/456.p/255", "tile/63/999"]
            .iter()
            .enumerate()
    {
        corpus.put("tile_path", &at.to_string(), path);
    }
    for seed in 0..6u8 {
        let choices: Vec<u8> =
            (0..64).map(|at: u8| at.wrapping_mul(37).wrapping_add(seed)).collect();
        corpus.put("merkle", &seed.to_string(), choices);
    }
    corpus.put("vkey", "ledger", vkey().to_string());
    let note = checkpoint(1);
    let line = note.split(|byte| *byte == b'\n').nth(4).expect("a signature line");
    corpus.put("vkey", "line", line);
    opening(corpus);
}

fn opening(corpus: &Corpus) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let record = record(3);
    let whole = serde_json::json!({
        "entry": 3,
        "leaf": STANDARD.encode(record.leaf),
        "facts": STANDARD.encode(&record.facts),
        "facts_opening": STANDARD.encode(record.facts_opening),
        "envelope": STANDARD.encode(&record.detail),
        "detail_opening": STANDARD.encode(record.detail_opening),
    });
    corpus.put("receipt", "whole", whole.to_string());
    let mut facts_alone = whole;
    for name in ["envelope", "detail_opening"] {
        facts_alone.as_object_mut().expect("an object").remove(name);
    }
    corpus.put("receipt", "facts-alone", facts_alone.to_string());
}

// --- the journal ---

fn journals(corpus: &Corpus) {
    for (name, batches) in [("one", &[1][..]), ("two", &[2, 1]), ("three", &[1, 3, 2])] {
        let folder = scratch();
        let dir = folder.path().join("journal");
        let options = Options { segment_bytes: 12_288 };
        let mut journal = Journal::create_with(&dir, [0x5A; 16], options).expect("a journal");
        let mut size = 0;
        let mut end = 0;
        for count in batches {
            let records: Vec<_> = (size..size + count).map(record).collect();
            size += count;
            let root = reference_root(size);
            let placed = journal.append(&records, root, &checkpoint(size)).expect("a batch");
            end = placed.trailer.offset as usize + placed.trailer.length as usize;
        }
        drop(journal);
        let segment = fs::read(dir.join("00000000000000000000.seg")).expect("a segment");
        let body = &segment[4_096..end];
        corpus.put("journal", name, body);
        corpus.put("journal", &format!("{name}-torn"), &body[..body.len() - 40]);
    }
    for seed in 0..6u8 {
        let choices: Vec<u8> =
            (0..160).map(|at: u8| at.wrapping_mul(101).wrapping_add(seed * 7)).collect();
        corpus.put("journal_change", &seed.to_string(), choices);
    }
}

fn reference_root(size: usize) -> [u8; 32] {
    cairn_fuzz::reference::root(&hashes()[..size])
}

// --- texts ---

fn texts(corpus: &Corpus) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pilot = fs::read_to_string(tests.join("packs/pilot/concerns.jsonl")).expect("the pilot");
    // A line of each length, so that few lines show much.
    let mut lines: Vec<&str> = pilot.lines().filter(|line| line.len() < 4_096).collect();
    lines.sort_by_key(|line| line.len());
    for (at, line) in lines.iter().step_by(lines.len().div_ceil(20)).enumerate() {
        corpus.put("document", &format!("{at:02}"), line);
    }
    let numbers =
        r#"{"from":"a","reference":"1","to":["b/c"],"n":[1e5,-0.0,1.50,123456789012345678901]}"#;
    corpus.put("document", "numbers", numbers);
    let sample = fs::read_to_string(tests.join("../deploy/cairn.toml")).expect("the sample");
    let bare = sample.lines().filter(|line| !line.starts_with('#'));
    corpus.put("config", "sample", bare.collect::<Vec<_>>().join("\n"));
    let least = "data='d'\nlisten='127.0.0.1:1'\ntls={certificate='c',key='k',client_ca='a'}\n";
    corpus.put("config", "least", least);
    for (name, text) in [
        ("agency", "police-ardness"),
        ("agreement", "ardness/1"),
        ("entry", "18446744073709551615"),
        ("exchange", EXCHANGE),
        ("inbox", "sw-ardness/duty"),
        ("key-id", "f2173ec4aad1c969"),
        ("page", "AAAAAAAAAAc"),
    ] {
        corpus.put("names", name, text);
    }
}
