//! The deadlines that a statement sets, as its facts will have them.
//!
//! Holds: I14. Knows: directory, domain, proto, clock.

use std::sync::Arc;

use super::Draft;
use crate::{
    broker::records,
    clock::Moment,
    domain::{
        calendar::{Calendar, Clock},
        deadline::{Deadline, Duty, STEPS},
        profile::Profile,
        vocabulary::{NOTED, Urgency},
    },
    proto::{EntryType, Facts},
};

/// A deadline, Unix seconds, and the steps of its ladder, in seconds from now; 0 for a step that is
/// left out.
type DueAt = [u64; 1 + STEPS];

/// A deadline that was worked out, by the calendar and the stricter clocks.
pub(super) struct Asked {
    calendar: Arc<Calendar>,
    stricter: Vec<Clock>,
    duty: Duty,
    urgency: Urgency,
    due: Option<DueAt>,
}

impl Draft<'_> {
    /// By when recipients must act, and who is told when they do not, by the calendars of now.
    pub(super) fn set_deadlines(&mut self, facts: &mut Facts) {
        match facts.r#type() {
            EntryType::Concern | EntryType::UrgencyChange => {
                let (urgency, _) = Urgency::effective(Some(&facts.urgency));
                let changed = facts.r#type() == EntryType::UrgencyChange;
                let holders = match changed {
                    true => self.undecided_if_raised(facts, urgency),
                    false => Vec::new(),
                };
                let profiles = self.profiles(&facts.agreement);
                for inbox in &facts.inboxes {
                    if changed && !holders.contains(inbox) {
                        continue;
                    }
                    if let Some([due, steps @ ..]) =
                        self.due(inbox, Duty::Acknowledge, urgency, &profiles)
                    {
                        facts.acknowledgement_due.push(due);
                        facts.acknowledgement_rungs.extend(steps);
                    }
                    if let Some([due, steps @ ..]) =
                        self.due(inbox, Duty::Decide, urgency, &profiles)
                    {
                        facts.decision_due.push(due);
                        facts.decision_rungs.extend(steps);
                    }
                }
            }
            EntryType::Decision if facts.outcome != NOTED => {
                let due = self.due(&facts.inbox, Duty::Feedback, Urgency::Routine, &[]);
                if let Some([due, steps @ ..]) = due {
                    (facts.feedback_due, facts.feedback_rungs) = (due, steps.to_vec());
                }
            }
            EntryType::Extension => self.extend(facts),
            _ => {}
        }
    }

    /// The inboxes that have a concern undecided, if an urgency is above the one that it runs as.
    fn undecided_if_raised(&self, facts: &Facts, urgency: Urgency) -> Vec<String> {
        let concern = facts.answers.unwrap_or_default();
        let deliveries = records::deliveries(&self.overlay, concern).into_iter();
        let below = deliveries.filter(|record| {
            let (before, _) = Urgency::effective(Some(&record.urgency));
            record.is_undecided() && urgency.is_above(before)
        });
        below.map(|record| record.delivery.holder.to_string()).collect()
    }

    /// The profiles of an agreement that are in force today.
    fn profiles(&self, agreement: &str) -> Vec<&'static Profile> {
        let today = Moment(self.time).london_date();
        let agreement = Some(agreement).filter(|id| !id.is_empty());
        let agreement = agreement.and_then(|id| self.directory.agreement(id));
        let names = agreement.into_iter().flat_map(|agreement| &agreement.profiles);
        names.filter_map(|name| Profile::in_force(name, today)).collect()
    }

    /// The ladder of a deadline that is given more time, which the policy has put in its place.
    fn extend(&self, facts: &mut Facts) {
        let deliveries = records::deliveries(&self.overlay, facts.answers.unwrap_or_default());
        let mut held = deliveries.iter().filter(|it| it.delivery.holder.as_str() == facts.inbox);
        let urgency = held.next().map_or("", |record| &record.urgency);
        let (urgency, _) = Urgency::effective(Some(urgency));
        let (duty, due, rungs) = match Duty::parse(&facts.subject) {
            Some(Duty::Feedback) => (Duty::Feedback, facts.feedback_due, &mut facts.feedback_rungs),
            _ => {
                let due = facts.decision_due.first().copied().unwrap_or_default();
                (Duty::Decide, due, &mut facts.decision_rungs)
            }
        };
        let calendar = self.calendar(&facts.inbox);
        let (now, until) = (Moment(self.time), Moment::of_seconds(due));
        let deadline = Deadline::extended(duty, urgency, &calendar, now, until);
        let [_, steps @ ..] = told(&deadline, now);
        *rungs = steps.to_vec();
    }

    /// The calendar of an inbox; the strictest if it is not known.
    pub(super) fn calendar(&self, inbox: &str) -> Arc<Calendar> {
        let known = inbox.parse().ok().and_then(|inbox| self.directory.calendar(&inbox));
        known.cloned().unwrap_or_else(|| Arc::new(Calendar::Always))
    }

    /// A deadline at an inbox and the steps of its ladder: worked out once for all of a batch,
    /// which has one time.
    fn due(
        &mut self,
        inbox: &str,
        duty: Duty,
        urgency: Urgency,
        profiles: &[&'static Profile],
    ) -> Option<DueAt> {
        let calendar = self.calendar(inbox);
        let profiles = profiles.iter().filter_map(|profile| profile.time_allowed(duty));
        let stricter: Vec<Clock> =
            profiles.chain(self.directory.own_time(inbox, duty, urgency)).collect();
        let asked = |known: &&Asked| {
            (known.duty, known.urgency) == (duty, urgency)
                && known.stricter == stricter
                && known.calendar == calendar
        };
        if let Some(known) = self.due.iter().find(asked) {
            return known.due;
        }
        let now = Moment(self.time);
        let due = Deadline::of(duty, urgency, &calendar, &stricter, now);
        let due = due.map(|deadline| told(&deadline, now));
        self.due.push(Asked { calendar, stricter, duty, urgency, due });
        due
    }
}

/// A deadline as facts have it.
fn told(Deadline { due, steps }: &Deadline, now: Moment) -> DueAt {
    // Short, for there may be 64 inboxes; 0 would say that the step is left out.
    let after = |at: Moment| at.seconds().saturating_sub(now.seconds()).max(1);
    let [one, two, three] = steps.map(|at| at.map_or(0, after));
    [due.seconds(), one, two, three]
}
