//! A slow tree written straight from the RFC, to hold the fast one against; and hostile bytes for
//! every reader of the room.
//!
//! Knows: nothing.

use proptest::prelude::*;

use super::checkpoint::Checkpoint;
use super::leaf::Leaf;
use super::merkle::{Frontier, Hash, empty_root, leaf_hash, node_hash};
use super::note::{Note, SignatureLine, Vkey};
use super::proof::{verify_consistency, verify_inclusion};
use super::tiles::{TilePath, TileSource, decode_bundle, decode_tile};
use super::tlog_proof::TlogProof;
use super::{Error, parse_decimal, parse_hash};

/// The eight leaves of the reference tree of Certificate Transparency.
pub(super) fn reference_leaves() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0x00],
        vec![0x10],
        vec![0x20, 0x21],
        vec![0x30, 0x31],
        (0x40..=0x43).collect(),
        (0x50..=0x57).collect(),
        (0x60..=0x6f).collect(),
    ]
}

/// Any number of different leaf hashes.
pub(super) fn leaf_hashes(count: u64) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

pub(super) fn hash(hex: &str) -> Hash {
    assert_eq!(hex.len(), 64);
    let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..64).step_by(2).map(byte).collect();
    Hash::from_bytes(bytes.try_into().unwrap())
}

/// The largest power of two below `n`; `n > 1`.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// MTH of RFC 6962 section 2.1.
pub(super) fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH of RFC 6962 section 2.1.1.
pub(super) fn naive_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = match index < k {
        true => (naive_inclusion(index, left), right),
        false => (naive_inclusion(index - k, right), left),
    };
    path.push(naive_root(sibling));
    path
}

/// PROOF of RFC 6962 section 2.1.2, and nothing for an empty old tree.
pub(super) fn naive_consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    match old {
        0 => vec![],
        _ => naive_subproof(old, leaves, true),
    }
}

fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return match whole {
            true => vec![],
            false => vec![naive_root(leaves)],
        };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = match old <= k {
        true => (naive_subproof(old, left, whole), right),
        false => (naive_subproof(old - k, right, false), left),
    };
    path.push(naive_root(sibling));
    path
}

/// All tiles of a tree, computed level by level. Answers only for tiles that the tree has.
pub(super) struct MemoryTiles {
    levels: Vec<Vec<Hash>>,
    /// Whether to answer with all the hashes of a tile, and not only those asked for.
    pub(super) generous: bool,
}

impl MemoryTiles {
    pub(super) fn new(leaves: &[Hash]) -> Self {
        let mut levels = vec![leaves.to_vec()];
        while let Some(level) = levels.last().filter(|level| level.len() >= 256) {
            levels.push(level.as_chunks::<256>().0.iter().map(|tile| naive_root(tile)).collect());
        }
        let generous = false;
        Self { levels, generous }
    }
}

impl TileSource for MemoryTiles {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        assert!((1..=256).contains(&width), "width {width}");
        let level = self.levels.get(usize::from(level)).ok_or(Error::OutOfRange)?;
        let start = 256 * index as usize;
        let end = start + usize::from(width);
        let end = if self.generous { level.len().min(start + 256) } else { end };
        level.get(start..end).map(<[Hash]>::to_vec).ok_or(Error::OutOfRange)
    }
}

/// A checkpoint of the reference tree, cosigned, made with another implementation of Ed25519.
pub(super) const GOLDEN_NOTE: &str = "\
cairn.example/ardness
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

\u{2014} cairn.example/ardness 1No7JTVcZf4KkrkJ8/UkLuA+hnex1YsUq2zNZuZc/BsrsKdjwPmlV6NpjuQSlynkqOJ14zpOPMCQEwZ2Ku9ZCJvELgg=
\u{2014} witness.example/w1 3xwKNQAAAABkGFDLRDnII9MgOn1xNqEd1BpdCJROsw9qdl8gQCVVWFnxPK+ay5uuhIu63j9rfubcmQLgbuFRDLBhHaEjioAHV68CBQ==
";

/// The keys of [`GOLDEN_NOTE`], whose seeds are 32 times 0x01 and 32 times 0x02.
pub(super) const LEDGER_VKEY: &str =
    "cairn.example/ardness+d4da3b25+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
pub(super) const WITNESS_VKEY: &str =
    "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";

/// A receipt for leaf 5 of the reference tree, before its checkpoint.
pub(super) const GOLDEN_RECEIPT_HEAD: &str = "\
c2sp.org/tlog-proof@v1
extra YW4gb3BlbmluZw==
index 5
vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=

";

/// Feeds bytes to every reader; what one of them takes must be written back as it was.
fn read_everything(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_bytes(), bytes);
        let known = [LEDGER_VKEY, WITNESS_VKEY].map(|vkey| Vkey::parse(vkey).unwrap());
        let _ = note.verify(&known);
        let _ = Checkpoint::open_any(bytes, &known);
    }
    if let Ok(receipt) = TlogProof::parse(bytes) {
        assert_eq!(receipt.to_text().as_bytes(), bytes);
    }
    if let Ok(leaf) = Leaf::decode(bytes) {
        assert_eq!(leaf.encode(), bytes);
    }
    if let Ok(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes);
        frontier.root();
    }
    for width in [0, 1, 2, 255, 256, u16::MAX] {
        let _ = decode_tile(bytes, width);
        let _ = decode_bundle(bytes, width);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.text(), text);
    }
    if let Ok(vkey) = Vkey::parse(text) {
        assert_eq!(vkey.to_string(), text);
    }
    if let Ok(path) = TilePath::parse(text) {
        assert_eq!(path.to_string(), text);
    }
    if let Ok(number) = parse_decimal(text) {
        assert_eq!(number.to_string(), text);
    }
    let _ = parse_hash(text);
    let _ = SignatureLine::parse(text);
}

fn samples() -> Vec<Vec<u8>> {
    let receipt = format!("{GOLDEN_RECEIPT_HEAD}{GOLDEN_NOTE}");
    let mut frontier = Frontier::new();
    leaf_hashes(5).into_iter().for_each(|leaf| frontier.push(leaf));
    let mut samples: Vec<Vec<u8>> = [
        GOLDEN_NOTE,
        receipt.as_str(),
        GOLDEN_NOTE.split_once("\n\n").unwrap().0,
        LEDGER_VKEY,
        "tile/3/x001/x234/067.p/16",
        "tile/entries/x001/000",
        "9223372036854775807",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    samples.push(frontier.to_bytes());
    samples.push([vec![1], vec![7; 88]].concat());
    samples
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_everything(&bytes);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[—xpe.0-9A-Za-z+/= \n]{0,120}") {
        read_everything(text.as_bytes());
    }

    #[test]
    fn no_damaged_sample_makes_a_reader_panic(
        sample in prop::sample::select(samples()),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..4),
        cut in 0usize..4,
    ) {
        let mut bytes = sample;
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + cut);
        bytes.splice(start..end, with);
        read_everything(&bytes);
    }

    #[test]
    fn no_proof_makes_a_verifier_panic(
        a in any::<u64>(), b in any::<u64>(), small in 0u64..5, length in 0usize..70,
    ) {
        let path = vec![empty_root(); length];
        let root = empty_root();
        for (index, size) in [(a, b), (b, a), (small, b), (b, u64::MAX), (b, b), (b, 0)] {
            let _ = verify_inclusion(&root, index, size, &path, &root);
            let _ = verify_consistency(index, size, &root, &root, &path);
        }
    }
}

#[test]
fn samples_are_taken_by_a_reader() {
    assert!(Note::parse(&samples()[0]).is_ok());
    assert!(TlogProof::parse(&samples()[1]).is_ok());
    samples().iter().for_each(|sample| read_everything(sample));
}

#[test]
fn refuses_numbers_with_a_second_spelling() {
    for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "0x1", "\u{0661}"] {
        assert!(matches!(parse_decimal(text), Err(Error::Malformed(_))), "{text:?}");
    }
    assert_eq!(parse_decimal("0"), Ok(0));
    assert_eq!(parse_decimal("9223372036854775807"), Ok(i64::MAX as u64));
    assert_eq!(parse_decimal("9223372036854775808"), Err(Error::OutOfRange));
    assert_eq!(parse_decimal("99999999999999999999999"), Err(Error::OutOfRange));
}
