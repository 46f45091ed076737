//! The hosts and links of a simulated network: one exchange with its real ledger on a real disk,
//! and agencies around it. Steps them, breaks them, and in the end checks the world.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use cairn::{broker::Broker, clock::Clock, config::Config, listener::Counters, server::Server};
use tokio::{runtime::Runtime, sync::Notify};
use turmoil::Sim;

use super::{
    PORT,
    agency::{Agency, Planned},
    storm::Dice,
    wires::{Door, Time},
};
use crate::support::{World, launch};

/// The host of the exchange.
pub const EXCHANGE_HOST: &str = "exchange";
/// Far more real time than any batch takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a network is laid out.
pub struct Layout {
    pub seed: u64,
    pub tick: Duration,
    /// The longest that a message is on its way.
    pub latency_max: Duration,
    /// What each agency will send; each has one inbox, `duty`.
    pub plans: BTreeMap<&'static str, Vec<Planned>>,
    /// Recipients cannot take everything when it is first offered.
    pub reluctant: bool,
}

/// When the exchange goes down without warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// What is queued was not written.
    BeforeCommit,
    /// What was queued is durable, and nobody has been told.
    AfterCommit,
}

/// What the host of the exchange and the test share.
struct Exchange {
    time: Arc<Time>,
    config: Mutex<Config>,
    up: Mutex<Option<(Broker, Arc<Counters>)>>,
    ending: Notify,
}

/// A simulated network.
pub struct Network {
    pub time: Arc<Time>,
    pub agencies: BTreeMap<String, Arc<Agency>>,
    pub dice: Dice,
    exchange: Arc<Exchange>,
    sim: Sim<'static>,
    world: Option<World>,
    real: Runtime,
    /// The data folders that went before, newest last.
    left_behind: Vec<PathBuf>,
    copies: u32,
    seed: u64,
}

impl Network {
    /// Founds an exchange with these agencies, then goes over to simulated time.
    pub fn of(layout: Layout) -> Self {
        let real = Runtime::new().unwrap();
        let names: Vec<&str> = layout.plans.keys().copied().collect();
        let world = real.block_on(async {
            let mut world = World::new().await;
            for name in &names {
                world.enrol(name, &["duty"]).await;
            }
            world.agree("all", &names).await;
            world.refresh().await;
            world.stop().await;
            world
        });
        launch::settled();
        let mut sim = turmoil::Builder::new()
            .rng_seed(layout.seed)
            .tick_duration(layout.tick)
            .simulation_duration(Duration::from_secs(30 * 24 * 3_600))
            .min_message_latency(Duration::ZERO)
            .max_message_latency(layout.latency_max)
            .tcp_capacity(4_096)
            .build();
        let time = Arc::new(Time::beginning(world.clock.now()));
        let exchange = Arc::new(Exchange {
            time: Arc::clone(&time),
            config: Mutex::new(world.config.clone()),
            up: Mutex::default(),
            ending: Notify::new(),
        });
        let serving = Arc::clone(&exchange);
        sim.host(EXCHANGE_HOST, move || Arc::clone(&serving).serve());
        let mut agencies = BTreeMap::new();
        for (name, plan) in layout.plans {
            let agency = Arc::new(Agency {
                name: name.to_owned(),
                folder: world.agency(name).folder().path().to_owned(),
                time: Arc::clone(&time),
                plan,
                reluctant: layout.reluctant,
                disk: Mutex::default(),
            });
            let running = Arc::clone(&agency);
            sim.host(name, move || Arc::clone(&running).run());
            agencies.insert(name.to_owned(), agency);
        }
        let (dice, seed) = (Dice::of(layout.seed), layout.seed);
        let (left_behind, copies) = (Vec::new(), 0);
        let world = Some(world);
        Self { time, agencies, dice, exchange, sim, world, real, left_behind, copies, seed }
    }

    pub fn agency(&self, name: &str) -> &Agency {
        &self.agencies[name]
    }

    /// One step, and the commit of what it queued.
    pub fn step(&mut self) {
        self.step_without_commit();
        self.commit();
    }

    /// Steps until `done`.
    pub fn until(&mut self, longest: Duration, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.time.elapsed() + longest;
        while !done(self) {
            assert!(self.time.elapsed() < end, "within {longest:?}: {what}");
            self.step();
        }
    }

    /// Steps for this long.
    pub fn run(&mut self, length: Duration) {
        let end = self.time.elapsed() + length;
        while self.time.elapsed() < end {
            self.step();
        }
    }

    fn step_without_commit(&mut self) {
        self.time.shut();
        if let Err(error) = self.sim.step() {
            panic!("at {:?}: {error}", self.time.elapsed());
        }
        self.time.set(self.sim.elapsed());
    }

    fn commit(&mut self) {
        self.time.open();
        let begun = Instant::now();
        while self.broker().is_some_and(|broker| broker.under_way() > 0) {
            assert!(begun.elapsed() < PATIENCE, "the committer does not come to an end");
            thread::yield_now();
        }
    }

    /// What the exchange was founded with; its server is not up.
    pub fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    /// The broker, while the exchange is up.
    pub fn broker(&self) -> Option<Broker> {
        self.exchange.up().as_ref().map(|(broker, _)| broker.clone())
    }

    /// Entries in the ledger; 0 while the exchange is down.
    pub fn size(&self) -> u64 {
        self.broker().map_or(0, |broker| broker.tree().head().growth.size())
    }

    /// Connections that the exchange believes to be open.
    pub fn open_connections(&self) -> u64 {
        self.exchange.up().as_ref().map_or(0, |(_, door)| door.open.load(Relaxed))
    }

    /// The links between the exchange and others.
    pub fn links(&mut self) -> &mut Sim<'static> {
        &mut self.sim
    }

    /// The exchange loses its power in the next step. Its disk keeps what was synced.
    pub fn crash(&mut self, when: Crash) {
        self.step_without_commit();
        self.lose_power(when);
    }

    /// The same in the first step that queues something.
    pub fn crash_at_a_commit(&mut self, longest: Duration, when: Crash) {
        let end = self.time.elapsed() + longest;
        loop {
            self.step_without_commit();
            if self.broker().is_some_and(|broker| broker.under_way() > 0) {
                return self.lose_power(when);
            }
            self.commit();
            assert!(self.time.elapsed() < end, "nothing was queued within {longest:?}");
        }
    }

    fn lose_power(&mut self, when: Crash) {
        if when == Crash::AfterCommit {
            self.commit();
        }
        let data = self.copy_of_the_disk();
        *self.exchange.up() = None;
        self.sim.crash(EXCHANGE_HOST);
        // The committer's thread cannot be killed: it ends on the disk that was left behind.
        self.time.open();
        let gone = std::mem::replace(&mut self.exchange.config().data, data);
        self.left_behind.push(gone);
    }

    /// Starts the exchange again.
    pub fn restart(&mut self) {
        self.sim.bounce(EXCHANGE_HOST);
    }

    /// Stops the exchange in order.
    pub fn stop(&mut self) {
        self.exchange.ending.notify_one();
        for _ in 0..1_000_000 {
            if !self.sim.is_host_running(EXCHANGE_HOST) {
                return;
            }
            // It waits for its committer within a step.
            if let Err(error) = self.sim.step() {
                panic!("at {:?}: {error}", self.time.elapsed());
            }
            self.time.set(self.sim.elapsed());
        }
        panic!("the exchange does not stop");
    }

    /// The disk as it is now, in another folder. Only the two newest are kept.
    fn copy_of_the_disk(&mut self) -> PathBuf {
        if self.left_behind.len() > 1 {
            fs::remove_dir_all(self.left_behind.remove(0)).unwrap();
        }
        self.copies += 1;
        let from = self.exchange.config().data.clone();
        let to = from.with_file_name(format!("data-{}", self.copies));
        copy(&from, &to);
        to
    }

    /// Where things stand, for whoever must find out why a test failed.
    fn tell(&self) {
        let (up, open) = (self.broker().is_some(), self.open_connections());
        eprintln!(
            "seed {} at {:?}: exchange up: {up}, {open} open",
            self.seed,
            self.time.elapsed()
        );
        for (name, agency) in &self.agencies {
            let disk = agency.disk();
            let waits = |planned: &&Planned| !disk.receipts.contains_key(&planned.reference);
            let unanswered: Vec<_> =
                agency.plan.iter().filter(waits).map(|planned| &planned.reference).collect();
            let known = |(reference, inbox): &(String, String), entry: u64| {
                (!disk.stored.contains_key(&(entry, inbox.clone()))).then(|| reference.clone())
            };
            let unstored: Vec<_> =
                disk.taken.iter().filter_map(|(key, entry)| known(key, *entry)).collect();
            eprintln!(
                "{name}: {} streams, the last ended {:?}; unanswered {unanswered:?}; {} taken, \
                 not known as stored: {unstored:?}",
                disk.streams,
                disk.ends.last(),
                disk.taken.len()
            );
        }
    }

    /// The whole world once more, over real sockets: every statement said again gets the receipt
    /// that its sender has, byte for byte, and every proof, the index and the counts hold.
    pub fn check(mut self) {
        self.stop();
        let mut world = self.world.take().unwrap();
        world.clock.set(self.time.now());
        world.config.data = self.exchange.config().data.clone();
        let agencies = std::mem::take(&mut self.agencies);
        self.real.block_on(async {
            world.start().await;
            // What fell due while it was down is climbed first, whenever the next tick comes.
            world.climb().await;
            let size = world.size().await;
            for (name, agency) in &agencies {
                let disk = std::mem::take(&mut *agency.disk());
                for (reference, receipt) in &disk.receipts {
                    let again = world.agency(name).submit(&disk.said[reference]).await.unwrap();
                    assert!(again.duplicate, "{reference}");
                    assert_eq!(again.receipt.as_ref(), Some(receipt), "{reference}");
                }
            }
            assert_eq!(world.size().await, size, "nothing was new");
            world.check().await;
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell();
        }
        self.time.open();
    }
}

impl Exchange {
    async fn serve(self: Arc<Self>) -> turmoil::Result {
        let door = Door(turmoil::net::TcpListener::bind(("0.0.0.0", PORT)).await?);
        let (config, clock) = (self.config().clone(), Arc::clone(&self.time));
        let server = Server::start_on(&config, clock, door).await?;
        *self.up() = Some((server.broker().clone(), Arc::clone(&server.connections)));
        self.ending.notified().await;
        *self.up() = None;
        self.time.open();
        server.stop().await;
        Ok(())
    }

    fn up(&self) -> MutexGuard<'_, Option<(Broker, Arc<Counters>)>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies a folder; what is all zeros in a large file takes no room in the copy.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        match entry.metadata().unwrap() {
            folder if folder.is_dir() => copy(&path, &copied),
            file if file.len() < 1 << 20 => drop(fs::copy(&path, &copied).unwrap()),
            file => copy_sparse(&path, &copied, file.len()),
        }
    }
}

fn copy_sparse(from: &Path, to: &Path, length: u64) {
    let (from, to) = (File::open(from).unwrap(), File::create(to).unwrap());
    to.set_len(length).unwrap();
    let (mut block, zeros) = (vec![0_u8; 1 << 16], vec![0_u8; 1 << 16]);
    for at in (0..length).step_by(block.len()) {
        let read = from.read_at(&mut block, at).unwrap();
        if block[..read] != zeros[..read] {
            to.write_all_at(&block[..read], at).unwrap();
        }
    }
}
