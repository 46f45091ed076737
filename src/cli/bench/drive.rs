//! Sends what was prepared, so many at once, and takes the time.
//!
//! Answers are believed in the measured time and checked after it: a sample of the receipts is
//! verified down to the ledger's key, since checking them all would measure the client.
//!
//! Knows: wire::client, proto.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::{load::Prepared, stats::Times};
use crate::{
    proto::{SubmitRequest, SubmitResponse, SubmitStreamRequest, submit_stream_response},
    wire::client::Client,
};

/// One receipt of so many is verified.
const SAMPLE: usize = 101;

/// What came of sending.
#[derive(Default)]
pub(super) struct Sent {
    /// How long it took from the first to the last, seconds.
    pub(super) seconds: f64,
    /// How many were answered.
    pub(super) count: usize,
    /// How long each took.
    pub(super) times: Times,
    /// A sample of the answers, by the statement's place.
    sample: Vec<(usize, SubmitResponse)>,
}

impl Sent {
    /// Answers a second.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Verifies the sample with nothing but the ledger's key.
    pub(super) fn verify(&self, client: &Client, statements: &[Prepared]) -> anyhow::Result<()> {
        self.sample.iter().try_for_each(|(at, response)| {
            ensure!(!response.duplicate, "statement {at} had been accepted before");
            client.verify(&statements[*at].envelope(), response).context("a receipt is not good")
        })
    }

    fn join(&mut self, other: Self) {
        self.count += other.count;
        self.times.extend(other.times);
        self.sample.extend(other.sample);
    }

    fn answered(&mut self, at: usize, response: SubmitResponse) {
        self.count += 1;
        if at.is_multiple_of(SAMPLE) {
            self.sample.push((at, response));
        }
    }
}

/// Sends each of `statements` once by `Submit`, `in_flight` at a time.
pub(super) async fn unary(
    clients: &[Client],
    statements: &Arc<Vec<Prepared>>,
    in_flight: usize,
) -> anyhow::Result<Sent> {
    send(clients, statements, in_flight, statements.len(), None).await
}

/// Sends `statements` by `Submit`, from the first again after the last, for about this long.
pub(super) async fn unary_for(
    clients: &[Client],
    statements: &Arc<Vec<Prepared>>,
    in_flight: usize,
    time: Duration,
) -> anyhow::Result<Sent> {
    send(clients, statements, in_flight, usize::MAX, Some(time)).await
}

async fn send(
    clients: &[Client],
    statements: &Arc<Vec<Prepared>>,
    in_flight: usize,
    most: usize,
    time: Option<Duration>,
) -> anyhow::Result<Sent> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..in_flight {
        let client = clients[lane % clients.len()].clone();
        let (statements, next) = (Arc::clone(statements), Arc::clone(&next));
        lanes.spawn(async move {
            let mut service = client.exchange();
            let mut sent = Sent::default();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= most || time.is_some_and(|time| begun.elapsed() >= time) {
                    return anyhow::Ok(sent);
                }
                let envelope = statements[at % statements.len()].envelope();
                let asked = Instant::now();
                let response = service.submit(SubmitRequest { envelope, validate_only: false });
                let response = response.await.with_context(|| format!("statement {at}"))?;
                sent.times.add(asked.elapsed());
                sent.answered(at % statements.len(), response.into_inner());
            }
        });
    }
    let mut all = Sent::default();
    while let Some(lane) = lanes.join_next().await {
        all.join(lane??);
    }
    all.seconds = begun.elapsed().as_secs_f64();
    Ok(all)
}

/// Sends each of `statements` once by `SubmitStream`, one stream on each connection.
pub(super) async fn stream(
    clients: &[Client],
    statements: &Arc<Vec<Prepared>>,
) -> anyhow::Result<Sent> {
    let begun = Instant::now();
    let mut lanes = JoinSet::new();
    let share = |lane: usize| statements.len() * lane / clients.len();
    for (lane, client) in clients.iter().enumerate() {
        let range = share(lane)..share(lane + 1);
        lanes.spawn(one_stream(client.clone(), Arc::clone(statements), range));
    }
    let mut all = Sent::default();
    while let Some(lane) = lanes.join_next().await {
        all.join(lane??);
    }
    all.seconds = begun.elapsed().as_secs_f64();
    ensure!(all.count == statements.len(), "only {} were answered", all.count);
    Ok(all)
}

async fn one_stream(
    client: Client,
    statements: Arc<Vec<Prepared>>,
    range: std::ops::Range<usize>,
) -> anyhow::Result<Sent> {
    let items = tokio_stream::iter(range).map(move |at| SubmitStreamRequest {
        number: at as u64,
        envelope: statements[at].envelope(),
    });
    let mut answers = client.exchange().submit_stream(items).await?.into_inner();
    let mut sent = Sent::default();
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        match answer.result {
            Some(submit_stream_response::Result::Accepted(response)) => {
                sent.answered(answer.number as usize, response);
            }
            other => bail!("statement {} was not accepted: {other:?}", answer.number),
        }
    }
    Ok(sent)
}
