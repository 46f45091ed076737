//! The whole world, after everything: nothing planned any more, nothing may be wrong.

use super::super::*;
use super::Judged;
use super::world::{Batch, Told, World};
use crate::store::simulated::Plan;

impl World {
    /// Recovers, compares every byte with what was acknowledged, appends on, closes, and lets fsck
    /// look. Then the same journal opens clean.
    pub(super) fn check(&mut self) -> Judged<Told> {
        self.disk.plan(Plan::Nothing);
        self.disk.low(false);
        for round in 0..2 {
            let journal = self.reopen()?.ok_or("it did not open, and nothing was wrong")?;
            self.compare(&journal.reader())?;
            match round {
                0 => self.go_on(journal)?,
                _ => self.close(journal)?,
            }
            self.fsck()?;
            // What was acknowledged after recovery is as durable as what was before.
            self.disk = self.disk.cut();
        }
        self.told.steps += self.disk.steps();
        Ok(self.told.clone())
    }

    /// A look at one entry while the journal is at work.
    pub(super) fn look(&mut self, journal: &Journal) -> Judged<()> {
        match self.size() {
            0 => Ok(()),
            size => {
                let number = self.chance.below(size);
                self.place(journal, number).map(drop)
            }
        }
    }

    /// Where an entry lies; reads it on the way, and compares.
    pub(super) fn place(&self, journal: &Journal, number: u64) -> Judged<Location> {
        let reader = journal.reader();
        let found = reader.scan(number, number + 1).find_map(|scanned| match scanned {
            Ok(Scanned::Entry { location, .. }) => Some(Ok(location)),
            Ok(Scanned::Batch { .. }) => None,
            Err(error) => Some(Err(format!("entry {number}: {error}"))),
        });
        let place = found.ok_or(format!("entry {number} is not there"))??;
        let stored = reader.read(place).map_err(|error| format!("entry {number}: {error}"))?;
        let batch = self.ledger.iter().find(|batch| number < batch.size());
        self.same(batch.ok_or("an entry of no batch")?, &stored)?;
        Ok(place)
    }

    /// Every entry and every trailer, in order.
    fn compare(&self, reader: &JournalReader) -> Judged<()> {
        let mut batches = self.ledger.iter();
        let mut next = 0;
        for scanned in reader.scan(0, self.size()) {
            match scanned.map_err(|error| format!("scanning: {error}"))? {
                Scanned::Entry { index, record, .. } => {
                    let batch = self.ledger.iter().find(|batch| index < batch.size());
                    self.same(batch.ok_or("an entry of no batch")?, &record)?;
                    if index != next || record.number != next {
                        return Err(format!("entry {index} where {next} should be"));
                    }
                    next += 1;
                }
                Scanned::Batch { trailer, .. } => {
                    let batch = batches.next().ok_or("more batches than were appended")?;
                    let same = trailer.size() == batch.size()
                        && trailer.first == batch.first
                        && trailer.root == batch.root
                        && trailer.checkpoint == batch.checkpoint;
                    if !same {
                        return Err(format!("a batch ends with {trailer:?}, not as appended"));
                    }
                }
            }
        }
        match next == self.size() && batches.next().is_none() {
            true => Ok(()),
            false => Err(format!("{next} entries read back of {}", self.size())),
        }
    }

    fn same(&self, batch: &Batch, stored: &Stored) -> Judged<()> {
        let number = stored.number;
        let record =
            usize::try_from(number - batch.first).ok().and_then(|at| batch.records.get(at));
        let record = record.ok_or(format!("entry {number} is in no batch"))?;
        let kept = stored.leaf == record.leaf
            && stored.facts_opening == record.facts_opening
            && stored.facts == record.facts;
        let present =
            Detail::Present { opening: record.detail_opening, content: record.detail.clone() };
        let detail = match &stored.detail {
            Detail::Erased => self.erased.contains(&number) || self.erasing == Some(number),
            Detail::Damaged => self.erasing == Some(number),
            detail => *detail == present && !self.erased.contains(&number),
        };
        match kept && detail {
            true => Ok(()),
            false => Err(format!("entry {number} is not what was appended")),
        }
    }

    fn fsck(&self) -> Judged<()> {
        let is_erased = &mut |number| self.erased.contains(&number);
        let report = fsck(self.dir(), Exchange::Stopped, is_erased, &mut |_, _| {})
            .map_err(|error| format!("fsck: {error}"))?;
        match report.is_sound() && report.size == self.size() {
            true => Ok(()),
            false => Err(format!("fsck: {:?}", report.problems)),
        }
    }
}
