//! `cairn bench`: how fast this machine and this exchange are, beside what they could be.
//!
//! ```text
//! ground      an exchange to measure (a process of its own), an empty service beside it
//! load        statements made beforehand · drive: sends them and takes the time
//! baseline    verification alone, the disk alone
//! submit · stream · latency · ledger · soak     the measurements
//! report      each bar of the design with its target, and the figures behind it
//! ```
//!
//! A measurement and what it is set beside take turns on the same cores in the same run, so
//! that a ratio means something where a rate alone does not.
//!
//! Knows: server, broker, wire::client, crypto, proto, store.

mod baseline;
mod child;
mod drive;
mod echo;
mod ground;
mod latency;
mod ledger;
mod load;
mod report;
mod soak;
mod stats;
mod stream;
mod submit;
mod usage;

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::{Args, Subcommand};

use self::{
    echo::EchoServer,
    ground::{Ground, Place},
    latency::Latency,
    ledger::Ledger,
    report::Report,
    soak::Soak,
    stream::Stream,
    submit::Submit,
};
use super::{Output, progress::Progress};
use crate::clock::{Clock, SystemClock};

/// Measure how fast an exchange is on this machine, beside what the machine could do
///
/// By default a throw-away exchange is made, served by a process of its own, measured and
/// removed. Exit code: 0 measured (a missed bar is shown, not an error), 1 it could not be
/// measured, or with --must a bar was missed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn bench all\n  cairn bench submit --folder /mnt/disk/try -o json\n  \
    cairn bench latency --system police/case-management --to sw-ardness/duty \\\n      \
    --receive-system sw-ardness/case-management\n  cairn bench ledger --entries 5000000 --folder /mnt/disk/big"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Submit, many at once, of the throughput of an empty gRPC service
    #[command(after_help = "Example:\n  cairn bench submit --in-flight 64 --connections 4")]
    Submit {
        #[command(flatten)]
        how: Submit,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// SubmitStream, of what verifying one signature each allows
    #[command(after_help = "Example:\n  cairn bench stream --streams 2")]
    Stream {
        #[command(flatten)]
        how: Stream,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// One Submit at a time, and from submission to the recipient's stream
    #[command(after_help = "Example:\n  cairn bench latency --rate 500")]
    Latency {
        #[command(flatten)]
        how: Latency,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// A large ledger: how it grows, questions, starting, memory, the index anew
    #[command(after_help = "Examples:\n  cairn bench ledger --entries 50000\n  \
        cairn bench ledger --entries 5000000 --folder /mnt/disk/big\n  \
        cairn bench ledger --measure /mnt/disk/big")]
    Ledger {
        #[command(flatten)]
        how: Ledger,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// A steady load for long: whether memory and descriptors stay where they are
    #[command(after_help = "Example:\n  cairn bench soak --minutes 20 --load 0.5 --chart soak.svg")]
    Soak {
        #[command(flatten)]
        how: Soak,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// All of these but the soak
    #[command(after_help = "Example:\n  cairn bench all -o json > figures.json")]
    All {
        #[command(flatten)]
        submit: Submit,
        #[command(flatten)]
        stream: Stream,
        #[command(flatten)]
        latency: Latency,
        #[command(flatten)]
        ledger: Ledger,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    #[command(hide = true)]
    Echo(EchoServer),
}

/// How long, and how the result is told
#[derive(Debug, Clone, Args)]
pub(super) struct Pace {
    /// Rounds of each measurement; their middle counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// About how long a round is, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Only see whether it works: one round of almost nothing
    #[arg(long)]
    quick: bool,
    /// Exit with 1 if a bar is missed
    #[arg(long)]
    must: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

/// No round takes more statements than this, about 200 MiB of them.
const STATEMENTS_MAX: f64 = 200_000.0;

impl Pace {
    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.into() }
    }

    /// About how long a round is.
    fn time(&self) -> Duration {
        let seconds = if self.quick { 0.2 } else { self.seconds.clamp(0.05, 600.0) };
        Duration::from_secs_f64(seconds)
    }

    /// How long one measurement without rounds is.
    fn long_time(&self) -> Duration {
        self.time() * u32::try_from(self.rounds()).unwrap_or(u32::MAX)
    }

    /// How many statements a round at this rate takes.
    fn statements(&self, rate: f64) -> usize {
        (rate * self.time().as_secs_f64()).clamp(100.0, STATEMENTS_MAX) as usize
    }

    /// How many a round of one at a time takes.
    fn singles(&self) -> usize {
        if self.quick { 20 } else { 300 }
    }
}

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Echo(echo) => echo.run().await,
            what => {
                // Ended from here, so that what was made and started is removed and stopped.
                tokio::select! {
                    measured = what.measure() => measured,
                    _ = tokio::signal::ctrl_c() => bail!("interrupted"),
                }
            }
        }
    }
}

impl What {
    async fn measure(self) -> anyhow::Result<ExitCode> {
        let (progress, mut report) = (Progress::new(), Report::default());
        let (place, pace) = match self {
            Self::Submit { how, place, pace } => {
                let ground = Ground::prepare(&place, &progress).await?;
                how.run((&ground, &pace, &progress), &mut report).await?;
                (place, pace)
            }
            Self::Stream { how, place, pace } => {
                let ground = Ground::prepare(&place, &progress).await?;
                how.run((&ground, &pace, &progress), &mut report).await?;
                (place, pace)
            }
            Self::Latency { how, place, pace } => {
                let ground = Ground::prepare(&place, &progress).await?;
                how.run((&ground, &pace, &progress), &mut report).await?;
                (place, pace)
            }
            Self::Ledger { how, place, pace } => {
                let how_large = (&pace, place.size);
                how.run(place.folder.as_deref(), how_large, &progress, &mut report).await?;
                (place, pace)
            }
            Self::Soak { how, place, pace } => {
                let ground = Ground::prepare(&place, &progress).await?;
                how.run((&ground, &pace, &progress), &mut report).await?;
                (place, pace)
            }
            Self::All { submit, stream, latency, ledger, place, pace } => {
                // Each on an exchange of its own: none meets what another left waiting.
                let ground = Ground::prepare(&place.within("submit"), &progress).await?;
                submit.run((&ground, &pace, &progress), &mut report).await?;
                drop(ground);
                let ground = Ground::prepare(&place.within("stream"), &progress).await?;
                stream.run((&ground, &pace, &progress), &mut report).await?;
                drop(ground);
                let ground = Ground::prepare(&place.within("latency"), &progress).await?;
                latency.run((&ground, &pace, &progress), &mut report).await?;
                drop(ground);
                let (at, how_large) = (place.within("ledger"), (&pace, place.size));
                ledger.run(at.folder.as_deref(), how_large, &progress, &mut report).await?;
                (place, pace)
            }
            Self::Echo(echo) => return echo.run().await,
        };
        progress.end();
        report.print(pace.output, &place.disk(), SystemClock.now())?;
        let failed = pace.must && !report.all_met();
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
