//! A second receipt for an entry, under the newest checkpoint that enough witnesses have cosigned.
//!
//! Takes a served ledger and an entry, with its leaf if it is at hand; gives a `.tlog-proof` whose
//! checkpoint bears the witnesses' lines. Whose lines they are is for a policy to judge.
//!
//! Holds: I4. Knows: ledger, proto, wire's client.

use super::mirror::hashes;
use crate::{
    ledger::{checkpoint::Checkpoint, tlog_proof::TlogProof},
    proto::{GetCheckpointRequest, GetInclusionProofRequest},
    wire::client::{Client, ClientError},
};

/// What there is for an entry.
#[derive(Debug)]
pub enum Witnessed {
    /// A receipt under a cosigned checkpoint of so many entries.
    Yes {
        /// The receipt.
        receipt: TlogProof,
        /// How many entries its checkpoint covers.
        size: u64,
        /// Whether the leaf was at hand, so that the receipt was verified.
        verified: bool,
    },
    /// Logged, and not yet witnessed: so many entries are.
    NotYet(u64),
}

/// Asks for the second receipt of an entry.
///
/// # Errors
/// [`ClientError`]; [`ClientError::Suspect`] if what is answered does not verify.
pub async fn receipt(
    client: &Client,
    entry: u64,
    leaf: Option<&[u8]>,
) -> Result<Witnessed, ClientError> {
    let vkey = &client.folder().vkey;
    let answer = client.audit().get_checkpoint(GetCheckpointRequest {}).await?.into_inner();
    if answer.cosigned.is_empty() {
        return Ok(Witnessed::NotYet(0));
    }
    let suspect = |error: crate::ledger::Error| {
        ClientError::Suspect(format!("its cosigned checkpoint: {error}"))
    };
    let size = Checkpoint::open(&answer.cosigned, vkey).map_err(suspect)?.size();
    if entry >= size {
        return Ok(Witnessed::NotYet(size));
    }
    let request = GetInclusionProofRequest { entry, size };
    let proof = client.audit().get_inclusion_proof(request).await?.into_inner();
    let receipt =
        TlogProof::new(entry, hashes(&proof.hashes)?, &answer.cosigned).map_err(suspect)?;
    if let Some(leaf) = leaf {
        receipt.verify(leaf, std::slice::from_ref(vkey)).map_err(suspect)?;
    }
    Ok(Witnessed::Yes { receipt, size, verified: leaf.is_some() })
}
