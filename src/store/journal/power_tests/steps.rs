//! What a life of the journal is made of.

use super::super::*;
use super::Judged;
use super::world::{Batch, World};
use crate::store::simulated::{Fault, Plan};

/// Whether a life can go on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Ended,
    GoesOn,
}

impl World {
    /// One life: opens, does a few things while something may be planned to go wrong, and ends.
    pub(super) fn live(&mut self) -> Judged<()> {
        // From the recovery on, or only once the journal is open.
        let (early, within) = *self.chance.one_of(&[(true, 80), (false, 24)]);
        let step = self.chance.below(within);
        let fault = *self.chance.one_of(&[Fault::Done, Fault::Full, Fault::NotDone]);
        let plan = match self.chance.below(10) {
            0..=4 => Plan::PowerCut(step),
            5..=8 => Plan::Fail(step, fault),
            _ => Plan::Nothing,
        };
        self.disk.plan(if early { plan } else { Plan::Nothing });
        let low = self.chance.percent(10);
        self.disk.low(low);
        if let Some(mut journal) = self.reopen()? {
            if !early {
                self.disk.plan(plan);
            }
            let mut after = self.finish_erasing(&mut journal)?;
            for _ in 0..1 + self.chance.below(8) {
                if after == After::Ended {
                    break;
                }
                after = self.something(&mut journal)?;
            }
            if after == After::GoesOn && self.chance.percent(40) {
                self.close(journal)?;
            }
        }
        self.end();
        Ok(())
    }

    /// The program ends, or the power goes.
    fn end(&mut self) {
        self.told.steps += self.disk.steps();
        if self.disk.is_out() || self.chance.percent(40) {
            self.disk = self.disk.cut();
        } else {
            let evict = self.chance.percent(30);
            self.disk.restart(evict);
        }
    }

    fn something(&mut self, journal: &mut Journal) -> Judged<After> {
        match self.chance.below(20) {
            0..=14 => {
                let count = 1 + self.chance.below(3);
                let bytes: Vec<usize> =
                    (0..count).map(|_| self.chance.below(1_900) as usize).collect();
                self.append(journal, &bytes)
            }
            15 | 16 => {
                let last = self.ledger.last().map_or(0, |batch| batch.first);
                match last {
                    0 => Ok(After::GoesOn),
                    some => {
                        let number = self.chance.below(some);
                        self.erase(journal, number)
                    }
                }
            }
            17 => {
                let low = self.chance.percent(50);
                self.disk.low(low);
                Ok(After::GoesOn)
            }
            _ => self.look(journal).map(|()| After::GoesOn),
        }
    }

    /// Appends one batch of entries whose details have these lengths.
    fn append(&mut self, journal: &mut Journal, details: &[usize]) -> Judged<After> {
        let mut record = |detail: usize| Record {
            leaf: self.chance.bytes(LEAF_BYTES).try_into().unwrap(),
            facts_opening: self.chance.bytes(32).try_into().unwrap(),
            // Several sectors now and then, so that a tear falls within what is for ever.
            facts: match self.chance.percent(30) {
                true => self.chance.bytes(1_200 + detail / 3),
                false => self.chance.bytes(20 + detail / 3),
            },
            detail_opening: self.chance.bytes(32).try_into().unwrap(),
            detail: self.chance.bytes(detail),
        };
        let records: Vec<Record> = details.iter().map(|&bytes| record(bytes)).collect();
        let root = self.chance.bytes(32).try_into().unwrap();
        let first = self.size();
        let size = first + records.len() as u64;
        let checkpoint = format!("checkpoint of {size}\n").into_bytes();
        let batch = Batch { first, records, root, checkpoint };
        match journal.append(&batch.records, batch.root, &batch.checkpoint) {
            Ok(_) => {
                self.told.acknowledged += 1;
                self.ledger.push(batch);
                self.publish(journal)
            }
            Err(error @ JournalError::OutcomeUnknown { .. }) => {
                self.told.unknown += 1;
                self.unknown = Some(batch);
                self.excused("appending", &error).map(|()| After::Ended)
            }
            Err(JournalError::NoRoom { .. }) if !self.disk.is_out() => Ok(After::GoesOn),
            Err(error) => self.excused("appending", &error).map(|()| After::Ended),
        }
    }

    /// Not part of durability: a failure is not the batch's, and the journal goes on.
    fn publish(&mut self, journal: &mut Journal) -> Judged<After> {
        let Some(last) = self.ledger.last() else { return Ok(After::GoesOn) };
        if let Err(error) = journal.published(last.size(), last.root) {
            self.excused("publishing", &error)?;
        }
        Ok(if self.disk.is_out() { After::Ended } else { After::GoesOn })
    }

    /// Erases a detail, which a later entry is taken to say.
    fn erase(&mut self, journal: &mut Journal, number: u64) -> Judged<After> {
        let place = self.place(journal, number)?;
        self.erasing = Some(number);
        match journal.erase(place) {
            Ok(()) => {
                self.erasing = None;
                self.erased.insert(number);
                Ok(After::GoesOn)
            }
            Err(error) => self.excused("erasing", &error).map(|()| After::Ended),
        }
    }

    /// What recovery leaves to its caller.
    fn finish_erasing(&mut self, journal: &mut Journal) -> Judged<After> {
        match self.erasing {
            Some(number) => self.erase(journal, number),
            None => Ok(After::GoesOn),
        }
    }

    pub(super) fn close(&mut self, journal: Journal) -> Judged<()> {
        match journal.close_clean() {
            Ok(()) => Ok(()),
            Err(error) => self.excused("closing", &error),
        }
    }

    /// See `small_life` of the tests.
    pub(super) fn small_life(&mut self) -> Judged<()> {
        let lives: [&[&[usize]]; 2] =
            [&[&[100, 900], &[2_500], &[1_800, 10], &[2_400, 2_000], &[600]], &[&[300], &[2_200]]];
        for batches in lives {
            let Some(mut journal) = self.reopen()? else { return Ok(()) };
            for details in batches {
                if self.append(&mut journal, details)? == After::Ended {
                    return Ok(());
                }
            }
            if self.erased.is_empty() && self.erase(&mut journal, 1)? == After::Ended {
                return Ok(());
            }
            self.close(journal)?;
            if self.disk.struck() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// After everything: one more batch, and an orderly close.
    pub(super) fn go_on(&mut self, mut journal: Journal) -> Judged<()> {
        self.finish_erasing(&mut journal)?;
        for details in [&[700, 700][..], &[1_500]] {
            self.append(&mut journal, details)?;
        }
        self.close(journal)
    }
}
