//! A checkpoint: a signed note. It is written back as the same bytes, and opens only as what the
//! key of the ledger signed.
#![no_main]

use cairn::ledger::checkpoint::Checkpoint;
use cairn::ledger::merkle::LEDGER_SIZE_MAX;
use cairn::ledger::note::Note;
use cairn::limits::CHECKPOINT_BYTES_MAX;
use cairn_fuzz::{EXCHANGE, harmed, ledger_key, vkey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let vkey = vkey();
    let text = std::str::from_utf8(data).unwrap_or_default();
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.text(), text);
        signed_and_opened(&checkpoint);
    }
    let Ok(note) = Note::parse(data) else {
        assert!(Checkpoint::open(data, &vkey).is_err());
        return;
    };
    assert!(data.len() <= CHECKPOINT_BYTES_MAX);
    assert_eq!(note.to_bytes(), data);
    if let Ok(checkpoint) = Checkpoint::open(data, &vkey) {
        assert_eq!(checkpoint.origin(), EXCHANGE);
        assert_eq!(checkpoint.text(), note.text());
        let other = harmed(data).and_then(|harmed| Checkpoint::open(&harmed, &vkey).ok());
        assert!(other.is_none_or(|other| other == checkpoint), "signed as another");
    }
    if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
        signed_and_opened(&checkpoint);
    }
});

fn signed_and_opened(checkpoint: &Checkpoint) {
    assert!(checkpoint.size() <= LEDGER_SIZE_MAX);
    let signed = checkpoint.sign(&ledger_key());
    let ours = checkpoint.origin() == EXCHANGE;
    assert_eq!(Checkpoint::open(&signed, &vkey()).ok().as_ref(), ours.then_some(checkpoint));
}
