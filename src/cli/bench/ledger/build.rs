//! Grows a ledger: many flows at once at a broker in this process, its rate taken in windows.
//!
//! Nothing is kept of what was said: memory does not grow with the ledger but by a number for
//! each window and a bounded sample of concerns.
//!
//! Knows: broker, clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    super::{
        super::{exchange::Exchange, progress::Bar},
        child::Usage,
        stats::Rounds,
    },
    Built,
    flow::{Cast, Wanted},
};
use crate::{
    broker::recovery::{self, DataFolder},
    clock::{Clock, SystemClock},
};

/// Concerns under way at once.
const FLOWS: usize = 256;
/// A window of a large ledger, in entries.
const WINDOW_MAX: u64 = 50_000;
/// A small ledger has about so many.
const WINDOWS: u64 = 10;
/// So many windows count as early, after the first, and so many as late.
const COUNTED: usize = 3;
/// Concerns that are kept to ask about, at most.
const SAMPLE_MAX: u64 = 2_000;

/// How fast it grew.
pub(super) struct Rates {
    /// Entries of a window.
    pub(super) window: u64,
    /// Entries a second, window after window.
    windows: Vec<f64>,
    seconds: f64,
    entries: u64,
    pub(super) envelope_bytes: f64,
    pub(super) resident_most: u64,
}

impl Rates {
    /// The windows after the first one, in which everything begins at once.
    pub(super) fn early(&self) -> Rounds {
        Rounds(self.windows.iter().skip(1).take(COUNTED).copied().collect())
    }

    pub(super) fn late(&self) -> Rounds {
        Rounds(self.windows.iter().rev().take(COUNTED).copied().collect())
    }

    pub(super) fn all(&self) -> f64 {
        self.entries as f64 / self.seconds
    }
}

/// Grows the ledger of an exchange that is founded, loaded and not served.
pub(super) async fn build(exchange: Exchange, wanted: &Wanted) -> anyhow::Result<(Built, Rates)> {
    let folder = DataFolder::at(exchange.folder.join("data"));
    let running = tokio::task::block_in_place(|| recovery::open(&folder, Arc::new(SystemClock)))?;
    running.settle().await?;
    let begun_at = SystemClock.now().0;
    let cast = Arc::new(Cast::of(&exchange, &running.broker, wanted)?);
    let envelope_bytes = cast.maker.one(0).bytes() as f64;
    let grown = grow(&cast, wanted).await;
    let size = running.broker.tree().head().growth.size();
    let times = (begun_at, SystemClock.now().0);
    drop(cast);
    tokio::task::block_in_place(|| running.close());
    let (concerns, window, windows, seconds) = grown?;
    let entries = wanted.entries;
    let resident_most = Usage::own()?.resident_most;
    let rates = Rates { window, windows, seconds, entries, envelope_bytes, resident_most };
    Ok((Built { size, concerns, times }, rates))
}

type Grown = (Vec<u64>, u64, Vec<f64>, f64);

async fn grow(cast: &Arc<Cast>, wanted: &Wanted) -> anyhow::Result<Grown> {
    let (next, full) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let per_concern = if wanted.concerns_only { 1 } else { 11 };
    let step = (wanted.entries / per_concern / SAMPLE_MAX).max(1);
    let mut flows = JoinSet::new();
    for _ in 0..FLOWS {
        let (cast, next, full) = (Arc::clone(cast), Arc::clone(&next), Arc::clone(&full));
        flows.spawn(async move {
            let mut sample = Vec::new();
            while !full.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let concern = cast.see_through(number).await?;
                if number.is_multiple_of(step) {
                    sample.push(concern);
                }
            }
            anyhow::Ok(sample)
        });
    }
    let window = (wanted.entries / WINDOWS).clamp(1, WINDOW_MAX);
    let (begun, bar) = (Instant::now(), Bar::of("entries"));
    let mut windows = Windows { window, at: (0, begun), rates: Vec::new() };
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut concerns = Vec::new();
    // Looked at from outside: the flows themselves never wait for a measurement.
    while !flows.is_empty() {
        tokio::select! {
            Some(done) = flows.join_next() => concerns.extend(done??),
            _ = tick.tick() => {
                let grown = cast.accepted.load(Ordering::Relaxed);
                bar.at(grown.min(wanted.entries), wanted.entries);
                if !full.load(Ordering::Relaxed) {
                    windows.look(grown);
                    full.store(grown >= wanted.entries, Ordering::Relaxed);
                }
            }
        }
    }
    concerns.sort_unstable();
    Ok((concerns, window, windows.rates, begun.elapsed().as_secs_f64()))
}

/// Rates of windows that are over.
struct Windows {
    window: u64,
    /// Where the present one began.
    at: (u64, Instant),
    rates: Vec<f64>,
}

impl Windows {
    fn look(&mut self, grown: u64) {
        let (entries, since) = self.at;
        if grown - entries >= self.window {
            let now = Instant::now();
            self.rates.push((grown - entries) as f64 / now.duration_since(since).as_secs_f64());
            self.at = (grown, now);
        }
    }
}
