//! What on-call staff do about a delivery, and about what is raised beside deadlines. Each act is
//! an entry that names, in its detail, the person; none acknowledges, decides or stops a clock.
//!
//! Holds: I6, I8, I12. Knows: policy, domain, proto, limits.

use super::{Broker, Error, draft::Work, records, sequencer::Done};
use crate::{
    clock::Moment,
    domain::{
        ids::{InboxId, is_code_shaped},
        refusal::Refusal,
    },
    identity::Peer,
    limits, policy,
    proto::{self, EntryType, Facts, RecordCallRequest, SettleRequest, TakeCareRequest},
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

    /// Records that somebody has seen to what is raised. The entry, and whether it was recorded
    /// before.
    ///
    /// # Errors
    /// The refusal, or those of a commit.
    pub async fn settle(&self, peer: &Peer, settled: SettleRequest) -> Result<(u64, bool), Error> {
        let code_shaped = is_code_shaped(&settled.reason, limits::CODE_BYTES_MAX);
        let judged = policy::named(settled.by.as_ref())
            .and_then(|()| {
                bound("reason", code_shaped, "must say why, as a code such as sent_again")
            })
            .and_then(|()| self.said(peer, &settled.request_id, settled.entry))
            .and_then(|facts| self.what_is_settled(facts, settled.entry));
        let judged = judged.map(|facts| Facts { code: settled.reason.clone(), ..facts });
        self.say(peer, judged, EntryType::Settled, 0, proto::encode(&settled)).await
    }

    /// What of an entry is raised: a refusal, what a manifest misses, or a concern's review.
    fn what_is_settled(&self, facts: Facts, entry: u64) -> Result<Facts, Refusal> {
        let record = self.record(entry).map_err(|_| Refusal::UnknownStatement)?;
        let about: Facts = proto::decode(&record.facts).map_err(|_| Refusal::UnknownStatement)?;
        let (subject, missing_requests) = match about.r#type() {
            EntryType::Refusal if about.request_key.len() >= records::REQUEST_KEY_BYTES => {
                let key = about.request_key[..records::REQUEST_KEY_BYTES].to_vec();
                ("refusal", vec![key])
            }
            EntryType::Manifest => ("manifest", about.missing_requests),
            EntryType::Concern if about.outside_agreement => ("review", Vec::new()),
            _ => return Err(Refusal::UnknownStatement),
        };
        Ok(Facts { subject: subject.to_owned(), missing_requests, ..facts })
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
        let inbox: InboxId =
            addressed.parse().map_err(|error| Refusal::field("addressed", error))?;
        Ok(Facts { inbox: inbox.to_string(), ..self.said(peer, request_id, concern)? })
    }

    /// The facts of what is said of an entry.
    fn said(&self, peer: &Peer, request_id: &[u8], entry: u64) -> Result<Facts, Refusal> {
        bound("request_id", (16..=64).contains(&request_id.len()), "must be 16 to 64 bytes")?;
        let agency = peer.agency.as_str();
        Ok(Facts {
            sender: agency.to_owned(),
            answers: Some(entry),
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
