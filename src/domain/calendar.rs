//! Calendars and clocks: when something is due.
//!
//! Takes a moment, a clock and the calendar of whoever must act; gives the moment by which they
//! must. All of it in Europe/London, clock changes included: working time is time that passes
//! between opening and closing, a day later is the same time on the clock.
//!
//! A deadline is never later than a stricter reading would make it: a calendar that is not known
//! is always open, a year without a table has no holidays, a school without terms has none off.
//!
//! Pure. Holds: I14. Knows: clock, limits.

mod holidays;

use std::collections::BTreeSet;

use jiff::{
    Span, Timestamp, Zoned,
    civil::{Date, Time, Weekday, time},
    tz::AmbiguousOffset,
};

pub use self::holidays::Nation;
use crate::{clock::Moment, limits};

/// How a time allowed is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Minutes that pass, day and night.
    Elapsed(u32),
    /// Minutes that pass in working time.
    WorkingMinutes(u32),
    /// The same time on a working day, so many later; what comes outside working time counts as
    /// coming when it next begins.
    WorkingDays(u32),
    /// The same time so many days later.
    CalendarDays(u32),
    /// Before the next school day begins.
    NextSchoolDay,
}

/// When somebody works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calendar {
    /// Day and night, every day.
    Always,
    /// On days of the week, between two times, but for holidays.
    Week(Week),
}

/// The working time of a week, and the days off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    opens: Time,
    closes: Time,
    nation: Nation,
    /// Local holidays, in-service days, school holidays.
    closed: BTreeSet<Date>,
}

impl Calendar {
    /// The calendar of a name; `None` if there is none of it.
    ///
    /// Working hours are Monday to Friday, 9 to 17, less the nation's bank holidays; a school day
    /// is 9 to 15:30.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (nation, hours) = match name {
            "24x7" => return Some(Self::Always),
            "scotland-working-hours" => (Nation::Scotland, WORKING),
            "scotland-school-days" => (Nation::Scotland, SCHOOL),
            "england-working-hours" | "wales-working-hours" => (Nation::EnglandAndWales, WORKING),
            "england-school-days" | "wales-school-days" => (Nation::EnglandAndWales, SCHOOL),
            "northern-ireland-working-hours" => (Nation::NorthernIreland, WORKING),
            "northern-ireland-school-days" => (Nation::NorthernIreland, SCHOOL),
            _ => return None,
        };
        let (opens, closes) = hours;
        Some(Self::Week(Week { opens, closes, nation, closed: BTreeSet::new() }))
    }

    /// The same, or the strictest where there is none of the name.
    #[must_use]
    pub fn named_or_strictest(name: &str) -> Self {
        Self::named(name).unwrap_or(Self::Always)
    }

    /// The same with the days off of an inbox, as the directory has them ([`days`]). What is no day
    /// is left out: a deadline is rather too soon.
    #[must_use]
    pub fn closed_on_days(self, texts: &[String]) -> Self {
        let days: Vec<Date> = texts.iter().filter_map(|text| days(text)).flatten().collect();
        self.closed_on(days)
    }

    /// The same with more days off: local holidays, in-service days, terms. Nothing closes
    /// [`Calendar::Always`].
    #[must_use]
    pub fn closed_on(mut self, days: impl IntoIterator<Item = Date>) -> Self {
        if let Self::Week(week) = &mut self {
            week.closed.extend(days);
        }
        self
    }

    /// By when, if it is allowed this long from a moment on. Past the end of time it is due at once.
    #[must_use]
    pub fn due(&self, clock: Clock, from: Moment) -> Moment {
        let at = from.in_london();
        let due = match (clock, self) {
            (Clock::Elapsed(minutes), _) | (Clock::WorkingMinutes(minutes), Self::Always) => {
                return Moment(from.0.saturating_add(u64::from(minutes) * 60_000_000_000));
            }
            (Clock::CalendarDays(days), _) | (Clock::WorkingDays(days), Self::Always) => {
                at.date().checked_add(Span::new().days(days)).map(|day| on(&at, day, at.time()))
            }
            (Clock::WorkingMinutes(minutes), Self::Week(week)) => {
                Ok(week.after_working(&at, 60 * i64::from(minutes)))
            }
            (Clock::WorkingDays(days), Self::Week(week)) => Ok(week.days_later(&at, days)),
            (Clock::NextSchoolDay, Self::Always) => Ok(next_opening(&at, SCHOOL.0, |_| true)),
            (Clock::NextSchoolDay, Self::Week(week)) => Ok(week.next_opening(&at)),
        };
        due.map_or(from, |due| Moment::of(&due))
    }

    /// By when a part of the time allowed is over: of working time, if that is how it is counted.
    #[must_use]
    pub fn part_due(&self, clock: Clock, (some, of): (u32, u32), from: Moment) -> Moment {
        let due = self.due(clock, from);
        if some >= of {
            return due;
        }
        let (some, of) = (u64::from(some), u64::from(of));
        match (clock, self) {
            (Clock::WorkingMinutes(_) | Clock::WorkingDays(_), Self::Week(week)) => {
                let at = from.in_london();
                let whole = week.working_seconds(&at, &due.in_london());
                Moment::of(&week.after_working(&at, whole * some as i64 / of as i64))
            }
            _ => Moment(from.0 + due.0.saturating_sub(from.0) / of * some),
        }
    }

    /// Whether a day is one on which somebody works.
    #[must_use]
    pub fn is_open_on(&self, day: Date) -> bool {
        match self {
            Self::Always => true,
            Self::Week(week) => week.is_open_on(day),
        }
    }
}

const WORKING: (Time, Time) = (time(9, 0, 0, 0), time(17, 0, 0, 0));
const SCHOOL: (Time, Time) = (time(9, 0, 0, 0), time(15, 30, 0, 0));

impl Week {
    fn is_open_on(&self, day: Date) -> bool {
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        !weekend && !self.nation.is_holiday(day) && !self.closed.contains(&day)
    }

    fn next_opening(&self, at: &Zoned) -> Zoned {
        next_opening(at, self.opens, |day| self.is_open_on(day))
    }

    /// The first moment of working time that is not before this one.
    fn open_at(&self, at: &Zoned) -> Zoned {
        match self.is_open_on(at.date()) && (self.opens..self.closes).contains(&at.time()) {
            true => at.clone(),
            false => self.next_opening(at),
        }
    }

    /// When so many seconds of working time have passed.
    fn after_working(&self, from: &Zoned, seconds: i64) -> Zoned {
        let (mut at, mut left) = (self.open_at(from), seconds);
        loop {
            let today = seconds_between(&at, &on(&at, at.date(), self.closes));
            if left <= today {
                return at.checked_add(Span::new().seconds(left)).unwrap_or(at);
            }
            left -= today;
            let next = self.next_opening(&at);
            if next <= at {
                return at; // the end of time
            }
            at = next;
        }
    }

    /// How many seconds of working time lie between two moments.
    fn working_seconds(&self, from: &Zoned, to: &Zoned) -> i64 {
        let (mut at, mut seconds) = (self.open_at(from), 0);
        while at < *to {
            let closes = on(&at, at.date(), self.closes);
            seconds += seconds_between(&at, &closes.min(to.clone()));
            let next = self.next_opening(&at);
            if next <= at {
                break; // the end of time
            }
            at = next;
        }
        seconds
    }

    /// The same time of the working day, so many working days later.
    fn days_later(&self, from: &Zoned, days: u32) -> Zoned {
        let mut at = self.open_at(from);
        let time = at.time();
        for _ in 0..days {
            let next = self.next_opening(&at);
            at = on(&next, next.date(), time);
        }
        at
    }
}

fn seconds_between(from: &Zoned, to: &Zoned) -> i64 {
    to.timestamp().as_second() - from.timestamp().as_second()
}

/// The next day's opening, after this moment, on a day that is open; with none for longer than
/// [`limits::CLOSED_DAYS_MAX`] it is the next day's: better too soon than never.
fn next_opening(at: &Zoned, opens: Time, is_open: impl Fn(Date) -> bool) -> Zoned {
    let today = at.date();
    let first = if at.time() < opens { today } else { today.saturating_add(Span::new().days(1)) };
    let days = std::iter::successors(Some(first), |day| day.tomorrow().ok());
    let open = days.take(limits::CLOSED_DAYS_MAX).find(|day| is_open(*day));
    on(at, open.unwrap_or(first), opens)
}

/// That time of that day, in the zone of another moment. A time that the clocks skip is when they
/// do; of one that comes twice it is the first. So a later time is never sooner.
fn on(zone: &Zoned, day: Date, time: Time) -> Zoned {
    let zone = zone.time_zone();
    let found = zone.to_ambiguous_zoned(day.to_datetime(time));
    let skipped = matches!(found.offset(), AmbiguousOffset::Gap { .. });
    match found.earlier() {
        Ok(before) if skipped => {
            let change = zone.following(before.timestamp()).next();
            change.map_or(before, |change| change.timestamp().to_zoned(zone.clone()))
        }
        Ok(first) => first,
        Err(_) => Timestamp::MAX.to_zoned(zone.clone()),
    }
}

/// The days of a text: one ("2026-10-12"), or a first and a last one with those between
/// ("2026-10-12/2026-10-23", as ISO 8601 writes intervals), at most
/// [`limits::CLOSED_SPAN_DAYS_MAX`]. `None` if it is neither.
#[must_use]
pub fn days(text: &str) -> Option<Vec<Date>> {
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    let (first, last): (Date, Date) = (day(first)?, day(last)?);
    let count = usize::try_from(first.until(last).ok()?.get_days()).ok()? + 1;
    (count <= limits::CLOSED_SPAN_DAYS_MAX)
        .then(|| first.series(Span::new().days(1)).take(count).collect())
}

/// A day as it must be written, and not another of the many ways.
fn day(text: &str) -> Option<Date> {
    let day: Date = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

#[cfg(test)]
mod tests;
