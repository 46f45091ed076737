//! `cairn bench echo`: the empty service that measurements are set beside, in a process of its
//! own. Ends when its standard input does, so that it never outlives the measurement.
//!
//! Knows: config, server, identity, listener, wire, clock.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, thread};

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::recovery::DataFolder,
    clock::SystemClock,
    config::Config,
    identity::Trust,
    listener::{Comers, ConnectionLimits, Counters, Listener},
    server,
    wire::echo::Echo,
};

/// Serve an empty service until standard input ends
#[derive(Debug, Args)]
pub(crate) struct EchoServer {
    /// The settings of an exchange, whose certificates it shows
    #[arg(long)]
    config: PathBuf,
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// How long a receipt it answers with, in bytes
    #[arg(long, value_name = "BYTES")]
    receipt: usize,
}

impl EchoServer {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::read(&self.config)?;
        let exchange = DataFolder::at(&config.data).exchange()?;
        let listener = Listener {
            comers: Comers::Systems,
            trust: Arc::new(Trust::load(
                server::trust_settings(&config, exchange),
                Arc::new(SystemClock),
            )?),
            limits: ConnectionLimits::default(),
            counters: Arc::new(Counters::default()),
            clock: Arc::new(SystemClock),
            greeter: None,
        };
        let socket = TcpListener::bind(self.listen).await?;
        let routes = Echo::answering(self.receipt).routes().prepare();
        let ended = CancellationToken::new();
        let told = ended.clone();
        thread::spawn(move || {
            // Whether it ended or broke, whoever started us is gone.
            drop(io::copy(&mut io::stdin(), &mut io::sink()));
            told.cancel();
        });
        listener.serve(socket, routes, ended).await;
        Ok(ExitCode::SUCCESS)
    }
}
