//! The hashes of the tree, and its right edge.
//!
//! Takes entry bytes and hashes; gives leaf hashes, node hashes and roots as RFC 6962 section 2.1
//! defines them. [`Frontier`] is all that must be remembered to append: at most 64 hashes.
//!
//! Holds: I3. Knows: nothing.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Error;

/// The largest size a tree may have: what a signed 64-bit number holds, as the Go tools read it.
pub const LEDGER_SIZE_MAX: u64 = i64::MAX as u64;

/// A SHA-256 hash of a leaf, of a node, or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update([0]);
    sha.update(entry);
    Hash(sha.finalize().into())
}

/// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut node = [1; 65];
    node[1..33].copy_from_slice(&left.0);
    node[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(node).into())
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The right edge of a tree: its size, and the roots of the perfect subtrees it falls into,
/// largest first (a "compact range" from 0).
///
/// As bytes: size as u64 big-endian, then 32 bytes for each bit that is set in the size.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The right edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first: one for each bit set in the size.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_each(leaf, |_, _| {});
    }

    /// Appends one leaf, and shows every perfect subtree that it completes: the leaf itself at
    /// height 0, then upwards.
    pub(super) fn push_each(&mut self, leaf: Hash, mut completed: impl FnMut(u32, Hash)) {
        let mut root = leaf;
        completed(0, root);
        // Adding one carries through the trailing set bits; each carry joins two equal subtrees.
        for height in 1..=self.size.trailing_ones() {
            let left = self.peaks.pop().expect("invariant: a peak for each set bit");
            root = node_hash(&left, &root);
            completed(height, root);
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// The root of the tree (RFC 6962 section 2.1).
    pub fn root(&self) -> Hash {
        let mut from_right = self.peaks.iter().rev();
        let Some(last) = from_right.next() else {
            return empty_root();
        };
        from_right.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The frontier as bytes, for the watermark of the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * self.peaks.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for peak in &self.peaks {
            bytes.extend_from_slice(&peak.0);
        }
        bytes
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless there is exactly one hash for each bit set in the size;
    /// [`Error::OutOfRange`] past [`LEDGER_SIZE_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (size, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(Error::Malformed("a frontier starts with its size"))?;
        let size = u64::from_be_bytes(*size);
        if size > LEDGER_SIZE_MAX {
            return Err(Error::OutOfRange);
        }
        let (peaks, rest) = rest.as_chunks::<32>();
        if !rest.is_empty() || peaks.len() != size.count_ones() as usize {
            return Err(Error::Malformed("a frontier has a hash for each bit of its size"));
        }
        let peaks = peaks.iter().map(|peak| Hash(*peak)).collect();
        Ok(Self { size, peaks })
    }

    /// A frontier from parts already known to fit, for [`super::growth`].
    pub(super) fn from_parts(size: u64, peaks: Vec<Hash>) -> Self {
        debug_assert_eq!(peaks.len(), size.count_ones() as usize);
        Self { size, peaks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{hash, leaf_hashes, naive_root, reference_leaves};

    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_match_the_published_ones() {
        let mut frontier = Frontier::new();
        let mut roots = vec![frontier.root()];
        for leaf in reference_leaves() {
            frontier.push(leaf_hash(&leaf));
            roots.push(frontier.root());
        }
        assert_eq!(roots, ROOTS.map(hash));
        assert_eq!(empty_root(), hash(ROOTS[0]));
    }

    #[test]
    fn frontier_has_the_root_of_the_tree_and_survives_as_bytes() {
        let leaves = leaf_hashes(300);
        let mut frontier = Frontier::new();
        for size in 0..=300 {
            assert_eq!(frontier.root(), naive_root(&leaves[..size]));
            assert_eq!(frontier.size(), size as u64);
            assert_eq!(frontier.peaks().len(), size.count_ones() as usize);
            let read = Frontier::from_bytes(&frontier.to_bytes());
            assert_eq!(read, Ok(frontier.clone()));
            leaves.get(size).into_iter().for_each(|leaf| frontier.push(*leaf));
        }
    }

    #[test]
    fn refuses_a_frontier_with_a_hash_too_many_or_too_few() {
        let mut frontier = Frontier::new();
        leaf_hashes(5).into_iter().for_each(|leaf| frontier.push(leaf));
        let bytes = frontier.to_bytes();
        for length in 0..bytes.len() {
            assert!(Frontier::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [bytes.as_slice(), &[0; 32]].concat();
        assert!(Frontier::from_bytes(&longer).is_err());
        let mut other_size = bytes;
        other_size[7] = 7;
        assert!(Frontier::from_bytes(&other_size).is_err());
    }

    #[test]
    fn takes_a_frontier_up_to_the_largest_size_and_no_more() {
        let frontier = |size: u64| {
            let peaks = vec![7; 32 * size.count_ones() as usize];
            Frontier::from_bytes(&[&size.to_be_bytes()[..], &peaks].concat())
        };
        let mut largest = frontier(LEDGER_SIZE_MAX).unwrap();
        largest.push(Hash::from_bytes([7; 32]));
        assert_eq!(largest.size(), LEDGER_SIZE_MAX + 1);
        assert_eq!(frontier(LEDGER_SIZE_MAX + 1), Err(Error::OutOfRange));
    }

    #[test]
    fn hashes_are_shown_as_hex() {
        let shown = format!("{:?} {0}", hash(ROOTS[1]));
        assert_eq!(shown, format!("{0} {0}", ROOTS[1]));
        assert_eq!(hash(ROOTS[1]).as_bytes()[..2], [0x6e, 0x34]);
    }
}
