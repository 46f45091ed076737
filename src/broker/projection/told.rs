//! What the exchange itself says of a delivery, and what those do whom it told, the stand-ins.
//!
//! Pure: no clock, no I/O.
//!
//! Holds: I5, I6. Knows: domain, proto, store.

use super::{
    super::records::{self, DeliveryRecord},
    Effect, Move,
    judge::Step,
};
use crate::{
    domain::{
        deadline::Rung,
        ids::InboxId,
        lifecycle::{Actor, Applied, Event, State},
        refusal::Refusal,
    },
    store::View,
};

impl<V: View> Step<'_, V> {
    /// What a holder's event does; of a stand-in it is recorded and no more.
    pub(super) fn by_holder_or_stand_in(&self, event: Event) -> Result<Effect, Refusal> {
        let (concern, _) = self.answered()?;
        match self.part(concern, &self.inbox()?)? {
            Part::Holder(record) => self.step(record, Actor::Holder, event),
            Part::StandIn(_) => Ok(Effect::default()),
        }
    }

    /// A named person took ownership: of the holder, or of a stand-in, who is the holder then.
    pub(super) fn acknowledged(&self) -> Result<Effect, Refusal> {
        let ((concern, _), inbox) = (self.answered()?, self.inbox()?);
        let record = match self.part(concern, &inbox)? {
            Part::StandIn(record) => record,
            Part::Holder(record) => {
                let mut effect = self.step(record, Actor::Holder, Event::Acknowledged)?;
                self.take_back_offers(&mut effect, &inbox);
                return Ok(effect);
            }
        };
        let (was, withdrawn) = (record.delivery.clone(), record.withdrawn_by);
        let mut effect =
            self.step(record, Actor::StandIn, Event::TakenOver { by: inbox.clone() })?;
        self.take_back_offers(&mut effect, &was.holder);
        // Whom it was taken over from is still to have it, and the next owner must hear of a
        // withdrawal too.
        if was.state == State::Queued {
            effect.queued.push((was.holder, concern));
        }
        effect.queued.extend(withdrawn.map(|withdrawal| (inbox, withdrawal)));
        Ok(effect)
    }

    /// Takes back what was offered to stand-ins that have not stored it: nobody needs them any
    /// more, now that somebody has taken it. Not from the inbox addressed, or from `but`, or from
    /// one that has another delivery of the concern or stands in for it.
    fn take_back_offers(&self, effect: &mut Effect, but: &InboxId) {
        for Move { after, .. } in &mut effect.moves {
            let (concern, addressed) = (after.concern, after.delivery.addressed.clone());
            let deliveries = records::deliveries(self.view, concern);
            let elsewhere = |inbox: &InboxId| {
                deliveries.iter().any(|other| {
                    let has_it =
                        other.delivery.holder == *inbox || other.delivery.stand_ins.contains(inbox);
                    other.delivery.addressed != addressed && has_it && other.is_undecided()
                })
            };
            after.delivery.stand_ins.retain(|inbox| {
                let kept = *inbox == addressed
                    || inbox == but
                    || elsewhere(inbox)
                    || !self.waits(inbox, concern);
                if !kept {
                    effect.unqueued.push((inbox.clone(), concern));
                }
                kept
            });
        }
    }

    /// A rung is climbed: what was to be done was not, and somebody else is told.
    pub(super) fn escalated(&self) -> Result<Effect, Refusal> {
        let record = self.addressed()?;
        let concern = record.concern;
        let due = record.next_step().filter(|next| {
            next.at <= self.time / 1_000_000_000
                && next.duty.as_str() == self.facts.subject
                && Rung::parse(&self.facts.code).is_some_and(|rung| rung.step() == next.step)
        });
        let wanted = "escalation";
        let next = due.ok_or(Refusal::OutOfTurn { state: record.delivery.state, wanted })?;
        let (mut after, mut effect) = (record.clone(), Effect::default());
        after.due.of_mut(next.duty).climb(next.step);
        if let Ok(stand_in) = self.facts.next_inbox.parse::<InboxId>() {
            let offer = Event::Offered { to: stand_in.clone() };
            match record.delivery.apply(Actor::Exchange, &offer)? {
                Applied::Changed(delivery) => {
                    after.delivery = delivery;
                    effect.queued.push((stand_in, concern));
                }
                // It has it, and hears that it is late once more.
                Applied::Unchanged => effect.queued.push((stand_in, self.entry)),
            }
        }
        // The sender hears of each rung.
        effect.queued.extend(record.reply_to.clone().map(|inbox| (inbox, self.entry)));
        effect.moves.push(Move { before: Some(record), after });
        Ok(effect)
    }

    /// On-call staff told somebody by telephone. Who has it and who sent it hear of that.
    pub(super) fn told_by_phone(&self) -> Result<Effect, Refusal> {
        let record = self.addressed()?;
        let mut effect = self.step(record, Actor::Exchange, Event::ToldByPhone)?;
        let told = self.facts.inboxes.iter().filter_map(|inbox| inbox.parse().ok());
        effect.queued.extend(told.map(|inbox| (inbox, self.entry)));
        Ok(effect)
    }

    /// Somebody is dealing with it: that is noted and changes nothing.
    pub(super) fn taken_care_of(&self) -> Result<Effect, Refusal> {
        let record = self.addressed()?;
        if !record.delivery.is_open() {
            let (state, wanted) = (record.delivery.state, "taken_care_of");
            return Err(Refusal::OutOfTurn { state, wanted });
        }
        let cared_for = Some((self.entry, self.facts.until));
        let after = DeliveryRecord { cared_for, ..record.clone() };
        Ok(Effect { moves: vec![Move { before: Some(record), after }], ..Effect::default() })
    }

    /// The delivery that the exchange speaks of: by the inbox that it was addressed to.
    fn addressed(&self) -> Result<DeliveryRecord, Refusal> {
        let concern = self.facts.answers.ok_or(Refusal::UnknownStatement)?;
        let is_it =
            |record: &DeliveryRecord| record.delivery.addressed.as_str() == self.facts.inbox;
        let mut deliveries = records::deliveries(self.view, concern);
        let at = deliveries.iter().position(is_it).ok_or(Refusal::UnknownStatement)?;
        Ok(deliveries.swap_remove(at))
    }

    /// The part that an inbox has in a concern: the delivery that it holds, or else one that it can
    /// take over, of several one that nobody has acknowledged.
    pub(super) fn part(&self, concern: u64, inbox: &InboxId) -> Result<Part, Refusal> {
        let mut deliveries = records::deliveries(self.view, concern);
        if let Some(at) = deliveries.iter().position(|record| record.delivery.holder == *inbox) {
            return Ok(Part::Holder(deliveries.swap_remove(at)));
        }
        deliveries.retain(|record| record.delivery.stand_ins.contains(inbox));
        if let Some(record) = deliveries.into_iter().min_by_key(|it| it.delivery.is_owned()) {
            return Ok(Part::StandIn(record));
        }
        self.must_be_party_to(concern)?;
        Err(Refusal::NotARecipient)
    }
}

/// What an inbox has to do with a concern.
pub(super) enum Part {
    /// It has this delivery.
    Holder(DeliveryRecord),
    /// It may take this delivery over.
    StandIn(DeliveryRecord),
}
