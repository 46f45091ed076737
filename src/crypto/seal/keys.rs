//! The keys of sealing: a body's own, and the pair of an inbox.
//!
//! Takes seeds and bytes; gives keys that are wiped from memory when dropped and never shown.
//!
//! Holds: I12. Knows: nothing.

use std::fmt;

use chacha20poly1305::aead::KeyInit;
use chacha20poly1305::{ChaCha20Poly1305, Key};
use hpke::{Deserializable, Kem, Serializable, kem::XWing};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SealError;
use crate::crypto::sign::KIND_SEALING;
use crate::crypto::{KeyError, KeyId, random_secret};

/// The key of one body. Wiped from memory when dropped; never shown.
#[derive(Clone)]
pub struct ContentKey(pub(super) Zeroizing<[u8; 32]>);

impl ContentKey {
    pub(super) fn generate() -> Result<ContentKey, SealError> {
        match random_secret() {
            Ok(key) => Ok(ContentKey(key)),
            Err(_) => Err(SealError::NoRandomness),
        }
    }

    /// The commitment a statement makes to this key: `SHA-256("cairn/content-key/v1" ‖ key)`.
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"cairn/content-key/v1")
            .chain_update(self.0.as_ref())
            .finalize()
            .into()
    }

    pub(super) fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(<&Key>::from(&*self.0))
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ContentKey(..)")
    }
}

/// The public half of a sealing key. Equal by its 1,216 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey {
    pub(super) key: <XWing as Kem>::PublicKey,
    pub(super) id: KeyId,
}

impl SealingPublicKey {
    /// Reads [`PUBLIC_KEY_BYTES`](super::PUBLIC_KEY_BYTES) bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for another length, or coefficients that ML-KEM refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<SealingPublicKey, KeyError> {
        let key = <XWing as Kem>::PublicKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        let id = KeyId::of(KIND_SEALING, bytes);
        Ok(SealingPublicKey { key, id })
    }

    /// The [`PUBLIC_KEY_BYTES`](super::PUBLIC_KEY_BYTES) bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.key.to_bytes().to_vec()
    }

    /// The short name of this key.
    pub fn key_id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SealingPublicKey({})", self.id)
    }
}

/// An inbox's sealing key. Wiped from memory when dropped; `Debug` shows its key id only.
#[derive(Clone)]
pub struct SealingKeyPair {
    pub(super) private: <XWing as Kem>::PrivateKey,
    public: SealingPublicKey,
    seed: Zeroizing<[u8; 32]>,
}

impl SealingKeyPair {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`] if the operating system has none to give.
    pub fn generate() -> Result<SealingKeyPair, KeyError> {
        Ok(SealingKeyPair::from_seed(&*random_secret()?))
    }

    /// The key of a 32-byte X-Wing seed. Every seed is a key.
    pub fn from_seed(seed: &[u8; 32]) -> SealingKeyPair {
        let private = <XWing as Kem>::PrivateKey::from_bytes(seed)
            .expect("invariant: an X-Wing private key is any 32 bytes");
        let key = XWing::sk_to_pk(&private);
        let id = KeyId::of(KIND_SEALING, &key.to_bytes());
        let public = SealingPublicKey { key, id };
        let seed = Zeroizing::new(*seed);
        SealingKeyPair { private, public, seed }
    }

    /// The public half.
    pub fn public(&self) -> &SealingPublicKey {
        &self.public
    }

    /// The key id of the public half.
    pub fn key_id(&self) -> KeyId {
        self.public.id
    }

    /// The seed, for the key file.
    pub(in crate::crypto) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

impl fmt::Debug for SealingKeyPair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SealingKeyPair({})", self.key_id())
    }
}
