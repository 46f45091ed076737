//! `cairn bench latency`: how long one `Submit` takes by itself, and how long a statement takes
//! to its recipient's stream while others are offered at a steady rate.
//!
//! The offered load is an open loop: each statement has its time, and what it waits because the
//! one before is late counts. (A loop that waits for answers would send less just when the
//! exchange is slow, and would not see it.)
//!
//! Knows: wire::client, proto.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::StreamExt;

use super::{
    super::progress::Progress,
    Pace,
    baseline::SyncFile,
    drive::{self, Sent},
    ground::Ground,
    load::{Maker, Prepared},
    report::{DELIVERY, ONE, Report},
    stats::{Rounds, Spread, Times},
};
use crate::{
    proto::{self, ReceiveResponse, Statement, SubmitRequest, receive_response::Item},
    wire::client::Client,
};

/// What is still on its way this long after the last was sent is lost.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(20);
/// From the start to the first statement's time.
const LEAD_TIME: Duration = Duration::from_millis(50);
/// Connections of the offered load.
const CONNECTIONS: usize = 4;

/// How it is sent
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(super) struct Latency {
    /// Statements offered a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate: u32,
}

impl Latency {
    pub(super) async fn run(
        &self,
        (ground, pace, progress): (&Ground, &Pace, &Progress),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let clients = ground.senders(CONNECTIONS).await?;
        let maker = Maker::new(&clients[0], &ground.content)?;
        one_at_a_time((ground, pace, progress), &clients[0], &maker, report).await?;
        match ground.recipients.first() {
            Some(recipient) => {
                progress.say("latency: offering at a steady rate");
                let count = (f64::from(self.rate) * pace.long_time().as_secs_f64()) as usize;
                let statements = Arc::new(maker.make(count.max(1)));
                let offered = self.offer(&clients, recipient, &maker, &statements).await?;
                self.tell(&offered, report);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Offers the statements, each at its time, and waits until the recipient has them all.
    async fn offer(
        &self,
        clients: &[Client],
        recipient: &Client,
        maker: &Maker,
        statements: &Arc<Vec<Prepared>>,
    ) -> anyhow::Result<Offered> {
        let first = maker.first_of(statements.len());
        let mut stream = recipient.receive(Vec::new()).await?;
        caught_up(&mut stream).await?;
        let begun = Instant::now() + LEAD_TIME;
        let interval = Duration::from_secs(1) / self.rate;
        let at = move |number: usize| begun + interval * u32::try_from(number).unwrap_or(u32::MAX);
        let made = Arc::clone(statements);
        let sending = send_at(clients, made.len(), move |number| made[number].envelope(), at);
        let mut delivered = Times::default();
        let mut arrived = vec![false; statements.len()];
        let bound = tokio::time::Instant::from_std(at(statements.len()) + ARRIVAL_TIME_MAX);
        let mut left = statements.len();
        while left > 0 {
            let item = tokio::time::timeout_at(bound, stream.next()).await;
            let now = Instant::now();
            let item = item.with_context(|| format!("{left} statements did not arrive"))?;
            let item = item.context("the recipient's stream ended")??.item;
            let Some(Item::Incoming(incoming)) = item else { continue };
            let statement: Statement = proto::decode(&incoming.statement)?;
            let number = maker.number_of(&statement.request_id).and_then(|n| n.checked_sub(first));
            let Some(number) = number.and_then(|number| usize::try_from(number).ok()) else {
                continue;
            };
            if arrived.get(number) == Some(&false) {
                arrived[number] = true;
                left -= 1;
                delivered.add(now.saturating_duration_since(at(number)));
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let answered = sending.await??;
        Ok(Offered { delivered, answered, rate: statements.len() as f64 / seconds })
    }

    fn tell(&self, offered: &Offered, report: &mut Report) {
        let of = "delivery";
        let p99 = offered.delivered.percentile(0.99) * 1e3;
        report.bar(DELIVERY, Spread::once(p99), format!("{}/s offered", self.rate));
        report.figure(of, "arrived", offered.rate, "statements/s");
        for (what, times) in
            [("on the recipient's stream", &offered.delivered), ("receipt", &offered.answered)]
        {
            report.figure(of, format!("{what}, median"), times.median() * 1e3, "ms");
            report.figure(of, format!("{what}, p99"), times.percentile(0.99) * 1e3, "ms");
            report.figure(of, format!("{what}, most"), times.most() * 1e3, "ms");
        }
    }
}

/// What an offered load met.
struct Offered {
    /// From each statement's time to its arrival.
    delivered: Times,
    /// From each statement's time to its receipt.
    answered: Times,
    rate: f64,
}

/// Sends so many statements, each at its time, whatever became of those before it.
///
/// A thread of its own keeps the time: a timer of the runtime goes by whole milliseconds.
pub(super) fn send_at(
    clients: &[Client],
    count: usize,
    envelope: impl Fn(usize) -> Vec<u8> + Send + 'static,
    at: impl Fn(usize) -> Instant + Copy + Send + 'static,
) -> tokio::task::JoinHandle<anyhow::Result<Times>> {
    let (due, mut numbers) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for number in 0..count {
            thread::sleep(at(number).saturating_duration_since(Instant::now()));
            if due.send(number).is_err() {
                return; // the measurement was given up
            }
        }
    });
    let clients = clients.to_vec();
    tokio::spawn(async move {
        let (mut calls, mut times) = (JoinSet::new(), Times::default());
        while let Some(number) = numbers.recv().await {
            let envelope = envelope(number);
            let mut service = clients[number % clients.len()].exchange();
            calls.spawn(async move {
                let request = SubmitRequest { envelope, validate_only: false };
                service.submit(request).await.map(|_| at(number).elapsed())
            });
            while let Some(done) = calls.try_join_next() {
                times.add(done??);
            }
        }
        while let Some(done) = calls.join_next().await {
            times.add(done??);
        }
        Ok(times)
    })
}

/// Reads past what waited already.
async fn caught_up<E: std::error::Error + Send + Sync + 'static>(
    stream: &mut (impl tokio_stream::Stream<Item = Result<ReceiveResponse, E>> + Unpin),
) -> anyhow::Result<()> {
    while let Some(response) = stream.next().await {
        if let Some(Item::Alive(_)) = response?.item {
            return Ok(());
        }
    }
    bail!("the recipient's stream ended")
}

/// One `Submit` after the other, each beside a call of the empty service and a sync of the disk:
/// in turn, so that whatever else the machine does meets all three.
async fn one_at_a_time(
    (ground, pace, progress): (&Ground, &Pace, &Progress),
    client: &Client,
    maker: &Maker,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut service, mut echo) = (client.exchange(), ground.echoes(1)?[0].exchange());
    let count = pace.singles();
    let [mut times, mut echo_times, mut sync_times] = [const { Times::new() }; 3];
    let mut ratio = Rounds::default();
    for round in 0..=pace.rounds() {
        progress.count("latency: round", round, pace.rounds());
        let statements = Arc::new(maker.make(count));
        let mut file = SyncFile::create(ground.folder(), count)?;
        let (mut sent, mut echoed, mut synced) = (Sent::default(), Times::new(), Times::new());
        for (at, statement) in statements.iter().enumerate() {
            echoed.add(drive::one(&mut echo, statement).await?.0);
            synced.add(tokio::task::block_in_place(|| file.append())?);
            sent.add(at, drive::one(&mut service, statement).await?);
        }
        sent.verify(client, &statements)?;
        if round > 0 {
            // The first was to warm up.
            ratio.0.push(sent.times.median() / (echoed.median() + synced.median()));
            times.extend(sent.times);
            echo_times.extend(echoed);
            sync_times.extend(synced);
        }
    }
    report.bar(ONE, ratio.spread(), format!("{count} in each round"));
    let of = "one_at_a_time";
    for (what, times) in
        [("", &times), ("echo, ", &echo_times), ("fdatasync of 8 KiB, ", &sync_times)]
    {
        report.figure(of, format!("{what}median"), times.median() * 1e3, "ms");
        report.figure(of, format!("{what}p99"), times.percentile(0.99) * 1e3, "ms");
    }
    Ok(())
}
