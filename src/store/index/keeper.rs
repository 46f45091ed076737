//! The keeper: the thread that writes full layers to the shelf as runs, and merges runs.
//!
//! Writing goes before merging, so that nobody waits for a merge unless runs pile up. A manifest
//! names a run only when all of it is on the shelf; what a merge has replaced is removed when no
//! reader is in it any more. An error or a panic here marks the index damaged and sets everyone
//! free who waits.
//!
//! Holds: I5, I10. Knows: limits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    IndexError,
    core::{Core, Task},
    layers::Recent,
    manifest::Manifest,
    merge::{Merged, Source},
    page::Kind,
    run::{Run, RunCursor, RunMeta, RunWriter, page_key},
};
use crate::{
    limits::{INDEX_RUNS_MAX, INDEX_RUNS_MERGED},
    store::{disk::RealDisk, files::Durable as _},
};

/// Pages of a run that is gone, removed at once.
const REMOVED_AT_ONCE: usize = 64;
const KINDS: [Kind; 2] = [Kind::Block, Kind::Filter];

/// What the keeper's thread owns.
pub(super) struct Keeper {
    core: Arc<Core>,
    manifest: Manifest,
    /// Merged away; a reader may still be in them.
    retired: Vec<Arc<Run>>,
    /// Runs whose pages nobody will ask for again.
    gone: Vec<u64>,
}

/// What became of a merge.
enum Merge {
    Done(Option<RunMeta>),
    GivenUp,
}

impl Keeper {
    pub(super) fn new(core: Arc<Core>, manifest: Manifest) -> Self {
        Self { core, manifest, retired: Vec::new(), gone: Vec::new() }
    }

    /// Keeps until told to stop.
    pub(super) fn run(mut self) {
        let core = Arc::clone(&self.core);
        let ended = catch_unwind(AssertUnwindSafe(|| self.keep()));
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => core.fail(&error),
            Err(_) => core.fail(&IndexError::Damaged("its keeper panicked".into())),
        }
        // Its share of the shelf goes before anyone is told.
        drop(self);
        core.ended();
    }

    fn keep(&mut self) -> Result<(), IndexError> {
        self.gone = self.leftovers()?;
        loop {
            let due = self.due();
            let idle = due.is_empty() && self.gone.is_empty();
            match self.core.next_task(idle) {
                Task::Stop => return Ok(()),
                Task::Write(frozen) => self.write(&frozen)?,
                Task::Tidy if self.gone.is_empty() => self.merge(due)?,
                Task::Tidy => self.remove_some()?,
            }
            self.retire();
        }
    }

    /// Writes a full layer as the newest run.
    fn write(&mut self, frozen: &Recent) -> Result<(), IndexError> {
        let oldest = self.manifest.runs.is_empty();
        let mut writer = RunWriter::new(&self.core.shelf)?;
        for (key, value) in &frozen.changes {
            if !oldest || value.is_some() {
                writer.push(key, value.as_deref())?;
            }
        }
        let run = writer.finish()?;
        self.manifest.watermark.clone_from(&frozen.watermark);
        self.manifest.runs.splice(0..0, run.clone());
        self.put_manifest()?;
        let runs = self.runs(|runs| {
            runs.splice(0..0, run);
        });
        self.core.written(runs);
        Ok(())
    }

    /// Runs to merge now, newest first: enough of one size, and all newer ones.
    fn due(&self) -> Vec<Arc<Run>> {
        let runs = self.core.runs();
        let tier = |run: &Run| tier(run.meta.bytes, self.core.recent_bytes_max as u64);
        for wanted in 0..=runs.iter().map(|run| tier(run)).max().unwrap_or(0) {
            let group: Vec<_> = runs.iter().take_while(|run| tier(run) <= wanted).collect();
            if group.iter().filter(|run| tier(run) == wanted).count() >= INDEX_RUNS_MERGED {
                return match self.has_room_for(&group) {
                    true => group.into_iter().cloned().collect(),
                    false => Vec::new(),
                };
            }
        }
        Vec::new()
    }

    /// A merge must not take the room that the journal needs.
    fn has_room_for(&self, group: &[&Arc<Run>]) -> bool {
        let bytes = group.iter().map(|run| run.meta.bytes).sum();
        RealDisk.must_have_room(&self.core.folder, bytes).is_ok()
    }

    fn merge(&mut self, group: Vec<Arc<Run>>) -> Result<(), IndexError> {
        let Merge::Done(merged) = self.merged(&group)? else { return Ok(()) };
        let Some(at) = group.first().and_then(|newest| self.place_of(newest)) else {
            return Err(IndexError::Damaged("a merged run is not in the manifest".into()));
        };
        let group_places = at..at + group.len();
        self.manifest.runs.splice(group_places.clone(), merged.clone());
        self.put_manifest()?;
        // On its way to the disk before anything that it no longer names goes.
        self.core.shelf.flush()?;
        let runs = self.runs(|runs| {
            runs.splice(group_places, merged);
        });
        self.core.merged(runs);
        self.retired.extend(group);
        Ok(())
    }

    fn place_of(&self, run: &Run) -> Option<usize> {
        self.manifest.runs.iter().position(|meta| meta.id == run.meta.id)
    }

    /// Writes one run that says what the group says. What falls due meanwhile is written first.
    fn merged(&mut self, group: &[Arc<Run>]) -> Result<Merge, IndexError> {
        let oldest =
            group.last().map(|run| run.meta.id) == self.manifest.runs.last().map(|meta| meta.id);
        let sources: Result<Vec<_>, IndexError> = group
            .iter()
            .map(|run| Ok(Box::new(RunCursor::seek(run, b"")?) as Box<dyn Source>))
            .collect();
        let mut source = Merged::new(sources?);
        let mut writer = RunWriter::new(&self.core.shelf)?;
        while let Some((key, value)) = source.entry() {
            // Nothing older is left that a removal would hide.
            let kept = !oldest || value.is_some();
            let page_done = kept && writer.push(key, value)?;
            if page_done && self.is_called_away()? {
                return Ok(Merge::GivenUp);
            }
            source.advance()?;
        }
        Ok(Merge::Done(writer.finish()?))
    }

    /// Whether to stop. Writes what waits, unless runs have piled up.
    fn is_called_away(&mut self) -> Result<bool, IndexError> {
        if self.manifest.runs.len() >= INDEX_RUNS_MAX {
            return Ok(self.core.is_stopping());
        }
        match self.core.next_task(false) {
            Task::Stop => Ok(true),
            Task::Write(frozen) => self.write(&frozen).map(|()| false),
            Task::Tidy => Ok(false),
        }
    }

    /// Only when its runs are whole: sled's log keeps the order of what it is given.
    fn put_manifest(&mut self) -> Result<(), IndexError> {
        self.core.shelf.flush()?;
        self.manifest = std::mem::take(&mut self.manifest).put(&self.core.shelf)?;
        Ok(())
    }

    /// The runs as they are after a change of their descriptions.
    fn runs(&self, change: impl FnOnce(&mut Vec<RunMeta>)) -> Vec<Arc<Run>> {
        let old = self.core.runs();
        let mut metas: Vec<RunMeta> = old.iter().map(|run| run.meta.clone()).collect();
        change(&mut metas);
        let known = |meta: &RunMeta| old.iter().find(|run| run.meta.id == meta.id).cloned();
        metas
            .into_iter()
            .map(|meta| {
                known(&meta).unwrap_or_else(|| Arc::new(Run::new(meta, self.core.shelf.clone())))
            })
            .collect()
    }

    /// Runs that no reader is in any more are gone.
    fn retire(&mut self) {
        let (still_read, free): (Vec<_>, Vec<_>) =
            self.retired.drain(..).partition(|run| Arc::strong_count(run) > 1);
        self.retired = still_read;
        self.gone.extend(free.iter().map(|run| run.meta.id));
    }

    fn remove_some(&mut self) -> Result<(), IndexError> {
        let Some(&run) = self.gone.last() else { return Ok(()) };
        for kind in KINDS {
            let (from, below) = pages_of(kind, run);
            let keys = self.core.shelf.keys(&from, &below, REMOVED_AT_ONCE)?;
            for key in &keys {
                self.core.shelf.remove(key)?;
            }
            if keys.len() == REMOVED_AT_ONCE {
                return Ok(());
            }
        }
        self.gone.pop();
        Ok(())
    }

    /// Runs on the shelf that the manifest does not name: a crash or a stop came between.
    fn leftovers(&self) -> Result<Vec<u64>, IndexError> {
        let named = |run: &u64| self.manifest.runs.iter().any(|meta| meta.id == *run);
        let mut found = Vec::new();
        for kind in KINDS {
            let mut from = page_key(kind, 0, b"");
            let below = vec![kind.byte() + 1];
            while let Some(key) = self.core.shelf.keys(&from, &below, 1)?.pop() {
                let run = key.get(1..).and_then(<[u8]>::first_chunk).copied();
                let run = u64::from_be_bytes(run.unwrap_or_default());
                if !named(&run) && !found.contains(&run) {
                    found.push(run);
                }
                from = pages_of(kind, run).1;
            }
        }
        Ok(found)
    }
}

/// From where to where the pages of a run lie.
fn pages_of(kind: Kind, run: u64) -> (Vec<u8>, Vec<u8>) {
    let below = match run.checked_add(1) {
        Some(next) => page_key(kind, next, b""),
        None => vec![kind.byte() + 1],
    };
    (page_key(kind, run, b""), below)
}

/// Runs of one tier are of about one size; the next is as many times larger as are merged.
fn tier(bytes: u64, recent_bytes_max: u64) -> u32 {
    let units = bytes / (recent_bytes_max / 2).max(1);
    units.checked_ilog(INDEX_RUNS_MERGED as u64).map_or(0, |tier| tier + 1)
}
