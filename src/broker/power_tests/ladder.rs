//! The ladders under power cuts: each rung once, in order, none left out, whatever happened in
//! the middle of one.

use std::collections::BTreeMap;

use super::super::{Broker, records};
use super::world::{Judged, World};
use crate::{
    domain::deadline::{Duty, Rung},
    proto::{EntryType, Facts},
};

impl World {
    /// Climbs what is due, with whatever is planned to go wrong. Says whether the life can go on.
    pub(super) fn climb(&mut self, broker: &Broker) -> Judged<bool> {
        match self.runtime.block_on(broker.climb_all()) {
            Ok(()) => Ok(true),
            Err(error) => self.excused("climbing", &error),
        }
    }
}

/// What the ledger says of ladders, read from its beginning.
#[derive(Default)]
pub(super) struct Ladders {
    /// The step climbed last, of a delivery and a duty.
    last: BTreeMap<(u64, String, Duty), usize>,
    pub(super) rungs: u64,
}

impl Ladders {
    /// One more entry: a rung must be the one after the last.
    pub(super) fn entry(&mut self, entry: u64, facts: &Facts) -> Judged<()> {
        if facts.r#type() != EntryType::Escalation {
            return Ok(());
        }
        let wrong = |what: &str| Err(format!("entry {entry}: {what}: {facts:?}"));
        let (Some(concern), Some(duty), Some(rung)) =
            (facts.answers, Duty::parse(&facts.subject), Rung::parse(&facts.code))
        else {
            return wrong("a rung that says not enough");
        };
        let last = self.last.entry((concern, facts.inbox.clone(), duty));
        let next = match &last {
            std::collections::btree_map::Entry::Occupied(last) => last.get() + 1,
            // Every concern here is prompt; the ladder of feedback leaves its first step out.
            std::collections::btree_map::Entry::Vacant(_) => usize::from(duty == Duty::Feedback),
        };
        if rung.step() != next {
            return wrong("a rung out of order");
        }
        last.insert_entry(next);
        self.rungs += 1;
        Ok(())
    }

    /// None is left to climb, and the index knows of each one that was.
    pub(super) fn are_climbed(&self, broker: &Broker) -> Judged<()> {
        let now = broker.now().0 / 1_000_000_000;
        for (_, record) in broker.open_deliveries(None) {
            if let Some(next) = record.next_step().filter(|next| next.at <= now) {
                return Err(format!("{next:?} of {:?} was not climbed", record.delivery));
            }
        }
        for ((concern, inbox, duty), step) in &self.last {
            let records = records::deliveries(broker.index(), *concern);
            let record = records.iter().find(|it| it.delivery.addressed.as_str() == inbox);
            let climbed = record.and_then(|it| it.due.of(*duty).highest());
            if climbed != Some(*step) {
                return Err(format!(
                    "entry {concern} for {inbox}: {climbed:?} of {duty:?} climbed"
                ));
            }
        }
        Ok(())
    }
}
