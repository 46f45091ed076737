//! Who is speaking: certificates, the TLS around them and their revocation; and the people who
//! sign in at the console.
//!
//! Takes PEM files and the certificates that callers show; gives `Peer`, the identity that one
//! certificate proves, and the TLS settings under which it was proved. A person who signed in
//! speaks as the `Peer` that the invitation named.
//! Holds: I2, I10, I12. Knows: crypto, domain, store, limits.

use std::path::{Path, PathBuf};

pub mod authenticate;
pub mod certificate;
pub mod issue;
pub mod people;
pub mod revocation;
pub mod tls;
pub mod web_server;

pub use certificate::{NoIdentity, Peer};
pub use issue::{DevelopmentCa, Issued, Validity};
pub use people::People;
pub use revocation::{Changed, Reason, Trust, TrustSettings};
pub use tls::{TlsClient, TlsConnector};
pub use web_server::TlsServer;

/// What can go wrong with certificates, keys and connections.
///
/// A peer that shows no identity is not an error of this room but a [`NoIdentity`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection could not be made in the time allowed, or at all.
    #[error("cannot connect to {to}: {fault}")]
    Connect {
        /// The host and port that were asked for.
        to: String,
        /// What went wrong, for people.
        fault: String,
    },
    /// A file of certificates, keys or revocations cannot be used; somebody must mend the file.
    #[error("{}: {fault}", path.display())]
    File {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it, for people.
        fault: String,
    },
    /// A certificate or revocation list cannot be issued from what was asked for.
    #[error("cannot issue: {0}")]
    Issue(String),
}

impl Error {
    /// The file at `path` is at fault.
    fn file(path: &Path, fault: impl ToString) -> Self {
        Self::File { path: path.to_owned(), fault: fault.to_string() }
    }
}
