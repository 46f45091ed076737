//! Private keys on disk, one to a file.
//!
//! Takes a path and gives a key, or a reason that names the path and nothing of what is in it.
//! Ed25519 keys are PKCS#8 version 1 (RFC 5958, RFC 8410), which OpenSSL, Python and Node read;
//! version 2 adds the public key, and they refuse it. The others are PEM (RFC 7468) around 32
//! bytes. A file is written whole or not at all, never over another, with mode 0600; one that
//! group or others can read or write is refused, since its key may be known to them.
//!
//! Holds: I2, I10. Knows: nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use zeroize::{Zeroize, Zeroizing};

use super::{AgencySecret, ExchangeSecret, SealingKeyPair, SigningKey};

/// The longest key file that is read, in bytes.
const KEY_FILE_BYTES_MAX: usize = 4_096;

const SEALING_LABEL: &str = "CAIRN X-WING SEED";
const AGENCY_LABEL: &str = "CAIRN AGENCY SECRET";
const EXCHANGE_LABEL: &str = "CAIRN EXCHANGE SECRET";

/// Why a key file was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is a file of that name, and a key is never written over.
    #[error("key file {} exists already and was left as it is", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("key file {} does not hold {expected}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// Others can read or write it.
    #[error(
        "key file {path} can be read or written by others (mode {mode:04o}): if nobody can have \
         seen it, run: chmod 600 {path}",
        path = path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file could not be read.
    #[error("cannot read key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write key file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Writes an Ed25519 key as PKCS#8 version 1 PEM.
///
/// # Errors
/// [`KeyFileError::Exists`], and what was there is untouched, or [`KeyFileError::Write`], and there
/// is no file of that name, or a whole one that a power cut might still take.
pub fn write_signing_key(path: &Path, key: &SigningKey) -> Result<(), KeyFileError> {
    let mut bytes = KeypairBytes { secret_key: key.inner().to_bytes(), public_key: None };
    let text = bytes.to_pkcs8_pem(LineEnding::LF);
    bytes.secret_key.zeroize();
    let text = text.expect("invariant: 32 bytes always encode");
    write(path, text.as_bytes())
}

/// Reads an Ed25519 key in PKCS#8 PEM. A public key beside it must be its own.
///
/// # Errors
/// [`KeyFileError::Open`], [`KeyFileError::NotAKey`] or [`KeyFileError::Read`].
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let text = read(path)?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(|text| ed25519_dalek::SigningKey::from_pkcs8_pem(text).ok())
        .map(|key| SigningKey::from_seed(key.as_bytes()))
        .ok_or_else(|| KeyFileError::NotAKey {
            path: path.to_owned(),
            expected: "an Ed25519 private key (PKCS#8, PEM)",
        })
}

/// Writes the seed of a sealing key.
///
/// # Errors
/// As [`write_signing_key`].
pub fn write_sealing_key(path: &Path, keys: &SealingKeyPair) -> Result<(), KeyFileError> {
    write_secret(path, SEALING_LABEL, keys.seed())
}

/// Reads the seed of a sealing key.
///
/// # Errors
/// As [`read_signing_key`].
pub fn read_sealing_key(path: &Path) -> Result<SealingKeyPair, KeyFileError> {
    let seed = read_secret(path, SEALING_LABEL, "a CAIRN X-WING SEED (PEM)")?;
    Ok(SealingKeyPair::from_seed(&seed))
}

/// Writes the secret of an agency.
///
/// # Errors
/// As [`write_signing_key`].
pub fn write_agency_secret(path: &Path, secret: &AgencySecret) -> Result<(), KeyFileError> {
    write_secret(path, AGENCY_LABEL, secret.as_bytes())
}

/// Reads the secret of an agency.
///
/// # Errors
/// As [`read_signing_key`].
pub fn read_agency_secret(path: &Path) -> Result<AgencySecret, KeyFileError> {
    let secret = read_secret(path, AGENCY_LABEL, "a CAIRN AGENCY SECRET (PEM)")?;
    Ok(AgencySecret::from_bytes(&secret))
}

/// Writes the secret of the exchange.
///
/// # Errors
/// As [`write_signing_key`].
pub fn write_exchange_secret(path: &Path, secret: &ExchangeSecret) -> Result<(), KeyFileError> {
    write_secret(path, EXCHANGE_LABEL, secret.as_bytes())
}

/// Reads the secret of the exchange.
///
/// # Errors
/// As [`read_signing_key`].
pub fn read_exchange_secret(path: &Path) -> Result<ExchangeSecret, KeyFileError> {
    let secret = read_secret(path, EXCHANGE_LABEL, "a CAIRN EXCHANGE SECRET (PEM)")?;
    Ok(ExchangeSecret::from_bytes(&secret))
}

/// Writes any other private key, such as that of a certificate.
///
/// # Errors
/// As [`write_signing_key`].
pub fn write_private(path: &Path, pem: &[u8]) -> Result<(), KeyFileError> {
    write(path, pem)
}

fn write_secret(path: &Path, label: &str, secret: &[u8; 32]) -> Result<(), KeyFileError> {
    let base64 = Zeroizing::new(STANDARD.encode(secret));
    let text =
        Zeroizing::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", *base64));
    write(path, text.as_bytes())
}

fn read_secret(
    path: &Path,
    label: &str,
    expected: &'static str,
) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let text = read(path)?;
    parse_secret(&text, label)
        .ok_or_else(|| KeyFileError::NotAKey { path: path.to_owned(), expected })
}

/// Stricter than RFC 7468: one line of base64, and only white space around the block. The PEM
/// reader of the signature crate takes no hyphen in a label.
fn parse_secret(text: &[u8], label: &str) -> Option<Zeroizing<[u8; 32]>> {
    let base64 = std::str::from_utf8(text)
        .ok()?
        .trim_ascii()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?
        .trim_ascii();
    // The decoder wants room for the padding too.
    let mut decoded = Zeroizing::new([0; 33]);
    let length = STANDARD.decode_slice(base64, decoded.as_mut()).ok()?;
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(decoded.get(..length).filter(|bytes| bytes.len() == 32)?);
    Some(secret)
}

fn write(path: &Path, text: &[u8]) -> Result<(), KeyFileError> {
    write_whole(path, text).map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::AlreadyExists => KeyFileError::Exists { path },
            _ => KeyFileError::Write { path, source },
        }
    })
}

/// Writes beside the final name and links into place: unlike a rename, a link never replaces.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    let mut partial = [0; 8];
    getrandom::fill(&mut partial).map_err(io::Error::other)?;
    let mut partial_name = OsString::from(".");
    partial_name.push(name);
    partial_name.push(format!(".{:016x}", u64::from_be_bytes(partial)));
    let partial = path.with_file_name(partial_name);

    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    let placed = file
        .write_all(text)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&partial, path));
    // Whatever happened, no second copy of a key may stay behind.
    let removed = fs::remove_file(&partial);
    placed?;
    removed?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file, not of the name: the name can change hands in between.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyFileError::Open { path, mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() > KEY_FILE_BYTES_MAX {
        return Err(failed(io::Error::from(ErrorKind::FileTooLarge)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
