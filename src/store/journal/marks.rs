//! The small files that say how far the journal goes: the published size and the clean-stop mark.
//!
//! Both are evidence: recovery cuts nothing that they name. The published size is rewritten in
//! place after each durable batch and not synced then, so it has two slots on pages of their own,
//! written in turn: a write torn by a power cut leaves the other one. The clean-stop mark is one
//! slot, written whole and durable at an orderly close.
//!
//! ```text
//! slot  0 magic 8 · 8 version 1 · 9 zero 3 · 12 ledger id 16 · 28 size 8 · 36 root 32
//!       68 first entry of the last segment 8 · 76 CRC32C 4 · zeros to 4096
//! ```
//!
//! Holds: I9. Knows: files, disk.

use std::io;
use std::path::PathBuf;

use super::error::{Damage, Fault, JournalError, broken};
use super::frame::part;
use super::segment::LedgerId;
use crate::store::disk::{BoxFile, Dir};
use crate::store::files::Durable;

pub(super) const PUBLISHED_FILE: &str = "published";
pub(super) const CLEAN_STOP_FILE: &str = "clean-stop";

const SLOT_BYTES: usize = 4096;
const SLOTS: usize = 2;
const PUBLISHED_MAGIC: [u8; 8] = *b"CAIRNPUB";
const CLEAN_STOP_MAGIC: [u8; 8] = *b"CAIRNEND";
const MARK_VERSION: u8 = 1;
const CRC_AT: usize = 76;
const FIELDS_END: usize = 80;

/// A size of the ledger that someone was told, and its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// How many entries.
    pub size: u64,
    /// The first entry number of the segment that was the last one then.
    pub segment: u64,
    /// The root of that size. Of size 0 it says nothing.
    pub root: [u8; 32],
}

fn encode(magic: [u8; 8], ledger_id: &LedgerId, mark: &Published) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&magic);
    slot[8] = MARK_VERSION;
    slot[12..28].copy_from_slice(ledger_id);
    slot[28..36].copy_from_slice(&mark.size.to_le_bytes());
    slot[36..68].copy_from_slice(&mark.root);
    slot[68..CRC_AT].copy_from_slice(&mark.segment.to_le_bytes());
    let crc = crc32c::crc32c(&slot[..CRC_AT]);
    slot[CRC_AT..FIELDS_END].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(magic: [u8; 8], ledger_id: &LedgerId, slot: &[u8]) -> Result<Published, Fault> {
    let whole = slot.len() == SLOT_BYTES
        && slot[..8] == magic
        && crc32c::crc32c(&slot[..CRC_AT]) == u32::from_le_bytes(part(slot, CRC_AT))
        && slot[FIELDS_END..].iter().all(|&b| b == 0);
    if !whole {
        return Err(Fault::Mark);
    }
    if slot[8] != MARK_VERSION {
        return Err(Fault::UnknownVersion(slot[8]));
    }
    if slot[12..28] != ledger_id[..] {
        return Err(Fault::WrongLedger);
    }
    Ok(Published {
        size: u64::from_le_bytes(part(slot, 28)),
        root: part(slot, 36),
        segment: u64::from_le_bytes(part(slot, 68)),
    })
}

/// What the published-size file says.
#[derive(Debug)]
pub(super) struct PublishedRead {
    pub(super) newest: Published,
    /// A slot that cannot be read: torn by a power cut, or damaged. It may have named more.
    pub(super) doubtful: Option<Damage>,
}

/// Reads the published-size file; at least one slot must be whole.
pub(super) fn read_published(
    dir: &Dir,
    ledger_id: &LedgerId,
) -> Result<PublishedRead, JournalError> {
    let path = dir.join(PUBLISHED_FILE);
    let file = match dir.disk().open(&path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Damage::new(&path, 0, 0, Fault::Mark).into());
        }
        other => other.map_err(broken("open", &path))?,
    };
    let length = file.length().map_err(broken("examine", &path))?;
    if length != (SLOTS * SLOT_BYTES) as u64 {
        return Err(Damage::new(&path, length, 0, Fault::Mark).into());
    }
    let mut newest: Option<Published> = None;
    let mut doubtful = None;
    for index in 0..SLOTS {
        let at = (index * SLOT_BYTES) as u64;
        let mut slot = [0; SLOT_BYTES];
        file.read_exact_at(&mut slot, at).map_err(broken("read", &path))?;
        match decode(PUBLISHED_MAGIC, ledger_id, &slot) {
            Ok(mark) => newest = newest.max(Some(mark)),
            Err(Fault::Mark) => doubtful = Some(Damage::new(&path, at, 0, Fault::Mark)),
            // A whole slot of another ledger or version was not torn by any crash of this one.
            Err(fault) => return Err(Damage::new(&path, at, 0, fault).into()),
        }
    }
    match (newest, doubtful) {
        (Some(newest), doubtful) => Ok(PublishedRead { newest, doubtful }),
        (None, doubtful) => {
            Err(doubtful.unwrap_or_else(|| Damage::new(&path, 0, 0, Fault::Mark)).into())
        }
    }
}

/// The published-size file, open for writing.
#[derive(Debug)]
pub(super) struct PublishedFile {
    path: PathBuf,
    file: BoxFile,
    ledger_id: LedgerId,
    slot: usize,
    last: Published,
}

impl PublishedFile {
    /// Writes the file anew with `mark` in both slots, durable, and keeps it open.
    pub(super) fn create(
        dir: &Dir,
        ledger_id: LedgerId,
        mark: Published,
    ) -> Result<PublishedFile, JournalError> {
        let path = dir.join(PUBLISHED_FILE);
        let slot = encode(PUBLISHED_MAGIC, &ledger_id, &mark);
        let disk = dir.disk();
        disk.write_atomic(&path, &slot.repeat(SLOTS)).map_err(broken("write", &path))?;
        let file = disk.open(&path, true).map_err(broken("open", &path))?;
        Ok(PublishedFile { path, file, ledger_id, slot: 0, last: mark })
    }

    pub(super) fn last(&self) -> &Published {
        &self.last
    }

    /// Rewrites the older slot in place. Not synced.
    pub(super) fn write(&mut self, mark: Published) -> Result<(), JournalError> {
        let bytes = encode(PUBLISHED_MAGIC, &self.ledger_id, &mark);
        let at = (self.slot * SLOT_BYTES) as u64;
        // The rest of the slot is zeros already, and a short write is less likely to tear.
        self.file.write_all_at(&bytes[..FIELDS_END], at).map_err(broken("write", &self.path))?;
        self.slot = (self.slot + 1) % SLOTS;
        self.last = mark;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(broken("sync", &self.path))
    }
}

/// Reads the clean-stop mark, if there is one.
pub(super) fn read_clean_stop(
    dir: &Dir,
    ledger_id: &LedgerId,
) -> Result<Option<Published>, JournalError> {
    let path = dir.join(CLEAN_STOP_FILE);
    let file = match dir.disk().open(&path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(broken("open", &path))?,
    };
    if file.length().map_err(broken("examine", &path))? != SLOT_BYTES as u64 {
        return Err(Damage::new(&path, 0, 0, Fault::Mark).into());
    }
    let mut slot = [0; SLOT_BYTES];
    file.read_exact_at(&mut slot, 0).map_err(broken("read", &path))?;
    decode(CLEAN_STOP_MAGIC, ledger_id, &slot)
        .map(Some)
        .map_err(|fault| Damage::new(&path, 0, 0, fault).into())
}

/// Leaves the clean-stop mark, durable.
pub(super) fn write_clean_stop(
    dir: &Dir,
    ledger_id: &LedgerId,
    mark: &Published,
) -> Result<(), JournalError> {
    let path = dir.join(CLEAN_STOP_FILE);
    dir.disk()
        .write_atomic(&path, &encode(CLEAN_STOP_MAGIC, ledger_id, mark))
        .map_err(broken("write", &path))
}

/// Takes the clean-stop mark away, durably; before anything is appended.
pub(super) fn remove_clean_stop(dir: &Dir) -> Result<(), JournalError> {
    let path = dir.join(CLEAN_STOP_FILE);
    dir.disk().remove_durably(&path).map_err(broken("remove", &path))
}
