//! `cairn bench soak`: a steady load for long, and whether memory and descriptors stay where they
//! are.
//!
//! Concerns are offered at a part of what the machine can take, and both recipients store each, so
//! that nothing waits for long. What the server uses is looked at every few seconds.
//!
//! Knows: wire::client, proto.

mod chart;

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_stream::StreamExt;

use self::chart::Panel;
use super::{
    super::progress::Progress,
    Pace,
    child::{Child, metric},
    drive,
    ground::Ground,
    latency::send_at,
    load::Maker,
    report::{Report, SOAK_DESCRIPTORS, SOAK_MEMORY},
    stats::{Rounds, Spread, Times},
    usage::mebibytes,
};
use crate::{
    domain::ids::InboxId,
    proto::{Incoming, Stored, receive_response::Item, statement::Act},
    wire::client::{Client, compose::About},
};

/// Connections of the offered load, and statements under way when the machine is tried.
const CONNECTIONS: usize = 4;
const TRIED_AT_ONCE: usize = 64;
/// Statements that a recipient has under way at once.
const STORING_AT_ONCE: usize = 64;
/// What is still on its way this long after the last was sent is lost.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);
/// How often the server is looked at, at most and at least in one soak.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const LOOKS_MIN: u32 = 40;

/// How long and how much
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(super) struct Soak {
    /// How long, in minutes
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    minutes: f64,
    /// What part of the statements that the machine can take
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    load: f64,
    /// Draw what was seen into this file, as SVG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

/// What the server used at one moment.
struct Look {
    minutes: f64,
    resident: f64,
    descriptors: f64,
    entries: f64,
}

impl Soak {
    pub(super) async fn run(
        &self,
        (ground, pace, progress): (&Ground, &Pace, &Progress),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (Some(server), Some(metrics)) = (&ground.server, ground.metrics) else {
            bail!("a soak is of an exchange of its own: leave out --system")
        };
        let clients = ground.senders(CONNECTIONS).await?;
        let maker = Arc::new(Maker::new(&clients[0], &ground.content)?);
        progress.say("soak: what the machine can take");
        let tried = Arc::new(maker.make(pace.statements(5_000.0)));
        let most = drive::unary(&clients, &tried, TRIED_AT_ONCE).await?.rate();
        let mut storing = Storing::begin(ground, tried.len()).await?;
        // Each concern brings one more statement of each recipient.
        let share = self.load.clamp(0.01, 1.0) * most;
        let rate = (share / (1 + ground.recipients.len()) as f64).max(1.0);
        let time = if pace.quick { pace.time() } else { self.time() };
        let count = (rate * time.as_secs_f64()).max(1.0) as usize;
        let before = metric(metrics, "cairn_ledger_appended_total")?;
        let interval = Duration::from_secs_f64(1.0 / rate);
        let begun = Instant::now();
        let at = move |number: usize| begun + interval.mul_f64(number as f64);
        let first = tried.len() as u64;
        let make = move |number: usize| maker.one(first + number as u64).envelope();
        let sending = send_at(&clients, count, make, at);
        let looks = tokio::select! {
            looks = watch((server, metrics), begun, time, progress) => looks?,
            ended = storing.ended() => return ended,
        };
        let answered = sending.await??;
        let stored = storing.all(count).await?;
        let grown = metric(metrics, "cairn_ledger_appended_total")? - before;
        let said = (count * (1 + ground.recipients.len())) as u64;
        ensure!(grown == said, "{said} statements were accepted and the ledger grew by {grown}");
        self.tell(&looks, (&answered, stored, rate, most), report)
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(60.0 * self.minutes.clamp(0.05, 10_000.0))
    }

    fn tell(
        &self,
        looks: &[Look],
        (answered, stored, rate, most): (&Times, u64, f64, f64),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let of = "soak";
        for (bar, what, unit, used) in [
            (SOAK_MEMORY, "server, resident", "MiB", (|look| look.resident) as fn(&Look) -> f64),
            (SOAK_DESCRIPTORS, "server, open descriptors", "", |look| look.descriptors),
        ] {
            let all: Vec<f64> = looks.iter().map(used).collect();
            let quarter = |number: usize| {
                let part = &all[all.len() * number / 4..all.len() * (number + 1) / 4];
                Rounds(part.to_vec()).median()
            };
            let note = format!("over {:.1} minutes", looks.last().map_or(0.0, |l| l.minutes));
            report.bar(bar, Spread::once(quarter(3) / quarter(2)), note);
            report.figure(of, format!("{what}, third quarter"), quarter(2), unit);
            report.figure(of, format!("{what}, last quarter"), quarter(3), unit);
            let greatest = all.iter().copied().fold(0.0, f64::max);
            report.figure(of, format!("{what}, most"), greatest, unit);
        }
        report.figure(of, "the machine took, one kind of statement", most, "statements/s");
        report.figure(of, "concerns offered", rate, "concerns/s");
        report.figure(of, "stored by recipients", stored as f64, "statements");
        report.figure(of, "receipt, median", answered.median() * 1e3, "ms");
        report.figure(of, "receipt, p99", answered.percentile(0.99) * 1e3, "ms");
        report.figure(of, "receipt, most", answered.most() * 1e3, "ms");
        let Some(path) = &self.chart else { return Ok(()) };
        let points =
            |value: fn(&Look) -> f64| looks.iter().map(|l| (l.minutes, value(l))).collect();
        let pace = looks.windows(2).map(|two| {
            let minutes = two[1].minutes - two[0].minutes;
            (two[1].minutes, (two[1].entries - two[0].entries) / (60.0 * minutes))
        });
        let drawn = chart::draw(&[
            Panel { name: "resident memory, MiB", points: points(|look| look.resident) },
            Panel { name: "open descriptors", points: points(|look| look.descriptors) },
            Panel { name: "entries a second", points: pace.collect() },
        ]);
        fs::write(path, drawn).with_context(|| path.display().to_string())
    }
}

/// Looks at the server until the time is over.
async fn watch(
    (server, metrics): (&Child, std::net::SocketAddr),
    begun: Instant,
    time: Duration,
    progress: &Progress,
) -> anyhow::Result<Vec<Look>> {
    let every = LOOK_INTERVAL.min(time / LOOKS_MIN);
    let looks_in_all = (time.as_secs_f64() / every.as_secs_f64()) as usize;
    let mut looks = Vec::with_capacity(looks_in_all);
    let mut tick = tokio::time::interval(every);
    while begun.elapsed() < time {
        tick.tick().await;
        let look = tokio::task::block_in_place(|| -> anyhow::Result<Look> {
            let usage = server.usage()?;
            Ok(Look {
                minutes: begun.elapsed().as_secs_f64() / 60.0,
                resident: mebibytes(usage.resident),
                descriptors: usage.descriptors as f64,
                entries: metric(metrics, "cairn_ledger_appended_total")? as f64,
            })
        })?;
        looks.push(look);
        progress.count("soak: look", looks.len(), looks_in_all);
    }
    Ok(looks)
}

/// The recipients, who store what comes.
struct Storing {
    tasks: JoinSet<anyhow::Result<()>>,
    stored: Arc<AtomicU64>,
    recipients: usize,
    before: u64,
}

impl Storing {
    /// Begins to store; back when what waited already, so many concerns, is stored.
    async fn begin(ground: &Ground, waiting: usize) -> anyhow::Result<Self> {
        let (mut tasks, stored) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
        for (inbox, client) in ground.content.to.iter().zip(&ground.recipients) {
            client.refresh().await.context("cannot read the directory")?;
            tasks.spawn(store_all(inbox.clone(), client.clone(), Arc::clone(&stored)));
        }
        let recipients = ground.recipients.len();
        let mut storing = Self { tasks, stored, recipients, before: 0 };
        storing.before = storing.reach((waiting * recipients) as u64).await?;
        Ok(storing)
    }

    /// Waits until all recipients have stored so many concerns more; gives how many that were.
    async fn all(mut self, concerns: usize) -> anyhow::Result<u64> {
        let wanted = (concerns * self.recipients) as u64;
        Ok(self.reach(self.before + wanted).await? - self.before)
    }

    /// What went wrong, once a recipient can store no more.
    async fn ended(&mut self) -> anyhow::Result<()> {
        if let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        bail!("a recipient's stream ended")
    }

    async fn reach(&mut self, wanted: u64) -> anyhow::Result<u64> {
        let bound = Instant::now() + ARRIVAL_TIME_MAX;
        loop {
            let stored = self.stored.load(Ordering::Relaxed);
            if stored >= wanted {
                return Ok(stored);
            }
            if let Some(ended) = self.tasks.try_join_next() {
                ended??;
                bail!("a recipient's stream ended");
            }
            ensure!(Instant::now() < bound, "{} statements were not stored", wanted - stored);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn store_all(inbox: InboxId, client: Client, stored: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut stream = client.receive(vec![inbox.to_string()]).await?;
    let places = Arc::new(Semaphore::new(STORING_AT_ONCE));
    let (mut calls, mut seen) = (JoinSet::new(), HashSet::new());
    while let Some(response) = stream.next().await {
        while let Some(done) = calls.try_join_next() {
            done??;
        }
        let Some(Item::Incoming(incoming)) = response?.item else { continue };
        if !seen.insert(incoming.entry) {
            continue; // offered again before we had answered
        }
        let place = Arc::clone(&places).acquire_owned().await?;
        let (inbox, client, stored) = (inbox.clone(), client.clone(), Arc::clone(&stored));
        calls.spawn(async move {
            let _place = place;
            client.submit(&stored_by(&client, &incoming, inbox)).await?;
            stored.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        });
    }
    bail!("a recipient's stream ended")
}

/// "We have it on disk".
fn stored_by(client: &Client, incoming: &Incoming, inbox: InboxId) -> Vec<u8> {
    let mut request_id = [0; 16];
    request_id[..8].copy_from_slice(b"soaking ");
    request_id[8..].copy_from_slice(&incoming.entry.to_be_bytes());
    let about = About { entry: incoming.entry, inbox };
    client.compose(|composer| composer.step(&about, request_id, Act::Stored(Stored {})))
}
