//! An entry as the exchange tells of it, believed only when it is proved.
//!
//! Receipts, incoming statements and directory changes all come this way.
//!
//! Knows: ledger.

use crate::ledger::{
    leaf::{self, Leaf},
    merkle::Hash,
    note::Vkey,
    tlog_proof::TlogProof,
};

/// A leaf and the proof that it is an entry of the ledger.
pub(super) struct Proof<'a> {
    /// The entry number that it should prove.
    pub(super) entry: u64,
    /// A C2SP `.tlog-proof`.
    pub(super) tlog_proof: &'a [u8],
    /// The leaf, 89 bytes.
    pub(super) leaf: &'a [u8],
}

impl Proof<'_> {
    /// The leaf, proved under the ledger's key.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(super) fn verify(&self, vkey: &Vkey) -> Result<Leaf, String> {
        let proved = TlogProof::parse(self.tlog_proof)
            .and_then(|proof| proof.verify(self.leaf, std::slice::from_ref(vkey)));
        let (entry, _) = proved.map_err(|error| error.to_string())?;
        match entry == self.entry {
            true => Leaf::decode(self.leaf).map_err(|error| error.to_string()),
            false => Err("it proves another entry".to_owned()),
        }
    }
}

/// Whether a commitment of a leaf is to this content; an opening that is not 32 bytes
/// opens nothing.
pub(super) fn commits(commitment: &Hash, content: &[u8], opening: &[u8]) -> bool {
    opening.try_into().is_ok_and(|opening| leaf::opens(commitment, content, opening))
}
