//! A disk that forgets what was not synced: a file system of our own, in memory, through FUSE.
//!
//! Each file and each folder is kept twice: as everyone sees it, and as the disk has it. Only a
//! sync of that file or that folder carries the one over to the other. It is stricter than most
//! file systems: syncing a file says nothing about its name.

mod kernel;

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    io::ErrorKind,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread,
    time::SystemTime,
};

use fuser::{BackgroundSession, Config, Errno, FileAttr, FileType, INodeNo};
use tempfile::TempDir;

use crate::process::PATIENCE;

const ROOT: u64 = 1;
/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: usize = 512;
const BLOCK_BYTES: u32 = 4_096;

/// The disk, mounted; unmounted when dropped.
pub struct Forgetful {
    folder: TempDir,
    tree: Shared,
    session: Option<BackgroundSession>,
}

impl Forgetful {
    pub fn mounted() -> Self {
        let tree =
            Tree { nodes: HashMap::from([(ROOT, Node::Folder(Folder::default()))]), next: 2 };
        let (folder, tree) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(tree)));
        let mut disk = Self { folder, tree: Shared(tree), session: None };
        disk.mount();
        disk
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// All that is there now is on the disk.
    pub fn sync(&self) {
        self.tree.lock().nodes.values_mut().for_each(Node::sync);
    }

    /// The power goes and comes back. Of what was not synced nothing is left, or, of each sector
    /// and each folder, whatever `survives` says. Nobody may have a file open.
    pub fn lose_power(&mut self, mut survives: impl FnMut() -> bool) {
        self.unmount();
        self.tree.lock().forget(&mut survives);
        self.mount();
    }

    fn unmount(&mut self) {
        let session = self.session.take().unwrap();
        let (told, ended) = mpsc::channel();
        thread::spawn(move || told.send(session.umount_and_join()));
        let ended = ended.recv_timeout(PATIENCE).expect("the mount ends");
        // A request on its way to us when the mount ends, such as that a file was closed, has the
        // kernel say "aborted" instead of "gone".
        if let Err(error) = ended {
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}");
        }
    }

    fn mount(&mut self) {
        let needs = "this test mounts a file system of its own: it needs /dev/fuse and root";
        let session = fuser::spawn_mount(self.tree.clone(), self.path(), &Config::default());
        self.session = Some(session.expect(needs));
    }
}

struct Tree {
    nodes: HashMap<u64, Node>,
    next: u64,
}

enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Written and not synced.
    pending: Vec<Range<usize>>,
}

#[derive(Default)]
struct Folder {
    now: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

impl File {
    fn write(&mut self, at: usize, data: &[u8]) {
        let end = at + data.len();
        if end > self.now.len() {
            self.now.resize(end, 0);
        }
        self.now[at..end].copy_from_slice(data);
        match self.pending.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end = end,
            None => self.pending.push(at..end),
        }
    }

    fn resize(&mut self, length: usize) {
        let old = self.now.len();
        self.now.resize(length, 0);
        self.pending.push(old.min(length)..old.max(length));
    }

    fn sync(&mut self) {
        let length = self.now.len();
        self.durable.resize(length, 0);
        for range in self.pending.drain(..) {
            let range = range.start.min(length)..range.end.min(length);
            self.durable[range.clone()].copy_from_slice(&self.now[range]);
        }
    }

    fn forget(&mut self, survives: &mut impl FnMut() -> bool) {
        for range in self.pending.drain(..) {
            let end = range.end.min(self.now.len());
            for at in (range.start..end).step_by(SECTOR_BYTES) {
                let sector = at..(at + SECTOR_BYTES - at % SECTOR_BYTES).min(end);
                if survives() {
                    self.durable.resize(self.durable.len().max(sector.end), 0);
                    self.durable[sector.clone()].copy_from_slice(&self.now[sector]);
                }
            }
        }
        self.now.clone_from(&self.durable);
    }
}

impl Node {
    fn sync(&mut self) {
        match self {
            Self::File(file) => file.sync(),
            Self::Folder(folder) => folder.durable.clone_from(&folder.now),
        }
    }
}

impl Tree {
    fn add(&mut self, parent: INodeNo, name: &OsStr, node: Node) -> Result<u64, Errno> {
        let number = self.next;
        if self.folder(parent)?.now.insert(name.to_owned(), number).is_some() {
            return Err(Errno::EEXIST);
        }
        self.nodes.insert(number, node);
        self.next += 1;
        Ok(number)
    }

    fn folder(&mut self, number: INodeNo) -> Result<&mut Folder, Errno> {
        match self.nodes.get_mut(&number.0) {
            Some(Node::Folder(folder)) => Ok(folder),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn file(&mut self, number: INodeNo) -> Result<&mut File, Errno> {
        match self.nodes.get_mut(&number.0) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(Errno::EISDIR),
        }
    }

    fn find(&mut self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        self.folder(parent)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Takes a name out of a folder. What bears it stays for those who have it open.
    fn remove(&mut self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        let number = self.find(parent, name)?;
        if matches!(&self.nodes[&number], Node::Folder(folder) if !folder.now.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder(parent)?.now.remove(name).ok_or(Errno::ENOENT)
    }

    fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        let (kind, size, perm) = match self.nodes.get(&number).ok_or(Errno::ENOENT)? {
            Node::File(file) => (FileType::RegularFile, file.now.len() as u64, 0o600),
            Node::Folder(_) => (FileType::Directory, 0, 0o700),
        };
        let time = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(SECTOR_BYTES as u64),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        })
    }

    fn forget(&mut self, survives: &mut impl FnMut() -> bool) {
        for number in 1..self.next {
            match self.nodes.get_mut(&number) {
                Some(Node::File(file)) => file.forget(survives),
                Some(Node::Folder(folder)) if survives() => {
                    folder.durable.clone_from(&folder.now);
                }
                Some(Node::Folder(folder)) => folder.now.clone_from(&folder.durable),
                None => {}
            }
        }
        let (mut named, mut at) = (vec![ROOT], 0);
        while let Some(number) = named.get(at) {
            if let Some(Node::Folder(folder)) = self.nodes.get(number) {
                named.extend(folder.now.values());
            }
            at += 1;
        }
        self.nodes.retain(|number, _| named.contains(number));
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Tree>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap()
    }
}
