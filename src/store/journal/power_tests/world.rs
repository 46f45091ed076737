//! A journal on a simulated disk, and what its caller was told of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::*;
use super::Judged;
use crate::store::disk::{Dir, Disk};
use crate::store::simulated::{Chance, SimDisk};

pub(super) const ROOT: &str = "/disk";
pub(super) const LEDGER: LedgerId = [0x5A; 16];
pub(super) const SEGMENT_BYTES: u64 = 4096 + 12_288;
const OPTIONS: Options = Options { segment_bytes: SEGMENT_BYTES };

/// A batch as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) first: u64,
    pub(super) records: Vec<Record>,
    pub(super) root: [u8; 32],
    pub(super) checkpoint: Vec<u8>,
}

impl Batch {
    pub(super) fn size(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

/// What runs did, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) steps: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) unknown_found: u64,
    pub(crate) cuts: u64,
    pub(crate) recoveries: u64,
}

impl Told {
    pub(crate) fn add(&mut self, more: &Told) {
        self.steps += more.steps;
        self.acknowledged += more.acknowledged;
        self.unknown += more.unknown;
        self.unknown_found += more.unknown_found;
        self.cuts += more.cuts;
        self.recoveries += more.recoveries;
    }
}

/// The disk, and what was told.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(super) chance: Chance,
    /// Whether creating the journal was told to have succeeded.
    pub(super) created: bool,
    /// Batches that are acknowledged, or that recovery found.
    pub(super) ledger: Vec<Batch>,
    /// A batch whose outcome was told to be unknown.
    pub(super) unknown: Option<Batch>,
    /// Entries whose erasure was told to be done.
    pub(super) erased: BTreeSet<u64>,
    /// One that may be half erased.
    pub(super) erasing: Option<u64>,
    pub(super) told: Told,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World {
            disk: SimDisk::new(ROOT, seed),
            chance: Chance::of(!seed),
            created: false,
            ledger: Vec::new(),
            unknown: None,
            erased: BTreeSet::new(),
            erasing: None,
            told: Told::default(),
        }
    }

    /// The same told, another disk.
    pub(super) fn on(&self, disk: SimDisk) -> World {
        World { disk, ..self.clone() }
    }

    pub(super) fn dir(&self) -> Dir {
        Dir::on(Arc::new(self.disk.clone()), format!("{ROOT}/journal"))
    }

    pub(super) fn size(&self) -> u64 {
        self.ledger.last().map_or(0, Batch::size)
    }

    /// Opens the journal, made first if it is not there, and checks what recovery says. `None` where
    /// the disk did not let it; then nothing is told.
    pub(super) fn reopen(&mut self) -> Judged<Option<Journal>> {
        if !self.created && !self.disk.exists(self.dir().path()) {
            match Journal::create_with(self.dir(), LEDGER, OPTIONS) {
                Ok(journal) => {
                    self.created = true;
                    return Ok(Some(journal));
                }
                Err(error) => return self.excused("creating", &error).map(|()| None),
            }
        }
        // The index may be as it is, older, or gone.
        let size = self.size();
        let watermark = match self.chance.below(3) {
            0 => None,
            1 => Some(size),
            _ => Some(self.chance.below(size + 1)),
        };
        let evidence = Evidence { index_watermark: watermark, witnessed: None };
        match Journal::open_with(self.dir(), Some(LEDGER), evidence, "label", OPTIONS) {
            Ok((journal, recovery)) => {
                self.created = true;
                self.recovered(&journal, &recovery)?;
                Ok(Some(journal))
            }
            Err(error) => self.excused("opening", &error).map(|()| None),
        }
    }

    /// An error is no failure if the disk gave cause for it.
    pub(super) fn excused(&self, doing: &str, error: &JournalError) -> Judged<()> {
        let io = matches!(
            error,
            JournalError::Io { .. }
                | JournalError::NoRoom { .. }
                | JournalError::OutcomeUnknown { .. }
        );
        match io && self.disk.struck() {
            true => Ok(()),
            false => Err(format!("{doing}: {error:?}")),
        }
    }

    /// Recovery tells the truth: all that was acknowledged, and of the unknown batch all or nothing.
    fn recovered(&mut self, journal: &Journal, recovery: &Recovery) -> Judged<()> {
        self.told.recoveries += 1;
        self.told.cuts += u64::from(recovery.cut.is_some());
        if let Some(batch) = self.unknown.take_if(|batch| batch.size() == recovery.size) {
            self.told.unknown_found += 1;
            self.ledger.push(batch);
        }
        self.unknown = None;
        let size = self.size();
        if recovery.size != size || journal.size() != size {
            return Err(format!("{size} entries are acknowledged, {} recovered", recovery.size));
        }
        let trailer = recovery.last_trailer.as_ref().map(|t| (t.size(), t.root, &t.checkpoint));
        let last = self.ledger.last().map(|b| (b.size(), b.root, &b.checkpoint));
        if trailer != last {
            return Err(format!("the last trailer is {trailer:?}, not {last:?}"));
        }
        let known = |n: &u64| self.erased.contains(n) || self.erasing == Some(*n);
        match recovery.doubtful.iter().find(|doubtful| !known(&doubtful.number)) {
            Some(doubtful) => Err(format!("{doubtful:?} was never erased")),
            None => Ok(()),
        }
    }
}
