//! The deadlines that a statement sets, as its facts will have them.
//!
//! Holds: I14. Knows: directory, domain, proto, clock.

use std::sync::Arc;

use super::Draft;
use crate::{
    broker::records,
    clock::Moment,
    domain::{
        calendar::Calendar,
        deadline::{Deadline, Duty, STEPS},
        vocabulary::{NOTED, Urgency},
    },
    proto::{EntryType, Facts},
};

const NANOSECONDS: u64 = 1_000_000_000;

/// A deadline, Unix seconds, and the steps of its ladder, in seconds from now; 0 for a step that is
/// left out.
type DueAt = [u64; 1 + STEPS];

/// A deadline that was worked out, by the calendar.
pub(super) type Asked = (Arc<Calendar>, Duty, Urgency, Option<DueAt>);

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
                for inbox in &facts.inboxes {
                    if changed && !holders.contains(inbox) {
                        continue;
                    }
                    if let Some([due, steps @ ..]) = self.due(inbox, Duty::Acknowledge, urgency) {
                        facts.acknowledgement_due.push(due);
                        facts.acknowledgement_rungs.extend(steps);
                    }
                    if let Some([due, steps @ ..]) = self.due(inbox, Duty::Decide, urgency) {
                        facts.decision_due.push(due);
                        facts.decision_rungs.extend(steps);
                    }
                }
            }
            EntryType::Decision if facts.outcome != NOTED => {
                let due = self.due(&facts.inbox, Duty::Feedback, Urgency::Routine);
                if let Some([due, steps @ ..]) = due {
                    (facts.feedback_due, facts.feedback_rungs) = (due, steps.to_vec());
                }
            }
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

    /// A deadline at an inbox and the steps of its ladder: worked out once for all of a batch,
    /// which has one time.
    fn due(&mut self, inbox: &str, duty: Duty, urgency: Urgency) -> Option<DueAt> {
        let known = inbox.parse().ok().and_then(|inbox| self.directory.calendar(&inbox));
        let calendar = known.cloned().unwrap_or_else(|| Arc::new(Calendar::Always));
        let asked = |known: &&Asked| (known.1, known.2) == (duty, urgency) && known.0 == calendar;
        if let Some((.., due)) = self.due.iter().find(asked) {
            return *due;
        }
        let now = self.time / NANOSECONDS;
        let told = |Deadline { due, steps }: Deadline| {
            // Short, for there may be 64 inboxes; 0 would say that the step is left out.
            let after = |at: Moment| (at.0 / NANOSECONDS).saturating_sub(now).max(1);
            let [one, two, three] = steps.map(|at| at.map_or(0, after));
            [due.0 / NANOSECONDS, one, two, three]
        };
        let due = Deadline::of(duty, urgency, &calendar, Moment(self.time)).map(told);
        self.due.push((calendar, duty, urgency, due));
        due
    }
}
