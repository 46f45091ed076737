//! `cairn init`: founds an exchange.
//!
//! Knows: server, clock.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;

use crate::{
    clock::SystemClock,
    domain::ids::ExchangeName,
    server::founding::{Dates, OPERATOR_SYSTEMS, found},
};

/// Make a new exchange with a development certificate authority
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn init ardness --exchange cairn.example/ardness\n  \
    cairn serve --config ardness/cairn.toml")]
pub(crate) struct Init {
    /// The folder to make
    folder: PathBuf,
    /// The exchange's origin name; it can never be changed
    #[arg(long)]
    exchange: ExchangeName,
    /// Where it will listen
    #[arg(long, default_value = "127.0.0.1:7443")]
    listen: SocketAddr,
    /// Names and addresses of the server, for its certificate
    #[arg(long, default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
    name: Vec<String>,
}

impl Init {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let dates = Dates::of(Arc::new(SystemClock));
        let vkey = found(&self.folder, &self.exchange, self.listen, &self.name, &dates).await?;
        println!("{}: exchange {}", self.folder.display(), self.exchange);
        println!("  ledger key   {}", vkey);
        println!("  settings     {}", self.folder.join("cairn.toml").display());
        for (system, role) in OPERATOR_SYSTEMS {
            println!("  {role:<17}{}", self.folder.join("systems/operator").join(system).display());
        }
        println!("Give the ledger key to everyone who will check this ledger. Next:");
        println!("  cairn serve --config {}", self.folder.join("cairn.toml").display());
        Ok(ExitCode::SUCCESS)
    }
}
