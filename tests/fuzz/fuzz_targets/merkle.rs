//! Proofs in the tree: a small tree, a true proof, and what the fuzzer makes of it. Only the true
//! one is taken, and the product's roots are those of a second implementation.
#![no_main]

use cairn::ledger::growth::Growth;
use cairn::ledger::merkle::{Frontier, Hash, leaf_hash};
use cairn::ledger::proof::{verify_consistency, verify_inclusion};
use cairn_fuzz::{Choices, reference};
use libfuzzer_sys::fuzz_target;

const SIZE_MAX: usize = 70;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let size = 1 + choices.below(SIZE_MAX);
    let leaves: Vec<_> = (0..size).map(|leaf| reference::leaf(&leaf.to_be_bytes())).collect();
    let mut growth = Growth::new();
    for leaf in 0..size {
        growth.push(leaf_hash(&leaf.to_be_bytes()), &mut Vec::new());
    }
    let root = Hash::from_bytes(reference::root(&leaves));
    assert_eq!(growth.root(), root);
    let frontier = growth.frontier().to_bytes();
    let again = Frontier::from_bytes(&frontier).expect("what was written is read");
    assert_eq!((again.root(), again.size()), (root, size as u64));

    let index = choices.below(size);
    let old = choices.below(size + 1);
    let old_root = Hash::from_bytes(reference::root(&leaves[..old]));
    let said = choices.below(size + 1) as u64;
    let rest = choices.0;

    let path = hashes(reference::inclusion(index, &leaves));
    let leaf = Hash::from_bytes(leaves[index]);
    assert!(verify_inclusion(&leaf, index as u64, size as u64, &path, &root).is_ok());
    let other = changed(&path, Choices(rest));
    let taken = verify_inclusion(&leaf, said, size as u64, &other, &root).is_ok();
    assert_eq!(taken, said == index as u64 && other == path, "an untrue proof of a leaf");

    let path = hashes(reference::consistency(old, &leaves));
    assert!(verify_consistency(old as u64, size as u64, &old_root, &root, &path).is_ok());
    let other = changed(&path, Choices(rest));
    let taken = verify_consistency(old as u64, size as u64, &old_root, &root, &other).is_ok();
    assert_eq!(taken, other == path, "an untrue proof of growth");
    if said != old as u64 {
        let taken = verify_consistency(said, size as u64, &old_root, &root, &path).is_ok();
        assert!(!taken, "a proof of growth from another size");
    }

    let frontier = Frontier::from_bytes(rest);
    assert!(frontier.is_err() || frontier.is_ok_and(|frontier| frontier.to_bytes() == rest));
});

fn hashes(path: Vec<reference::Hash>) -> Vec<Hash> {
    path.into_iter().map(Hash::from_bytes).collect()
}

/// Some steps of dropping, doubling, swapping, inventing.
fn changed(path: &[Hash], mut choices: Choices<'_>) -> Vec<Hash> {
    let mut path = path.to_vec();
    for _ in 0..choices.below(4) {
        let (at, to) = (choices.below(path.len() + 1), choices.below(path.len() + 1));
        match choices.byte() % 4 {
            0 if at < path.len() => drop(path.remove(at)),
            1 if at < path.len() => path.insert(to, path[at]),
            2 if at < path.len() && to < path.len() => path.swap(at, to),
            _ => {
                let mut hash = [choices.byte(); 32];
                let taken = choices.take(32);
                hash[..taken.len()].copy_from_slice(taken);
                path.insert(at, Hash::from_bytes(hash));
            }
        }
    }
    path
}
