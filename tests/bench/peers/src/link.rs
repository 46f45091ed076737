//! One connection: plain or TLS 1.3 with a client certificate, and a buffer in front of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, version::TLS13};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

const READ_BYTES: usize = 64 * 1024;

/// A connection. What is received and not yet understood stays in `received`.
pub struct Link {
    stream: Option<Box<dyn Stream>>,
    tls: Option<TlsConnector>,
    received: Vec<u8>,
}

/// What TLS needs: a folder with `ca.pem`, `client.pem` and `client.key`.
pub fn tls(folder: &Path) -> Result<TlsConnector> {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem"))?)?;
    let certificate = CertificateDer::from_pem_file(file("client.pem"))?;
    let key = PrivateKeyDer::from_pem_file(file("client.key"))?;
    let config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Link {
    /// Connects, without TLS as yet.
    pub async fn open(port: u16, tls: Option<TlsConnector>) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Some(Box::new(stream)), tls, received: Vec::new() })
    }

    /// Whether TLS was asked for.
    pub fn wants_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The TLS handshake, if TLS was asked for; each protocol has its own moment for it.
    pub async fn secure(&mut self) -> Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        ensure!(self.received.is_empty(), "bytes before the handshake");
        let stream = self.stream.take().context("no stream")?;
        let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
        self.stream = Some(Box::new(stream));
        Ok(())
    }

    /// Sends all of `bytes`.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.stream.as_mut().context("no stream")?;
        stream.write_all(bytes).await?;
        Ok(stream.flush().await?)
    }

    /// What was received and not yet taken.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Takes that much of it.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        self.received.drain(..count).collect()
    }

    /// Waits for more.
    pub async fn more(&mut self) -> Result<()> {
        let stream = self.stream.as_mut().context("no stream")?;
        let before = self.received.len();
        self.received.reserve(READ_BYTES);
        stream.read_buf(&mut self.received).await?;
        ensure!(self.received.len() > before, "the server hung up");
        Ok(())
    }

    /// Waits for that much.
    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.received.len() < count {
            self.more().await?;
        }
        Ok(self.take(count))
    }

    /// Waits for a line, and gives it without its end.
    pub async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more().await?;
        }
    }
}
