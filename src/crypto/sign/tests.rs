//! Signatures, key ids and DSSE: known answers and forgeries.

use super::*;
use crate::crypto::vectors::{bytes, hex};

/// RFC 8032, 7.1, tests 1 to 3: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn signs_and_verifies_the_vectors_of_rfc_8032() {
    for [seed, public, message, signature] in RFC_8032 {
        let key = SigningKey::from_seed(&bytes(seed));
        assert_eq!(hex(&key.public().to_bytes()), public);
        let message = crate::crypto::vectors::unhex(message);
        assert_eq!(hex(&key.sign(&message)), signature);
        let public = PublicKey::from_bytes(&bytes(public)).unwrap();
        assert_eq!(public, key.public());
        assert_eq!(public.verify(&message, &bytes(signature)), Ok(()));
    }
}

#[test]
fn refuses_forged_signature() {
    let key = SigningKey::generate().unwrap();
    let signature = key.sign(b"message");
    assert_eq!(key.public().verify(b"massage", &signature), Err(BadSignature));
    let other = SigningKey::generate().unwrap().public();
    assert_eq!(other.verify(b"message", &signature), Err(BadSignature));
    for index in 0..64 {
        let mut forged = signature;
        forged[index] ^= 1;
        assert_eq!(key.public().verify(b"message", &forged), Err(BadSignature));
    }
}

#[test]
fn refuses_a_signature_whose_scalar_is_not_reduced() {
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let key = SigningKey::from_seed(&bytes(RFC_8032[0][0]));
    let mut signature = key.sign(b"message");
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    assert_eq!(key.public().verify(b"message", &signature), Err(BadSignature));
}

#[test]
fn refuses_a_signature_whose_point_has_small_order() {
    // R is the identity and S = SHA-512(R ‖ A ‖ M) · a: plain verification would accept it.
    let crafted: [u8; 64] = bytes(
        "0100000000000000000000000000000000000000000000000000000000000000643d2e279529250140d52f07aee8990876f53bba2f176d2249fe90af5c0b3e0b",
    );
    let public = SigningKey::from_seed(&bytes(RFC_8032[0][0])).public();
    let lax =
        ed25519_dalek::Verifier::verify(&public.0, b"hello", &Signature::from_bytes(&crafted));
    assert!(lax.is_ok());
    assert_eq!(public.verify(b"hello", &crafted), Err(BadSignature));
}

#[test]
fn refuses_keys_of_small_order() {
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        assert_eq!(PublicKey::from_bytes(&bytes(point)), Err(KeyError::Weak));
    }
}

#[test]
fn refuses_a_second_spelling_of_a_key() {
    let mut otherwise_fine = 0;
    for low in 0xed..=0xff {
        for top in [0x7f, 0xff] {
            let mut spelling = [0xff; 32];
            (spelling[0], spelling[31]) = (low, top);
            assert!(PublicKey::from_bytes(&spelling).is_err());
            let lax = VerifyingKey::from_bytes(&spelling);
            otherwise_fine += usize::from(lax.is_ok_and(|key| !key.is_weak()));
        }
    }
    assert!(otherwise_fine > 0);
}

#[test]
fn encodes_as_dsse_says() {
    let encoded = pae("http://example.com/HelloWorld", b"hello world");
    let known = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(encoded, known);
    // Lengths count bytes, not characters.
    assert_eq!(pae("à", "ù".as_bytes()), "DSSEv1 2 à 2 ù".as_bytes());
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
}

#[test]
fn refuses_a_payload_signed_as_another_type() {
    let key = SigningKey::generate().unwrap();
    let signature = sign_dsse(&key, STATEMENT_TYPE, b"payload");
    let verify = |kind| verify_dsse(&key.public(), kind, b"payload", &signature);
    assert_eq!(verify(STATEMENT_TYPE), Ok(()));
    assert_eq!(verify(DIRECTORY_TYPE), Err(BadSignature));
}

#[test]
fn reads_a_key_id_in_its_one_spelling() {
    let id = SigningKey::generate().unwrap().key_id();
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!("00ff10abcdef0123".parse(), Ok(KeyId([0, 255, 16, 171, 205, 239, 1, 35])));
    for text in [
        "",
        "00ff10abcdef012",
        "00ff10abcdef01234",
        "00FF10abcdef0123",
        "00ff10abcdef012g",
        "+0ff10abcdef0123",
        "00ff10abcdef01é",
    ] {
        assert_eq!(text.parse::<KeyId>(), Err(KeyError::MalformedKeyId));
    }
}

#[test]
fn shows_no_secret() {
    let key = SigningKey::from_seed(&[7; 32]);
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.key_id()));
}
