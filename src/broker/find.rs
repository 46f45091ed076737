//! Which entries answer an auditor's question.
//!
//! What narrows a question most is walked through in the index: a thread, an agency, or the time.
//! Each entry on the way is held against the rest of the question by its facts, so a page looks at
//! so many entries and no more, whatever it finds; where it stopped is said.
//!
//! Holds: I10. Knows: store, domain, proto, limits.

use super::{
    Broker, Error,
    receipt::broken,
    records::{self, DeliveryRecord},
};
use crate::{
    domain::{deadline::Duty, vocabulary::Urgency},
    limits,
    proto::{self, EntryType, Facts, Only, QueryRequest},
};

/// A page of an answer.
pub struct Found {
    /// Entry numbers, in order.
    pub entries: Vec<u64>,
    /// All below this were looked at.
    pub searched_to: u64,
    /// Whether there may be more beyond.
    pub more: bool,
}

impl Broker {
    /// Entries of a tree of this size that answer a question, after `after`, at most `most`.
    ///
    /// # Errors
    /// [`Error::Broken`] if the journal does not have one whole.
    pub fn find(
        &self,
        question: &QueryRequest,
        (after, size): (Option<u64>, u64),
        most: usize,
    ) -> Result<Found, Error> {
        let first = self.first_at(question.from_time, size);
        let from = after.map_or(first, |entry| first.max(entry.saturating_add(1)));
        let end = match question.until_time {
            0 => size,
            until => self.first_at(until, size),
        };
        let mut found = Found { entries: Vec::new(), searched_to: from.max(end), more: false };
        for (looked, entry) in self.candidates(question, from, end).enumerate() {
            if found.entries.len() == most || looked == limits::QUERY_ENTRIES_MAX {
                (found.searched_to, found.more) = (entry, true);
                break;
            }
            if self.answers(question, entry)? {
                found.entries.push(entry);
            }
        }
        Ok(found)
    }

    /// The entries that a question could be about, as the index knows them.
    fn candidates<'b>(
        &'b self,
        question: &QueryRequest,
        from: u64,
        end: u64,
    ) -> Box<dyn Iterator<Item = u64> + 'b> {
        if let Some(concern) = question.concern {
            return Box::new(self.members(concern, from).take_while(move |entry| *entry < end));
        }
        let of_inbox = question.inbox.split('/').next().unwrap_or_default();
        let agencies = [question.sender.as_str(), of_inbox, question.agency.as_str()];
        match agencies.into_iter().find(|agency| !agency.is_empty()) {
            Some(agency) => {
                let (from, end) =
                    (records::agency_key(agency, from), records::agency_key(agency, end));
                let keys = self.index().range(&from, &end);
                Box::new(keys.filter_map(|(key, _)| records::entry_of(&key)))
            }
            None => Box::new(from..end),
        }
    }

    fn answers(&self, question: &QueryRequest, entry: u64) -> Result<bool, Error> {
        let index = self.index();
        let Some(meta) = records::meta(index, entry) else { return Ok(false) };
        let of_thread = question.concern.is_none_or(|concern| meta.thread == concern);
        if !of_thread || !is_of_type(question, records::kind_of(&meta)) {
            return Ok(false);
        }
        let record = self.record(entry)?;
        let facts: Facts = proto::decode(&record.facts).map_err(broken)?;
        if !fits(question, &facts) {
            return Ok(false);
        }
        let (only, now) = (only(question), self.now().seconds());
        let is = |only: &Only| match only {
            Only::Late => self.any_delivery(entry, |record| was_late(record, now)),
            Only::Escalated => self.any_delivery(entry, |it| {
                Duty::ALL.into_iter().any(|duty| it.due.of(duty).was_climbed())
            }),
            Only::Refused | Only::OutsideAgreement | Only::Unspecified => says(*only, &facts),
        };
        Ok(only.is_empty() || only.iter().any(is))
    }

    fn any_delivery(&self, concern: u64, of: impl Fn(&DeliveryRecord) -> bool) -> bool {
        records::deliveries(self.index(), concern).iter().any(of)
    }

    /// The first entry at or after a time; entry times never decrease.
    pub(super) fn first_at(&self, time: u64, size: u64) -> u64 {
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = low + (high - low) / 2;
            let at = records::meta(&self.shared.index, middle).map_or(u64::MAX, |meta| meta.time);
            if at < time { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// Whether a deadline passed before what was due had been done.
fn was_late(record: &DeliveryRecord, now: u64) -> bool {
    let information = record.urgency == Urgency::Information.as_str();
    let unread = information && record.next_due().is_some_and(|due| due <= now);
    unread || Duty::ALL.into_iter().any(|duty| record.due.of(duty).was_late())
}

/// The kinds that are asked for; unknown ones are none.
fn only(question: &QueryRequest) -> Vec<Only> {
    question.only().filter(|only| *only != Only::Unspecified).collect()
}

fn is_of_type(question: &QueryRequest, kind: EntryType) -> bool {
    question.types.is_empty() || question.types().any(|wanted| wanted == kind)
}

/// Whether facts by themselves say that an entry is of a kind; of those that only the exchange can
/// count it is assumed.
fn says(only: Only, facts: &Facts) -> bool {
    match only {
        Only::Refused => facts.r#type() == EntryType::Refusal,
        Only::OutsideAgreement => facts.outside_agreement && facts.r#type() == EntryType::Concern,
        Only::Late | Only::Escalated => facts.r#type() == EntryType::Concern,
        Only::Unspecified => false,
    }
}

/// Whether facts answer a question, but for its time and its thread: whoever is given the facts can
/// ask that again.
pub fn fits(question: &QueryRequest, facts: &Facts) -> bool {
    let QueryRequest { sender, inbox, agency, outcome, urgency, agreement, flags, .. } = question;
    let is = |wanted: &String, said: &String| wanted.is_empty() || wanted == said;
    let of_agency = |inbox: &String| inbox.split('/').next() == Some(agency.as_str());
    let mut inboxes = facts.inboxes.iter().chain([&facts.inbox]);
    let party = agency.is_empty() || facts.sender == *agency || inboxes.any(of_agency);
    let at = inbox.is_empty() || facts.inbox == *inbox || facts.inboxes.contains(inbox);
    let only = only(question);
    is_of_type(question, facts.r#type())
        && is(sender, &facts.sender)
        && is(outcome, &facts.outcome)
        && is(urgency, &facts.urgency)
        && is(agreement, &facts.agreement)
        && flags.iter().all(|flag| facts.flags.contains(flag))
        && (only.is_empty() || only.into_iter().any(|only| says(only, facts)))
        && party
        && at
}
