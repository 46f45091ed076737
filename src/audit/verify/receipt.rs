//! Receipts: that a leaf is in the ledger, and what it commits to.
//!
//! Takes a `.tlog-proof`, what opens its leaf, and verifier keys; gives what is thereby
//! proved. Needs no exchange and no mirror.
//!
//! Holds: I3. Knows: ledger, proto.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::VerifyError;
use crate::{
    ledger::{
        checkpoint::Checkpoint,
        leaf::{Leaf, opens},
        merkle::Hash,
        note::Vkey,
        tlog_proof::TlogProof,
    },
    proto::{self, Facts},
};

/// What opens the leaf of a receipt, as `<name>.opening.json` beside it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The entry.
    pub entry: u64,
    /// The leaf.
    pub leaf: Vec<u8>,
    /// The serialised facts.
    pub facts: Vec<u8>,
    /// Opens the leaf's commitment to them.
    pub facts_opening: Vec<u8>,
    /// The detail, such as an envelope; empty if it is not known.
    pub detail: Vec<u8>,
    /// Opens the leaf's commitment to it; empty if it is not known.
    pub detail_opening: Vec<u8>,
}

#[derive(Deserialize)]
struct OpeningFile {
    entry: u64,
    leaf: String,
    facts: String,
    facts_opening: String,
    #[serde(default)]
    detail_opening: String,
    #[serde(default)]
    envelope: String,
}

impl Opening {
    /// Reads the JSON of an opening.
    ///
    /// # Errors
    /// [`VerifyError::Receipt`] if it is not one.
    pub fn parse(json: &[u8]) -> Result<Self, VerifyError> {
        let unreadable = |error: &dyn ToString| {
            VerifyError::Receipt(format!("its opening cannot be read: {}", error.to_string()))
        };
        let file: OpeningFile = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
        let base64 = |text: &str| STANDARD.decode(text).map_err(|error| unreadable(&error));
        Ok(Self {
            entry: file.entry,
            leaf: base64(&file.leaf)?,
            facts: base64(&file.facts)?,
            facts_opening: base64(&file.facts_opening)?,
            detail: base64(&file.envelope)?,
            detail_opening: base64(&file.detail_opening)?,
        })
    }
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq)]
pub struct Proved {
    /// The entry number.
    pub entry: u64,
    /// Its entry id, time and commitments.
    pub leaf: Leaf,
    /// The facts that its leaf commits to.
    pub facts: Facts,
    /// Whether a detail was given, and the leaf commits to it.
    pub detail: bool,
    /// The signed checkpoint it is under.
    pub checkpoint: Checkpoint,
}

/// Verifies a receipt: the leaf is in a ledger that one of these keys signs for, and
/// commits to the facts and, if it is given, to the detail.
///
/// # Errors
/// [`VerifyError::Receipt`].
pub fn verify_receipt(
    tlog_proof: &[u8],
    opening: &Opening,
    vkeys: &[Vkey],
) -> Result<Proved, VerifyError> {
    let refused = |reason: &dyn ToString| VerifyError::Receipt(reason.to_string());
    let proof = TlogProof::parse(tlog_proof).map_err(|error| refused(&error))?;
    let (entry, checkpoint) =
        proof.verify(&opening.leaf, vkeys).map_err(|error| refused(&error))?;
    if entry != opening.entry {
        let said = opening.entry;
        return Err(refused(&format!("it proves entry {entry}, its opening says {said}")));
    }
    let leaf = Leaf::decode(&opening.leaf).map_err(|error| refused(&error))?;
    if !commits(&leaf.facts, &opening.facts, &opening.facts_opening) {
        return Err(refused(&"its facts are not those that its leaf commits to"));
    }
    let facts = proto::decode(&opening.facts).map_err(|error| refused(&error))?;
    let detail = !opening.detail_opening.is_empty();
    if detail && !commits(&leaf.detail, &opening.detail, &opening.detail_opening) {
        return Err(refused(&"its envelope is not the one that its leaf commits to"));
    }
    Ok(Proved { entry, leaf, facts, detail, checkpoint })
}

/// Whether a commitment opens to a content, with an opening of any length.
pub fn commits(commitment: &Hash, content: &[u8], opening: &[u8]) -> bool {
    <&[u8; 32]>::try_from(opening).is_ok_and(|opening| opens(commitment, content, opening))
}
