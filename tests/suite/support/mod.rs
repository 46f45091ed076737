//! A world to test in: an exchange on loopback, agencies with their own keys and
//! certificates, and a check of everything.

pub mod launch;
pub mod senders;
pub mod statements;
pub mod strace;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use cairn::{
    audit,
    broker::recovery::DataFolder,
    clock::{Clock, ManualClock, Moment, SystemClock},
    config::Config,
    domain::ids::{ExchangeName, InboxId, RoleName},
    identity::DevelopmentCa,
    ledger::note::Vkey,
    proto::{self, GetSummaryRequest, Incoming, directory_change::Change, receive_response::Item},
    server::{
        Server, StartError,
        founding::{self, Dates, validity},
    },
    store::journal,
    wire::client::{
        Client, ClientError,
        enrol::{self, Enrolment},
        folder::{SystemFolder, SystemSettings},
    },
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

/// The exchange of every test.
pub const EXCHANGE: &str = "cairn.example/test";

/// An exchange, served, with its operators' clients.
pub struct World {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub vkey: Vkey,
    pub admin: Client,
    pub on_call: Client,
    pub auditor: Client,
    pub agencies: BTreeMap<String, Client>,
    pub ca: DevelopmentCa,
    /// Its settings; changed ones hold from the next start on.
    pub config: Config,
    server: Option<Server>,
    address: String,
}

impl World {
    /// An exchange with no agencies, on a clock that stands where the machine's does.
    pub async fn new() -> Self {
        Self::at(SystemClock.now()).await
    }

    /// The same on a clock that stands at this moment, from its founding on.
    pub async fn at(moment: Moment) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = own_socket().await;
        let address = socket.local_addr().unwrap();
        let name: ExchangeName = EXCHANGE.parse().unwrap();
        let names = ["localhost".to_owned()];
        let clock = Arc::new(ManualClock::at(moment));
        let dates = Dates::of(clock.clone());
        let vkey = founding::found(folder.path(), &name, address, &names, &dates).await.unwrap();
        let mut config = Config::read(&folder.path().join("cairn.toml")).unwrap();
        config.metrics = None;
        launch::settled(); // founding had the folder open
        let server = Server::start_on(&config, clock.clone(), socket).await.unwrap();
        let client = |system: &str| {
            let path = folder.path().join("systems/operator").join(system);
            Client::new(SystemFolder::open(&path).unwrap()).unwrap()
        };
        let pem = |name: &str| fs::read_to_string(folder.path().join("ca").join(name)).unwrap();
        let ca = DevelopmentCa::load(&pem("ca.pem"), &pem("ca.key")).unwrap();
        Self {
            admin: client("admin"),
            on_call: client("on-call"),
            auditor: client("auditor"),
            agencies: BTreeMap::new(),
            address: address.to_string(),
            server: Some(server),
            folder,
            clock,
            vkey,
            ca,
            config,
        }
    }

    /// `police`, `school` and `social-work`, each with an inbox `duty`, and the
    /// agreement `all` between them.
    pub async fn with_agencies() -> Self {
        let mut world = Self::new().await;
        for agency in ["police", "school", "social-work"] {
            world.enrol(agency, &["duty"]).await;
        }
        world.agree("all", &["police", "school", "social-work"]).await;
        world.refresh().await;
        world
    }

    /// Enrols an agency with inboxes.
    pub async fn enrol(&mut self, agency: &str, roles: &[&str]) -> Client {
        let settings = SystemSettings {
            exchange: EXCHANGE.parse().unwrap(),
            agency: agency.parse().unwrap(),
            system: "system".parse().unwrap(),
            server: self.address.clone(),
            server_name: "localhost".into(),
        };
        let roles: Vec<RoleName> = roles.iter().map(|role| role.parse().unwrap()).collect();
        let enrolment = Enrolment {
            settings,
            roles: &roles,
            ca: &self.ca,
            validity: validity(self.clock.now()),
            vkey: &self.vkey,
            secret: None,
        };
        let path = self.folder.path().join("systems").join(agency).join("system");
        let folder = enrol::make_folder(&path, &enrolment).unwrap();
        self.apply(Change::Agency(proto::Agency {
            id: agency.into(),
            kind: "other".into(),
            name: agency.into(),
            area: String::new(),
        }))
        .await
        .unwrap();
        self.apply(Change::System(proto::System {
            agency: agency.into(),
            name: "system".into(),
            roles: vec!["agency".into()],
            suspended: false,
        }))
        .await
        .unwrap();
        self.admin.apply(enrol::signing_key(&folder, self.clock.now())).await.unwrap();
        for role in &roles {
            let inbox = InboxId::new(&agency.parse().unwrap(), role);
            let change = enrol::signed(EXCHANGE, inbox_change(&inbox, ""), &[&folder]);
            self.admin.apply(change).await.unwrap();
        }
        for change in enrol::sealing_keys(&folder, self.clock.now()) {
            self.admin.apply(change).await.unwrap();
        }
        let client = Client::new(folder).unwrap();
        self.agencies.insert(agency.to_owned(), client.clone());
        client
    }

    /// Brings an agreement into force for the classes and bases that tests use.
    pub async fn agree(&self, id: &str, parties: &[&str]) {
        let signers: Vec<&SystemFolder> =
            parties.iter().map(|party| self.agencies[*party].folder()).collect();
        let change = Change::Agreement(agreement(id, parties));
        self.admin.apply(enrol::signed(EXCHANGE, change, &signers)).await.unwrap();
    }

    /// Every client learns the directory.
    pub async fn refresh(&self) {
        for client in self.agencies.values() {
            client.refresh().await.unwrap();
        }
    }

    /// Applies a change that needs no signature.
    pub async fn apply(&self, change: Change) -> Result<u64, ClientError> {
        self.admin.apply(enrol::unsigned(EXCHANGE, change)).await
    }

    /// Applies a change that an agency signs.
    pub async fn apply_signed(&self, change: Change, by: &str) -> Result<u64, ClientError> {
        let folder = self.agencies[by].folder();
        self.admin.apply(enrol::signed(EXCHANGE, change, &[folder])).await
    }

    /// The client of an agency.
    pub fn agency(&self, id: &str) -> &Client {
        &self.agencies[id]
    }

    /// The exchange's data folder.
    pub fn data(&self) -> DataFolder {
        DataFolder::at(&self.config.data)
    }

    /// Stops the server in order.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Starts it again where it was.
    pub async fn start(&mut self) {
        self.server = Some(self.try_start().await.unwrap());
    }

    /// A server where the last one was, or why it does not start.
    pub async fn try_start(&self) -> Result<Server, StartError> {
        launch::settled();
        let mut config = self.config.clone();
        config.listen = self.address.parse().unwrap();
        Server::start(&config, self.clock.clone()).await
    }

    /// Where the operators' port listens, if the settings name one.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.server.as_ref().and_then(|server| server.metrics)
    }

    /// How people reach the console, if the settings name one.
    pub fn console(&self) -> Option<&str> {
        self.server.as_ref().and_then(|server| server.console.as_deref())
    }

    /// Climbs all that is due, as the next tick would.
    pub async fn climb(&self) {
        self.server.as_ref().unwrap().broker().climb_all().await.unwrap();
    }

    /// Asks the witnesses at once, as the next tick would.
    pub fn ask_witnesses(&self) {
        self.server.as_ref().unwrap().broker().witnesses().ask_now();
    }

    /// Looks at once which agencies are quieter than usual.
    pub fn look_for_quiet(&self) {
        self.server.as_ref().unwrap().broker().look_for_quiet();
    }

    /// The size of the ledger.
    pub async fn size(&self) -> u64 {
        self.summary().await.size
    }

    /// The counts of the exchange.
    pub async fn summary(&self) -> proto::GetSummaryResponse {
        self.on_call.status().get_summary(GetSummaryRequest {}).await.unwrap().into_inner()
    }

    /// Verifies the files of a stopped world (I3, I5), as `cairn fsck` and `cairn reindex` do: the
    /// journal byte for byte, the ledger in it entry by entry, the index rebuilt = the index as it
    /// was. Gives the size of the ledger.
    pub fn is_sound(&self) -> u64 {
        launch::settled();
        let data = self.data();
        let stopped = journal::Exchange::Stopped;
        let report =
            journal::fsck(&data.journal(), stopped, &mut |_| false, &mut |_, _| {}).unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
        let ledger =
            audit::fsck::check_ledger(&data.journal(), &self.vkey, &mut |_, _| {}).unwrap();
        assert!(ledger.is_sound(), "{:?}", ledger.problems);
        let reindexed = data.reindex(&mut |_, _| {}).unwrap();
        assert_eq!(reindexed.old_hash, Some(reindexed.new_hash), "the index is a fold");
        reindexed.size
    }

    /// Verifies the whole world (I3, I4, I5): the mirror from outside, deliveries = closed + open,
    /// the journal byte for byte, the index rebuilt = the index live. Stops the server.
    pub async fn check(mut self) {
        // What is due is climbed, so that the ledger stands still while it is looked at.
        self.climb().await;
        let summary = self.summary().await;
        assert_eq!(summary.deliveries, summary.closed + summary.open);
        let mirror = self.folder.path().join("mirror");
        audit::mirror::mirror(&self.auditor, &mirror, "test", &mut |_, _| {}).await.unwrap();
        let verified =
            audit::verify::verify_mirror(&mirror, std::slice::from_ref(&self.vkey)).unwrap();
        assert_eq!(verified.origin, EXCHANGE);
        self.stop().await;
        assert_eq!(self.is_sound(), verified.size);
    }
}

/// A socket on a port that the system gives to nobody by itself, so that it is still free when
/// the exchange starts again where it was.
async fn own_socket() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let port = 10_000 + (begin - 10_000 + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if let Ok(socket) = TcpListener::bind(("127.0.0.1", port)).await {
            return socket;
        }
    }
}

/// The next statement that an agency is offered.
pub async fn next(client: &Client) -> Incoming {
    let mut stream = client.receive(Vec::new()).await.unwrap();
    loop {
        match stream.next().await.expect("the stream goes on").unwrap().item {
            Some(Item::Incoming(incoming)) => return incoming,
            _ => continue,
        }
    }
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Refused { code, .. }) => code,
        other => panic!("expected a refusal, not {other:?}"),
    }
}

/// An inbox.
pub fn inbox_change(inbox: &InboxId, deputy: &str) -> Change {
    Change::Inbox(proto::Inbox {
        id: inbox.to_string(),
        phone: "0131 496 0000".into(),
        calendar: "24x7".into(),
        deputy: deputy.into(),
        ..proto::Inbox::default()
    })
}

/// An agreement for the classes and bases that tests use.
pub fn agreement(id: &str, parties: &[&str]) -> proto::Agreement {
    proto::Agreement {
        id: id.into(),
        title: "Agreement of a test".into(),
        parties: parties.iter().map(ToString::to_string).collect(),
        classes: vec!["child_protection".into(), "wellbeing".into()],
        lawful_bases: vec!["public_task".into()],
        valid_from: "2026-01-01".into(),
        valid_to: "2099-12-31".into(),
        review_by: String::new(),
        review_key: Vec::new(),
        no_review_key_reason: "a test".into(),
        profiles: Vec::new(),
    }
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
