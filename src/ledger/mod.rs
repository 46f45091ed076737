//! The ledger: an append-only Merkle tree, its signed heads and its proofs.
//!
//! Takes the bytes of leaves in their order; gives roots, tiles, proofs, checkpoints and receipts
//! in the C2SP formats (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof, tlog-cosignature,
//! what tlog-witness sends, tlog-policy) over the RFC 6962 SHA-256 tree, so that tools others wrote can check us.
//! Pure arithmetic: no I/O, no async, no clock, no chance.
//!
//! To append a batch: [`growth::Growth::push`] each leaf hash into a clone of the growth, then
//! [`extension::extends`] checks by other code that the new root extends the last signed one
//! and holds the proofs of the whole batch, then [`checkpoint::Checkpoint::sign`].
//!
//! Holds: I3, I4, I10. Knows: crypto, limits.

pub mod add_checkpoint;
pub mod checkpoint;
pub mod extension;
pub mod growth;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod tiles;
pub mod tlog_policy;
pub mod tlog_proof;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why the ledger said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key that is trusted is named as the signer, and the signature is not its own.
    #[error("the signature of a known key does not verify")]
    BadSignature,
    /// What is stored or computed does not give the root that was signed. Nothing may be signed
    /// or served on top of it.
    #[error("the tree does not have the expected root: {0}")]
    Diverged(&'static str),
    /// Bytes or text that break their format; the text is the rule that was broken.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// None of the signatures is by a key that is trusted.
    #[error("no signature by a known key")]
    NoKnownSignature,
    /// An index or a size that the tree in question does not reach.
    #[error("index or size beyond the tree")]
    OutOfRange,
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the root")]
    ProofRefused,
    /// A good signature, of another ledger.
    #[error("the checkpoint is of another ledger")]
    WrongOrigin,
}

/// Reads a decimal as the C2SP formats write it: digits only, no sign, no leading zero, at most
/// [`merkle::LEDGER_SIZE_MAX`].
fn parse_decimal(text: &str) -> Result<u64, Error> {
    const MALFORMED: Error = Error::Malformed("a number is decimal digits without leading zeros");
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    if digits.len() > 1 && digits[0] == b'0' {
        return Err(MALFORMED);
    }
    let number: u64 = text.parse().map_err(|_| Error::OutOfRange)?;
    if number > merkle::LEDGER_SIZE_MAX {
        return Err(Error::OutOfRange);
    }
    Ok(number)
}

/// Reads the one canonical spelling of standard base64, padding included.
fn parse_base64(text: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| Error::Malformed("base64 is standard, padded and canonical"))
}

/// Reads a hash as the C2SP formats write it: 44 characters of base64.
fn parse_hash(text: &str) -> Result<merkle::Hash, Error> {
    const MALFORMED: Error = Error::Malformed("a hash is 44 characters of base64");
    if text.len() != 44 {
        return Err(MALFORMED);
    }
    let mut bytes = [0; 33];
    match STANDARD.decode_slice(text, &mut bytes) {
        Ok(32) => {}
        _ => return Err(MALFORMED),
    }
    let hash = bytes[..32].try_into().map_err(|_| MALFORMED)?;
    Ok(merkle::Hash::from_bytes(hash))
}
