//! Marked names, sent through everything that the real program does: where they may be found,
//! and that they are found nowhere else.
//!
//! Sought are the marks as text, in capitals and small letters, as UTF-16, and as programs
//! print bytes: in hexadecimal, base64 and as a list of numbers.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use cairn::{
    domain::document::Document,
    proto::{
        self, Acknowledgement, Decision, Feedback, GetConcernRequest, GetEntryRequest, Opened,
        Person, QueryRequest, Redirection, SubmitRequest, get_concern_request::By, statement::Act,
    },
    store::journal::{Detail, JournalReader, Scanned},
    wire::client::{Client, compose::About},
};
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    process::{Process, fetch},
    support::{World, next, statements::*},
};

/// Marks of children, families and members of the public. In sealed bodies, and nowhere else.
const SEALED: [&str; 10] = [
    "Zyxquillan",
    "Feathermarkle",
    "Wobblethorpe",
    "2014-07-31",
    "Quagwhistle Lane",
    "QX7 4ZJ",
    "07700 900461",
    "Narrquartzite",
    "Purposequill",
    "Answerquaggy",
];
/// The sender's own reference and staff in post: in details too, and nowhere else.
const IN_DETAILS: [&str; 2] = ["REF/Wibblestone-77", "Tamsinquist"];

fn marks() -> impl Iterator<Item = &'static str> {
    SEALED.into_iter().chain(IN_DETAILS)
}

fn document() -> Value {
    let changes = json!({
        "purpose": "Purposequill must be helped", "action_requested": "ask Zyxquillan",
        "child": {
            "given_names": "Zyxquillan", "family_name": "Feathermarkle",
            "date_of_birth": "2014-07-31",
            "address": {"lines": ["7 Quagwhistle Lane"], "postcode": "QX7 4ZJ"},
        },
        "people": [{"name": "Wobblethorpe", "phone": "07700 900461"}],
        "concern": {"category": "neglect", "narrative": "Narrquartzite: Zyxquillan was alone."},
    });
    with(concern("police", &["school/duty"], "REF/Wibblestone-77"), changes)
}

/// A mark in every form in which it might be written down.
fn forms(mark: &str) -> Vec<Vec<u8>> {
    let texts = [mark.to_owned(), mark.to_uppercase(), mark.to_lowercase()];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let numbers = mark.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let mut forms: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    forms.push(mark.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms.push(hex(mark.as_bytes()).into_bytes());
    forms.push(hex(mark.as_bytes()).to_uppercase().into_bytes());
    forms.push(numbers.into_bytes());
    // Base64 looks different by where the mark stands in what was encoded; the first and last
    // characters depend on the neighbours.
    for before in 0..3 {
        let padded = [&vec![b'A'; before], mark.as_bytes()].concat();
        let encoded = STANDARD.encode(&padded);
        let first = (before * 8).div_ceil(6);
        forms.push(encoded.as_bytes()[first..padded.len() * 8 / 6].to_vec());
    }
    forms
}

fn count(bytes: &[u8], form: &[u8]) -> usize {
    bytes.windows(form.len()).filter(|window| *window == form).count()
}

/// The first mark that is in these bytes in any form, and what stands around it.
fn leak(bytes: &[u8], marks: impl Iterator<Item = &'static str>) -> Option<String> {
    for mark in marks {
        for form in forms(mark) {
            let at = bytes.windows(form.len()).position(|window| window == form);
            if let Some(at) = at {
                let around = &bytes[at.saturating_sub(300)..bytes.len().min(at + 100)];
                return Some(format!("{mark} at byte {at}: {}", String::from_utf8_lossy(around)));
            }
        }
    }
    None
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// The bytes of a file without the zeros that fill it up.
fn bytes_of(file: &Path) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    bytes
}

/// A world under the real program that traces all it can and answers the operators' port.
async fn traced() -> (World, Process, SocketAddr) {
    let mut world = World::with_agencies().await;
    world.stop().await;
    let metrics = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let config = world.folder.path().join("cairn.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("metrics = \"127.0.0.1:7480\"", &format!("metrics = \"{metrics}\""));
    assert!(text.contains(&metrics.to_string()));
    fs::write(&config, text + "\n[log]\nfilter = \"trace\"\njson = true\n").unwrap();
    let process = Process::serve(&world).await;
    (world, process, metrics)
}

/// Submits, for the status as it came: text, details and all.
async fn submit(client: &Client, envelope: Vec<u8>) -> Result<(), Status> {
    let request = SubmitRequest { envelope, validate_only: false };
    client.exchange().submit(request).await.map(drop)
}

fn person_in_post() -> Option<Person> {
    Some(Person { name: "Tamsinquist".into(), ..person().unwrap() })
}

fn id() -> [u8; 16] {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    id
}

/// A concern on its whole way: redirected, decided, answered.
async fn goes_its_way(world: &World) -> u64 {
    let (police, school) = (world.agency("police"), world.agency("school"));
    let social_work = world.agency("social-work");
    let entry = sent(police, &document()).await;
    let incoming = next(school).await;
    let opened_there = open(school, &incoming);
    let body = serde_json::to_string(opened_there.body.as_ref().unwrap().as_map()).unwrap();
    let arrived = |mark: &&str| body.contains(*mark);
    assert_eq!(SEALED.iter().filter(|mark| arrived(mark)).count(), SEALED.len() - 1, "{body}");

    let inbox = "school/duty";
    say(school, entry, inbox, stored()).await.unwrap();
    say(school, entry, inbox, Act::Opened(Opened { person: person_in_post() })).await.unwrap();
    let about = About { entry, inbox: inbox.parse().unwrap() };
    let next_owner = "social-work/duty".parse().unwrap();
    let (key, digest) = opened_there.key.as_ref().unwrap();
    let redirection = Redirection {
        person: person_in_post(),
        next: "social-work/duty".into(),
        misdirected: true,
    };
    let redirected = school.compose(|composer| {
        let act = Act::Redirection(redirection);
        composer.step_with_wraps(&about, id(), &next_owner, (key, digest), act)
    });
    school.submit(&redirected).await.unwrap();

    let inbox = "social-work/duty";
    open(social_work, &next(social_work).await);
    let acknowledged = Act::Acknowledgement(Acknowledgement { person: person_in_post() });
    let outcome = "assessment".into();
    let decided =
        Act::Decision(Decision { person: person_in_post(), outcome, reason: String::new() });
    for act in [stored(), acknowledged, decided] {
        say(social_work, entry, inbox, act).await.unwrap();
    }
    let about = About { entry, inbox: inbox.parse().unwrap() };
    let to = ["police/duty".parse().unwrap()];
    let act = Act::Feedback(Feedback { person: person_in_post() });
    let body = json!({"outcome": "assessment", "text": "Answerquaggy will see Zyxquillan."});
    let answered = social_work
        .compose(|composer| composer.step_with_body(&about, id(), &to, act, &body).unwrap());
    social_work.submit(&answered).await.unwrap();
    let answer = next(police).await;
    let body = serde_json::to_string(open(police, &answer).body.unwrap().as_map()).unwrap();
    assert!(body.contains("Answerquaggy"));
    say(police, answer.entry, "police/duty", stored()).await.unwrap();
    entry
}

/// Everything that is refused, with the marks in it; gives what was answered.
async fn is_refused(world: &World) -> Vec<String> {
    let police = world.agency("police");
    let made = |changes: Value| envelope(police, &with(document(), changes));
    let whole = made(json!({}));
    let mut forged: proto::Envelope = proto::decode(&whole).unwrap();
    forged.signature.as_mut().unwrap().signature[10] ^= 1;
    let typed = document().to_string().into_bytes();
    let plain = |name: &str| vec!["school/duty".to_owned(), name.to_owned()];
    let resign = |change: fn(&mut proto::Statement)| resigned(police, &whole, change);
    let envelopes = [
        ("request_id_conflict", made(json!({"purpose": "Purposequill twice"}))),
        ("no_agreement", made(json!({"reference": "REF/Wibblestone-77/2", "agreement": null}))),
        ("unknown_recipient", made(json!({"to": ["school/nobody"]}))),
        ("unknown_recipient", made(json!({"to": plain("Zyxquillan Feathermarkle")}))),
        ("forged_signature", proto::encode(&forged)),
        ("malformed", typed.clone()),
        ("statement_too_large", typed.iter().copied().cycle().take(2_000_000).collect()),
        ("too large for a message", typed.iter().copied().cycle().take(5_000_000).collect()),
        ("wrong_exchange", resign(|statement| statement.exchange = "Feathermarkle".into())),
        ("wrong_system", resign(|statement| statement.system = "Feathermarkle".into())),
        ("wrong_system", resign(|statement| statement.from = "Feathermarkle".into())),
        ("field_invalid", resign(|statement| statement.request_id = b"Feathermarkle".to_vec())),
        ("field_invalid", resign(|statement| statement.created_at = "Zyxquillan".repeat(10))),
        ("field_invalid", resign(|statement| statement.flags = vec!["Zyxquillan".repeat(10)])),
        ("field_invalid", resign(|statement| statement.act = None)),
    ];
    let mut said = Vec::new();
    for (what, envelope) in envelopes {
        let status = submit(police, envelope).await.expect_err(what);
        said.push(format!("{what}: {status} {status:?}"));
    }
    for act in [
        Act::NotTaken(proto::NotTaken { reason: "Feathermarkle ".repeat(10) }),
        Act::Opened(Opened {
            person: Some(Person { post: String::new(), ..person_in_post().unwrap() }),
        }),
        Act::Decision(Decision {
            person: person_in_post(),
            outcome: "Zyxquillan".into(),
            reason: "Feathermarkle".into(),
        }),
        Act::Redirection(Redirection {
            person: person_in_post(),
            next: "Feathermarkle".into(),
            misdirected: true,
        }),
    ] {
        let about = About { entry: 1, inbox: "police/duty".parse().unwrap() };
        let envelope = police.compose(|composer| composer.step(&about, id(), act));
        let status = submit(police, envelope).await.expect_err("a step");
        said.push(format!("a step: {status} {status:?}"));
    }
    let malformed = Document::parse(format!("{{\"child\": \"Feathermarkle\", {}", "x").as_bytes());
    said.push(format!("a document: {:?}", malformed.expect_err("no JSON")));
    said
}

/// Codes where a sender wrote a name. They are accepted, since content never refuses, but no
/// code is copied that no list has.
async fn is_accepted_with_names_for_codes(world: &World) {
    let police = world.agency("police");
    let names = json!({
        "reference": "REF/Wibblestone-77/3", "urgency": "Zyxquillan", "class": "Feathermarkle",
        "agreement": "Wobblethorpe", "lawful_basis": "Zyxquillan", "kind": "Feathermarkle",
        "created_at": "Zyxquillan", "occurred_at": "Feathermarkle",
    });
    // These fields travel in the statement, so the marks are in its detail: the sender's own
    // doing. What matters is that they go no further.
    let whole = envelope(police, &with(document(), names));
    let flagged = resigned(police, &whole, |statement| {
        statement.flags = vec!["Feathermarkle".into(), "missing_purpose".into()];
    });
    submit(police, flagged).await.unwrap();
}

/// The questions that staff and auditors ask.
async fn is_asked_about(world: &World, entry: u64) -> Vec<String> {
    let mut said = Vec::new();
    let purpose = String::from("learning_review");
    for with_detail in [false, true] {
        let request = GetEntryRequest { entry, purpose: purpose.clone(), with_detail };
        world.auditor.audit().get_entry(request).await.unwrap();
    }
    let request = QueryRequest { purpose, concern: Some(entry), ..<_>::default() };
    let rows = world.auditor.audit().query(request).await.unwrap().into_inner().rows;
    assert!(rows.len() > 5);
    said.push(format!("{rows:?}"));
    let request = QueryRequest { purpose: "Feathermarkle ".repeat(10), ..<_>::default() };
    let status = world.auditor.audit().query(request).await.expect_err("no code");
    said.push(format!("{status} {status:?}"));
    let by = Some(By::RequestId(b"Feathermarkle-Zyxquillan".to_vec()));
    let request = GetConcernRequest { by };
    let status = world.agency("police").exchange().get_concern(request).await.expect_err("none");
    said.push(format!("{status} {status:?}"));
    let waiting = world.on_call.status().list_waiting(proto::ListWaitingRequest::default()).await;
    said.push(format!("{waiting:?}"));
    said
}

/// I12: names, addresses, phones and what was told are in sealed bodies and nowhere else; the
/// sender's own reference and staff in post are in details too, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn marked_names_are_found_nowhere_outside_sealed_bodies_and_references_only_in_details() {
    let (world, process, metrics) = traced().await;
    let entry = goes_its_way(&world).await;
    let mut said = is_refused(&world).await;
    said.extend(is_asked_about(&world, entry).await);
    for path in ["/metrics", "/livez", "/readyz", "/Feathermarkle?name=Zyxquillan"] {
        said.push(fetch(metrics, path));
    }
    assert!(said.iter().any(|text| text.contains("cairn_concerns 1")));
    for text in &said {
        assert_eq!(leak(text.as_bytes(), marks()), None, "in an answer");
    }
    let traces = process.traces();
    process.stop();
    assert!(traces.matches("\"level\":\"TRACE\"").count() > 1_000, "it traced all it can");
    assert_eq!(leak(traces.as_bytes(), marks()), None, "in the traces");

    let data = world.data();
    for file in files_below(data.path()) {
        let bytes = bytes_of(&file);
        let in_journal = file.starts_with(data.journal());
        let forbidden: Vec<_> =
            marks().filter(|mark| !in_journal || SEALED.contains(mark)).collect();
        assert_eq!(leak(&bytes, forbidden.into_iter()), None, "in {}", file.display());
    }
    are_in_details_only(&world, IN_DETAILS.into_iter());
    let mut world = world;
    world.start().await;
    world.check().await;
}

/// I12: a name that a sender wrote where a code belongs stays in the detail of its statement.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_where_a_code_belongs_goes_no_further_than_the_detail() {
    let (world, process, _) = traced().await;
    is_accepted_with_names_for_codes(&world).await;
    let traces = process.traces();
    process.stop();
    assert_eq!(leak(traces.as_bytes(), marks()), None, "in the traces");
    for file in files_below(&world.data().index()) {
        assert_eq!(leak(&bytes_of(&file), marks()), None, "in {}", file.display());
    }
    are_in_details_only(&world, ["Zyxquillan", "Feathermarkle", "Wobblethorpe"].into_iter());
    let mut world = world;
    world.start().await;
    world.check().await;
}

/// Each mark is in the journal, and as often in its details as in all of it.
fn are_in_details_only(world: &World, marks: impl Iterator<Item = &'static str>) {
    let journal = world.data().journal();
    let reader = JournalReader::open_read_only(&journal).unwrap();
    let size = reader.published().unwrap().size;
    let mut details = Vec::new();
    for scanned in reader.scan(0, size) {
        if let Scanned::Entry { record, .. } = scanned.unwrap() {
            let Detail::Present { content, .. } = record.detail else { panic!("it is there") };
            details.push(content);
        }
    }
    let files: Vec<_> = files_below(&journal).iter().map(|file| bytes_of(file)).collect();
    for mark in marks {
        for (number, form) in forms(mark).iter().enumerate() {
            let within =
                |parts: &[Vec<u8>]| -> usize { parts.iter().map(|part| count(part, form)).sum() };
            assert_eq!(within(&files), within(&details), "{mark} is in a detail or nowhere");
            assert!(number > 0 || within(&details) > 0, "{mark} is in a detail");
        }
    }
}
