//! The whole world, after everything: nothing planned any more, nothing may be wrong.

use std::collections::BTreeMap;

use super::super::{Broker, Error, records};
use super::ladder::Ladders;
use super::template;
use super::world::{Judged, Told, World};
use crate::{
    domain::refusal::Refusal,
    ledger::{
        checkpoint::Checkpoint,
        growth::Growth,
        merkle::{Hash, leaf_hash},
        tlog_proof::TlogProof,
    },
    proto::{self, EntryType, Facts},
    store::{
        journal::{Detail, Exchange, Scanned, fsck},
        simulated::Plan,
    },
};

impl World {
    /// Starts, lets everyone repeat what they said, and compares all that left the process with what
    /// is there: then the power goes once more, and all must be there again.
    pub(super) fn check(&mut self) -> Judged<Told> {
        for round in 0..2 {
            self.disk.plan(Plan::Nothing);
            self.disk.low(false);
            let running = self.start()?.ok_or("it did not start, and nothing was wrong")?;
            let looked = self.look(&running.broker);
            if round == 1 {
                running.close();
                looked?;
                break;
            }
            self.disk.power_off();
            running.close();
            looked?;
            self.disk = self.disk.cut();
            self.data = template::on(self.folder.path(), &self.disk);
        }
        self.stopped()?;
        self.told.steps += self.disk.steps();
        Ok(self.told.clone())
    }

    fn look(&mut self, broker: &Broker) -> Judged<()> {
        self.climb(broker)?;
        self.repeats(broker)?;
        self.conflict(broker)?;
        self.told.rungs = self.history(broker)?;
        Ok(())
    }

    /// I8: a repeat gets the original receipt, byte for byte; who was told nothing is told now.
    fn repeats(&mut self, broker: &Broker) -> Judged<()> {
        for at in 0..self.said.len() {
            let said = self.said[at].clone();
            if said.envelope.is_empty() {
                continue;
            }
            let answer = self.say(broker, &said);
            match (&said.receipt, &answer) {
                (Some(receipt), Ok(again)) if again.receipt == *receipt && again.duplicate => {}
                (Some(receipt), other) => {
                    let entry = receipt.entry;
                    return Err(format!(
                        "the receipt of entry {entry} is not given again: {other:?}"
                    ));
                }
                (None, _) => drop(self.take(at, answer)?),
            }
            let Some(receipt) = &self.said[at].receipt else { continue };
            let stored = broker.shared.stored(receipt.entry);
            let stored = stored.map_err(|error| format!("entry {}: {error}", receipt.entry))?;
            let proved = TlogProof::parse(&receipt.tlog_proof)
                .and_then(|proof| proof.verify(&receipt.leaf, std::slice::from_ref(broker.vkey())));
            let proves = proved.is_ok_and(|(entry, _)| entry == receipt.entry);
            // A repeat may have been sealed anew: what was accepted first is what is kept.
            let first = self.said.iter().find(|said| {
                said.receipt.as_ref().is_some_and(|other| other.entry == receipt.entry)
            });
            let same = first.is_some_and(|first| first.envelope == stored.record.detail);
            if stored.receipt != *receipt || !proves || !same {
                return Err(format!("entry {} is not what its receipt says", receipt.entry));
            }
        }
        Ok(())
    }

    /// I8: other content under a request id that is taken is refused.
    fn conflict(&self, broker: &Broker) -> Judged<()> {
        let first = &self.template.concerns[0];
        let taken = self.said.iter().find(|said| said.envelope == first.envelope);
        let Some(said) = taken.filter(|said| said.receipt.is_some()) else { return Ok(()) };
        let mut other = said.clone();
        other.envelope.clone_from(&self.template.conflict);
        match self.say(broker, &other) {
            Err(Error::Refused(refusal)) if *refusal == Refusal::RequestIdConflict => Ok(()),
            other => Err(format!("a conflict was answered {other:?}")),
        }
    }

    /// I4, I6, I8: one history from the first entry on, each request once, every checkpoint that was
    /// seen a prefix of it, deliveries = closed + open, the ladders climbed. How many rungs it has.
    fn history(&self, broker: &Broker) -> Judged<u64> {
        let size = broker.tree().head().growth.size();
        let mut growth = Growth::new();
        let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
        let mut requests: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let (mut addressed, mut held) = (0, 0);
        let mut ladders = Ladders::default();
        for scanned in broker.shared.journal.scan(0, size) {
            match scanned.map_err(|error| format!("scanning: {error}"))? {
                Scanned::Entry { index, record, .. } => {
                    growth.push(leaf_hash(&record.leaf), &mut Vec::new());
                    roots.insert(index + 1, growth.root());
                    let facts: Facts =
                        proto::decode(&record.facts).map_err(|error| error.to_string())?;
                    if !matches!(record.detail, Detail::Present { .. }) {
                        return Err(format!("the detail of entry {index} is not whole"));
                    }
                    if facts.r#type() == EntryType::Refusal || facts.request_key.is_empty() {
                        continue;
                    }
                    ladders.entry(index, &facts)?;
                    if let Some(first) = requests.insert(facts.request_key.clone(), index) {
                        return Err(format!("entries {first} and {index} are one request"));
                    }
                    if facts.r#type() == EntryType::Concern {
                        addressed += facts.inboxes.len() as u64;
                        held += records::deliveries(broker.index(), index).len() as u64;
                    }
                }
                Scanned::Batch { trailer, .. } => {
                    self.is_prefix(&trailer.checkpoint, &roots)?;
                }
            }
        }
        let head = &broker.tree().head().checkpoint;
        for checkpoint in self.seen.iter().chain([head]).filter(|seen| !seen.is_empty()) {
            self.is_prefix(checkpoint, &roots)?;
        }
        ladders.are_climbed(broker)?;
        let summary = broker.summary();
        let counted = summary.closed + summary.open;
        match addressed == held && counted == held && summary.deliveries == counted {
            true => Ok(ladders.rungs),
            false => Err(format!("{addressed} deliveries, {held} kept, {counted} counted")),
        }
    }

    /// A checkpoint that was signed is of the history that there is.
    fn is_prefix(&self, checkpoint: &[u8], roots: &BTreeMap<u64, Hash>) -> Judged<()> {
        let opened = Checkpoint::open(checkpoint, &self.template.vkey);
        let opened = opened.map_err(|error| format!("a checkpoint: {error}"))?;
        match roots.get(&opened.size()) == Some(&opened.root()) {
            true => Ok(()),
            false => {
                Err(format!("a checkpoint of {} entries was seen that is not there", opened.size()))
            }
        }
    }

    /// I3, I5: the journal is sound, and the index rebuilt is the index as it was.
    fn stopped(&self) -> Judged<()> {
        let journal = self.data.journal_dir();
        let report = fsck(&journal, Exchange::Stopped, &mut |_| false, &mut |_, _| {})
            .map_err(|error| format!("fsck: {error}"))?;
        if !report.is_sound() {
            return Err(format!("fsck: {:?}", report.problems));
        }
        let rebuilt = self.data.reindex(&mut |_, _| {}).map_err(|error| error.to_string())?;
        match rebuilt.old_hash == Some(rebuilt.new_hash) {
            true => Ok(()),
            false => Err("the index rebuilt is another".into()),
        }
    }
}
