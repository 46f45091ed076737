//! Where measurements happen: an exchange of our own or a given one, and beside it an empty
//! service on the same cores, with the same certificates and the same settings of TLS.
//!
//! Knows: server, wire::client, config.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::Args;

use super::{
    super::{
        exchange::{
            Exchange,
            parties::{Agency, Agreement, Behaviour, Inbox, Parties},
        },
        progress::Progress,
        scratch::Scratch,
    },
    child::{Child, free_port},
    load::Content,
};
use crate::{
    clock::SystemClock,
    domain::ids::{ExchangeName, InboxId},
    server::founding::Dates,
    wire::client::{Client, folder::SystemFolder},
};

/// The exchange made for measurements.
const NAME: &str = "cairn.example/exercise";
/// The agreement there.
pub(super) const AGREEMENT: &str = "exercise";
/// Who sends there, and who receives.
pub(super) const SENDER: &str = "police";
const RECIPIENTS: [&str; 2] = ["social-work", "school"];
/// The empty service answers with a receipt as long as a real one of a young ledger.
const RECEIPT_BYTES: usize = 900;

/// What is measured
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    /// Make the throw-away exchange here, on the disk to be measured, and leave it; the folder
    /// must not exist or be empty [default: a temporary one]
    #[arg(long, value_name = "FOLDER")]
    pub(super) folder: Option<PathBuf>,
    /// Measure the exchange of this system and not a throw-away one; every statement is marked
    /// as an exercise, and stays in its ledger for ever
    #[arg(long, value_name = "FOLDER", requires = "to")]
    pub(super) system: Option<PathBuf>,
    /// To these inboxes of the given exchange
    #[arg(long, value_name = "INBOX", requires = "system")]
    pub(super) to: Vec<InboxId>,
    /// Under this agreement of the given exchange [default: outside one, as urgent]
    #[arg(long, value_name = "ID", requires = "system")]
    pub(super) agreement: Option<String>,
    /// Receive as this system of the given exchange
    #[arg(long, value_name = "FOLDER", requires = "system")]
    pub(super) receive_system: Option<PathBuf>,
    /// The operators' port of the given exchange, for its counts
    #[arg(long, value_name = "HOST:PORT", requires = "system")]
    pub(super) metrics: Option<SocketAddr>,
    /// About how long a statement's envelope is, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4_096)]
    pub(super) size: usize,
}

impl Place {
    /// The same, a folder of its own in the folder.
    pub(super) fn within(&self, name: &str) -> Self {
        let folder = self.folder.as_ref().map(|folder| folder.join(name));
        Self { folder, ..self.clone() }
    }

    /// A folder on the disk that is measured.
    pub(super) fn disk(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// An exchange to measure, and an empty service to set it beside.
pub(super) struct Ground {
    /// The sending system's folder.
    system: PathBuf,
    /// The receiving systems, in the order of the inboxes; of a given exchange one or none.
    pub(super) recipients: Vec<Client>,
    /// What to send.
    pub(super) content: Content,
    /// The exchange's process, if it is ours.
    pub(super) server: Option<Child>,
    /// Its operators' port, if we know it.
    pub(super) metrics: Option<SocketAddr>,
    echo_as: PathBuf,
    echo_at: SocketAddr,
    _echo: Child,
    scratch: Scratch,
}

impl Ground {
    /// Makes what is needed and waits until it answers.
    pub(super) async fn prepare(place: &Place, progress: &Progress) -> anyhow::Result<Self> {
        progress.say("making an exchange");
        let scratch = Scratch::new("bench", place.folder.as_deref())?;
        let founded = Founded::found(&scratch.folder).await?;
        let (echo, echo_at) = start_echo(&founded)?;
        let echo_as = founded.folder.join("systems/operator/auditor");
        let mut ground = Self {
            system: PathBuf::new(),
            recipients: Vec::new(),
            content: Content {
                to: place.to.clone(),
                agreement: place.agreement.clone(),
                size: place.size,
            },
            server: None,
            metrics: place.metrics,
            echo_as,
            echo_at,
            _echo: echo,
            scratch,
        };
        match &place.system {
            Some(system) => {
                ground.system.clone_from(system);
                if let Some(folder) = &place.receive_system {
                    ground.recipients.push(Client::new(SystemFolder::open(folder)?)?);
                }
            }
            None => ground.serve(founded).await?,
        }
        Ok(ground)
    }

    async fn serve(&mut self, founded: Founded) -> anyhow::Result<()> {
        let (server, exchange) = founded.serve().await?;
        self.system = exchange.agencies[SENDER].folder().path().to_path_buf();
        self.recipients =
            RECIPIENTS.iter().filter_map(|id| exchange.agencies.get(*id).cloned()).collect();
        self.content.to = inboxes()?;
        self.content.agreement = Some(AGREEMENT.to_owned());
        (self.server, self.metrics) = (Some(server.child), Some(server.metrics));
        Ok(())
    }

    /// Connections of the sending system to the exchange; the first knows the directory.
    pub(super) async fn senders(&self, connections: usize) -> anyhow::Result<Vec<Client>> {
        let connect = || anyhow::Ok(Client::new(SystemFolder::open(&self.system)?)?);
        let clients =
            (0..connections.max(1)).map(|_| connect()).collect::<anyhow::Result<Vec<_>>>();
        let clients =
            clients.with_context(|| format!("cannot speak as {}", self.system.display()))?;
        clients[0].refresh().await.context("cannot read the directory")?;
        Ok(clients)
    }

    /// Connections to the empty service.
    pub(super) fn echoes(&self, connections: usize) -> anyhow::Result<Vec<Client>> {
        let connect = || {
            let mut folder = SystemFolder::open(&self.echo_as)?;
            folder.settings.server = self.echo_at.to_string();
            anyhow::Ok(Client::new(folder)?)
        };
        (0..connections.max(1)).map(|_| connect()).collect()
    }

    /// The folder whose disk is measured.
    pub(super) fn folder(&self) -> &Path {
        &self.scratch.folder
    }
}

/// A founded exchange that is not served yet.
pub(super) struct Founded {
    pub(super) folder: PathBuf,
    pub(super) exchange: Exchange,
    metrics: SocketAddr,
}

/// A served one.
pub(super) struct Served {
    pub(super) child: Child,
    pub(super) metrics: SocketAddr,
}

impl Founded {
    /// Makes it, to be served on free ports of loopback.
    pub(super) async fn found(folder: &Path) -> anyhow::Result<Self> {
        let (address, metrics) = (free_port()?, free_port()?);
        let name: ExchangeName = NAME.parse()?;
        let exchange =
            Exchange::found(folder, &name, address, Dates::of(Arc::new(SystemClock))).await?;
        let path = folder.join("cairn.toml");
        let mut settings: toml::Table = fs::read_to_string(&path)?.parse()?;
        settings.insert("metrics".into(), metrics.to_string().into());
        let log = toml::Table::from_iter([("filter".to_owned(), "warn".into())]);
        settings.insert("log".into(), log.into());
        fs::write(&path, settings.to_string())?;
        Ok(Self { folder: folder.to_path_buf(), exchange, metrics })
    }

    /// Serves it in a process of its own; back when it is ready.
    pub(super) fn start(&self) -> anyhow::Result<Served> {
        let config = self.folder.join("cairn.toml");
        let words = ["serve", "--config", &config.display().to_string()];
        let mut child = Child::start(&words, &self.folder.join("serve.log"))?;
        tokio::task::block_in_place(|| child.ready(self.metrics))?;
        Ok(Served { child, metrics: self.metrics })
    }

    /// The same, and loads the directory of the exercise.
    pub(super) async fn serve(mut self) -> anyhow::Result<(Served, Exchange)> {
        let served = self.start()?;
        self.exchange.load(&parties()?, &mut |_| {}).await.context("loading the directory")?;
        Ok((served, self.exchange))
    }
}

fn start_echo(founded: &Founded) -> anyhow::Result<(Child, SocketAddr)> {
    let address = free_port()?;
    let (at, receipt) = (address.to_string(), RECEIPT_BYTES.to_string());
    let config = founded.folder.join("cairn.toml").display().to_string();
    let words = ["bench", "echo", "--config", &config, "--listen", &at, "--receipt", &receipt];
    let mut child = Child::start(&words, &founded.folder.join("echo.log"))?;
    tokio::task::block_in_place(|| child.listening(address)).context("the empty service")?;
    Ok((child, address))
}

/// The inboxes of the exercise's recipients.
pub(super) fn inboxes() -> anyhow::Result<Vec<InboxId>> {
    RECIPIENTS.iter().map(|agency| Ok(InboxId::new(&agency.parse()?, &"duty".parse()?))).collect()
}

/// A sender and two recipients, and the agreement between them.
fn parties() -> anyhow::Result<Parties> {
    let agencies = [SENDER].iter().chain(&RECIPIENTS).map(|id| {
        let inbox = Inbox {
            role: "duty".parse()?,
            phone: "0131 496 0000".into(),
            calendar: "24x7".into(),
            closed_on: Vec::new(),
            deputy: None,
        };
        Ok(Agency {
            id: id.parse()?,
            kind: "other".into(),
            name: format!("Exercise: {id}"),
            area: String::new(),
            inboxes: vec![inbox],
            behaviour: Behaviour::Silent,
        })
    });
    let agencies = agencies.collect::<anyhow::Result<Vec<_>>>()?;
    let agreement = Agreement {
        id: AGREEMENT.into(),
        title: "Exercise".into(),
        parties: agencies.iter().map(|agency| agency.id.to_string()).collect(),
        classes: vec!["child_protection".into()],
        lawful_bases: vec!["public_task".into()],
        valid_from: "2026-01-01".into(),
        valid_to: "2099-12-31".into(),
        review_by: String::new(),
        profiles: Vec::new(),
    };
    Ok(Parties {
        exchange: NAME.parse()?,
        areas: Vec::new(),
        agencies,
        agreements: vec![agreement],
    })
}
