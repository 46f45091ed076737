//! What a ledger sends to a witness (C2SP tlog-witness, add-checkpoint).
//!
//! Takes the size that the witness knows, the proof from there, and a signed checkpoint; gives the
//! body of the request, and reads it back. Nothing it says may be believed before it is judged.
//!
//! Holds: I10. Knows: limits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::Hash;
use super::{Error, parse_decimal, parse_hash};
use crate::limits::CHECKPOINT_BYTES_MAX;

/// Lines of the proof, at most.
pub const PROOF_LINES_MAX: usize = 63;
/// The whole request, in bytes.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = CHECKPOINT_BYTES_MAX + PROOF_LINES_MAX * 45 + 32;

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness cosigned last, as the sender knows it.
    pub old: u64,
    /// That the new tree extends that one.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Vec<u8>,
}

impl AddCheckpoint {
    /// The body of the request.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("old {}\n", self.old);
        for hash in &self.proof {
            STANDARD.encode_string(hash.as_bytes(), &mut head);
            head.push('\n');
        }
        head.push('\n');
        [head.as_bytes(), &self.checkpoint].concat()
    }

    /// Reads the body of a request. Strict: what it gives is written back as the same bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`], also past [`ADD_CHECKPOINT_BYTES_MAX`]; [`Error::OutOfRange`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error =
            Error::Malformed("a request is an old size, hashes, an empty line and a checkpoint");
        if bytes.len() > ADD_CHECKPOINT_BYTES_MAX {
            return Err(Error::Malformed("a request is at most 19,251 bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MALFORMED)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(MALFORMED)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(MALFORMED)?;
        let old = parse_decimal(old)?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_LINES_MAX {
                return Err(Error::Malformed("a proof has at most 63 lines"));
            }
            proof.push(parse_hash(line)?);
        }
        Ok(Self { old, proof, checkpoint: checkpoint.as_bytes().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::GOLDEN_NOTE;

    fn request(hashes: usize) -> AddCheckpoint {
        let proof = (0..hashes).map(|at| Hash::from_bytes([at as u8; 32])).collect();
        AddCheckpoint { old: 7, proof, checkpoint: GOLDEN_NOTE.as_bytes().to_vec() }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        for hashes in [0, 1, PROOF_LINES_MAX] {
            let request = request(hashes);
            assert_eq!(AddCheckpoint::parse(&request.to_bytes()).unwrap(), request);
        }
        let text = String::from_utf8(request(1).to_bytes()).unwrap();
        let first = "old 7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\ncairn.example/";
        assert!(text.starts_with(first), "{text}");
    }

    /// I10.
    #[test]
    fn a_request_past_its_bounds_or_out_of_shape_is_refused() {
        let written = |request: &AddCheckpoint| AddCheckpoint::parse(&request.to_bytes());
        assert!(written(&request(PROOF_LINES_MAX + 1)).is_err());
        let mut long = request(PROOF_LINES_MAX);
        long.checkpoint.resize(CHECKPOINT_BYTES_MAX + 33, b'a');
        assert!(written(&long).is_err());
        for text in [
            "",
            "old 7\n",
            "old 07\n\nx",
            "old -1\n\nx",
            "old +1\n\nx",
            "old 9223372036854775808\n\nx",
            "old  7\n\nx",
            "old 7\r\n\nx",
            "Old 7\n\nx",
            "7\n\nx",
            "old 7\nAAAA\n\nx",
            "old 7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\nx",
        ] {
            assert!(AddCheckpoint::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(AddCheckpoint::parse(b"old 7\n\n\xff").is_err());
    }
}
