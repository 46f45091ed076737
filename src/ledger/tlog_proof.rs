//! Receipts as files: `.tlog-proof` (C2SP tlog-proof).
//!
//! Takes an index, its inclusion proof and the signed checkpoint of its batch; gives a text that
//! proves, without asking anyone, that a leaf is in the ledger.
//!
//! Holds: I3, I10. Knows: limits.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::merkle::{Hash, LEDGER_SIZE_MAX, leaf_hash};
use super::note::{Note, Vkey};
use super::proof::{PROOF_HASHES_MAX, verify_inclusion};
use super::{Error, parse_base64, parse_decimal, parse_hash};
use crate::limits::CHECKPOINT_BYTES_MAX;

/// The extra data of a receipt, in bytes: more than a leaf, its facts and their openings.
pub const EXTRA_BYTES_MAX: usize = 16_384;
/// A receipt, in bytes.
pub const TLOG_PROOF_BYTES_MAX: usize = 65_536;

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";
const _: () = assert!(
    HEADER.len() + EXTRA_BYTES_MAX * 4 / 3 + PROOF_HASHES_MAX * 45 + CHECKPOINT_BYTES_MAX + 64
        < TLOG_PROOF_BYTES_MAX
);

/// A receipt. Nothing in it may be believed before [`TlogProof::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// A signed checkpoint that receipts can be made under, read once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint(Arc<str>);

impl SignedCheckpoint {
    /// From the bytes of a signed note. Its signature is not verified.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a note of a checkpoint.
    pub fn read(checkpoint: &[u8]) -> Result<Self, Error> {
        Checkpoint::parse(Note::parse(checkpoint)?.text())?;
        let text = std::str::from_utf8(checkpoint);
        text.map(|text| Self(text.into())).map_err(|_| Error::Malformed("a note is UTF-8"))
    }

    /// The bytes of the note.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TlogProof {
    /// A receipt for the leaf at `index`, with its inclusion proof under `checkpoint`, the bytes of a
    /// signed note.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the checkpoint is not a note of one or the proof is longer than
    /// [`PROOF_HASHES_MAX`]; [`Error::OutOfRange`] past [`LEDGER_SIZE_MAX`].
    pub fn new(index: u64, path: Vec<Hash>, checkpoint: &[u8]) -> Result<Self, Error> {
        Self::under(index, path, &SignedCheckpoint::read(checkpoint)?)
    }

    /// The same, under a checkpoint that was read before.
    ///
    /// # Errors
    /// As [`TlogProof::new`].
    pub fn under(
        index: u64,
        path: Vec<Hash>,
        checkpoint: &SignedCheckpoint,
    ) -> Result<Self, Error> {
        if index > LEDGER_SIZE_MAX {
            return Err(Error::OutOfRange);
        }
        if path.len() > PROOF_HASHES_MAX {
            return Err(Error::Malformed("a proof has at most 64 hashes"));
        }
        Ok(Self { extra: None, index, path, checkpoint: checkpoint.clone() })
    }

    /// The same receipt with extra data, which nothing in it protects.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is empty or longer than [`EXTRA_BYTES_MAX`].
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, Error> {
        if extra.is_empty() || extra.len() > EXTRA_BYTES_MAX {
            return Err(Error::Malformed("extra data is 1 to 16,384 bytes"));
        }
        self.extra = Some(extra);
        Ok(self)
    }

    /// The extra data, which nothing in the receipt protects.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Where in the ledger the leaf is said to be.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The inclusion proof, the leaf's sibling first.
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The signed checkpoint, as it was written.
    pub fn checkpoint(&self) -> &[u8] {
        self.checkpoint.0.as_bytes()
    }

    /// The receipt as text: what a `.tlog-proof` file holds.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(64 + 45 * self.path.len() + self.checkpoint.0.len());
        text.push_str(HEADER);
        if let Some(extra) = &self.extra {
            text.push_str("extra ");
            STANDARD.encode_string(extra, &mut text);
            text.push('\n');
        }
        text.push_str("index ");
        text.push_str(&self.index.to_string());
        text.push('\n');
        for hash in &self.path {
            STANDARD.encode_string(hash.as_bytes(), &mut text);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint.0);
        text
    }

    /// Reads a receipt. Strict: what it gives is written back as the same bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`], also past [`TLOG_PROOF_BYTES_MAX`]; [`Error::OutOfRange`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error =
            Error::Malformed("a receipt is a header, an index, hashes, a note");
        if bytes.len() > TLOG_PROOF_BYTES_MAX {
            return Err(Error::Malformed("a receipt is at most 65,536 bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MALFORMED)?;
        let text = text.strip_prefix(HEADER).ok_or(MALFORMED)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(MALFORMED)?;
        let mut lines = head.split('\n');
        let mut line = lines.next().ok_or(MALFORMED)?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(parse_base64(encoded)?);
            line = lines.next().ok_or(MALFORMED)?;
        }
        let index = parse_decimal(line.strip_prefix("index ").ok_or(MALFORMED)?)?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() == PROOF_HASHES_MAX {
                return Err(Error::Malformed("a proof has at most 64 hashes"));
            }
            path.push(parse_hash(line)?);
        }
        let receipt = Self::new(index, path, checkpoint.as_bytes())?;
        match extra {
            Some(extra) => receipt.with_extra(extra),
            None => Ok(receipt),
        }
    }

    /// Verifies that the leaf with these bytes is in a ledger one of these keys signs for; gives
    /// where, and under which checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::open_any`] and [`verify_inclusion`].
    pub fn verify(&self, leaf: &[u8], vkeys: &[Vkey]) -> Result<(u64, Checkpoint), Error> {
        let checkpoint = Checkpoint::open_any(self.checkpoint(), vkeys)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        verify_inclusion(&leaf_hash(leaf), self.index, size, &self.path, &root)?;
        Ok((self.index, checkpoint))
    }
}

#[cfg(test)]
#[path = "tlog_proof_tests.rs"]
mod tests;
