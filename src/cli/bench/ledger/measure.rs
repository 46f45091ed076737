//! A ledger as it is: the program served on it, asked over the network as an auditor would,
//! killed and started again, and its index made anew.
//!
//! Knows: broker, wire::client, proto, config.

use std::{fs, io, net::SocketAddr, os::unix::fs::MetadataExt, path::Path, time::Instant};

use anyhow::{Context, ensure};

use super::{
    super::{
        super::progress::{Bar, Progress},
        Pace,
        child::Child,
        ground::SENDER,
        stats::{Rounds, Times},
    },
    Built,
};
use crate::{
    broker::recovery::DataFolder,
    config::Config,
    proto::QueryRequest,
    wire::client::{AuditClient, Client, folder::SystemFolder},
};

/// Questions of each kind.
const QUESTIONS: usize = 1_000;
const QUESTIONS_QUICK: usize = 30;

/// What was found.
#[derive(Default)]
pub(super) struct Measured {
    /// Answers over the network, each with its own record in the ledger.
    pub(super) by_concern: Times,
    pub(super) by_agency: Times,
    /// Seconds from starting the program to ready, after an orderly stop.
    pub(super) starts: Rounds,
    /// The same after a kill.
    pub(super) start_killed: f64,
    /// Resident memory of the server, bytes.
    pub(super) resident_started: u64,
    pub(super) resident_asked: u64,
    /// Entries a second, folding alone; and the whole of it, seconds.
    pub(super) rebuild_rate: f64,
    pub(super) rebuild_seconds: f64,
    /// On disk, bytes.
    pub(super) journal_bytes: u64,
    pub(super) index_bytes: u64,
    pub(super) rebuilt_bytes: u64,
}

/// Measures the ledger in an exchange's folder.
pub(super) async fn measure(
    folder: &Path,
    built: &Built,
    pace: &Pace,
    progress: &Progress,
) -> anyhow::Result<Measured> {
    let data = DataFolder::at(folder.join("data"));
    let mut found = Measured {
        journal_bytes: bytes_on_disk(&data.journal())?,
        index_bytes: bytes_on_disk(&data.index())?,
        ..Measured::default()
    };
    for round in 1..=pace.rounds() {
        progress.count("ledger: start", round, pace.rounds());
        let (server, seconds) = tokio::task::block_in_place(|| start(folder))?;
        found.starts.0.push(seconds);
        found.resident_started = server.usage()?.resident;
        tokio::task::block_in_place(|| server.stop())?;
    }
    let (server, _) = tokio::task::block_in_place(|| start(folder))?;
    ask(folder, built, pace, progress, &mut found).await?;
    found.resident_asked = server.usage()?.resident;
    progress.say("ledger: start after a kill");
    server.kill()?;
    let (server, seconds) = tokio::task::block_in_place(|| start(folder))?;
    found.start_killed = seconds;
    tokio::task::block_in_place(|| server.stop())?;
    progress.say("ledger: the index anew");
    tokio::task::block_in_place(|| rebuild(&data, &mut found))?;
    found.rebuilt_bytes = bytes_on_disk(&data.index())?;
    Ok(found)
}

/// The program on this ledger, and how long it took until it was ready.
fn start(folder: &Path) -> anyhow::Result<(Child, f64)> {
    let path = folder.join("cairn.toml");
    let metrics: SocketAddr = Config::read(&path)?.metrics.context("it has no operators' port")?;
    let begun = Instant::now();
    let words = ["serve", "--config", &path.display().to_string()];
    let mut child = Child::start(&words, &folder.join("serve.log"))?;
    child.ready(metrics)?;
    Ok((child, begun.elapsed().as_secs_f64()))
}

/// Asks about concerns spread over the ledger, and about an agency from moments spread over it.
async fn ask(
    folder: &Path,
    built: &Built,
    pace: &Pace,
    progress: &Progress,
    found: &mut Measured,
) -> anyhow::Result<()> {
    let auditor = SystemFolder::open(&folder.join("systems/operator/auditor"))?;
    let mut audit = Client::new(auditor)?.audit();
    let count = if pace.quick { QUESTIONS_QUICK } else { QUESTIONS };
    ensure!(!built.concerns.is_empty(), "the ledger has no concern to ask about");
    progress.say("ledger: questions");
    let (first, last) = built.times;
    // The first of all opens the connection.
    time(&mut audit, QueryRequest::default()).await?;
    for number in 0..count {
        // Neither in order nor by chance: each run asks the same.
        let place = number * 7_919 % count;
        let concern = built.concerns[place * built.concerns.len() / count];
        let by_concern = QueryRequest { concern: Some(concern), ..QueryRequest::default() };
        let (taken, rows) = time(&mut audit, by_concern).await?;
        ensure!(rows > 0, "entry {concern}, a concern, is not found");
        found.by_concern.add(taken);
        let from_time = first + (last - first) / count as u64 * place as u64;
        let by_agency =
            QueryRequest { agency: SENDER.into(), from_time, ..QueryRequest::default() };
        found.by_agency.add(time(&mut audit, by_agency).await?.0);
    }
    Ok(())
}

/// One question: how long its answer took, and its rows.
async fn time(
    audit: &mut AuditClient,
    question: QueryRequest,
) -> anyhow::Result<(std::time::Duration, usize)> {
    let question = QueryRequest { purpose: "exercise".into(), ..question };
    let begun = Instant::now();
    let answer = audit.query(question).await?.into_inner();
    Ok((begun.elapsed(), answer.rows.len()))
}

/// Makes the index anew. The rate is of the folding alone, between the first and the last word
/// of progress; a ledger too small for two words counts from the beginning.
fn rebuild(data: &DataFolder, found: &mut Measured) -> anyhow::Result<()> {
    let (begun, bar) = (Instant::now(), Bar::of("entries"));
    let (mut first, mut last) = (None, (0, begun));
    let rebuilt = data.reindex(&mut |done, total| {
        last = (done, Instant::now());
        first.get_or_insert(last);
        bar.at(done, total);
    })?;
    found.rebuild_seconds = begun.elapsed().as_secs_f64();
    let (from, since) = first.filter(|first| first.0 < last.0).unwrap_or((0, begun));
    found.rebuild_rate =
        (last.0 - from) as f64 / last.1.duration_since(since).as_secs_f64().max(1e-9);
    ensure!(
        rebuilt.old_hash.is_none_or(|old| old == rebuilt.new_hash),
        "the index rebuilt is not the index that was: run cairn fsck"
    );
    Ok(())
}

/// What the files below a folder take up.
fn bytes_on_disk(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += match about.is_dir() {
            true => bytes_on_disk(&entry.path())?,
            // Counted by Linux in blocks of 512 bytes, whatever the file system's are.
            false => about.blocks() * 512,
        };
    }
    Ok(bytes)
}
