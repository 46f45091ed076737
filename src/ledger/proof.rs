//! Inclusion and consistency proofs: made from tiles, verified without them.
//!
//! Proofs are made for any size the tree has had, always the same bytes, by the closed form: the
//! siblings of the "inner" part, then those of the "border" along the right edge (as described in
//! transparency-dev/merkle). They are verified by the loops of RFC 9162 sections 2.1.3.2 and
//! 2.1.4.2, so that a mistake in the one cannot hide in the other.
//!
//! Holds: I3, I4. Knows: nothing.

use super::Error;
use super::merkle::{Hash, LEDGER_SIZE_MAX, empty_root, node_hash};
use super::tiles::{TILE_WIDTH, TileSource, perfect_root, read_tile};

/// Hashes in the longest proof a tree of [`LEDGER_SIZE_MAX`] can need.
pub const PROOF_HASHES_MAX: usize = 64;

/// Proves that the tree of `size` holds a leaf at `index`: its sibling first, then upwards.
///
/// # Errors
/// [`Error::OutOfRange`] unless `index < size`; what the source says.
pub fn prove_inclusion<S: TileSource>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, S::Error> {
    if index >= size || size > LEDGER_SIZE_MAX {
        return Err(Error::OutOfRange.into());
    }
    inclusion_path(&mut StoredNodes::new(source, size), index, size)
}

/// Proves that the tree of `new` leaves starts with the tree of `old` leaves. Empty when `old` is
/// 0 or `new`.
///
/// # Errors
/// [`Error::OutOfRange`] unless `old <= new`; what the source says.
pub fn prove_consistency<S: TileSource>(
    source: &S,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, S::Error> {
    if old > new || new > LEDGER_SIZE_MAX {
        return Err(Error::OutOfRange.into());
    }
    consistency_path(&mut StoredNodes::new(source, new), old, new)
}

/// The root that the tree had at `size`.
///
/// # Errors
/// [`Error::OutOfRange`] past [`LEDGER_SIZE_MAX`]; what the source says.
pub fn root_at<S: TileSource>(source: &S, size: u64) -> Result<Hash, S::Error> {
    if size > LEDGER_SIZE_MAX {
        return Err(Error::OutOfRange.into());
    }
    let root = right_edge(&mut StoredNodes::new(source, size), u64::BITS, size)?;
    Ok(root.unwrap_or_else(empty_root))
}

/// Verifies that the tree of `size` with this `root` holds `leaf` at `index` (RFC 9162 section
/// 2.1.3.2).
///
/// # Errors
/// [`Error::OutOfRange`] unless `index < size`; [`Error::ProofRefused`].
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), Error> {
    if index >= size {
        return Err(Error::OutOfRange);
    }
    let (mut fnode, mut snode, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if snode == 0 {
            return Err(Error::ProofRefused);
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = node_hash(sibling, &hash);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    if snode == 0 && hash == *root { Ok(()) } else { Err(Error::ProofRefused) }
}

/// Verifies that the tree of `new` leaves with `new_root` starts with the tree of `old` leaves
/// with `old_root` (RFC 9162 section 2.1.4.2; every tree starts with the empty one).
///
/// # Errors
/// [`Error::OutOfRange`] unless `old <= new`; [`Error::ProofRefused`].
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), Error> {
    if old > new {
        return Err(Error::OutOfRange);
    }
    if old == 0 || old == new {
        let empty_fits = old > 0 || *old_root == empty_root();
        let equal_fits = old < new || old_root == new_root;
        return match path.is_empty() && empty_fits && equal_fits {
            true => Ok(()),
            false => Err(Error::ProofRefused),
        };
    }
    // A perfect old tree is itself the first node, and the proof leaves it out.
    let (first, rest) = match path {
        [] => return Err(Error::ProofRefused),
        path if old.is_power_of_two() => (old_root, path),
        [first, rest @ ..] => (first, rest),
    };
    let shared = (old - 1).trailing_ones();
    let (mut fnode, mut snode) = ((old - 1) >> shared, (new - 1) >> shared);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if snode == 0 {
            return Err(Error::ProofRefused);
        }
        if fnode & 1 == 1 || fnode == snode {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    if snode == 0 && old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(Error::ProofRefused)
    }
}

/// Where the root of a perfect subtree is found: that of the `2^height` leaves from
/// `index * 2^height` on, all of them within the tree.
pub(super) trait Nodes {
    type Error;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The inclusion proof of a leaf; `index < size`.
pub(super) fn inclusion_path<N: Nodes>(
    nodes: &mut N,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::with_capacity(PROOF_HASHES_MAX);
    push_siblings(nodes, 0, index, size, &mut path)?;
    Ok(path)
}

/// The consistency proof; `old <= new`. It is the inclusion proof of the last perfect subtree of
/// the old tree, and that subtree's own root where the old root is not the same thing.
pub(super) fn consistency_path<N: Nodes>(
    nodes: &mut N,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::with_capacity(PROOF_HASHES_MAX);
    if old == 0 || old == new {
        return Ok(path);
    }
    let height = old.trailing_zeros();
    let index = (old >> height) - 1;
    if index > 0 {
        path.push(nodes.node(height, index)?);
    }
    push_siblings(nodes, height, index, new, &mut path)?;
    Ok(path)
}

/// The siblings from a perfect subtree up to the root of the tree of `size`.
fn push_siblings<N: Nodes>(
    nodes: &mut N,
    height: u32,
    index: u64,
    size: u64,
    path: &mut Vec<Hash>,
) -> Result<(), N::Error> {
    let last = (size - 1) >> height;
    // Below `inner` the way up is apart from the way up of the last leaf; from there they are one.
    let inner = u64::BITS - (index ^ last).leading_zeros();
    for up in 0..inner {
        let sibling = (index >> up) ^ 1;
        let at = height + up;
        let complete = sibling < size >> at;
        let hash = match complete {
            true => Some(nodes.node(at, sibling)?),
            false => right_edge(nodes, at, size)?,
        };
        path.push(hash.expect("invariant: the inner part ends at a subtree with a leaf in it"));
    }
    let mut border = index.checked_shr(inner).unwrap_or(0);
    let mut at = height + inner;
    while border > 0 {
        if border & 1 == 1 {
            path.push(nodes.node(at, border - 1)?);
        }
        border >>= 1;
        at += 1;
    }
    Ok(())
}

/// The root of the last `size mod 2^height` leaves of the tree of `size`, if there are any.
pub(super) fn right_edge<N: Nodes>(
    nodes: &mut N,
    height: u32,
    size: u64,
) -> Result<Option<Hash>, N::Error> {
    let mut root: Option<Hash> = None;
    for bit in (0..height.min(u64::BITS)).filter(|bit| size >> bit & 1 == 1) {
        let peak = nodes.node(bit, (size >> bit) - 1)?;
        root = Some(match root {
            None => peak,
            Some(right) => node_hash(&peak, &right),
        });
    }
    Ok(root)
}

/// Nodes computed from stored tiles. A proof goes through two tiles a level at most, so what it
/// has read is kept in a short list.
struct StoredNodes<'a, S> {
    source: &'a S,
    size: u64,
    read: Vec<(u8, u64, Vec<Hash>)>,
}

impl<'a, S> StoredNodes<'a, S> {
    fn new(source: &'a S, size: u64) -> Self {
        let read = Vec::new();
        Self { source, size, read }
    }
}

impl<S: TileSource> Nodes for StoredNodes<'_, S> {
    type Error = S::Error;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, S::Error> {
        let level = (height / 8) as u8;
        let first = index << (height % 8);
        let tile = first >> 8;
        let known = |(at, number, _): &(u8, u64, Vec<Hash>)| (*at, *number) == (level, tile);
        let position = match self.read.iter().position(known) {
            Some(position) => position,
            None => {
                let hashes = (self.size >> (8 * level)) - (tile << 8);
                let width = hashes.min(u64::from(TILE_WIDTH)) as u16;
                let hashes = read_tile(self.source, level, tile, width)?;
                self.read.push((level, tile, hashes));
                self.read.len() - 1
            }
        };
        let start = (first & 0xff) as usize;
        let end = start + (1 << (height % 8));
        Ok(perfect_root(&self.read[position].2[start..end]))
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
