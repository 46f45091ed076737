//! What the committer adds where something is to be raised: whom a refusal is told, who looks at
//! what came outside any agreement, what of a manifest has not come.
//!
//! Holds: I6, I11. Knows: store, directory, domain, proto, clock.

use super::{Draft, Verdict};
use crate::{
    broker::{
        projection,
        records::{self, Awaited},
    },
    clock::Moment,
    domain::{calendar::Clock, refusal::Refusal},
    policy::Urgently,
    proto::{self, EntryType, Facts},
    store,
};

impl Draft<'_> {
    /// The refusal's own record, unless an identical one is recorded already.
    pub(super) fn refuse(
        &mut self,
        agency: &str,
        refusal: Refusal,
        request_key: &[u8],
        (told, envelope): (Option<&Urgently>, &[u8]),
    ) -> Verdict {
        let refusals = &self.shared.counts.refusals;
        refusals.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let facts = refusal_facts(agency, &refusal, request_key.to_vec(), told);
        let detail = told.map_or_else(Vec::new, |_| request_id(envelope));
        match self.note(facts, detail) {
            Verdict::Failed(error) => Verdict::Failed(error),
            _ => Verdict::Refused(refusal),
        }
    }

    /// Appends a record of the exchange's own that moves no delivery, and tells the inboxes that it
    /// names. Of refusals that are alike the first one.
    pub(super) fn note(&mut self, facts: Facts, detail: Vec<u8>) -> Verdict {
        if facts.r#type() == EntryType::Refusal {
            let recorded = records::refusal_key(&projection::refusal_digest(&facts));
            if store::View::value(&self.overlay, &recorded).is_some() {
                return Verdict::Known(self.next());
            }
        }
        match projection::judge(&self.overlay, self.next(), self.time, &facts) {
            Ok(effect) => self.append_own(facts, detail, effect),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// Asks the reviewer of the sender's area to look at a concern that came outside any agreement,
    /// within a working day.
    pub(super) fn ask_for_review(&mut self, concern: u64, facts: &Facts) -> Verdict {
        let area = self.directory.area_of(&facts.sender);
        let reviewer = area.and_then(|area| self.directory.reviewer_of(area));
        let reviewer = reviewer.map(|inbox| inbox.to_string());
        let calendar = self.calendar(reviewer.as_deref().unwrap_or_default());
        let due = calendar.due(Clock::WorkingDays(1), Moment(self.time));
        let mut asked = Facts {
            inboxes: reviewer.into_iter().collect(),
            urgency: facts.urgency.clone(),
            class: facts.class.clone(),
            answers: Some(concern),
            outside_agreement: true,
            subject: facts.sender.clone(),
            until: due.seconds(),
            ..Facts::default()
        };
        asked.set_type(EntryType::ReviewAsked);
        self.note(asked, Vec::new())
    }

    /// Which of the statements that a manifest counts have not come; of what was not known to be
    /// missing the sender's own inbox hears.
    pub(super) fn compare(&self, facts: &mut Facts, request_ids: &[Vec<u8>]) {
        let keys = request_ids.iter().map(|id| self.shared.secret.request_key(&facts.sender, id));
        let mut new = false;
        for (place, key) in (0..).zip(keys) {
            let came = self.requests.contains_key(&key)
                || store::View::value(&self.overlay, &records::request_key(&key)).is_some();
            if !came {
                let known = records::unpack::<Awaited>(&self.overlay, &records::awaited_key(&key));
                new |= known.is_none_or(|known| known.missing.is_none());
                facts.missing.push(place);
                facts.missing_requests.push(key[..records::REQUEST_KEY_BYTES].to_vec());
            }
        }
        let own = self.directory.inboxes_of(&facts.sender).next();
        if let Some(inbox) = own.filter(|_| new) {
            facts.inboxes = vec![inbox.to_string()];
        }
    }
}

/// The facts of a refusal's own record.
pub(in crate::broker) fn refusal_facts(
    agency: &str,
    refusal: &Refusal,
    request_key: Vec<u8>,
    told: Option<&Urgently>,
) -> Facts {
    let mut facts = Facts {
        sender: agency.to_owned(),
        code: refusal.code().to_owned(),
        request_key,
        ..Facts::default()
    };
    if let Refusal::FieldInvalid { field, .. } = refusal {
        facts.subject = (*field).to_owned();
    }
    if let Some(Urgently { urgency, inbox }) = told {
        facts.urgency = urgency.as_str().to_owned();
        facts.inboxes = inbox.iter().map(ToString::to_string).collect();
    }
    facts.set_type(EntryType::Refusal);
    facts
}

/// The request id of the statement in an envelope, proved or not.
fn request_id(envelope: &[u8]) -> Vec<u8> {
    said(envelope).map(|statement| statement.request_id).unwrap_or_default()
}

/// The statement in an envelope, proved or not.
pub(in crate::broker) fn said(envelope: &[u8]) -> Option<proto::Statement> {
    let envelope: proto::Envelope = proto::decode(envelope).ok()?;
    proto::decode(&envelope.statement).ok()
}
