//! A witness's HTTPS server: `POST /add-checkpoint`, `GET /<hash of the origin>/checkpoint`.
//!
//! Anybody may come: what is asked of them is the ledger's signature. So every size, time and
//! number is bounded, and a stranger's request costs little until that signature is good.
//!
//! Holds: I4, I9, I10. Knows: listener, identity, ledger, clock, limits.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::folder::{Answer, Fault, WitnessFolder};
use crate::{
    clock::Clock,
    identity::TlsServer,
    ledger::add_checkpoint::ADD_CHECKPOINT_BYTES_MAX,
    limits,
    listener::{Acceptor, Admission, ConnectionLimits},
};

/// How a witness's server came to its end.
#[derive(Debug)]
pub enum Ended {
    /// As it was told to.
    InOrder,
    /// What it cosigned could not be read or written: only a new start may look.
    Broken(Fault),
}

/// What each connection is served with.
#[derive(Clone)]
struct Door {
    witness: Arc<WitnessFolder>,
    tls: TlsServer,
    clock: Arc<dyn Clock>,
    /// Set, and the server ends, with the first fault.
    fault: Arc<OnceLock<Fault>>,
    ended: CancellationToken,
}

/// Serves until `ended`, or until a file of the witness cannot be read or written.
pub async fn serve(
    witness: WitnessFolder,
    tls: TlsServer,
    clock: Arc<dyn Clock>,
    socket: TcpListener,
    ended: CancellationToken,
) -> Ended {
    let fault = Arc::new(OnceLock::new());
    let ended = ended.child_token();
    let witness = Arc::new(witness);
    let door = Door { witness, tls, clock, fault: Arc::clone(&fault), ended: ended.clone() };
    let admission = Admission::new(&ConnectionLimits {
        connections_max: limits::WITNESS_CONNECTIONS_MAX,
        per_address_max: limits::WITNESS_CONNECTIONS_PER_ADDRESS_MAX,
        ..ConnectionLimits::default()
    });
    let connections = TaskTracker::new();
    while let Some(accepted) = ended.run_until_cancelled(Acceptor::accept(&socket)).await {
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            continue;
        };
        let Some(place) = admission.place(address) else { continue };
        let door = door.clone();
        connections.spawn(async move {
            let serving = timeout(limits::WITNESS_CONNECTION_TIME_MAX, door.clone().serve(stream));
            // One that is told to end, or takes too long, is cut.
            let _ = door.ended.run_until_cancelled(serving).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
    drop(door);
    match Arc::into_inner(fault).and_then(OnceLock::into_inner) {
        Some(fault) => Ended::Broken(fault),
        None => Ended::InOrder,
    }
}

impl Door {
    async fn serve(self, stream: TcpStream) {
        let shaking = timeout(limits::HANDSHAKE_TIME_MAX, self.tls.accept(stream));
        let Ok(Ok(stream)) = shaking.await else { return };
        let service = service_fn(move |request| {
            let door = self.clone();
            async move { Ok::<_, Infallible>(door.answer(request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::WITNESS_INTERVAL + limits::HANDSHAKE_TIME_MAX)
            .max_buf_size(limits::HEADER_LIST_BYTES_MAX as usize)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        let path = request.uri().path().to_owned();
        let monitored = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
        match (request.method().clone(), monitored) {
            (Method::POST, None) if path == "/add-checkpoint" => self.add(request).await,
            (Method::GET, Some(hash)) => self.show(hash.to_owned()).await,
            _ => text(
                404,
                "there is POST /add-checkpoint, and GET /<SHA-256 of an origin>/checkpoint",
            ),
        }
    }

    async fn add(self, request: Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        let body = Limited::new(request.into_body(), ADD_CHECKPOINT_BYTES_MAX).collect();
        let body = match timeout(limits::HANDSHAKE_TIME_MAX, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return text(413, "a request is at most 19,251 bytes"),
            Err(_) => return text(408, "the request did not come in time"),
        };
        let (witness, now) = (Arc::clone(&self.witness), self.clock.now());
        let answer = self.apart(move || witness.add_checkpoint(&body, now)).await;
        match answer {
            Some(Answer::Cosigned(line)) => text(200, &line),
            Some(Answer::Conflict(size)) => {
                let mut answer = text(409, &format!("{size}\n"));
                let size = header::HeaderValue::from_static("text/x.tlog.size");
                answer.headers_mut().insert(header::CONTENT_TYPE, size);
                answer
            }
            Some(Answer::Refused(status, why)) => text(status, &why),
            None => text(500, "this witness has stopped; whoever runs it must look"),
        }
    }

    async fn show(self, hash: String) -> Response<Full<bytes::Bytes>> {
        let witness = Arc::clone(&self.witness);
        match self.apart(move || witness.cosigned(&hash)).await {
            Some(Some(note)) => {
                let mut answer = Response::new(Full::new(note.into()));
                answer.headers_mut().insert(header::CONTENT_TYPE, PLAIN);
                answer
            }
            Some(None) => text(404, "nothing is cosigned of that ledger"),
            None => text(500, "this witness has stopped; whoever runs it must look"),
        }
    }

    /// Does what reads and writes files away from the async threads. A fault ends the server.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Option<T> {
        if self.fault.get().is_some() {
            return None;
        }
        let done = tokio::task::spawn_blocking(work).await;
        match done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            Ok(done) => Some(done),
            Err(fault) => {
                tracing::error!(%fault, "the witness stops");
                drop(self.fault.set(fault));
                self.ended.cancel();
                None
            }
        }
    }
}

const PLAIN: header::HeaderValue = header::HeaderValue::from_static("text/plain; charset=utf-8");

fn text(status: u16, text: &str) -> Response<Full<bytes::Bytes>> {
    let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, PLAIN);
    answer
}
