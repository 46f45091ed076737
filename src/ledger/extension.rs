//! One batch, checked by separate code before its checkpoint is signed.
//!
//! Takes the frontier and root before a batch, its leaf hashes and the root that is about to be
//! signed; gives an [`Extension`], which only [`extends`] can make. It hashes row by row and has no
//! code in common with [`Frontier::push`]. The rows stay, so every receipt of the batch
//! gets its inclusion proof without another hash.
//!
//! Holds: I4. Knows: nothing.

use std::convert::Infallible;

use super::Error;
use super::merkle::{Frontier, Hash, LEDGER_SIZE_MAX, empty_root, node_hash};
use super::proof::{Nodes, consistency_path, inclusion_path, right_edge, verify_consistency};

/// The rows of nodes that a batch has added to a tree, from a root that was signed to a root that
/// may be.
#[derive(Clone, Debug)]
pub struct Extension {
    old: u64,
    new: u64,
    root: Hash,
    rows: Rows,
}

/// Checks that the tree of `old`, which must have the root `old_root`, followed by `leaves` has the
/// root `new_root`. Costs one node hash for each leaf, and at most 128 more.
///
/// # Errors
/// [`Error::Diverged`] when it does not: then nothing may be signed. [`Error::OutOfRange`] past
/// [`LEDGER_SIZE_MAX`].
pub fn extends(
    old: &Frontier,
    old_root: &Hash,
    leaves: &[Hash],
    new_root: &Hash,
) -> Result<Extension, Error> {
    let new = old
        .size()
        .checked_add(leaves.len() as u64)
        .filter(|new| *new <= LEDGER_SIZE_MAX)
        .ok_or(Error::OutOfRange)?;
    let old_size = old.size();
    let rows = Rows::build(old, leaves, new);
    let Ok(root) = right_edge(&mut &rows, u64::BITS, new);
    if root.unwrap_or_else(empty_root) != *new_root {
        return Err(Error::Diverged("the batch does not give the new root"));
    }
    let Ok(path) = consistency_path(&mut &rows, old_size, new);
    verify_consistency(old_size, new, old_root, new_root, &path)
        .map_err(|_| Error::Diverged("the new root does not extend the old one"))?;
    Ok(Extension { old: old_size, new, root: *new_root, rows })
}

impl Extension {
    /// How many leaves the tree had before the batch.
    pub fn old_size(&self) -> u64 {
        self.old
    }

    /// How many leaves the tree has with the batch.
    pub fn size(&self) -> u64 {
        self.new
    }

    /// The root of the tree with the batch.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The inclusion proof of one leaf of the batch, in the tree with the batch.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless the leaf at `index` (in the tree) belongs to the batch.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, Error> {
        if index < self.old || index >= self.new {
            return Err(Error::OutOfRange);
        }
        let Ok(path) = inclusion_path(&mut &self.rows, index, self.new);
        Ok(path)
    }

    /// The consistency proof from the tree before the batch to the tree with it.
    pub fn consistency(&self) -> Vec<Hash> {
        let Ok(path) = consistency_path(&mut &self.rows, self.old, self.new);
        path
    }
}

/// The nodes of each height that the batch completed, row after row in one list. A row starts with
/// the old peak of its height, where there is one: then each row starts at an even index.
#[derive(Clone, Debug)]
struct Rows {
    old: u64,
    hashes: Vec<Hash>,
    /// Where in `hashes` the row of each height starts.
    starts: Vec<usize>,
}

impl Rows {
    fn build(old: &Frontier, leaves: &[Hash], new: u64) -> Self {
        let mut hashes = Vec::with_capacity(2 * leaves.len() + 64);
        let mut starts = Vec::with_capacity(64);
        let mut peaks = old.peaks().iter().rev();
        for height in 0..u64::BITS - new.leading_zeros() {
            let below = starts.last().copied();
            let start = hashes.len();
            starts.push(start);
            if old.size() >> height & 1 == 1 {
                hashes.extend(peaks.next());
            }
            match below {
                None => hashes.extend_from_slice(leaves),
                Some(below) => {
                    for left in (below..start.saturating_sub(1)).step_by(2) {
                        let node = node_hash(&hashes[left], &hashes[left + 1]);
                        hashes.push(node);
                    }
                }
            }
        }
        let old = old.size();
        Self { old, hashes, starts }
    }

    fn at(&self, height: u32, index: u64) -> Hash {
        let first = (self.old >> height) & !1;
        self.hashes[self.starts[height as usize] + (index - first) as usize]
    }
}

impl Nodes for &Rows {
    type Error = Infallible;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.at(height, index))
    }
}
