//! A bundle of entries, behind its width as u16 big-endian.
#![no_main]

use cairn::ledger::tiles::{TILE_WIDTH, decode_bundle, encode_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((width, bytes)) = data.split_first_chunk::<2>() else { return };
    let width = u16::from_be_bytes(*width);
    let Ok(entries) = decode_bundle(bytes, width) else { return };
    assert!((1..=TILE_WIDTH).contains(&width));
    assert_eq!(entries.len(), usize::from(width));
    assert_eq!(encode_bundle(entries).as_deref(), Ok(bytes));
    for other in [width - 1, width + 1] {
        assert!(decode_bundle(bytes, other).is_err(), "of two widths");
    }
});
