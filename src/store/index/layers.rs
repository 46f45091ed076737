//! The layers of the index, newest first: recent changes, those being written, the runs.
//!
//! A reader sees them all under one lock, so that a batch is there whole or not at all.
//!
//! Holds: I5, I10. Knows: limits.

use std::{ops::Bound, sync::Arc};

use super::{
    Changes, IndexError, Key, Watermark,
    merge::{MapSource, Merged, Source},
    run::{Run, RunCursor},
};
use crate::limits::INDEX_WALK_KEYS_MAX;

/// What a change takes in memory beside its value and a key too long to lie in the map, in bytes:
/// its place there, and an allocation. Measured.
const CHANGE_BYTES: usize = 128;

/// Changes in memory, and how far the ledger was followed with them.
#[derive(Default)]
pub(super) struct Recent {
    pub(super) changes: Changes,
    pub(super) bytes: usize,
    pub(super) watermark: Option<Watermark>,
}

impl Recent {
    /// Takes a batch on top of what is there.
    pub(super) fn take(&mut self, changes: Changes, watermark: Watermark) {
        self.watermark = Some(watermark);
        if self.changes.is_empty() {
            // A rebuild brings a layer's worth at once.
            self.bytes = changes.iter().map(|(key, value)| cost(key, value.as_ref())).sum();
            self.changes = changes;
            return;
        }
        for (key, value) in changes {
            self.bytes += cost(&key, value.as_ref());
            let keyed = elsewhere(&key);
            if let Some(old) = self.changes.insert(key, value) {
                self.bytes -= CHANGE_BYTES + keyed + old.map_or(0, |old| old.len());
            }
        }
    }
}

fn cost(key: &Key, value: Option<&Vec<u8>>) -> usize {
    CHANGE_BYTES + elsewhere(key) + value.map_or(0, Vec::len)
}

/// What of a key does not lie in the map, in bytes.
fn elsewhere(key: &Key) -> usize {
    if key.spilled() { key.len() } else { 0 }
}

/// All that a reader may look into.
pub(super) struct Layers {
    pub(super) recent: Recent,
    /// Full, and on its way to the shelf.
    pub(super) frozen: Option<Arc<Recent>>,
    /// Newest first.
    pub(super) runs: Arc<[Arc<Run>]>,
    /// How far the index follows the ledger now. The manifest's may be behind.
    pub(super) watermark: Option<Watermark>,
}

/// A part of a walk.
pub(super) struct Walked {
    pub(super) found: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where to go on; `None` at the end.
    pub(super) next: Option<Vec<u8>>,
}

impl Layers {
    pub(super) fn of(runs: Vec<Arc<Run>>, watermark: Option<Watermark>) -> Self {
        Self { recent: Recent::default(), frozen: None, runs: runs.into(), watermark }
    }

    /// What the layers in memory say of a key: nothing, that it is removed, or its value.
    pub(super) fn in_memory(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let frozen = || self.frozen.as_ref()?.changes.get(key);
        self.recent.changes.get(key).or_else(frozen).cloned()
    }

    /// Keys and values from `from` on and below `below`, at most `limit`; `prefix` is what
    /// they all begin with. Looks at so many keys and no more, removed ones included.
    pub(super) fn walk(
        &self,
        from: &[u8],
        below: Option<&[u8]>,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Walked, IndexError> {
        let mut sources: Vec<Box<dyn Source + '_>> = Vec::new();
        for recent in std::iter::once(&self.recent).chain(self.frozen.as_deref()) {
            sources.push(Box::new(MapSource::new(
                recent.changes.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)),
            )));
        }
        for run in self.runs.iter() {
            if run.may_begin(prefix)? {
                sources.push(Box::new(RunCursor::seek(run, from)?));
            }
        }
        let mut merged = Merged::new(sources);
        let mut found = Vec::new();
        for _ in 0..INDEX_WALK_KEYS_MAX {
            let Some((key, value)) = merged.entry() else {
                return Ok(Walked { found, next: None });
            };
            if below.is_some_and(|below| key >= below) {
                return Ok(Walked { found, next: None });
            }
            if found.len() == limit {
                break;
            }
            if let Some(value) = value {
                found.push((key.to_vec(), value.to_vec()));
            }
            merged.advance()?;
        }
        let next = merged.entry().map(|(key, _)| key.to_vec());
        Ok(Walked { found, next })
    }
}

/// The least key beyond all that begin so; `None` if there is none.
pub(super) fn beyond(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut beyond = prefix[..=last].to_vec();
    beyond[last] += 1;
    Some(beyond)
}

/// What two keys both begin with.
pub(super) fn common<'a>(one: &'a [u8], other: &[u8]) -> &'a [u8] {
    let shared = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    &one[..shared]
}
