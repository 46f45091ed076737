//! A system's folder: what one computer of an agency needs to speak to an exchange.
//!
//! ```text
//! system.toml            exchange, agency, system, server address and name
//! ca.pem                 whom to trust as the exchange's server
//! tls.pem · tls.key      its client certificate and key
//! signing.key            its Ed25519 key
//! agency.secret          the agency's secret for request ids and content tags
//! sealing/<role>.key     the sealing key of each inbox that it serves
//! log.vkey               the ledger's verifier key
//! ```
//!
//! Private keys have mode 0600 or the folder will not open.
//!
//! Knows: crypto, domain, ledger.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    crypto::{
        keyfile::{self, KeyFileError},
        seal::SealingKeyPair,
        sign::SigningKey,
        tag::AgencySecret,
    },
    domain::ids::{AgencyId, ExchangeName, InboxId, SystemName},
    ledger::note::Vkey,
};

/// Why a system's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file is absent or cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file says something that cannot be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key file is wrong.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

/// What `system.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemSettings {
    /// The exchange's origin name.
    pub exchange: ExchangeName,
    /// The agency.
    pub agency: AgencyId,
    /// The system.
    pub system: SystemName,
    /// The server's address, such as `127.0.0.1:7443`.
    pub server: String,
    /// The name in the server's certificate, such as `localhost`.
    pub server_name: String,
}

/// A system's folder, opened.
pub struct SystemFolder {
    path: PathBuf,
    /// Who and where.
    pub settings: SystemSettings,
    /// Signs statements.
    pub signing: SigningKey,
    /// Derives request ids and content tags.
    pub secret: AgencySecret,
    /// Opens what comes for each inbox.
    pub sealing: BTreeMap<InboxId, SealingKeyPair>,
    /// The ledger's verifier key.
    pub vkey: Vkey,
}

impl SystemFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`FolderError`], which names the file and what to do.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let settings_path = path.join("system.toml");
        let settings: SystemSettings = toml::from_str(&text(&settings_path)?)
            .map_err(|error| content(&settings_path, error))?;
        let vkey_path = path.join("log.vkey");
        let vkey =
            Vkey::parse(text(&vkey_path)?.trim()).map_err(|error| content(&vkey_path, error))?;
        Ok(Self {
            signing: keyfile::read_signing_key(&path.join("signing.key"))?,
            secret: keyfile::read_agency_secret(&path.join("agency.secret"))?,
            sealing: sealing_keys(path, &settings.agency)?,
            path: path.to_path_buf(),
            settings,
            vkey,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whom to trust as the server.
    pub fn ca(&self) -> PathBuf {
        self.path.join("ca.pem")
    }

    /// The client certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path.join("tls.pem")
    }

    /// The client certificate's key.
    pub fn certificate_key(&self) -> PathBuf {
        self.path.join("tls.key")
    }
}

fn sealing_keys(
    path: &Path,
    agency: &AgencyId,
) -> Result<BTreeMap<InboxId, SealingKeyPair>, FolderError> {
    let folder = path.join("sealing");
    let mut keys = BTreeMap::new();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(keys),
        Err(source) => return Err(FolderError::File { path: folder, source }),
    };
    for entry in entries {
        let file =
            entry.map_err(|source| FolderError::File { path: folder.clone(), source })?.path();
        let Some(role) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".key"))
        else {
            continue;
        };
        let role = role.parse().map_err(|error| content(&file, error))?;
        keys.insert(InboxId::new(agency, &role), keyfile::read_sealing_key(&file)?);
    }
    Ok(keys)
}

fn text(path: &Path) -> Result<String, FolderError> {
    fs::read_to_string(path)
        .map_err(|source| FolderError::File { path: path.to_path_buf(), source })
}

fn content(path: &Path, reason: impl ToString) -> FolderError {
    FolderError::Content { path: path.to_path_buf(), reason: reason.to_string() }
}
