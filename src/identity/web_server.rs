//! A server of programs that show no certificate: its own, and TLS around each connection.
//!
//! Takes paths to PEM files; gives a [`TlsServer`]. TLS 1.3 and HTTP/1.1 alone.
//! Holds: I10. Knows: limits.

use std::{io, path::Path, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Error, tls};

/// Takes connections as the holder of one certificate.
#[derive(Clone)]
pub struct TlsServer(TlsAcceptor);

impl TlsServer {
    /// The server of this certificate, with what chains it to an authority, and its private key.
    ///
    /// # Errors
    /// [`Error::File`], naming the file and what is wrong with it.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, Error> {
        let certificates = tls::certificates(chain, &tls::read(chain)?)?;
        let private = tls::private_key(key, &tls::read_secret(key)?)?;
        let config = tls::web_config(certificates, private)
            .map_err(|fault| Error::file(chain, format!("with {}: {fault}", key.display())))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// TLS around a connection that was accepted.
    ///
    /// # Errors
    /// What went wrong with the handshake.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
    ) -> io::Result<TlsStream<T>> {
        self.0.accept(stream).await
    }
}
