//! Where a night happens: the exchange, which can go down and come up; the agencies' systems, which
//! can be switched off; the webhooks; and the clock that all of them go by.
//!
//! Holds: I14. Knows: server, broker, wire::client, config, clock.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        super::exchange::{Exchange, parties::Behaviour},
        settings,
    },
    clock::NightClock,
    pager::Pager,
    script::NightPack,
};
use crate::{
    broker::Broker,
    clock::{Clock, SystemClock},
    config::{ChannelKind, ChannelSettings, Config},
    crypto::keyfile,
    domain::ids::InboxId,
    identity::Validity,
    server::{
        Server,
        founding::{self, Dates},
    },
    wire::client::simulated::Recipient,
};

/// The webhook that works all night, and the one that is dead when it begins.
const CHANNELS: [(&str, ChannelKind, bool); 2] =
    [("duty-phone", ChannelKind::CloudEvents, true), ("pager", ChannelKind::PagerDuty, false)];

/// All of it.
pub(super) struct Stage {
    pub(super) exchange: Exchange,
    pub(super) clock: Arc<NightClock>,
    pub(super) pagers: Vec<Pager>,
    server: Option<Server>,
    systems: BTreeMap<String, System>,
    config: Config,
    folder: PathBuf,
}

/// An agency's receiving side.
struct System {
    recipient: Arc<Recipient>,
    at_work: Option<(CancellationToken, JoinHandle<anyhow::Result<()>>)>,
}

impl Stage {
    /// Founds the exchange as of the clock's moment, serves it, and loads its directory.
    pub(super) async fn open(
        folder: &Path,
        pack: &NightPack,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(NightClock::at(pack.begins()));
        let shared: Arc<dyn Clock> = clock.clone();
        let mut pagers = Vec::new();
        for (name, _, answers) in CHANNELS {
            let mut pager = Pager::dead(name, Arc::clone(&shared))?;
            if answers {
                pager.answer()?;
            }
            pagers.push(pager);
        }
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.context("no port on loopback")?;
        let (name, address) = (&pack.parties.exchange, socket.local_addr()?);
        let exchange = Exchange::found(folder, name, address, dates(&clock)).await?;
        let config = with_channels(settings(folder)?, folder, &pagers)?;
        let server = Server::start_on(&config, shared, socket).await?;
        let mut stage = Self {
            exchange,
            clock,
            pagers,
            server: None,
            systems: BTreeMap::new(),
            config: at_the_same_console(config, &server)?,
            folder: folder.to_path_buf(),
        };
        stage.server = Some(server);
        stage.exchange.load(&pack.parties, progress).await.context("loading the directory")?;
        stage.switch_on(pack)?;
        Ok(stage)
    }

    /// Lets every agency receive that is not silent.
    fn switch_on(&mut self, pack: &NightPack) -> anyhow::Result<()> {
        for agency in &pack.parties.agencies {
            let client = &self.exchange.agencies[agency.id.as_str()];
            if client.folder().sealing.is_empty() {
                continue;
            }
            let received = self.folder.join("received").join(agency.id.as_str());
            let recipient = Recipient::that_only_stores(client.clone(), received)?;
            self.systems.insert(agency.id.to_string(), System { recipient, at_work: None });
            if agency.behaviour != Behaviour::Silent {
                self.back(agency.id.as_str())?;
            }
        }
        Ok(())
    }

    /// The exchange, while it is up.
    pub(super) fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// The broker, while it is up.
    pub(super) fn broker(&self) -> Option<&Broker> {
        self.server.as_ref().map(Server::broker)
    }

    /// The exchange goes down, in order.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let server = self.server.take().context("it is down already")?;
        ensure!(server.stop().await, "the ledger had failed");
        Ok(())
    }

    /// It comes up again, where it was.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.server.is_none(), "it is up already");
        self.server = Some(Server::start(&self.config, self.clock.clone()).await?);
        Ok(())
    }

    /// An agency's system is switched off.
    pub(super) async fn away(&mut self, agency: &str) -> anyhow::Result<()> {
        let Some(system) = self.systems.get_mut(agency) else { bail!("{agency} has no inbox") };
        let Some((ended, task)) = system.at_work.take() else { return Ok(()) };
        ended.cancel();
        task.await?
    }

    /// It is back.
    pub(super) fn back(&mut self, agency: &str) -> anyhow::Result<()> {
        let Some(system) = self.systems.get_mut(agency) else { bail!("{agency} has no inbox") };
        if system.at_work.is_none() {
            let ended = CancellationToken::new();
            let task = tokio::spawn(Arc::clone(&system.recipient).keep(ended.clone()));
            system.at_work = Some((ended, task));
        }
        Ok(())
    }

    /// The inboxes whose systems are there. Fails if one of them has failed.
    pub(super) fn inboxes_there(&self) -> anyhow::Result<Vec<InboxId>> {
        let mut there = Vec::new();
        for (agency, system) in &self.systems {
            let Some((_, task)) = &system.at_work else { continue };
            ensure!(!task.is_finished(), "the system of {agency} has failed");
            there.extend(self.exchange.agencies[agency].folder().sealing.keys().cloned());
        }
        Ok(there)
    }

    /// Switches every system off.
    pub(super) async fn switch_off(&mut self) -> anyhow::Result<()> {
        let agencies: Vec<String> = self.systems.keys().cloned().collect();
        for agency in agencies {
            self.away(&agency).await.with_context(|| format!("the system of {agency}"))?;
        }
        Ok(())
    }

    /// The webhook of a name.
    pub(super) fn pager(&mut self, name: &str) -> anyhow::Result<&mut Pager> {
        let mut pagers = self.pagers.iter_mut();
        pagers.find(|pager| pager.name.as_str() == name).context("there is no such webhook")
    }
}

/// Certificates that are good at the clock's time and at the machine's: others may look, too.
fn dates(clock: &Arc<NightClock>) -> Dates {
    let (there, here) = (clock.now(), SystemClock.now());
    let validity = Validity {
        not_before_unix: founding::validity(there.min(here)).not_before_unix,
        not_after_unix: founding::validity(there.max(here)).not_after_unix,
    };
    Dates { clock: clock.clone(), validity }
}

/// The settings with a way to each webhook.
fn with_channels(config: Config, folder: &Path, pagers: &[Pager]) -> anyhow::Result<Config> {
    let (secret, routing_key) = (folder.join("webhook.secret"), folder.join("webhook.key"));
    let mut chance = [0; 32];
    getrandom::fill(&mut chance).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    keyfile::write_private(&secret, format!("whsec_{}\n", STANDARD.encode(chance)).as_bytes())?;
    keyfile::write_private(&routing_key, b"routing-key-of-a-demonstration\n")?;
    let channel = |(pager, (_, kind, _)): (&Pager, &(&str, ChannelKind, bool))| ChannelSettings {
        name: pager.name.clone(),
        kind: *kind,
        url: format!("http://{}/notices", pager.address),
        secret: Some(secret.clone()),
        routing_key: Some(routing_key.clone()),
        ca: config.tls.client_ca.clone(),
        to: String::new(),
        from: String::new(),
        server: String::new(),
        mail_tls: crate::config::MailTls::None,
        username: String::new(),
        password: None,
        quiet: None,
    };
    let notify = pagers.iter().zip(&CHANNELS).map(channel).collect();
    Ok(Config { notify, ..config })
}

/// The settings with the console on the port that it was given, so that it is there again.
fn at_the_same_console(mut config: Config, server: &Server) -> anyhow::Result<Config> {
    if let (Some(settings), Some(url)) = (&mut config.console, &server.console) {
        let address: SocketAddr = url.trim_start_matches("http://").parse()?;
        settings.listen = address;
        settings.url.clone_from(url);
    }
    Ok(config)
}
