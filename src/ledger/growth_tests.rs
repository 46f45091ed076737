//! Growing, tile by tile and batch by batch, against a slow reference tree.
//!
//! Knows: nothing.

use std::collections::BTreeMap;

use super::*;
use crate::ledger::extension::extends;
use crate::ledger::proof::{prove_inclusion, verify_consistency, verify_inclusion};
use crate::ledger::tests::{
    MemoryTiles, leaf_hashes, naive_consistency, naive_inclusion, naive_root,
};
use crate::ledger::tiles::{tile_from_below, tiles_of};

fn grown(leaves: &[Hash]) -> (Growth, Vec<FullTile>) {
    let (mut growth, mut full) = (Growth::new(), Vec::new());
    leaves.iter().for_each(|leaf| growth.push(*leaf, &mut full));
    (growth, full)
}

#[test]
fn gives_every_tile_the_tree_has() {
    let leaves = leaf_hashes(70_000);
    let reference = MemoryTiles::new(&leaves);
    let (growth, full) = grown(&leaves);
    let mut tiles = BTreeMap::new();
    for tile in full {
        tiles.insert((tile.level, tile.index, 256), tile.hashes);
    }
    for (tile, hashes) in growth.partial_tiles() {
        assert_eq!(growth.tile(tile.level, tile.index), Some(hashes));
        assert_eq!(growth.tile(tile.level, tile.index + 1), None);
        tiles.insert((tile.level, tile.index, tile.width), hashes.to_vec());
    }
    let expected: Vec<TileId> = tiles_of(70_000).collect();
    assert_eq!(tiles.len(), expected.len());
    for tile in expected {
        let hashes = reference.tile(tile.level, tile.index, tile.width).unwrap();
        assert_eq!(tiles[&(tile.level, tile.index, tile.width)], hashes, "{tile:?}");
    }
    assert_eq!(growth.root(), naive_root(&leaves));
}

#[test]
fn has_no_empty_tiles() {
    let (growth, full) = grown(&leaf_hashes(256));
    assert_eq!((full.len(), full[0].level, full[0].index), (1, 0, 0));
    assert_eq!(growth.tile(0, 0), None);
    assert_eq!(growth.tile(0, 1), None);
    assert_eq!(growth.tile(1, 0), Some([growth.root()].as_slice()));
    assert_eq!(growth.tile(2, 0), None);
    assert_eq!(growth.tile(255, 0), None);
    assert_eq!(growth.partial_tiles().count(), 1);
}

#[test]
fn is_restored_from_tiles_and_grows_on() {
    let leaves = leaf_hashes(66_000);
    let mut reference = MemoryTiles::new(&leaves);
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_792, 65_999] {
        let (mut live, _) = grown(&leaves[..size]);
        let mut restored = Growth::restore(&reference, size as u64, &live.root()).unwrap();
        assert_eq!(restored, live, "{size}");
        reference.generous = true;
        let generous = Growth::restore(&reference, size as u64, &live.root());
        assert_eq!(generous, Ok(live.clone()), "{size}");
        reference.generous = false;
        let (mut live_full, mut restored_full) = (Vec::new(), Vec::new());
        for leaf in leaves[size..].iter().take(300) {
            live.push(*leaf, &mut live_full);
            restored.push(*leaf, &mut restored_full);
        }
        assert_eq!(restored, live);
        assert_eq!(restored_full, live_full);
    }
}

#[test]
fn partial_tiles_are_computed_from_full_ones_below() {
    struct FullTilesOnly(MemoryTiles, Vec<Hash>);
    impl TileSource for FullTilesOnly {
        type Error = Error;
        fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
            match (level, width) {
                (_, 256) => self.0.tile(level, index, 256),
                (0, _) => Ok(self.1[256 * index as usize..].to_vec()),
                _ => tile_from_below(self, level, index, width),
            }
        }
    }
    let leaves = leaf_hashes(66_000);
    let source = FullTilesOnly(MemoryTiles::new(&leaves), leaves.clone());
    let (live, _) = grown(&leaves);
    assert_eq!(Growth::restore(&source, 66_000, &live.root()), Ok(live));
    assert_eq!(tile_from_below(&source, 0, 0, 1), Err(Error::OutOfRange));
    assert_eq!(tile_from_below(&source, 1, u64::MAX, 1), Err(Error::OutOfRange));
}

#[test]
fn refuses_to_be_restored_to_another_root() {
    let leaves = leaf_hashes(600);
    let mut other = leaves.clone();
    other[599] = leaves[0];
    let root = naive_root(&leaves);
    let restored = Growth::restore(&MemoryTiles::new(&other), 600, &root);
    assert!(matches!(restored, Err(Error::Diverged(_))));
    let restored = Growth::restore(&MemoryTiles::new(&leaves), 599, &root);
    assert!(matches!(restored, Err(Error::Diverged(_))));
    let restored = Growth::restore(&MemoryTiles::new(&leaves[..599]), 600, &root);
    assert_eq!(restored, Err(Error::OutOfRange));
    let restored = Growth::restore(&MemoryTiles::new(&leaves), u64::MAX, &root);
    assert_eq!(restored, Err(Error::OutOfRange));
}

/// I4: code of its own agrees that each batch extends the tree, and its proofs are the RFC's.
#[test]
fn every_small_batch_extends_every_small_tree() {
    let leaves = leaf_hashes(66);
    for old in 0..=33 {
        let (before, _) = grown(&leaves[..old]);
        for new in old..=2 * old.max(4) {
            let tree = &leaves[..new];
            let (after, _) = grown(tree);
            let root = after.root();
            let (frontier, batch) = (before.frontier(), &leaves[old..new]);
            let extension = extends(frontier, &before.root(), batch, &root).unwrap();
            assert_eq!((extension.old_size(), extension.size()), (old as u64, new as u64));
            assert_eq!(extension.root(), naive_root(tree));
            assert_eq!(extension.consistency(), naive_consistency(old, tree), "{old} {new}");
            for index in old..new {
                let path = extension.inclusion(index as u64).unwrap();
                assert_eq!(path, naive_inclusion(index, tree), "{index} in {old} {new}");
            }
            assert_eq!(extension.inclusion(new as u64), Err(Error::OutOfRange));
            if old > 0 {
                assert_eq!(extension.inclusion(old as u64 - 1), Err(Error::OutOfRange));
            }
        }
    }
}

#[test]
fn a_large_batch_has_the_same_proofs_as_the_tiles() {
    let leaves = leaf_hashes(67_000);
    let tiles = MemoryTiles::new(&leaves);
    for (old, new) in [(65_000, 66_000), (65_536, 65_537), (65_535, 67_000), (0, 1_000)] {
        let (before, _) = grown(&leaves[..old]);
        let (after, _) = grown(&leaves[..new]);
        let (root, batch) = (after.root(), &leaves[old..new]);
        let extension = extends(before.frontier(), &before.root(), batch, &root).unwrap();
        for index in (old..new).step_by(97) {
            let path = extension.inclusion(index as u64).unwrap();
            let from_tiles = prove_inclusion(&tiles, index as u64, new as u64);
            assert_eq!(Ok(&path), from_tiles.as_ref());
            let leaf = &leaves[index];
            let verified = verify_inclusion(leaf, index as u64, new as u64, &path, &root);
            assert_eq!(verified, Ok(()));
        }
        let path = extension.consistency();
        let (old, new) = (old as u64, new as u64);
        assert_eq!(verify_consistency(old, new, &before.root(), &root, &path), Ok(()));
    }
}

/// I4: a root that is not that of the signed tree and the batch is never signed.
#[test]
fn refuses_to_extend_a_tree_that_is_not_the_signed_one() {
    let leaves = leaf_hashes(40);
    for old in [0, 1, 2, 3, 7, 8, 21, 32] {
        let (before, _) = grown(&leaves[..old]);
        let (old_root, new_root) = (before.root(), naive_root(&leaves));
        let frontier = before.frontier();
        let batch = &leaves[old..];
        assert!(extends(frontier, &old_root, batch, &new_root).is_ok());

        let refused = |frontier: &Frontier, old_root, batch: &[Hash], new_root| {
            let extension = extends(frontier, old_root, batch, new_root);
            assert!(matches!(extension, Err(Error::Diverged(_))), "{old}");
        };
        refused(frontier, &leaves[5], batch, &new_root);
        refused(frontier, &old_root, batch, &leaves[5]);
        refused(frontier, &old_root, batch, &old_root);
        refused(frontier, &old_root, &batch[1..], &new_root);
        let mut other = batch.to_vec();
        other[1] = leaves[5];
        refused(frontier, &old_root, &other, &new_root);

        // Another past, with the root that follows from it: the signed root gives it away.
        let mut past = leaves.clone();
        past[0] = leaves[39];
        if old > 0 {
            let (rewritten, _) = grown(&past[..old]);
            let (after, _) = grown(&past);
            refused(rewritten.frontier(), &old_root, batch, &after.root());
        }
    }
}

#[test]
fn refuses_a_batch_past_the_largest_size() {
    let full = [&LEDGER_SIZE_MAX.to_be_bytes()[..], &[7; 63 * 32]].concat();
    let frontier = Frontier::from_bytes(&full).unwrap();
    let leaf = leaf_hashes(1);
    let extension = extends(&frontier, &frontier.root(), &leaf, &leaf[0]);
    assert!(matches!(extension, Err(Error::OutOfRange)));
    let root = frontier.root();
    let unchanged = extends(&frontier, &root, &[], &root).unwrap();
    assert_eq!(unchanged.size(), LEDGER_SIZE_MAX);
}
