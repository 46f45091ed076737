//! `cairn serve`: runs an exchange until it is told to stop.
//!
//! Knows: config, server, telemetry, clock.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::{clock::SystemClock, config::Config, server::Server, telemetry};

/// Run an exchange
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn serve --config ardness/cairn.toml")]
pub(crate) struct Serve {
    /// The settings, as deploy/cairn.toml explains them
    #[arg(long, env = "CAIRN_CONFIG", default_value = "cairn.toml")]
    config: PathBuf,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::read(&self.config)?;
        let (filter, json) = (&config.log.filter, config.log.json);
        let collector = match &config.traces {
            None => {
                telemetry::start(filter, json);
                None
            }
            Some(traces) => Some(telemetry::start_with_spans(filter, json, traces)?),
        };
        let served = self.serve(&config).await;
        if let Some(collector) = collector {
            collector.end().await;
        }
        served
    }

    /// Serves until it is told to stop.
    async fn serve(&self, config: &Config) -> anyhow::Result<ExitCode> {
        // Before it is ready: whoever stops it the moment after must not end it out of order.
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let server = Server::start(config, Arc::new(SystemClock)).await?;
        loop {
            tokio::select! {
                _ = hangup.recv() => match server.trust.reload() {
                    Ok(changed) => tracing::info!(?changed, "certificates looked at"),
                    Err(error) => tracing::error!(%error, "the new certificates are refused"),
                },
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = server.failed() => return Ok(failed()),
            }
        }
        tracing::info!("stopping");
        // It may have failed just before, or in the last of its requests.
        Ok(if server.stop().await { ExitCode::SUCCESS } else { failed() })
    }
}

/// The outcome of a write is unknown: only a new start may look (I9).
fn failed() -> ExitCode {
    eprintln!("cairn: the ledger has stopped; start again to recover");
    ExitCode::FAILURE
}
