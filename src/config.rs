//! The server's settings: `cairn.toml` → [`Config`]. An unknown key refuses, and
//! paths are taken from the file's own folder.
//!
//! Knows: domain.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and where.
    pub reason: String,
}

/// The server's settings. `deploy/cairn.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The exchange's folder, made by `cairn init`.
    pub data: PathBuf,
    /// Where gRPC listens.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/livez` and `/readyz` listen, in the clear: loopback or a
    /// network of the operators' own. Absent: nowhere.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Whether gRPC reflection is served.
    #[serde(default = "yes")]
    pub reflection: bool,
    /// Certificates.
    pub tls: TlsFiles,
    /// Traces.
    #[serde(default)]
    pub log: Log,
}

/// Where certificates, keys and revocation lists are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate and what chains it to an authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    pub key: PathBuf,
    /// Every authority that signs callers' certificates, PEM.
    pub client_ca: PathBuf,
    /// Revocation lists, PEM: one for each authority, or none.
    #[serde(default)]
    pub crls: Vec<PathBuf>,
}

/// What is traced, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// In the form of `RUST_LOG`.
    #[serde(default = "info")]
    pub filter: String,
    /// One JSON object a line, else plain text.
    #[serde(default = "yes")]
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: info(), json: true }
    }
}

fn yes() -> bool {
    true
}

fn info() -> String {
    "info".to_owned()
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], which says what is wrong and where.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let fail = |reason: String| ConfigError { path: path.to_path_buf(), reason };
        let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        Ok(config.relative_to(path.parent().unwrap_or(Path::new("."))))
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        let tls = &mut self.tls;
        let paths = [&mut self.data, &mut tls.certificate, &mut tls.key, &mut tls.client_ca];
        for path in paths.into_iter().chain(&mut tls.crls) {
            *path = folder.join(&path);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_config() {
        let sample = include_str!("../deploy/cairn.toml");
        let config: Config = toml::from_str(sample).unwrap();
        assert!(config.reflection);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = "data='d'\nlisten='127.0.0.1:1'\nlisen='x'\n[tls]\ncertificate='c'\nkey='k'\nclient_ca='a'";
        let error = toml::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains("lisen"), "{error}");
    }
}
