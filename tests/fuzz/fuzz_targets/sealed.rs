//! A sealed body as a recipient gets it: nonce, key commitment, wrap and ciphertext in a row. It
//! opens to what was sealed, or not at all. The corpus holds those of the golden vectors.
#![no_main]

use cairn::crypto::seal::{
    ENC_BYTES, SealContext, SealedBody, SealingKeyPair, WRAPPED_BYTES, Wrap, open,
};
use cairn_fuzz::{Choices, golden::Golden};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let golden = Golden::read();
    let mut choices = Choices(data);
    let recipient = golden.recipient(choices.byte());
    let Ok(nonce) = <&[u8; 12]>::try_from(choices.take(12)) else { return };
    let Ok(key_commitment) = <&[u8; 32]>::try_from(choices.take(32)) else { return };
    let (enc, wrapped) = (choices.take(ENC_BYTES).to_vec(), choices.take(WRAPPED_BYTES).to_vec());
    let keys = SealingKeyPair::from_seed(&recipient.seed);
    let wrap = Wrap { key_id: keys.key_id(), enc, wrapped };
    let sealed = SealedBody { nonce, key_commitment, ciphertext: choices.0 };
    let context = SealContext {
        exchange: &golden.exchange,
        sender: &golden.sender,
        request_id: &golden.request_id,
    };
    let Ok(body) = open(&sealed, &wrap, &keys, &context, &recipient.agency) else { return };
    assert_eq!(*body, golden.body, "opened to something else");
});
