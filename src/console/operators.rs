//! What operators' machines ask, on a port of their own: `/metrics`, `/livez`, `/readyz`.
//!
//! No personal data, no label that grows with use.
//!
//! Holds: I12. Knows: broker, listener, identity.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::AtomicU64},
};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Tally, metrics};
use crate::{
    broker::Broker, clock::Clock, identity::Trust, limits, listener::Counters,
    notify::ChannelCounts,
};

/// What the answers are made of.
#[derive(Clone)]
pub struct Operators {
    /// The broker.
    pub broker: Broker,
    /// The listener's counts.
    pub connections: Arc<Counters>,
    /// Certificates and revocation lists.
    pub trust: Arc<Trust>,
    /// The clock, for their ends.
    pub clock: Arc<dyn Clock>,
    /// What happens at the console's sign-in page, if there is one.
    pub sign_ins: Option<Arc<Tally>>,
    /// How the channels do that tell people, by name.
    pub channels: Vec<(String, Arc<ChannelCounts>)>,
    /// How the synthetic concern does, if one is sent.
    pub probe: Option<Arc<ProbeCounts>>,
}

/// How the synthetic concern does.
#[derive(Debug, Default)]
pub struct ProbeCounts {
    /// When one last came to its end, Unix seconds; 0: not since the start.
    pub last_success: AtomicU64,
    /// How long that took, microseconds.
    pub took_micros: AtomicU64,
    /// How many did not, since the start.
    pub failed: AtomicU64,
}

impl Operators {
    /// Serves until `shutdown`.
    pub async fn serve(self, socket: TcpListener, shutdown: CancellationToken) {
        let at_once = Arc::new(Semaphore::new(limits::OPERATORS_CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&at_once).try_acquire_owned() else { continue };
            let operators = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let operators = operators.clone();
                    async move { Ok::<_, Infallible>(operators.answer(&request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits::HANDSHAKE_TIME_MAX)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                drop(tokio::time::timeout(limits::OPERATORS_TIME_MAX, served).await);
                drop(permit);
            });
        }
    }

    async fn answer(self, request: &Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        let (status, text) = match request.uri().path() {
            "/livez" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match self.unready() {
                None => (StatusCode::OK, "ok\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            // It walks through what is open, and nobody else waits for that.
            "/metrics" => match tokio::task::spawn_blocking(move || metrics::text(&self)).await {
                Ok(text) => (StatusCode::OK, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "it could not be counted\n".into()),
            },
            _ => (StatusCode::NOT_FOUND, "there is /metrics, /livez and /readyz\n".to_owned()),
        };
        let mut response = Response::new(Full::new(text.into()));
        *response.status_mut() = status;
        response
    }

    /// Why nothing new should be sent here; `None` if all is well.
    fn unready(&self) -> Option<&'static str> {
        let now = u64::try_from(self.clock.now().unix_seconds()).unwrap_or(0);
        if !self.broker.is_running() {
            return Some("the ledger has stopped: see the traces, then start again");
        }
        if self.broker.is_low() {
            return Some("the disk is nearly full: concerns are put off until there is room");
        }
        if self.trust.server_not_after_unix() <= now {
            return Some("the server's certificate has ended");
        }
        match self.trust.crl_next_update_unix() {
            Some(next) if next <= now => Some("a revocation list is out of date"),
            _ => None,
        }
    }
}
