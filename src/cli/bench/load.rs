//! What is sent: statements made beforehand, each with a request id and a signature of its own.
//!
//! Sealing is slow and is the sender's work, not the exchange's: a few bodies are sealed, and
//! each is signed again and again under new request ids. The exchange cannot tell, since it
//! cannot open a body; a recipient could. Nothing here is meant to be read.
//!
//! Knows: wire::client, crypto, domain, proto.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Context;
use serde_json::json;

use crate::{
    crypto::sign::{PublicKey, STATEMENT_TYPE, sign_dsse, verify_dsse},
    domain::{document::Document, ids::InboxId},
    proto::{self, Envelope, Signature, Statement, statement::Act},
    wire::client::{Client, folder::SystemFolder},
};

/// So many bodies are sealed.
const BODIES: usize = 8;

/// A statement that is ready to be sent.
pub(super) struct Prepared {
    /// Statement and signature, as an envelope without its body.
    signed: Vec<u8>,
    /// The sealed body, as the rest of the envelope.
    body: Arc<Vec<u8>>,
}

impl Prepared {
    /// The envelope. The two parts of a protobuf message follow one another as they are.
    pub(super) fn envelope(&self) -> Vec<u8> {
        let mut envelope = Vec::with_capacity(self.bytes());
        envelope.extend_from_slice(&self.signed);
        envelope.extend_from_slice(&self.body);
        envelope
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> usize {
        self.signed.len() + self.body.len()
    }
}

/// What the documents say, where it matters to the exchange.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) to: Vec<InboxId>,
    pub(super) agreement: Option<String>,
    /// About how long an envelope is to be, in bytes.
    pub(super) size: usize,
}

/// Makes statements of one system.
pub(super) struct Maker {
    client: Client,
    sealed: Vec<(Statement, Arc<Vec<u8>>)>,
    run: [u8; 8],
    made: AtomicU64,
}

impl Maker {
    /// Seals the bodies. The client must know the directory.
    pub(super) fn new(client: &Client, content: &Content) -> anyhow::Result<Self> {
        let mut run = [0; 8];
        getrandom::fill(&mut run).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let bare = seal(client, content, 0)?;
        let filling = content.size.saturating_sub(bare.len());
        let sealed = (0..BODIES)
            .map(|_| parted(&seal(client, content, filling)?))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { client: client.clone(), sealed, run, made: AtomicU64::new(0) })
    }

    /// So many statements, on all cores.
    pub(super) fn make(&self, count: usize) -> Vec<Prepared> {
        let threads = cores();
        let first = self.made.fetch_add(count as u64, Ordering::Relaxed);
        thread::scope(|scope| {
            let share = |part: usize| first + (count * part / threads) as u64;
            let parts: Vec<_> = (0..threads)
                .map(|part| {
                    let numbers = share(part)..share(part + 1);
                    scope.spawn(move || numbers.map(|n| self.one(n)).collect::<Vec<_>>())
                })
                .collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
        })
    }

    /// The statement of this number.
    pub(super) fn one(&self, number: u64) -> Prepared {
        let (statement, body) = &self.sealed[number as usize % self.sealed.len()];
        let mut statement = statement.clone();
        statement.request_id = self.request_id(number).to_vec();
        if let Some(Act::Concern(concern)) = &mut statement.act {
            concern.reference = format!("EXERCISE-{number:09}");
        }
        let envelope = sign(self.client.folder(), &statement);
        Prepared { signed: proto::encode(&envelope), body: Arc::clone(body) }
    }

    /// The request id of this number.
    pub(super) fn request_id(&self, number: u64) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.run);
        id[8..].copy_from_slice(&number.to_be_bytes());
        id
    }

    /// The number of the first of the `count` that were made last.
    pub(super) fn first_of(&self, count: usize) -> u64 {
        self.made.load(Ordering::Relaxed).saturating_sub(count as u64)
    }

    /// The number of the statement with this request id, if it is one of this run.
    pub(super) fn number_of(&self, request_id: &[u8]) -> Option<u64> {
        let (run, number) = request_id.split_first_chunk::<8>()?;
        (*run == self.run).then(|| number.try_into().ok().map(u64::from_be_bytes)).flatten()
    }

    /// The statements' key, and what it signed, parted as a check of signatures takes it.
    pub(super) fn signed(&self, statements: &[Prepared]) -> anyhow::Result<Signed> {
        let part = |prepared: &Prepared| {
            let envelope: Envelope = proto::decode(&prepared.signed)?;
            let signature = envelope.signature.unwrap_or_default().signature;
            let signature = signature.as_slice().try_into().context("a signature of 64 bytes")?;
            anyhow::Ok((envelope.statement, signature))
        };
        let parts = statements.iter().map(part).collect::<anyhow::Result<_>>()?;
        Ok(Signed { key: self.client.folder().signing.public(), parts })
    }
}

/// Statements and signatures under one key.
pub(super) struct Signed {
    key: PublicKey,
    parts: Vec<(Vec<u8>, [u8; 64])>,
}

impl Signed {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Verifies the signature at this place, and the ones after the last again from the first.
    pub(super) fn verify(&self, at: usize) -> anyhow::Result<()> {
        let (statement, signature) = &self.parts[at % self.parts.len()];
        Ok(verify_dsse(&self.key, STATEMENT_TYPE, statement, signature)?)
    }
}

/// A statement's envelope without its body.
pub(super) fn sign(folder: &SystemFolder, statement: &Statement) -> Envelope {
    let statement = proto::encode(statement);
    let signature = Signature {
        key_id: folder.signing.key_id().0.to_vec(),
        signature: sign_dsse(&folder.signing, STATEMENT_TYPE, &statement).to_vec(),
    };
    Envelope { statement, signature: Some(signature), body: None }
}

/// How many threads can run at once.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn seal(client: &Client, content: &Content, filling: usize) -> anyhow::Result<Vec<u8>> {
    let to: Vec<String> = content.to.iter().map(ToString::to_string).collect();
    let document = json!({
        "kind": "concern",
        "reference": "EXERCISE-000000000",
        "from": client.folder().settings.agency,
        "to": to,
        // Outside an agreement only what cannot wait may pass.
        "urgency": if content.agreement.is_some() { "prompt" } else { "urgent" },
        "class": "child_protection",
        "agreement": content.agreement.clone().unwrap_or_default(),
        "lawful_basis": "public_task",
        "created_at": "2026-01-01T09:00:00Z",
        "purpose": "to measure this exchange",
        "action_requested": "none: this is an exercise",
        "concern": {"category": "other", "narrative": "x".repeat(filling)},
        "exercise": true,
    });
    let document = Document::parse(document.to_string().as_bytes())?;
    Ok(client.compose(|composer| composer.concern(&document))?)
}

/// The statement and, encoded, the body.
fn parted(envelope: &[u8]) -> anyhow::Result<(Statement, Arc<Vec<u8>>)> {
    let envelope: Envelope = proto::decode(envelope)?;
    let statement = proto::decode(&envelope.statement)?;
    let body = Envelope { body: envelope.body, ..Envelope::default() };
    Ok((statement, Arc::new(proto::encode(&body))))
}

/// Their mean length in bytes.
pub(super) fn mean_bytes(statements: &[Prepared]) -> f64 {
    let total: usize = statements.iter().map(Prepared::bytes).sum();
    total as f64 / statements.len().max(1) as f64
}
