//! The Merkle tree once more, as RFC 6962 section 2.1 writes it: slow, recursive, and with no code
//! in common with the product's.

use sha2::{Digest, Sha256};

/// A hash.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The largest power of two below `size`, which is above 1.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// MTH: the root over leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// PATH: the proof that the leaf at `index` is in the tree.
pub fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match index < left.len() {
        true => (inclusion(index, left), root(right)),
        false => (inclusion(index - left.len(), right), root(left)),
    };
    path.push(sibling);
    path
}

/// PROOF: the proof that the tree of the first `old` leaves is how this one began.
pub fn consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    match old {
        0 => Vec::new(),
        _ => subproof(old, leaves, true),
    }
}

fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match old <= left.len() {
        true => (subproof(old, left, whole), root(right)),
        false => (subproof(old - left.len(), right, false), root(left)),
    };
    path.push(sibling);
    path
}
