//! Whom we trust at this moment: TLS settings and revocations, replaced while running.
//!
//! Takes paths to PEM files; gives the rustls settings of the next connection and, for each
//! request of an open one, whether its certificate still holds: a connection outlives the
//! revocation of the certificate it was opened with.
//! Holds: I2, I14. Knows: domain, clock.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, ServerConfig};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::certificate::{name_sha256, serial_hex};
use super::{Error, NoIdentity, Peer, tls};
use crate::clock::Clock;
use crate::domain::ids::ExchangeName;

/// Where the files are that trust is read from.
#[derive(Clone, Debug)]
pub struct TrustSettings {
    /// The exchange that callers' certificates must be for.
    pub exchange: ExchangeName,
    /// The server's certificate and what chains it to an authority, PEM.
    pub cert: PathBuf,
    /// The server's private key, PKCS#8 PEM, mode 0600.
    pub key: PathBuf,
    /// Every authority that signs callers' certificates, those in between included, PEM.
    pub client_ca: PathBuf,
    /// Revocation lists, PEM. With any, each authority in `client_ca` must have one.
    pub crls: Vec<PathBuf>,
    /// What browsers are shown, where that is not the server's certificate: certificate and key.
    pub browsers: Option<(PathBuf, PathBuf)>,
}

/// What a reload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The files hold what they held.
    Nothing,
    /// New connections use the new set; open ones are judged by it.
    Replaced {
        /// How often the set has been replaced since the start.
        generation: u64,
    },
}

/// Why the certificate of an open connection no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Its last second is over.
    #[error("certificate expired")]
    Expired,
    /// No authority that is trusted now vouches for it.
    #[error("certificate no longer trusted")]
    NoLongerTrusted,
    /// Its authority revoked it.
    #[error("certificate revoked")]
    Revoked,
}

/// The current set of files, and the settings made from it.
pub struct Trust {
    settings: TrustSettings,
    clock: Arc<dyn Clock>,
    current: ArcSwap<Current>,
    /// Carries the generation; whoever holds a connection watches it.
    generation: watch::Sender<u64>,
    /// The files as they were at the last attempt to read them, also if that failed. One reload
    /// runs at a time, by holding this.
    attempted: Mutex<Vec<Stamp>>,
}

/// One good set of files.
struct Current {
    server: Arc<ServerConfig>,
    browsers: Arc<ServerConfig>,
    browsers_not_after_unix: u64,
    verifier: Arc<dyn ClientCertVerifier>,
    revoked: Revoked,
    contents_sha256: [u8; 32],
    server_not_after_unix: u64,
    authorities_not_after_unix: u64,
    crl_next_update_unix: Option<u64>,
}

/// Serial numbers by the authority that gave and revoked them.
type Revoked = HashMap<[u8; 32], HashSet<String>>;

/// By what a file that was replaced is told from the one before; none if there is no file.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Trust {
    /// Reads the files for the first time. Handshakes judge certificates and revocation lists
    /// by `clock`.
    ///
    /// # Errors
    /// [`Error::File`], naming the first file that cannot be used and why.
    pub fn load(settings: TrustSettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let stamps = settings.stamps();
        let current = Current::read(&settings, &clock, None)?;
        Ok(Self {
            settings,
            clock,
            current: ArcSwap::from_pointee(current),
            generation: watch::Sender::new(0),
            attempted: Mutex::new(stamps),
        })
    }

    /// Reads the files again and, if all are good, replaces the set.
    ///
    /// Reads from disk: not for an async thread. May be called at any time and by several.
    ///
    /// # Errors
    /// [`Error::File`] as [`Trust::load`] has it. The old set is then kept whole and in force.
    pub fn reload(&self) -> Result<Changed, Error> {
        let mut attempted = self.attempted();
        // Before reading, so that a file that changes meanwhile is seen as changed afterwards.
        *attempted = self.settings.stamps();
        let old = self.current.load();
        let new = match Current::read(&self.settings, &self.clock, Some(&old)) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "new certificates refused, the old ones stay in force");
                return Err(error);
            }
        };
        if new.contents_sha256 == self.current.load().contents_sha256 {
            return Ok(Changed::Nothing);
        }
        let revoked: usize = new.revoked.values().map(HashSet::len).sum();
        self.current.store(Arc::new(new));
        self.generation.send_modify(|generation| *generation += 1);
        let generation = *self.generation.borrow();
        tracing::info!(generation, revoked, "certificates and revocations replaced");
        Ok(Changed::Replaced { generation })
    }

    /// Whether a file was changed, or came or went, since it was last tried.
    ///
    /// Asks the disk: not for an async thread. False again after a [`Trust::reload`], even one
    /// that failed.
    #[must_use]
    pub fn changed_on_disk(&self) -> bool {
        *self.attempted() != self.settings.stamps()
    }

    /// The TLS settings for the next connection.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.current.load().server.clone()
    }

    /// The TLS settings for the next browser.
    #[must_use]
    pub fn browser_config(&self) -> Arc<ServerConfig> {
        self.current.load().browsers.clone()
    }

    /// Tells, from now on, of every replacement of the set, by its generation.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// When the server's own certificate ends, as Unix time.
    #[must_use]
    pub fn server_not_after_unix(&self) -> u64 {
        self.current.load().server_not_after_unix
    }

    /// When the certificate that browsers are shown ends, as Unix time.
    #[must_use]
    pub fn browsers_not_after_unix(&self) -> u64 {
        self.current.load().browsers_not_after_unix
    }

    /// When the first of the authorities ends that sign callers' certificates, as Unix time.
    #[must_use]
    pub fn authorities_not_after_unix(&self) -> u64 {
        self.current.load().authorities_not_after_unix
    }

    /// When the first revocation list is out of date, as Unix time. From then on every new
    /// connection under its authority is refused; a list that gives no such time never is.
    #[must_use]
    pub fn crl_next_update_unix(&self) -> Option<u64> {
        self.current.load().crl_next_update_unix
    }

    /// Who the holder of this certificate is, whose chain TLS has verified.
    ///
    /// # Errors
    /// As [`Peer::from_certificate`].
    pub fn identify(&self, certificate: &CertificateDer<'_>) -> Result<Peer, NoIdentity> {
        Peer::from_certificate(certificate, &self.settings.exchange)
    }

    /// Whether the certificate of an open connection still holds; cheap, for each request.
    ///
    /// # Errors
    /// The [`Reason`] why it does not.
    pub fn still_valid(&self, peer: &Peer, now_unix: u64) -> Result<(), Reason> {
        if now_unix > peer.not_after_unix {
            return Err(Reason::Expired);
        }
        let current = self.current.load();
        let revoked = current.revoked.get(&peer.issuer_sha256);
        match revoked.is_some_and(|serials| serials.contains(&peer.serial)) {
            true => Err(Reason::Revoked),
            false => Ok(()),
        }
    }

    /// Whether a chain that was once verified would be again, by the set in force; for each open
    /// connection after a reload. This also feels an authority that was taken out, and one in
    /// between that was revoked.
    ///
    /// A revocation list that is out of date ends no open connection: it is the fault of
    /// whoever runs the exchange, and new connections are refused for it already.
    ///
    /// # Errors
    /// The [`Reason`] why it would not.
    pub fn still_trusted(&self, chain: &[CertificateDer<'_>], now_unix: u64) -> Result<(), Reason> {
        let (end, between) = chain.split_first().ok_or(Reason::NoLongerTrusted)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_unix));
        let current = self.current.load();
        match current.verifier.verify_client_cert(end, between, now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(fault)) => match fault {
                CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. } => Ok(()),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Err(Reason::Expired)
                }
                CertificateError::Revoked => Err(Reason::Revoked),
                _ => Err(Reason::NoLongerTrusted),
            },
            Err(_) => Err(Reason::NoLongerTrusted),
        }
    }

    /// What a thread that panicked left behind is a list of stamps, good or a little old.
    fn attempted(&self) -> std::sync::MutexGuard<'_, Vec<Stamp>> {
        self.attempted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrustSettings {
    fn stamps(&self) -> Vec<Stamp> {
        let paths = [&self.cert, &self.key, &self.client_ca];
        let browsers = self.browsers.iter().flat_map(|(cert, key)| [cert, key]);
        paths.into_iter().chain(&self.crls).chain(browsers).map(stamp).collect()
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

impl Current {
    /// Reads every file. What only browsers are shown is kept as it was where that cannot be read:
    /// whom systems trust does not wait for it.
    fn read(
        settings: &TrustSettings,
        clock: &Arc<dyn Clock>,
        old: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut contents = Sha256::new();
        let chain_pem = tls::read(&settings.cert)?;
        let key_pem = tls::read_secret(&settings.key)?;
        let ca_pem = tls::read(&settings.client_ca)?;
        for pem in [&chain_pem, &*key_pem, &ca_pem] {
            contents.update((pem.len() as u64).to_be_bytes());
            contents.update(pem);
        }
        let chain = tls::certificates(&settings.cert, &chain_pem)?;
        let key = tls::private_key(&settings.key, &key_pem)?;
        let authorities = tls::certificates(&settings.client_ca, &ca_pem)?;

        let mut lists = Lists::default();
        for path in &settings.crls {
            let pem = tls::read(path)?;
            contents.update((pem.len() as u64).to_be_bytes());
            contents.update(&pem);
            for list in tls::revocation_lists(path, &pem)? {
                lists.add(path, list, &authorities)?;
            }
        }
        lists.cover(settings, &authorities)?;

        let roots = tls::roots(&settings.client_ca, &authorities)?;
        let verifier = tls::client_verifier(roots, lists.ders)
            .map_err(|e| Error::file(&settings.client_ca, e))?;
        let server_not_after_unix = not_after(&settings.cert, &chain[0])?;
        let ends = authorities.iter().map(|authority| not_after(&settings.client_ca, authority));
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        let browsers = match &settings.browsers {
            None => {
                (browsers(&settings.cert, chain.clone(), key.clone_key())?, server_not_after_unix)
            }
            Some((cert, key)) => match (own_pair(cert, key), old) {
                (Ok((config, not_after, digest)), _) => {
                    contents.update(digest);
                    (config, not_after)
                }
                (Err(error), None) => return Err(error),
                (Err(error), Some(old)) => {
                    tracing::error!(%error, "the console's new certificate is refused; the old one stays");
                    (Arc::clone(&old.browsers), old.browsers_not_after_unix)
                }
            },
        };
        let mut server = server(settings, chain, key, verifier.clone())?;
        server.time_provider = tls::time_of(Arc::clone(clock));
        Ok(Self {
            server: Arc::new(server),
            browsers: browsers.0,
            browsers_not_after_unix: browsers.1,
            verifier,
            revoked: lists.revoked,
            contents_sha256: contents.finalize().into(),
            server_not_after_unix,
            authorities_not_after_unix: ends.into_iter().min().unwrap_or(0),
            crl_next_update_unix: lists.next_update_unix,
        })
    }
}

fn server(
    settings: &TrustSettings,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, Error> {
    tls::server_config(chain, key, verifier, &[tls::HTTP_2]).map_err(|fault| {
        let key = settings.key.display();
        Error::file(&settings.cert, format!("with {key}: {fault}"))
    })
}

fn browsers(
    path: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let config = tls::browser_config(chain, key).map_err(|fault| Error::file(path, fault))?;
    Ok(Arc::new(config))
}

/// What browsers are shown from files of their own: settings, end, and a digest of the files.
fn own_pair(cert: &Path, key: &Path) -> Result<(Arc<ServerConfig>, u64, [u8; 32]), Error> {
    let (chain_pem, key_pem) = (tls::read(cert)?, tls::read_secret(key)?);
    let digest = Sha256::new().chain_update(&chain_pem).chain_update(&*key_pem).finalize();
    let chain = tls::certificates(cert, &chain_pem)?;
    let not_after_unix = not_after(cert, &chain[0])?;
    let config = browsers(cert, chain, tls::private_key(key, &key_pem)?)?;
    Ok((config, not_after_unix, digest.into()))
}

/// Revocation lists as they are gathered.
#[derive(Default)]
struct Lists {
    ders: Vec<CertificateRevocationListDer<'static>>,
    revoked: Revoked,
    next_update_unix: Option<u64>,
}

impl Lists {
    /// Takes one list in, if one of the authorities signed it.
    fn add(
        &mut self,
        path: &Path,
        der: CertificateRevocationListDer<'static>,
        authorities: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let Ok(([], list)) = CertificateRevocationList::from_der(&der) else {
            return Err(Error::file(path, "the revocation list cannot be read"));
        };
        if !authorities.iter().any(|authority| signed(authority, &list)) {
            let fault = "the revocation list is signed by no authority in client_ca";
            return Err(Error::file(path, fault));
        }
        let issuer = name_sha256(list.issuer().as_raw());
        let serials = self.revoked.entry(issuer).or_default();
        for revoked in list.iter_revoked_certificates() {
            serials.insert(serial_hex(revoked.raw_serial()));
        }
        if let Some(time) = list.next_update() {
            let time = u64::try_from(time.timestamp()).unwrap_or(0);
            let first = self.next_update_unix.map_or(time, |first| first.min(time));
            self.next_update_unix = Some(first);
        }
        self.ders.push(der);
        Ok(())
    }

    /// With lists at all, an authority without one would have every caller refused; better to
    /// hear of it now.
    fn cover(
        &self,
        settings: &TrustSettings,
        authorities: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        if self.ders.is_empty() {
            return Ok(());
        }
        for (index, authority) in authorities.iter().enumerate() {
            let number = index + 1;
            let (_, certificate) = X509Certificate::from_der(authority).map_err(|_| {
                let fault = format!("certificate {number} cannot be read");
                Error::file(&settings.client_ca, fault)
            })?;
            let name = name_sha256(certificate.subject().as_raw());
            if !self.revoked.contains_key(&name) {
                let fault = format!("certificate {number} has no revocation list, others have");
                return Err(Error::file(&settings.client_ca, fault));
            }
        }
        Ok(())
    }
}

/// Whether this authority signed the list. rustls looks again at each handshake, and more
/// strictly; here it keeps a list that would be of no use, or a stranger's, from being taken.
fn signed(authority: &CertificateDer<'_>, list: &CertificateRevocationList<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(authority) else {
        return false;
    };
    if certificate.subject().as_raw() != list.issuer().as_raw() {
        return false;
    }
    let key = &certificate.public_key().subject_public_key.data;
    let signature = &list.signature_value.data;
    let algorithms = tls::provider().signature_verification_algorithms.all;
    algorithms.iter().any(|algorithm| {
        algorithm.verify_signature(key, list.tbs_cert_list.as_ref(), signature).is_ok()
    })
}

/// The last second of a certificate.
fn not_after(path: &Path, der: &CertificateDer<'_>) -> Result<u64, Error> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|_| Error::file(path, "the certificate cannot be read"))?;
    let not_after = certificate.validity().not_after.timestamp();
    Ok(u64::try_from(not_after).unwrap_or(0))
}

#[cfg(test)]
mod tests;
