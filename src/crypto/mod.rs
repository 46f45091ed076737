//! Every use of a key: signatures, sealed bodies, keyed tags, key files, passphrases.
//!
//! The only room that names the signature and sealing crates. Nothing here knows what a statement
//! or an agency is: it takes bytes and gives bytes. Chance comes from the operating system alone.
//!
//! Holds: I2, I8, I12. Knows: limits.

pub mod keyfile;
pub mod passphrase;
pub mod seal;
pub mod sign;
pub mod tag;
#[cfg(test)]
mod vectors;

pub use keyfile::KeyFileError;
pub use seal::{ContentKey, OpenError, SealError, SealedBody, SealingKeyPair, SealingPublicKey};
pub use sign::{BadSignature, KeyError, KeyId, PublicKey, SigningKey};
pub use tag::{AgencySecret, ContentTag, ExchangeSecret};

use zeroize::Zeroizing;

/// Thirty-two bytes that nobody can guess.
fn random_secret() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut()).map_err(|_| KeyError::NoRandomness)?;
    Ok(secret)
}

/// `bytes` behind its own length as u32 big endian, so that no two lists of fields look alike.
fn push_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("invariant: every bound is far below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}
