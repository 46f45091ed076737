//! What is raised beside deadlines: an urgent concern that was refused, what a manifest found
//! missing, what came outside any agreement; and when that is over.
//!
//! Pure: no clock, no I/O.
//!
//! Holds: I5, I6. Knows: domain, limits, proto, store.

use super::{
    super::records::{self, Awaited, Missing, Refused, Review, pack, unpack},
    Effect, add_to_count,
    judge::Step,
};
use crate::{
    domain::{ids::InboxId, refusal::Refusal},
    limits,
    proto::{EntryType, Facts},
    store::{Overlay, View},
};

/// The counts of what is raised, beside [`missing_count`].
pub const REFUSED: &str = "refused_urgent";
/// See [`REFUSED`].
pub const MISSING: &str = "missing";
/// See [`REFUSED`].
pub const REVIEWS: &str = "reviews";

/// The name of the count of what an agency's manifests miss.
pub fn missing_count(agency: &str) -> String {
    format!("missing {agency}")
}

impl<V: View> Step<'_, V> {
    /// It moves nothing, and the inboxes that it names hear of it.
    pub(super) fn tells(&self) -> Effect {
        let told = self.facts.inboxes.iter().filter_map(|inbox| inbox.parse().ok());
        let queued = told.map(|inbox: InboxId| (inbox, self.entry)).collect();
        Effect { queued, ..Effect::default() }
    }

    /// What an agency counts as sent, unless too much of it is missing already.
    pub(super) fn counted(&self) -> Result<Effect, Refusal> {
        let missing = records::count_key(&missing_count(&self.facts.sender));
        let missing = unpack::<u64>(self.view, &missing).unwrap_or_default();
        match missing + self.facts.missing.len() as u64 > limits::MISSING_PER_AGENCY_MAX {
            false => Ok(self.tells()),
            true => {
                let rule = "makes more than 10,000 of this agency's statements missing: send those \
                            first, or have the wrong ones settled";
                Err(Refusal::FieldInvalid { field: "request_ids", rule })
            }
        }
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

    /// On-call staff have seen to something that is raised.
    pub(super) fn settled(&self) -> Result<Effect, Refusal> {
        let awaited = |request: &Vec<u8>| {
            let known: Option<Awaited> = unpack(self.view, &records::awaited_key(request));
            known.is_some_and(|known| match self.facts.subject.as_str() {
                "refusal" => known.refused.is_some(),
                _ => known.missing.is_some(),
            })
        };
        let concern = self.facts.answers.unwrap_or_default();
        let raised = match self.facts.subject.as_str() {
            "review" => self.view.value(&records::review_key(concern)).is_some(),
            _ => self.facts.missing_requests.iter().any(awaited),
        };
        if raised { Ok(Effect::default()) } else { Err(Refusal::UnknownStatement) }
    }
}

/// Keeps what is raised until it is over.
pub(super) fn record(overlay: &mut Overlay<'_>, entry: u64, time: u64, facts: &Facts) {
    let told = || facts.inboxes.first().and_then(|inbox| inbox.parse::<InboxId>().ok());
    match facts.r#type() {
        EntryType::Refusal if !facts.urgency.is_empty() => {
            let Facts { urgency, code, sender: agency, .. } = facts.clone();
            let refused = Refused { entry, at: time, agency, inbox: told(), urgency, code };
            change(overlay, &facts.request_key, |it| it.refused = Some(refused));
        }
        EntryType::Manifest => {
            for request in &facts.missing_requests {
                let missing = Missing { agency: facts.sender.clone(), entry, at: time };
                change(overlay, request, |it| it.missing = Some(missing));
            }
        }
        EntryType::Concern => change(overlay, &facts.request_key, |it| *it = Awaited::default()),
        EntryType::ReviewAsked => {
            let review = Review {
                reviewer: told(),
                due: facts.until,
                sender: facts.subject.clone(),
                urgency: facts.urgency.clone(),
                accepted_at: time,
            };
            overlay.put(records::review_key(facts.answers.unwrap_or_default()), pack(&review));
            add_to_count(overlay, REVIEWS, 1);
        }
        EntryType::AgreementReview => looked_at(overlay, facts),
        EntryType::Settled if facts.subject == "review" => looked_at(overlay, facts),
        EntryType::Settled => {
            for request in &facts.missing_requests {
                change(overlay, request, |it| match facts.subject.as_str() {
                    "refusal" => it.refused = None,
                    _ => it.missing = None,
                });
            }
        }
        _ => {}
    }
}

fn looked_at(overlay: &mut Overlay<'_>, facts: &Facts) {
    let key = records::review_key(facts.answers.unwrap_or_default());
    if overlay.value(&key).is_some() {
        overlay.remove(key);
        add_to_count(overlay, REVIEWS, -1);
    }
}

/// Changes what is awaited of a request, and the counts with it.
fn change(overlay: &mut Overlay<'_>, request: &[u8], to: impl FnOnce(&mut Awaited)) {
    if request.is_empty() {
        return; // nobody knows what it was
    }
    let key = records::awaited_key(request);
    let before: Awaited = unpack(overlay, &key).unwrap_or_default();
    let mut after = before.clone();
    to(&mut after);
    if after == before {
        return;
    }
    let counts = |awaited: &Awaited| {
        let refused = awaited.refused.iter().map(|_| REFUSED.to_owned());
        let missing = awaited.missing.iter();
        let missing = missing.flat_map(|it| [MISSING.to_owned(), missing_count(&it.agency)]);
        refused.chain(missing).collect::<Vec<_>>()
    };
    for (awaited, by) in [(&before, -1), (&after, 1)] {
        counts(awaited).iter().for_each(|name| add_to_count(overlay, name, by));
    }
    match after == Awaited::default() {
        true => overlay.remove(key),
        false => overlay.put(key, pack(&after)),
    }
}
