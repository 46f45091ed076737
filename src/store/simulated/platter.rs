//! What a simulated disk holds: of each file and folder what programs are shown, what would last,
//! and what lies between the two in the order in which it was done.
//!
//! Takes changes and syncs; gives the state after a power cut for a choice of what survives. No
//! paths and no faults here. A sector is 512 bytes, written whole or not at all; a longer length
//! survives or not apart from the bytes.
//!
//! Knows: nothing.

use std::collections::BTreeMap;

const SECTOR: u64 = 512;

/// What an open file or a name refers to.
pub(super) type Inode = usize;

/// The folder that everything is in.
pub(super) const TOP: Inode = 0;

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Folder(FolderNode),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    /// What a read gives: the page cache.
    pub(super) shown: Vec<u8>,
    /// What is on the platter.
    kept: Vec<u8>,
    unsynced: Vec<Change<Written>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FolderNode {
    pub(super) shown: BTreeMap<String, Inode>,
    kept: BTreeMap<String, Inode>,
    unsynced: Vec<Change<Named>>,
}

/// Something done and not yet synced, with its place among all of them.
#[derive(Clone, Debug)]
struct Change<T> {
    order: u64,
    what: T,
}

#[derive(Clone, Debug)]
enum Written {
    /// At most a sector, within one.
    Bytes {
        at: u64,
        bytes: Vec<u8>,
    },
    Length(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Named {
    Added(String, Inode),
    Removed(String),
    Renamed(String, String, Inode),
}

/// Everything on the disk.
#[derive(Clone, Debug)]
pub(super) struct Platter {
    nodes: Vec<Node>,
    order: u64,
}

impl Platter {
    pub(super) fn new() -> Platter {
        Platter { nodes: vec![Node::Folder(FolderNode::default())], order: 0 }
    }

    pub(super) fn add(&mut self, node: Node) -> Inode {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn file(&mut self, inode: Inode) -> &mut FileNode {
        match &mut self.nodes[inode] {
            Node::File(file) => file,
            Node::Folder(_) => panic!("a folder was opened as a file"),
        }
    }

    pub(super) fn is_folder(&self, inode: Inode) -> bool {
        matches!(self.nodes[inode], Node::Folder(_))
    }

    pub(super) fn folder(&mut self, inode: Inode) -> Option<&mut FolderNode> {
        match &mut self.nodes[inode] {
            Node::File(_) => None,
            Node::Folder(folder) => Some(folder),
        }
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// A write as a program does it: shown at once, each sector on its way by itself.
    pub(super) fn write(&mut self, inode: Inode, bytes: &[u8], at: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let from = at + done as u64;
            let room = (SECTOR - from % SECTOR) as usize;
            let part = &bytes[done..bytes.len().min(done + room)];
            let order = self.next_order();
            self.file(inode).write_sector(part, from, order);
            done += part.len();
        }
        let (order, end) = (self.next_order(), at + bytes.len() as u64);
        self.file(inode).lengthen(end, order);
    }

    pub(super) fn name(&mut self, folder: Inode, change: Named) {
        let order = self.next_order();
        let folder = self.folder(folder).expect("a folder, since its path was found");
        change.apply(&mut folder.shown);
        folder.unsynced.push(Change { order, what: change });
    }

    pub(super) fn sync_folder(&mut self, inode: Inode) {
        if let Some(folder) = self.folder(inode) {
            folder.kept = folder.shown.clone();
            folder.unsynced.clear();
        }
    }

    /// A failed sync as Linux does it: of what was dirty, only what `survives` is on the platter,
    /// nothing is dirty any more, and reads go on showing all of it.
    pub(super) fn drop_dirty(&mut self, inode: Inode, mut survives: impl FnMut() -> bool) {
        self.file(inode).settle(|_| survives());
    }

    /// Reads no longer show what neither is on the platter nor on its way there.
    pub(super) fn evict(&mut self) {
        for node in &mut self.nodes {
            if let Node::File(file) = node {
                file.shown.clone_from(&file.kept);
                for change in &file.unsynced {
                    change.what.apply(&mut file.shown);
                }
            }
        }
    }

    /// The places, in order, of all that is not synced: what a power cut chooses from.
    pub(super) fn unsynced(&self) -> Vec<u64> {
        let mut orders: Vec<u64> = Vec::new();
        for node in &self.nodes {
            match node {
                Node::File(file) => orders.extend(file.unsynced.iter().map(|c| c.order)),
                Node::Folder(folder) => orders.extend(folder.unsynced.iter().map(|c| c.order)),
            }
        }
        orders.sort_unstable();
        orders
    }

    /// The power goes: of what is not synced only what `survives` is there afterwards.
    pub(super) fn cut(&mut self, survives: impl Fn(u64) -> bool) {
        for node in &mut self.nodes {
            match node {
                Node::File(file) => {
                    file.settle(&survives);
                    file.shown.clone_from(&file.kept);
                }
                Node::Folder(folder) => {
                    for change in folder.unsynced.drain(..).filter(|c| survives(c.order)) {
                        change.what.apply(&mut folder.kept);
                    }
                    folder.shown.clone_from(&folder.kept);
                }
            }
        }
    }
}

impl FileNode {
    fn write_sector(&mut self, bytes: &[u8], at: u64, order: u64) {
        put(&mut self.shown, bytes, at);
        // What changes nothing is no choice: zeros where zeros are, and nothing older on its way.
        let (from, to) = (at as usize, at as usize + bytes.len());
        let there = (from..to).map(|i| self.kept.get(i).copied().unwrap_or(0));
        let overlaps = |change: &Change<Written>| match &change.what {
            Written::Bytes { at: other, .. } => other / SECTOR == at / SECTOR,
            Written::Length(_) => false,
        };
        if there.eq(bytes.iter().copied()) && !self.unsynced.iter().any(overlaps) {
            return;
        }
        let what = Written::Bytes { at, bytes: bytes.to_vec() };
        self.unsynced.push(Change { order, what });
    }

    fn lengthen(&mut self, end: u64, order: u64) {
        let longest = self.unsynced.iter().filter_map(|change| match change.what {
            Written::Length(length) => Some(length),
            Written::Bytes { .. } => None,
        });
        if end > longest.max().unwrap_or(0).max(self.kept.len() as u64) {
            self.unsynced.push(Change { order, what: Written::Length(end) });
        }
    }

    pub(super) fn sync(&mut self) {
        self.settle(|_| true);
    }

    /// Brings what survives to the platter. Bytes beyond the length that survives are lost.
    fn settle(&mut self, mut survives: impl FnMut(u64) -> bool) {
        let mut length = self.kept.len();
        for change in std::mem::take(&mut self.unsynced) {
            if survives(change.order) {
                change.what.apply(&mut self.kept);
                if let Written::Length(longer) = change.what {
                    length = length.max(longer as usize);
                }
            }
        }
        self.kept.truncate(length);
    }
}

impl Written {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Written::Bytes { at, bytes } => put(to, bytes, *at),
            Written::Length(length) => {
                let length = (*length as usize).max(to.len());
                to.resize(length, 0);
            }
        }
    }
}

impl Named {
    fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        match self {
            Named::Added(name, inode) => drop(names.insert(name.clone(), *inode)),
            Named::Removed(name) => drop(names.remove(name)),
            Named::Renamed(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8], at: u64) {
    let (from, end) = (at as usize, at as usize + bytes.len());
    if end > to.len() {
        to.resize(end, 0);
    }
    to[from..end].copy_from_slice(bytes);
}
