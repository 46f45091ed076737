//! Keyed tags: the same content gives the same tag, and only a key holder can make or compare one.
//!
//! Takes a 32-byte secret and bytes; gives content tags and request ids (the agency's secret) and
//! the ledger's uniqueness keys (the exchange's secret). A plain hash of a body would let anyone
//! confirm a guess about a child; these let nobody without the secret.
//!
//! Holds: I8, I12. Knows: nothing.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KeyError, KeyId, push_prefixed, random_secret};

/// The secret of one agency, shared by its systems and kept for ever. Wiped from memory when
/// dropped; `Debug` shows its key id only.
#[derive(Clone)]
pub struct AgencySecret(Zeroizing<[u8; 32]>);

impl AgencySecret {
    /// A fresh secret.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`] if the operating system has none to give.
    pub fn generate() -> Result<AgencySecret, KeyError> {
        Ok(AgencySecret(random_secret()?))
    }

    /// The secret of these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> AgencySecret {
        AgencySecret(Zeroizing::new(*bytes))
    }

    /// Its short name: the first 8 bytes of `SHA-256("cairn/tag-key/v1" ‖ secret)`.
    pub fn key_id(&self) -> KeyId {
        let digest = Sha256::new()
            .chain_update(b"cairn/tag-key/v1")
            .chain_update(self.0.as_ref())
            .finalize();
        KeyId::first_of(&digest.into())
    }

    /// The content tag of a statement:
    /// `HMAC-SHA-256(secret, "cairn/tag/v1" ‖ request id ‖ canonical body)`, the body as RFC 8785
    /// writes it. Compare it only with tags of the same request id.
    pub fn content_tag(&self, request_id: &[u8], canonical_body: &[u8]) -> ContentTag {
        let message = [b"cairn/tag/v1".as_slice(), request_id, canonical_body];
        ContentTag(mac(&self.0, &message))
    }

    /// The request id of a sender's own reference, the same each time it is asked for: the first
    /// 16 bytes of `HMAC-SHA-256(secret, "cairn/request/v1" ‖ from ‖ reference)`, each of the two
    /// behind its u32 big-endian length. It tells nothing of the reference, which can hold
    /// initials.
    pub fn request_id(&self, from: &str, reference: &str) -> [u8; 16] {
        let mut fields = Vec::new();
        push_prefixed(&mut fields, from.as_bytes());
        push_prefixed(&mut fields, reference.as_bytes());
        let full = mac(&self.0, &[b"cairn/request/v1", &fields]);
        let mut id = [0; 16];
        id.copy_from_slice(&full[..16]);
        id
    }

    /// The secret itself, for the key file.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AgencySecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "AgencySecret({})", self.key_id())
    }
}

/// The secret of the exchange, which hides request ids in the ledger. Wiped from memory when
/// dropped; never shown.
#[derive(Clone)]
pub struct ExchangeSecret(Zeroizing<[u8; 32]>);

impl ExchangeSecret {
    /// A fresh secret.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`] if the operating system has none to give.
    pub fn generate() -> Result<ExchangeSecret, KeyError> {
        Ok(ExchangeSecret(random_secret()?))
    }

    /// The secret of these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> ExchangeSecret {
        ExchangeSecret(Zeroizing::new(*bytes))
    }

    /// The ledger's uniqueness key of a request:
    /// `HMAC-SHA-256(secret, "cairn/request-key/v1" ‖ u32 big-endian length ‖ agency ‖ request id)`.
    pub fn request_key(&self, agency: &str, request_id: &[u8]) -> [u8; 32] {
        let mut fields = Vec::new();
        push_prefixed(&mut fields, agency.as_bytes());
        mac(&self.0, &[b"cairn/request-key/v1", &fields, request_id])
    }

    /// The secret itself, for the key file.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ExchangeSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ExchangeSecret(..)")
    }
}

/// Thirty-two bytes that say whether two bodies are the same. Compared in constant time.
#[derive(Clone, Copy)]
pub struct ContentTag([u8; 32]);

impl ContentTag {
    /// A tag as it came in.
    pub fn from_bytes(bytes: [u8; 32]) -> ContentTag {
        ContentTag(bytes)
    }

    /// The tag as it travels.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl PartialEq for ContentTag {
    fn eq(&self, other: &ContentTag) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ContentTag {}

impl fmt::Debug for ContentTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ContentTag(..)")
    }
}

/// The secret that a webhook's notices are signed with, in the form of Standard Webhooks: `whsec_`
/// and the base64 of 24 to 64 random bytes.
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl WebhookSecret {
    /// From its text; `None` if that has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(Zeroizing::new(bytes)))
    }

    /// Base64 of `HMAC-SHA-256(secret, id . timestamp . body)`, the full stops included.
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("invariant: HMAC takes a key of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

fn mac(secret: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret)
        .expect("invariant: HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::super::vectors::hex;
    use super::*;

    const REQUEST: [u8; 16] = [3; 16];

    #[test]
    fn mac_is_the_one_of_rfc_4231() {
        // Test cases 1 and 2 have shorter keys; HMAC pads a short key with zeros.
        let mut secret = [0; 32];
        secret[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            hex(&mac(&secret, &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let mut secret = [0; 32];
        secret[..20].fill(0x0b);
        assert_eq!(
            hex(&mac(&secret, &[b"Hi There"])),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn same_content_gives_the_same_tag_and_other_content_another() {
        let secret = AgencySecret::from_bytes(&[1; 32]);
        let tag = secret.content_tag(&REQUEST, b"{}");
        assert_eq!(tag, secret.content_tag(&REQUEST, b"{}"));
        assert_eq!(tag, ContentTag::from_bytes(tag.to_bytes()));
        assert_ne!(tag, secret.content_tag(&REQUEST, b"{ }"));
        assert_ne!(tag, secret.content_tag(&[4; 16], b"{}"));
        assert_ne!(tag, AgencySecret::from_bytes(&[2; 32]).content_tag(&REQUEST, b"{}"));
    }

    #[test]
    fn request_id_parts_inbox_and_reference() {
        let secret = AgencySecret::from_bytes(&[1; 32]);
        let id = secret.request_id("police/duty", "2026-7");
        assert_eq!(id, secret.request_id("police/duty", "2026-7"));
        assert_ne!(id, secret.request_id("police/duty2", "026-7"));
        assert_ne!(id, secret.request_id("police/duty", "2026-8"));
    }

    #[test]
    fn request_key_parts_agency_and_request_id() {
        let secret = ExchangeSecret::from_bytes(&[1; 32]);
        let key = secret.request_key("police", b"0123456789abcdef");
        assert_eq!(key, secret.request_key("police", b"0123456789abcdef"));
        assert_ne!(key, secret.request_key("police0", b"123456789abcdef"));
        let other = ExchangeSecret::from_bytes(&[2; 32]);
        assert_ne!(key, other.request_key("police", b"0123456789abcdef"));
    }

    #[test]
    fn shows_no_secret() {
        let secret = AgencySecret::generate().unwrap();
        assert_eq!(format!("{secret:?}"), format!("AgencySecret({})", secret.key_id()));
        let exchange = ExchangeSecret::generate().unwrap();
        assert_eq!(format!("{exchange:?}"), "ExchangeSecret(..)");
        let tag = secret.content_tag(&REQUEST, b"{}");
        assert_eq!(format!("{tag:?}"), "ContentTag(..)");
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_webhook_is_signed_as_others_verify_it() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b"{\"test\": 2432232314}");
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(WebhookSecret::parse("whsec_short").is_none());
        assert!(WebhookSecret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
    }
}
