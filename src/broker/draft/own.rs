//! Entries of the exchange's own that move a delivery: rungs, and what on-call staff say.
//!
//! Holds: I6, I8. Knows: store, domain, proto.

use std::sync::Arc;

use super::{Detail, Draft, Verdict};
use crate::{
    broker::{Error, escalation, projection, records},
    clock::Moment,
    domain::{ids::InboxId, refusal::Refusal},
    proto::Facts,
    store,
};

impl Draft<'_> {
    /// What on-call staff say of a delivery; the same again is said once.
    pub(super) fn told(&mut self, mut facts: Facts, detail: Vec<u8>) -> Verdict {
        let by = facts.sender.clone();
        let key = records::request_key(&facts.request_key);
        if let Some(entry) = records::unpack::<u64>(&self.overlay, &key) {
            let same = self.detail_of(entry).is_ok_and(|known| known == detail);
            return match same {
                true => Verdict::Known(entry),
                false => {
                    self.refuse(&by, Refusal::RequestIdConflict, &facts.request_key, (None, &[]))
                }
            };
        }
        projection::address(&self.overlay, &mut facts);
        match projection::judge(&self.overlay, self.next(), self.time, &facts) {
            Ok(effect) => self.append_own(facts, detail, effect),
            Err(refusal) => self.refuse(&by, refusal, &facts.request_key, (None, &[])),
        }
    }

    /// The detail of an entry, of this batch or of before.
    fn detail_of(&self, entry: u64) -> Result<Vec<u8>, Error> {
        match entry.checked_sub(self.first).and_then(|at| self.records.get(at as usize)) {
            Some(record) => Ok(record.detail.clone()),
            None => Ok(self.shared.record(entry)?.detail),
        }
    }

    /// Appends an entry of the exchange's own that moves a delivery. Its inboxes are numbered; the
    /// numbers of senders are agencies'.
    pub(super) fn append_own(
        &mut self,
        mut facts: Facts,
        detail: Vec<u8>,
        effect: projection::Effect,
    ) -> Verdict {
        self.number(&mut facts);
        facts.sender_number = 0;
        self.bells.extend(facts.next_inbox.parse());
        match Detail::new(detail) {
            Ok(detail) => self.append(&facts, detail, effect),
            Err(error) => Verdict::Failed(error),
        }
    }

    /// Climbs the next rung of a delivery, if it is time and nobody has acted.
    pub(super) fn climb(&mut self, concern: u64, addressed: &InboxId) -> Verdict {
        let directory = Arc::clone(&self.directory);
        let Some(escalation::Due { mut facts, unique }) =
            escalation::rung(&self.overlay, &directory, Moment(self.time), concern, addressed)
        else {
            return Verdict::Known(concern);
        };
        let key = escalation::unique_key(&self.shared.secret, &unique);
        if self.requests.contains_key(&key)
            || store::View::value(&self.overlay, &records::request_key(&key)).is_some()
        {
            tracing::error!(unique, "a rung was climbed, and the delivery does not know of it");
            return Verdict::Known(concern);
        }
        facts.request_key = key.to_vec();
        match projection::judge(&self.overlay, self.next(), self.time, &facts) {
            Ok(effect) => self.append_own(facts, Vec::new(), effect),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }
}
