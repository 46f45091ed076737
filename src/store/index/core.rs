//! What readers, the writer and the keeper share, and how they wait for one another.
//!
//! Two locks: `layers` for what there is, `signal` for who waits. Whoever has `signal` may take
//! `layers`, never the other way round.
//!
//! Holds: I5, I10. Knows: nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    IndexError,
    layers::{Layers, Recent},
    manifest::Manifest,
    run::{Run, RunMeta},
    shelf::Shelf,
    ways::Ways,
};
use crate::limits::INDEX_CHECKED_BYTES;

/// In the folder of an index in which a read has failed, so that the next start knows.
const DAMAGED: &str = "damaged";

/// What the keeper is to do next.
pub(super) enum Task {
    Stop,
    Tidy,
    Write(Arc<Recent>),
}

#[derive(Default)]
struct Signal {
    stopping: bool,
    ended: bool,
    idle: bool,
}

/// What readers, the writer and the keeper share.
pub(super) struct Core {
    pub(super) shelf: Shelf,
    pub(super) folder: PathBuf,
    pub(super) recent_bytes_max: usize,
    pub(super) ways: Arc<Ways>,
    layers: RwLock<Layers>,
    signal: Mutex<Signal>,
    bell: Condvar,
    /// A read has failed: "not there" can no longer be told from "not readable".
    damaged: AtomicBool,
}

impl Core {
    /// Opens the folder and looks at the newest runs, as many as a start has time for.
    pub(super) fn open(
        folder: &Path,
        recent_bytes_max: usize,
    ) -> Result<(Arc<Self>, Manifest), IndexError> {
        if folder.join(DAMAGED).exists() {
            return Err(IndexError::Damaged("a read failed before it was closed".into()));
        }
        let shelf = Shelf::open(folder)?;
        let manifest = Manifest::read(&shelf)?;
        let ways = Arc::new(Ways::default());
        let open = |meta: &RunMeta| Run::open(folder, meta.clone(), &ways).map(Arc::new);
        let runs = manifest.runs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut left = INDEX_CHECKED_BYTES;
        for run in &runs {
            let Some(then_left) = left.checked_sub(run.meta.bytes) else { break };
            left = then_left;
            run.check()?;
        }
        let core = Self {
            shelf,
            folder: folder.to_path_buf(),
            recent_bytes_max,
            ways: Arc::clone(&ways),
            layers: RwLock::new(Layers::of(runs, manifest.watermark.clone())),
            signal: Mutex::default(),
            bell: Condvar::new(),
            damaged: AtomicBool::new(false),
        };
        Ok((Arc::new(core), manifest))
    }

    pub(super) fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn runs(&self) -> Arc<[Arc<Run>]> {
        Arc::clone(&self.layers().runs)
    }

    fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, signal: MutexGuard<'a, Signal>) -> MutexGuard<'a, Signal> {
        self.bell.wait(signal).unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone who waits, to look again.
    fn ring(&self) {
        let _signal = self.signal();
        self.bell.notify_all();
    }

    // --- damage ---

    /// A read's result; a failed one is remembered.
    pub(super) fn noted<T>(&self, read: Result<T, IndexError>) -> Option<T> {
        read.inspect_err(|error| self.fail(error)).ok()
    }

    /// From now on the index is damaged, for this process and the next.
    pub(super) fn fail(&self, error: &IndexError) {
        if !self.damaged.swap(true, Ordering::SeqCst) {
            tracing::error!(%error, "the index cannot be read or written");
            if let Err(error) = fs::write(self.folder.join(DAMAGED), b"") {
                tracing::warn!(%error, "the damage of the index could not be noted");
            }
        }
        self.ring();
    }

    pub(super) fn must_be_whole(&self) -> Result<(), IndexError> {
        match self.damaged.load(Ordering::SeqCst) {
            true => Err(IndexError::Damaged("a read or a write failed".into())),
            false => Ok(()),
        }
    }

    // --- the writer's side ---

    /// Hands the recent changes to the keeper if there are more bytes than this. Waits while it
    /// still has others: so memory is bounded, and a writer too fast for the disk is slowed.
    pub(super) fn hand_over(&self, beyond_bytes: usize) -> Result<(), IndexError> {
        loop {
            self.must_be_whole()?;
            let mut layers = self.layers_mut();
            if layers.recent.bytes <= beyond_bytes {
                return Ok(());
            }
            if layers.frozen.is_none() {
                layers.frozen = Some(Arc::new(std::mem::take(&mut layers.recent)));
                drop(layers);
                self.ring();
                return Ok(());
            }
            drop(layers);
            self.written_out()?;
        }
    }

    /// Waits until the keeper has written what it was handed.
    pub(super) fn written_out(&self) -> Result<(), IndexError> {
        let mut signal = self.signal();
        while self.layers().frozen.is_some() {
            self.must_be_whole()?;
            if signal.ended {
                return Err(IndexError::Damaged("its keeper has ended".into()));
            }
            signal = self.wait(signal);
        }
        Ok(())
    }

    /// Tells the keeper to end once nothing waits to be written.
    pub(super) fn stop(&self) {
        self.signal().stopping = true;
        self.ring();
    }

    /// Waits until the keeper has nothing left to do.
    #[cfg(test)]
    pub(super) fn settled(&self) {
        let mut signal = self.signal();
        while !signal.ended && (!signal.idle || self.layers().frozen.is_some()) {
            signal = self.wait(signal);
        }
    }

    // --- the keeper's side ---

    /// What to do next. With nothing to tidy it waits.
    pub(super) fn next_task(&self, idle: bool) -> Task {
        let mut signal = self.signal();
        loop {
            signal.idle = false;
            // Dropped without a flush, what is in memory is folded again.
            if signal.stopping {
                return Task::Stop;
            }
            if let Some(frozen) = self.layers().frozen.clone() {
                return Task::Write(frozen);
            }
            if !idle {
                return Task::Tidy;
            }
            signal.idle = true;
            self.bell.notify_all();
            signal = self.wait(signal);
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.signal().stopping
    }

    /// What was frozen is in the first of these runs.
    pub(super) fn written(&self, runs: Vec<Arc<Run>>) {
        let mut layers = self.layers_mut();
        layers.runs = runs.into();
        let frozen = layers.frozen.take();
        drop(layers);
        drop(frozen); // many small pieces: not while readers wait
        self.ring();
    }

    /// These runs say what those before them said.
    pub(super) fn merged(&self, runs: Vec<Arc<Run>>) {
        self.layers_mut().runs = runs.into();
    }

    pub(super) fn ended(&self) {
        self.signal().ended = true;
        self.ring();
    }
}
