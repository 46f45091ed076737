//! A tile of hashes, behind its width as u16 big-endian.
#![no_main]

use cairn::ledger::tiles::{TILE_WIDTH, decode_tile, encode_tile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((width, bytes)) = data.split_first_chunk::<2>() else { return };
    let width = u16::from_be_bytes(*width);
    let read = decode_tile(bytes, width);
    let fits = (1..=TILE_WIDTH).contains(&width) && bytes.len() == 32 * usize::from(width);
    assert_eq!(read.is_ok(), fits);
    if let Ok(hashes) = read {
        assert_eq!(hashes.len(), usize::from(width));
        assert_eq!(encode_tile(&hashes), bytes);
    }
});
