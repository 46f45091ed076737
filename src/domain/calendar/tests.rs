use jiff::{Timestamp, civil::date};
use proptest::prelude::*;

use super::*;

fn moment(text: &str) -> Moment {
    let at: Timestamp = text.parse().unwrap();
    Moment(u64::try_from(at.as_nanosecond()).unwrap())
}

fn clock(text: &str) -> Clock {
    let (kind, amount) = text.split_once(' ').unwrap_or((text, "0"));
    let amount = amount.parse().unwrap();
    match kind {
        "elapsed" => Clock::Elapsed(amount),
        "working" => Clock::WorkingMinutes(amount),
        "working-days" => Clock::WorkingDays(amount),
        "calendar-days" => Clock::CalendarDays(amount),
        "next-school-day" => Clock::NextSchoolDay,
        other => panic!("no clock {other}"),
    }
}

/// I14: worked out by hand, and again in another way by `check.py` beside the table.
#[test]
fn every_deadline_of_the_table_is_met_to_the_second() {
    let table = include_str!("../../../tests/golden/deadlines/table.tsv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(rows.len() >= 60);
    for row in rows {
        let [name, closed, text, from, due, why] = row[..] else { panic!("{row:?}") };
        let days = closed.split(',').filter(|day| !day.is_empty());
        let calendar = Calendar::named_or_strictest(name)
            .closed_on(days.map(|day| day.parse::<Date>().unwrap()));
        let found = calendar.due(clock(text), moment(from));
        assert_eq!(found, moment(due), "{name} {text} {from}: {why}");
    }
}

#[test]
fn a_calendar_that_never_opens_is_not_waited_for() {
    let start = date(2026, 11, 23);
    let days = (0..1_000).map(|n| start.saturating_add(Span::new().days(n)));
    let closed = Calendar::named("scotland-working-hours").unwrap().closed_on(days);
    let from = moment("2026-11-23T12:00:00Z");
    for clock in [Clock::WorkingMinutes(240), Clock::WorkingDays(3), Clock::NextSchoolDay] {
        let due = closed.due(clock, from);
        assert!(from < due && due < moment("2026-12-01T00:00:00Z"), "{clock:?}: {}", due.rfc3339());
    }
}

#[test]
fn at_the_end_of_time_nothing_goes_round() {
    for name in ["24x7", "scotland-working-hours"] {
        let calendar = Calendar::named(name).unwrap();
        for clock in CLOCKS {
            for from in [Moment(u64::MAX), moment("2554-07-20T22:00:00Z")] {
                assert!(calendar.due(clock, from) >= from, "{name} {clock:?}");
                let _ = calendar.part_due(clock, (1, 3), from);
            }
        }
    }
}

const CLOCKS: [Clock; 5] = [
    Clock::Elapsed(15),
    Clock::WorkingMinutes(240),
    Clock::WorkingDays(3),
    Clock::CalendarDays(28),
    Clock::NextSchoolDay,
];

fn calendars() -> impl Strategy<Value = Calendar> {
    let names = prop::sample::select(vec![
        "24x7",
        "scotland-working-hours",
        "england-working-hours",
        "northern-ireland-working-hours",
        "scotland-school-days",
    ]);
    (names, prop::collection::btree_set(0_i64..900, 0..40)).prop_map(|(name, days)| {
        let day = |n| date(2026, 1, 1).saturating_add(Span::new().days(n));
        Calendar::named(name).unwrap().closed_on(days.into_iter().map(day))
    })
}

/// Any second of 2026 and 2027.
fn moments() -> impl Strategy<Value = Moment> {
    (0_u64..2 * 365 * 86_400).prop_map(|s| Moment((1_767_225_600 + s) * 1_000_000_000))
}

proptest! {
    /// I14: who comes later is due no sooner; nothing is due before it came, and a part of the
    /// time is over no later than the whole.
    #[test]
    fn later_is_due_no_sooner(calendar in calendars(), one in moments(), other in moments()) {
        let (sooner, later) = (one.min(other), one.max(other));
        for clock in CLOCKS {
            let due = calendar.due(clock, sooner);
            prop_assert!(due > sooner, "{clock:?}");
            prop_assert!(due <= calendar.due(clock, later), "{clock:?}");
            let parts = [(0, 3), (1, 3), (2, 3), (80, 100), (1, 1)].map(|p| calendar.part_due(clock, p, sooner));
            prop_assert!(parts.is_sorted() && parts[4] == due, "{clock:?}");
        }
    }

    /// A day off more makes nothing due sooner, and no calendar is stricter than none.
    #[test]
    fn a_day_off_makes_nothing_sooner(calendar in calendars(), from in moments(), day in 0_i64..900) {
        let day = date(2026, 1, 1).saturating_add(Span::new().days(day));
        let closed = calendar.clone().closed_on([day]);
        for clock in CLOCKS {
            let due = calendar.due(clock, from);
            prop_assert!(due <= closed.due(clock, from), "{clock:?}");
            prop_assert!(Calendar::Always.due(clock, from) <= due, "{clock:?}");
        }
    }
}
