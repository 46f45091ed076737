//! The time: the only file that asks the system for it.
//!
//! Gives nanoseconds since 1970-01-01T00:00:00Z. Everything inside takes the time
//! as a value.
//!
//! Holds: I14. Knows: nothing.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::{
    Timestamp, Zoned,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};

/// From the database that is compiled in: the same everywhere, whatever a machine has.
static LONDON: LazyLock<TimeZone> = LazyLock::new(|| {
    let bundled = TimeZoneDatabase::bundled().get("Europe/London");
    bundled.expect("invariant: the time zone database is compiled in")
});

/// A moment, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// So many seconds after 1970, as deadlines are told; the last moment there is beyond that.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// So much later; the last moment there is beyond that.
    #[must_use]
    pub fn after(self, time: std::time::Duration) -> Self {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }

    /// So much sooner; `None` before 1970.
    pub fn before(self, time: std::time::Duration) -> Option<Self> {
        let nanoseconds = u64::try_from(time.as_nanos()).ok()?;
        self.0.checked_sub(nanoseconds).map(Self)
    }

    /// Whole seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX)
    }

    /// The same, as deadlines are told.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The day in Europe/London, by which agreements begin and end.
    pub fn london_date(self) -> Date {
        self.in_london().date()
    }

    /// The same on a clock in Europe/London.
    pub fn in_london(self) -> Zoned {
        self.timestamp().to_zoned(LONDON.clone())
    }

    /// The moment of a time on a clock; the nearest there is of one before 1970 or after 2554.
    pub fn of(time: &Zoned) -> Self {
        let nanoseconds = time.timestamp().as_nanosecond();
        Self(nanoseconds.clamp(0, u64::MAX.into()) as u64)
    }

    /// RFC 3339 in UTC, such as `2026-11-22T01:02:03.000000004Z`.
    pub fn rfc3339(self) -> String {
        self.timestamp().to_string()
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(Timestamp::MAX)
    }
}

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Moment;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A clock that tests move by hand.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at this moment.
    pub fn at(moment: Moment) -> Self {
        Self(AtomicU64::new(moment.0))
    }

    /// Sets it, backwards too.
    pub fn set(&self, moment: Moment) {
        self.0.store(moment.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summer_evening_is_already_tomorrow_in_london() {
        // 2026-07-01T23:30:00Z is 00:30 on the 2nd, British Summer Time.
        let moment = Moment(1_782_948_600_000_000_000);
        assert_eq!(moment.rfc3339(), "2026-07-01T23:30:00Z");
        assert_eq!(moment.london_date(), jiff::civil::date(2026, 7, 2));
    }
}
