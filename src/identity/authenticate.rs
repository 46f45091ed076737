//! Who is speaking: a certificate's peer and an envelope give an authenticated
//! statement, or a refusal.
//!
//! The only place that makes an [`Authenticated`]. Whether the key was still valid
//! and the statement permitted is the policy's to say, since a repeat of an
//! accepted statement must succeed even if either has ended since.
//!
//! Holds: I2. Knows: proto, crypto, directory, domain, limits.

use std::{collections::BTreeSet, sync::Arc};

use super::Peer;
use crate::{
    crypto::{
        seal::{self, SUITE},
        sign::{KeyId, STATEMENT_TYPE, verify_dsse},
    },
    directory::{self, Directory},
    domain::refusal::Refusal,
    limits,
    proto::{self, Envelope, SealedBody, Statement, statement::Act},
};

/// A statement whose signature, system and seal have been checked.
#[derive(Debug, Clone)]
pub struct Authenticated {
    peer: Arc<Peer>,
    envelope: Vec<u8>,
    statement: Statement,
    body: Option<SealedBody>,
    key: KeyId,
}

impl Authenticated {
    /// Who holds the certificate.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The envelope's bytes, exactly as sent.
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// What is said.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The sealed body, bound to the statement.
    pub fn body(&self) -> Option<&SealedBody> {
        self.body.as_ref()
    }

    /// The key that signed.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// The envelope's bytes, given away.
    pub fn into_envelope(self) -> Vec<u8> {
        self.envelope
    }
}

/// What does not prove who said it, given back.
#[derive(Debug)]
pub struct Unproven {
    /// Why.
    pub refusal: Refusal,
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
}

/// Checks an envelope against the certificate it came with and the directory.
///
/// # Errors
/// The refusal. Nothing about a key's or an agreement's dates is judged here.
pub fn authenticate(
    directory: &Directory,
    peer: Arc<Peer>,
    envelope: Vec<u8>,
) -> Result<Authenticated, Box<Unproven>> {
    match prove(directory, &peer, &envelope) {
        Ok((statement, body, key)) => Ok(Authenticated { peer, envelope, statement, body, key }),
        Err(refusal) => Err(Box::new(Unproven { refusal, envelope })),
    }
}

fn prove(
    directory: &Directory,
    peer: &Peer,
    envelope: &[u8],
) -> Result<(Statement, Option<SealedBody>, KeyId), Refusal> {
    if envelope.len() > limits::ENVELOPE_BYTES_MAX {
        return Err(invalid("envelope", "must be at most 1,048,576 bytes"));
    }
    let opened: Envelope = proto::decode(envelope)
        .map_err(|_| Refusal::Malformed { what: "is not an envelope with a statement" })?;
    if opened.statement.len() > limits::STATEMENT_BYTES_MAX {
        return Err(Refusal::StatementTooLarge);
    }
    let statement: Statement = proto::decode(&opened.statement)
        .map_err(|_| Refusal::Malformed { what: "is not an envelope with a statement" })?;
    if opened.statement.is_empty() {
        return Err(Refusal::Malformed { what: "holds no statement" });
    }
    if statement.exchange != directory.exchange() {
        return Err(Refusal::WrongExchange);
    }
    if statement.from != peer.agency.as_str() || statement.system != peer.system.as_str() {
        return Err(Refusal::WrongSystem);
    }
    let signature = opened.signature.as_ref().ok_or(Refusal::ForgedSignature)?;
    let key = check_signature(directory, &statement, signature, &opened.statement)?;
    check_shape(&statement)?;
    check_seal(&statement, opened.body.as_ref())?;
    Ok((statement, opened.body, key))
}

fn check_signature(
    directory: &Directory,
    statement: &Statement,
    signature: &proto::Signature,
    signed: &[u8],
) -> Result<KeyId, Refusal> {
    let key = directory::key_id(&signature.key_id)?;
    let known = directory.key(&key).ok_or(Refusal::UnknownKey)?;
    if known.record.agency != statement.from || known.record.system != statement.system {
        return Err(Refusal::WrongSystem);
    }
    let bytes: &[u8; 64] =
        signature.signature.as_slice().try_into().map_err(|_| Refusal::ForgedSignature)?;
    verify_dsse(&known.public, STATEMENT_TYPE, signed, bytes)
        .map_err(|_| Refusal::ForgedSignature)?;
    Ok(key)
}

fn check_shape(statement: &Statement) -> Result<(), Refusal> {
    let id = statement.request_id.len();
    if !(limits::REQUEST_ID_BYTES_MIN..=limits::REQUEST_ID_BYTES_MAX).contains(&id) {
        return Err(invalid("request_id", "must be 16 to 64 bytes"));
    }
    let distinct: BTreeSet<&String> = statement.to.iter().collect();
    if statement.to.len() > limits::TO_WRITTEN_MAX || distinct.len() > limits::RECIPIENTS_MAX {
        return Err(Refusal::TooManyRecipients);
    }
    if statement.subject_reference.len() > 64 {
        return Err(invalid("subject_reference", "must be at most 64 bytes"));
    }
    if statement.flags.len() > 16
        || statement.flags.iter().any(|flag| flag.len() > limits::CODE_BYTES_MAX)
    {
        return Err(invalid("flags", "at most 16 codes of at most 64 bytes"));
    }
    if statement.created_at.len() > limits::CODE_BYTES_MAX {
        return Err(invalid("created_at", "must be an RFC 3339 time"));
    }
    match statement.act {
        Some(_) => Ok(()),
        None => Err(invalid("act", "must say something this version knows")),
    }
}

/// Body and wraps must be the very ones that were signed for.
fn check_seal(statement: &Statement, body: Option<&SealedBody>) -> Result<(), Refusal> {
    let (seal, body) = match (&statement.seal, body) {
        (None, None) => return Ok(()),
        (Some(seal), Some(body)) => (seal, body),
        _ => return Err(Refusal::SealMismatch),
    };
    if seal.suite != SUITE || seal.key_commitment.len() != 32 || seal.body_sha256.len() != 32 {
        return Err(Refusal::SealMismatch);
    }
    if body.ciphertext.len() > limits::SEALED_BODY_BYTES_MAX {
        return Err(Refusal::BodyTooLarge);
    }
    if body.wraps.len() != seal.wraps.len() || body.wraps.len() > limits::WRAPS_MAX {
        return Err(Refusal::SealMismatch);
    }
    // Only what wraps an earlier body anew may come without cipher text.
    let anew = matches!(statement.act, Some(Act::Redirection(_) | Act::Resealed(_)));
    if !(anew && body.nonce.is_empty() && body.ciphertext.is_empty()) {
        let nonce: &[u8; 12] =
            body.nonce.as_slice().try_into().map_err(|_| Refusal::SealMismatch)?;
        if seal::body_digest(nonce, &body.ciphertext)[..] != seal.body_sha256 {
            return Err(Refusal::SealMismatch);
        }
    }
    for (wrap, digest) in body.wraps.iter().zip(&seal.wraps) {
        directory::key_id(&wrap.key_id)?;
        // Digested in a row: that each part has its one length says where they meet.
        if wrap.enc.len() != seal::ENC_BYTES || wrap.wrapped.len() != seal::WRAPPED_BYTES {
            return Err(Refusal::SealMismatch);
        }
        let named = wrap.inbox == digest.inbox
            && wrap.agreement == digest.agreement
            && wrap.key_id == digest.key_id;
        if !named || seal::wrap_digest(&wrap.enc, &wrap.wrapped)[..] != digest.sha256 {
            return Err(Refusal::SealMismatch);
        }
    }
    Ok(())
}

fn invalid(field: &'static str, rule: &'static str) -> Refusal {
    Refusal::FieldInvalid { field, rule }
}
