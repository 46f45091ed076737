//! Figures of a measurement: times and their percentiles, rounds and their spread.
//!
//! Knows: nothing.

use std::time::Duration;

/// Measured times, all of them kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The time that this share of all do not exceed, in seconds; 0 for none at all.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).map_or(0.0, Duration::as_secs_f64)
    }

    pub(super) fn median(&self) -> f64 {
        self.percentile(0.5)
    }

    pub(super) fn most(&self) -> f64 {
        self.percentile(1.0)
    }
}

/// One figure from several rounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Rounds(pub(super) Vec<f64>);

impl Rounds {
    /// The smallest, the middle and the greatest; zeros for no rounds.
    pub(super) fn spread(&self) -> Spread {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
        let last = sorted.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Spread { least: at(0), median, most: at(last) }
    }

    pub(super) fn median(&self) -> f64 {
        self.spread().median
    }
}

/// How rounds differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

impl Spread {
    /// The same of something measured once.
    pub(super) fn once(value: f64) -> Self {
        Self { least: value, median: value, most: value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_times() {
        let mut times = Times::default();
        (1..=200).rev().for_each(|n| times.add(Duration::from_secs(n)));
        assert_eq!((times.median(), times.percentile(0.99), times.most()), (100.0, 198.0, 200.0));
        assert_eq!(Times::default().percentile(0.99), 0.0);
    }

    #[test]
    fn rounds_have_a_middle() {
        let spread = Rounds(vec![3.0, 1.0, 2.0, 9.0]).spread();
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.5, 9.0));
        assert_eq!(Rounds(vec![7.0]).spread(), Spread::once(7.0));
        assert_eq!(Rounds::default().spread(), Spread::once(0.0));
    }
}
