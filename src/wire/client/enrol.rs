//! Makes a system's folder and what the directory must learn of it.
//!
//! For development and demonstrations: the exchange's own development authority
//! issues the certificate. A real agency makes its keys where they stay, has its
//! certificate issued by a real authority, and sends the same registrations.
//!
//! Knows: identity, crypto, domain, directory, proto.

use std::{fs, io, path::Path};

use super::folder::{FolderError, SystemFolder, SystemSettings};
use crate::{
    clock::Moment,
    crypto::{
        keyfile::{self, KeyFileError},
        seal::SealingKeyPair,
        sign::{DIRECTORY_TYPE, KeyError, SigningKey, sign_dsse},
        tag::AgencySecret,
    },
    domain::ids::RoleName,
    identity::{self, DevelopmentCa, Validity},
    ledger::note::Vkey,
    proto::{self, DirectoryChange, SealingKey, Signature, SignedChange, directory_change::Change},
};

/// Why a folder could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The folder or what is in it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// No randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] identity::Error),
    /// The file system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a new folder is made of.
pub struct Enrolment<'a> {
    /// Who and where.
    pub settings: SystemSettings,
    /// The inboxes it will serve, by role.
    pub roles: &'a [RoleName],
    /// The authority that issues its certificate.
    pub ca: &'a DevelopmentCa,
    /// How long the certificate is good.
    pub validity: Validity,
    /// The ledger's verifier key.
    pub vkey: &'a Vkey,
    /// The agency's secret, if another of its systems has made it already.
    pub secret: Option<&'a AgencySecret>,
}

/// Makes keys, certificate and folder.
///
/// # Errors
/// [`EnrolError`]; nothing that exists is overwritten.
pub fn make_folder(path: &Path, enrolment: &Enrolment<'_>) -> Result<SystemFolder, EnrolError> {
    let settings = &enrolment.settings;
    fs::create_dir_all(path.join("sealing"))?;
    let issued = enrolment.ca.issue_client(
        &settings.exchange,
        &settings.agency,
        &settings.system,
        enrolment.validity,
    )?;
    fs::write(path.join("ca.pem"), enrolment.ca.certificate_pem())?;
    fs::write(path.join("tls.pem"), &issued.certificate_pem)?;
    keyfile::write_private(&path.join("tls.key"), issued.key_pem.as_bytes())?;
    keyfile::write_signing_key(&path.join("signing.key"), &SigningKey::generate()?)?;
    let made;
    let secret = match enrolment.secret {
        Some(secret) => secret,
        None => {
            made = AgencySecret::generate()?;
            &made
        }
    };
    keyfile::write_agency_secret(&path.join("agency.secret"), secret)?;
    for role in enrolment.roles {
        let file = path.join("sealing").join(format!("{role}.key"));
        keyfile::write_sealing_key(&file, &SealingKeyPair::generate()?)?;
    }
    fs::write(path.join("log.vkey"), format!("{}\n", enrolment.vkey))?;
    let text = toml::to_string(settings).map_err(io::Error::other)?;
    // Last, so that a half-made folder does not open.
    fs::write(path.join("system.toml"), text)?;
    Ok(SystemFolder::open(path)?)
}

/// A change that needs no signature.
pub fn unsigned(exchange: &str, change: Change) -> SignedChange {
    let change = DirectoryChange { exchange: exchange.to_owned(), change: Some(change) };
    SignedChange { change: proto::encode(&change), signatures: Vec::new() }
}

/// A system's signature over a change.
pub fn signature(folder: &SystemFolder, change: &[u8]) -> Signature {
    Signature {
        key_id: folder.signing.key_id().0.to_vec(),
        signature: sign_dsse(&folder.signing, DIRECTORY_TYPE, change).to_vec(),
    }
}

/// A change signed by these systems.
pub fn signed(exchange: &str, change: Change, by: &[&SystemFolder]) -> SignedChange {
    let mut signed = unsigned(exchange, change);
    signed.signatures = by.iter().map(|folder| signature(folder, &signed.change)).collect();
    signed
}

/// The registration of a system's first signing key.
pub fn signing_key(folder: &SystemFolder, now: Moment) -> SignedChange {
    let settings = &folder.settings;
    let record = proto::SigningKey {
        agency: settings.agency.to_string(),
        system: settings.system.to_string(),
        public_key: folder.signing.public().to_bytes().to_vec(),
        valid_from: now.unix_seconds(),
        valid_to: 0,
        predecessor: Vec::new(),
        kinds: Vec::new(),
        inboxes: Vec::new(),
    };
    signed(settings.exchange.as_str(), Change::SigningKey(record), &[folder])
}

/// The registrations of the sealing keys of the inboxes it serves.
pub fn sealing_keys(folder: &SystemFolder, now: Moment) -> Vec<SignedChange> {
    let register = |(inbox, keys): (&crate::domain::ids::InboxId, &SealingKeyPair)| {
        let record = SealingKey {
            inbox: inbox.to_string(),
            public_key: keys.public().to_bytes(),
            valid_from: now.unix_seconds(),
            valid_to: 0,
        };
        signed(folder.settings.exchange.as_str(), Change::SealingKey(record), &[folder])
    };
    folder.sealing.iter().map(register).collect()
}
