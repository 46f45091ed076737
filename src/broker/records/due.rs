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
    /// How many steps lie behind it.
    pub climbed: u8,
}

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
    /// From facts: a deadline and the moments of its steps, the `number`th of each list.
    pub fn listed(number: usize, due: &[u64], steps: &[u64]) -> Self {
        let at = |list: &[u64], at: usize| list.get(at).copied().unwrap_or_default();
        let steps = std::array::from_fn(|step| at(steps, number * STEPS + step));
        Self { due: at(due, number), steps, climbed: 0 }
    }

    /// The step after those that are climbed.
    pub fn next_step(&self, duty: Duty) -> Option<NextStep> {
        let climbed = usize::from(self.climbed);
        let steps = self.steps.iter().copied().enumerate().skip(climbed);
        let (step, at) = steps.into_iter().find(|(_, at)| *at > 0)?;
        Some(NextStep { at, duty, step })
    }
}
