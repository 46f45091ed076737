//! One connection of a system: the handshake, the requests with their peer, and the end.
//!
//! Takes a connection that was let in; gives requests to the service while the peer's
//! certificate holds, asked at each request, after each reload and when its time is over.
//! Holds: I2, I10, I12. Knows: identity, limits.

use std::future::ready;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use http_body_util::{Either, Empty};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{BoxError, Counters, HttpService, Listener};
use crate::identity::tls::HTTP_2;
use crate::identity::{NoIdentity, Peer, Reason};
use crate::limits;

/// gRPC's code for a caller who is nobody, here: no longer anybody.
const UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");

/// The `google.rpc.Status` (code 16) with the one `ErrorInfo` that every error carries: reason
/// `CERTIFICATE_NOT_VALID`, domain `cairn.v1`, code `certificate_not_valid`. In base64 as gRPC
/// sends it; the service that makes all others is not reached any more.
const DETAILS: HeaderValue = HeaderValue::from_static(
    "CBAabAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkVycm9ySW5mbxJAChVDRVJUSUZJQ0FURV9OT1RfVkFM\
     SUQSCGNhaXJuLnYxGh0KBGNvZGUSFWNlcnRpZmljYXRlX25vdF92YWxpZA",
);

/// One connection, from its handshake to its end.
pub(super) struct Connection {
    pub(super) door: Listener,
    pub(super) shutdown: CancellationToken,
}

/// Whom a handshake was made with.
struct Greeted<T> {
    stream: TlsStream<T>,
    peer: Arc<Peer>,
    chain: Vec<CertificateDer<'static>>,
}

impl Connection {
    pub(super) async fn serve<T, S>(self, stream: T, service: S)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: HttpService,
    {
        // Before the handshake takes its settings, so that a reload in between is felt.
        let changes = self.door.trust.changes();
        let greeting = self.shutdown.run_until_cancelled(self.greet(stream));
        let Some(Some(Greeted { stream, peer, chain })) = greeting.await else {
            return;
        };
        let _open = Open::count(&self.door.counters);
        let (refused, refusals) = mpsc::channel(1);
        let guard = Guard { service, peer: peer.clone(), door: self.door.clone(), refused };
        let mut http = pin!(http_2().serve_connection(TokioIo::new(stream), guard));
        let mut invalid = pin!(self.until_invalid(&peer, &chain, changes, refusals));
        let mut farewell = pin!(sleep(limits::FAREWELL_TIME_MAX));
        let (mut stopping, mut ending) = (false, false);
        loop {
            tokio::select! {
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection broke");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    http.as_mut().graceful_shutdown();
                }
                reason = invalid.as_mut(), if !ending => {
                    ending = true;
                    self.door.counters.revoked_cut.fetch_add(1, Relaxed);
                    tracing::info!(agency = %peer.agency, system = %peer.system, %reason,
                        "ending a connection");
                    // The answer that says why may be on its way; nothing else is waited for.
                    http.as_mut().graceful_shutdown();
                    farewell.as_mut().reset(Instant::now() + limits::FAREWELL_TIME_MAX);
                }
                () = farewell.as_mut(), if ending => return,
            }
        }
    }

    /// TLS, and the first byte of HTTP/2 after it, in the time allowed.
    async fn greet<T>(&self, stream: T) -> Option<Greeted<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let counters = &self.door.counters;
        let shaking = timeout(self.door.limits.handshake_time_max, self.shake_hands(stream));
        let stream = match shaking.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                counters.handshake_failures.fetch_add(1, Relaxed);
                tracing::debug!(%error, "handshake failed");
                return None;
            }
            Err(_) => {
                counters.handshake_failures.fetch_add(1, Relaxed);
                tracing::debug!("handshake too slow");
                return None;
            }
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|c| c.clone().into_owned()).collect();
        let peer = match chain.first() {
            Some(certificate) => self.door.trust.identify(certificate),
            None => Err(NoIdentity::None),
        };
        match peer.map(Arc::new) {
            Ok(peer) => {
                if let Some(greeter) = &self.door.greeter {
                    greeter(&peer);
                }
                Some(Greeted { stream, peer, chain })
            }
            Err(reason) => {
                counters.no_identity.fetch_add(1, Relaxed);
                tracing::warn!(%reason, "a certificate of our authority names nobody here");
                None
            }
        }
    }

    async fn shake_hands<T>(&self, stream: T) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.door.trust.server_config());
        let mut stream = acceptor.accept(stream).await?;
        self.door.counters.count_group(&stream);
        if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
            return Err(io::Error::other("the peer did not ask for HTTP/2"));
        }
        // Without this a peer that says nothing would be waited for without limit: keep-alive
        // starts only after HTTP/2 has begun.
        match stream.fill_buf().await?.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(stream),
        }
    }

    /// Waits until the peer's certificate no longer holds: a request found out, a reload says
    /// so, or its time is over.
    async fn until_invalid(
        &self,
        peer: &Peer,
        chain: &[CertificateDer<'static>],
        mut changes: watch::Receiver<u64>,
        mut refusals: mpsc::Receiver<Reason>,
    ) -> Reason {
        let trust = &self.door.trust;
        let now = || self.door.now_unix();
        loop {
            // Looked at in steps, since the clock on the wall can be set and this one cannot.
            let left = Duration::from_secs(peer.not_after_unix.saturating_sub(now()) + 1);
            let held = tokio::select! {
                Some(reason) = refusals.recv() => Err(reason),
                Ok(()) = changes.changed() => trust.still_trusted(chain, now()),
                () = sleep(left.min(limits::VALIDITY_CHECK_INTERVAL)) => {
                    trust.still_valid(peer, now())
                }
            };
            if let Err(reason) = held {
                return reason;
            }
        }
    }
}

/// HTTP/2 with every bound set; hyper's own defaults leave some open.
fn http_2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .max_local_error_reset_streams(limits::LOCAL_RESETS_MAX)
        .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIME_MAX);
    builder
}

/// Counts one open connection for as long as it lives.
pub(super) struct Open(Arc<Counters>);

impl Open {
    pub(super) fn count(counters: &Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Relaxed);
        Self(counters.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The service of one connection: lets a request through, with its peer, while the peer's
/// certificate holds.
struct Guard<S> {
    service: S,
    peer: Arc<Peer>,
    door: Listener,
    refused: mpsc::Sender<Reason>,
}

/// An answer of the service, or ours, which has no body.
type Answer<B> = Response<Either<B, Empty<<B as Body>::Data>>>;

impl<S: HttpService> hyper::service::Service<Request<Incoming>> for Guard<S> {
    type Response = Answer<S::Said>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<S::Said>, BoxError>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Err(reason) = self.door.trust.still_valid(&self.peer, self.door.now_unix()) {
            // If the channel is full the connection already knows.
            let _ = self.refused.try_send(reason);
            return Box::pin(ready(Ok(refusal(reason).map(Either::Right))));
        }
        request.extensions_mut().insert(self.peer.clone());
        let service = self.service.clone();
        Box::pin(async move {
            let answer = service.oneshot(request).await.map_err(Into::into)?;
            Ok(answer.map(Either::Left))
        })
    }
}

/// A gRPC answer of trailers only, which are the headers of an answer without a body.
fn refusal<D: bytes::Buf>(reason: Reason) -> Response<Empty<D>> {
    let message = match reason {
        Reason::Expired => "certificate expired",
        Reason::NoLongerTrusted => "certificate no longer trusted",
        Reason::Revoked => "certificate revoked",
    };
    let mut answer = Response::new(Empty::new());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", UNAUTHENTICATED);
    headers.insert("grpc-message", HeaderValue::from_static(message));
    headers.insert("grpc-status-details-bin", DETAILS);
    answer
}
