//! The clock of a night: it stands where it is put, slides there when somebody watches, and once
//! the night is over goes on by itself. No other command has one.
//!
//! Holds: I14. Knows: clock.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::clock::{Clock, ManualClock, Moment};

/// How often a watched clock moves.
const STEP: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3_600);

/// A clock that can be moved, forwards alone.
pub(super) struct NightClock {
    stands: ManualClock,
    goes_on: OnceLock<Instant>,
}

impl NightClock {
    pub(super) fn at(moment: Moment) -> Self {
        Self { stands: ManualClock::at(moment), goes_on: OnceLock::new() }
    }

    /// Moves it to a moment: at once, or at so much real time an hour.
    pub(super) async fn move_to(&self, to: Moment, pace: Option<Duration>) {
        let from = self.now();
        if let Some(pace) = pace.filter(|pace| !pace.is_zero()) {
            let began = Instant::now();
            let speed = HOUR.as_secs_f64() / pace.as_secs_f64();
            loop {
                let passed = Duration::try_from_secs_f64(began.elapsed().as_secs_f64() * speed);
                let at = from.after(passed.unwrap_or(Duration::MAX));
                if at >= to {
                    break;
                }
                self.stands.set(at);
                let left = Duration::from_nanos(to.0 - at.0).div_f64(speed);
                tokio::time::sleep(left.min(STEP)).await;
            }
        }
        self.stands.set(to.max(from));
    }

    /// From now on it goes like any other.
    pub(super) fn go_on(&self) {
        self.goes_on.get_or_init(Instant::now);
    }
}

impl Clock for NightClock {
    fn now(&self) -> Moment {
        let passed = self.goes_on.get().map(Instant::elapsed).unwrap_or_default();
        self.stands.now().after(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_stands_where_it_is_put_and_never_goes_back() {
        let clock = NightClock::at(Moment::of_seconds(1_000));
        clock.move_to(Moment::of_seconds(2_000), None).await;
        assert_eq!(clock.now(), Moment::of_seconds(2_000));
        clock.move_to(Moment::of_seconds(1_500), None).await;
        assert_eq!(clock.now(), Moment::of_seconds(2_000));
    }

    #[tokio::test]
    async fn watched_it_slides_and_arrives_exactly() {
        let clock = NightClock::at(Moment::of_seconds(1_000));
        let began = Instant::now();
        // An hour in a second, and so nine minutes in a seventh of one.
        clock.move_to(Moment::of_seconds(1_540), Some(Duration::from_secs(1))).await;
        assert_eq!(clock.now(), Moment::of_seconds(1_540));
        assert!(began.elapsed() >= Duration::from_millis(150));
        clock.go_on();
        assert!(clock.now() >= Moment::of_seconds(1_540));
    }
}
