//! May this checkpoint be cosigned? Pure: what is known, what is shown, and the answer.
//!
//! Takes the last checkpoint that was cosigned of a ledger, a new one whose signature is good, and
//! the request that brought it; gives leave, or how it is refused (C2SP tlog-witness).
//!
//! Holds: I4. Knows: ledger.

use crate::ledger::{
    add_checkpoint::AddCheckpoint,
    checkpoint::Checkpoint,
    merkle::{Hash, empty_root},
    proof::verify_consistency,
};

/// How far a ledger had got when it was cosigned last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Default for Head {
    /// Of a ledger that was never cosigned.
    fn default() -> Self {
        Self { size: 0, root: empty_root() }
    }
}

/// Why a checkpoint is not cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is smaller than what the sender says is known.
    Smaller,
    /// What was cosigned last has this size; the sender thinks another.
    Elsewhere(u64),
    /// As many entries as were cosigned, and another root: two histories, both signed.
    Fork,
    /// It is not proved to go on from what was cosigned.
    Unproved,
}

/// Judges a checkpoint that the ledger's key has signed.
pub(super) fn judge(
    known: &Head,
    new: &Checkpoint,
    request: &AddCheckpoint,
) -> Result<(), Refused> {
    if request.old > new.size() {
        return Err(Refused::Smaller);
    }
    if request.old != known.size {
        return Err(Refused::Elsewhere(known.size));
    }
    if new.size() == known.size && new.root() != known.root {
        return Err(Refused::Fork);
    }
    verify_consistency(known.size, new.size(), &known.root, &new.root(), &request.proof)
        .map_err(|_| Refused::Unproved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{
        growth::Growth,
        merkle::leaf_hash,
        proof::prove_consistency,
        tiles::{TILE_WIDTH, TileSource},
    };

    /// A tree of leaves that `history` tells apart from entry 5 on.
    struct Small(Vec<Hash>);

    impl Small {
        fn of(size: u64, history: u8) -> Self {
            Self(
                (0..size)
                    .map(|at| leaf_hash(&[at as u8, if at < 5 { 0 } else { history }]))
                    .collect(),
            )
        }

        fn root(&self) -> Hash {
            let mut growth = Growth::new();
            self.0.iter().for_each(|leaf| growth.push(*leaf, &mut Vec::new()));
            growth.root()
        }

        fn head(&self) -> Head {
            Head { size: self.0.len() as u64, root: self.root() }
        }

        fn checkpoint(&self) -> Checkpoint {
            Checkpoint::new("log", self.0.len() as u64, self.root()).unwrap()
        }

        fn request(&self, old: u64) -> AddCheckpoint {
            let proof = prove_consistency(self, old, self.0.len() as u64).unwrap();
            AddCheckpoint { old, proof, checkpoint: Vec::new() }
        }
    }

    impl TileSource for Small {
        type Error = crate::ledger::Error;

        fn tile(&self, _: u8, _: u64, width: u16) -> Result<Vec<Hash>, Self::Error> {
            assert!(width <= TILE_WIDTH);
            Ok(self.0[..usize::from(width)].to_vec())
        }
    }

    /// I4: whatever the sizes, an extension is cosigned and another history never.
    #[test]
    fn cosigns_what_goes_on_and_never_another_history() {
        for old in 0..20 {
            let known = Small::of(old, 0).head();
            for size in old..20 {
                let (same, other) = (Small::of(size, 0), Small::of(size, 1));
                let good = judge(&known, &same.checkpoint(), &same.request(old));
                assert_eq!(good, Ok(()), "{old} to {size}");
                if old <= 5 {
                    continue; // up to there the two are one history
                }
                let forked = judge(&known, &other.checkpoint(), &other.request(old));
                let expected = if size == old { Refused::Fork } else { Refused::Unproved };
                assert_eq!(forked, Err(expected), "{old} to {size}");
            }
        }
    }

    #[test]
    fn never_goes_back_nor_on_from_elsewhere() {
        let (known, smaller) = (Small::of(9, 0).head(), Small::of(7, 0));
        assert_eq!(
            judge(&known, &smaller.checkpoint(), &smaller.request(7)),
            Err(Refused::Elsewhere(9))
        );
        assert_eq!(
            judge(&known, &smaller.checkpoint(), &smaller.request(0)),
            Err(Refused::Elsewhere(9))
        );
        let beyond = AddCheckpoint { old: 9, proof: Vec::new(), checkpoint: Vec::new() };
        assert_eq!(judge(&known, &smaller.checkpoint(), &beyond), Err(Refused::Smaller));
    }

    #[test]
    fn a_proof_where_none_belongs_is_refused() {
        let (first, same) = (Small::of(3, 0), Small::of(3, 0));
        let mut request = first.request(0);
        request.proof.push(first.root());
        assert_eq!(judge(&Head::default(), &first.checkpoint(), &request), Err(Refused::Unproved));
        request.old = 3;
        assert_eq!(judge(&same.head(), &first.checkpoint(), &request), Err(Refused::Unproved));
        let mut longer = Small::of(9, 0).request(3);
        longer.proof.push(first.root());
        let nine = Small::of(9, 0).checkpoint();
        assert_eq!(judge(&same.head(), &nine, &longer), Err(Refused::Unproved));
    }
}
