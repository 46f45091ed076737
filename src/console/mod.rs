//! What operators' machines ask: `/metrics`, `/livez`, `/readyz`. The web pages for
//! people will live here too.
//!
//! No personal data, no label that grows with use.
//!
//! Holds: I12. Knows: broker, listener, identity.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{broker::Broker, clock::Clock, identity::Trust, limits, listener::Counters};

/// What the answers are made of.
#[derive(Clone)]
pub struct Console {
    /// The broker.
    pub broker: Broker,
    /// The listener's counts.
    pub connections: Arc<Counters>,
    /// Certificates and revocation lists.
    pub trust: Arc<Trust>,
    /// The clock, for their ends.
    pub clock: Arc<dyn Clock>,
}

impl Console {
    /// Serves until `shutdown`.
    pub async fn serve(self, socket: TcpListener, shutdown: CancellationToken) {
        let at_once = Arc::new(Semaphore::new(limits::CONSOLE_CONNECTIONS_MAX));
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
            let console = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = console.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits::HANDSHAKE_TIME_MAX)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                drop(tokio::time::timeout(limits::CONSOLE_TIME_MAX, served).await);
                drop(permit);
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        let (status, text) = match request.uri().path() {
            "/livez" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match self.unready() {
                None => (StatusCode::OK, "ok\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            "/metrics" => (StatusCode::OK, self.metrics()),
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

    fn metrics(&self) -> String {
        let counts = self.broker.counts();
        let connections = &self.connections;
        let summary = self.broker.summary();
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("cairn_ledger_entries", "gauge", "Entries of the ledger", summary.size),
            (
                "cairn_ledger_batches_total",
                "counter",
                "Batches, one fdatasync each",
                load(&counts.batches),
            ),
            (
                "cairn_ledger_appended_total",
                "counter",
                "Entries appended since the start",
                load(&counts.entries),
            ),
            (
                "cairn_broker_refusals_total",
                "counter",
                "Refusals since the start",
                load(&counts.refusals),
            ),
            (
                "cairn_broker_repeats_total",
                "counter",
                "Repeats answered with the original receipt",
                load(&counts.repeats),
            ),
            (
                "cairn_broker_offered_total",
                "counter",
                "Statements offered on streams",
                load(&counts.offered),
            ),
            (
                "cairn_clock_behind_nanoseconds",
                "gauge",
                "The clock behind the last entry",
                load(&counts.clock_behind),
            ),
            ("cairn_concerns", "gauge", "Concerns accepted", summary.concerns),
            ("cairn_deliveries", "gauge", "Deliveries: closed plus open", summary.deliveries),
            ("cairn_deliveries_closed", "gauge", "Deliveries closed", summary.closed),
            ("cairn_deliveries_open", "gauge", "Deliveries open", summary.open),
            ("cairn_connections_open", "gauge", "Connections", load(&connections.open)),
            (
                "cairn_connections_accepted_total",
                "counter",
                "Connections accepted",
                load(&connections.accepted),
            ),
            (
                "cairn_connections_limited_total",
                "counter",
                "Connections refused as too many",
                load(&connections.refused_by_limit),
            ),
            (
                "cairn_handshakes_failed_total",
                "counter",
                "TLS handshakes that failed",
                load(&connections.handshake_failures),
            ),
            (
                "cairn_strangers_total",
                "counter",
                "Connections without an identity",
                load(&connections.no_identity),
            ),
            (
                "cairn_revoked_cut_total",
                "counter",
                "Connections cut as revoked or ended",
                load(&connections.revoked_cut),
            ),
            (
                "cairn_server_certificate_end_seconds",
                "gauge",
                "When the certificate ends, Unix time",
                self.trust.server_not_after_unix(),
            ),
        ] {
            // Writing to a string does not fail.
            let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name} {value}\n");
        }
        let _ = writeln!(
            text,
            "# HELP cairn_key_exchange_total Handshakes by group.\n# TYPE cairn_key_exchange_total counter"
        );
        for (group, value) in connections.groups() {
            let _ = writeln!(text, "cairn_key_exchange_total{{group=\"{group}\"}} {value}");
        }
        text
    }
}
