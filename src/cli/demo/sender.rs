//! One simulated agency as a sender: pushes its lines, in order, and keeps what
//! became of each.
//!
//! Knows: wire::client, domain, ledger.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    domain::{document::Document, refusal::Refusal},
    ledger::{
        leaf::{Leaf, opens},
        note::Vkey,
        tlog_proof::TlogProof,
    },
    proto::{self, Facts, Receipt},
    wire::client::{
        Client, ClientError,
        outbox::{Outbox, RefusedNote},
    },
};

/// What became of a line.
pub(super) enum Fate {
    /// The exchange has it, under this receipt.
    Accepted(Box<Kept>),
    /// It repeats an accepted line, whose receipt came back.
    Duplicate(Box<Kept>),
    /// The exchange refused it, or this side did before sending.
    Refused { code: String, message: String },
    /// It is no concern document.
    Malformed(String),
}

/// An accepted line's proof.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) envelope: Vec<u8>,
    pub(super) receipt: Receipt,
    pub(super) facts: Facts,
    pub(super) verified: bool,
}

/// A line to push: its number in the pack, from 1, and the document.
pub(super) type Numbered = (usize, Document);

/// Pushes an agency's lines one after the other.
pub(super) async fn push(
    client: Client,
    vkey: Vkey,
    lines: Vec<Numbered>,
    done: &AtomicUsize,
) -> anyhow::Result<Vec<(usize, Fate)>> {
    let outbox = Outbox::of(client.folder().path())?;
    let mut accepted: HashMap<Vec<u8>, Kept> = HashMap::new();
    let mut fates = Vec::with_capacity(lines.len());
    for (number, document) in lines {
        let fate = push_one(&client, &vkey, &outbox, &document, &mut accepted).await?;
        fates.push((number, fate));
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(fates)
}

/// Pushes one document, and keeps what became of it.
pub(super) async fn push_one(
    client: &Client,
    vkey: &Vkey,
    outbox: &Outbox,
    document: &Document,
    accepted: &mut HashMap<Vec<u8>, Kept>,
) -> anyhow::Result<Fate> {
    if document.body.is_too_large() {
        let refusal = Refusal::BodyTooLarge;
        let message = format!("{}. {}", refusal.sentence(), refusal.what_to_do());
        return Ok(Fate::Refused { code: refusal.code().to_owned(), message });
    }
    let composed =
        client.compose(|composer| (composer.request_id(document), composer.concern(document)));
    let (request_id, envelope) = (composed.0.to_vec(), composed.1?);
    let (id, envelope) = outbox.put(envelope)?;
    match client.submit_until_answered(&envelope).await {
        Ok(response) => {
            let receipt = response.receipt.unwrap_or_default();
            outbox.accepted(&id, &envelope, &receipt)?;
            if let (true, Some(original)) = (response.duplicate, accepted.get(&request_id)) {
                anyhow::ensure!(original.receipt == receipt, "a repeat brought another receipt");
                return Ok(Fate::Duplicate(Box::new(original.clone())));
            }
            let kept = kept(vkey, envelope, receipt);
            accepted.insert(request_id, kept.clone());
            match response.duplicate {
                true => Ok(Fate::Duplicate(Box::new(kept))),
                false => Ok(Fate::Accepted(Box::new(kept))),
            }
        }
        Err(ClientError::Refused { code, message }) => {
            let reference = document.fields.reference.clone();
            let note = RefusedNote { code: code.clone(), message: message.clone(), reference };
            outbox.refused(&id, &note)?;
            Ok(Fate::Refused { code, message })
        }
        Err(error) => Err(error.into()),
    }
}

fn kept(vkey: &Vkey, envelope: Vec<u8>, receipt: Receipt) -> Kept {
    Kept {
        facts: proto::decode(&receipt.facts).unwrap_or_default(),
        verified: verifies(vkey, &envelope, &receipt),
        envelope,
        receipt,
    }
}

/// The receipt proves, under the ledger's key and nothing else, that these facts and
/// this very envelope are in the ledger.
fn verifies(vkey: &Vkey, envelope: &[u8], receipt: &Receipt) -> bool {
    let proved = TlogProof::parse(&receipt.tlog_proof)
        .and_then(|proof| proof.verify(&receipt.leaf, std::slice::from_ref(vkey)))
        .is_ok_and(|(entry, _)| entry == receipt.entry);
    let opening = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap_or([0; 32]);
    let committed = Leaf::decode(&receipt.leaf).is_ok_and(|leaf| {
        opens(&leaf.facts, &receipt.facts, &opening(&receipt.facts_opening))
            && opens(&leaf.detail, envelope, &opening(&receipt.detail_opening))
    });
    proved && committed
}
