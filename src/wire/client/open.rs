//! Opens what came: checks the signature, the seal, the proof, and gives the
//! document back field for field as it was sent.
//!
//! Trusts the exchange with nothing: the signing key must be one that the client's
//! own fold of the directory has, and the entry must be proved to be in the ledger.
//!
//! Knows: crypto, domain, directory, ledger, proto.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    folder::SystemFolder,
    proved::{Proof, commits},
};
use crate::{
    clock::Moment,
    crypto::{
        seal::{self, ContentKey, OpenError, SealContext, SealingKeyPair},
        sign::{STATEMENT_TYPE, verify_dsse},
    },
    directory::{self, Directory},
    domain::{
        document::{Body, StatementFields, reassemble},
        ids::InboxId,
    },
    proto::{
        self, Concern, EntryType, Facts, Incoming, Person, Signature, Statement, Wrap,
        statement::Act,
    },
};

/// Why what came is not what it says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Suspect {
    /// The key that signed is not one of the directory's, or not the sender's.
    #[error("it is signed with a key that the directory does not have for its sender")]
    Key,
    /// The signature does not fit.
    #[error("its signature does not fit")]
    Signature,
    /// Leaf, facts or proof do not fit together.
    #[error("its entry is not proved to be in the ledger: {0}")]
    Proof(String),
    /// The statement cannot be read or answers for something else.
    #[error("its statement cannot be read: {0}")]
    Statement(&'static str),
    /// None of our keys opens the body.
    #[error("its body cannot be opened: {0}")]
    Body(OpenError),
    /// No wrap for our inbox came with it.
    #[error("it brought no wrap for our inbox")]
    NoWrap,
}

/// A statement that came and is what it says it is.
pub struct Opened {
    /// What is said; empty in a notice of the exchange's own, which the ledger's facts say.
    pub statement: Statement,
    /// The opened body; `None` if the statement has none.
    pub body: Option<Body>,
    /// The content key, to pass the body on with; and the digest it belongs to.
    pub key: Option<(ContentKey, Vec<u8>)>,
}

/// Checks and opens an incoming statement.
///
/// # Errors
/// [`Suspect`]: do not store it as if it were whole.
pub fn open(
    folder: &SystemFolder,
    directory: &Directory,
    incoming: &Incoming,
) -> Result<Opened, Suspect> {
    let facts = check_proof(folder, incoming)?;
    if is_notice(&facts) {
        return Ok(Opened { statement: Statement::default(), body: None, key: None });
    }
    let statement = signed(directory, &incoming.statement, incoming.signature.as_ref())?;
    check_facts(&facts, &statement)?;
    let inbox: InboxId = incoming.inbox.parse().map_err(|_| Suspect::Statement("no such inbox"))?;
    let whole = incoming.body.as_ref().filter(|body| !body.ciphertext.is_empty());
    let (seal, body) = match (&statement.seal, whole, &statement.act) {
        (Some(seal), Some(body), _) => (seal, body),
        // What is there to be read must not have been left out on the way.
        (_, _, Some(Act::Concern(_) | Act::Feedback(_))) => {
            return Err(Suspect::Body(OpenError::BodyAltered));
        }
        _ => return Ok(Opened { statement, body: None, key: None }),
    };
    let keys = folder.sealing.get(&inbox).ok_or(Suspect::NoWrap)?;
    let commitment: [u8; 32] = seal
        .key_commitment
        .as_slice()
        .try_into()
        .map_err(|_| Suspect::Statement("no commitment"))?;
    let key = content_key(directory, incoming, &statement, &inbox, keys, &commitment)?;
    let nonce: [u8; 12] =
        body.nonce.as_slice().try_into().map_err(|_| Suspect::Statement("no nonce"))?;
    if seal::body_digest(&nonce, &body.ciphertext)[..] != seal.body_sha256 {
        return Err(Suspect::Body(OpenError::BodyAltered));
    }
    let sealed = seal::SealedBody {
        nonce: &nonce,
        ciphertext: &body.ciphertext,
        key_commitment: &commitment,
    };
    let plain: Zeroizing<Vec<u8>> = seal::open_body(&sealed, &key).map_err(Suspect::Body)?;
    let opened =
        Body::parse(&plain).map_err(|_| Suspect::Statement("its body is no JSON object"))?;
    let digest = seal.body_sha256.clone();
    Ok(Opened { statement, body: Some(opened), key: Some((key, digest)) })
}

/// The content key, from the statement's own wrap or from one that a redirection or
/// resealing brought.
fn content_key(
    directory: &Directory,
    incoming: &Incoming,
    statement: &Statement,
    inbox: &InboxId,
    keys: &SealingKeyPair,
    commitment: &[u8; 32],
) -> Result<ContentKey, Suspect> {
    let mut last = Suspect::NoWrap;
    let own =
        incoming.body.iter().flat_map(|body| &body.wraps).map(|wrap| (wrap, statement.clone()));
    let rewraps = incoming.rewraps.iter().rev().filter_map(|rewrap| {
        let by = signed(directory, &rewrap.statement, rewrap.signature.as_ref()).ok()?;
        Some(rewrap.wraps.iter().map(move |wrap| (wrap, by.clone())))
    });
    for (wrap, by) in own.chain(rewraps.flatten()) {
        match unwrap(wrap, &by, inbox, keys, commitment) {
            Ok(key) => return Ok(key),
            Err(error) => last = Suspect::Body(error),
        }
    }
    Err(last)
}

fn unwrap(
    wrap: &Wrap,
    by: &Statement,
    inbox: &InboxId,
    keys: &SealingKeyPair,
    commitment: &[u8; 32],
) -> Result<ContentKey, OpenError> {
    let key_id = directory::key_id(&wrap.key_id).map_err(|_| OpenError::Malformed)?;
    let sealed = seal::Wrap { key_id, enc: wrap.enc.clone(), wrapped: wrap.wrapped.clone() };
    let digests = by.seal.as_ref().map_or(&[][..], |seal| &seal.wraps);
    let digest = seal::wrap_digest(&sealed.enc, &sealed.wrapped);
    if !digests.iter().any(|signed| signed.inbox == wrap.inbox && signed.sha256 == digest) {
        return Err(OpenError::WrapAltered);
    }
    let context =
        SealContext { exchange: &by.exchange, sender: &by.from, request_id: &by.request_id };
    seal::unwrap_key(commitment, &sealed, keys, &context, inbox.agency())
}

/// The statement, if a key that the directory has for its system signed it.
fn signed(
    directory: &Directory,
    bytes: &[u8],
    signature: Option<&Signature>,
) -> Result<Statement, Suspect> {
    let statement: Statement =
        proto::decode(bytes).map_err(|_| Suspect::Statement("not a statement"))?;
    let signature = signature.ok_or(Suspect::Signature)?;
    let id = directory::key_id(&signature.key_id).map_err(|_| Suspect::Key)?;
    let known = directory.key(&id).ok_or(Suspect::Key)?;
    if known.record.agency != statement.from || known.record.system != statement.system {
        return Err(Suspect::Key);
    }
    let raw = signature.signature.as_slice().try_into().map_err(|_| Suspect::Signature)?;
    verify_dsse(&known.public, STATEMENT_TYPE, bytes, raw).map_err(|_| Suspect::Signature)?;
    Ok(statement)
}

/// The facts in the ledger must be those of the statement that came with them.
fn check_facts(facts: &Facts, statement: &Statement) -> Result<(), Suspect> {
    let to: std::collections::BTreeSet<&String> = statement.to.iter().collect();
    let addressed: std::collections::BTreeSet<&String> = facts.inboxes.iter().collect();
    // Who is told of a withdrawal or a resealing is the exchange's to find.
    let same_recipients = statement.to.is_empty() || to == addressed;
    match facts.sender == statement.from && facts.answers == statement.answers && same_recipients {
        true => Ok(()),
        false => Err(Suspect::Proof("the facts are those of another statement".into())),
    }
}

/// Whether it is the exchange that speaks: of a rung that was climbed, a call that was made, an
/// urgent concern that was refused, a review that is asked for. Nobody signs it: that it is in the ledger, which [`check_proof`] has seen, is all there is to
/// say.
fn is_notice(facts: &Facts) -> bool {
    matches!(
        facts.r#type(),
        EntryType::Escalation
            | EntryType::ToldByPhone
            | EntryType::Refusal
            | EntryType::ReviewAsked
    )
}

/// The leaf must be in the ledger, and commit to the facts that came with it.
fn check_proof(folder: &SystemFolder, incoming: &Incoming) -> Result<Facts, Suspect> {
    let (entry, tlog_proof) = (incoming.entry, &incoming.tlog_proof);
    let proof = Proof { entry, tlog_proof, leaf: &incoming.leaf };
    let leaf = proof.verify(&folder.vkey).map_err(Suspect::Proof)?;
    match commits(&leaf.facts, &incoming.facts, &incoming.facts_opening) {
        true => proto::decode(&incoming.facts).map_err(|_| Suspect::Proof("no facts".into())),
        false => Err(Suspect::Proof("the facts are not those the leaf commits to".into())),
    }
}

/// The concern document as its sender wrote it.
pub fn document(statement: &Statement, concern: &Concern, body: &Body) -> Option<Value> {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let fields = StatementFields {
        kind: said(&concern.kind),
        reference: concern.reference.clone(),
        from: statement.from.parse().ok()?,
        to: statement.to.clone(),
        reply_to: statement.reply_to.parse().ok(),
        urgency: said(&concern.urgency),
        class: said(&concern.class),
        agreement: concern.agreement.parse().ok(),
        lawful_basis: said(&concern.lawful_basis),
        created_at: said(&statement.created_at),
        occurred_at: said(&concern.occurred_at),
        exercise: statement.exercise,
    };
    Some(reassemble(&fields, body))
}

/// What a receiving system writes for one incoming statement: one JSON object.
pub fn written(incoming: &Incoming, opened: &Opened) -> Value {
    let statement = &opened.statement;
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
    put("entry", incoming.entry.into());
    put("inbox", incoming.inbox.as_str().into());
    let facts: Facts = proto::decode(&incoming.facts).unwrap_or_default();
    if is_notice(&facts) {
        put("answers", facts.answers.into());
        put("at", Moment(incoming.accepted_at).rfc3339().into());
        match facts.r#type() {
            EntryType::Escalation => {
                put("type", "escalation".into());
                put("not_done", facts.subject.into());
                put("told", facts.code.into());
                let next = (!facts.next_inbox.is_empty()).then_some(facts.next_inbox);
                put("offered_to", next.into());
                put("about", facts.inbox.into());
            }
            EntryType::Refusal => {
                put("type", "refusal".into());
                put("urgency", facts.urgency.into());
                put("code", facts.code.into());
                let id = &incoming.refused_request_id;
                put(
                    "request_id",
                    id.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
                );
            }
            EntryType::ReviewAsked => {
                put("type", "review_asked".into());
                put("from", facts.subject.into());
                put("urgency", facts.urgency.into());
                put("due", Moment::of_seconds(facts.until).rfc3339().into());
            }
            _ => {
                put("type", "told_by_phone".into());
                put("about", facts.inbox.into());
            }
        }
        return Value::Object(line);
    }
    put("from", statement.from.as_str().into());
    put("flags", statement.flags.clone().into());
    match &statement.act {
        Some(Act::Concern(concern)) => {
            put("type", "concern".into());
            put("accepted_at", Moment(incoming.accepted_at).rfc3339().into());
            let body = opened.body.as_ref();
            put("document", body.and_then(|body| document(statement, concern, body)).into());
        }
        act => {
            put("type", kind(act.as_ref()).into());
            match act {
                Some(Act::UrgencyChange(change)) => {
                    put("urgency", change.urgency.as_str().into());
                    put("reason", change.reason.as_str().into());
                }
                Some(Act::Extension(more)) => {
                    put("not_done", more.duty.as_str().into());
                    put("until", Moment::of_seconds(more.until).rfc3339().into());
                    put("reason", more.reason.as_str().into());
                    put("asked_by", named(more.person.as_ref()));
                    put("agreed_by", named(more.approver.as_ref()));
                }
                Some(Act::Manifest(manifest)) => {
                    let ids = &manifest.request_ids;
                    let absent = facts.missing.iter().filter_map(|at| ids.get(*at as usize));
                    let hex = |id: &Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect();
                    put("counted", ids.len().into());
                    put("missing", absent.map(hex).collect::<Vec<String>>().into());
                }
                _ => {}
            }
            put("answers", statement.answers.into());
            put("about", statement.inbox.as_str().into());
            let body = opened.body.as_ref().map(|body| Value::Object(body.as_map().clone()));
            put("body", body.into());
        }
    }
    Value::Object(line)
}

/// A member of staff as far as the statement names them, with the post.
fn named(person: Option<&Person>) -> Value {
    let Some(person) = person else { return Value::Null };
    let said = [("name", &person.name), ("staff_id", &person.staff_id), ("post", &person.post)];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    Value::Object(said.map(|(name, text)| (name.to_owned(), text.as_str().into())).collect())
}

fn kind(act: Option<&Act>) -> &'static str {
    match act {
        Some(Act::Feedback(_)) => "feedback",
        Some(Act::Withdrawal(_)) => "withdrawal",
        Some(Act::UrgencyChange(_)) => "urgency_change",
        Some(Act::Extension(_)) => "extension",
        Some(Act::Manifest(_)) => "manifest",
        Some(Act::Resealed(_)) => "resealed",
        _ => "statement",
    }
}
