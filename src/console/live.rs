//! Tells an open page that something has changed: server-sent events, each the ledger's size.
//!
//! The page then loads itself again; nothing is said here that the page would not say.
//!
//! Holds: I10. Knows: limits.

use std::{convert::Infallible, sync::PoisonError};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{answer::Page, site::Console, visit::Visit};
use crate::{crypto::passphrase::TokenDigest, limits};

/// `GET /live`
pub(super) async fn events(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Response, Page> {
    let visit = console.permitted(&headers, "StatusService/GetSummary").await?;
    let Ok(place) = console.live.clone().try_acquire_owned() else {
        // The page goes on by itself, by hand.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let Some(watching) = Watching::begin(&console, &visit) else {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let (to, stream) = mpsc::channel(1);
    tokio::spawn(tell(visit, to, (place, watching)));
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(ReceiverStream::new(stream))).into_response())
}

/// Until the page is closed, the session ends, or the exchange does.
async fn tell(
    visit: Visit,
    to: mpsc::Sender<Result<Bytes, Infallible>>,
    (_place, watching): (OwnedSemaphorePermit, Watching),
) {
    let console = &watching.console;
    let mut tick = tokio::time::interval(limits::LIVE_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut said, mut quiet) = (None, 0);
    loop {
        tokio::select! {
            () = console.ended.cancelled() => return,
            () = to.closed() => return,
            _ = tick.tick() => {}
        }
        let now = console.broker.now();
        if !console.people.still_runs(&visit.session, now) {
            return;
        }
        let size = console.broker.tree().head().growth.size();
        quiet += 1;
        let line = match said.replace(size) {
            // What has passed without an entry is time, and deadlines pass with it.
            Some(before) if before == size && quiet < QUIET_TICKS => continue,
            _ => format!("data: {size}\n\n"),
        };
        quiet = 0;
        if to.send(Ok(line.into())).await.is_err() {
            return;
        }
    }
}

/// One of a session's few live pages, for as long as it lives.
struct Watching {
    console: Console,
    session: TokenDigest,
}

impl Watching {
    fn begin(console: &Console, visit: &Visit) -> Option<Self> {
        let session = visit.session.id();
        let mut watching = console.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = watching.entry(session).or_default();
        if *pages >= limits::LIVE_PAGES_PER_SESSION_MAX {
            return None;
        }
        *pages += 1;
        drop(watching);
        Some(Self { console: console.clone(), session })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watching = self.console.watching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = watching.get_mut(&self.session) {
            *pages -= 1;
            if *pages == 0 {
                watching.remove(&self.session);
            }
        }
    }
}

/// After so many ticks without an entry the page is told all the same: half a minute.
const QUIET_TICKS: u32 = 15;
