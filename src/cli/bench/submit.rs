//! `cairn bench submit`: `Submit`, so many at once, beside the empty service.
//!
//! Knows: wire::client.

use std::sync::Arc;

use clap::Args;

use super::{
    super::progress::Progress,
    Pace, drive,
    ground::Ground,
    load::{Maker, mean_bytes},
    report::{PER_SYNC, Report, SUBMIT},
    stats::{Rounds, Times},
    usage::{Before, Used},
};

/// How it is sent
#[derive(Debug, Clone, Args)]
pub(super) struct Submit {
    /// Statements under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(super) in_flight: u16,
    /// Connections they share
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) connections: u16,
}

/// What the rounds found.
#[derive(Default)]
struct Found {
    rate: Rounds,
    echo_rate: Rounds,
    ratio: Rounds,
    used: Used,
    times: Times,
    echo_times: Times,
    bytes: f64,
}

impl Submit {
    /// Rounds of the one and the other in turn, so that a machine that grows slower or faster
    /// does it to both.
    pub(super) async fn run(
        &self,
        (ground, pace, progress): (&Ground, &Pace, &Progress),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (at_once, connections) = (usize::from(self.in_flight), usize::from(self.connections));
        let (clients, echoes) = (ground.senders(connections).await?, ground.echoes(connections)?);
        let maker = Maker::new(&clients[0], &ground.content)?;
        progress.say("submit: warming up");
        let warm = Arc::new(maker.make(at_once * 16));
        let count = pace.statements(drive::unary(&clients, &warm, at_once).await?.rate());
        drive::unary_for(&echoes, &warm, at_once, pace.time() / 4).await?;
        let mut found = Found::default();
        for round in 1..=pace.rounds() {
            progress.count("submit: round", round, pace.rounds());
            let statements = Arc::new(maker.make(count));
            found.bytes = mean_bytes(&statements);
            let echo = drive::unary_for(&echoes, &statements, at_once, pace.time()).await?;
            let before = Before::look(ground)?;
            let sent = drive::unary(&clients, &statements, at_once).await?;
            before.compare(ground, sent.count, &mut found.used)?;
            sent.verify(&clients[0], &statements)?;
            found.ratio.0.push(sent.rate() / echo.rate());
            found.rate.0.push(sent.rate());
            found.echo_rate.0.push(echo.rate());
            found.times.extend(sent.times);
            found.echo_times.extend(echo.times);
        }
        self.tell(&found, ground, report)
    }

    fn tell(&self, found: &Found, ground: &Ground, report: &mut Report) -> anyhow::Result<()> {
        let (of, how) = ("submit", format!("{} in flight", self.in_flight));
        report.bar(SUBMIT, found.ratio.spread(), how.clone());
        if !found.used.per_sync.0.is_empty() {
            report.bar(PER_SYNC, found.used.per_sync.spread(), how);
        }
        report.figure(of, "envelope, mean", found.bytes, "bytes");
        report.spread(of, "throughput", found.rate.spread(), "statements/s");
        report.spread(of, "echo's throughput", found.echo_rate.spread(), "calls/s");
        report.figure(of, "time, median", found.times.median() * 1e3, "ms");
        report.figure(of, "time, p99", found.times.percentile(0.99) * 1e3, "ms");
        report.figure(of, "echo's time, median", found.echo_times.median() * 1e3, "ms");
        found.used.tell(of, ground, report)
    }
}
