//! What is raised beside deadlines: an urgent concern that was refused, what a manifest found
//! missing, what came outside any agreement.
//!
//! Pure: no clock, no I/O.
//!
//! Holds: I5, I6. Knows: domain, proto, store.

use super::{
    super::records::{self, EntryMeta, Missing, Refused, Review, pack, unpack},
    Effect,
    judge::Step,
};
use crate::{
    domain::{ids::InboxId, refusal::Refusal},
    limits,
    proto::{EntryType, Facts},
    store::{Overlay, View},
};

impl<V: View> Step<'_, V> {
    /// It moves nothing, and the inboxes that it names hear of it.
    pub(super) fn tells(&self) -> Effect {
        let told = self.facts.inboxes.iter().filter_map(|inbox| inbox.parse().ok());
        let queued = told.map(|inbox: InboxId| (inbox, self.entry)).collect();
        Effect { queued, ..Effect::default() }
    }

    /// Somebody looked at what came outside any agreement: who was asked to.
    pub(super) fn reviewed(&self) -> Result<Effect, Refusal> {
        let concern = self.facts.answers.ok_or(Refusal::UnknownStatement)?;
        let review: Option<Review> = unpack(self.view, &records::review_key(concern));
        let reviewer = review.and_then(|review| review.reviewer);
        match reviewer.is_some_and(|reviewer| reviewer.as_str() == self.facts.inbox) {
            true => Ok(Effect::default()),
            false => Err(Refusal::UnknownStatement),
        }
    }
}

/// Keeps what is raised until it is over.
pub(super) fn record(
    overlay: &mut Overlay<'_>,
    entry: u64,
    time: u64,
    facts: &Facts,
    answered: Option<&EntryMeta>,
) {
    let told = || facts.inboxes.first().and_then(|inbox| inbox.parse::<InboxId>().ok());
    match facts.r#type() {
        EntryType::Refusal => {
            if let Some(inbox) = told() {
                let request = facts.request_key.first_chunk().copied();
                let Facts { urgency, code, .. } = facts.clone();
                let refused = Refused { at: time, inbox, urgency, code, request };
                overlay.put(records::refused_key(entry), pack(&refused));
            }
        }
        // Whoever was told has it now.
        EntryType::Stored
            if answered.is_some_and(|meta| records::kind_of(meta) == EntryType::Refusal) =>
        {
            overlay.remove(records::refused_key(facts.answers.unwrap_or_default()));
        }
        EntryType::Manifest => {
            let missing = Missing::of(time, &facts.missing_requests);
            look_again(overlay, &facts.sender, &missing);
            if !missing.requests.is_empty() {
                overlay.put(records::missing_key(&facts.sender, entry), pack(&missing));
            }
        }
        EntryType::ReviewAsked => {
            let concern = facts.answers.unwrap_or_default();
            let review = Review {
                reviewer: told(),
                due: facts.until,
                sender: facts.subject.clone(),
                urgency: facts.urgency.clone(),
                accepted_at: time,
            };
            overlay.put(records::review_key(concern), pack(&review));
        }
        EntryType::AgreementReview => {
            overlay.remove(records::review_key(facts.answers.unwrap_or_default()));
        }
        _ => {}
    }
}

/// Forgets what earlier manifests of an agency missed and has come since, or is missed by this one
/// too: what is lost is lost once.
fn look_again(overlay: &mut Overlay<'_>, agency: &str, newest: &Missing) {
    let prefix = records::missing_prefix(Some(agency));
    let earlier = records::numbered::<Missing>(overlay, &prefix, limits::RAISED_SHOWN);
    for (key, _, missing) in earlier {
        let key = key.as_slice().into();
        let before = missing.requests.len();
        let mut still = missing.still(overlay);
        still.requests.retain(|request| !newest.requests.contains(request));
        match still.requests.len() {
            0 => overlay.remove(key),
            left if left < before => overlay.put(key, pack(&still)),
            _ => {}
        }
    }
}
