//! `cairn bench ledger`: a ledger of a chosen size, how fast it grows, and what it is like to
//! have one that large: questions, starting, memory, the index anew.
//!
//! ```text
//! flow      what agencies say: concerns seen through, or concerns alone
//! build     the ledger grown through the broker's own door, no network; its rate in windows
//! measure   the program served on it, asked, killed, started again; the index rebuilt
//! ```
//!
//! Knows: server, broker, wire::client, proto.

mod build;
mod flow;
mod measure;

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};

use self::{build::Rates, measure::Measured};
use super::{
    super::{progress::Progress, scratch::Scratch},
    Pace,
    ground::Founded,
    report::{APPEND, MEMORY, QUERY_AGENCY, QUERY_CONCERN, REBUILD, Report, START},
    stats::Spread,
    usage::mebibytes,
};

/// What `--entries` is in a quick run.
const QUICK_ENTRIES: u64 = 1_500;

/// How large, and of what
#[derive(Debug, Clone, Args)]
pub(super) struct Ledger {
    /// How many entries the ledger is to have
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000_000))]
    pub(super) entries: u64,
    /// Concerns to two inboxes and nothing else; without it each is also stored, taken,
    /// decided and answered by both
    #[arg(long)]
    pub(super) concerns_only: bool,
    /// Measure the ledger that an earlier run left here with --folder, and grow it no more
    #[arg(long, value_name = "FOLDER")]
    pub(super) measure: Option<PathBuf>,
}

/// What must be known of a ledger to measure it again, kept beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Built {
    /// Its entries.
    size: u64,
    /// Some of its concerns, spread evenly.
    concerns: Vec<u64>,
    /// When the first and the last of them came, Unix nanoseconds.
    times: (u64, u64),
}

impl Ledger {
    pub(super) async fn run(
        &self,
        folder: Option<&std::path::Path>,
        (pace, size): (&Pace, usize),
        progress: &Progress,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if let Some(folder) = &self.measure {
            let text = fs::read_to_string(folder.join("bench.json"));
            let text = text.with_context(|| format!("{}: no such ledger", folder.display()))?;
            let built = serde_json::from_str(&text)?;
            let measured = measure::measure(folder, &built, pace, progress).await?;
            return tell_measured(&built, &measured, report);
        }
        let scratch = Scratch::new("bench", folder)?;
        progress.say("making an exchange");
        let founded = Founded::found(&scratch.folder).await?;
        let (served, exchange) = founded.serve().await?;
        tokio::task::block_in_place(|| served.child.stop())?;
        let entries = if pace.quick { QUICK_ENTRIES } else { self.entries };
        let wanted = flow::Wanted { entries, concerns_only: self.concerns_only, size };
        let (built, rates) = build::build(exchange, &wanted).await?;
        fs::write(scratch.folder.join("bench.json"), serde_json::to_vec(&built)?)?;
        tell_rates(&built, &rates, report);
        let measured = measure::measure(&scratch.folder, &built, pace, progress).await?;
        tell_measured(&built, &measured, report)
    }
}

fn tell_rates(built: &Built, rates: &Rates, report: &mut Report) {
    let of = "ledger";
    let (early, late) = (rates.early(), rates.late());
    let ratio = Spread::once(late.median() / early.median());
    report.bar(APPEND, ratio, at(built));
    report.spread(of, "append, early", early.spread(), "entries/s");
    report.spread(of, "append, late", late.spread(), "entries/s");
    report.figure(of, "append, all", rates.all(), "entries/s");
    report.figure(of, "entries in a window", rates.window as f64, "entries");
    report.figure(of, "concern's envelope, mean", rates.envelope_bytes, "bytes");
    report.figure(of, "this program, resident at most", mebibytes(rates.resident_most), "MiB");
}

fn tell_measured(built: &Built, found: &Measured, report: &mut Report) -> anyhow::Result<()> {
    let (of, at) = ("ledger", at(built));
    for (bar, what, times) in [
        (QUERY_CONCERN, "by concern", &found.by_concern),
        (QUERY_AGENCY, "by agency and time", &found.by_agency),
    ] {
        report.bar(bar, Spread::once(times.percentile(0.99) * 1e3), at.clone());
        report.figure(of, format!("query {what}, median"), times.median() * 1e3, "ms");
        report.figure(of, format!("query {what}, most"), times.most() * 1e3, "ms");
    }
    report.bar(START, found.starts.spread(), at.clone());
    report.bar(REBUILD, Spread::once(found.rebuild_rate), at.clone());
    report.bar(MEMORY, Spread::once(mebibytes(found.resident_asked)), at);
    report.figure(of, "entries", built.size as f64, "entries");
    report.figure(of, "start after a kill", found.start_killed, "s");
    report.figure(of, "rebuild, whole", found.rebuild_seconds, "s");
    report.figure(of, "server, resident when started", mebibytes(found.resident_started), "MiB");
    report.figure(of, "server, resident when asked", mebibytes(found.resident_asked), "MiB");
    report.figure(of, "journal on disk", mebibytes(found.journal_bytes), "MiB");
    report.figure(of, "index on disk", mebibytes(found.index_bytes), "MiB");
    report.figure(of, "index rebuilt, on disk", mebibytes(found.rebuilt_bytes), "MiB");
    Ok(())
}

fn at(built: &Built) -> String {
    format!("at {} entries", built.size)
}
