//! The disk under the journal: files and folders, and when what was done to them is durable.
//!
//! A small trait, so that the same journal runs on the machine's disk ([`RealDisk`], plain std) and,
//! in tests, on one that forgets what was not synced. Paths are whole; every call is one system
//! call or two, and blocks. What lasts when the power goes:
//!
//! - bytes of a file, and its length, once [`DiskFile::sync_data`] or [`DiskFile::sync_all`] returned;
//! - names in a folder, once [`Disk::sync_dir`] of that folder returned;
//! - a sector of 512 bytes is written whole or not at all.
//!
//! Holds: I1. Knows: nothing.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file, read and written at a place.
///
/// After a failed sync nothing is known about what is on disk, and a second sync may answer "done"
/// for pages that were dropped. So: once it failed, never call it again on that file.
pub trait DiskFile: Debug + Send + Sync {
    /// Fills `bytes` from `offset` on; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, growing the file if need be. Not durable yet. After an
    /// error any part of it may be there.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns once all that was written, and the length, are on stable storage.
    fn sync_data(&self) -> io::Result<()>;
    /// The same with whatever else the system keeps about the file.
    fn sync_all(&self) -> io::Result<()>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// A file as the store holds it.
pub type BoxFile = Box<dyn DiskFile>;

/// A disk with folders. Errors are the system's own.
pub trait Disk: Debug + Send + Sync {
    /// Opens an existing file; for writing in place too if `writable`.
    fn open(&self, path: &Path, writable: bool) -> io::Result<BoxFile>;
    /// Creates a file (mode 0600) that must not exist yet, for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<BoxFile>;
    /// Creates one folder (mode 0700) that must not exist yet, in one that must.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no order; one that is not UTF-8 is shown as well as it can be.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Whether something bears this name.
    fn exists(&self, path: &Path) -> bool;
    /// Whether a folder does.
    fn is_dir(&self, path: &Path) -> bool;
    /// Renames a file, or a folder onto nothing or an empty one, replacing what bears the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all that is in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes durable what was created, renamed or removed in a folder.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How many bytes can still be written to the disk that `dir` is on.
    fn room(&self, dir: &Path) -> io::Result<u64>;
    /// Whether all must be done in turn and nothing in a thread of its own, so that what happened
    /// can be repeated.
    fn is_in_turn(&self) -> bool {
        false
    }
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl DiskFile for File {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, writable: bool) -> io::Result<BoxFile> {
        Ok(Box::new(OpenOptions::new().read(true).write(writable).open(path)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<BoxFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn room(&self, dir: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// A folder and the disk it is on. A path alone is a folder on the machine's own disk.
#[derive(Clone, Debug)]
pub struct Dir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Dir {
    /// A folder on another disk.
    pub fn on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Dir {
        Dir { disk, path: path.into() }
    }

    /// The disk.
    pub fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a name in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Another folder on the same disk.
    pub fn beside(&self, path: impl Into<PathBuf>) -> Dir {
        Dir { disk: Arc::clone(&self.disk), path: path.into() }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Dir {
    fn from(path: &P) -> Dir {
        Dir::on(Arc::new(RealDisk), path.as_ref())
    }
}

impl From<&Dir> for Dir {
    fn from(dir: &Dir) -> Dir {
        dir.clone()
    }
}
