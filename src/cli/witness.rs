//! `cairn witness`: cosigns checkpoints of ledgers that others run.
//!
//! Knows: witness, identity, ledger, telemetry, clock.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{audit::vkey, print};
use crate::{
    clock::{Clock, SystemClock},
    domain::ids::ExchangeName,
    identity::TlsServer,
    ledger::note::Vkey,
    server::founding::validity,
    telemetry,
    witness::{self, Ended, WitnessFolder},
};

/// Be a witness: cosign the checkpoints of ledgers that others run
///
/// A witness remembers how far each ledger had got, and never cosigns a history that does not go
/// on from there. It is worth something only if somebody else than the exchange runs it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn witness init ./witness --name witness.example/council --host witness.example\n  \
    cairn witness add \"$(cat log.vkey)\" --folder ./witness\n  \
    cairn witness serve --folder ./witness --listen 0.0.0.0:7446")]
pub(crate) struct Witness {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Init(Init),
    Add(Add),
    Serve(Serve),
}

impl Witness {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Init(init) => init.run(),
            What::Add(add) => add.run(),
            What::Serve(serve) => serve.run().await,
        }
    }
}

/// Make a witness's folder and key, and print the key that exchanges and policies name it by
///
/// The certificate that is made with it is for development: its authority is `tls/ca.pem`, and it
/// ends after a year.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn witness init ./witness --name witness.example/council --host witness.example")]
struct Init {
    /// The folder to make
    folder: PathBuf,
    /// The witness's name, like an address without https://; it can never be changed
    #[arg(long)]
    name: ExchangeName,
    /// Host names and addresses of its server, for the development certificate
    #[arg(long, default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
    host: Vec<String>,
}

impl Init {
    fn run(self) -> anyhow::Result<ExitCode> {
        let validity = validity(SystemClock.now());
        let vkey = WitnessFolder::make(&self.folder, &self.name, &self.host, validity)?;
        print::line(vkey)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Follow a ledger from now on; the server need not be stopped
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn witness add \"$(cat log.vkey)\" --folder ./witness")]
struct Add {
    /// The ledger's verifier key: a file, or the key itself
    #[arg(value_name = "LEDGER_VKEY", value_parser = vkey)]
    ledger: Vkey,
    /// The witness's folder
    #[arg(long)]
    folder: PathBuf,
}

impl Add {
    fn run(self) -> anyhow::Result<ExitCode> {
        WitnessFolder::follow(&self.folder, &self.ledger)?;
        print::line(format!("{} is followed", self.ledger.name()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Cosign until told to stop
///
/// Speaks C2SP tlog-witness over TLS 1.3: POST /add-checkpoint, and GET /HASH/checkpoint for who
/// wants to compare. What it cosigned is on disk before the cosignature leaves.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn witness serve --folder ./witness --listen 0.0.0.0:7446\n  \
    cairn witness serve --folder ./witness --listen 0.0.0.0:7446 \\\n    \
    --certificate server.pem --key server.key")]
struct Serve {
    /// The witness's folder
    #[arg(long)]
    folder: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7446")]
    listen: SocketAddr,
    /// The server's certificate and what chains it to an authority, PEM; else the development one
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, PKCS#8 PEM, mode 0600
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
}

impl Serve {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
        telemetry::start(&filter, false);
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let tls = self.folder.join("tls");
        let certificate = self.certificate.clone().unwrap_or_else(|| tls.join("server.pem"));
        let key = self.key.clone().unwrap_or_else(|| tls.join("server.key"));
        let tls = TlsServer::load(&certificate, &key)?;
        let witness = WitnessFolder::open(&self.folder)?;
        for (ledger, size) in witness.followed()? {
            tracing::info!(ledger, size, "followed");
        }
        let socket = TcpListener::bind(self.listen).await;
        let socket = socket.with_context(|| format!("cannot listen on {}", self.listen))?;
        let address = socket.local_addr()?;
        tracing::info!(%address, name = witness.vkey().name(), "witness serving");
        let ended = CancellationToken::new();
        let serving = witness::serve(witness, tls, Arc::new(SystemClock), socket, ended.clone());
        let mut serving = std::pin::pin!(serving);
        let how = tokio::select! {
            how = serving.as_mut() => how,
            _ = terminate.recv() => { ended.cancel(); serving.await }
            _ = interrupt.recv() => { ended.cancel(); serving.await }
        };
        match how {
            Ended::InOrder => Ok(ExitCode::SUCCESS),
            Ended::Broken(fault) => {
                eprintln!(
                    "cairn: the witness has stopped: {fault}; look at the disk, then start again"
                );
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_arguments_fit_together_and_each_command_shows_an_example() {
        let mut witness = Witness::augment_args(clap::Command::new("witness"));
        witness.clone().debug_assert();
        witness.build();
        for command in witness.get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example:"), "{}", command.get_name());
        }
    }
}
