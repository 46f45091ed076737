//! How an exchange is made, and how it starts: whatever the disk says, found out,
//! checked, and folded by the same code that commits.
//!
//! ```text
//! data/exchange.toml   origin name and ledger id
//! data/keys/           ledger.key · exchange.secret (mode 0600)
//! data/journal/        the truth
//! data/index/          disposable
//! data/lock            one server at a time
//! ```
//!
//! Holds: I4, I5, I9. Knows: store, ledger, directory, crypto, proto, clock.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    Broker, Counts, Shared,
    hub::Hub,
    projection,
    records::{self, Place},
    sequencer::{Sequencer, Work},
    tree::{Head, Tree},
};
use crate::{
    clock::Clock,
    crypto::{
        keyfile::{self, KeyFileError},
        sign::{KeyError, SigningKey},
        tag::ExchangeSecret,
    },
    directory::Directory,
    domain::ids::ExchangeName,
    ledger::{
        self,
        checkpoint::Checkpoint,
        growth::{FullTile, Growth},
        leaf::Leaf,
        merkle::{Hash, leaf_hash},
        note::{KeyKind, Vkey},
        tiles::{TileSource, decode_tile, encode_tile, tile_from_below},
    },
    limits,
    proto::{self, EntryType, Facts},
    store::{
        Index, IndexError, Journal, JournalError, JournalReader, Location, Overlay, Store, View,
        Watermark, files,
        journal::{Detail, Evidence, Recovery, Scanned, Stored, Trailer},
        lock::{DataLock, LockError},
    },
};

/// Entries folded into the index at once while it is rebuilt.
const REBUILD_ENTRIES: usize = 4_096;

/// Why an exchange could not be made or started. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder holds no exchange.
    #[error("{}: no exchange here; make one with `cairn init`", .0.display())]
    NoExchange(PathBuf),
    /// The folder holds an exchange already.
    #[error("{}: there is an exchange here already; name another folder", .0.display())]
    Exists(PathBuf),
    /// Its settings cannot be read.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another server has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A key file is wrong.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// No randomness, or a bad key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal will not open.
    #[error("the journal: {0}")]
    Journal(#[from] JournalError),
    /// The index cannot even be made anew.
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    /// Journal and ledger arithmetic disagree.
    #[error("the ledger does not add up at entry {entry}: {reason}; run `cairn fsck`")]
    Diverged {
        /// Where.
        entry: u64,
        /// How.
        reason: String,
    },
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The origin name, such as `cairn.example/ardness`.
    exchange: String,
    /// 16 random bytes in hexadecimal, in every file of the journal.
    ledger: String,
}

/// The parts of a data folder.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The folder at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The index's folder.
    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    /// The exchange's own keys.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn settings(&self) -> PathBuf {
        self.0.join("exchange.toml")
    }

    /// Makes a new exchange: its keys and an empty ledger.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one; what the file system or the random
    /// source says.
    pub fn create(&self, exchange: &ExchangeName) -> Result<(), OpenError> {
        if self.settings().exists() {
            return Err(OpenError::Exists(self.0.clone()));
        }
        for folder in [&self.0, &self.keys(), &self.journal()] {
            if !folder.exists() {
                fs::create_dir_all(folder.parent().unwrap_or(folder))?;
                files::create_dir(folder)?;
            }
        }
        let mut ledger = [0; 16];
        getrandom::fill(&mut ledger).map_err(|error| io::Error::other(error.to_string()))?;
        keyfile::write_signing_key(&self.keys().join("ledger.key"), &SigningKey::generate()?)?;
        let secret = ExchangeSecret::generate()?;
        keyfile::write_exchange_secret(&self.keys().join("exchange.secret"), &secret)?;
        Journal::create(&self.journal(), ledger)?;
        let settings = Settings { exchange: exchange.to_string(), ledger: hex(&ledger) };
        // Last, so that a half-made folder is no exchange.
        let text = toml::to_string(&settings).map_err(|error| self.unreadable(error))?;
        Ok(files::write_atomic(&self.settings(), text.as_bytes())?)
    }

    fn read_settings(&self) -> Result<(String, [u8; 16]), OpenError> {
        let text = match fs::read_to_string(self.settings()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::NoExchange(self.0.clone()));
            }
            Err(error) => return Err(self.unreadable(error)),
        };
        let settings: Settings = toml::from_str(&text).map_err(|error| self.unreadable(error))?;
        settings.exchange.parse::<ExchangeName>().map_err(|error| self.unreadable(error))?;
        let ledger = unhex(&settings.ledger)
            .ok_or_else(|| self.unreadable("`ledger` must be 32 hexadecimal digits"))?;
        Ok((settings.exchange, ledger))
    }

    fn unreadable(&self, reason: impl ToString) -> OpenError {
        OpenError::Settings { path: self.settings(), reason: reason.to_string() }
    }

    /// The verifier key of the ledger, from its private key.
    ///
    /// # Errors
    /// If settings or key cannot be read.
    pub fn vkey(&self) -> Result<Vkey, OpenError> {
        let (exchange, _) = self.read_settings()?;
        let key = keyfile::read_signing_key(&self.keys().join("ledger.key"))?;
        vkey(&exchange, &key)
    }

    /// Throws the index away and rebuilds it. The exchange must not be running.
    ///
    /// # Errors
    /// As [`open`].
    pub fn reindex(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Reindexed, OpenError> {
        let (_, ledger) = self.read_settings()?;
        let _lock = DataLock::acquire(&self.0)?;
        let old_hash = Index::open(&self.index()).ok().map(|index| index.content_hash());
        let evidence = Evidence::default();
        let (journal, recovery) =
            Journal::open(&self.journal(), Some(ledger), evidence, "reindex")?;
        Index::set_aside(&self.index())?;
        let index = Index::open(&self.index())?;
        let reader = journal.reader();
        let head = Fold { index: &index, reader: &reader, ledger }.follow(
            empty_head(),
            recovery.size,
            progress,
        )?;
        let new_hash = index.content_hash();
        Store::new(journal, index).close()?;
        Ok(Reindexed { size: head.growth.size(), old_hash, new_hash })
    }
}

/// What a rebuild found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reindexed {
    /// Entries folded.
    pub size: u64,
    /// The hash of the index before, if it could be opened.
    pub old_hash: Option<[u8; 32]>,
    /// The hash of the index now.
    pub new_hash: [u8; 32],
}

/// A running exchange: the broker, and what keeps it running.
pub struct Running {
    /// The broker.
    pub broker: Broker,
    /// What the start found.
    pub recovery: Recovery,
    committer: thread::JoinHandle<()>,
    _lock: DataLock,
}

impl Running {
    /// Stops taking work, lets the committer finish, closes in order. All other
    /// clones of the broker must be gone, or this waits for them.
    pub fn close(self) {
        drop(self.broker);
        if self.committer.join().is_err() {
            tracing::error!("the committer did not end in order");
        }
    }
}

/// Opens an exchange: recovers the journal, brings the index up to it, starts the
/// committer, and records what recovery set aside.
///
/// # Errors
/// [`OpenError`]; nothing is served then.
pub fn open(folder: &DataFolder, clock: Arc<dyn Clock>) -> Result<Running, OpenError> {
    let (exchange, ledger) = folder.read_settings()?;
    let lock = DataLock::acquire(folder.path())?;
    let key = keyfile::read_signing_key(&folder.keys().join("ledger.key"))?;
    let secret = keyfile::read_exchange_secret(&folder.keys().join("exchange.secret"))?;
    let vkey = vkey(&exchange, &key)?;
    let (mut index, watermark) = usable_index(&folder.index(), ledger)?;
    let evidence =
        Evidence { index_watermark: watermark.as_ref().map(|mark| mark.size), witnessed: None };
    let label = format!("{}", clock.now().0);
    let (journal, recovery) = Journal::open(&folder.journal(), Some(ledger), evidence, &label)?;
    let reader = journal.reader();
    let head = match bring_up(&index, &reader, ledger, watermark, &recovery) {
        Ok(head) => head,
        Err(OpenError::Diverged { entry, reason }) => {
            tracing::warn!(entry, reason, "the index does not fit the ledger and is rebuilt");
            drop(index);
            Index::set_aside(&folder.index())?;
            index = Index::open(&folder.index())?;
            Fold { index: &index, reader: &reader, ledger }.follow(
                empty_head(),
                recovery.size,
                &mut |_, _| {},
            )?
        }
        Err(error) => return Err(error),
    };
    check_last_checkpoint(recovery.last_trailer.as_ref(), &head, &vkey)?;
    let directory = directory_of(&exchange, &index, &reader)?;
    let shared = Arc::new(Shared {
        exchange,
        vkey,
        secret,
        tree: Tree::new(head, index.clone()),
        index: index.clone(),
        journal: reader,
        directory: ArcSwap::from_pointee(directory),
        hub: Hub::default(),
        clock,
        stopped: AtomicBool::new(false),
        counts: Counts::default(),
    });
    let (jobs, queue) = mpsc::channel(limits::COMMIT_QUEUE_MAX);
    let store = Store::new(journal, index);
    let sequencer = Sequencer { shared: Arc::clone(&shared), store, key, ledger };
    let committer =
        thread::Builder::new().name("committer".into()).spawn(move || sequencer.run(queue))?;
    let broker = Broker { shared, jobs };
    Ok(Running { broker, recovery, committer, _lock: lock })
}

impl Running {
    /// Appends what must be said first: the genesis of an empty ledger, and what an
    /// unclean stop left behind.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn settle(&self) -> Result<(), super::Error> {
        if self.broker.tree().head().growth.size() == 0 {
            let mut facts = Facts { subject: self.broker.vkey().to_string(), ..Facts::default() };
            facts.set_type(EntryType::Genesis);
            facts.code = "genesis".into();
            self.broker.commit(Work::Note { facts, detail: Vec::new() }).await?;
        }
        if let Some(cut) = &self.recovery.cut {
            let mut facts = Facts { code: "cut".into(), count: cut.bytes, ..Facts::default() };
            facts.set_type(EntryType::Recovery);
            self.broker.commit(Work::Note { facts, detail: Vec::new() }).await?;
        }
        Ok(())
    }
}

/// The index and its watermark; a damaged one, or one of another ledger, is set
/// aside and begun anew.
fn usable_index(folder: &Path, ledger: [u8; 16]) -> Result<(Index, Option<Watermark>), OpenError> {
    match Index::open(folder) {
        Ok(index) => match index.watermark() {
            Some(mark) if mark.ledger == ledger => return Ok((index, Some(mark))),
            None if index.is_empty() => return Ok((index, None)),
            _ => tracing::warn!("the index belongs to another ledger and is rebuilt"),
        },
        Err(error) => tracing::warn!(%error, "the index is rebuilt"),
    }
    Index::set_aside(folder)?;
    Ok((Index::open(folder)?, None))
}

/// The head of the ledger, the index following it.
fn bring_up(
    index: &Index,
    reader: &JournalReader,
    ledger: [u8; 16],
    watermark: Option<Watermark>,
    recovery: &Recovery,
) -> Result<Head, OpenError> {
    let fold = Fold { index, reader, ledger };
    let head = match watermark {
        Some(mark) if mark.size > 0 => fold.head_at(&mark)?,
        _ => empty_head(),
    };
    fold.follow(head, recovery.size, &mut |_, _| {})
}

/// The last trailer's checkpoint must be ours, and of the tree that was folded.
fn check_last_checkpoint(
    trailer: Option<&Trailer>,
    head: &Head,
    vkey: &Vkey,
) -> Result<(), OpenError> {
    let Some(trailer) = trailer else { return Ok(()) };
    let size = head.growth.size();
    let diverged = |reason: &str| OpenError::Diverged { entry: size, reason: reason.to_owned() };
    let checkpoint = Checkpoint::open(&trailer.checkpoint, vkey)
        .map_err(|error| diverged(&format!("the last checkpoint: {error}")))?;
    match checkpoint.size() == size && checkpoint.root() == head.growth.root() {
        true => Ok(()),
        false => Err(diverged("the last checkpoint is of another tree")),
    }
}

fn directory_of(
    exchange: &str,
    index: &Index,
    reader: &JournalReader,
) -> Result<Directory, OpenError> {
    let mut directory = Directory::of(exchange);
    for (key, _) in index.range(records::directory_key(0), records::directory_key(u64::MAX)) {
        let Some(entry) = records::entry_of(&key) else { continue };
        let Detail::Present { content, .. } = stored_at(index, reader, entry)?.detail else {
            return Err(OpenError::Diverged { entry, reason: "its detail is not whole".into() });
        };
        let change = proto::decode(&content)
            .map_err(|error| OpenError::Diverged { entry, reason: error.to_string() })?;
        directory.apply(entry, &change);
    }
    Ok(directory)
}

fn stored_at(index: &Index, reader: &JournalReader, entry: u64) -> Result<Stored, OpenError> {
    let place: Place = records::unpack(index, &records::place_key(entry)).ok_or_else(|| {
        OpenError::Diverged { entry, reason: "it has no place in the index".into() }
    })?;
    Ok(reader.read(place.entry())?)
}

fn empty_head() -> Head {
    Head { growth: Growth::new(), checkpoint: Vec::new(), time: 0 }
}

fn vkey(exchange: &str, key: &SigningKey) -> Result<Vkey, OpenError> {
    Vkey::new(exchange, KeyKind::Ed25519, key.public())
        .map_err(|error| OpenError::Diverged { entry: 0, reason: error.to_string() })
}

/// Brings an index up to a journal.
struct Fold<'a> {
    index: &'a Index,
    reader: &'a JournalReader,
    ledger: [u8; 16],
}

/// Entries folded but not yet applied.
struct Pending<'a> {
    overlay: Overlay<'a>,
    places: Vec<(u64, Location)>,
    full: Vec<FullTile>,
    entries: usize,
}

impl<'a> Fold<'a> {
    /// Folds from a head up to `size`, checking every batch's root on the way.
    fn follow(
        &self,
        mut head: Head,
        size: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Head, OpenError> {
        let mut pending = self.pending();
        for scanned in self.reader.scan(head.growth.size(), size) {
            match scanned? {
                Scanned::Entry { index, location, record } => {
                    self.entry(index, location, &record, &mut head, &mut pending)?;
                }
                Scanned::Batch { trailer, location } => {
                    self.batch(trailer, location, &mut head, &mut pending)?;
                    if pending.entries >= REBUILD_ENTRIES {
                        self.apply(&head, std::mem::replace(&mut pending, self.pending()))?;
                        progress(head.growth.size(), size);
                    }
                }
            }
        }
        if pending.entries > 0 {
            self.apply(&head, pending)?;
        }
        progress(head.growth.size(), size);
        match head.growth.size() == size {
            true => Ok(head),
            false => Err(OpenError::Diverged {
                entry: head.growth.size(),
                reason: format!("the journal should hold {size} entries"),
            }),
        }
    }

    fn pending(&self) -> Pending<'a> {
        let overlay = Overlay::over(self.index);
        Pending { overlay, places: Vec::new(), full: Vec::new(), entries: 0 }
    }

    fn entry(
        &self,
        entry: u64,
        location: Location,
        record: &Stored,
        head: &mut Head,
        pending: &mut Pending<'a>,
    ) -> Result<(), OpenError> {
        let diverged = |reason: String| OpenError::Diverged { entry, reason };
        if entry != head.growth.size() {
            return Err(diverged(format!("expected entry {}", head.growth.size())));
        }
        let leaf = Leaf::decode(&record.leaf).map_err(|error| diverged(error.to_string()))?;
        if !ledger::leaf::opens(&leaf.facts, &record.facts, &record.facts_opening) {
            return Err(diverged("its facts are not those the leaf commits to".into()));
        }
        let facts: Facts =
            proto::decode(&record.facts).map_err(|error| diverged(error.to_string()))?;
        projection::apply(&mut pending.overlay, entry, leaf.time_unix_ns, &facts)
            .map_err(|refusal| diverged(format!("it does not follow: {refusal}")))?;
        head.growth.push(leaf_hash(&record.leaf), &mut pending.full);
        head.time = leaf.time_unix_ns;
        pending.places.push((entry, location));
        pending.entries += 1;
        Ok(())
    }

    fn batch(
        &self,
        trailer: Trailer,
        location: Location,
        head: &mut Head,
        pending: &mut Pending<'a>,
    ) -> Result<(), OpenError> {
        if *head.growth.root().as_bytes() != trailer.root {
            let reason = "the tree has another root than the batch says".to_owned();
            return Err(OpenError::Diverged { entry: head.growth.size(), reason });
        }
        for (entry, at) in pending.places.drain(..) {
            let place = records::pack(&Place::new(at, location));
            pending.overlay.put(records::place_key(entry), place);
        }
        head.checkpoint = trailer.checkpoint;
        Ok(())
    }

    fn apply(&self, head: &Head, mut pending: Pending<'a>) -> Result<(), OpenError> {
        for tile in &pending.full {
            let key = records::tile_key(tile.level, tile.index);
            pending.overlay.put(key, encode_tile(&tile.hashes));
        }
        let watermark = Watermark {
            ledger: self.ledger,
            size: head.growth.size(),
            root: *head.growth.root().as_bytes(),
            frontier: head.growth.frontier().to_bytes(),
            time: head.time,
        };
        Ok(self.index.apply(pending.overlay.into_changes(), &watermark)?)
    }

    /// The head that an index stands at, from its tiles and the last leaves.
    fn head_at(&self, mark: &Watermark) -> Result<Head, OpenError> {
        let diverged = |reason: String| OpenError::Diverged { entry: mark.size, reason };
        let growth = Growth::restore(self, mark.size, &Hash::from_bytes(mark.root))
            .map_err(|error| diverged(error.to_string()))?;
        let last: Place = records::unpack(self.index, &records::place_key(mark.size - 1))
            .ok_or_else(|| diverged("its last entry has no place".into()))?;
        let trailer = self.reader.read_trailer(last.trailer())?;
        Ok(Head { growth, checkpoint: trailer.checkpoint, time: mark.time })
    }
}

impl TileSource for Fold<'_> {
    type Error = ledger::Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, ledger::Error> {
        if let Some(bytes) = self.index.value(&records::tile_key(level, index)) {
            let mut hashes = decode_tile(&bytes, ledger::tiles::TILE_WIDTH)?;
            hashes.truncate(usize::from(width));
            return Ok(hashes);
        }
        if level > 0 {
            return tile_from_below(self, level, index, width);
        }
        let first = index * u64::from(ledger::tiles::TILE_WIDTH);
        (first..first + u64::from(width))
            .map(|entry| {
                stored_at(self.index, self.reader, entry)
                    .map(|record| leaf_hash(&record.leaf))
                    .map_err(|_| ledger::Error::OutOfRange)
            })
            .collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let value = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(value.to_be_bytes())
}
