//! The growing end of the tree: takes leaves, gives each tile as it becomes full.
//!
//! Keeps the frontier and the partial tile of each level, and nothing else, so it costs one leaf
//! hash and one node hash for each leaf whatever the size. A clone is how a batch is tried: push
//! into the clone, and keep it once the batch is durable.
//!
//! Holds: I3. Knows: nothing.

use super::Error;
use super::merkle::{Frontier, Hash, LEDGER_SIZE_MAX};
use super::tiles::{TILE_WIDTH, TileId, TileSource, perfect_root, read_tile};

/// Levels that a tree of [`LEDGER_SIZE_MAX`] can reach.
const LEVELS: u8 = 8;
const _: () = assert!(LEDGER_SIZE_MAX >> (8 * (LEVELS as u32 - 1)) > 0);
const _: () = assert!(LEDGER_SIZE_MAX.leading_zeros() > 0, "a push cannot overflow the size");

/// A tile that has just become full: 256 hashes that will never change again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// 0 for leaf hashes.
    pub level: u8,
    /// Counted from the left of the level, from 0.
    pub index: u64,
    /// Exactly 256 hashes.
    pub hashes: Vec<Hash>,
}

/// The right edge of the tree and of each of its levels of tiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    frontier: Frontier,
    /// For each level its partial tile: `(size >> 8 * level) % 256` hashes.
    edges: Vec<Vec<Hash>>,
}

impl Growth {
    /// The growth of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The right edge of the tree.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Appends one leaf; each tile that it fills is added to `full`, level 0 first.
    pub fn push(&mut self, leaf: Hash, full: &mut Vec<FullTile>) {
        let size = self.frontier.size() + 1;
        let edges = &mut self.edges;
        self.frontier.push_each(leaf, |height, root| {
            if height % 8 != 0 {
                return;
            }
            let level = (height / 8) as usize;
            if level == edges.len() {
                edges.push(Vec::new());
            }
            let edge = &mut edges[level];
            edge.push(root);
            if edge.len() == usize::from(TILE_WIDTH) {
                full.push(FullTile {
                    level: level as u8,
                    index: (size >> (height + 8)) - 1,
                    hashes: std::mem::take(edge),
                });
            }
        });
    }

    /// The partial tile at the right edge of a level, where `index` names it: what a
    /// [`TileSource`] answers for the newest hashes.
    pub fn tile(&self, level: u8, index: u64) -> Option<&[Hash]> {
        let edge = self.edges.get(usize::from(level))?;
        let at_edge = !edge.is_empty() && edge_index(self.size(), level) == index;
        at_edge.then_some(edge.as_slice())
    }

    /// The partial tiles of the tree, level 0 first; with the full ones, all tiles it has.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        (0..LEVELS).zip(&self.edges).filter_map(|(level, edge)| {
            let tile =
                TileId { level, index: edge_index(self.size(), level), width: edge.len() as u16 };
            (tile.width > 0).then_some((tile, edge.as_slice()))
        })
    }

    /// Reads the growth of a stored tree back from its right-edge tiles, at most 255 hashes a
    /// level, and refuses it unless it has the root that was signed. A source without partial
    /// tiles can make those above level 0 with [`super::tiles::tile_from_below`], and that of
    /// level 0 from the last `size % 256` leaves.
    ///
    /// # Errors
    /// What the source says; [`Error::Diverged`] if the tiles have another root;
    /// [`Error::OutOfRange`] past [`LEDGER_SIZE_MAX`].
    pub fn restore<S: TileSource>(source: &S, size: u64, root: &Hash) -> Result<Self, S::Error> {
        if size > LEDGER_SIZE_MAX {
            return Err(Error::OutOfRange.into());
        }
        let mut edges = Vec::new();
        let mut peaks = Vec::new();
        for level in (0..LEVELS).filter(|level| size >> (8 * level) > 0) {
            let width = (size >> (8 * level)) as u16 % TILE_WIDTH;
            let mut edge = Vec::new();
            if width > 0 {
                edge = read_tile(source, level, edge_index(size, level), width)?;
                edge.truncate(usize::from(width));
            }
            edges.push(edge);
        }
        for edge in edges.iter().rev() {
            push_peaks(edge, &mut peaks);
        }
        let frontier = Frontier::from_parts(size, peaks);
        if frontier.root() != *root {
            return Err(Error::Diverged("stored tiles").into());
        }
        Ok(Self { frontier, edges })
    }
}

/// The index of the partial tile of a level.
fn edge_index(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
}

/// Splits the hashes of a partial tile into perfect subtrees, largest first.
fn push_peaks(mut edge: &[Hash], peaks: &mut Vec<Hash>) {
    while let Some(height) = edge.len().checked_ilog2() {
        let (peak, rest) = edge.split_at(1 << height);
        peaks.push(perfect_root(peak));
        edge = rest;
    }
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
