//! One server for each data folder, held by a file lock.
//!
//! Takes a data folder; gives a [`DataLock`] that holds it until dropped. The kernel lets go of the
//! lock when the process ends, however it ends, so a stale lock file never keeps a server out; the
//! process id written inside is for people only.
//! Knows: nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The lock file's name within the data folder.
pub const LOCK_FILE: &str = "lock";

/// A process id takes at most this many bytes of text.
const PID_BYTES_MAX: u64 = 16;

/// Why the data folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server holds the folder. Stop it, or use another data folder.
    #[error("the data folder {} is in use by {}", .dir.display(), holder(.pid))]
    Held {
        /// The data folder.
        dir: PathBuf,
        /// The holder's process id, where it could be read.
        pid: Option<u32>,
    },
    /// The lock file could not be opened, locked or written.
    #[error("cannot lock the data folder {}", .dir.display())]
    Io {
        /// The data folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("the process {pid}"),
        None => "another process".to_owned(),
    }
}

/// The data folder, held by this process until this value is dropped.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Locks an existing data folder, at once or not at all.
    ///
    /// # Errors
    /// [`LockError::Held`] if another holder lives (in this process or another).
    pub fn acquire(dir: &Path) -> Result<DataLock, LockError> {
        let broken = |source| LockError::Io { dir: dir.to_owned(), source };
        // Not truncated on open: the holder's process id must survive our attempt.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(LOCK_FILE))
            .map_err(broken)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { dir: dir.to_owned(), pid: written_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(broken(source)),
        }
        file.set_len(0).map_err(broken)?;
        writeln!(file, "{}", std::process::id()).map_err(broken)?;
        Ok(DataLock { _file: file })
    }
}

fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_second_holder_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataLock::acquire(dir.path()).unwrap();
        let refused = DataLock::acquire(dir.path()).unwrap_err();
        assert!(
            matches!(refused, LockError::Held { pid: Some(pid), .. } if pid == std::process::id())
        );
        assert!(refused.to_string().contains(&std::process::id().to_string()));
        drop(held);
        DataLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_dead_process_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOCK_FILE), "4000000000 and more").unwrap();
        DataLock::acquire(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(LOCK_FILE)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }

    #[test]
    fn says_held_even_if_the_lock_file_is_unreadable_text() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DataLock::acquire(dir.path()).unwrap();
        std::fs::write(dir.path().join(LOCK_FILE), [0xff; 64]).unwrap();
        let refused = DataLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(refused, LockError::Held { pid: None, .. }));
    }

    #[test]
    fn a_missing_data_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(DataLock::acquire(&missing), Err(LockError::Io { .. })));
    }
}
