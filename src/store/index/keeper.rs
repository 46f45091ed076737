//! The keeper: the thread that writes full layers to files as runs, and merges runs.
//!
//! Writing goes before merging, and a merge of small runs before the rest of one of large runs,
//! so that nobody waits for a merge unless runs pile up all the same. A manifest names a run only
//! when all of it is on the disk; what a merge has replaced is removed when a manifest that does
//! not name it is there too and no reader is in it any more. An error or a panic here marks the index damaged and sets everyone
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
    file,
    layers::Recent,
    manifest::Manifest,
    merge::{Merged, Source},
    run::{Run, RunCursor, RunMeta},
    writer::RunWriter,
};
use crate::{
    limits::{INDEX_RUNS_MAX, INDEX_RUNS_MERGED},
    store::{disk::RealDisk, files::Durable as _},
};

/// What the keeper's thread owns.
pub(super) struct Keeper {
    core: Arc<Core>,
    manifest: Manifest,
    /// Merged away; a reader may still be in them.
    retired: Vec<Arc<Run>>,
}

/// What became of a merge.
enum Merge {
    Done(Option<RunMeta>),
    GivenUp,
}

impl Keeper {
    pub(super) fn new(core: Arc<Core>, manifest: Manifest) -> Self {
        Self { core, manifest, retired: Vec::new() }
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
        self.remove_leftovers()?;
        loop {
            let due = self.due(usize::MAX);
            // A writer that always has another layer ready must not keep runs from being merged.
            let piled_up = self.manifest.runs.len() >= INDEX_RUNS_MAX && !due.is_empty();
            if piled_up && !self.core.is_stopping() {
                self.merge(due)?;
                self.retire()?;
                continue;
            }
            match self.core.next_task(due.is_empty()) {
                Task::Stop => return Ok(()),
                Task::Write(frozen) => self.write(&frozen)?,
                Task::Tidy => self.merge(due)?,
            }
            self.retire()?;
        }
    }

    /// Writes a full layer as the newest run.
    fn write(&mut self, frozen: &Recent) -> Result<(), IndexError> {
        let oldest = self.manifest.runs.is_empty();
        let mut writer = RunWriter::new(&self.core.folder)?;
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
        })?;
        self.core.written(runs);
        Ok(())
    }

    /// Runs to merge now, newest first, out of so many of the newest: enough of one size, and all
    /// newer ones.
    fn due(&self, newest: usize) -> Vec<Arc<Run>> {
        let runs = self.core.runs();
        let runs = &runs[..newest.min(runs.len())];
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
        // On the disk before anything that it no longer names goes.
        self.core.shelf.sync()?;
        let runs = self.runs(|runs| {
            runs.splice(group_places, merged);
        })?;
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
        let mut writer = RunWriter::new(&self.core.folder)?;
        while let Some((key, value)) = source.entry() {
            // Nothing older is left that a removal would hide.
            let kept = !oldest || value.is_some();
            let block_done = kept && writer.push(key, value)?;
            if block_done && self.is_called_away(group)? {
                return Ok(Merge::GivenUp);
            }
            source.advance()?;
        }
        Ok(Merge::Done(writer.finish()?))
    }

    /// Whether to stop merging a group. Writes what waits, and merges what is newer than the group,
    /// unless runs have piled up.
    fn is_called_away(&mut self, group: &[Arc<Run>]) -> Result<bool, IndexError> {
        if self.manifest.runs.len() >= INDEX_RUNS_MAX {
            return Ok(self.core.is_stopping());
        }
        match self.core.next_task(false) {
            Task::Stop => Ok(true),
            Task::Write(frozen) => {
                self.write(&frozen)?;
                let newer = group.first().and_then(|newest| self.place_of(newest));
                let due = self.due(newer.unwrap_or(0));
                if !due.is_empty() {
                    self.merge(due)?;
                    self.retire()?;
                }
                Ok(false)
            }
            Task::Tidy => Ok(false),
        }
    }

    fn put_manifest(&mut self) -> Result<(), IndexError> {
        self.manifest = std::mem::take(&mut self.manifest).put(&self.core.shelf)?;
        Ok(())
    }

    /// The runs as they are after a change of their descriptions.
    fn runs(&self, change: impl FnOnce(&mut Vec<RunMeta>)) -> Result<Vec<Arc<Run>>, IndexError> {
        let old = self.core.runs();
        let mut metas: Vec<RunMeta> = old.iter().map(|run| run.meta.clone()).collect();
        change(&mut metas);
        let known = |meta: &RunMeta| old.iter().find(|run| run.meta.id == meta.id).cloned();
        let open = |meta| Run::open(&self.core.folder, meta, &self.core.ways).map(Arc::new);
        metas.into_iter().map(|meta| known(&meta).map_or_else(|| open(meta), Ok)).collect()
    }

    /// Removes the runs that no reader is in any more.
    fn retire(&mut self) -> Result<(), IndexError> {
        let (still_read, free): (Vec<_>, Vec<_>) =
            self.retired.drain(..).partition(|run| Arc::strong_count(run) > 1);
        self.retired = still_read;
        free.iter().try_for_each(|run| file::remove(&self.core.folder, run.meta.id))
    }

    /// Removes runs that the manifest does not name: a crash or a stop came between.
    fn remove_leftovers(&self) -> Result<(), IndexError> {
        let named = |run: &u64| self.manifest.runs.iter().any(|meta| meta.id == *run);
        let found = file::runs_in(&self.core.folder)?.into_iter();
        found.filter(|run| !named(run)).try_for_each(|run| file::remove(&self.core.folder, run))
    }
}

/// Runs of one tier are of about one size; the next is as many times larger as are merged.
fn tier(bytes: u64, recent_bytes_max: u64) -> u32 {
    let units = bytes / (recent_bytes_max / 2).max(1);
    units.checked_ilog(INDEX_RUNS_MERGED as u64).map_or(0, |tier| tier + 1)
}
