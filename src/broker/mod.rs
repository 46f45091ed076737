//! The broker: takes statements, commits them, delivers them, answers questions.
//!
//! The flow, in the order of the files: `admission` (fair shares), [`submit`] (authenticate → known request? →
//! permit → commit → receipt), `draft` and `sequencer` (the single writer), [`projection`]
//! (what entries mean), [`receive`] (what waits for whom), [`escalation`] (who is told when nobody
//! acts), [`raised`] (what else somebody should look at), [`on_call`] (what on-call staff do), [`ask`]
//! (questions, each an entry), [`witnessed`] (what others have cosigned), [`recovery`] (how it starts).
//!
//! Holds: I1, I2, I6, I7, I8, I9, I11. Knows: identity, policy, directory, store,
//! ledger, domain, crypto, proto, clock, limits.

mod admission;
pub mod ask;
mod certificates;
mod draft;
pub mod escalation;
pub mod find;
pub mod hub;
pub mod on_call;
#[cfg(test)]
mod power_tests;
pub mod projection;
pub mod raised;
pub mod receipt;
pub mod receive;
pub mod records;
pub mod recovery;
mod sameness;
mod sequencer;
pub mod submit;
pub mod tree;
pub mod witnessed;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::{
    clock::{Clock, Moment},
    crypto::tag::ExchangeSecret,
    directory::Directory,
    domain::refusal::Refusal,
    ledger::note::Vkey,
    store::{Index, JournalReader},
};
use admission::Admission;
use certificates::Certificates;
use hub::Hub;
use receipt::Recent;
use sequencer::Job;
use tree::Tree;
use witnessed::Witnesses;

/// Why the broker did not do what was asked, by what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's to mend. Recorded.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Come again after this long.
    #[error("the exchange is busy")]
    Busy(Duration),
    /// It may or may not be in the ledger: send it again with the same request id.
    #[error("it is not known whether this was stored; send it again with the same request id")]
    Unknown,
    /// Ours to mend. The text is for our own eyes.
    #[error("{0}")]
    Broken(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// What committer, callers and streams share.
pub struct Shared {
    exchange: String,
    vkey: Vkey,
    secret: ExchangeSecret,
    index: Index,
    journal: JournalReader,
    directory: ArcSwap<Directory>,
    tree: Tree,
    recent: Recent,
    admission: Arc<Admission>,
    hub: Hub,
    certificates: Certificates,
    /// When the exchange was opened.
    started: Moment,
    clock: Arc<dyn Clock>,
    stopped: AtomicBool,
    /// The disk is so full that concerns are put off.
    low: AtomicBool,
    /// Agencies that usually speak at this time of the week, and do not.
    quiet: raised::Quiet,
    /// What others have cosigned.
    witnesses: Witnesses,
    counts: Counts,
}

impl Shared {
    /// Now, but never before the ledger's last entry: a clock that is set back turns
    /// neither entry times back nor the keys and agreements judged by them.
    fn now(&self) -> Moment {
        self.clock.now().max(Moment(self.tree.time()))
    }
}

/// What is counted, not recorded.
#[derive(Debug, Default)]
pub struct Counts {
    /// Batches committed, one `fdatasync` each.
    pub batches: AtomicU64,
    /// Entries committed.
    pub entries: AtomicU64,
    /// Refusals, the first of each kind and its repeats.
    pub refusals: AtomicU64,
    /// Statements that had been accepted before.
    pub repeats: AtomicU64,
    /// Statements offered on Receive streams.
    pub offered: AtomicU64,
    /// How far the clock was found behind the ledger's last entry, nanoseconds.
    pub clock_behind: AtomicU64,
}

/// The broker. Clones share it.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

impl Broker {
    /// The exchange's origin name.
    pub fn exchange(&self) -> &str {
        &self.shared.exchange
    }

    /// The verifier key of the ledger.
    pub fn vkey(&self) -> &Vkey {
        &self.shared.vkey
    }

    /// Who is who now.
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.load_full()
    }

    /// The index, for questions.
    pub fn index(&self) -> &Index {
        &self.shared.index
    }

    /// The tree, for proofs.
    pub fn tree(&self) -> &Tree {
        &self.shared.tree
    }

    /// What is counted.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Now, as the ledger counts it.
    pub fn now(&self) -> Moment {
        self.shared.now()
    }

    /// When the exchange was opened.
    pub fn started(&self) -> Moment {
        self.shared.started
    }

    /// Whether the disk is so full that concerns are put off.
    pub fn is_low(&self) -> bool {
        self.shared.low.load(Ordering::Relaxed)
    }

    /// How many statements are being judged, queued or committed; 0 when everything taken so
    /// far has been answered.
    pub fn under_way(&self) -> usize {
        self.shared.admission.under_way()
    }

    /// Whether it can still take statements.
    pub fn is_running(&self) -> bool {
        !self.shared.stopped.load(Ordering::SeqCst) && !self.jobs.is_closed()
    }
}
