//! `SubmitStream`: many statements of one system, some at a time, each answered by itself.
//!
//! What is read has its place among those under way before anything more is read, so that a sender
//! is held back by not being read and nothing waits here uncounted. A handful of those that have
//! come goes to a task of its own, which judges them one after the other.
//!
//! Holds: I10. Knows: broker, proto, limits.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Status, Streaming};

use crate::{
    broker::{
        Broker,
        submit::{Accepted, Place},
    },
    identity::Peer,
    limits,
    proto::{
        self, Facts, SubmitResponse, SubmitStreamRequest, SubmitStreamResponse,
        submit_stream_response,
    },
    wire::status,
};

type Answers = mpsc::Sender<Result<SubmitStreamResponse, Status>>;

/// One item with its part of the stream's window and its agency's share.
struct Placed {
    item: SubmitStreamRequest,
    place: Place,
    part: Option<OwnedSemaphorePermit>,
}

/// Who submits, and where to.
#[derive(Clone)]
struct Sender {
    broker: Broker,
    peer: Arc<Peer>,
    window: Arc<Semaphore>,
}

/// Submits the items of a stream, at most a window of them at once. An item that cannot be read
/// ends the stream: it is told after what came before it has been answered.
pub(super) async fn submit_all(
    broker: Broker,
    peer: Arc<Peer>,
    mut items: Streaming<SubmitStreamRequest>,
    to: Answers,
) {
    let window = Arc::new(Semaphore::new(limits::SUBMITS_AT_ONCE));
    let sender = Sender { broker, peer, window };
    let mut handful = Vec::new();
    let unreadable = loop {
        // What has come already goes into the handful; for what has not, it does not wait.
        let item = match items.next().now_or_never() {
            Some(item) => item,
            None => {
                sender.send_off(&mut handful, &to);
                items.next().await
            }
        };
        let item = match item {
            Some(Ok(item)) => item,
            Some(Err(status)) => break Some(status),
            None => break None,
        };
        let (part, place) = match sender.turn(&item).now_or_never() {
            Some(turn) => turn,
            None => {
                // What is in hand has places, which others may be waiting for.
                sender.send_off(&mut handful, &to);
                sender.turn(&item).await
            }
        };
        handful.push(Placed { item, place, part });
        let bytes: usize = handful.iter().map(|placed| placed.item.envelope.len()).sum();
        if handful.len() >= limits::SUBMITS_IN_HAND || bytes >= limits::BYTES_IN_HAND {
            sender.send_off(&mut handful, &to);
        }
    };
    sender.send_off(&mut handful, &to);
    let Some(unreadable) = unreadable else { return };
    // All of the window: whoever had a part of it has answered.
    drop(sender.window.acquire_many(limits::SUBMITS_AT_ONCE as u32).await);
    drop(to.send(Err(status::explain(unreadable))).await);
}

impl Sender {
    /// A part of the window, and then a place in the agency's share.
    async fn turn(&self, item: &SubmitStreamRequest) -> (Option<OwnedSemaphorePermit>, Place) {
        // It is never closed.
        let part = Arc::clone(&self.window).acquire_owned().await.ok();
        (part, self.broker.place(&self.peer, item.envelope.len()).await)
    }

    /// Gives a handful to a task of its own, which answers each as soon as it is known. Its part
    /// of the window is free then.
    fn send_off(&self, handful: &mut Vec<Placed>, to: &Answers) {
        if handful.is_empty() {
            return;
        }
        let (handful, sender, to) = (std::mem::take(handful), self.clone(), to.clone());
        tokio::spawn(async move {
            // Begun in the order in which they came.
            let mut submitted: FuturesUnordered<_> =
                handful.into_iter().map(|placed| sender.submit(placed)).collect();
            while let Some((response, part)) = submitted.next().await {
                drop(to.send(Ok(response)).await);
                drop(part);
            }
        });
    }

    async fn submit(
        &self,
        Placed { item, place, part }: Placed,
    ) -> (SubmitStreamResponse, Option<OwnedSemaphorePermit>) {
        let submitted = self.broker.submit_at(place, Arc::clone(&self.peer), item.envelope);
        let result = match submitted.await {
            Ok(accepted) => submit_stream_response::Result::Accepted(answer(accepted)),
            Err(error) => submit_stream_response::Result::Problem(status::problem(&error)),
        };
        (SubmitStreamResponse { number: item.number, result: Some(result) }, part)
    }
}

/// What one statement that was accepted is answered.
pub(super) fn answer(accepted: Accepted) -> SubmitResponse {
    let facts = proto::decode::<Facts>(&accepted.receipt.facts).unwrap_or_default();
    SubmitResponse {
        receipt: Some(accepted.receipt),
        duplicate: accepted.duplicate,
        outside_agreement: facts.outside_agreement,
    }
}
