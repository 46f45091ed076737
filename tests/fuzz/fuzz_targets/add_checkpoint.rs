//! What a witness is sent: written back as the same bytes, within its bounds.
#![no_main]

use cairn::ledger::add_checkpoint::{ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint, PROOF_LINES_MAX};
use cairn::ledger::checkpoint::Checkpoint;
use cairn_fuzz::vkey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(request) = AddCheckpoint::parse(data) else { return };
    assert!(data.len() <= ADD_CHECKPOINT_BYTES_MAX);
    assert!(request.proof.len() <= PROOF_LINES_MAX);
    assert_eq!(request.to_bytes(), data);
    let _ = Checkpoint::open(&request.checkpoint, &vkey());
});
