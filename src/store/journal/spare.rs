//! The next segment, zero-filled ahead of time in a thread of its own.
//!
//! So that a commit that needs a new segment waits for a header, a sync and a rename, and not for
//! 64 MiB of zeros. It is also the journal's reserve of disk: while a spare is ready, one more
//! segment is certain to fit, whatever else fills the disk.
//! Knows: files, disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::store::disk::{BoxFile, Dir};
use crate::store::files::Durable;

pub(super) const SPARE_FILE: &str = "spare.tmp";

/// Whether the next segment is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spare {
    /// It could not be made (most likely the disk is full); it is tried again.
    Failed,
    /// It is being filled.
    Filling,
    /// It is there.
    Ready,
}

/// Makes one spare at a time, under one name in the journal's folder.
#[derive(Debug)]
pub(super) struct SpareMaker {
    dir: Dir,
    path: PathBuf,
    length: u64,
    ready: Option<BoxFile>,
    failed: bool,
    job: Option<JoinHandle<io::Result<BoxFile>>>,
    stop: Arc<AtomicBool>,
}

impl SpareMaker {
    /// Begins to fill the first spare.
    pub(super) fn start(dir: &Dir, length: u64) -> SpareMaker {
        let mut maker = SpareMaker {
            dir: dir.clone(),
            path: dir.join(SPARE_FILE),
            length,
            ready: None,
            failed: false,
            job: None,
            stop: Arc::new(AtomicBool::new(false)),
        };
        maker.begin();
        maker
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How it stands; after a failure this also begins another attempt.
    pub(super) fn state(&mut self) -> Spare {
        if self.job.as_ref().is_some_and(JoinHandle::is_finished) {
            self.collect();
        }
        self.begin();
        match (&self.ready, self.failed) {
            (Some(_), _) => Spare::Ready,
            (None, true) => Spare::Failed,
            (None, false) => Spare::Filling,
        }
    }

    /// The spare, waited for if need be, and made on the spot where the background failed. The next
    /// one is begun with [`SpareMaker::begin`] once this one has left its name.
    pub(super) fn take(&mut self) -> io::Result<BoxFile> {
        // A background failure is no answer yet: there may be room by now.
        self.collect();
        let made = match self.ready.take() {
            Some(file) => Ok(file),
            None => make(&self.dir, self.length, &self.stop),
        };
        self.failed = made.is_err();
        made
    }

    /// Begins to fill a spare unless one is there or under way.
    pub(super) fn begin(&mut self) {
        if self.ready.is_some() || self.job.is_some() {
            return;
        }
        if self.dir.disk().is_in_turn() {
            self.settle(make(&self.dir, self.length, &self.stop));
            return;
        }
        let (dir, length, stop) = (self.dir.clone(), self.length, Arc::clone(&self.stop));
        let job = thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make(&dir, length, &stop));
        match job {
            Ok(job) => self.job = Some(job),
            Err(_) => self.failed = true,
        }
    }

    #[cfg(test)]
    pub(super) fn lose(&mut self) {
        self.collect();
        self.ready = None;
    }

    /// Waits for the thread, if there is one.
    fn collect(&mut self) {
        if let Some(job) = self.job.take() {
            let died = |_| Err(io::Error::other("the thread that fills the spare died"));
            self.settle(job.join().unwrap_or_else(died));
        }
    }

    /// A failure shows in the state, and in what `take` answers when it matters.
    fn settle(&mut self, made: io::Result<BoxFile>) {
        self.failed = made.is_err();
        self.ready = made.ok();
    }
}

fn make(dir: &Dir, length: u64, stop: &AtomicBool) -> io::Result<BoxFile> {
    dir.disk().must_have_room(dir.path(), length)?;
    dir.disk().create_zeroed(&dir.join(SPARE_FILE), length, stop)
}

impl Drop for SpareMaker {
    /// Waits for the thread, so that it never touches a folder that another journal has opened.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.collect();
    }
}
