//! What moves deadlines: the urgency, raised, brings sooner ones; an extension, approved, later ones.
//!
//! Pure: no clock, no I/O.
//!
//! Holds: I5, I6, I14. Knows: domain, proto, store.

use super::{
    super::records::{self, DeliveryRecord, DueBy},
    Effect, Move,
    judge::Step,
};
use crate::{
    domain::{deadline::Duty, lifecycle::State, refusal::Refusal, vocabulary::Urgency},
    proto::Facts,
    store::View,
};

impl<V: View> Step<'_, V> {
    /// The urgency is raised, with deadlines from now on, or lowered by the sender, which moves
    /// none.
    pub(super) fn urgency_change(&self) -> Result<Effect, Refusal> {
        let concern = self.facts.answers.ok_or(Refusal::UnknownStatement)?;
        let deliveries = records::deliveries(self.view, concern);
        let raised = self.is_raised(concern, &deliveries)?;
        let mut effect = Effect::default();
        for record in deliveries.into_iter().filter(DeliveryRecord::is_undecided) {
            let mut after = DeliveryRecord {
                urgency: self.facts.urgency.clone(),
                changed: (self.time, self.entry),
                ..record.clone()
            };
            let holder = record.delivery.holder.as_str();
            let number = self.facts.inboxes.iter().position(|inbox| inbox == holder);
            if let Some(number) = number.filter(|_| raised) {
                let Facts { acknowledgement_due, acknowledgement_rungs, .. } = self.facts;
                let Facts { decision_due, decision_rungs, .. } = self.facts;
                for duty in record.duties() {
                    let by = match duty {
                        Duty::Acknowledge => (acknowledgement_due, acknowledgement_rungs),
                        _ => (decision_due, decision_rungs),
                    };
                    let by = DueBy::listed(self.time, number, by.0, by.1);
                    let due = after.due.of_mut(*duty);
                    *due = by.raised(due, self.entry);
                }
            }
            effect.moves.push(Move { before: Some(record), after });
        }
        let told = self.facts.inboxes.iter().filter_map(|inbox| inbox.parse().ok());
        effect.queued = told.map(|inbox| (inbox, self.entry)).collect();
        Ok(effect)
    }

    /// Whether it runs as more urgent from now on; refused to who may not say so.
    fn is_raised(&self, concern: u64, deliveries: &[DeliveryRecord]) -> Result<bool, Refusal> {
        let meta = records::meta(self.view, concern).ok_or(Refusal::UnknownStatement)?;
        let is_sender = self.facts.inbox.is_empty() && meta.sender == self.facts.sender;
        let has_it = |record: &DeliveryRecord| {
            let mut inboxes =
                [&record.delivery.holder].into_iter().chain(&record.delivery.stand_ins);
            inboxes.any(|inbox| inbox.as_str() == self.facts.inbox)
        };
        if !is_sender && !deliveries.iter().any(has_it) {
            return Err(Refusal::UnknownStatement);
        }
        let Some(undecided) = deliveries.iter().find(|record| record.is_undecided()) else {
            let state = deliveries.first().map_or(State::Closed, |record| record.delivery.state);
            return Err(Refusal::OutOfTurn { state, wanted: "urgency_change" });
        };
        let (before, _) = Urgency::effective(Some(&undecided.urgency));
        let (after, _) = Urgency::effective(Some(&self.facts.urgency));
        let refused = |rule| Err(Refusal::FieldInvalid { field: "urgency", rule });
        match (after == before, after.is_above(before)) {
            (true, _) => refused("must be another one: it runs as that already"),
            (false, false) if !is_sender => refused("can be lowered by the sender alone"),
            (false, raised) => Ok(raised),
        }
    }

    /// A decision or the feedback is given more time, with a ladder of its own. The sender hears of
    /// it.
    pub(super) fn extended(&self) -> Result<Effect, Refusal> {
        let record = self.held()?;
        let duty = Duty::parse(&self.facts.subject);
        let owed = match (duty, record.delivery.state) {
            (Some(duty @ Duty::Decide), State::Acknowledged)
            | (Some(duty @ Duty::Feedback), State::Decided) => Some(duty),
            _ => None,
        };
        let owed = owed.filter(|duty| record.due.of(*duty).due > 0);
        let (state, wanted) = (record.delivery.state, "extension");
        let duty = owed.ok_or(Refusal::OutOfTurn { state, wanted })?;
        let Facts { decision_due, decision_rungs, feedback_due, feedback_rungs, .. } = self.facts;
        let by = match duty {
            Duty::Feedback => DueBy::listed(self.time, 0, &[*feedback_due], feedback_rungs),
            _ => DueBy::listed(self.time, 0, decision_due, decision_rungs),
        };
        if by.due <= record.due.of(duty).due {
            let rule = "must be later than what it is due by now";
            return Err(Refusal::FieldInvalid { field: "until", rule });
        }
        let mut after = DeliveryRecord { changed: (self.time, self.entry), ..record.clone() };
        let by = DueBy { anew: self.entry, ..by };
        *after.due.of_mut(duty) = by.in_place_of(record.due.of(duty));
        let mut effect = self.tells();
        effect.moves.push(Move { before: Some(record), after });
        Ok(effect)
    }
}
