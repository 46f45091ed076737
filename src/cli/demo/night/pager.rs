//! A webhook on loopback that stands for an on-call tool: a real HTTP server, which keeps what it is
//! told and when, or a port on which nobody answers.
//!
//! Knows: clock, domain.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

use crate::{
    clock::{Clock, Moment},
    domain::ids::SystemName,
    limits,
};

/// One of them.
pub(super) struct Pager {
    pub(super) name: SystemName,
    pub(super) address: SocketAddr,
    /// Its port, while nobody answers there: taken, so that nobody else can.
    dead: Option<TcpSocket>,
    told: Arc<Mutex<Vec<Told>>>,
    clock: Arc<dyn Clock>,
}

/// What it was told, and when.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) at: Moment,
    /// A repeat bears the same.
    id: String,
    /// `begun`, `cared_for` or `over`.
    pub(super) what: &'static str,
    pub(super) concern: u64,
    pub(super) entry: u64,
    pub(super) addressed: String,
    pub(super) not_done: String,
    pub(super) summary: String,
}

impl Told {
    /// Whether two are about the same duty of the same delivery.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (self.concern, &self.addressed, &self.not_done)
            == (other.concern, &other.addressed, &other.not_done)
    }
}

impl Pager {
    /// A port of loopback on which nobody answers yet.
    pub(super) fn dead(name: &str, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4().context("no port on loopback")?;
        socket.bind(([127, 0, 0, 1], 0).into()).context("no port on loopback")?;
        let (name, address) = (name.parse()?, socket.local_addr()?);
        Ok(Self { name, address, dead: Some(socket), told: Arc::default(), clock })
    }

    /// Somebody answers there from now on.
    pub(super) fn answer(&mut self) -> anyhow::Result<()> {
        let Some(socket) = self.dead.take() else { return Ok(()) };
        let socket = socket.listen(64).context("the webhook cannot listen")?;
        tokio::spawn(serve(socket, Arc::clone(&self.told), Arc::clone(&self.clock)));
        Ok(())
    }

    pub(super) fn answers(&self) -> bool {
        self.dead.is_none()
    }

    /// What it was told so far, in the order in which it came.
    pub(super) fn told(&self) -> Vec<Told> {
        lock(&self.told).clone()
    }
}

async fn serve(socket: TcpListener, told: Arc<Mutex<Vec<Told>>>, clock: Arc<dyn Clock>) {
    while let Ok((stream, _)) = socket.accept().await {
        let (told, clock) = (Arc::clone(&told), Arc::clone(&clock));
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (told, clock) = (Arc::clone(&told), Arc::clone(&clock));
            async move {
                let (parts, body) = request.into_parts();
                let body = Limited::new(body, limits::NOTIFY_ANSWER_BYTES_MAX);
                let body = body.collect().await?.to_bytes();
                let id = parts.headers.get("webhook-id").and_then(|id| id.to_str().ok());
                let notice = id.and_then(|id| read(&body, id, clock.now()));
                let status = match notice {
                    Some(notice) => {
                        note(&told, notice);
                        StatusCode::ACCEPTED
                    }
                    None => StatusCode::BAD_REQUEST,
                };
                let mut answer = Response::new(Empty::<bytes::Bytes>::new());
                *answer.status_mut() = status;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Keeps a notice, once: a stop in the middle of telling repeats it.
fn note(told: &Mutex<Vec<Told>>, notice: Told) {
    let mut told = lock(told);
    if told.iter().all(|known| known.id != notice.id) {
        told.push(notice);
    }
}

/// A notice as PagerDuty or CloudEvents have it.
fn read(body: &[u8], id: &str, at: Moment) -> Option<Told> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let (what, data, summary) = match event.get("event_action") {
        Some(action) => {
            let payload = &event["payload"];
            (action.as_str()?, &payload["custom_details"], &payload["summary"])
        }
        None => (event["type"].as_str()?, &event["data"], &event["data"]["summary"]),
    };
    let what = match what {
        "trigger" | "cairn.v1.escalated" => "begun",
        "acknowledge" | "cairn.v1.cared_for" => "cared_for",
        "resolve" | "cairn.v1.done" => "over",
        _ => return None,
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Told {
        at,
        id: id.to_owned(),
        what,
        concern: data["concern"].as_u64()?,
        entry: data["entry"].as_u64()?,
        addressed: text(&data["addressed"])?,
        not_done: text(&data["not_done"])?,
        summary: text(summary)?,
    })
}

fn lock(told: &Mutex<Vec<Told>>) -> MutexGuard<'_, Vec<Told>> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}
