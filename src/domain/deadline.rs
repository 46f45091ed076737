//! Deadlines: by when a person must have acknowledged, decided and told the sender, and the ladder
//! that is climbed while nobody has.
//!
//! Takes an urgency, a calendar and the moment of acceptance (of the decision, for feedback);
//! gives moments. What has happened since changes none of them: being stored, redirected or
//! misdirected neither stops nor starts a clock.
//!
//! | urgency | acknowledgement | decision | clock | ladder |
//! |---|---|---|---|---|
//! | immediate | 15 min | 1 h | day and night | 0, ⅓, ⅔ and all of the time |
//! | urgent | 1 h | 4 h | day and night | 0, ⅓, ⅔ and all of the time |
//! | prompt | 4 working h | 1 working day | working hours | 0, 50, 80 and 100 % |
//! | routine | 1 working day | 3 working days | working days | 100 %, then one working day more |
//! | information | opened in 3 working days | none | working days | none |
//!
//! Pure. Holds: I14. Knows: clock.

use super::{
    calendar::{Calendar, Clock},
    vocabulary::Urgency,
};
use crate::clock::Moment;

/// What must be done by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// A named person takes it; of what is for information, reads it.
    Acknowledge,
    /// A named person decides.
    Decide,
    /// The sender is told.
    Feedback,
}

/// Who is told at a rung, beside those of the rungs before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// The duty role itself.
    Duty,
    /// Its deputy.
    Deputy,
    /// The area's out-of-hours team; the sender is told to ring now.
    OutOfHours,
    /// The exchange's on-call staff and the agency's senior manager.
    Senior,
}

/// A duty and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// What must be done.
    pub duty: Duty,
    /// By when.
    pub due: Moment,
    /// Who is told, and when, as long as it is not done; in order.
    pub ladder: Vec<(Rung, Moment)>,
}

const THIRDS: [(Rung, (u32, u32)); 4] = [
    (Rung::Duty, (0, 3)),
    (Rung::Deputy, (1, 3)),
    (Rung::OutOfHours, (2, 3)),
    (Rung::Senior, (3, 3)),
];
const PERCENTS: [(Rung, (u32, u32)); 4] = [
    (Rung::Duty, (0, 100)),
    (Rung::Deputy, (50, 100)),
    (Rung::OutOfHours, (80, 100)),
    (Rung::Senior, (100, 100)),
];
/// Feedback is due so long after the decision.
pub const FEEDBACK: Clock = Clock::WorkingDays(1);

impl Deadline {
    /// What a concern of this urgency sets, accepted then, for an inbox with this calendar.
    #[must_use]
    pub fn of_concern(urgency: Urgency, calendar: &Calendar, accepted: Moment) -> Vec<Self> {
        let clocks = [
            (Duty::Acknowledge, Some(acknowledgement(urgency))),
            (Duty::Decide, decision(urgency)),
        ];
        clocks
            .into_iter()
            .filter_map(|(duty, clock)| Some(Self::new(duty, urgency, calendar, clock?, accepted)))
            .collect()
    }

    /// What a decision sets: that the sender is told.
    #[must_use]
    pub fn of_decision(urgency: Urgency, calendar: &Calendar, decided: Moment) -> Option<Self> {
        let owed = urgency != Urgency::Information;
        owed.then(|| Self::new(Duty::Feedback, Urgency::Routine, calendar, FEEDBACK, decided))
    }

    fn new(duty: Duty, urgency: Urgency, calendar: &Calendar, clock: Clock, from: Moment) -> Self {
        let due = calendar.due(clock, from);
        let parts = |parts: &[(Rung, (u32, u32))]| {
            parts
                .iter()
                .map(|(rung, part)| (*rung, calendar.part_due(clock, *part, from)))
                .collect()
        };
        let ladder = match urgency {
            Urgency::Immediate | Urgency::Urgent => parts(&THIRDS),
            Urgency::Prompt => parts(&PERCENTS),
            Urgency::Routine => {
                vec![
                    (Rung::OutOfHours, due),
                    (Rung::Senior, calendar.due(Clock::WorkingDays(1), due)),
                ]
            }
            Urgency::Information => Vec::new(),
        };
        Self { duty, due, ladder }
    }
}

/// How long a person has to acknowledge.
#[must_use]
pub fn acknowledgement(urgency: Urgency) -> Clock {
    match urgency {
        Urgency::Immediate => Clock::Elapsed(15),
        Urgency::Urgent => Clock::Elapsed(60),
        Urgency::Prompt => Clock::WorkingMinutes(4 * 60),
        Urgency::Routine => Clock::WorkingDays(1),
        Urgency::Information => Clock::WorkingDays(3),
    }
}

/// How long a person has to decide, if anything is to be decided.
#[must_use]
pub fn decision(urgency: Urgency) -> Option<Clock> {
    match urgency {
        Urgency::Immediate => Some(Clock::Elapsed(60)),
        Urgency::Urgent => Some(Clock::Elapsed(4 * 60)),
        Urgency::Prompt => Some(Clock::WorkingDays(1)),
        Urgency::Routine => Some(Clock::WorkingDays(3)),
        Urgency::Information => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T16:00:00Z, a Friday.
    const FRIDAY: Moment = Moment(1_795_190_400_000_000_000);

    /// Each duty with its time, and the rungs of its ladder.
    fn told(urgency: Urgency) -> Vec<String> {
        let calendar = Calendar::named("england-working-hours").unwrap();
        let short = |at: Moment| at.rfc3339()[8..16].replace('T', " ");
        let of = |Deadline { duty, due, ladder }: Deadline| {
            let rungs = ladder.iter().map(|(rung, at)| format!(" · {rung:?} {}", short(*at)));
            format!("{duty:?} by {}{}", short(due), rungs.collect::<String>())
        };
        Deadline::of_concern(urgency, &calendar, FRIDAY).into_iter().map(of).collect()
    }

    #[test]
    fn what_cannot_wait_runs_through_the_weekend() {
        assert_eq!(
            told(Urgency::Immediate),
            [
                "Acknowledge by 20 16:15 · Duty 20 16:00 · Deputy 20 16:05 · OutOfHours 20 16:10 · \
                 Senior 20 16:15",
                "Decide by 20 17:00 · Duty 20 16:00 · Deputy 20 16:20 · OutOfHours 20 16:40 · \
                 Senior 20 17:00",
            ]
        );
    }

    #[test]
    fn what_can_wait_is_parted_in_working_hours() {
        // Four working hours: one on Friday, three on Monday. A working day: eight.
        assert_eq!(
            told(Urgency::Prompt),
            [
                "Acknowledge by 23 12:00 · Duty 20 16:00 · Deputy 23 10:00 · OutOfHours 23 11:12 · \
                 Senior 23 12:00",
                "Decide by 23 16:00 · Duty 20 16:00 · Deputy 23 12:00 · OutOfHours 23 14:24 · \
                 Senior 23 16:00",
            ]
        );
    }

    #[test]
    fn what_is_routine_or_for_information_wakes_nobody_before_it_is_due() {
        assert_eq!(
            told(Urgency::Routine),
            [
                "Acknowledge by 23 16:00 · OutOfHours 23 16:00 · Senior 24 16:00",
                "Decide by 25 16:00 · OutOfHours 25 16:00 · Senior 26 16:00",
            ]
        );
        assert_eq!(told(Urgency::Information), ["Acknowledge by 25 16:00"]);
    }

    #[test]
    fn the_sender_is_told_a_working_day_after_the_decision() {
        let calendar = Calendar::named("england-working-hours").unwrap();
        let feedback = Deadline::of_decision(Urgency::Prompt, &calendar, FRIDAY).unwrap();
        assert_eq!(feedback.due.rfc3339(), "2026-11-23T16:00:00Z");
        assert_eq!(Deadline::of_decision(Urgency::Information, &calendar, FRIDAY), None);
    }
}
