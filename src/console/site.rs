//! The console itself: what its pages are made of, and what it remembers between them.
//!
//! Holds: I10, I11. Knows: broker, identity, clock, limits.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    board::{Board, Boards},
    turns::Turns,
};
use crate::{
    broker::{Broker, raised::Raised},
    clock::Moment,
    crypto::passphrase::TokenDigest,
    identity::{People, Trust},
    limits,
};

/// The console and all that its pages are made of. Clones share it.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

/// See [`Console`].
pub struct Inner {
    pub(super) broker: Broker,
    pub(super) people: Arc<People>,
    pub(super) trust: Arc<Trust>,
    /// How people reach it; what a form's origin must be.
    pub(super) url: String,
    pub(super) looks: Looks,
    pub(super) live: Arc<Semaphore>,
    pub(super) ended: CancellationToken,
    pub(super) tally: Arc<Tally>,
    /// Turns for passphrases: each takes 19 MiB and a core for a while.
    pub(super) strangers: Turns,
    pub(super) signed_in: Turns,
    /// Live pages by session.
    pub(super) watching: Mutex<HashMap<TokenDigest, usize>>,
    boards: Boards,
}

impl std::ops::Deref for Console {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What happened at the sign-in page: strangers are counted, not recorded.
#[derive(Debug, Default)]
pub struct Tally {
    /// Wrong names or passphrases, and those that had to wait.
    pub wrong: AtomicU64,
    /// Links that nobody was given, or that were used.
    pub unknown_links: AtomicU64,
}

impl Console {
    /// The console of a broker, at this address; its streams end when `ended` says so.
    pub fn new(
        broker: Broker,
        people: Arc<People>,
        trust: Arc<Trust>,
        url: String,
        ended: CancellationToken,
    ) -> Self {
        let live = Arc::new(Semaphore::new(limits::LIVE_PAGES_MAX));
        let (looks, boards, tally) = (Looks::default(), Boards::default(), Arc::default());
        Self(Arc::new(Inner {
            broker,
            people,
            trust,
            url,
            looks,
            live,
            ended,
            tally,
            strangers: Turns::new(),
            signed_in: Turns::new(),
            watching: Mutex::default(),
            boards,
        }))
    }

    /// What happened at its sign-in page.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// What is open now, walked through away from the async threads.
    pub(super) async fn board(&self) -> Arc<Board> {
        self.apart(|console| console.boards.now(&console.broker)).await
    }

    /// What is raised beside deadlines.
    pub(super) async fn raised(&self) -> Raised {
        self.apart(|console| console.broker.raised()).await
    }

    /// Does what reads much, away from the async threads.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let console = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&console)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

/// One look: by which session, at what.
type Look = (TokenDigest, &'static str, Option<u64>);

/// Who looked at what lately.
#[derive(Default)]
pub(super) struct Looks(Mutex<HashMap<Look, Moment>>);

impl Looks {
    pub(super) fn is_same(&self, look: &Look, now: Moment) -> bool {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.get(look).is_some_and(|at| now < at.after(limits::SAME_LOOK_TIME))
    }

    pub(super) fn remember(&self, look: Look, now: Moment) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= limits::LOOKS_MAX {
            looks.retain(|_, at| now < at.after(limits::SAME_LOOK_TIME));
        }
        // Beyond the bound a look is recorded each time, never not at all.
        if looks.len() < limits::LOOKS_MAX {
            looks.insert(look, now);
        }
    }
}

/// Counts one.
pub(super) fn tick(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
