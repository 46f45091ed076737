//! Tile paths, bundles and the list of tiles, against the examples of C2SP tlog-tiles.
//!
//! Knows: nothing.

use super::*;
use crate::ledger::tests::{leaf_hashes, naive_root};

#[test]
fn paths_match_the_examples_of_the_specification() {
    let examples = [
        (tile_path(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (tile_path(0, 0, 256), "tile/0/000"),
        (tile_path(1, 0, 1), "tile/1/000.p/1"),
        (tile_path(0, 273, 112), "tile/0/273.p/112"),
        (tile_path(63, 999, 255), "tile/63/999.p/255"),
        (tile_path(2, 1_000, 256), "tile/2/x001/000"),
        (tile_path(2, 1_000_000, 256), "tile/2/x001/x000/000"),
        (entries_path(1_234_067, 16), "tile/entries/x001/x234/067.p/16"),
        (entries_path(7, 256), "tile/entries/007"),
    ];
    for (path, expected) in examples {
        assert_eq!(path, expected);
        assert_eq!(TilePath::parse(expected).unwrap().to_string(), expected);
    }
    let tile = TilePath::parse("tile/3/x001/x234/067.p/8").unwrap();
    let expected = TileId { level: 3, index: 1_234_067, width: 8 };
    assert_eq!(tile, TilePath::Hashes(expected));
    assert!(!expected.is_full());
}

#[test]
fn every_path_is_read_as_it_was_written() {
    let largest = LEDGER_SIZE_MAX;
    for index in (0..2_100).chain([999_999, 1_000_000, 1_000_001, largest - 1, largest]) {
        for width in [1, 9, 10, 255, 256] {
            let entries = TilePath::Entries { index, width };
            assert_eq!(TilePath::parse(&entries.to_string()), Ok(entries));
            let tile = TileId { level: 7, index, width };
            assert!(tile.is_full() == (width == 256));
            let tile = TilePath::Hashes(tile);
            assert_eq!(TilePath::parse(&tile.to_string()), Ok(tile));
        }
    }
}

#[test]
fn refuses_paths_with_a_second_spelling() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/256/000",
        "tile/8/data/000",
        "tile/entry/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/000/000",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/x001/x000",
        "tile/0/X001/000",
        "tile/0/001/000",
        "tile/0/x01/000",
        "tile/0/x0a1/000",
        "tile/0/+01",
        "tile/0/ 01",
        "tile/0/../000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/1/",
        "tile/0/.p/1",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(TilePath::parse(path).is_err(), "{path}");
    }
    assert!(TilePath::parse("tile/0/x009/x223/x372/x036/x854/x775/807").is_ok());
}

#[test]
fn lists_the_tiles_of_the_specified_sizes() {
    let paths = |size| -> Vec<String> {
        let path = |tile: TileId| tile_path(tile.level, tile.index, tile.width);
        tiles_of(size).map(path).collect()
    };
    assert!(paths(0).is_empty());
    assert_eq!(paths(1), ["tile/0/000.p/1"]);
    assert_eq!(paths(255), ["tile/0/000.p/255"]);
    assert_eq!(paths(256), ["tile/0/000", "tile/1/000.p/1"]);
    let expected = ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"];
    assert_eq!(paths(257), expected);
    let large = paths(70_000);
    let (leaves, above) = large.split_at(274);
    assert_eq!(leaves[272..], ["tile/0/272", "tile/0/273.p/112"]);
    assert_eq!(above, ["tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]);
    let top = tiles_of(LEDGER_SIZE_MAX).next().unwrap();
    assert!(top.is_full());
}

#[test]
fn root_of_a_tile_is_the_root_of_its_leaves() {
    let leaves = leaf_hashes(256);
    for height in 0..=8 {
        let hashes = &leaves[..1 << height];
        assert_eq!(perfect_root(hashes), naive_root(hashes));
    }
}

#[test]
fn tiles_are_read_as_they_were_written() {
    let hashes = leaf_hashes(256);
    for width in [1, 2, 255, 256] {
        let bytes = encode_tile(&hashes[..usize::from(width)]);
        assert_eq!(bytes.len(), 32 * usize::from(width));
        let read = decode_tile(&bytes, width).unwrap();
        assert_eq!(read, hashes[..usize::from(width)]);
        assert!(decode_tile(&bytes[1..], width).is_err());
        assert!(decode_tile(&bytes, width - 1).is_err());
        assert!(decode_tile(&bytes, width + 1).is_err());
    }
    assert!(decode_tile(&[], 0).is_err());
    assert!(decode_tile(&[0; 257 * 32], 257).is_err());
}

#[test]
fn bundles_are_read_as_they_were_written() {
    let longest = vec![7; BUNDLE_ENTRY_BYTES_MAX];
    let entries: [&[u8]; 4] = [b"", b"a", b"entry", &longest];
    let bytes = encode_bundle(entries).unwrap();
    assert_eq!(bytes[..8], [0, 0, 0, 1, b'a', 0, 5, b'e']);
    assert_eq!(decode_bundle(&bytes, 4).unwrap(), entries);
    for (cut, width) in [(1, 4), (bytes.len() - 1, 4), (0, 3), (0, 5), (0, 0), (0, 257)] {
        let bytes = &bytes[..bytes.len() - cut];
        assert!(decode_bundle(bytes, width).is_err(), "{cut} {width}");
    }
}

#[test]
fn takes_entries_up_to_the_bound_and_no_more() {
    let too_long = vec![7; BUNDLE_ENTRY_BYTES_MAX + 1];
    assert!(encode_bundle([too_long.as_slice()]).is_err());
    assert!(encode_bundle([b"".as_slice(); 256]).is_ok());
    assert!(encode_bundle([b"".as_slice(); 257]).is_err());
    assert!(encode_bundle([]).is_err());
}
