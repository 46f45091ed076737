//! One connection of a browser: TLS without a client certificate, HTTP/1.1 or 2, and the end.
//!
//! Who is there the service itself finds out, by its cookie.
//! Holds: I10. Knows: identity, limits.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::util::MapRequest;

use super::HttpService;
use super::connection::{Connection, Open};
use crate::limits;

impl Connection {
    /// TLS in the time allowed, then HTTP.
    pub(super) async fn serve_browser<T, S>(self, stream: T, service: S)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: HttpService,
    {
        let counters = &self.door.counters;
        let acceptor = TlsAcceptor::from(self.door.trust.browser_config());
        let shaking = timeout(self.door.limits.handshake_time_max, acceptor.accept(stream));
        match self.shutdown.run_until_cancelled(shaking).await {
            Some(Ok(Ok(stream))) => {
                counters.count_group(&stream);
                self.speak_http(stream, service).await;
            }
            Some(failed) => {
                counters.handshake_failures.fetch_add(1, Relaxed);
                tracing::debug!(slow = failed.is_err(), "a browser's handshake failed");
            }
            None => {}
        }
    }

    /// HTTP, until the browser goes or we do.
    pub(super) async fn speak_http<T, S>(self, stream: T, service: S)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: HttpService,
    {
        let _open = Open::count(&self.door.counters);
        let builder = http();
        let asked = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&asked);
        let service = MapRequest::new(service, move |request| {
            counting.fetch_add(1, Relaxed);
            request
        });
        let service = TowerToHyperService::new(service);
        let mut http = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // From a request to the next; the first comes at once, or not at all.
        let mut idle = pin!(sleep(self.door.limits.handshake_time_max));
        let (mut stopping, mut known) = (false, 0);
        loop {
            tokio::select! {
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a browser's connection broke");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    http.as_mut().graceful_shutdown();
                }
                () = idle.as_mut(), if !stopping => {
                    let asked = asked.load(Relaxed);
                    if asked == 0 {
                        return;
                    }
                    // What is under way, a live page too, goes on to its end.
                    if asked == known {
                        stopping = true;
                        http.as_mut().graceful_shutdown();
                    }
                    known = asked;
                    idle.as_mut().reset(Instant::now() + limits::BROWSER_IDLE_MAX);
                }
            }
        }
    }
}

/// HTTP with every bound set.
fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::KEEP_ALIVE_INTERVAL)
        .max_buf_size(limits::HEADER_LIST_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .max_local_error_reset_streams(limits::LOCAL_RESETS_MAX)
        .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIME_MAX);
    builder
}
