//! The deadlines of a delivery as the fold keeps them, and how far each ladder is climbed.
//!
//! Pure. Holds: I5, I14. Knows: domain.

use serde::{Deserialize, Serialize};

use crate::domain::deadline::{Duty, STEPS};

/// By when what must be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// A named person acknowledges it; of urgency `information`, opens it.
    pub acknowledgement: DueBy,
    /// It is decided.
    pub decision: DueBy,
    /// The sender has been told; nothing before the decision.
    pub feedback: DueBy,
}

/// One deadline and its ladder, Unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueBy {
    /// By when; 0 for what nobody owes.
    pub due: u64,
    /// When each step is climbed as long as it is not done, in order; 0 for none.
    pub steps: [u64; STEPS],
    /// Which steps lie behind it: the first is bit 0; [`LATE`] and [`CLIMBED`] of ladders before.
    pub climbed: u8,
    /// The entry that set this ladder in place of one before, since it was raised or given more
    /// time; 0 for the first.
    pub anew: u64,
}

/// In [`DueBy::climbed`]: the time was over before this one was set in its place.
const LATE: u8 = 1 << 7;
/// The same: a ladder before this one was climbed.
const CLIMBED: u8 = 1 << 6;

/// A step of a ladder that is to be climbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextStep {
    /// When, Unix seconds.
    pub at: u64,
    /// What was not done.
    pub duty: Duty,
    /// Which step, from 0.
    pub step: usize,
}

impl Due {
    /// The deadline of a duty.
    pub const fn of(&self, duty: Duty) -> &DueBy {
        match duty {
            Duty::Acknowledge => &self.acknowledgement,
            Duty::Decide => &self.decision,
            Duty::Feedback => &self.feedback,
        }
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, duty: Duty) -> &mut DueBy {
        match duty {
            Duty::Acknowledge => &mut self.acknowledgement,
            Duty::Decide => &mut self.decision,
            Duty::Feedback => &mut self.feedback,
        }
    }

    /// In seconds after a moment (Unix nanoseconds), which takes less room.
    pub fn since(self, moment: u64) -> Self {
        self.map(|seconds| seconds.saturating_sub(moment / NANOSECONDS) + 1)
    }

    /// Back from [`Due::since`].
    pub fn after(self, moment: u64) -> Self {
        self.map(|seconds| seconds + moment / NANOSECONDS - 1)
    }

    /// Each moment changed; none stays none.
    fn map(self, change: impl Fn(u64) -> u64) -> Self {
        let each = |seconds| if seconds == 0 { 0 } else { change(seconds) };
        let of = |by: DueBy| DueBy { due: each(by.due), steps: by.steps.map(each), ..by };
        Self {
            acknowledgement: of(self.acknowledgement),
            decision: of(self.decision),
            feedback: of(self.feedback),
        }
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

impl DueBy {
    /// From the facts of an entry of this time (Unix nanoseconds): a deadline and, in seconds after
    /// the entry, the steps of its ladder, the `number`th of each list.
    pub fn listed(time: u64, number: usize, due: &[u64], steps: &[u64]) -> Self {
        let at = |list: &[u64], at: usize| list.get(at).copied().unwrap_or_default();
        let moment = |after: u64| match after {
            0 => 0,
            after => (time / NANOSECONDS).saturating_add(after),
        };
        let steps = std::array::from_fn(|step| moment(at(steps, number * STEPS + step)));
        Self { due: at(due, number), steps, climbed: 0, anew: 0 }
    }

    /// The same in place of another, which may have been late.
    #[must_use]
    pub const fn in_place_of(self, before: &Self) -> Self {
        let late = if before.was_late() { LATE } else { 0 };
        let climbed = if before.was_climbed() { CLIMBED } else { 0 };
        Self { climbed: self.climbed | late | climbed, ..self }
    }

    /// Whether any rung was ever climbed for it.
    pub const fn was_climbed(&self) -> bool {
        self.climbed != 0
    }

    /// The ladder that an entry raises it to, climbed from its foot: whoever was told of less is told
    /// again. Nothing that is still to come comes later than it would have, nor behind what follows
    /// it.
    #[must_use]
    pub fn raised(self, before: &Self, entry: u64) -> Self {
        if self.due == 0 {
            return *before;
        }
        let sooner = |one: u64, other: u64| match (one, other) {
            (0, at) | (at, 0) => at,
            (one, other) => one.min(other),
        };
        let mut steps = self.steps;
        for (step, at) in before.steps.iter().enumerate() {
            if before.climbed & (1 << step) == 0 && steps[step] > 0 {
                steps[step] = sooner(steps[step], *at);
            }
        }
        for step in (1..STEPS).rev() {
            if steps[step - 1] > 0 {
                steps[step - 1] = sooner(steps[step - 1], steps[step]);
            }
        }
        let due = sooner(self.due, before.due);
        Self { due, steps, climbed: 0, anew: entry }.in_place_of(before)
    }

    /// Whether the time was ever over with nothing done: the step at its end lies behind it.
    pub const fn was_late(&self) -> bool {
        let mut step = 0;
        while step < STEPS {
            if self.climbed & (1 << step) != 0 && self.steps[step] >= self.due {
                return true;
            }
            step += 1;
        }
        self.climbed & LATE != 0
    }

    /// The first step that is not climbed.
    pub fn next_step(&self, duty: Duty) -> Option<NextStep> {
        let steps = self.steps.iter().copied().enumerate();
        let mut left = steps.filter(|(step, at)| *at > 0 && self.climbed & (1 << step) == 0);
        left.next().map(|(step, at)| NextStep { at, duty, step })
    }

    /// A step lies behind it.
    pub const fn climb(&mut self, step: usize) {
        self.climbed |= 1 << step;
    }

    /// The highest step that lies behind it.
    pub fn highest(&self) -> Option<usize> {
        (0..STEPS).rev().find(|step| self.climbed & (1 << step) != 0)
    }

    /// The same, with whatever comes sooner in another. What is climbed stays so.
    #[must_use]
    pub fn sooner(self, other: &Self) -> Self {
        let first = |one: u64, other: u64| match (one, other) {
            (0, at) | (at, 0) => at,
            (one, other) => one.min(other),
        };
        let steps = std::array::from_fn(|step| first(self.steps[step], other.steps[step]));
        Self { due: first(self.due, other.due), steps, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due_by() -> impl Strategy<Value = DueBy> {
        let at = || prop_oneof![1 => Just(0_u64), 3 => 1_u64..1_000];
        (at(), [at(), at(), at()], 0_u8..8).prop_map(|(due, steps, climbed)| DueBy {
            due,
            steps,
            climbed,
            anew: 0,
        })
    }

    proptest! {
        /// I14: nothing that is set moves later, nothing climbed is to be climbed again.
        #[test]
        fn what_is_raised_never_moves_later(first in due_by(), others in prop::collection::vec(due_by(), 0..5)) {
            let mut now = first;
            for other in others {
                let next = now.sooner(&other);
                prop_assert!(now.due == 0 || next.due <= now.due);
                for step in 0..STEPS {
                    prop_assert!(now.steps[step] == 0 || next.steps[step] <= now.steps[step]);
                }
                prop_assert_eq!(next.climbed, now.climbed);
                now = next;
            }
        }

        /// Raised, it is a whole ladder again, in order, and nothing still to come is later.
        #[test]
        fn what_is_raised_has_a_whole_ladder_before_it(before in due_by(), mut steps in [1_u64..1_000, 1..1_000, 1..1_000]) {
            steps.sort_unstable();
            let mut before = before;
            before.steps.sort_unstable();
            // Climbed are the first ones.
            before.climbed = [0, 1, 3, 7][before.climbed as usize % 4];
            let by = DueBy { due: steps[2], steps, climbed: 0, anew: 0 };
            let raised = by.raised(&before, 9);
            prop_assert!(raised.steps.is_sorted() && raised.steps.iter().all(|at| *at > 0));
            prop_assert_eq!((raised.climbed & 7, raised.anew), (0, 9));
            prop_assert!(before.due == 0 || raised.due <= before.due);
            for (step, fresh) in steps.iter().enumerate() {
                prop_assert!(raised.steps[step] <= *fresh);
                let pending = before.climbed & (1 << step) == 0 && before.steps[step] > 0;
                prop_assert!(!pending || raised.steps[step] <= before.steps[step]);
            }
        }

        /// No step is left out and none is climbed twice, in whatever order ladders are raised.
        #[test]
        fn each_step_is_climbed_once(first in due_by(), other in due_by()) {
            let mut by = DueBy { climbed: 0, ..first };
            let mut climbed = Vec::new();
            while let Some(next) = by.next_step(Duty::Acknowledge) {
                prop_assert!(!climbed.contains(&next.step), "twice");
                climbed.push(next.step);
                by.climb(next.step);
                if climbed.len() == 1 {
                    by = by.sooner(&other);
                }
                prop_assert!(climbed.len() <= STEPS);
            }
            let due = (0..STEPS).filter(|step| by.steps[*step] > 0).count();
            prop_assert_eq!(climbed.len(), due);
        }

        #[test]
        fn seconds_since_lead_back(by in due_by(), since in 0_u64..1_000) {
            let moved = |at: u64| if at == 0 { 0 } else { at + since };
            let by = DueBy { due: moved(by.due), steps: by.steps.map(moved), ..by };
            let due = Due { acknowledgement: by, ..Due::default() };
            let moment = since * NANOSECONDS + 999;
            prop_assert_eq!(due.since(moment).after(moment), due);
        }
    }
}
