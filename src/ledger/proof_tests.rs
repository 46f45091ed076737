//! Proofs against a slow reference tree and the published vectors.
//!
//! Knows: nothing.

use super::*;
use crate::ledger::merkle::{Frontier, leaf_hash};
use crate::ledger::tests::{
    MemoryTiles, hash, leaf_hashes, naive_consistency, naive_inclusion, naive_root,
    reference_leaves,
};

const EDGES: [u64; 14] =
    [1, 2, 127, 128, 129, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537];

fn reference_tree() -> (Vec<Hash>, MemoryTiles) {
    let leaves: Vec<Hash> = reference_leaves().iter().map(|leaf| leaf_hash(leaf)).collect();
    let tiles = MemoryTiles::new(&leaves);
    (leaves, tiles)
}

#[test]
fn inclusion_proofs_match_the_published_ones() {
    let (_, tiles) = reference_tree();
    let vectors: [(u64, u64, &[&str]); 4] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (index, size, path) in vectors {
        let path: Vec<Hash> = path.iter().map(|node| hash(node)).collect();
        assert_eq!(prove_inclusion(&tiles, index, size), Ok(path));
    }
}

#[test]
fn consistency_proofs_match_the_published_ones() {
    let (_, tiles) = reference_tree();
    let vectors: [(u64, u64, &[&str]); 3] = [
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (old, new, path) in vectors {
        let path: Vec<Hash> = path.iter().map(|node| hash(node)).collect();
        assert_eq!(prove_consistency(&tiles, old, new), Ok(path));
    }
}

#[test]
fn every_leaf_of_every_small_tree_is_proved() {
    let leaves = leaf_hashes(70);
    let mut tiles = MemoryTiles::new(&leaves);
    for generous in [false, true] {
        tiles.generous = generous;
        for size in 1..=70 {
            let tree = &leaves[..size];
            let root = naive_root(tree);
            assert_eq!(root_at(&tiles, size as u64), Ok(root));
            for index in 0..size {
                let path = prove_inclusion(&tiles, index as u64, size as u64).unwrap();
                assert_eq!(path, naive_inclusion(index, tree), "{index} in {size}");
                let (index, size) = (index as u64, size as u64);
                let verified = verify_inclusion(&tree[index as usize], index, size, &path, &root);
                assert_eq!(verified, Ok(()), "{index} in {size}");
            }
        }
    }
}

/// I4: the proof for each pair of sizes is the RFC's, and verifies.
#[test]
fn every_small_tree_extends_every_smaller_one() {
    let leaves = leaf_hashes(70);
    let tiles = MemoryTiles::new(&leaves);
    let roots: Vec<Hash> = (0..=70).map(|size| naive_root(&leaves[..size])).collect();
    for new in 0..=70 {
        for old in 0..=new {
            let path = prove_consistency(&tiles, old as u64, new as u64).unwrap();
            assert_eq!(path, naive_consistency(old, &leaves[..new]), "{old} in {new}");
            let (old_root, new_root) = (&roots[old], &roots[new]);
            let verified = verify_consistency(old as u64, new as u64, old_root, new_root, &path);
            assert_eq!(verified, Ok(()), "{old} in {new}");
        }
    }
}

#[test]
fn proofs_hold_where_tiles_and_levels_begin() {
    let leaves = leaf_hashes(65_537);
    let tiles = MemoryTiles::new(&leaves);
    let mut frontier = Frontier::new();
    let mut roots = vec![frontier.root()];
    for leaf in &leaves {
        frontier.push(*leaf);
        roots.push(frontier.root());
    }
    assert_eq!(roots[65_537], naive_root(&leaves));
    for size in EDGES {
        let root = &roots[size as usize];
        assert_eq!(root_at(&tiles, size), Ok(*root));
        for index in EDGES.iter().map(|edge| edge - 1).filter(|index| *index < size) {
            let path = prove_inclusion(&tiles, index, size).unwrap();
            let leaf = &leaves[index as usize];
            assert_eq!(verify_inclusion(leaf, index, size, &path, root), Ok(()));
            if size > 65_000 && (index == 0 || index == 511 || index == 65_536) {
                let tree = &leaves[..size as usize];
                assert_eq!(path, naive_inclusion(index as usize, tree));
            }
        }
        for old in EDGES.into_iter().filter(|old| *old <= size) {
            let path = prove_consistency(&tiles, old, size).unwrap();
            let old_root = &roots[old as usize];
            assert_eq!(verify_consistency(old, size, old_root, root, &path), Ok(()));
        }
    }
}

/// All the ways to spoil a proof a little: each bit, each hash left out, doubled or exchanged.
fn spoiled(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..path.len() {
        for bit in 0..256 {
            let mut bytes = *path[at].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut spoiled = path.to_vec();
            spoiled[at] = Hash::from_bytes(bytes);
            all.push(spoiled);
        }
        let mut shorter = path.to_vec();
        shorter.remove(at);
        all.push(shorter);
        let mut longer = path.to_vec();
        longer.insert(at, path[at]);
        all.push(longer);
        if at > 0 {
            let mut exchanged = path.to_vec();
            exchanged.swap(at - 1, at);
            all.push(exchanged);
        }
    }
    let mut longer = path.to_vec();
    longer.push(empty_root());
    all.push(longer);
    all
}

#[test]
fn refuses_every_spoiled_inclusion_proof() {
    let leaves = leaf_hashes(19);
    let tiles = MemoryTiles::new(&leaves);
    for size in [1, 2, 3, 7, 8, 13, 19] {
        let root = naive_root(&leaves[..size as usize]);
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let path = prove_inclusion(&tiles, index, size).unwrap();
            for spoiled in spoiled(&path) {
                let verified = verify_inclusion(leaf, index, size, &spoiled, &root);
                assert_eq!(verified, Err(Error::ProofRefused), "{index} in {size}");
            }
            let verified = verify_inclusion(&empty_root(), index, size, &path, &root);
            assert_eq!(verified, Err(Error::ProofRefused));
            let verified = verify_inclusion(leaf, index, size, &path, &empty_root());
            assert_eq!(verified, Err(Error::ProofRefused));
            for other in (0..size).filter(|other| *other != index) {
                let verified = verify_inclusion(leaf, other, size, &path, &root);
                assert_eq!(verified, Err(Error::ProofRefused), "{index} as {other}");
            }
        }
    }
}

#[test]
fn refuses_every_spoiled_consistency_proof() {
    let leaves = leaf_hashes(19);
    let tiles = MemoryTiles::new(&leaves);
    let roots: Vec<Hash> = (0..=19).map(|size| naive_root(&leaves[..size])).collect();
    let other = leaf_hash(b"another");
    for new in [1, 2, 3, 7, 8, 13, 16, 19] {
        for old in 0..=new {
            let (old_root, new_root) = (&roots[old as usize], &roots[new as usize]);
            let path = prove_consistency(&tiles, old, new).unwrap();
            for spoiled in spoiled(&path) {
                let verified = verify_consistency(old, new, old_root, new_root, &spoiled);
                assert_eq!(verified, Err(Error::ProofRefused), "{old} in {new}");
            }
            let verified = verify_consistency(old, new, &other, new_root, &path);
            assert_eq!(verified, Err(Error::ProofRefused), "{old} in {new}");
            if old > 0 {
                let verified = verify_consistency(old, new, old_root, &other, &path);
                assert_eq!(verified, Err(Error::ProofRefused), "{old} in {new}");
            }
        }
    }
}

/// A proof of the wrong length is refused even if the root was chosen to fit it.
#[test]
fn refuses_proofs_of_another_length_that_lead_to_the_root() {
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| leaf_hashes(4)[i]);
    let (ab, cd) = (node_hash(&a, &b), node_hash(&c, &d));
    let refused = Err(Error::ProofRefused);
    assert_eq!(verify_inclusion(&a, 0, 1, &[b], &node_hash(&b, &a)), refused);
    assert_eq!(verify_inclusion(&a, 0, 4, &[b], &ab), refused);
    assert_eq!(verify_inclusion(&ab, 0, 4, &[cd], &node_hash(&ab, &cd)), refused);

    let abc = node_hash(&ab, &c);
    assert_eq!(verify_consistency(2, 4, &ab, &abc, &[c]), Ok(()));
    assert_eq!(verify_consistency(2, 8, &ab, &abc, &[c]), refused);
    let above = |root: &Hash| node_hash(&d, root);
    assert_eq!(verify_consistency(3, 4, &abc, &node_hash(&ab, &cd), &[c, d, ab]), Ok(()));
    let (old, new) = (above(&abc), above(&node_hash(&ab, &cd)));
    assert_eq!(verify_consistency(3, 4, &old, &new, &[c, d, ab, d]), refused);
}

#[test]
fn refuses_indexes_and_sizes_beyond_the_tree() {
    let leaves = leaf_hashes(3);
    let tiles = MemoryTiles::new(&leaves);
    let root = naive_root(&leaves);
    assert_eq!(prove_inclusion(&tiles, 3, 3), Err(Error::OutOfRange));
    assert_eq!(prove_inclusion(&tiles, 0, 0), Err(Error::OutOfRange));
    assert_eq!(prove_inclusion(&tiles, 0, u64::MAX), Err(Error::OutOfRange));
    assert_eq!(prove_inclusion(&tiles, 0, 4), Err(Error::OutOfRange));
    assert_eq!(prove_consistency(&tiles, 3, 2), Err(Error::OutOfRange));
    assert_eq!(prove_consistency(&tiles, 1, u64::MAX), Err(Error::OutOfRange));
    assert_eq!(root_at(&tiles, LEDGER_SIZE_MAX + 1), Err(Error::OutOfRange));
    assert_eq!(root_at(&tiles, 0), Ok(empty_root()));
    let path = prove_inclusion(&tiles, 2, 3).unwrap();
    let beyond = verify_inclusion(&leaves[2], 3, 3, &path, &root);
    assert_eq!(beyond, Err(Error::OutOfRange));
    let beyond = verify_consistency(3, 2, &root, &root, &[]);
    assert_eq!(beyond, Err(Error::OutOfRange));
}

#[test]
fn refuses_a_source_that_gives_too_few_hashes() {
    struct Short;
    impl TileSource for Short {
        type Error = Error;
        fn tile(&self, _: u8, _: u64, width: u16) -> Result<Vec<Hash>, Error> {
            Ok(leaf_hashes(u64::from(width) - 1))
        }
    }
    assert!(matches!(prove_inclusion(&Short, 0, 2), Err(Error::Malformed(_))));
    assert!(matches!(prove_consistency(&Short, 1, 600), Err(Error::Malformed(_))));
    assert!(matches!(root_at(&Short, 1), Err(Error::Malformed(_))));
}
