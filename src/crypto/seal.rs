//! Sealing: a body that only its recipients can read.
//!
//! Takes a body and the recipients' public keys; gives one ciphertext under a fresh content key
//! and, for each recipient, that key wrapped (HPKE, RFC 9180, Base mode). A wrap opens only in the
//! exchange, from the sender, for the request, agency and key it was made for. Because an AEAD
//! alone lets one ciphertext open differently for two people, the content key is committed to, and
//! the commitment is checked before anything is read. Who sealed is told by the signature over the
//! statement, not here.
//!
//! Holds: I10, I12. Knows: limits.

mod keys;

use chacha20poly1305::Nonce;
use chacha20poly1305::aead::AeadInOut;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, kem::XWing};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KeyId, push_prefixed};
use crate::limits::{CARRIED_BODY_BYTES_MAX, PADDING_BYTES, SEALED_BODY_BYTES_MAX, WRAPS_MAX};

pub use keys::{ContentKey, SealingKeyPair, SealingPublicKey};

/// The name of the one suite there is today: the KEM and KDF of the wraps, and the AEAD of both
/// the wraps and the body.
pub const SUITE: &str = "X-Wing/HKDF-SHA256/ChaCha20Poly1305";
/// A sealing public key, in bytes: ML-KEM-768 (1,184) then X25519 (32).
pub const PUBLIC_KEY_BYTES: usize = 1_216;
/// [`Wrap::enc`], in bytes: ML-KEM-768 ciphertext (1,088) then X25519 (32).
pub const ENC_BYTES: usize = 1_120;
/// [`Wrap::wrapped`], in bytes: a content key and its AEAD tag.
pub const WRAPPED_BYTES: usize = 48;

const LENGTH_BYTES: usize = 4;
const AEAD_TAG_BYTES: usize = 16;

type WrapAead = hpke::aead::ChaCha20Poly1305;
type WrapKdf = hpke::kdf::HkdfSha256;

/// Why a body could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The body is longer than [`CARRIED_BODY_BYTES_MAX`].
    #[error("the body has {bytes} bytes, more than {CARRIED_BODY_BYTES_MAX}")]
    BodyTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Sealed to nobody, it would be lost.
    #[error("a body is sealed to at least one recipient")]
    NoRecipients,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// More recipients than [`WRAPS_MAX`].
    #[error("{recipients} recipients, more than {WRAPS_MAX}")]
    TooManyRecipients {
        /// How many there were.
        recipients: usize,
    },
}

/// Why a sealed body could not be opened. The text names no content, so it may be told to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key opens the wrap but not the body: nonce or ciphertext are not what was sealed.
    #[error("the sealed body was altered")]
    BodyAltered,
    /// The wrap holds another content key than the statement commits to.
    #[error("the wrapped key is not the one the statement commits to")]
    CommitmentMismatch,
    /// A part has a length that no sealing gives.
    #[error("a part of the sealed body has an impossible length")]
    Malformed,
    /// The wrap names another sealing key; one kept from before may fit.
    #[error("sealed to another key")]
    OtherKey,
    /// The sealed plaintext does not follow the padding rule.
    #[error("the padding of the sealed body is wrong")]
    Padding,
    /// The wrap was altered, or made for another exchange, sender, request or agency.
    #[error("the wrapped key does not open in this place")]
    WrapAltered,
}

/// What a wrap is bound to, besides its recipient. Names are the ids of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The origin name of the exchange.
    pub exchange: &'a str,
    /// The agency that makes the wrap.
    pub sender: &'a str,
    /// The request id of the statement that carries the wrap.
    pub request_id: &'a [u8],
}

/// A content key wrapped for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// The sealing key it was wrapped to.
    pub key_id: KeyId,
    /// HPKE's encapsulated key, [`ENC_BYTES`] bytes.
    pub enc: Vec<u8>,
    /// The content key under HPKE, [`WRAPPED_BYTES`] bytes.
    pub wrapped: Vec<u8>,
}

/// A body as it travels: one ciphertext, one wrap for each recipient, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The nonce of `ciphertext`.
    pub nonce: [u8; 12],
    /// The padded body and its tag, at most [`SEALED_BODY_BYTES_MAX`] bytes.
    pub ciphertext: Vec<u8>,
    /// See [`ContentKey::commitment`].
    pub key_commitment: [u8; 32],
    /// One for each recipient.
    pub wraps: Vec<Wrap>,
}

impl Sealed {
    /// The parts that are the same for every recipient.
    pub fn body(&self) -> SealedBody<'_> {
        SealedBody {
            nonce: &self.nonce,
            ciphertext: &self.ciphertext,
            key_commitment: &self.key_commitment,
        }
    }
}

/// The parts of a sealed body that [`open`] needs, whoever the recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedBody<'a> {
    /// The nonce of `ciphertext`.
    pub nonce: &'a [u8; 12],
    /// The padded body and its tag.
    pub ciphertext: &'a [u8],
    /// The commitment in the signed statement, never one that travels beside it.
    pub key_commitment: &'a [u8; 32],
}

/// Seals `body` to each of `recipients`: agency id and sealing key.
///
/// # Errors
/// See [`SealError`]; nothing has left when it is returned.
pub fn seal(
    body: &[u8],
    context: &SealContext<'_>,
    recipients: &[(&str, &SealingPublicKey)],
) -> Result<Sealed, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipients);
    }
    if recipients.len() > WRAPS_MAX {
        let recipients = recipients.len();
        return Err(SealError::TooManyRecipients { recipients });
    }
    if body.len() > CARRIED_BODY_BYTES_MAX {
        return Err(SealError::BodyTooLarge { bytes: body.len() });
    }
    let key = ContentKey::generate()?;
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
    Ok(Sealed {
        nonce,
        ciphertext: encrypt(&key, &nonce, pad(body)),
        key_commitment: key.commitment(),
        wraps: recipients
            .iter()
            .map(|(agency, public)| wrap_key(&key, context, agency, public))
            .collect(),
    })
}

/// Opens a body with the recipient's own wrap: the steps of [`unwrap_key`] and [`open_body`].
///
/// # Errors
/// See [`OpenError`].
pub fn open(
    sealed: &SealedBody<'_>,
    wrap: &Wrap,
    keys: &SealingKeyPair,
    context: &SealContext<'_>,
    agency: &str,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let key = unwrap_key(sealed.key_commitment, wrap, keys, context, agency)?;
    open_body(sealed, &key)
}

/// Wraps a content key for one more inbox of `agency`: when sealing, when a recipient redirects,
/// when a sender seals again.
///
/// # Panics
/// If the operating system has no random bytes to give.
pub fn wrap_key(
    key: &ContentKey,
    context: &SealContext<'_>,
    agency: &str,
    public: &SealingPublicKey,
) -> Wrap {
    let info = wrap_info(context, agency, public.id, &key.commitment());
    let (enc, wrapped) = hpke::single_shot_seal::<WrapAead, WrapKdf, XWing>(
        &OpModeS::Base,
        &public.key,
        &info,
        key.0.as_ref(),
        &[],
    )
    .expect("invariant: wrapping 32 bytes to a parsed X-Wing key cannot fail");
    Wrap { key_id: public.id, enc: enc.to_bytes().to_vec(), wrapped }
}

/// The content key in a wrap made for `agency` and `keys`, if it is the one committed to.
///
/// # Errors
/// [`OpenError::OtherKey`], [`OpenError::Malformed`], [`OpenError::WrapAltered`] or
/// [`OpenError::CommitmentMismatch`].
pub fn unwrap_key(
    key_commitment: &[u8; 32],
    wrap: &Wrap,
    keys: &SealingKeyPair,
    context: &SealContext<'_>,
    agency: &str,
) -> Result<ContentKey, OpenError> {
    if wrap.enc.len() != ENC_BYTES || wrap.wrapped.len() != WRAPPED_BYTES {
        return Err(OpenError::Malformed);
    }
    if wrap.key_id != keys.key_id() {
        return Err(OpenError::OtherKey);
    }
    let enc =
        <XWing as Kem>::EncappedKey::from_bytes(&wrap.enc).map_err(|_| OpenError::Malformed)?;
    let opened = hpke::single_shot_open::<WrapAead, WrapKdf, XWing>(
        &OpModeR::Base,
        &keys.private,
        &enc,
        &wrap_info(context, agency, wrap.key_id, key_commitment),
        &wrap.wrapped,
        &[],
    )
    .map_err(|_| OpenError::WrapAltered)?;
    let opened = Zeroizing::new(opened);
    let mut key = ContentKey(Zeroizing::new([0; 32]));
    key.0.copy_from_slice(&opened);
    if !bool::from(key.commitment().ct_eq(key_commitment)) {
        return Err(OpenError::CommitmentMismatch);
    }
    Ok(key)
}

/// The body under a content key that [`unwrap_key`] gave.
///
/// # Errors
/// [`OpenError::CommitmentMismatch`] if the key belongs to another body, [`OpenError::Malformed`],
/// [`OpenError::BodyAltered`] or [`OpenError::Padding`].
pub fn open_body(
    sealed: &SealedBody<'_>,
    key: &ContentKey,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    if !bool::from(key.commitment().ct_eq(sealed.key_commitment)) {
        return Err(OpenError::CommitmentMismatch);
    }
    let length = sealed.ciphertext.len();
    if !(AEAD_TAG_BYTES + PADDING_BYTES..=SEALED_BODY_BYTES_MAX).contains(&length) {
        return Err(OpenError::Malformed);
    }
    let mut plaintext = Zeroizing::new(sealed.ciphertext.to_vec());
    key.cipher()
        .decrypt_in_place(&Nonce::from(*sealed.nonce), &[], &mut *plaintext)
        .map_err(|_| OpenError::BodyAltered)?;
    unpad(plaintext)
}

/// What a statement says of a sealed body: `SHA-256(nonce ‖ ciphertext)`.
pub fn body_digest(nonce: &[u8; 12], ciphertext: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(nonce).chain_update(ciphertext).finalize().into()
}

/// What a statement says of a wrap, beside its key id: `SHA-256(enc ‖ wrapped)`.
pub fn wrap_digest(enc: &[u8], wrapped: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(enc).chain_update(wrapped).finalize().into()
}

/// HPKE's `info`: a label, then each field behind its length. AAD stays empty, because some
/// stacks have none.
pub(super) fn wrap_info(
    context: &SealContext<'_>,
    agency: &str,
    key_id: KeyId,
    key_commitment: &[u8; 32],
) -> Vec<u8> {
    let mut info = b"cairn/seal/v1".to_vec();
    push_prefixed(&mut info, context.exchange.as_bytes());
    push_prefixed(&mut info, context.sender.as_bytes());
    push_prefixed(&mut info, context.request_id);
    push_prefixed(&mut info, agency.as_bytes());
    push_prefixed(&mut info, &key_id.0);
    push_prefixed(&mut info, key_commitment);
    info
}

/// u32 big-endian length, body, zeros up to the next multiple of [`PADDING_BYTES`].
fn pad(body: &[u8]) -> Zeroizing<Vec<u8>> {
    let padded = (LENGTH_BYTES + body.len()).next_multiple_of(PADDING_BYTES);
    // With room for the tag the vector never moves, so no copy of the body stays behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(padded + AEAD_TAG_BYTES));
    push_prefixed(&mut plaintext, body);
    plaintext.resize(padded, 0);
    plaintext
}

/// The body in a padded plaintext. A sender may pad by more than it must, never with anything but
/// zeros, so that nothing can hide there.
fn unpad(mut plaintext: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    if !plaintext.len().is_multiple_of(PADDING_BYTES) {
        return Err(OpenError::Padding);
    }
    let (length, rest) = plaintext.split_first_chunk::<LENGTH_BYTES>().ok_or(OpenError::Padding)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| OpenError::Padding)?;
    if length > CARRIED_BODY_BYTES_MAX {
        return Err(OpenError::Padding);
    }
    let (_, padding) = rest.split_at_checked(length).ok_or(OpenError::Padding)?;
    if padding.iter().any(|&byte| byte != 0) {
        return Err(OpenError::Padding);
    }
    plaintext.copy_within(LENGTH_BYTES..LENGTH_BYTES + length, 0);
    plaintext.truncate(length);
    Ok(plaintext)
}

fn encrypt(key: &ContentKey, nonce: &[u8; 12], mut plaintext: Zeroizing<Vec<u8>>) -> Vec<u8> {
    key.cipher()
        .encrypt_in_place(&Nonce::from(*nonce), &[], &mut *plaintext)
        .expect("invariant: a bounded body is far below the limit of ChaCha20-Poly1305");
    std::mem::take(&mut *plaintext)
}

#[cfg(test)]
mod tests;
