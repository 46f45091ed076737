//! What witnesses have cosigned of this ledger, as everybody here sees it.
//!
//! The commit path knows nothing of it: an entry is logged first, and witnessed later or not.
//!
//! Holds: I4. Knows: clock.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::Broker;
use crate::clock::Moment;

/// The newest checkpoint that enough witnesses have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The signed note, with their lines.
    pub checkpoint: Vec<u8>,
    /// How many entries it covers.
    pub size: u64,
    /// When there were enough.
    pub at: Moment,
}

/// How one witness does.
#[derive(Debug)]
pub struct WitnessCounts {
    /// Its name in the settings.
    pub name: String,
    /// When it last cosigned, Unix seconds; 0: not since the start.
    pub last: AtomicU64,
    /// Questions that it did not answer with a cosignature, since the start.
    pub failed: AtomicU64,
    /// Whether it knows of another history than this ledger's.
    pub disagrees: AtomicBool,
}

/// The witnesses of this exchange.
#[derive(Debug, Default)]
pub struct Witnesses {
    cosigned: ArcSwapOption<Cosigned>,
    asked: ArcSwapOption<Vec<WitnessCounts>>,
    now: Notify,
}

impl Witnesses {
    /// Says which are asked from now on.
    pub fn begin(&self, counts: Arc<Vec<WitnessCounts>>) {
        self.asked.store(Some(counts));
    }

    /// Publishes a checkpoint that is cosigned, and durable with its lines.
    pub fn publish(&self, cosigned: Cosigned) {
        self.cosigned.store(Some(Arc::new(cosigned)));
    }

    /// The newest checkpoint that enough of them have cosigned.
    pub fn cosigned(&self) -> Option<Arc<Cosigned>> {
        self.cosigned.load_full()
    }

    /// How each of them does; empty if none is set up.
    pub fn asked(&self) -> Arc<Vec<WitnessCounts>> {
        self.asked.load_full().unwrap_or_default()
    }

    /// Whether any is set up.
    pub fn is_set_up(&self) -> bool {
        self.asked.load().is_some()
    }

    /// How many know of another history.
    pub fn disagreeing(&self) -> usize {
        let asked = self.asked();
        asked.iter().filter(|witness| witness.disagrees.load(Ordering::Relaxed)).count()
    }

    /// Asks them now, not only when it is time.
    pub fn ask_now(&self) {
        self.now.notify_one();
    }

    /// Ready when somebody wants them asked now.
    pub async fn wanted(&self) {
        self.now.notified().await;
    }
}

impl Broker {
    /// What witnesses have cosigned.
    pub fn witnesses(&self) -> &Witnesses {
        &self.shared.witnesses
    }
}
