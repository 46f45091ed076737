//! The ladder: while what is due is not done, one party after another is told.
//!
//! A rung is an entry of the exchange's own. It offers the delivery to the deputy or the area's
//! out-of-hours inbox, whose wrap it releases, and tells the sender. It moves nothing: whoever
//! owed the next action still owes it, until a person acknowledges.
//!
//! The times stand in the facts of the concern; the index keeps deliveries by when their next rung
//! is climbed. The committer asks once more whether it is time and nobody has acted, so a rung is
//! climbed once, however often and wherever it is asked for.
//!
//! Holds: I5, I6, I10, I14. Knows: store, directory, domain, proto, clock, limits.

use tokio_util::sync::CancellationToken;

use super::{
    Broker, Error,
    draft::Work,
    records::{self, DeliveryRecord, NextStep},
    sequencer::Done,
};
use crate::{
    clock::Moment,
    crypto::tag::ExchangeSecret,
    directory::Directory,
    domain::{
        deadline::{Duty, Rung},
        ids::InboxId,
        vocabulary::Urgency,
    },
    limits,
    proto::{EntryType, Facts},
    store::{Key, View},
};

impl Broker {
    /// Climbs what is due, and looks who is quieter than usual, until told to end.
    pub async fn escalate(self, ended: CancellationToken) {
        let mut tick = tokio::time::interval(limits::ESCALATION_INTERVAL);
        let mut looked = None;
        while ended.run_until_cancelled(tick.tick()).await.is_some() {
            let now = self.now();
            if looked.is_none_or(|at: Moment| at.after(limits::QUIET_INTERVAL) <= now) {
                looked = Some(now);
                let broker = self.clone();
                drop(tokio::task::spawn_blocking(move || broker.look_for_quiet()));
            }
            let climbed = self.climb_all();
            match ended.run_until_cancelled(climbed).await {
                None => return,
                Some(Ok(())) | Some(Err(Error::Busy(_) | Error::Unknown)) => {}
                // It is asked for again at the next tick.
                Some(Err(error)) => tracing::error!(%error, "a rung could not be climbed"),
            }
        }
    }

    /// Climbs every rung whose time has come, a page at a time: what one entry makes due at
    /// once comes in the next page.
    ///
    /// # Errors
    /// As of any commit; what is due stays due.
    pub async fn climb_all(&self) -> Result<(), Error> {
        let mut climbed = true;
        while climbed {
            climbed = false;
            let mut from = records::wakes_from(0);
            loop {
                // All of a page are one batch, or few.
                let (due, next) = self.due_now(&from);
                let Some(next) = next else { break };
                let rungs = due.into_iter().map(|(concern, addressed)| {
                    self.hand_over(Work::Rung { concern, addressed }, None)
                });
                for rung in rungs.collect::<Result<Vec<_>, _>>()? {
                    match rung.done().await {
                        Ok(done) => climbed |= matches!(done, Done::Committed { .. }),
                        // One that cannot be climbed must not keep the others.
                        Err(Error::Refused(refusal)) => {
                            tracing::error!(%refusal, "a rung that is due was refused");
                        }
                        Err(error) => return Err(error),
                    }
                }
                from = next;
            }
        }
        Ok(())
    }

    /// When the next rung is climbed unless somebody acts before; it may be due already.
    pub fn next_rung_at(&self) -> Option<Moment> {
        let end = records::wakes_from(u64::MAX);
        let (key, _) = self.index().range(&records::wakes_from(0), &end).next()?;
        records::wake_of(&key).map(|(seconds, ..)| Moment::of_seconds(seconds))
    }

    /// Deliveries whose next rung is due, the longest overdue first, a page of them; and from
    /// where the next page goes on, if there was any.
    fn due_now(&self, from: &[u8]) -> (Vec<(u64, InboxId)>, Option<Key>) {
        let now = self.now().0 / 1_000_000_000;
        let page: Vec<_> = self
            .index()
            .range(from, &records::wakes_from(now + 1))
            .take(limits::RUNGS_AT_ONCE_MAX)
            .map(|(key, _)| key)
            .collect();
        let next = page.last().map(|last| {
            let mut next = Key::from_slice(last);
            next.push(0);
            next
        });
        let due = page.iter().filter_map(|key| records::wake_of(key));
        (due.map(|(_, concern, addressed)| (concern, addressed)).collect(), next)
    }
}

/// A rung that is due.
pub(super) struct Due {
    pub(super) facts: Facts,
    /// By what it is climbed once, for ever.
    pub(super) unique: String,
}

/// The next rung of a delivery; `None` if none is due.
pub(super) fn rung(
    view: &impl View,
    directory: &Directory,
    now: Moment,
    concern: u64,
    addressed: &InboxId,
) -> Option<Due> {
    let deliveries = records::deliveries(view, concern);
    let record = deliveries.iter().find(|record| record.delivery.addressed == *addressed)?.clone();
    let next = record.next_step().filter(|next| next.at <= now.0 / 1_000_000_000)?;
    let (urgency, _) = Urgency::effective(Some(&record.urgency));
    let rung = Rung::at(next.step, next.duty, urgency);
    // Who has the concern itself needs no offer of another's delivery.
    let has_it =
        |inbox: &String| deliveries.iter().any(|record| record.delivery.holder.as_str() == inbox);
    let stand_in = stand_in(directory, &record, next, rung).filter(|inbox| !has_it(inbox));
    let stand_in = stand_in.unwrap_or_default();
    let told = (!stand_in.is_empty()).then(|| stand_in.clone());
    let sender = record.reply_to.as_ref().map(ToString::to_string);
    let mut inboxes: Vec<String> = told.into_iter().chain(sender).collect();
    inboxes.dedup();
    let mut facts = Facts {
        inboxes,
        urgency: record.urgency,
        answers: Some(concern),
        inbox: addressed.to_string(),
        next_inbox: stand_in,
        exercise: record.exercise,
        code: rung.as_str().to_owned(),
        subject: next.duty.as_str().to_owned(),
        ..Facts::default()
    };
    facts.set_type(EntryType::Escalation);
    // What is decided anew is to be told anew.
    let decided = (next.duty == Duty::Feedback).then_some(record.decision).flatten();
    // What was raised, or given more time, has a ladder of its own.
    let anew = decided.unwrap_or_default().max(record.due.of(next.duty).anew);
    let Facts { inbox, subject, code, .. } = &facts;
    let unique = format!("{concern} {inbox} {subject} {code} {anew}");
    Some(Due { facts, unique })
}

/// The inbox that a rung offers a delivery to: the deputy of who has it, or the out-of-hours
/// inbox of the area; nobody if there is none, or it has it already, or it retired, or the concern
/// was taken back.
fn stand_in(
    directory: &Directory,
    record: &DeliveryRecord,
    next: NextStep,
    rung: Rung,
) -> Option<String> {
    let holder = &record.delivery.holder;
    let named = match rung {
        Rung::Deputy => directory.inbox(holder)?.deputy.clone(),
        Rung::OutOfHours => directory.area_of(holder.agency())?.out_of_hours.clone(),
        Rung::Manager | Rung::Senior => return None,
    };
    let inbox: InboxId = named.parse().ok()?;
    let known = directory.inbox(&inbox).is_some_and(|known| !known.retired);
    let can_take = next.duty != Duty::Feedback && record.delivery.withdrawal.is_none();
    (known && can_take && inbox != *holder).then_some(named)
}

/// The ledger's uniqueness key of a rung.
pub(super) fn unique_key(secret: &ExchangeSecret, unique: &str) -> [u8; 32] {
    // No agency has an empty name, so it is no statement's.
    secret.request_key("", unique.as_bytes())
}
