//! The console's own port: where people come, by browser.
//!
//! Knows: everything.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{StartError, bind};
use crate::{
    broker::{Broker, recovery::DataFolder},
    config::ConsoleSettings,
    console::{Console, Tally},
    domain::ids::ExchangeName,
    identity::People,
    limits,
    listener::{Comers, ConnectionLimits, Counters, Listener},
    wire::services::ConsoleDoor,
};

/// The console's socket, and who may sign in there; not served yet.
pub(super) struct Visitors {
    socket: TcpListener,
    people: Arc<People>,
    comers: Comers,
    /// How people reach it.
    pub(super) url: String,
}

impl Visitors {
    /// Binds the socket and reads who may sign in. Port 0 in both settings stands for the port
    /// that the system gives.
    pub(super) async fn bind(
        settings: &ConsoleSettings,
        folder: &DataFolder,
        exchange: ExchangeName,
    ) -> Result<Self, StartError> {
        let socket = bind(settings.listen).await?;
        let given = socket.local_addr().map(|address: SocketAddr| address.port());
        let url = match given {
            Ok(port) if settings.url.ends_with(":0") => {
                format!("{}:{port}", settings.url.trim_end_matches(":0"))
            }
            _ => settings.url.clone(),
        };
        let comers = match settings.in_the_clear {
            true => Comers::BrowsersInTheClear,
            false => Comers::Browsers,
        };
        Ok(Self {
            socket,
            people: Arc::new(People::open(&folder.people(), exchange)?),
            comers,
            url,
        })
    }

    /// What the directory service needs to let people in.
    pub(super) fn door(&self) -> ConsoleDoor {
        ConsoleDoor { people: Arc::clone(&self.people), url: self.url.clone() }
    }

    /// Serves the console beside the systems' door, and with its trust.
    pub(super) fn serve(
        self,
        broker: &Broker,
        systems: &Listener,
        ended: &CancellationToken,
        tasks: &mut Vec<JoinHandle<()>>,
    ) -> Arc<Tally> {
        let (trust, clock) = (Arc::clone(&systems.trust), Arc::clone(&systems.clock));
        let console =
            Console::new(broker.clone(), self.people, Arc::clone(&trust), self.url, ended.clone());
        let tally = console.tally();
        let connections_max = systems.limits.connections_max.min(limits::CONSOLE_CONNECTIONS_MAX);
        let per_address_max = match self.comers {
            // All come from the reverse proxy.
            Comers::BrowsersInTheClear => connections_max,
            _ => (connections_max / 4).max(1),
        };
        let limits =
            ConnectionLimits { connections_max, per_address_max, ..ConnectionLimits::default() };
        let counters = Arc::new(Counters::default());
        let door = Listener { comers: self.comers, trust, limits, counters, clock, greeter: None };
        tasks.push(tokio::spawn(door.serve(self.socket, console.routes(), ended.clone())));
        tally
    }
}
