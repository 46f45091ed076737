//! What an entry would do where things stand, or why it cannot be said.
//!
//! Pure: no clock, no I/O, nothing is changed here.
//!
//! Holds: I5, I6. Knows: domain, proto, store.

use std::collections::BTreeSet;

use super::{
    super::records::{self, DeliveryRecord, Due, DueBy, EntryMeta},
    Effect, Move,
    told::Part,
};
use crate::{
    domain::{
        ids::InboxId,
        lifecycle::{Actor, Applied, Delivery, Event, State},
        refusal::Refusal,
        vocabulary::NOTED,
    },
    limits,
    proto::{EntryType, Facts},
    store::View,
};

/// What an entry of this number and time would do where things stand.
///
/// # Errors
/// The refusal: not a recipient, unknown statement, out of turn.
pub fn judge(view: &impl View, entry: u64, time: u64, facts: &Facts) -> Result<Effect, Refusal> {
    let step = Step { view, entry, time, facts };
    match facts.r#type() {
        EntryType::Concern => step.concern(),
        EntryType::Stored => step.stored(),
        EntryType::NotTaken => step.trouble(Event::NotTaken),
        EntryType::CannotOpen => step.trouble(Event::CannotOpen),
        EntryType::Opened => step.by_holder_or_stand_in(Event::Opened),
        EntryType::Acknowledgement => step.acknowledged(),
        EntryType::Escalation => step.escalated(),
        EntryType::ToldByPhone => step.told_by_phone(),
        EntryType::UrgencyChange => step.urgency_change(),
        EntryType::TakenCareOf => step.taken_care_of(),
        EntryType::Extension => step.extended(),
        EntryType::AgreementReview => step.reviewed(),
        EntryType::Manifest => step.counted(),
        EntryType::Settled => step.settled(),
        EntryType::Refusal | EntryType::ReviewAsked => Ok(step.tells()),
        EntryType::Decision => step.by_holder(Event::Decided { outcome: facts.outcome.clone() }),
        EntryType::Feedback => step.feedback(),
        EntryType::Redirection => step.passed_on(|next| Event::Redirected { next }),
        EntryType::Misdirection => step.passed_on(|next| Event::Misdirected { next }),
        EntryType::Resealed => step.resealed(),
        EntryType::Withdrawal => step.withdrawal(),
        EntryType::WithdrawalConfirmed => step.by_holder(Event::WithdrawalConfirmed),
        EntryType::PhoneConfirmed => step.by_holder(Event::ToldByPhoneConfirmed),
        EntryType::Unspecified
        | EntryType::Genesis
        | EntryType::Directory
        | EntryType::Query
        | EntryType::ConsoleAccess
        | EntryType::Recovery => Ok(Effect::default()),
    }
}

/// The inboxes that have a concern on their disks: holders, and stand-ins.
fn had_it(view: &impl View, concern: u64) -> BTreeSet<InboxId> {
    let deliveries = records::deliveries(view, concern);
    let open = deliveries.iter().filter(|record| record.delivery.is_open());
    let holders = open.clone().filter(|record| record.delivery.state != State::Queued);
    let holders = holders.map(|record| &record.delivery.holder);
    holders.chain(open.flat_map(|record| stand_ins_with_it(view, record))).cloned().collect()
}

/// The stand-ins that have a delivery on their disks: it no longer waits there.
fn stand_ins_with_it<'r, V: View>(
    view: &V,
    record: &'r DeliveryRecord,
) -> impl Iterator<Item = &'r InboxId> {
    let stand_ins = record.delivery.stand_ins.iter();
    stand_ins.filter(|inbox| !records::waits(view, inbox, record.concern))
}

/// Who must be told of a statement beyond those it names: recipients who already
/// have what is withdrawn or wrapped anew. Fills [`Facts::inboxes`].
pub fn address(view: &impl View, facts: &mut Facts) {
    let Some(concern) = facts.answers else { return };
    match facts.r#type() {
        // Every one of them is told; as many as facts have room for are named and numbered.
        EntryType::Withdrawal => {
            let mut bytes = 0;
            let named = had_it(view, concern).into_iter().take_while(|inbox| {
                bytes += inbox.as_str().len();
                bytes <= limits::RECIPIENT_NAMES_BYTES_MAX
            });
            facts.inboxes = named.map(|inbox| inbox.to_string()).collect();
        }
        EntryType::Resealed => facts.inboxes = vec![facts.inbox.clone()],
        // Those who have not decided, in the order of their deadlines, and the sender if another
        // speaks.
        EntryType::UrgencyChange => {
            let deliveries = records::deliveries(view, concern);
            let reply_to = deliveries.first().and_then(|record| record.reply_to.clone());
            let sender = reply_to.filter(|_| !facts.inbox.is_empty());
            let open: Vec<_> = deliveries.iter().filter(|record| record.is_undecided()).collect();
            let holders = open.iter().map(|record| record.delivery.holder.clone());
            let stand_ins = open.iter().flat_map(|record| stand_ins_with_it(view, record)).cloned();
            let mut told: Vec<String> = Vec::new();
            for inbox in holders.chain(sender).chain(stand_ins) {
                if !told.contains(&inbox.to_string()) {
                    told.push(inbox.to_string());
                }
            }
            facts.inboxes = told;
        }
        // Who has it, and who sent it.
        EntryType::ToldByPhone => {
            let deliveries = records::deliveries(view, concern);
            let record =
                deliveries.into_iter().find(|it| it.delivery.addressed.as_str() == facts.inbox);
            let told = record.map(|it| [Some(it.delivery.holder), it.reply_to]);
            let told = told.into_iter().flatten().flatten();
            facts.inboxes = told.map(|inbox| inbox.to_string()).collect();
            facts.inboxes.dedup();
        }
        EntryType::Redirection | EntryType::Misdirection => {
            facts.inboxes = vec![facts.next_inbox.clone()];
        }
        // The sender.
        EntryType::Extension => {
            let reply_to =
                records::deliveries(view, concern).into_iter().find_map(|it| it.reply_to);
            facts.inboxes = reply_to.iter().map(ToString::to_string).collect();
        }
        _ => {}
    }
}

/// One entry, seen against where things stand.
pub(super) struct Step<'a, V> {
    pub(super) view: &'a V,
    pub(super) entry: u64,
    pub(super) time: u64,
    pub(super) facts: &'a Facts,
}

impl<V: View> Step<'_, V> {
    fn concern(&self) -> Result<Effect, Refusal> {
        if let Some(answered) = self.facts.answers {
            self.must_be_party_to(answered)?;
        }
        let mut effect = Effect::default();
        for (number, inbox) in self.facts.inboxes.iter().enumerate() {
            let inbox: InboxId = inbox.parse().map_err(|_| Refusal::UnknownStatement)?;
            let after = DeliveryRecord {
                delivery: Delivery::new(inbox),
                concern: self.entry,
                sender: self.facts.sender.clone(),
                reply_to: self.facts.reply_to.parse().ok(),
                urgency: self.facts.urgency.clone(),
                exercise: self.facts.exercise,
                accepted_at: self.time,
                changed: (self.time, self.entry),
                decision: None,
                feedback: None,
                rewraps: Vec::new(),
                withdrawn_by: None,
                due: Due {
                    acknowledgement: DueBy::listed(
                        self.time,
                        number,
                        &self.facts.acknowledgement_due,
                        &self.facts.acknowledgement_rungs,
                    ),
                    decision: DueBy::listed(
                        self.time,
                        number,
                        &self.facts.decision_due,
                        &self.facts.decision_rungs,
                    ),
                    feedback: DueBy::default(),
                },
                cared_for: None,
            };
            effect.moves.push(Move { before: None, after });
        }
        Ok(effect)
    }

    /// A concern, feedback or notice is on the disk of who it was for.
    fn stored(&self) -> Result<Effect, Refusal> {
        let (answered, meta) = self.answered()?;
        let inbox = self.inbox()?;
        match records::kind_of(&meta) {
            EntryType::Concern => {
                let (waits, part) = (self.waits(&inbox, answered), self.part(answered, &inbox)?);
                match part {
                    Part::Holder(record) if record.delivery.state == State::Queued || !waits => {
                        self.step(record, Actor::Holder, Event::Stored)
                    }
                    // A stand-in, or one who acknowledged it first: no longer offered, and no more.
                    // The holder's own disk is asked all the same.
                    _ => Ok(Effect {
                        unqueued: waits.then_some((inbox, answered)).into_iter().collect(),
                        ..Effect::default()
                    }),
                }
            }
            EntryType::Feedback => {
                let (concern, addressed) = meta.delivery.ok_or(Refusal::UnknownStatement)?;
                let record =
                    self.delivery(concern, |record| record.delivery.addressed == addressed)?;
                if record.reply_to.as_ref() != Some(&inbox) {
                    return Err(Refusal::NotARecipient);
                }
                // Feedback that a newer decision has overtaken closes nothing.
                let newest = record.feedback == Some(answered);
                let mut effect = match newest && record.delivery.state == State::FeedbackSent {
                    true => self.step(record, Actor::Sender, Event::FeedbackStored)?,
                    false => Effect::default(),
                };
                effect.unqueued.push((inbox, answered));
                Ok(effect)
            }
            // Whoever was told may say so, also after passing the delivery on.
            EntryType::Withdrawal
            | EntryType::Resealed
            | EntryType::UrgencyChange
            | EntryType::Extension
            | EntryType::Escalation
            | EntryType::ToldByPhone
            | EntryType::Manifest
            | EntryType::Refusal
            | EntryType::ReviewAsked => {
                if !self.waits(&inbox, answered) {
                    self.must_be_party_to(meta.thread)?;
                }
                Ok(Effect { unqueued: vec![(inbox, answered)], ..Effect::default() })
            }
            _ => Err(Refusal::UnknownStatement),
        }
    }

    /// Somebody could not take or open what came. Of feedback it is recorded, and the
    /// feedback is offered again.
    fn trouble(&self, event: Event) -> Result<Effect, Refusal> {
        let (_, meta) = self.answered()?;
        let Some((concern, addressed)) = meta.delivery else {
            return self.by_holder_or_stand_in(event);
        };
        let record = self.delivery(concern, |record| record.delivery.addressed == addressed)?;
        match record.reply_to.is_some_and(|inbox| inbox.to_string() == self.facts.inbox) {
            true => Ok(Effect::default()),
            false => Err(Refusal::NotARecipient),
        }
    }

    fn feedback(&self) -> Result<Effect, Refusal> {
        let record = self.held()?;
        let reply_to = record.reply_to.clone();
        let addressed: Vec<String> = reply_to.iter().map(ToString::to_string).collect();
        if self.facts.inboxes != addressed {
            let rule = "feedback goes to the reply_to of the concern, and nowhere else";
            return Err(Refusal::FieldInvalid { field: "to", rule });
        }
        let delivery = (record.concern, record.delivery.addressed.clone());
        let mut effect = self.step(record, Actor::Holder, Event::FeedbackSent)?;
        effect.queued.extend(reply_to.map(|inbox| (inbox, self.entry)));
        effect.feedback_for = Some(delivery);
        for moved in &mut effect.moves {
            moved.after.feedback = Some(self.entry);
        }
        Ok(effect)
    }

    fn passed_on(&self, event: impl Fn(InboxId) -> Event) -> Result<Effect, Refusal> {
        let record = self.held()?;
        let next: InboxId =
            self.facts.next_inbox.parse().map_err(|_| Refusal::NextOwnerRequired)?;
        let has_it = |other: &DeliveryRecord| {
            other.delivery.addressed != record.delivery.addressed && other.delivery.holder == next
        };
        if records::deliveries(self.view, record.concern).iter().any(has_it) {
            let rule = "the next owner has this concern already: decide `linked_to_existing`";
            return Err(Refusal::FieldInvalid { field: "next", rule });
        }
        if record.rewraps.len() >= limits::REWRAPS_MAX {
            let rule = "it was passed on too often: decide, or ask the sender";
            return Err(Refusal::FieldInvalid { field: "next", rule });
        }
        // The next owner must hear of a withdrawal too.
        let withdrawn = record.withdrawn_by.map(|withdrawal| (next.clone(), withdrawal));
        // One who took it over without storing it could never say any more that it has it.
        let waits = (record.delivery.holder.clone(), record.concern);
        let others = records::deliveries(self.view, record.concern);
        let needed = others.iter().any(|other| {
            other.delivery.addressed != record.delivery.addressed
                && other.delivery.stand_ins.contains(&waits.0)
        });
        let waits = Some(waits).filter(|(inbox, concern)| !needed && self.waits(inbox, *concern));
        let mut effect = self.step(record, Actor::Holder, event(next))?;
        effect.queued.extend(withdrawn);
        effect.unqueued.extend(waits);
        for moved in &mut effect.moves {
            moved.after.rewraps.push(self.entry);
        }
        Ok(effect)
    }

    fn resealed(&self) -> Result<Effect, Refusal> {
        let (concern, meta) = self.answered()?;
        let holder = self.inbox()?;
        let record = self.held_by(concern, &holder)?;
        if meta.sender != self.facts.sender {
            return Err(Refusal::NotARecipient);
        }
        let waits = record.delivery.state == State::Queued;
        let mut effect = self.step(record, Actor::Sender, Event::Resealed)?;
        // One that still waits is offered again whole; others get the new wraps.
        if !waits {
            effect.queued.push((holder, self.entry));
        }
        for moved in &mut effect.moves {
            moved.after.rewraps.push(self.entry);
        }
        Ok(effect)
    }

    fn withdrawal(&self) -> Result<Effect, Refusal> {
        let (concern, meta) = self.answered()?;
        if meta.sender != self.facts.sender || records::kind_of(&meta) != EntryType::Concern {
            return Err(Refusal::UnknownStatement);
        }
        let mut effect = Effect::default();
        for record in records::deliveries(self.view, concern) {
            if record.delivery.is_open() {
                effect
                    .moves
                    .extend(self.step(record, Actor::Sender, Event::WithdrawnBySender)?.moves);
            }
        }
        for moved in &mut effect.moves {
            moved.after.withdrawn_by = Some(self.entry);
            let offers = moved.after.delivery.stand_ins.iter().map(|it| (it.clone(), concern));
            effect.unqueued.extend(offers.filter(|(inbox, concern)| self.waits(inbox, *concern)));
        }
        let told = had_it(self.view, concern).into_iter();
        effect.queued = told.map(|inbox| (inbox, self.entry)).collect();
        match effect.moves.is_empty() {
            true => Err(Refusal::OutOfTurn { state: State::Closed, wanted: "withdrawal" }),
            false => Ok(effect),
        }
    }

    /// A step by whoever has the delivery now.
    fn by_holder(&self, event: Event) -> Result<Effect, Refusal> {
        let decides = matches!(event, Event::Decided { .. });
        let mut effect = self.step(self.held()?, Actor::Holder, event)?;
        if decides {
            for moved in &mut effect.moves {
                self.must_suit(&moved.after)?;
                moved.after.decision = Some(self.entry);
                let Facts { feedback_due, feedback_rungs, .. } = self.facts;
                let due = DueBy::listed(self.time, 0, &[*feedback_due], feedback_rungs);
                // Deciding anew what nobody was told yet puts nothing off.
                let owed = moved.before.as_ref();
                let owed = owed.is_some_and(|before| before.delivery.state == State::Decided);
                moved.after.due.feedback = match owed {
                    true => moved.after.due.feedback.sooner(&due),
                    false => due.in_place_of(&moved.after.due.feedback),
                };
            }
        }
        Ok(effect)
    }

    /// `noted_for_information` is an outcome of `information` alone.
    fn must_suit(&self, record: &DeliveryRecord) -> Result<(), Refusal> {
        let noted = self.facts.outcome == NOTED;
        match noted && record.urgency != "information" {
            true => Err(Refusal::OutcomeNotAllowed),
            false => Ok(()),
        }
    }

    pub(super) fn step(
        &self,
        record: DeliveryRecord,
        by: Actor,
        event: Event,
    ) -> Result<Effect, Refusal> {
        match record.delivery.apply(by, &event)? {
            Applied::Unchanged => Ok(Effect::default()),
            Applied::Changed(delivery) => {
                let changed = (self.time, self.entry);
                let after = DeliveryRecord { delivery, changed, ..record.clone() };
                let moves = vec![Move { before: Some(record), after }];
                Ok(Effect { moves, ..Effect::default() })
            }
        }
    }

    pub(super) fn answered(&self) -> Result<(u64, EntryMeta), Refusal> {
        let answered = self.facts.answers.ok_or(Refusal::UnknownStatement)?;
        let meta = records::meta(self.view, answered).ok_or(Refusal::UnknownStatement)?;
        Ok((answered, meta))
    }

    /// Whether an entry waits to be stored by an inbox.
    pub(super) fn waits(&self, inbox: &InboxId, entry: u64) -> bool {
        records::waits(self.view, inbox, entry)
    }

    /// The delivery that the statement is about: of the answered concern, held by
    /// the inbox it speaks for.
    pub(super) fn held(&self) -> Result<DeliveryRecord, Refusal> {
        self.held_by(self.facts.answers.ok_or(Refusal::UnknownStatement)?, &self.inbox()?)
    }

    /// The inbox that the statement speaks for.
    pub(super) fn inbox(&self) -> Result<InboxId, Refusal> {
        self.facts.inbox.parse().map_err(|_| Refusal::NotARecipient)
    }

    fn held_by(&self, concern: u64, inbox: &InboxId) -> Result<DeliveryRecord, Refusal> {
        self.delivery(concern, |record| record.delivery.holder == *inbox)
    }

    /// A delivery of a concern. To who has no part in it, one that is another's and one
    /// that does not exist look the same.
    fn delivery(
        &self,
        concern: u64,
        which: impl Fn(&DeliveryRecord) -> bool,
    ) -> Result<DeliveryRecord, Refusal> {
        let mut deliveries = records::deliveries(self.view, concern);
        if let Some(at) = deliveries.iter().position(which) {
            return Ok(deliveries.swap_remove(at));
        }
        self.must_be_party_to(concern)?;
        Err(Refusal::NotARecipient)
    }

    /// Only who sent or received something may add to its thread.
    pub(super) fn must_be_party_to(&self, answered: u64) -> Result<(), Refusal> {
        let sender = &self.facts.sender;
        let meta = records::meta(self.view, answered).ok_or(Refusal::UnknownStatement)?;
        let is_concern = records::kind_of(&meta) == EntryType::Concern;
        let party = (is_concern && meta.sender == *sender)
            || records::deliveries(self.view, meta.thread).iter().any(|it| it.came_to(sender));
        if party { Ok(()) } else { Err(Refusal::UnknownStatement) }
    }
}
