//! Sealing: who can open what, and every way a sealed body can be wrong.

use super::*;
use crate::crypto::KeyError;

const CONTEXT: SealContext<'static> = SealContext {
    exchange: "cairn.example/ardness",
    sender: "police-ardness",
    request_id: &[3; 16],
};
const AGENCY: &str = "sw-ardness";

fn keys(seed: u8) -> SealingKeyPair {
    SealingKeyPair::from_seed(&[seed; 32])
}

/// A body sealed to the key of seed 1.
fn sealed(body: &[u8]) -> Sealed {
    seal(body, &CONTEXT, &[(AGENCY, keys(1).public())]).unwrap()
}

fn open_first(sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
    open(&sealed.body(), &sealed.wraps[0], &keys(1), &CONTEXT, AGENCY).map(|body| body.to_vec())
}

#[test]
fn opens_for_every_recipient_and_nobody_else() {
    let agencies = ["sw-ardness", "nhs-ardness", "school-strath"];
    let pairs = [keys(1), keys(2), keys(3)];
    let recipients: Vec<_> = agencies.into_iter().zip(pairs.iter().map(|k| k.public())).collect();
    let sealed = seal(b"a body", &CONTEXT, &recipients).unwrap();
    assert_eq!(sealed.wraps.len(), 3);
    for (index, wrap) in sealed.wraps.iter().enumerate() {
        assert_eq!(wrap.key_id, pairs[index].key_id());
        let opened = open(&sealed.body(), wrap, &pairs[index], &CONTEXT, agencies[index]);
        assert_eq!(opened.unwrap().as_slice(), b"a body");
        let other = open(&sealed.body(), wrap, &keys(4), &CONTEXT, agencies[index]);
        assert_eq!(other, Err(OpenError::OtherKey));
        let mut claimed = wrap.clone();
        claimed.key_id = keys(4).key_id();
        let other = open(&sealed.body(), &claimed, &keys(4), &CONTEXT, agencies[index]);
        assert_eq!(other, Err(OpenError::WrapAltered));
    }
}

#[test]
fn gives_parts_of_exact_sizes() {
    for (body, ciphertext) in [(0, 272), (1, 272), (252, 272), (253, 528), (508, 528)] {
        let sealed = sealed(&vec![b'x'; body]);
        assert_eq!(sealed.ciphertext.len(), ciphertext);
        assert_eq!(sealed.wraps[0].enc.len(), ENC_BYTES);
        assert_eq!(sealed.wraps[0].wrapped.len(), WRAPPED_BYTES);
        assert_eq!(open_first(&sealed), Ok(vec![b'x'; body]));
    }
    assert_eq!(keys(1).public().to_bytes().len(), PUBLIC_KEY_BYTES);
}

#[test]
fn seals_the_largest_body_and_refuses_one_byte_more() {
    let largest = sealed(&vec![b'x'; CARRIED_BODY_BYTES_MAX]);
    assert!(largest.ciphertext.len() <= SEALED_BODY_BYTES_MAX);
    assert_eq!(open_first(&largest).unwrap().len(), CARRIED_BODY_BYTES_MAX);
    let bytes = CARRIED_BODY_BYTES_MAX + 1;
    let refused = seal(&vec![b'x'; bytes], &CONTEXT, &[(AGENCY, keys(1).public())]);
    assert_eq!(refused, Err(SealError::BodyTooLarge { bytes }));
}

#[test]
fn seals_to_one_recipient_at_least_and_so_many_at_most() {
    assert_eq!(seal(b"", &CONTEXT, &[]), Err(SealError::NoRecipients));
    let pair = keys(1);
    let mut recipients = vec![(AGENCY, pair.public()); WRAPS_MAX];
    assert_eq!(seal(b"", &CONTEXT, &recipients).unwrap().wraps.len(), WRAPS_MAX);
    recipients.push((AGENCY, pair.public()));
    let refused = seal(b"", &CONTEXT, &recipients);
    assert_eq!(refused, Err(SealError::TooManyRecipients { recipients: WRAPS_MAX + 1 }));
}

#[test]
fn opens_only_in_the_place_it_was_sealed_for() {
    let sealed = sealed(b"a body");
    let open_as = |context, agency| {
        open(&sealed.body(), &sealed.wraps[0], &keys(1), &context, agency).map(|_| ())
    };
    assert_eq!(open_as(CONTEXT, AGENCY), Ok(()));
    let exchange = "cairn.example/ardnes";
    let sender = "police-ardnes";
    let request_id = &[3; 15][..];
    for moved in [
        SealContext { exchange, ..CONTEXT },
        SealContext { sender, ..CONTEXT },
        SealContext { request_id, ..CONTEXT },
        // The same characters, parted elsewhere.
        SealContext { exchange: "cairn.example/ardnessp", sender: "olice-ardness", ..CONTEXT },
    ] {
        assert_eq!(open_as(moved, AGENCY), Err(OpenError::WrapAltered));
    }
    assert_eq!(open_as(CONTEXT, "sw-ardnesS"), Err(OpenError::WrapAltered));
}

#[test]
fn opens_only_under_the_key_id_and_commitment_it_was_sealed_with() {
    let sealed = sealed(b"a body");
    let mut renamed = sealed.clone();
    renamed.wraps[0].key_id.0[0] ^= 1;
    assert_eq!(open_first(&renamed), Err(OpenError::OtherKey));
    let mut recommitted = sealed.clone();
    recommitted.key_commitment[31] ^= 1;
    assert_eq!(open_first(&recommitted), Err(OpenError::WrapAltered));
    // The key id is bound by more than the comparison.
    let wrap = &sealed.wraps[0];
    let info = |id| wrap_info(&CONTEXT, AGENCY, id, &sealed.key_commitment);
    assert_ne!(info(wrap.key_id), info(renamed.wraps[0].key_id));
}

#[test]
fn refuses_a_wrap_of_another_key_than_the_one_committed_to() {
    let mut sealed = sealed(b"a body");
    let pair = keys(1);
    let info = wrap_info(&CONTEXT, AGENCY, pair.key_id(), &sealed.key_commitment);
    let (enc, wrapped) = hpke::single_shot_seal::<WrapAead, WrapKdf, XWing>(
        &OpModeS::Base,
        &pair.public().key,
        &info,
        &[9; 32],
        &[],
    )
    .unwrap();
    (sealed.wraps[0].enc, sealed.wraps[0].wrapped) = (enc.to_bytes().to_vec(), wrapped);
    assert_eq!(open_first(&sealed), Err(OpenError::CommitmentMismatch));
}

#[test]
fn refuses_swapped_parts() {
    let (first, second) = (sealed(b"first"), sealed(b"second"));
    let mut swapped = first.clone();
    swapped.ciphertext.clone_from(&second.ciphertext);
    assert_eq!(open_first(&swapped), Err(OpenError::BodyAltered));
    let mut swapped = first.clone();
    swapped.nonce = second.nonce;
    assert_eq!(open_first(&swapped), Err(OpenError::BodyAltered));
    let mut swapped = first.clone();
    swapped.wraps.clone_from(&second.wraps);
    assert_eq!(open_first(&swapped), Err(OpenError::WrapAltered));
    let mut swapped = first.clone();
    swapped.wraps[0].enc.clone_from(&second.wraps[0].enc);
    assert_eq!(open_first(&swapped), Err(OpenError::WrapAltered));
    // A whole other body under the first one's commitment.
    let key = unwrap_key(&second.key_commitment, &second.wraps[0], &keys(1), &CONTEXT, AGENCY);
    let mismatch = open_body(&first.body(), &key.unwrap());
    assert_eq!(mismatch, Err(OpenError::CommitmentMismatch));
}

#[test]
fn refuses_altered_or_impossible_parts() {
    let good = sealed(b"a body");
    for index in [0, 271] {
        let mut altered = good.clone();
        altered.ciphertext[index] ^= 0x80;
        assert_eq!(open_first(&altered), Err(OpenError::BodyAltered));
    }
    for index in [0, 1_087, 1_088, 1_118] {
        let mut altered = good.clone();
        altered.wraps[0].enc[index] ^= 1;
        assert_eq!(open_first(&altered), Err(OpenError::WrapAltered));
    }
    for (ciphertext, enc, wrapped) in [
        (0, 1_120, 48),
        (271, 1_120, 48),
        (SEALED_BODY_BYTES_MAX + 1, 1_120, 48),
        (272, 0, 48),
        (272, 1_119, 48),
        (272, 1_121, 48),
        (272, 1_120, 0),
        (272, 1_120, 47),
        (272, 1_120, 49),
    ] {
        let mut cut = good.clone();
        cut.ciphertext.resize(ciphertext, 0);
        cut.wraps[0].enc.resize(enc, 0);
        cut.wraps[0].wrapped.resize(wrapped, 0);
        assert_eq!(open_first(&cut), Err(OpenError::Malformed));
    }
    let mut long = good.clone();
    long.ciphertext.resize(SEALED_BODY_BYTES_MAX, 0);
    assert_eq!(open_first(&long), Err(OpenError::BodyAltered));
}

#[test]
fn refuses_wrong_padding() {
    let key = ContentKey(Zeroizing::new([5; 32]));
    let nonce = [6; 12];
    let opened = |plaintext: Vec<u8>| {
        let ciphertext = encrypt(&key, &nonce, Zeroizing::new(plaintext));
        let sealed = SealedBody {
            nonce: &nonce,
            ciphertext: &ciphertext,
            key_commitment: &key.commitment(),
        };
        open_body(&sealed, &key).map(|body| body.to_vec())
    };
    let padded = |length: u32, bytes: usize| {
        let mut plaintext = length.to_be_bytes().to_vec();
        plaintext.resize(bytes, 0);
        plaintext
    };
    assert_eq!(opened(padded(252, 256)), Ok(vec![0; 252]));
    assert_eq!(opened(padded(253, 256)), Err(OpenError::Padding));
    assert_eq!(opened(padded(u32::MAX, 256)), Err(OpenError::Padding));
    assert_eq!(opened(padded(0, 257)), Err(OpenError::Padding));
    // More padding than needed hides more, and is the sender's choice.
    assert_eq!(opened(padded(1, 512)), Ok(vec![0]));
    let longest = CARRIED_BODY_BYTES_MAX + 256;
    assert!(opened(padded(CARRIED_BODY_BYTES_MAX as u32, longest)).is_ok());
    assert_eq!(opened(padded(CARRIED_BODY_BYTES_MAX as u32 + 1, longest)), Err(OpenError::Padding));
    for index in [5, 255] {
        let mut dirty = padded(1, 256);
        dirty[index] = 1;
        assert_eq!(opened(dirty), Err(OpenError::Padding));
    }
}

#[test]
fn a_recipient_wraps_again_for_another_inbox() {
    let sealed = sealed(b"a body");
    let key = unwrap_key(&sealed.key_commitment, &sealed.wraps[0], &keys(1), &CONTEXT, AGENCY);
    let redirect = SealContext { sender: AGENCY, request_id: &[4; 16], ..CONTEXT };
    let wrap = wrap_key(&key.unwrap(), &redirect, "nhs-ardness", keys(2).public());
    let open_as = |context| {
        open(&sealed.body(), &wrap, &keys(2), &context, "nhs-ardness").map(|body| body.to_vec())
    };
    assert_eq!(open_as(redirect), Ok(b"a body".to_vec()));
    assert_eq!(open_as(CONTEXT), Err(OpenError::WrapAltered));
}

#[test]
fn refuses_what_is_no_sealing_key() {
    let good = keys(1).public().to_bytes();
    let again = SealingPublicKey::from_bytes(&good).unwrap();
    assert_eq!(&again, keys(1).public());
    assert_eq!(again.key_id(), keys(1).key_id());
    for bytes in [0, PUBLIC_KEY_BYTES - 1, PUBLIC_KEY_BYTES + 1] {
        let mut cut = good.clone();
        cut.resize(bytes, 0);
        assert_eq!(SealingPublicKey::from_bytes(&cut), Err(KeyError::Malformed));
    }
    // Coefficients of 4,095, where ML-KEM allows 3,328.
    let large = [0xff; PUBLIC_KEY_BYTES];
    assert_eq!(SealingPublicKey::from_bytes(&large), Err(KeyError::Malformed));
}

#[test]
fn shows_no_secret_and_never_seals_twice_alike() {
    let pair = keys(1);
    assert_eq!(format!("{pair:?}"), format!("SealingKeyPair({})", pair.key_id()));
    let (first, second) = (sealed(b"a body"), sealed(b"a body"));
    assert_ne!(first.key_commitment, second.key_commitment);
    assert_ne!(first.nonce, second.nonce);
    let key = ContentKey(Zeroizing::new([5; 32]));
    assert_eq!(format!("{key:?}"), "ContentKey(..)");
}
