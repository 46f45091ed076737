//! `cairn demo`: the main job, whole and real, in one command.
//!
//! ```text
//! sender      every agency pushes its lines of the pack, in order; those that are not silent
//!             receive as wire::client::simulated does
//! tally       what came of it, counted from receipts and from the exchange
//! keep        what `--keep` leaves for others to check
//! visitor     what `--serve` opens: the console, and a spare agency
//! night       `--night`: a weekend on call, on a clock that can be moved
//! ```
//!
//! Nothing of the program depends on the demonstration.
//!
//! Knows: server, wire::client, audit, domain.

mod keep;
mod night;
mod pack;
mod sender;
mod tally;
mod visitor;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::{
    pack::Pack,
    sender::{Fate, Numbered},
    tally::{Expected, Tally},
};
use super::{
    Output,
    exchange::{Exchange, parties::Behaviour},
    progress::Progress,
    scratch::Scratch,
};
use crate::{
    audit::{
        self,
        verify::{Verified, VerifyError},
    },
    clock::SystemClock,
    config::{Config, ConsoleSettings},
    domain::document::Document,
    proto::GetSummaryRequest,
    server::{Server, founding::Dates},
    wire::client::simulated::Recipient,
};

/// Nothing moving for this long means that something is wrong.
const STALLED: Duration = Duration::from_secs(60);
/// How long a `slow` agency waits before it looks at what came.
const SLOW: Duration = Duration::from_millis(1_500);

/// Run the main job end to end on made-up concerns
///
/// A throw-away exchange on loopback; every agency of the pack as its own client with
/// its own certificate and keys. Exits with 0 only if everything adds up.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn demo\n  cairn demo --pack DIR --keep /tmp/kept -o json\n  \
    cairn demo --serve\n  cairn demo --night\n  cairn demo --night --serve --pace 20"
)]
pub(crate) struct Demo {
    /// A weekend on call instead: nobody answers, a webhook is dead, the exchange goes down; and
    /// at the end, who was told what and when
    #[arg(long)]
    night: bool,
    /// How many seconds an hour of that weekend takes, to watch it [default: as few as it needs]
    #[arg(long, value_name = "SECONDS", requires = "night", value_parser = seconds)]
    pace: Option<Duration>,
    /// A folder with agencies.json and concerns.jsonl, or night.jsonl [default: a pack built in]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Leave everything here for others to check; the folder must not exist or be empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Keep the exchange up afterwards, with a spare agency to try it as
    #[arg(long)]
    serve: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.night {
            return night::run(&self).await;
        }
        let started = Instant::now();
        let pack = Pack::read(self.pack.as_deref())?;
        let scratch = Scratch::new("demo", self.keep.as_deref())?;
        let progress = Progress::new();
        progress.say(&format!("making exchange {}", pack.agencies.exchange));
        let (mut exchange, server) = start(&scratch.folder, &pack).await?;
        let loading = |what: &str| progress.say(&format!("directory: {what}"));
        exchange.load(&pack.agencies, &mut { loading }).await.context("loading the directory")?;
        let receivers = Receivers::start(&exchange, &pack, &scratch)?;
        let fates = push_all(&exchange, &server, &pack, &progress).await?;
        let expected = Expected::of(&pack, &fates);
        let settled = settle(&exchange, &expected, &receivers, &progress).await;
        let received = receivers.end().await;
        settled.and(received)?;
        progress.say("mirroring and verifying the ledger from outside");
        let tally = check(&exchange, &pack, fates, &expected, &scratch, started).await?;
        keep::write(&scratch.folder, &exchange, &tally)?;
        progress.end();
        tally.print(self.output)?;
        if self.serve {
            visitor::welcome(&exchange, &server, &pack.agencies).await?;
            visitor::show_console(&exchange).await?;
            visitor::stay(&server).await?;
        }
        server.stop().await;
        Ok(if tally.adds_up() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Founds the pack's exchange and serves it on a free port of loopback.
async fn start(folder: &Path, pack: &Pack) -> anyhow::Result<(Exchange, Server)> {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.context("no port on loopback")?;
    let (name, address) = (&pack.agencies.exchange, socket.local_addr()?);
    let exchange = Exchange::found(folder, name, address, Dates::of(Arc::new(SystemClock))).await?;
    let config = settings(folder)?;
    let server = Server::start_on(&config, Arc::new(SystemClock), socket).await?;
    Ok((exchange, server))
}

/// The settings that founding wrote, with a console on a free port and without the operators' port.
fn settings(folder: &Path) -> anyhow::Result<Config> {
    let console = ConsoleSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        url: "http://127.0.0.1:0".into(),
        certificate: None,
        key: None,
        // A browser trusts no certificate of a demonstration; nobody else can reach it.
        in_the_clear: true,
    };
    let config = Config::read(&folder.join("cairn.toml"))?;
    Ok(Config { metrics: None, console: Some(console), ..config })
}

/// What was typed as seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "it must be a number of seconds, such as 20 or 0.5".to_owned())
}

/// Each sender's lines pushed in order, all senders at once.
async fn push_all(
    exchange: &Exchange,
    server: &Server,
    pack: &Pack,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<usize, Fate>> {
    let mut fates = BTreeMap::new();
    let mut by_sender: BTreeMap<String, Vec<Numbered>> = BTreeMap::new();
    for (number, line) in (1..).zip(&pack.lines) {
        match Document::parse(line) {
            Ok(document) if exchange.agencies.contains_key(document.fields.from.as_str()) => {
                let from = document.fields.from.to_string();
                by_sender.entry(from).or_default().push((number, document));
            }
            Ok(_) => {
                let reason = "`from` is no agency of this pack".to_owned();
                fates.insert(number, Fate::Malformed(reason));
            }
            Err(malformed) => {
                fates.insert(number, Fate::Malformed(malformed.to_string()));
            }
        }
    }
    let done = Arc::new(AtomicUsize::new(fates.len()));
    let mut senders = JoinSet::new();
    for (agency, lines) in by_sender {
        let (client, vkey) = (exchange.agencies[&agency].clone(), exchange.vkey.clone());
        let done = Arc::clone(&done);
        senders.spawn(async move { sender::push(client, vkey, lines, &done).await });
    }
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    while !senders.is_empty() {
        tokio::select! {
            Some(pushed) = senders.join_next() => fates.extend(pushed??),
            () = server.failed() => bail!("the ledger has stopped"),
            _ = tick.tick() => {
                let sent = done.load(Ordering::Relaxed);
                progress.count("sending", sent, pack.lines.len());
            }
        }
    }
    Ok(fates)
}

/// Waits until every delivery stands where its recipient and sender can bring it.
async fn settle(
    exchange: &Exchange,
    expected: &Expected,
    receivers: &Receivers,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut last_move = (0, Instant::now());
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        receivers.check()?;
        let request = GetSummaryRequest {};
        let summary = exchange.on_call.status().get_summary(request).await?.into_inner();
        progress.count("seen through", summary.closed as usize, expected.closed as usize);
        if expected.reached_by(&summary) {
            return Ok(());
        }
        match summary.size == last_move.0 {
            true => ensure!(
                last_move.1.elapsed() < STALLED,
                "nothing has moved for {} seconds: {} of {} deliveries closed",
                STALLED.as_secs(),
                summary.closed,
                expected.closed
            ),
            false => last_move = (summary.size, Instant::now()),
        }
    }
}

/// Mirrors the ledger over the audit service, verifies the mirror and every receipt
/// with nothing but the ledger's key, and counts.
async fn check(
    exchange: &Exchange,
    pack: &Pack,
    fates: BTreeMap<usize, Fate>,
    expected: &Expected,
    scratch: &Scratch,
    started: Instant,
) -> anyhow::Result<Tally> {
    let verified = verified(exchange, &scratch.folder).await?;
    let request = GetSummaryRequest {};
    let summary = exchange.on_call.status().get_summary(request).await?.into_inner();
    Ok(Tally::new(pack, fates, expected, &summary, verified, started.elapsed()))
}

/// Mirrors the ledger into a folder over the audit service, and verifies it with nothing but its
/// key.
async fn verified(
    exchange: &Exchange,
    folder: &Path,
) -> anyhow::Result<Result<Verified, VerifyError>> {
    let mirror = folder.join("mirror");
    audit::mirror::mirror(&exchange.auditor, &mirror, "demonstration", &mut |_, _| {}).await?;
    Ok(audit::verify::verify_mirror(&mirror, std::slice::from_ref(&exchange.vkey)))
}

/// The receiving sides of all agencies that have one.
struct Receivers {
    tasks: std::sync::Mutex<JoinSet<anyhow::Result<()>>>,
    ended: CancellationToken,
}

impl Receivers {
    fn start(exchange: &Exchange, pack: &Pack, scratch: &Scratch) -> anyhow::Result<Self> {
        let ended = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for (agency, client) in &exchange.agencies {
            let behaviour = pack.behaviour(agency).unwrap_or(Behaviour::Silent);
            if behaviour == Behaviour::Silent || client.folder().sealing.is_empty() {
                continue;
            }
            let folder = scratch.folder.join("received").join(agency);
            let recipient = Recipient::new(client.clone(), folder)?;
            let ended = ended.clone();
            tasks.spawn(async move {
                if behaviour == Behaviour::Slow {
                    tokio::time::sleep(SLOW).await;
                }
                recipient.run(ended).await
            });
        }
        Ok(Self { tasks: std::sync::Mutex::new(tasks), ended })
    }

    /// Fails as soon as one of them has failed.
    fn check(&self) -> anyhow::Result<()> {
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match tasks.try_join_next() {
            Some(done) => done?.and_then(|()| bail!("a recipient ended too soon")),
            None => Ok(()),
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.ended.cancel();
        let mut tasks = self.tasks.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }
}
