//! Any life of a concern, with its ladder, for any urgency and calendar (I6, I14).

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{super::escalation, *};
use crate::{
    broker::records::DeliveryRecord,
    clock::Moment,
    directory::Directory,
    domain::{
        calendar::Calendar,
        deadline::{Deadline, Duty, STEPS},
        lifecycle::Party,
        vocabulary::Urgency,
    },
    proto::{self, SignedChange, directory_change::Change},
    store::{Index, View},
};

/// Friday, 2026-10-23T16:00:00Z: the clocks go back on the Sunday.
const FRIDAY: u64 = 1_792_771_200;
const NANOSECONDS: u64 = 1_000_000_000;
/// Two inboxes of one area: the same team answers for both out of hours.
const ADDRESSED: [&str; 2] = ["nursery/duty", "school/duty"];
const STAND_INS: [&str; 2] = ["social-work/duty", "night/duty"];

const EVERYBODY: [&str; 5] = [ADDRESSED[0], ADDRESSED[1], STAND_INS[0], STAND_INS[1], "gp/duty"];

/// What may happen next.
#[derive(Clone, Debug)]
enum Next {
    Minutes(u64),
    Stored(&'static str),
    Acknowledged(&'static str),
    Decided,
    Feedback,
    FeedbackStored,
    Redirected,
    Urgency(Urgency),
    /// This duty is given so many minutes from now.
    MoreTime(Duty, u64),
    Withdrawn,
}

fn next() -> impl Strategy<Value = Next> {
    let anybody = || prop::sample::select(EVERYBODY.to_vec());
    prop_oneof![
        6 => (0_u64..2_000).prop_map(Next::Minutes),
        2 => (0_u64..20).prop_map(Next::Minutes),
        2 => anybody().prop_map(Next::Stored),
        2 => anybody().prop_map(Next::Acknowledged),
        1 => Just(Next::Decided),
        1 => Just(Next::Feedback),
        1 => Just(Next::FeedbackStored),
        1 => Just(Next::Redirected),
        2 => prop::sample::select(Urgency::ALL.to_vec()).prop_map(Next::Urgency),
        1 => (prop::sample::select(Duty::ALL.to_vec()), 0_u64..9_000)
            .prop_map(|(duty, minutes)| Next::MoreTime(duty, minutes)),
        1 => Just(Next::Withdrawn),
    ]
}

/// Who is who: the school's deputy is social work, the area's out-of-hours team is `night`.
fn directory() -> Directory {
    let mut directory = Directory::of("cairn.example/test");
    let area =
        proto::Area { id: "here".into(), out_of_hours: STAND_INS[1].into(), ..Default::default() };
    let mut changes = vec![Change::Area(area)];
    for id in EVERYBODY.into_iter().chain(["police/duty"]) {
        let agency = id.split('/').next().unwrap_or_default().to_owned();
        let area = "here".into();
        changes.push(Change::Agency(proto::Agency { id: agency, area, ..Default::default() }));
        let deputy = if id == ADDRESSED[1] { STAND_INS[0].into() } else { String::new() };
        changes.push(Change::Inbox(proto::Inbox { id: id.into(), deputy, ..Default::default() }));
    }
    for (entry, change) in (0..).zip(changes) {
        let change = proto::DirectoryChange { change: Some(change), ..Default::default() };
        let change = SignedChange { change: proto::encode(&change), ..Default::default() };
        directory.apply(entry, &change);
    }
    directory
}

/// One concern, from its beginning.
struct Life<'a> {
    overlay: Overlay<'a>,
    directory: &'a Directory,
    calendar: Calendar,
    seconds: u64,
    entry: u64,
    concern: u64,
    feedback: Option<u64>,
    climbed: BTreeSet<String>,
    /// Who has said to have it.
    stored: BTreeSet<&'static str>,
}

impl<'a> Life<'a> {
    fn begin(index: &'a Index, directory: &'a Directory, urgency: Urgency, calendar: &str) -> Self {
        let mut life = Self {
            overlay: Overlay::over(index),
            directory,
            calendar: Calendar::named_or_strictest(calendar),
            seconds: FRIDAY,
            entry: 0,
            concern: 0,
            feedback: None,
            climbed: BTreeSet::new(),
            stored: BTreeSet::new(),
        };
        let mut facts = Facts {
            sender: "police".into(),
            inboxes: ADDRESSED.map(str::to_owned).to_vec(),
            reply_to: "police/duty".into(),
            urgency: urgency.as_str().into(),
            ..Facts::default()
        };
        facts.set_type(EntryType::Concern);
        life.set_deadlines(&mut facts, urgency);
        assert!(life.say(facts).is_some(), "a concern is taken");
        life
    }

    /// As the committer sets them.
    fn set_deadlines(&self, facts: &mut Facts, urgency: Urgency) {
        let both = [Duty::Acknowledge, Duty::Decide].into_iter();
        for duty in both.flat_map(|duty| ADDRESSED.map(|_| duty)) {
            let (due, rungs) = match duty {
                Duty::Acknowledge => {
                    (&mut facts.acknowledgement_due, &mut facts.acknowledgement_rungs)
                }
                _ => (&mut facts.decision_due, &mut facts.decision_rungs),
            };
            if let Some(deadline) = self.deadline(duty, urgency) {
                due.push(deadline[0]);
                rungs.extend(&deadline[1..]);
            }
        }
    }

    fn deadline(&self, duty: Duty, urgency: Urgency) -> Option<[u64; 1 + STEPS]> {
        let from = Moment(self.seconds * NANOSECONDS);
        let Deadline { due, steps } = Deadline::of(duty, urgency, &self.calendar, &[], from)?;
        let after = |at: Option<Moment>| at.map_or(0, |at| at.0 / NANOSECONDS - self.seconds);
        let [one, two, three] = steps.map(after);
        Some([due.0 / NANOSECONDS, one, two, three])
    }

    /// Appends an entry, if it can be said. Its number.
    fn say(&mut self, mut facts: Facts) -> Option<u64> {
        address(&self.overlay, &mut facts);
        let (entry, time) = (self.entry, self.seconds * NANOSECONDS);
        let effect = judge(&self.overlay, entry, time, &facts).ok()?;
        apply(&mut self.overlay, entry, time, &facts, effect);
        self.entry += 1;
        Some(entry)
    }

    /// The delivery to one of [`ADDRESSED`].
    fn record(&self, which: usize) -> DeliveryRecord {
        records::deliveries(&self.overlay, self.concern).remove(which)
    }

    fn step(&self, kind: EntryType, inbox: &str) -> Facts {
        let mut facts = Facts {
            sender: inbox.split('/').next().unwrap_or_default().into(),
            answers: Some(self.concern),
            inbox: inbox.into(),
            ..Facts::default()
        };
        facts.set_type(kind);
        facts
    }

    fn happens(&mut self, next: &Next) {
        let holder = self.record(1).delivery.holder.to_string();
        let facts = match next {
            Next::Minutes(minutes) => {
                self.seconds += minutes * 60;
                return;
            }
            Next::Stored(inbox) => self.step(EntryType::Stored, inbox),
            Next::Acknowledged(inbox) => self.step(EntryType::Acknowledgement, inbox),
            Next::Decided => {
                let deadline = self.deadline(Duty::Feedback, Urgency::Routine).unwrap_or_default();
                let outcome = "assessment".into();
                let (feedback_due, feedback_rungs) = (deadline[0], deadline[1..].to_vec());
                let facts = self.step(EntryType::Decision, &holder);
                Facts { outcome, feedback_due, feedback_rungs, ..facts }
            }
            Next::Feedback => {
                let inboxes = vec!["police/duty".into()];
                Facts { inboxes, ..self.step(EntryType::Feedback, &holder) }
            }
            Next::FeedbackStored => {
                let stored = self.step(EntryType::Stored, "police/duty");
                Facts { answers: self.feedback, ..stored }
            }
            Next::Redirected => {
                let next_inbox = "gp/duty".into();
                Facts { next_inbox, ..self.step(EntryType::Redirection, &holder) }
            }
            Next::Urgency(urgency) => {
                let open = [0, 1].map(|which| self.record(which)).into_iter();
                let undecided = open.into_iter().find(DeliveryRecord::is_undecided);
                let before = undecided.unwrap_or_else(|| self.record(1)).urgency;
                let before = Urgency::effective(Some(&before)).0;
                let mut facts = self.step(EntryType::UrgencyChange, "police/duty");
                facts.inbox.clear();
                facts.urgency = urgency.as_str().into();
                if urgency.is_above(before) {
                    self.set_deadlines(&mut facts, *urgency);
                }
                facts
            }
            Next::MoreTime(duty, minutes) => self.more_time(*duty, *minutes, &holder),
            Next::Withdrawn => {
                let mut facts = self.step(EntryType::Withdrawal, "police/duty");
                facts.inbox.clear();
                facts
            }
        };
        let said = self.say(facts);
        match next {
            Next::Feedback => self.feedback = said.or(self.feedback),
            Next::Stored(inbox) if said.is_some() => drop(self.stored.insert(inbox)),
            _ => {}
        }
    }

    /// As the policy and the committer make it.
    fn more_time(&self, duty: Duty, minutes: u64, holder: &str) -> Facts {
        let (urgency, _) = Urgency::effective(Some(&self.record(1).urgency));
        let [now, until] = [self.seconds, self.seconds + minutes * 60].map(Moment::of_seconds);
        let deadline = Deadline::extended(duty, urgency, &self.calendar, now, until);
        let steps =
            deadline.steps.map(|at| at.map_or(0, |at| (at.seconds() - self.seconds).max(1)));
        let mut facts = self.step(EntryType::Extension, holder);
        facts.subject = duty.as_str().into();
        match duty {
            Duty::Feedback => {
                (facts.feedback_due, facts.feedback_rungs) = (until.seconds(), steps.to_vec());
            }
            _ => {
                (facts.decision_due, facts.decision_rungs) = (vec![until.seconds()], steps.to_vec())
            }
        }
        facts
    }

    /// Climbs whatever is due. No rung may come twice, and none may be refused.
    fn climb(&mut self, which: usize) {
        let addressed: InboxId = ADDRESSED[which].parse().unwrap();
        let now = |life: &Self| Moment(life.seconds * NANOSECONDS);
        while let Some(escalation::Due { facts, unique }) =
            escalation::rung(&self.overlay, self.directory, now(self), self.concern, &addressed)
        {
            let rung = (facts.subject.clone(), facts.code.clone());
            let before = self.record(which);
            assert!(self.say(facts).is_some(), "{rung:?} is due and refused");
            let after = self.record(which);
            assert_eq!(before.delivery.state, after.delivery.state, "a rung moves nothing");
            assert_eq!(before.delivery.holder, after.delivery.holder);
            assert!(self.climbed.insert(unique), "{rung:?} twice");
        }
    }
}

fn no_later(duty: Duty, before: &DeliveryRecord, after: &DeliveryRecord) -> bool {
    let (before, after) = (before.due.of(duty), after.due.of(duty));
    let sooner = |before: u64, after: u64| before == 0 || (after > 0 && after <= before);
    let steps = before.steps.iter().zip(&after.steps);
    sooner(before.due, after.due)
        && steps.into_iter().all(|(before, after)| sooner(*before, *after))
        && before.climbed & after.climbed == before.climbed
}

/// Raised, nothing that is still to come is later, and the whole ladder of the new urgency is to
/// come: each of its steps by when it would be if the concern came now, those that are due climbed.
fn is_raised(
    duty: Duty,
    urgency: Urgency,
    life: &Life<'_>,
    (before, after): (&DeliveryRecord, &DeliveryRecord),
) -> bool {
    let (before, after) = (before.due.of(duty), after.due.of(duty));
    let fresh = life.deadline(duty, urgency).unwrap_or_default();
    let at_most = |at: u64, most: u64| most == 0 || (at > 0 && at <= most);
    let pending = (0..STEPS).filter(|step| before.climbed & (1 << step) == 0);
    let steps = (0..STEPS).all(|step| {
        let by = if fresh[1 + step] > 0 { life.seconds + fresh[1 + step] } else { 0 };
        let due = after.steps[step] > 0 && after.steps[step] <= life.seconds;
        at_most(after.steps[step], by) && (after.climbed & (1 << step) != 0) == due
    });
    at_most(after.due, before.due)
        && at_most(after.due, fresh[0])
        && steps
        && pending
            .into_iter()
            .all(|step| fresh[1 + step] == 0 || at_most(after.steps[step], before.steps[step]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// At each moment one party owes the next action; no deadline moves later but by an extension;
    /// each rung comes once, and none that is due is left out; the index wakes the exchange exactly once.
    #[test]
    fn any_life_has_one_owner_and_climbs_each_rung_once(
        urgency in prop::sample::select(Urgency::ALL.to_vec()),
        calendar in prop::sample::select(vec!["24x7", "scotland-working-hours", "scotland-school-days"]),
        life in prop::collection::vec(next(), 0..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let directory = directory();
        let mut concern = Life::begin(&index, &directory, urgency, calendar);
        for next in &life {
            let before = [0, 1].map(|which| concern.record(which));
            concern.happens(next);
            let mut wakes = Vec::new();
            for which in [0, 1] {
                concern.climb(which);
                let after = concern.record(which);
                for duty in [Duty::Acknowledge, Duty::Decide] {
                    let (before, after) = (&before[which], &after);
                    let anew = before.due.of(duty).anew != after.due.of(duty).anew;
                    match next {
                        Next::MoreTime(what, _) if anew => {
                            prop_assert_eq!((*what, duty), (Duty::Decide, Duty::Decide));
                            prop_assert!(after.due.of(duty).due > before.due.of(duty).due);
                        }
                        Next::Urgency(urgency) if anew => {
                            prop_assert!(is_raised(duty, *urgency, &concern, (before, after)),
                                "{:?}: {:?} {:?}", next, before, after);
                        }
                        _ => {
                            prop_assert!(!anew && no_later(duty, before, after),
                                "{:?}: {:?} {:?}", next, before, after);
                        }
                    }
                }
                let (delivery, now) = (&after.delivery, concern.seconds);
                prop_assert_eq!(delivery.is_open(), delivery.responsible() != Party::Nobody);
                let due = after.next_step();
                prop_assert!(due.is_none_or(|step| step.at > now), "{:?} is left out", due);
                let wake = due.map(|due| records::wake_key(due.at, concern.concern, &delivery.addressed));
                wakes.extend(wake.map(|key| key.to_vec()));
                // Who can take it, and was offered it, has it or is offered it still.
                let waits = |inbox: &InboxId| {
                    concern.overlay.value(&records::queue_key(inbox, concern.concern)).is_some()
                };
                let addressed = &delivery.addressed;
                let offered = delivery.holder == *addressed || delivery.stand_ins.contains(addressed);
                let had_it = concern.stored.contains(addressed.as_str());
                let over = !delivery.is_open() || delivery.withdrawal.is_some();
                prop_assert!(over || !offered || had_it || waits(addressed), "{} lost it", addressed);
            }
            wakes.sort_unstable();
            let found = concern.overlay.under(b"w", 9).into_iter();
            prop_assert_eq!(found.map(|(key, _)| key).collect::<Vec<_>>(), wakes);
            // What an inbox that stands in was offered waits there only while it may take it.
            for inbox in STAND_INS {
                let inbox: InboxId = inbox.parse().unwrap();
                let waits = concern.overlay.value(&records::queue_key(&inbox, concern.concern)).is_some();
                let may = [0, 1].map(|which| concern.record(which).delivery).into_iter().any(|it| {
                    it.holder == inbox || it.stand_ins.contains(&inbox)
                });
                prop_assert!(may || !waits, "{} has what it was not offered", inbox);
            }
        }
        // Whoever is still offered it can say that it has it, and is offered it no more.
        for inbox in EVERYBODY {
            let id: InboxId = inbox.parse().unwrap();
            let key = records::queue_key(&id, concern.concern);
            if concern.overlay.value(&key).is_some() {
                let stored = concern.step(EntryType::Stored, inbox);
                prop_assert!(concern.say(stored).is_some(), "{} cannot say stored", inbox);
                prop_assert!(concern.overlay.value(&key).is_none(), "{} is offered it for ever", inbox);
            }
        }
    }
}
