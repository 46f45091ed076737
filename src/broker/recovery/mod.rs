//! How an exchange starts: whatever the disk says, found out, checked, and folded by
//! the same code that commits.
//!
//! [`folder`] is the data folder and how it is made, [`fold`] brings an index up to a
//! journal, and [`open`] puts the two together with a committer.
//!
//! Holds: I4, I5, I9. Knows: store, ledger, directory, crypto, proto, clock.

mod ahead;
mod fold;
mod folder;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use self::fold::{Fold, empty_head, stored_at};
pub use self::folder::{DataFolder, Reindexed};
use super::{
    Broker, Counts, Shared,
    certificates::Certificates,
    draft::Work,
    hub::Hub,
    receipt::Recent,
    records,
    sequencer::Sequencer,
    tree::{Head, Tree},
    witnessed::Witnesses,
};
use crate::{
    clock::Clock,
    crypto::{
        keyfile::{self, KeyFileError},
        sign::{KeyError, SigningKey},
    },
    directory::Directory,
    ledger::{
        checkpoint::Checkpoint,
        note::{KeyKind, Vkey},
    },
    limits,
    proto::{self, EntryType, Facts},
    store::{
        Index, IndexError, JournalError, JournalReader, Store, Watermark,
        journal::{Damage, Detail, Evidence, Fault, Recovery, Source, Trailer},
        lock::{DataLock, LockError},
    },
};

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
    #[error("the journal: {}{}", .0, advice(.0))]
    Journal(#[from] JournalError),
    /// The index cannot even be made anew.
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    /// An entry's detail is not what was written.
    #[error(
        "the journal: {segment:020}.seg at byte {offset}, entry {entry}: its detail is not what \
         was written. Nothing was changed. Run `cairn fsck` on the data folder, keep a copy of it \
         as it is, then restore the newest whole copy of the journal"
    )]
    DamagedDetail {
        /// Which entry.
        entry: u64,
        /// The segment, by its first entry.
        segment: u64,
        /// Where the entry begins in it.
        offset: u64,
    },
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

/// What a person must do about a journal that will not open.
fn advice(error: &JournalError) -> &'static str {
    match error {
        JournalError::Damaged(damage) if is_behind_a_witness(damage) => {
            ". This is an older copy of the ledger, or its end is lost. Nothing was changed and \
             nothing is served: to go on from here would be a second history, and others have \
             cosigned the first. Find the newest whole copy of the journal; if there is none, leave \
             it stopped and tell the agencies and auditors"
        }
        JournalError::Damaged(_) => {
            ". Nothing was changed. Run `cairn fsck` on the data folder, keep a copy of it as it is, \
             then restore the newest whole copy of the journal. Never go on from an older one: \
             others hold receipts for what it lacks"
        }
        _ => "",
    }
}

fn is_behind_a_witness(damage: &Damage) -> bool {
    matches!(damage.fault, Fault::Acknowledged { by: Source::Witness, .. })
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
    open_knowing(folder, clock, None)
}

/// The same, knowing how many entries of this ledger somebody else has cosigned: one that holds
/// fewer is an older copy, and does not go on.
///
/// # Errors
/// [`OpenError`]; nothing is served then.
pub fn open_knowing(
    folder: &DataFolder,
    clock: Arc<dyn Clock>,
    witnessed: Option<u64>,
) -> Result<Running, OpenError> {
    let (exchange, ledger) = folder.read_settings()?;
    let lock = DataLock::acquire(folder.path())?;
    let key = keyfile::read_signing_key(&folder.keys().join("ledger.key"))?;
    let secret = keyfile::read_exchange_secret(&folder.keys().join("exchange.secret"))?;
    let vkey = vkey(&exchange, &key)?;
    let (mut index, watermark) = usable_index(&folder.index(), ledger)?;
    let evidence =
        Evidence { index_watermark: watermark.as_ref().map(|mark| mark.size), witnessed };
    let label = format!("{}", clock.now().0);
    let (journal, recovery) = folder.open_journal(ledger, evidence, &label)?;
    if let Some(doubtful) = recovery.doubtful.first() {
        // Nothing erases a detail yet, so one that is not whole is damage.
        let (segment, offset) = (doubtful.location.segment, doubtful.location.offset);
        if recovery.clean {
            journal.close_clean()?; // as it was found
        }
        return Err(OpenError::DamagedDetail { entry: doubtful.number, segment, offset });
    }
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
        recent: Recent::default(),
        admission: Arc::default(),
        hub: Hub::default(),
        certificates: Certificates::default(),
        started: clock.now(),
        clock,
        stopped: AtomicBool::new(false),
        low: AtomicBool::new(false),
        quiet: super::raised::Quiet::default(),
        witnesses: Witnesses::default(),
        counts: Counts::default(),
    });
    let (jobs, queue) = mpsc::channel(limits::COMMIT_QUEUE_MAX);
    let store = Store::new(journal, index);
    let sequencer = Sequencer { shared: Arc::clone(&shared), store, key, ledger };
    #[cfg(test)]
    let planted = crate::planted::here();
    let committer = thread::Builder::new().name("committer".into()).spawn(move || {
        #[cfg(test)]
        let _planted = crate::planted::plant(planted);
        sequencer.run(queue);
    })?;
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
            self.note(facts).await?;
        }
        if let Some(cut) = &self.recovery.cut {
            let mut facts = Facts { code: "cut".into(), count: cut.bytes, ..Facts::default() };
            facts.set_type(EntryType::Recovery);
            self.note(facts).await?;
        }
        Ok(())
    }

    async fn note(&self, facts: Facts) -> Result<(), super::Error> {
        let work = Work::Note { facts: Box::new(facts), detail: Vec::new() };
        self.broker.commit(work, None).await.map(drop)
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
    for (key, _) in index.range(&records::directory_key(0), &records::directory_key(u64::MAX)) {
        let Some(entry) = records::entry_of(&key) else { continue };
        let Detail::Present { content, .. } = stored_at(index, reader, entry)?.detail else {
            return Err(OpenError::Diverged { entry, reason: "its detail is not whole".into() });
        };
        let change = proto::decode(&content)
            .map_err(|error| OpenError::Diverged { entry, reason: error.to_string() })?;
        directory.apply(entry, &change);
    }
    index.must_be_whole()?;
    Ok(directory)
}

fn vkey(exchange: &str, key: &SigningKey) -> Result<Vkey, OpenError> {
    Vkey::new(exchange, KeyKind::Ed25519, key.public())
        .map_err(|error| OpenError::Diverged { entry: 0, reason: error.to_string() })
}
