//! TLS as this program speaks it, and the PEM files it is set up from.
//!
//! Takes paths to PEM files; gives rustls settings for both ends, and `TlsConnector`, which
//! opens a connection over TCP or another [`Dial`]. TLS 1.3 only, post-quantum hybrid key exchange
//! first, no resumption, and every setting passed explicitly: nothing is taken from
//! the process.
//! Holds: I2, I10, I14. Knows: limits, clock.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SignatureAlgorithm, WantsVerifier,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::Error;
use crate::clock::Clock;
use crate::limits::{CONNECT_TIME_MAX, TRUST_FILE_BYTES_MAX};

/// The protocol of gRPC inside TLS (ALPN).
pub const HTTP_2: &[u8] = b"h2";

/// The protocol of browsers that speak no other.
const HTTP_1: &[u8] = b"http/1.1";

/// The mode bits by which others than the owner could reach a key.
const NOT_THE_OWNER: u32 = 0o077;

/// The cryptography of TLS: aws-lc-rs, with the key exchanges we allow in our order.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::kx_group::{X25519, X25519MLKEM768};
    Arc::new(CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519],
        ..aws_lc_rs::default_provider()
    })
}

/// Certificates are judged by the clock that everything else is judged by.
struct TlsTime(Arc<dyn Clock>);

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTime")
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().unix_seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The time by which rustls is to judge, which it would ask the system for otherwise.
pub(super) fn time_of(clock: Arc<dyn Clock>) -> Arc<dyn TimeProvider> {
    Arc::new(TlsTime(clock))
}

/// What decides on the certificates that clients show.
///
/// With any revocation list, every authority in a chain needs one that is not out of date.
pub(super) fn client_verifier(
    roots: RootCertStore,
    crls: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    match crls.is_empty() {
        true => builder.build(),
        // Without the second call an out-of-date list would pass.
        false => builder.with_crls(crls).enforce_revocation_expiration().build(),
    }
}

/// The settings of a port that demands a client certificate.
///
/// # Errors
/// In words, what is wrong with `chain` and `key`, or that they do not belong together.
pub(super) fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Arc<dyn ClientCertVerifier>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, String> {
    let certified = certified(chain, key)?;
    let config = tls_13()?.with_client_cert_verifier(clients).with_cert_resolver(certified);
    Ok(speaking(config, alpn))
}

/// The settings of a port where browsers come, which show no certificate.
///
/// # Errors
/// As [`server_config`].
pub(super) fn browser_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, String> {
    let certified = certified(chain, key)?;
    let config = tls_13()?.with_no_client_auth().with_cert_resolver(certified);
    Ok(speaking(config, &[HTTP_2, HTTP_1]))
}

/// The settings of a port where programs come that show no certificate.
///
/// # Errors
/// As [`server_config`].
pub(super) fn web_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, String> {
    let certified = certified(chain, key)?;
    let config = tls_13()?.with_no_client_auth().with_cert_resolver(certified);
    Ok(speaking(config, &[HTTP_1]))
}

fn tls_13() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, String> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())
}

/// The one certificate of a server.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<SingleCertAndKey>, String> {
    let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|e| e.to_string())?;
    if certified.key.algorithm() == SignatureAlgorithm::ED25519 {
        return Err("an Ed25519 certificate, which gRPC in other languages refuses; \
                    make one with ECDSA P-256"
            .to_owned());
    }
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn speaking(mut config: ServerConfig, alpn: &[&[u8]]) -> ServerConfig {
    // A resumed session is not verified again, so a revoked certificate would live on in it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// The settings of a client that trusts the authorities in the file `ca` and shows `chain`.
///
/// # Errors
/// [`Error::File`], naming the file and what is wrong with it.
pub fn client_config(ca: &Path, chain: &Path, key: &Path) -> Result<Arc<ClientConfig>, Error> {
    let provider = provider();
    let roots = roots(ca, &certificates(ca, &read(ca)?)?)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| Error::file(ca, e))?;
    let certificates = certificates(chain, &read(chain)?)?;
    let private = private_key(key, &read_secret(key)?)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| Error::file(ca, e))?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(certificates, private)
        .map_err(|e| Error::file(chain, format!("with {}: {e}", key.display())))?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(Arc::new(config))
}

/// A client of servers that are no exchange: it trusts the authorities of one file, shows no
/// certificate, and speaks HTTP/1.1.
pub struct TlsClient(Arc<ClientConfig>);

/// The client that trusts the authorities in the file `ca`.
///
/// # Errors
/// [`Error::File`], naming the file and what is wrong with it.
pub fn web_client(ca: &Path) -> Result<Arc<TlsClient>, Error> {
    let provider = provider();
    let roots = roots(ca, &certificates(ca, &read(ca)?)?)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| Error::file(ca, e))?;
    // Others may not have TLS 1.3 yet.
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| Error::file(ca, e))?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Ok(Arc::new(TlsClient(Arc::new(config))))
}

impl TlsClient {
    /// Opens TCP and TLS to a host and port.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn connect(&self, to: (&str, u16)) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(to.0.to_owned());
        let name = name.map_err(|_| Error::Connect {
            to: format!("{}:{}", to.0, to.1),
            fault: "this is no name of a server".to_owned(),
        })?;
        connect(to, name, Arc::clone(&self.0), CONNECT_TIME_MAX).await
    }
}

/// The same settings, but the server's certificate is judged by `clock`.
#[must_use]
pub fn judged_by(config: Arc<ClientConfig>, clock: Arc<dyn Clock>) -> Arc<ClientConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.time_provider = time_of(clock);
    Arc::new(config)
}

/// How a client reaches a server: TCP, or what stands for it in a simulated network.
pub trait Dial: Clone + Send + Sync + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Opens a connection. Small writes on it must not be kept back.
    ///
    /// # Errors
    /// What the system says.
    fn dial(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Dial for Tcp {
    type Stream = TcpStream;

    async fn dial(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Opens TCP and TLS to `host` and `port`, expecting a certificate for `server_name`.
///
/// # Errors
/// [`Error::Connect`] when that fails or has not come to an end after `time_max`.
pub async fn connect(
    to: (&str, u16),
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
    time_max: Duration,
) -> Result<TlsStream<TcpStream>, Error> {
    connect_over(&Tcp, to, server_name, config, time_max).await
}

async fn connect_over<D: Dial>(
    dial: &D,
    (host, port): (&str, u16),
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
    time_max: Duration,
) -> Result<TlsStream<D::Stream>, Error> {
    let opening = async {
        let stream = dial.dial(host, port).await?;
        tokio_rustls::TlsConnector::from(config).connect(server_name, stream).await
    };
    let fault = match tokio::time::timeout(time_max, opening).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => format!("no answer within {time_max:?}"),
    };
    let to = format!("{host} port {port}");
    Err(Error::Connect { to, fault })
}

/// Opens connections for an HTTP/2 client that knows nothing of TLS.
///
/// The host and port come from the URI; its scheme is not looked at, since all is TLS here.
#[derive(Clone)]
pub struct TlsConnector<D = Tcp> {
    dial: D,
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    time_max: Duration,
}

impl TlsConnector {
    /// A connector that expects the host of each URI in the server's certificate.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { dial: Tcp, config, server_name: None, time_max: CONNECT_TIME_MAX }
    }
}

impl<D: Dial> TlsConnector<D> {
    /// Reaches the server another way.
    #[must_use]
    pub fn over<E: Dial>(self, dial: E) -> TlsConnector<E> {
        let Self { config, server_name, time_max, .. } = self;
        TlsConnector { dial, config, server_name, time_max }
    }

    /// Expects `server_name` in the server's certificate, whatever host is connected to.
    #[must_use]
    pub fn expecting(mut self, server_name: ServerName<'static>) -> Self {
        self.server_name = Some(server_name);
        self
    }

    /// Gives up after `time_max`, TCP and TLS together.
    #[must_use]
    pub fn within(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    async fn open(self, uri: http::Uri) -> Result<TokioIo<TlsStream<D::Stream>>, Error> {
        let unusable =
            |fault: &str| Error::Connect { to: uri.to_string(), fault: fault.to_owned() };
        let host = uri.host().ok_or_else(|| unusable("no host in it"))?;
        let port = uri.port_u16().ok_or_else(|| unusable("no port in it"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server_name = match self.server_name {
            Some(server_name) => server_name,
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| unusable("its host is neither a DNS name nor an address"))?,
        };
        let to = (host, port);
        let stream = connect_over(&self.dial, to, server_name, self.config, self.time_max).await?;
        Ok(TokioIo::new(stream))
    }
}

impl<D: Dial> tower::Service<http::Uri> for TlsConnector<D> {
    type Response = TokioIo<TlsStream<D::Stream>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        Box::pin(self.clone().open(uri))
    }
}

/// The bytes of a file, of which there may be [`TRUST_FILE_BYTES_MAX`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    read_bounded(path, &file)
}

/// The bytes of a key file, which only its owner may be able to reach (mode 0600).
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    // Asked of the open file, so that no other can be put in its place meanwhile.
    let mode = file.metadata().map_err(|e| Error::file(path, e))?.mode() & 0o777;
    if mode & NOT_THE_OWNER != 0 {
        let fault = format!("others than its owner may use this key (mode {mode:04o}); chmod 0600");
        return Err(Error::file(path, fault));
    }
    read_bounded(path, &file).map(Zeroizing::new)
}

fn read_bounded(path: &Path, file: &File) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(TRUST_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::file(path, e))?;
    match bytes.len() as u64 > TRUST_FILE_BYTES_MAX {
        true => Err(Error::file(path, format!("more than {TRUST_FILE_BYTES_MAX} bytes"))),
        false => Ok(bytes),
    }
}

/// The certificates of a PEM file, at least one, in the file's order.
pub(super) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    sections(path, pem, "certificate")
}

/// The revocation lists of a PEM file, at least one.
pub(super) fn revocation_lists(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    sections(path, pem, "certificate revocation list")
}

/// The one private key of a PEM file, in PKCS#8.
pub(super) fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    // The reader's own errors can quote the file, and this one holds a secret.
    let mut keys = match PrivateKeyDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(keys) => keys,
        Err(_) => return Err(Error::file(path, "not readable as PEM")),
    };
    let key = match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => key,
        (Some(_), false) => return Err(Error::file(path, "more than one private key")),
        (None, _) => {
            return Err(Error::file(path, "no private key (an encrypted one is not read)"));
        }
    };
    match key {
        PrivateKeyDer::Pkcs8(_) => Ok(key),
        _ => Err(Error::file(
            path,
            "the key is not PKCS#8 (BEGIN PRIVATE KEY); convert it with openssl pkcs8 -topk8 -nocrypt",
        )),
    }
}

/// The authorities among which `certificates` of the file `path` are; each must be usable.
pub(super) fn roots(
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|e| {
            let number = index + 1;
            Error::file(path, format!("certificate {number} is no authority: {e}"))
        })?;
    }
    Ok(roots)
}

/// All sections of a PEM file, which must be of one kind: what is not understood is an error,
/// never left out.
fn sections<T: PemObject>(path: &Path, pem: &[u8], kind: &str) -> Result<Vec<T>, Error> {
    let found = T::pem_slice_iter(pem)
        .collect::<Result<Vec<T>, _>>()
        .map_err(|_| Error::file(path, "not readable as PEM"))?;
    let begun =
        pem.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"-----BEGIN ")).count();
    match found.len() {
        0 => Err(Error::file(path, format!("no {kind} in it"))),
        read if read < begun => Err(Error::file(
            path,
            format!("{} of its {begun} sections is not a {kind}", begun - read),
        )),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests;
