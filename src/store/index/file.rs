//! The files that runs are: the only part of the index that opens them.
//!
//! Each is written once, from its beginning to its end, then only read, then removed. Reads go
//! through the page cache of the operating system, and no other.
//!
//! Holds: I5. Knows: limits.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::IndexError;
use crate::{limits::INDEX_UNSYNCED_BYTES, store::files};

const PREFIX: &str = "run-";
const BUFFER_BYTES: usize = 256 * 1024;

/// Where a run lies.
pub(super) fn path(folder: &Path, run: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{run:020}"))
}

fn damaged(error: io::Error, what: &str) -> IndexError {
    IndexError::Damaged(format!("{what}: {error}"))
}

/// The runs that lie in a folder, in no order.
pub(super) fn runs_in(folder: &Path) -> Result<Vec<u64>, IndexError> {
    let listed = || -> io::Result<Vec<u64>> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            runs.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(runs)
    };
    listed().map_err(|error| damaged(error, "its folder cannot be read"))
}

/// Removes a run. Whoever has it open still reads it.
pub(super) fn remove(folder: &Path, run: u64) -> Result<(), IndexError> {
    fs::remove_file(path(folder, run)).map_err(|error| damaged(error, "a run cannot be removed"))
}

/// The file of a run, to read from.
pub(super) struct RunFile(File);

impl RunFile {
    pub(super) fn open(folder: &Path, run: u64) -> Result<Self, IndexError> {
        let opened = File::open(path(folder, run));
        opened.map(Self).map_err(|error| damaged(error, "a run cannot be opened"))
    }

    /// How long it is, in bytes.
    pub(super) fn length(&self) -> Result<u64, IndexError> {
        let metadata = self.0.metadata();
        metadata.map(|is| is.len()).map_err(|error| damaged(error, "a run cannot be read"))
    }

    /// So many bytes from there on, all of them.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, IndexError> {
        let mut bytes = vec![0; length];
        self.0
            .read_exact_at(&mut bytes, at)
            .map_err(|error| damaged(error, "a run cannot be read"))?;
        Ok(bytes)
    }
}

/// The file of a run in the making. Dropped unfinished, it is removed.
pub(super) struct NewRunFile {
    folder: PathBuf,
    run: u64,
    file: Option<BufWriter<File>>,
    length: u64,
    unsynced: usize,
}

impl NewRunFile {
    pub(super) fn create(folder: &Path, run: u64) -> Result<Self, IndexError> {
        let created =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path(folder, run));
        let file = created.map_err(|error| damaged(error, "a run cannot be made"))?;
        let file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { folder: folder.to_path_buf(), run, file, length: 0, unsynced: 0 })
    }

    /// What was appended so far, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.length += bytes.len() as u64;
        self.unsynced += bytes.len();
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        written.map_err(|error| damaged(error, "a run cannot be written"))?;
        // In parts: the journal's own syncs must not wait for all of a large run at once.
        match self.unsynced >= INDEX_UNSYNCED_BYTES {
            true => self.sync(),
            false => Ok(()),
        }
    }

    /// The run is whole, on the disk, and there to stay.
    pub(super) fn finish(mut self) -> Result<(), IndexError> {
        self.sync()?;
        files::sync_dir(&self.folder).map_err(|error| damaged(error, "a run cannot be synced"))?;
        self.file = None;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), IndexError> {
        self.unsynced = 0;
        let synced = match &mut self.file {
            Some(file) => file.flush().and_then(|()| file.get_ref().sync_data()),
            None => Ok(()),
        };
        synced.map_err(|error| damaged(error, "a run cannot be synced"))
    }
}

impl Drop for NewRunFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What is still in the buffer is nobody's.
            drop(file.into_parts());
            if let Err(error) = remove(&self.folder, self.run) {
                tracing::warn!(%error, "a run that was given up stays until the next start");
            }
        }
    }
}
