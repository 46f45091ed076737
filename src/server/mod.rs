//! Puts the rooms together: opens the exchange, listens, and stops in order.
//!
//! Knows: everything.

pub mod founding;
mod probe;
mod visitors;
mod witnessing;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::util::MapResponse;

use self::{probe::Probe, visitors::Visitors, witnessing::Witnessing};
use crate::{
    broker::{
        self, Broker,
        recovery::{self, DataFolder, OpenError, Running},
    },
    clock::Clock,
    config::{Config, ConsoleSettings},
    console::Operators,
    domain::ids::ExchangeName,
    identity::{self, Changed, Trust, TrustSettings},
    limits,
    listener::{
        Acceptor, Comers, ConnectionLimits, Counters, Greeter, Listener, within_descriptors,
    },
    notify::{Channel, SetupError},
    store::files,
    wire::{deadline::Deadline, services::Services, status, traced::Traced},
    witness,
};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The exchange would not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger would not take its first entries.
    #[error("the first entries: {0}")]
    Settle(broker::Error),
    /// Certificates.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of people who sign in at the console.
    #[error(transparent)]
    People(#[from] identity::people::Fault),
    /// A way to tell people.
    #[error(transparent)]
    Notify(#[from] SetupError),
    /// A witness.
    #[error(transparent)]
    Witness(#[from] witness::SetupError),
    /// The synthetic concern.
    #[error("{0:#}")]
    Probe(anyhow::Error),
    /// What the file system says.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The compiled descriptors.
    #[error(transparent)]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A server at work.
pub struct Server {
    /// Where gRPC listens.
    pub address: SocketAddr,
    /// Where the operators' port listens.
    pub metrics: Option<SocketAddr>,
    /// How people reach the console.
    pub console: Option<String>,
    /// Its certificates, to reload by hand.
    pub trust: Arc<Trust>,
    /// What has happened at its door.
    pub connections: Arc<Counters>,
    running: Running,
    ended: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the exchange and begins to listen.
    ///
    /// # Errors
    /// [`StartError`]; nothing is served then.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let socket = bind(config.listen).await?;
        Self::start_on(config, clock, socket).await
    }

    /// The same on a socket that listens already, whatever address the settings name, or on what
    /// stands for one in a simulated network.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_on(
        config: &Config,
        clock: Arc<dyn Clock>,
        socket: impl Acceptor,
    ) -> Result<Self, StartError> {
        let folder = DataFolder::at(&config.data);
        // What can fail for other reasons comes first: a ledger that was opened is closed
        // in order only by a server that started.
        let exchange = folder.exchange()?;
        let trust =
            Arc::new(Trust::load(trust_settings(config, exchange.clone()), Arc::clone(&clock))?);
        let operators = match config.metrics {
            Some(wanted) => Some(bind(wanted).await?),
            None => None,
        };
        let visitors = match &config.console {
            Some(settings) => Some(Visitors::bind(settings, &folder, exchange).await?),
            None => None,
        };
        let ways = channels(config, &folder)?;
        let prober = config.probe.as_ref().map(|settings| Probe::new(settings, &config.data));
        let prober = prober.transpose().map_err(StartError::Probe)?;
        let witnessing = Witnessing::new(config)?;
        let named = witnessing.named(&folder).await?;
        let (opening, opened) = (Arc::clone(&clock), folder.clone());
        let running =
            tokio::task::spawn_blocking(move || recovery::open_knowing(&opened, opening, named))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        running.settle().await.map_err(StartError::Settle)?;
        let broker = running.broker.clone();
        let connections = Arc::new(Counters::default());
        let ended = CancellationToken::new();
        let door = visitors.as_ref().map(Visitors::door);
        let services = Services::new(broker.clone(), door, ended.clone());
        let routes = services.routes(config.reflection).await?;
        let service = Traced(MapResponse::new(Deadline(routes.prepare()), status::explained));
        let address = local(&socket, config.listen)?;
        let listener = Listener {
            comers: Comers::Systems,
            trust: Arc::clone(&trust),
            limits: within_descriptors(ConnectionLimits::default(), visitors.is_some()),
            counters: Arc::clone(&connections),
            clock: Arc::clone(&clock),
            greeter: Some(greeter(&broker)),
        };
        let mut tasks = vec![tokio::spawn(listener.clone().serve(socket, service, ended.clone()))];
        tasks.push(tokio::spawn(watch_files(Arc::clone(&trust), ended.clone())));
        tasks.extend(witnessing.begin(&broker, &clock, &folder, &ended));
        let (mut metrics, mut console, mut sign_ins) = (None, None, None);
        if let Some(visitors) = visitors {
            console = Some(visitors.url.clone());
            sign_ins = Some(visitors.serve(&broker, &listener, &ended, &mut tasks));
        }
        let mut channels = Vec::new();
        for way in ways {
            let teller = way.teller(&broker, &clock, console.as_deref());
            channels.push(teller.counts());
            tasks.push(tokio::spawn(teller.run(ended.clone())));
        }
        // After the channels know where the ledger ends: they tell of every rung from here on.
        tasks.push(tokio::spawn(broker.clone().escalate(ended.clone())));
        let probe = prober.as_ref().map(Probe::counts);
        if let Some(prober) = prober {
            tasks.push(tokio::spawn(prober.run(ended.clone())));
        }
        if let Some(socket) = operators {
            metrics = Some(local(&socket, config.listen)?);
            let (connections, trust) = (Arc::clone(&connections), Arc::clone(&trust));
            let operators =
                Operators { broker, connections, trust, clock, sign_ins, channels, probe };
            tasks.push(tokio::spawn(operators.serve(socket, ended.clone())));
        }
        tracing::info!(%address, "serving");
        Ok(Self { address, metrics, console, trust, connections, running, ended, tasks })
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.running.broker
    }

    /// Ready when the ledger can take nothing more.
    pub async fn failed(&self) {
        while self.running.broker.is_running() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stops listening, lets open requests end, closes the exchange in order. Whether it could:
    /// a ledger that had failed by then is left for recovery.
    pub async fn stop(self) -> bool {
        self.ended.cancel();
        for task in self.tasks {
            drop(task.await);
        }
        let running = self.running;
        let whole = running.broker.is_running();
        drop(tokio::task::spawn_blocking(move || running.close()).await);
        whole
    }
}

/// Has the broker know with which certificate each system last connected.
fn greeter(broker: &Broker) -> Greeter {
    let broker = broker.clone();
    Arc::new(move |peer| broker.has_connected(peer))
}

/// Sets every channel up that tells people.
fn channels(config: &Config, folder: &DataFolder) -> Result<Vec<Channel>, StartError> {
    let told = folder.told();
    if !config.notify.is_empty() && !told.exists() {
        files::create_dir(&told)
            .map_err(|source| StartError::Folder { path: told.clone(), source })?;
    }
    Ok(config
        .notify
        .iter()
        .map(|settings| Channel::new(settings, &told))
        .collect::<Result<_, _>>()?)
}

/// Whom a server of these settings trusts, and as whom it speaks.
pub fn trust_settings(config: &Config, exchange: ExchangeName) -> TrustSettings {
    TrustSettings {
        exchange,
        cert: config.tls.certificate.clone(),
        key: config.tls.key.clone(),
        client_ca: config.tls.client_ca.clone(),
        crls: config.tls.crls.clone(),
        browsers: config.console.as_ref().and_then(ConsoleSettings::own_certificate),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn local(socket: &impl Acceptor, address: SocketAddr) -> Result<SocketAddr, StartError> {
    socket.local_addr().map_err(|source| StartError::Listen { address, source })
}

/// Takes up changed certificates and revocation lists; a bad set is refused and the
/// old one kept.
async fn watch_files(trust: Arc<Trust>, ended: CancellationToken) {
    let mut tick = tokio::time::interval(limits::TRUST_CHECK_INTERVAL);
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = tick.tick() => {}
        }
        let trust = Arc::clone(&trust);
        let looked = tokio::task::spawn_blocking(move || {
            if trust.changed_on_disk() { trust.reload() } else { Ok(Changed::Nothing) }
        });
        match looked.await {
            Ok(Ok(Changed::Replaced { generation })) => {
                tracing::info!(generation, "certificates and revocation lists reloaded");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the new certificates are refused; the old ones stay");
            }
            _ => {}
        }
    }
}
