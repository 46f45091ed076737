//! A door on loopback with an echo behind it, and its clients.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use h2::client::SendRequest;
use http_body_util::{BodyExt, Full};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tower::service_fn;

use super::super::*;
use crate::clock::{ManualClock, Moment};
use crate::identity::tls::{client_config, connect};
use crate::identity::{DevelopmentCa, Issued, Peer, TrustSettings, Validity};

pub const VALIDITY: Validity =
    Validity { not_before_unix: 1_000_000_000, not_after_unix: 4_000_000_000 };
pub const EXCHANGE: &str = "cairn.example/ardness";
/// Far more than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A door on loopback with an echo behind it.
pub struct World {
    pub ca: DevelopmentCa,
    pub folder: TempDir,
    pub trust: Arc<Trust>,
    pub clock: Arc<ManualClock>,
    pub counters: Arc<Counters>,
    pub shutdown: CancellationToken,
    /// Lets requests to `/held` finish.
    pub release: CancellationToken,
    pub port: u16,
    pub serving: JoinHandle<()>,
}

/// One connection as its client sees it.
pub struct Client {
    pub requests: SendRequest<Bytes>,
    pub connection: JoinHandle<Result<(), h2::Error>>,
    pub server_certificate: CertificateDer<'static>,
}

/// What came back: who we are said to be, gRPC's status, and the body.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub agency: Option<String>,
    pub grpc_status: Option<String>,
    pub body: Bytes,
}

impl World {
    pub async fn open() -> Self {
        Self::open_with(ConnectionLimits::default()).await
    }

    pub async fn open_with(limits: ConnectionLimits) -> Self {
        let ca = ca();
        let folder = tempfile::tempdir().unwrap();
        write_server(folder.path(), &ca);
        write(folder.path(), "ca.pem", ca.certificate_pem());
        write(folder.path(), "crl.pem", &ca.crl(&[], VALIDITY).unwrap());
        let path = |name| folder.path().join(name);
        let clock = Arc::new(ManualClock::at(Moment(2_000_000_000_000_000_000)));
        let settings = TrustSettings {
            exchange: EXCHANGE.parse().unwrap(),
            cert: path("server.pem"),
            key: path("server.key"),
            client_ca: path("ca.pem"),
            crls: vec![path("crl.pem")],
            browsers: None,
        };
        let trust = Arc::new(Trust::load(settings, clock.clone()).unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let (shutdown, release) = (CancellationToken::new(), CancellationToken::new());
        let listener = Listener {
            comers: Comers::Systems,
            trust: trust.clone(),
            limits,
            counters: Arc::default(),
            clock: clock.clone(),
            greeter: None,
        };
        let counters = listener.counters.clone();
        let echo = {
            let release = release.clone();
            service_fn(move |request| echo(request, release.clone()))
        };
        let serving = tokio::spawn(listener.serve(socket, echo, shutdown.clone()));
        Self { ca, folder, trust, clock, counters, shutdown, release, port, serving }
    }

    pub fn issue(&self) -> Issued {
        issue(&self.ca, EXCHANGE, VALIDITY)
    }

    pub async fn client(&self) -> Client {
        self.connect(&self.issue()).await.expect("to be let in")
    }

    pub async fn connect(&self, issued: &Issued) -> Result<Client, String> {
        self.connect_with(config(&self.ca, issued)).await
    }

    /// A connection that has got as far as the server's first frame: with TLS 1.3 a client
    /// learns only by reading that it was refused.
    pub async fn connect_with(&self, config: Arc<ClientConfig>) -> Result<Client, String> {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connect(("127.0.0.1", self.port), name, config, PATIENCE)
            .await
            .map_err(|e| e.to_string())?;
        let server_certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let (requests, mut connection) =
            h2::client::handshake(stream).await.map_err(|e| e.to_string())?;
        let mut ping = connection.ping_pong().unwrap();
        let connection = tokio::spawn(connection);
        patiently(ping.ping(h2::Ping::opaque())).await.map_err(|e| e.to_string())?;
        Ok(Client { requests, connection, server_certificate })
    }

    pub fn revoke(&self, issued: &Issued) {
        let list = self.ca.crl(&[&issued.serial], VALIDITY).unwrap();
        write(self.folder.path(), "crl.pem", &list);
        self.trust.reload().unwrap();
    }

    pub fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        counter(&self.counters).load(Relaxed)
    }

    pub async fn wait_until(&self, what: impl Fn(&Counters) -> bool) {
        patiently(async {
            while !what(&self.counters) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Client {
    pub async fn ask(&mut self) -> Result<Answer, String> {
        patiently(send(&mut self.requests, "/echo", "hello").await?).await
    }
}

/// Sends a request; the answer comes from the future it gives.
pub async fn send(
    requests: &mut SendRequest<Bytes>,
    path: &str,
    body: &'static str,
) -> Result<impl Future<Output = Result<Answer, String>> + use<>, String> {
    let told = |error: h2::Error| error.to_string();
    let mut ready = patiently(requests.clone().ready()).await.map_err(told)?;
    let request = Request::post(format!("https://localhost{path}"));
    let (answer, mut sending) =
        ready.send_request(request.body(()).unwrap(), false).map_err(told)?;
    sending.send_data(body.into(), true).map_err(told)?;
    Ok(async move {
        let (head, mut stream) = answer.await.map_err(told)?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            body.extend_from_slice(&data.map_err(told)?);
        }
        let header = |name| {
            let value: &http::HeaderValue = head.headers.get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Ok(Answer {
            agency: header("agency"),
            grpc_status: header("grpc-status"),
            body: body.into(),
        })
    })
}

pub async fn echo(
    request: Request<Incoming>,
    release: CancellationToken,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let peer = request.extensions().get::<Arc<Peer>>();
    let agency = peer.ok_or("no peer")?.agency.to_string();
    if request.uri().path() == "/held" {
        release.cancelled().await;
    }
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::builder().header("agency", agency).body(Full::new(body))?)
}

pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("an end to it")
}

pub fn ca() -> DevelopmentCa {
    DevelopmentCa::create(&EXCHANGE.parse().unwrap(), VALIDITY).unwrap()
}

pub fn issue(ca: &DevelopmentCa, exchange: &str, validity: Validity) -> Issued {
    let (agency, system) = ("sw-ardness".parse().unwrap(), "push".parse().unwrap());
    ca.issue_client(&exchange.parse().unwrap(), &agency, &system, validity).unwrap()
}

pub fn write(folder: &Path, name: &str, pem: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, pem).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

pub fn write_server(folder: &Path, ca: &DevelopmentCa) {
    let server = ca.issue_server(&["localhost", "127.0.0.1", "::1"], VALIDITY);
    let server = server.unwrap();
    write(folder, "server.pem", &server.certificate_pem);
    write(folder, "server.key", &server.key_pem);
}

/// A client that trusts `ca` and shows what was issued.
pub fn config(ca: &DevelopmentCa, issued: &Issued) -> Arc<ClientConfig> {
    let folder = tempfile::tempdir().unwrap();
    client_config(
        &write(folder.path(), "ca.pem", ca.certificate_pem()),
        &write(folder.path(), "client.pem", &issued.certificate_pem),
        &write(folder.path(), "client.key", &issued.key_pem),
    )
    .unwrap()
}

/// A client that has no certificate to show.
#[derive(Debug)]
pub struct Nobody;

impl rustls::client::ResolvesClientCert for Nobody {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

pub fn welcome() -> Answer {
    Answer { agency: Some("sw-ardness".to_owned()), grpc_status: None, body: "hello".into() }
}
