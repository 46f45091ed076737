//! The calls that the store makes of a disk, on the simulated one.
//!
//! Knows: disk.

use std::io;
use std::path::Path;

use super::platter::{FileNode, FolderNode, Named, Node, TOP};
use super::{Fault, SimDisk, SimFile, State, injected};
use crate::planted::{self, Bug};
use crate::store::disk::{BoxFile, Disk, DiskFile};

impl Disk for SimDisk {
    fn open(&self, path: &Path, writable: bool) -> io::Result<BoxFile> {
        let mut state = self.state();
        let inode = self.find(&mut state.platter, path)?;
        if state.platter.is_folder(inode) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(self.handle(inode, writable, state.boot))
    }

    fn create_new(&self, path: &Path) -> io::Result<BoxFile> {
        let node = Node::File(FileNode::default());
        let mut made = TOP;
        self.change(|platter| self.add(platter, path, node).map(|inode| made = inode))?;
        Ok(self.handle(made, true, self.state().boot))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let node = Node::Folder(FolderNode::default());
        self.change(|platter| self.add(platter, path, node).map(drop))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let inode = self.find(&mut state.platter, dir)?;
        let folder = state.platter.folder(inode).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(folder.shown.keys().cloned().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.find(&mut self.state().platter, path).is_ok()
    }

    fn is_dir(&self, path: &Path) -> bool {
        let mut state = self.state();
        let found = self.find(&mut state.platter, path);
        found.is_ok_and(|inode| state.platter.is_folder(inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|platter| {
            let inode = self.find(platter, from)?;
            let ((folder, old), (same, new)) =
                (self.place(platter, from)?, self.place(platter, to)?);
            assert_eq!(folder, same, "the store renames within one folder");
            if let Ok(there) = self.find(platter, to)
                && platter.folder(there).is_some_and(|folder| !folder.shown.is_empty())
            {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            platter.name(folder, Named::Renamed(old, new, inode));
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(|platter| self.remove(platter, path))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.change(|platter| self.remove(platter, dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if planted::is(Bug::DirectorySyncSkipped) {
            return Ok(());
        }
        self.change(|platter| {
            let inode = self.find(platter, dir)?;
            platter.sync_folder(inode);
            Ok(())
        })
    }

    fn room(&self, _: &Path) -> io::Result<u64> {
        Ok(if self.state().low { 0 } else { u64::MAX })
    }

    fn is_in_turn(&self) -> bool {
        true
    }
}

impl SimFile {
    fn must_be_open(&self, state: &State) -> io::Result<()> {
        match self.boot == state.boot {
            true => Ok(()),
            false => Err(io::Error::other("the program that opened this file has ended")),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.step()?;
        self.must_be_open(&state)?;
        let State { platter, chance, .. } = &mut *state;
        let Some(fault) = fault else {
            platter.file(self.inode).sync();
            return Ok(());
        };
        // A part, or nothing: as far as the system came before it failed.
        let often = *chance.one_of(&[0, 50]);
        platter.drop_dirty(self.inode, || fault == Fault::Done || chance.percent(often));
        Err(match fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            Fault::Done | Fault::NotDone => injected(),
        })
    }
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        self.must_be_open(&state)?;
        let file = state.platter.file(self.inode);
        let from = offset as usize;
        let there = file.shown.get(from..from + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(there);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, fault) = self.disk.step()?;
        self.must_be_open(&state)?;
        assert!(self.writable, "written to a file opened for reading");
        let State { platter, chance, .. } = &mut *state;
        let (part, outcome) = match fault {
            None => (bytes.len(), Ok(())),
            Some(Fault::Done) => (bytes.len(), Err(injected())),
            Some(Fault::NotDone) => (0, Err(injected())),
            Some(Fault::Full) => {
                let part = chance.below(bytes.len() as u64 + 1) as usize;
                (part, Err(io::ErrorKind::StorageFull.into()))
            }
        };
        if part > 0 {
            platter.write(self.inode, &bytes[..part], offset);
        }
        outcome
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        self.must_be_open(&state)?;
        Ok(state.platter.file(self.inode).shown.len() as u64)
    }
}
