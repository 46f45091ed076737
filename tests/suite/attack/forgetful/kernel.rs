//! What the kernel asks of the file system.

use std::{
    ffi::OsStr,
    time::{Duration, SystemTime},
};

use fuser::{
    BsdFileFlags, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{BLOCK_BYTES, File, Folder, Node, Shared};

/// 16 GiB: more than any test needs.
const BLOCKS: u64 = 4 * 1024 * 1024;
/// The kernel asks again each time.
const AT_ONCE: Duration = Duration::ZERO;

/// Answers what went well with `ok`, the rest with its error.
macro_rules! answer {
    ($result:expr, $reply:ident, $ok:expr) => {
        match $result {
            Ok(value) => $ok(value),
            Err(error) => $reply.error(error),
        }
    };
}

#[rustfmt::skip] // the kernel's long lists of arguments, a line each
impl Filesystem for Shared {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut tree = self.lock();
        let found = tree.find(parent, name).and_then(|number| tree.attributes(number));
        answer!(found, reply, |attr| reply.entry(&AT_ONCE, &attr, Generation(0)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(self.lock().attributes(ino.0), reply, |attr| reply.attr(&AT_ONCE, &attr));
    }

    fn setattr(&self, _: &Request, ino: INodeNo, _: Option<u32>, _: Option<u32>, _: Option<u32>, size: Option<u64>, _: Option<TimeOrNow>, _: Option<TimeOrNow>, _: Option<SystemTime>, _: Option<FileHandle>, _: Option<SystemTime>, _: Option<SystemTime>, _: Option<SystemTime>, _: Option<BsdFileFlags>, reply: ReplyAttr) {
        let mut tree = self.lock();
        let resized = size.map_or(Ok(()), |size| tree.file(ino).map(|file| file.resize(size as usize)));
        answer!(resized.and_then(|()| tree.attributes(ino.0)), reply, |attr| reply.attr(&AT_ONCE, &attr));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut tree = self.lock();
        let made = tree.add(parent, name, Node::Folder(Folder::default())).and_then(|number| tree.attributes(number));
        answer!(made, reply, |attr| reply.entry(&AT_ONCE, &attr, Generation(0)));
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut tree = self.lock();
        let made = tree.add(parent, name, Node::File(File::default())).and_then(|number| tree.attributes(number));
        answer!(made, reply, |attr| reply.created(&AT_ONCE, &attr, Generation(0), FileHandle(0), FopenFlags::empty()));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(self.lock().remove(parent, name), reply, |_| reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(self.lock().remove(parent, name), reply, |_| reply.ok());
    }

    fn rename(&self, _: &Request, parent: INodeNo, name: &OsStr, to: INodeNo, new: &OsStr, _: RenameFlags, reply: ReplyEmpty) {
        let mut tree = self.lock();
        let renamed = tree.find(parent, name).and_then(|number| {
            tree.folder(to)?.now.insert(new.to_owned(), number);
            Ok(tree.folder(parent)?.now.remove(name))
        });
        answer!(renamed, reply, |_| reply.ok());
    }

    fn read(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, size: u32, _: OpenFlags, _: Option<LockOwner>, reply: ReplyData) {
        let mut tree = self.lock();
        answer!(tree.file(ino), reply, |file: &mut File| {
            let from = (offset as usize).min(file.now.len());
            reply.data(&file.now[from..(from + size as usize).min(file.now.len())]);
        });
    }

    fn write(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, data: &[u8], _: WriteFlags, _: OpenFlags, _: Option<LockOwner>, reply: ReplyWrite) {
        let mut tree = self.lock();
        let written = tree.file(ino).map(|file| file.write(offset as usize, data));
        answer!(written, reply, |()| reply.written(data.len() as u32));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok(); // closing a file is no sync
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(self.lock().file(ino).map(File::sync), reply, |()| reply.ok());
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut tree = self.lock();
        let synced = tree.folder(ino).map(|folder| folder.durable.clone_from(&folder.now));
        answer!(synced, reply, |()| reply.ok());
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let mut tree = self.lock();
        let names = match tree.folder(ino) {
            Ok(folder) => folder.now.clone(),
            Err(error) => return reply.error(error),
        };
        for (at, (name, number)) in (1..).zip(&names).skip(offset as usize) {
            let kind = tree.attributes(*number).map_or(FileType::RegularFile, |attr| attr.kind);
            if reply.add(INodeNo(*number), at, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 0, 0, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
