//! A verifier key: one spelling, and an id that is that of its key.
#![no_main]

use cairn::ledger::note::{SignatureLine, Vkey, key_id};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(vkey) = Vkey::parse(text) {
        assert_eq!(vkey.to_string(), text);
        assert_eq!(vkey.id(), key_id(vkey.name(), vkey.kind(), &vkey.public().to_bytes()));
        let again = Vkey::new(vkey.name(), vkey.kind(), vkey.public().clone());
        assert_eq!(again, Ok(vkey));
    }
    let _ = SignatureLine::parse(text);
});
