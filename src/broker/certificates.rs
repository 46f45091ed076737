//! Until when the certificates hold that systems came with, so that people renew them in time.
//!
//! All of it in memory: after a start no system has connected yet.
//!
//! Holds: I10. Knows: identity, directory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Broker;
use crate::{clock::Moment, identity::Peer};

/// The last second of a certificate, Unix time, by agency and system.
type Ends = BTreeMap<(String, String), u64>;

/// What each system last connected with.
#[derive(Default)]
pub(super) struct Certificates(Mutex<Ends>);

/// A system, and until when it is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Its agency.
    pub agency: String,
    /// The system.
    pub system: String,
    /// The last second of the certificate that it last connected with.
    pub at: Moment,
}

impl Broker {
    /// A system has connected. One that the directory does not know is not remembered, so that
    /// there are never more of them than it has.
    pub fn has_connected(&self, peer: &Peer) {
        let (agency, system) = (peer.agency.as_str(), peer.system.as_str());
        if self.directory().knows_system(agency, system) {
            let key = (agency.to_owned(), system.to_owned());
            self.certificates().insert(key, peer.not_after_unix);
        }
    }

    /// When the certificate ends that a system last connected with; `None`: it has not connected
    /// since the start.
    pub fn certificate_end(&self, agency: &str, system: &str) -> Option<Moment> {
        let key = (agency.to_owned(), system.to_owned());
        self.certificates().get(&key).copied().map(Moment::of_seconds)
    }

    /// Those that end before a moment, or have ended, the first first. A system that was suspended
    /// since is not waited for.
    pub fn certificates_ending(&self, before: Moment) -> Vec<CertificateEnd> {
        let directory = self.directory();
        let mut ending: Vec<_> = self
            .certificates()
            .iter()
            .filter(|((agency, system), end)| {
                Moment::of_seconds(**end) < before && directory.knows_system(agency, system)
            })
            .map(|((agency, system), end)| CertificateEnd {
                agency: agency.clone(),
                system: system.clone(),
                at: Moment::of_seconds(*end),
            })
            .collect();
        ending.sort_by_key(|certificate| certificate.at);
        ending
    }

    fn certificates(&self) -> MutexGuard<'_, Ends> {
        self.shared.certificates.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
