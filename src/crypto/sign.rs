//! Ed25519 signatures, the DSSE envelope around what is signed, and key ids.
//!
//! Takes exact bytes and gives 64-byte signatures, or says whether one is good. Verification is
//! strict (RFC 8032 with small-order points refused) and one at a time: batch verification can
//! disagree with it, and then two auditors could disagree.
//!
//! Holds: I2. Knows: nothing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use sha2::{Digest, Sha256};

/// The DSSE payload type of the signed part of a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.cairn.statement.v1";
/// The DSSE payload type of a change to the directory.
pub const DIRECTORY_TYPE: &str = "application/vnd.cairn.directory.v1";

/// The kind byte of an Ed25519 signing key in its key id.
pub(super) const KIND_SIGNING: u8 = 1;
/// The kind byte of an X-Wing sealing key in its key id.
pub(super) const KIND_SEALING: u8 = 2;

/// The order of the field, 2^255 - 19, little endian: a key's y coordinate must be below it.
const FIELD_ORDER: [u8; 32] = {
    let mut order = [0xff; 32];
    order[0] = 0xed;
    order[31] = 0x7f;
    order
};

/// Why a key, or the name of one, cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no key of this kind, or not its only spelling.
    #[error("these bytes are not a key")]
    Malformed,
    /// The text is not sixteen lower-case hexadecimal digits.
    #[error("a key id is 16 lower-case hexadecimal digits")]
    MalformedKeyId,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// A key of small order: one signature under it fits many messages.
    #[error("this key is weak and must not be used")]
    Weak,
}

/// The signature was not made over these bytes with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct BadSignature;

/// The short name of a public key: the first 8 bytes of
/// `SHA-256("cairn/key/v1" ‖ 0x00 ‖ kind ‖ public key)`, kind 1 for Ed25519 and 2 for X-Wing.
///
/// It finds a key among those the directory holds; it proves nothing. Shown as 16 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    pub(super) fn of(kind: u8, public: &[u8]) -> KeyId {
        let digest = Sha256::new()
            .chain_update(b"cairn/key/v1\0")
            .chain_update([kind])
            .chain_update(public)
            .finalize();
        KeyId::first_of(&digest.into())
    }

    pub(super) fn first_of(digest: &[u8; 32]) -> KeyId {
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    /// Reads exactly what `Display` writes, so that an id has one spelling.
    fn from_str(text: &str) -> Result<KeyId, KeyError> {
        let digits: &[u8; 16] = text.as_bytes().try_into().map_err(|_| KeyError::MalformedKeyId)?;
        let mut id = [0; 8];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        Ok(KeyId(id))
    }
}

fn nibble(digit: u8) -> Result<u8, KeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(KeyError::MalformedKeyId),
    }
}

/// An Ed25519 private key. Wiped from memory when dropped; `Debug` shows its key id only.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`] if the operating system has none to give.
    pub fn generate() -> Result<SigningKey, KeyError> {
        Ok(SigningKey::from_seed(&*super::random_secret()?))
    }

    /// The key of a 32-byte RFC 8032 seed. Every seed is a key.
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The key id of the public half.
    pub fn key_id(&self) -> KeyId {
        self.public().key_id()
    }

    /// The RFC 8032 signature over `message`: always the same for the same bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The key as its crate knows it, for the key file.
    pub(super) fn inner(&self) -> &ed25519_dalek::SigningKey {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.key_id())
    }
}

/// An Ed25519 public key that is not weak. Equal, hashed and ordered by its 32 bytes.
#[derive(Clone)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if they name no point of the curve or are not its canonical
    /// spelling, [`KeyError::Weak`] if the point has small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<PublicKey, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        // A second spelling of one point would be a second key id for one key.
        let mut height = *bytes;
        height[31] &= 0x7f;
        if height.iter().rev().cmp(FIELD_ORDER.iter().rev()) != Ordering::Less {
            return Err(KeyError::Malformed);
        }
        Ok(PublicKey(key))
    }

    /// The 32 bytes of RFC 8032.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The short name of this key.
    pub fn key_id(&self) -> KeyId {
        KeyId::of(KIND_SIGNING, self.0.as_bytes())
    }

    /// Whether `signature` was made over exactly `message` with this key's private half.
    ///
    /// # Errors
    /// [`BadSignature`] if not, and for a signature that RFC 8032 would have spelled otherwise.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| BadSignature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.0.as_bytes() == other.0.as_bytes()
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &PublicKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &PublicKey) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({})", self.key_id())
    }
}

/// DSSE's pre-authentication encoding: what is really signed, so that a payload of one type never
/// passes for another. Lengths are in bytes, decimal. Source: the DSSE protocol, version 1.0.2.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut encoded = Vec::with_capacity(head.len() + payload.len());
    encoded.extend_from_slice(head.as_bytes());
    encoded.extend_from_slice(payload);
    encoded
}

/// The DSSE signature over `payload`.
pub fn sign_dsse(key: &SigningKey, payload_type: &str, payload: &[u8]) -> [u8; 64] {
    key.sign(&pae(payload_type, payload))
}

/// Whether `signature` is the DSSE signature over `payload` with this key.
///
/// # Errors
/// [`BadSignature`] if not, which includes a good signature over another payload type.
pub fn verify_dsse(
    public: &PublicKey,
    payload_type: &str,
    payload: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    public.verify(&pae(payload_type, payload), signature)
}

#[cfg(test)]
mod tests;
