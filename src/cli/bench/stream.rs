//! `cairn bench stream`: `SubmitStream`, beside what one signature each allows.
//!
//! Knows: wire::client.

use std::sync::Arc;

use clap::Args;

use super::{
    super::progress::Progress,
    Pace, baseline, drive,
    ground::Ground,
    load::{Maker, mean_bytes},
    report::{Report, STREAM},
    stats::Rounds,
    usage::{Before, Used},
};

/// How it is sent
#[derive(Debug, Clone, Args)]
pub(super) struct Stream {
    /// Streams at once, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) streams: u16,
}

impl Stream {
    /// Rounds of verification alone, of the empty service and of the exchange in turn.
    pub(super) async fn run(
        &self,
        (ground, pace, progress): (&Ground, &Pace, &Progress),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let streams = usize::from(self.streams);
        let (clients, echoes) = (ground.senders(streams).await?, ground.echoes(streams)?);
        let maker = Maker::new(&clients[0], &ground.content)?;
        progress.say("stream: warming up");
        let warm = Arc::new(maker.make(256 * streams));
        let count = pace.statements(drive::stream(&clients, &warm).await?.rate());
        drive::stream(&echoes, &warm).await?;
        let [mut rate, mut echo_rate, mut verify_rate] = [const { Rounds(Vec::new()) }; 3];
        let (mut ratio, mut of_echo, mut used) =
            (Rounds::default(), Rounds::default(), Used::default());
        let mut bytes = 0.0;
        for round in 1..=pace.rounds() {
            progress.count("stream: round", round, pace.rounds());
            let statements = Arc::new(maker.make(count));
            bytes = mean_bytes(&statements);
            let signed = maker.signed(&statements)?;
            let verified =
                tokio::task::block_in_place(|| baseline::verify_rate(&signed, pace.time()))?;
            let echo = drive::stream(&echoes, &statements).await?;
            let before = Before::look(ground)?;
            let sent = drive::stream(&clients, &statements).await?;
            before.compare(ground, sent.count, &mut used)?;
            sent.verify(&clients[0], &statements)?;
            ratio.0.push(sent.rate() / verified);
            of_echo.0.push(sent.rate() / echo.rate());
            rate.0.push(sent.rate());
            echo_rate.0.push(echo.rate());
            verify_rate.0.push(verified);
        }
        let of = "stream";
        report.bar(STREAM, ratio.spread(), format!("{streams} streams"));
        report.figure(of, "envelope, mean", bytes, "bytes");
        report.spread(of, "throughput", rate.spread(), "statements/s");
        report.spread(of, "verification alone", verify_rate.spread(), "signatures/s");
        report.spread(of, "echo's throughput", echo_rate.spread(), "statements/s");
        report.spread(of, "throughput, of the echo's", of_echo.spread(), "×");
        used.tell(of, ground, report)
    }
}
