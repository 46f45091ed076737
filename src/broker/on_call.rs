//! What on-call staff do about a delivery. Each act is an entry that names, in its detail, the
//! person; none acknowledges, decides or stops a clock.
//!
//! Holds: I6, I8, I12. Knows: policy, domain, proto, limits.

use super::{Broker, Error, draft::Work, records, sequencer::Done};
use crate::{
    clock::Moment,
    domain::{ids::InboxId, refusal::Refusal},
    identity::Peer,
    limits, policy,
    proto::{self, EntryType, Facts, RecordCallRequest, TakeCareRequest},
    store::View,
};

impl Broker {
    /// Records a telephone call. The entry, and whether it was recorded before.
    ///
    /// # Errors
    /// The refusal, or those of a commit.
    pub async fn record_call(
        &self,
        peer: &Peer,
        call: RecordCallRequest,
    ) -> Result<(u64, bool), Error> {
        let number = call.number.trim();
        let judged = policy::named(call.by.as_ref())
            .and_then(|()| policy::named(call.told.as_ref()))
            .and_then(|()| {
                bound("number", !number.is_empty() && number.len() <= 64, "must be 1 to 64 bytes")
            })
            .and_then(|()| {
                let past = Moment::of_seconds(call.at) <= self.now().after(limits::CLOCK_SKEW_MAX);
                let rule = "must be when it was, in Unix seconds, and not in the future";
                bound("at", call.at > 0 && past, rule)
            })
            .and_then(|()| self.told(peer, &call.request_id, call.concern, &call.addressed));
        self.say(peer, judged, EntryType::ToldByPhone, 0, proto::encode(&call)).await
    }

    /// Records that somebody is dealing with a delivery. The entry, and whether it was recorded
    /// before.
    ///
    /// # Errors
    /// The refusal, or those of a commit.
    pub async fn take_care(
        &self,
        peer: &Peer,
        care: TakeCareRequest,
    ) -> Result<(u64, bool), Error> {
        let judged = policy::named(care.by.as_ref())
            .and_then(|()| {
                let now = self.now();
                let until = Moment::of_seconds(care.until);
                let last = now.after(limits::CARE_TIME_MAX).after(limits::CLOCK_SKEW_MAX);
                let rule = "must be a time to come, in Unix seconds, at most 12 hours from now";
                // A repeat is answered as the first time, also when that time is over.
                let known = self.is_known(peer, &care.request_id);
                bound("until", known || (now < until && until <= last), rule)
            })
            .and_then(|()| self.told(peer, &care.request_id, care.concern, &care.addressed));
        self.say(peer, judged, EntryType::TakenCareOf, care.until, proto::encode(&care)).await
    }

    /// Whether a request was recorded before.
    fn is_known(&self, peer: &Peer, request_id: &[u8]) -> bool {
        let key = self.shared.secret.request_key(peer.agency.as_str(), request_id);
        self.index().value(&records::request_key(&key)).is_some()
    }

    /// The facts of what is said of a delivery.
    fn told(
        &self,
        peer: &Peer,
        request_id: &[u8],
        concern: u64,
        addressed: &str,
    ) -> Result<Facts, Refusal> {
        bound("request_id", (16..=64).contains(&request_id.len()), "must be 16 to 64 bytes")?;
        let inbox: InboxId =
            addressed.parse().map_err(|error| Refusal::field("addressed", error))?;
        let agency = peer.agency.as_str();
        Ok(Facts {
            sender: agency.to_owned(),
            answers: Some(concern),
            inbox: inbox.to_string(),
            request_key: self.shared.secret.request_key(agency, request_id).to_vec(),
            ..Facts::default()
        })
    }

    async fn say(
        &self,
        peer: &Peer,
        judged: Result<Facts, Refusal>,
        kind: EntryType,
        until: u64,
        detail: Vec<u8>,
    ) -> Result<(u64, bool), Error> {
        let mut facts = match judged {
            Ok(facts) => facts,
            Err(refusal) => return Err(self.refuse(peer, refusal, Vec::new()).await),
        };
        facts.set_type(kind);
        facts.until = until;
        let work = Work::Told { facts: Box::new(facts), detail };
        let place = self.admit(peer, work.bytes())?;
        match self.commit(work, Some(place)).await? {
            Done::Committed { committed, .. } => Ok((committed.entry(), false)),
            Done::Known(entry) => Ok((entry, true)),
            Done::Moved(_) => Err(Error::Broken("an act of the on-call staff was moved".into())),
        }
    }
}

fn bound(field: &'static str, holds: bool, rule: &'static str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::FieldInvalid { field, rule }) }
}
