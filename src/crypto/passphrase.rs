//! What people sign in with: passphrases, kept so that nobody can read them back, and tokens,
//! which are chance.
//!
//! A passphrase is kept as Argon2id (RFC 9106) of it under its own salt, with the least that the
//! OWASP Password Storage Cheat Sheet allows: 19 MiB, two passes, one lane. A token is 32 random
//! bytes in base64url; of it SHA-256 is kept.
//!
//! Holds: I2. Knows: nothing.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KeyError, random_secret};

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// A passphrase as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPassphrase {
    salt: [u8; 16],
    hash: [u8; 32],
}

impl KeptPassphrase {
    /// Takes a tenth of a second or so, and 19 MiB: not for an async thread.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn of(passphrase: &str) -> Result<Self, KeyError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| KeyError::NoRandomness)?;
        Ok(Self { salt, hash: stretched(passphrase, &salt) })
    }

    /// Whether it is this one. Takes as long as [`KeptPassphrase::of`].
    pub fn is(&self, passphrase: &str) -> bool {
        bool::from(stretched(passphrase, &self.salt).ct_eq(&self.hash))
    }

    /// What no passphrase is, to spend the same time on a name that nobody has.
    pub fn nobodys() -> Self {
        Self { salt: [0; 16], hash: [0; 32] }
    }
}

fn stretched(passphrase: &str, salt: &[u8; 16]) -> [u8; 32] {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, Some(32)).expect("invariant: a valid cost");
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut hash)
        .expect("invariant: salt and output have a length that Argon2 takes");
    hash
}

/// A secret that is shown once and known again by its digest.
pub struct Token(Zeroizing<String>);

/// By what a token is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenDigest([u8; 32]);

impl Token {
    /// A fresh one.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn draw() -> Result<Self, KeyError> {
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(random_secret()?.as_ref()))))
    }

    /// The text, 43 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

impl TokenDigest {
    /// Of what somebody shows.
    pub fn of(shown: &str) -> Self {
        Self(Sha256::digest(shown.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_known_again_and_no_other_is() {
        let kept = KeptPassphrase::of("three plain words").unwrap();
        assert!(kept.is("three plain words"));
        assert!(!kept.is("three plain word"));
        assert!(!kept.is(""));
        assert!(!KeptPassphrase::nobodys().is(""));
        assert_ne!(kept, KeptPassphrase::of("three plain words").unwrap(), "each has its own salt");
    }

    #[test]
    fn a_token_is_known_by_its_digest() {
        let token = Token::draw().unwrap();
        assert_eq!(token.as_str().len(), 43);
        assert_eq!(TokenDigest::of(token.as_str()), token.digest());
        assert_ne!(Token::draw().unwrap().digest(), token.digest());
    }
}
