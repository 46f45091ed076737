//! Looks at a served ledger: questions, and entries whole. Every answer is verified
//! before it is given: signed checkpoint, inclusion of each entry, openings.
//!
//! Questions are in [`question`].
//!
//! Holds: I11. Knows: crypto, directory, ledger, proto, wire's client.

mod question;

pub use self::question::{Answer, Complete, Row, query};

use super::verify::{Opening, Proved, verify_receipt};
use crate::{
    clock::Moment,
    crypto::sign::{STATEMENT_TYPE, verify_dsse},
    directory::{self, Directory},
    proto::{self, Envelope, Facts, GetEntryRequest, Statement},
    wire::client::{Client, ClientError},
};

/// An entry whole, verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What its receipt proves.
    pub proved: Proved,
    /// The receipt itself, a `.tlog-proof`.
    pub tlog_proof: Vec<u8>,
    /// What opens its leaf.
    pub opening: Opening,
    /// Whether its detail is erased.
    pub erased: bool,
}

/// Looks at one entry; with its detail if asked for. Recorded in the ledger.
///
/// # Errors
/// [`ClientError`]; [`ClientError::Suspect`] if its receipt or an opening does not verify.
pub async fn entry(
    client: &Client,
    entry: u64,
    purpose: &str,
    with_detail: bool,
) -> Result<Shown, ClientError> {
    let request = GetEntryRequest { entry, purpose: purpose.to_owned(), with_detail };
    let answer = client.audit().get_entry(request).await?.into_inner();
    let receipt = answer.receipt.ok_or_else(|| suspect("there is no receipt".into()))?;
    let erased = receipt.erased;
    let shown = with_detail && !erased;
    let opening = Opening {
        entry,
        leaf: receipt.leaf,
        facts: receipt.facts,
        facts_opening: receipt.facts_opening,
        detail: answer.detail,
        detail_opening: if shown { receipt.detail_opening } else { Vec::new() },
    };
    let vkeys = [client.folder().vkey.clone()];
    let proved = verify_receipt(&receipt.tlog_proof, &opening, &vkeys)
        .map_err(|error| suspect(error.to_string()))?;
    if shown && !proved.detail {
        return Err(suspect(format!("entry {entry}: its detail came without its opening")));
    }
    Ok(Shown { proved, tlog_proof: receipt.tlog_proof, opening, erased })
}

fn suspect(what: String) -> ClientError {
    ClientError::Suspect(what)
}

/// Whether an entry is a statement of an agency, whose detail is an envelope.
pub fn is_statement(facts: &Facts) -> bool {
    facts.r#type().is_statement()
}

/// The envelope of a statement must be signed by a key that the directory has, or once
/// had, for the system that it names. Gives whether that key was revoked as suspected
/// from before `at`, the time of the entry.
///
/// # Errors
/// [`ClientError::Suspect`].
pub fn must_be_signed(
    directory: &Directory,
    envelope: &[u8],
    at: Moment,
) -> Result<bool, ClientError> {
    let wrong = |what: &str| suspect(format!("its envelope: {what}"));
    let envelope: Envelope = proto::decode(envelope).map_err(|error| wrong(&error.to_string()))?;
    let statement: Statement =
        proto::decode(&envelope.statement).map_err(|error| wrong(&error.to_string()))?;
    let signature = envelope.signature.unwrap_or_default();
    let known = directory::key_id(&signature.key_id).ok().and_then(|id| directory.key(&id));
    let known = known
        .filter(|key| key.record.agency == statement.from && key.record.system == statement.system)
        .ok_or_else(|| wrong("it is signed with a key that its sender does not have"))?;
    let signed = signature.signature.as_slice().try_into().is_ok_and(|signature| {
        verify_dsse(&known.public, STATEMENT_TYPE, &envelope.statement, signature).is_ok()
    });
    match signed {
        true => Ok(known.revoked.is_some_and(|since| since > 0 && since <= at.unix_seconds())),
        false => Err(wrong("its signature does not fit")),
    }
}

#[cfg(test)]
mod tests;
