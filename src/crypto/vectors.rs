//! The test vectors that every client in every language reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::seal::{self, SealContext, Wrap};
use super::sign::{self, KeyId};
use super::{AgencySecret, ContentTag, ExchangeSecret, PublicKey, SealedBody};
use super::{SealingKeyPair, SealingPublicKey, SigningKey};

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// As [`unhex`], of a known length.
pub fn bytes<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/vectors.json")).unwrap()
}

/// The vectors of one kind; none would be a test that cannot fail.
fn each(kind: &str) -> Vec<Value> {
    let vectors = golden()[kind].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    vectors
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

fn array<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    bytes(text(vector, name))
}

fn base64(vector: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(text(vector, name)).unwrap()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[test]
fn signs_the_golden_payloads() {
    for vector in each("dsse") {
        let key = SigningKey::from_seed(&array(&vector, "seed_hex"));
        let public = PublicKey::from_bytes(&array(&vector, "public_key_hex")).unwrap();
        assert_eq!(key.public(), public);
        let payload = unhex(text(&vector, "payload_hex"));
        let kind = text(&vector, "payload_type");
        assert_eq!(hex(&sign::pae(kind, &payload)), text(&vector, "pae_hex"));
        let signature = array(&vector, "signature_hex");
        assert_eq!(sign::sign_dsse(&key, kind, &payload), signature);
        assert!(sign::verify_dsse(&public, kind, &payload, &signature).is_ok());
    }
}

#[test]
fn names_the_golden_keys() {
    for vector in each("key_ids") {
        let id: KeyId = text(&vector, "key_id_hex").parse().unwrap();
        let (found, public) = match text(&vector, "kind") {
            "signing" => {
                let key = SigningKey::from_seed(&array(&vector, "seed_hex"));
                (key.key_id(), key.public().to_bytes().to_vec())
            }
            "sealing" => {
                let keys = SealingKeyPair::from_seed(&array(&vector, "seed_hex"));
                (keys.key_id(), keys.public().to_bytes())
            }
            _ => {
                let secret = AgencySecret::from_bytes(&array(&vector, "secret_hex"));
                assert_eq!(secret.key_id(), id);
                continue;
            }
        };
        assert_eq!(found, id);
        assert_eq!(sha256(&public), array(&vector, "public_key_sha256_hex"));
    }
}

#[test]
fn opens_the_golden_body_for_each_recipient() {
    let vector = &golden()["seal"];
    assert_eq!(text(vector, "suite"), seal::SUITE);
    let request_id = unhex(text(vector, "request_id_hex"));
    let context = SealContext {
        exchange: text(vector, "exchange"),
        sender: text(vector, "sender"),
        request_id: &request_id,
    };
    let nonce = array(vector, "nonce_hex");
    let ciphertext = base64(vector, "ciphertext_base64");
    let digest = seal::body_digest(&nonce, &ciphertext);
    assert_eq!(digest, array(vector, "body_digest_hex"));
    let sealed = SealedBody {
        nonce: &nonce,
        ciphertext: &ciphertext,
        key_commitment: &array(vector, "key_commitment_hex"),
    };
    let recipients = vector["recipients"].as_array().unwrap();
    assert!(recipients.len() > 2);
    for recipient in recipients {
        let keys = SealingKeyPair::from_seed(&array(recipient, "seed_hex"));
        let public = keys.public().to_bytes();
        assert_eq!(sha256(&public), array(recipient, "public_key_sha256_hex"));
        assert!(SealingPublicKey::from_bytes(&public).is_ok());
        let wrap = Wrap {
            key_id: text(recipient, "key_id_hex").parse().unwrap(),
            enc: base64(recipient, "enc_base64"),
            wrapped: unhex(text(recipient, "wrapped_hex")),
        };
        assert_eq!(
            seal::wrap_digest(&wrap.enc, &wrap.wrapped),
            array(recipient, "wrap_digest_hex")
        );
        let agency = text(recipient, "agency");
        let info = seal::wrap_info(&context, agency, wrap.key_id, sealed.key_commitment);
        assert_eq!(hex(&info), text(recipient, "info_hex"));
        let body = seal::open(&sealed, &wrap, &keys, &context, agency).unwrap();
        assert_eq!(body.as_slice(), text(vector, "body_utf8").as_bytes());
    }
}

#[test]
fn tags_the_golden_content() {
    for vector in each("content_tag") {
        let secret = AgencySecret::from_bytes(&array(&vector, "secret_hex"));
        let body = text(&vector, "canonical_body_utf8").as_bytes();
        let tag = secret.content_tag(&unhex(text(&vector, "request_id_hex")), body);
        assert_eq!(tag, ContentTag::from_bytes(array(&vector, "tag_hex")));
    }
    for vector in each("request_id") {
        let secret = AgencySecret::from_bytes(&array(&vector, "secret_hex"));
        let id = secret.request_id(text(&vector, "from"), text(&vector, "reference"));
        assert_eq!(id, array(&vector, "request_id_hex"));
    }
    for vector in each("request_key") {
        let secret = ExchangeSecret::from_bytes(&array(&vector, "exchange_secret_hex"));
        let request_id = unhex(text(&vector, "request_id_hex"));
        let key = secret.request_key(text(&vector, "agency"), &request_id);
        assert_eq!(key, array(&vector, "request_key_hex"));
    }
}

/// The ledger makes commitments; here only the vectors are held to what they say.
#[test]
fn golden_commitments_follow_their_definition() {
    for vector in each("commitment") {
        let key = &sha256(b"cairn/commitment/v1")[..16];
        assert_eq!(hex(key), text(&vector, "hmac_key_hex"));
        let content = unhex(text(&vector, "content_hex"));
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
        mac.update(&array::<32>(&vector, "opening_hex"));
        mac.update(&u32::try_from(content.len()).unwrap().to_be_bytes());
        mac.update(&content);
        let commitment: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(commitment, array(&vector, "commitment_hex"));
    }
}
