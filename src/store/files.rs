//! Durable file operations: what stays on disk after the power goes, and when.
//!
//! Every change the store makes to a folder goes through here, so that no caller forgets the
//! second half of it: a created, renamed or removed name is durable only once its folder is synced.
//! Methods of any [`Disk`]; the functions of the same names are those of the machine's own disk.
//! Plain `io::Error`s; the caller adds what it was doing. New files are readable by their owner only.
//! Holds: I1, I10. Knows: limits, disk.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{BoxFile, Disk, DiskFile, RealDisk};
use crate::limits::DISK_MARGIN_BYTES;

/// How much is read or zero-filled at a time, in bytes.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Ends the name of a file that is being made; one found at start belongs to nobody.
pub const TEMPORARY: &str = ".tmp";

/// Makes the names in a folder durable: what was created, renamed or removed in it.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    RealDisk.sync_dir(dir)
}

/// Creates one folder, durably: [`Durable::make_dir`].
pub fn create_dir(dir: &Path) -> io::Result<()> {
    RealDisk.make_dir(dir)
}

/// Writes a whole small file, durably and at once: [`Durable::write_atomic`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    RealDisk.write_atomic(path, bytes)
}

/// Renames, durably: [`Durable::rename_durably`].
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    RealDisk.rename_durably(from, to)
}

/// Removes a file, durably: [`Durable::remove_durably`].
pub fn remove(path: &Path) -> io::Result<()> {
    RealDisk.remove_durably(path)
}

/// What a disk can do whole and for good.
pub trait Durable: Disk {
    /// Creates one folder (mode 0700) if it is not there, and makes its name durable.
    ///
    /// The folder above must exist. An existing folder is synced too: the crash that interrupted its
    /// creation may have come before the sync.
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        match self.create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_dir(dir) => {}
            other => other?,
        }
        self.sync_dir(&parent(dir))
    }

    /// Creates a folder that is empty: a leftover of that name is removed with what it holds.
    fn make_dir_anew(&self, dir: &Path) -> io::Result<()> {
        match self.remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.make_dir(dir)
    }

    /// Refuses with `StorageFull` what would leave less than [`DISK_MARGIN_BYTES`] of the disk that
    /// `dir` is on. Asked before a large file is begun, so that the attempt itself does not take the
    /// last of the room from those who need little.
    fn must_have_room(&self, dir: &Path, bytes: u64) -> io::Result<()> {
        match self.room(dir)? >= bytes.saturating_add(DISK_MARGIN_BYTES) {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// Creates a file of `length` zeros, written and synced, so that a later write in it changes no
    /// metadata and cannot run out of disk. Its name is not durable before [`Disk::sync_dir`] or
    /// [`Durable::rename_durably`].
    ///
    /// Stops early with `Interrupted` once `stop` is set. What was there under that name is removed
    /// first, and a file that could not be finished is removed again.
    fn create_zeroed(&self, path: &Path, length: u64, stop: &AtomicBool) -> io::Result<BoxFile> {
        self.remove_if_there(path)?;
        let file = self.create_new(path)?;
        let filled = fill_with_zeros(file.as_ref(), 0..length, stop);
        filled.and_then(|()| file.sync_all()).inspect_err(|_| {
            // The first error is the one to report; a leftover is removed at the next start.
            let _ = self.remove_file(path);
        })?;
        Ok(file)
    }

    /// Creates a file of `length` bytes: those in `range` of `from`, and zeros after them. Synced;
    /// its name is not durable before [`Durable::rename_durably`]. What was there under that name is
    /// removed first.
    fn copy_zeroed(
        &self,
        from: &dyn DiskFile,
        to: &Path,
        range: Range<u64>,
        length: u64,
    ) -> io::Result<BoxFile> {
        self.remove_if_there(to)?;
        let file = self.create_new(to)?;
        let kept = range.end - range.start;
        let mut written = Ok(());
        each_chunk(from, range.start, range.end, |at, bytes| {
            written = file.write_all_at(bytes, at - range.start);
            written.is_ok()
        })?;
        written?;
        fill_with_zeros(file.as_ref(), kept..length, &AtomicBool::new(false))?;
        file.sync_all()?;
        Ok(file)
    }

    /// Writes a whole small file so that after a crash either the old or the new content is there:
    /// temporary file, sync, rename, sync of the folder. Durable on return.
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_for(path);
        self.remove_if_there(&temporary)?;
        let file = self.create_new(&temporary)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        self.rename_durably(&temporary, path)
    }

    /// Renames within one folder, replacing what bears the new name, and makes it durable.
    fn rename_durably(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to)?;
        self.sync_dir(&parent(to))
    }

    /// Removes a file and makes its absence durable. A file that is not there is no error, and the
    /// folder is synced all the same.
    fn remove_durably(&self, path: &Path) -> io::Result<()> {
        self.remove_if_there(path)?;
        self.sync_dir(&parent(path))
    }

    /// Removes a file; not durable. A file that is not there is no error.
    fn remove_if_there(&self, path: &Path) -> io::Result<()> {
        match self.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl<D: Disk + ?Sized> Durable for D {}

fn fill_with_zeros(file: &dyn DiskFile, range: Range<u64>, stop: &AtomicBool) -> io::Result<()> {
    let zeros = vec![0_u8; CHUNK_BYTES];
    let mut at = range.start;
    while at < range.end {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let chunk = (range.end - at).min(CHUNK_BYTES as u64);
        file.write_all_at(&zeros[..chunk as usize], at)?;
        at += chunk;
    }
    Ok(())
}

/// Writes the bytes in `kept` of a file again where they are, zeros over those in `cut`, and syncs.
///
/// For pages that the cache shows and the disk may not have. A sector is written whole or not at
/// all, and what is kept does not change: an interruption leaves nothing worse than was there.
pub fn rewrite_in_place(file: &dyn DiskFile, kept: Range<u64>, cut: Range<u64>) -> io::Result<()> {
    let mut written = Ok(());
    each_chunk(file, kept.start, kept.end, |at, bytes| {
        written = file.write_all_at(bytes, at);
        written.is_ok()
    })?;
    written?;
    fill_with_zeros(file, cut, &AtomicBool::new(false))?;
    file.sync_all()
}

/// The temporary name that belongs to `path`, in the same folder.
pub fn temporary_for(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// The first byte in `from..to` that is not zero, if there is one.
pub fn first_nonzero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut found = None;
    each_chunk(file, from, to, |at, bytes| {
        found = bytes.iter().position(|&b| b != 0).map(|i| at + i as u64);
        found.is_none()
    })?;
    Ok(found)
}

/// The last byte in `from..to` that is not zero, if there is one.
pub fn last_nonzero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut found = None;
    each_chunk(file, from, to, |at, bytes| {
        if let Some(last) = bytes.iter().rposition(|&b| b != 0) {
            found = Some(at + last as u64);
        }
        true
    })?;
    Ok(found)
}

/// Reads `from..to` in order, [`CHUNK_BYTES`] at a time, until `take` answers false.
pub fn each_chunk(
    file: &dyn DiskFile,
    from: u64,
    to: u64,
    mut take: impl FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    let mut chunk = vec![0_u8; to.saturating_sub(from).min(CHUNK_BYTES as u64) as usize];
    let mut at = from;
    while at < to {
        let length = (to - at).min(CHUNK_BYTES as u64) as usize;
        file.read_exact_at(&mut chunk[..length], at)?;
        if !take(at, &chunk[..length]) {
            break;
        }
        at += length as u64;
    }
    Ok(())
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn creates_private_folders_and_files_and_bears_a_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        create_dir(&inner).unwrap();
        create_dir(&inner).unwrap();
        assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
        let file = inner.join("file");
        write_atomic(&file, b"one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn refuses_a_folder_where_a_file_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        write_atomic(&path, b"").unwrap();
        assert!(create_dir(&path).is_err());
    }

    #[test]
    fn replaces_a_file_whole_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        fs::write(temporary_for(&path), b"left by a crash").unwrap();
        write_atomic(&path, b"first, and longer").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn zero_fills_to_the_byte_and_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zeros");
        let length = CHUNK_BYTES as u64 + 7;
        let file = RealDisk.create_zeroed(&path, length, &AtomicBool::new(false)).unwrap();
        assert_eq!(file.length().unwrap(), length);
        assert_eq!(first_nonzero(file.as_ref(), 0, length).unwrap(), None);

        let stopped = RealDisk.create_zeroed(&path, length, &AtomicBool::new(true)).unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::Interrupted);
        assert!(!path.exists());
    }

    #[test]
    fn copies_a_part_and_fills_the_rest_with_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        write_atomic(&from, b"abcdef").unwrap();
        let to = dir.path().join("to");
        let source = RealDisk.open(&from, false).unwrap();
        RealDisk.copy_zeroed(source.as_ref(), &to, 1..4, 8).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"bcd\0\0\0\0\0");
        let past_the_end = RealDisk.copy_zeroed(source.as_ref(), &to, 1..7, 8);
        assert!(past_the_end.is_err());
    }

    #[test]
    fn rewrites_in_place_what_is_kept_and_zeroes_what_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES + 100).map(|at| at as u8 | 1).collect();
        fs::write(&path, &bytes).unwrap();
        let (kept, cut) = (CHUNK_BYTES as u64 + 7, 2 * CHUNK_BYTES as u64 + 50);
        let file = RealDisk.open(&path, true).unwrap();
        rewrite_in_place(file.as_ref(), 0..kept, kept..cut).unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!(after[..kept as usize], bytes[..kept as usize]);
        assert!(after[kept as usize..cut as usize].iter().all(|&byte| byte == 0));
        assert_eq!(after[cut as usize..], bytes[cut as usize..]);
    }

    #[test]
    fn refuses_what_would_take_the_last_of_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let disk = rustix::fs::statvfs(dir.path()).unwrap();
        let more_than_there_is = disk.f_bavail * disk.f_frsize;
        let refused = RealDisk.must_have_room(dir.path(), more_than_there_is).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(RealDisk.must_have_room(dir.path(), u64::MAX).is_err());
    }

    #[test]
    fn creates_an_empty_folder_where_one_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        create_dir(&inner).unwrap();
        write_atomic(&inner.join("left"), b"x").unwrap();
        RealDisk.make_dir_anew(&inner).unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
    }

    #[test]
    fn finds_the_first_and_last_byte_that_is_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        let length = 2 * CHUNK_BYTES as u64;
        let file =
            RealDisk.create_zeroed(&dir.path().join("f"), length, &AtomicBool::new(false)).unwrap();
        assert_eq!(last_nonzero(file.as_ref(), 0, length).unwrap(), None);
        file.write_all_at(&[1], 5).unwrap();
        file.write_all_at(&[2], length - 1).unwrap();
        assert_eq!(first_nonzero(file.as_ref(), 0, length).unwrap(), Some(5));
        assert_eq!(first_nonzero(file.as_ref(), 6, length).unwrap(), Some(length - 1));
        assert_eq!(last_nonzero(file.as_ref(), 0, length).unwrap(), Some(length - 1));
        assert_eq!(last_nonzero(file.as_ref(), 0, length - 1).unwrap(), Some(5));
    }

    #[test]
    fn removes_what_may_already_be_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        write_atomic(&path, b"x").unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
