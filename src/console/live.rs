//! Tells an open page that something has changed: server-sent events, each the ledger's size.
//!
//! The page then loads itself again; nothing is said here that the page would not say.
//!
//! Holds: I10. Knows: limits.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    site::{Console, Page},
    visit::Visit,
};
use crate::limits;

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
    let (to, stream) = mpsc::channel(1);
    tokio::spawn(tell(console, visit, to, place));
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(ReceiverStream::new(stream))).into_response())
}

/// Until the page is closed, the session ends, or the exchange does.
async fn tell(
    console: Console,
    visit: Visit,
    to: mpsc::Sender<Result<Bytes, Infallible>>,
    _place: OwnedSemaphorePermit,
) {
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

/// After so many ticks without an entry the page is told all the same: half a minute.
const QUIET_TICKS: u32 = 15;
