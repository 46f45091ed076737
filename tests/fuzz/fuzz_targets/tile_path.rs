//! The path of a tile or a bundle: one spelling each, and never a step out of the folder.
#![no_main]

use cairn::ledger::tiles::{TILE_LEVEL_MAX, TilePath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = TilePath::parse(text) else { return };
    assert_eq!(path.to_string(), text);
    assert!(text.starts_with("tile/") && !text.contains("..") && !text.contains("//"));
    if let TilePath::Hashes(tile) = path {
        assert!(tile.level <= TILE_LEVEL_MAX);
    }
});
