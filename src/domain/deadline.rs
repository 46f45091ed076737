//! Deadlines: by when a person must have acknowledged, decided and told the sender, and the ladder
//! that is climbed while nobody has.
//!
//! Takes a duty, an urgency, a calendar and the moment of acceptance (of the decision, for
//! feedback); gives moments. What has happened since changes none of them: being stored,
//! redirected or misdirected neither stops nor starts a clock.
//!
//! | urgency | acknowledgement | decision | clock | told while it is not done |
//! |---|---|---|---|---|
//! | immediate | 15 min | 1 h | day and night | deputy ⅓, area out-of-hours ⅔, senior at the end |
//! | urgent | 1 h | 4 h | day and night | the same |
//! | prompt | 4 working h | 1 working day | working hours | deputy 50 %, manager 80 %, senior 100 % |
//! | routine | 1 working day | 3 working days | working days | manager 100 %, senior a working day later |
//! | information | opened in 3 working days | none | working days | nobody |
//!
//! At the foot of the ladder stands the duty role itself, and the concern's own entry tells it.
//! Feedback is due one working day after the decision, with the ladder of routine. A profile
//! ([`super::profile`]), or the inbox itself, can make any of it sooner. Later it is only by an extension that somebody approved
//! ([`Deadline::extended`]), which begins a new ladder.
//!
//! Pure. Holds: I14. Knows: clock.

use super::{
    calendar::{Calendar, Clock},
    vocabulary::Urgency,
};
use crate::clock::Moment;

/// What must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// A named person takes it; of what is for information, reads it.
    Acknowledge,
    /// A named person decides.
    Decide,
    /// The sender is told.
    Feedback,
}

impl Duty {
    /// In the order in which they fall due.
    pub const ALL: [Self; 3] = [Self::Acknowledge, Self::Decide, Self::Feedback];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Decide => "decide",
            Self::Feedback => "feedback",
        }
    }

    /// What stands still while it is not done, as people say it.
    #[must_use]
    pub const fn undone(self) -> &'static str {
        match self {
            Self::Acknowledge => "nobody has acknowledged it",
            Self::Decide => "nobody has decided",
            Self::Feedback => "the sender has not been told",
        }
    }

    /// The duty of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|duty| duty.as_str() == word)
    }

    /// How long a person has, if there is anything to do.
    #[must_use]
    pub const fn time_allowed(self, urgency: Urgency) -> Option<Clock> {
        let clock = match (self, urgency) {
            (Self::Acknowledge, Urgency::Immediate) => Clock::Elapsed(15),
            (Self::Acknowledge, Urgency::Urgent) => Clock::Elapsed(60),
            (Self::Acknowledge, Urgency::Prompt) => Clock::WorkingMinutes(4 * 60),
            (Self::Acknowledge, Urgency::Routine) => Clock::WorkingDays(1),
            (Self::Acknowledge, Urgency::Information) => Clock::WorkingDays(3),
            (Self::Decide, Urgency::Immediate) => Clock::Elapsed(60),
            (Self::Decide, Urgency::Urgent) => Clock::Elapsed(4 * 60),
            (Self::Decide, Urgency::Prompt) => Clock::WorkingDays(1),
            (Self::Decide, Urgency::Routine) => Clock::WorkingDays(3),
            (Self::Decide | Self::Feedback, Urgency::Information) => return None,
            (Self::Feedback, _) => Clock::WorkingDays(1),
        };
        Some(clock)
    }

    /// Who is told at the middle step of the ladder: whoever is awake, or whoever leads.
    #[must_use]
    pub const fn middle_rung(self, urgency: Urgency) -> Rung {
        match (self, urgency) {
            (Self::Acknowledge | Self::Decide, Urgency::Immediate | Urgency::Urgent) => {
                Rung::OutOfHours
            }
            _ => Rung::Manager,
        }
    }
}

/// Who is told at a rung, beside those of the rungs before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// The deputy of the duty role.
    Deputy,
    /// The area's out-of-hours team; the sender is told to ring now.
    OutOfHours,
    /// The team's manager.
    Manager,
    /// The exchange's on-call staff and the senior post.
    Senior,
}

/// How many steps every ladder has.
pub const STEPS: usize = 3;

impl Rung {
    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deputy => "deputy",
            Self::OutOfHours => "out_of_hours",
            Self::Manager => "manager",
            Self::Senior => "senior",
        }
    }

    /// Who that is, as people say it.
    #[must_use]
    pub const fn post(self) -> &'static str {
        match self {
            Self::Deputy => "the deputy",
            Self::OutOfHours => "the area's out-of-hours team",
            Self::Manager => "the team manager",
            Self::Senior => "the senior post",
        }
    }

    /// The rung of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Deputy, Self::OutOfHours, Self::Manager, Self::Senior]
            .into_iter()
            .find(|rung| rung.as_str() == word)
    }

    /// The rung at a step, of a duty of this urgency.
    #[must_use]
    pub const fn at(step: usize, duty: Duty, urgency: Urgency) -> Self {
        match step {
            0 => Self::Deputy,
            1 => duty.middle_rung(urgency),
            _ => Self::Senior,
        }
    }

    /// The step that it stands on.
    #[must_use]
    pub const fn step(self) -> usize {
        match self {
            Self::Deputy => 0,
            Self::OutOfHours | Self::Manager => 1,
            Self::Senior => 2,
        }
    }
}

/// A time, and the ladder that leads to it and beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// By when.
    pub due: Moment,
    /// When each step is climbed as long as it is not done, in order; `None` for one that is
    /// left out.
    pub steps: [Option<Moment>; STEPS],
}

impl Deadline {
    /// Of a duty that begins now, for an inbox with this calendar, where these clocks run as well,
    /// of a profile or of its own; `None` if there is nothing to do.
    #[must_use]
    pub fn of(
        duty: Duty,
        urgency: Urgency,
        calendar: &Calendar,
        stricter: &[Clock],
        from: Moment,
    ) -> Option<Self> {
        let of = |clock| {
            let part = |some, of| calendar.part_due(clock, (some, of), from);
            Self::laddered(duty, urgency, calendar, calendar.due(clock, from), part)
        };
        let own = of(duty.time_allowed(urgency)?);
        Some(stricter.iter().copied().map(of).fold(own, Self::sooner))
    }

    /// Of the time and of each step whichever is sooner: half of a night can end later than half
    /// of the working time before it.
    fn sooner(self, other: Self) -> Self {
        let steps = std::array::from_fn(|step| self.steps[step].min(other.steps[step]));
        Self { due: self.due.min(other.due), steps }
    }

    /// Of a duty that was given more time, from now until then.
    #[must_use]
    pub fn extended(
        duty: Duty,
        urgency: Urgency,
        calendar: &Calendar,
        from: Moment,
        until: Moment,
    ) -> Self {
        let whole = until.0.saturating_sub(from.0);
        let part = |some, of| Moment(from.0 + whole / u64::from(of) * u64::from(some));
        Self::laddered(duty, urgency, calendar, until, part)
    }

    /// With the ladder of its urgency; `part` says when a part of the time is over.
    fn laddered(
        duty: Duty,
        urgency: Urgency,
        calendar: &Calendar,
        due: Moment,
        part: impl Fn(u32, u32) -> Moment,
    ) -> Self {
        let steps = match (duty, urgency) {
            (_, Urgency::Information) => [None; STEPS],
            (Duty::Feedback, _) | (_, Urgency::Routine) => {
                [None, Some(due), Some(calendar.due(Clock::WorkingDays(1), due))]
            }
            (_, Urgency::Immediate | Urgency::Urgent) => {
                [Some(part(1, 3)), Some(part(2, 3)), Some(due)]
            }
            (_, Urgency::Prompt) => [Some(part(50, 100)), Some(part(80, 100)), Some(due)],
        };
        Self { due, steps }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::profile::{self, Profile};

    /// 2026-11-20T16:00:00Z, a Friday.
    const FRIDAY: Moment = Moment(1_795_190_400_000_000_000);

    /// Each duty with its time, and the rungs of its ladder.
    fn told(urgency: Urgency) -> Vec<String> {
        let calendar = Calendar::named("england-working-hours").unwrap();
        let short = |at: Moment| at.rfc3339()[8..16].replace('T', " ");
        let of = |duty| {
            let Deadline { due, steps } = Deadline::of(duty, urgency, &calendar, &[], FRIDAY)?;
            let rungs = (0..).zip(steps).filter_map(|(step, at)| {
                Some(format!(" · {} {}", Rung::at(step, duty, urgency).as_str(), short(at?)))
            });
            Some(format!("{} by {}{}", duty.as_str(), short(due), rungs.collect::<String>()))
        };
        Duty::ALL.into_iter().filter_map(of).collect()
    }

    const FEEDBACK: &str = "feedback by 23 16:00 · manager 23 16:00 · senior 24 16:00";

    #[test]
    fn what_cannot_wait_runs_through_the_weekend() {
        assert_eq!(
            told(Urgency::Immediate),
            [
                "acknowledge by 20 16:15 · deputy 20 16:05 · out_of_hours 20 16:10 · \
                 senior 20 16:15",
                "decide by 20 17:00 · deputy 20 16:20 · out_of_hours 20 16:40 · senior 20 17:00",
                FEEDBACK,
            ]
        );
    }

    #[test]
    fn what_can_wait_is_parted_in_working_hours() {
        // Four working hours: one on Friday, three on Monday. A working day: eight.
        assert_eq!(
            told(Urgency::Prompt),
            [
                "acknowledge by 23 12:00 · deputy 23 10:00 · manager 23 11:12 · senior 23 12:00",
                "decide by 23 16:00 · deputy 23 12:00 · manager 23 14:24 · senior 23 16:00",
                FEEDBACK,
            ]
        );
    }

    #[test]
    fn what_is_routine_or_for_information_wakes_nobody_before_it_is_due() {
        assert_eq!(
            told(Urgency::Routine),
            [
                "acknowledge by 23 16:00 · manager 23 16:00 · senior 24 16:00",
                "decide by 25 16:00 · manager 25 16:00 · senior 26 16:00",
                FEEDBACK,
            ]
        );
        assert_eq!(told(Urgency::Information), ["acknowledge by 25 16:00"]);
    }

    #[test]
    fn a_profile_makes_it_sooner_and_nothing_later() {
        let school = Calendar::named("england-school-days").unwrap();
        let encompass = Profile::in_force("encompass", date(2026, 11, 20)).unwrap();
        let encompass = [encompass.time_allowed(Duty::Acknowledge).unwrap()];
        let short = |at: Moment| at.rfc3339()[8..16].replace('T', " ");
        let of = |urgency| Deadline::of(Duty::Acknowledge, urgency, &school, &encompass, FRIDAY);
        // A school day ends at 15:30, so a working day from Friday 16:00 ends on Tuesday morning.
        let routine = of(Urgency::Routine).unwrap();
        assert_eq!((short(routine.due), routine.steps[1]), ("23 09:00".into(), Some(routine.due)));
        let prompt = of(Urgency::Prompt).unwrap();
        assert_eq!(prompt.steps.map(|at| short(at.unwrap()))[2], "23 09:00");
        let immediate = of(Urgency::Immediate).unwrap();
        assert_eq!(short(immediate.due), "20 16:15");
    }

    proptest! {
        /// I14: whatever profiles an agreement has, and times of its own an inbox, nothing is due
        /// later than without them.
        #[test]
        fn profiles_only_tighten(
            from in 1_790_000_000_u64..1_830_000_000, duty in 0_usize..3, urgency in 0_usize..5,
            calendar in 0_usize..4, profiles in prop::collection::vec(0_usize..4, 0..4),
            own in prop::option::of(1_u32..5_000),
        ) {
            let names = ["24x7", "scotland-working-hours", "england-school-days", "no such one"];
            let calendar = Calendar::named_or_strictest(names[calendar]);
            let known: Vec<_> = profile::all().collect();
            let profiles: Vec<_> = profiles.into_iter().map(|at| known[at]).collect();
            let (duty, urgency) = (Duty::ALL[duty], Urgency::ALL[urgency]);
            let from = Moment::of_seconds(from);
            let clocks = profiles.iter().filter_map(|profile| profile.time_allowed(duty));
            let clocks: Vec<Clock> = clocks.chain(own.map(Clock::WorkingMinutes)).collect();
            let of = |stricter: &[Clock]| Deadline::of(duty, urgency, &calendar, stricter, from);
            let (with, without) = (of(&clocks), of(&[]));
            prop_assert_eq!(with.is_some(), without.is_some());
            for (with, without) in with.into_iter().zip(without) {
                prop_assert!(with.due <= without.due && with.due >= from);
                for (one, other) in with.steps.into_iter().zip(without.steps) {
                    prop_assert_eq!(one.is_some(), other.is_some());
                    prop_assert!(one <= other, "a rung is told later");
                }
                prop_assert!(with.steps.iter().flatten().is_sorted(), "a rung out of turn");
            }
        }
    }

    #[test]
    fn more_time_brings_a_ladder_of_its_own() {
        let calendar = Calendar::named("england-working-hours").unwrap();
        let until = FRIDAY.after(std::time::Duration::from_secs(3 * 24 * 3600));
        let of = |urgency| Deadline::extended(Duty::Decide, urgency, &calendar, FRIDAY, until);
        let short = |at: Moment| at.rfc3339()[8..16].replace('T', " ");
        let steps = |urgency| of(urgency).steps.map(|at| at.map(short).unwrap_or_default());
        assert_eq!(steps(Urgency::Urgent), ["21 16:00", "22 16:00", "23 16:00"]);
        assert_eq!(steps(Urgency::Routine), ["", "23 16:00", "24 16:00"]);
    }

    #[test]
    fn words_and_steps_lead_back_to_their_rungs() {
        for (duty, urgency) in
            Duty::ALL.into_iter().flat_map(|duty| Urgency::ALL.map(|u| (duty, u)))
        {
            assert_eq!(Duty::parse(duty.as_str()), Some(duty));
            for step in 0..STEPS {
                let rung = Rung::at(step, duty, urgency);
                assert_eq!((rung.step(), Rung::parse(rung.as_str())), (step, Some(rung)));
            }
        }
    }
}
