//! Bank holidays of the three calendars of the United Kingdom.
//!
//! Source: the Banking and Financial Dealings Act 1971, Schedule 1, and the proclamations made
//! under it, as <https://www.gov.uk/bank-holidays> lists them: a substitute day stands in place of
//! one that falls on a weekend. What a council closes on beside or in place of these is a local
//! holiday. To be looked at again when a year is proclaimed otherwise, and before 2029.
//!
//! Knows: nothing.

use jiff::civil::{Date, date};

/// A part of the United Kingdom with bank holidays of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nation {
    /// Scotland.
    Scotland,
    /// England and Wales.
    EnglandAndWales,
    /// Northern Ireland.
    NorthernIreland,
}

impl Nation {
    /// Whether a day is a bank holiday. Of years that the tables do not have, no day is: a
    /// deadline comes sooner then, not later.
    #[must_use]
    pub fn is_holiday(self, day: Date) -> bool {
        let own: &[Date] = match self {
            Self::Scotland => &SCOTLAND,
            Self::EnglandAndWales => &ENGLAND_AND_WALES,
            Self::NorthernIreland => &NORTHERN_IRELAND,
        };
        own.binary_search(&day).is_ok()
    }
}

const SCOTLAND: [Date; 28] = [
    date(2026, 1, 1),   // New Year's Day
    date(2026, 1, 2),   // 2nd January
    date(2026, 4, 3),   // Good Friday
    date(2026, 5, 4),   // early May
    date(2026, 5, 25),  // spring
    date(2026, 6, 15),  // World Cup, by proclamation
    date(2026, 8, 3),   // summer
    date(2026, 11, 30), // St Andrew's Day
    date(2026, 12, 25), // Christmas Day
    date(2026, 12, 28), // for Boxing Day, a Saturday
    date(2027, 1, 1),   // New Year's Day
    date(2027, 1, 4),   // for 2nd January, a Saturday
    date(2027, 3, 26),  // Good Friday
    date(2027, 5, 3),   // early May
    date(2027, 5, 31),  // spring
    date(2027, 8, 2),   // summer
    date(2027, 11, 30), // St Andrew's Day
    date(2027, 12, 27), // for Christmas Day, a Saturday
    date(2027, 12, 28), // for Boxing Day, a Sunday
    date(2028, 1, 3),   // for New Year's Day, a Saturday
    date(2028, 1, 4),   // for 2nd January, a Sunday
    date(2028, 4, 14),  // Good Friday
    date(2028, 5, 1),   // early May
    date(2028, 5, 29),  // spring
    date(2028, 8, 7),   // summer
    date(2028, 11, 30), // St Andrew's Day
    date(2028, 12, 25), // Christmas Day
    date(2028, 12, 26), // Boxing Day
];

const ENGLAND_AND_WALES: [Date; 24] = [
    date(2026, 1, 1),   // New Year's Day
    date(2026, 4, 3),   // Good Friday
    date(2026, 4, 6),   // Easter Monday
    date(2026, 5, 4),   // early May
    date(2026, 5, 25),  // spring
    date(2026, 8, 31),  // summer
    date(2026, 12, 25), // Christmas Day
    date(2026, 12, 28), // for Boxing Day, a Saturday
    date(2027, 1, 1),   // New Year's Day
    date(2027, 3, 26),  // Good Friday
    date(2027, 3, 29),  // Easter Monday
    date(2027, 5, 3),   // early May
    date(2027, 5, 31),  // spring
    date(2027, 8, 30),  // summer
    date(2027, 12, 27), // for Christmas Day, a Saturday
    date(2027, 12, 28), // for Boxing Day, a Sunday
    date(2028, 1, 3),   // for New Year's Day, a Saturday
    date(2028, 4, 14),  // Good Friday
    date(2028, 4, 17),  // Easter Monday
    date(2028, 5, 1),   // early May
    date(2028, 5, 29),  // spring
    date(2028, 8, 28),  // summer
    date(2028, 12, 25), // Christmas Day
    date(2028, 12, 26), // Boxing Day
];

const NORTHERN_IRELAND: [Date; 30] = [
    date(2026, 1, 1),   // New Year's Day
    date(2026, 3, 17),  // St Patrick's Day
    date(2026, 4, 3),   // Good Friday
    date(2026, 4, 6),   // Easter Monday
    date(2026, 5, 4),   // early May
    date(2026, 5, 25),  // spring
    date(2026, 7, 13),  // for the Battle of the Boyne, a Sunday
    date(2026, 8, 31),  // summer
    date(2026, 12, 25), // Christmas Day
    date(2026, 12, 28), // for Boxing Day, a Saturday
    date(2027, 1, 1),   // New Year's Day
    date(2027, 3, 17),  // St Patrick's Day
    date(2027, 3, 26),  // Good Friday
    date(2027, 3, 29),  // Easter Monday
    date(2027, 5, 3),   // early May
    date(2027, 5, 31),  // spring
    date(2027, 7, 12),  // Battle of the Boyne
    date(2027, 8, 30),  // summer
    date(2027, 12, 27), // for Christmas Day, a Saturday
    date(2027, 12, 28), // for Boxing Day, a Sunday
    date(2028, 1, 3),   // for New Year's Day, a Saturday
    date(2028, 3, 17),  // St Patrick's Day
    date(2028, 4, 14),  // Good Friday
    date(2028, 4, 17),  // Easter Monday
    date(2028, 5, 1),   // early May
    date(2028, 5, 29),  // spring
    date(2028, 7, 12),  // Battle of the Boyne
    date(2028, 8, 28),  // summer
    date(2028, 12, 25), // Christmas Day
    date(2028, 12, 26), // Boxing Day
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order_and_hold_no_weekend() {
        for table in [&SCOTLAND[..], &ENGLAND_AND_WALES, &NORTHERN_IRELAND] {
            assert!(table.is_sorted_by(|one, next| one < next));
            assert!(table.iter().all(|day| day.weekday().to_monday_one_offset() <= 5), "{table:?}");
        }
    }
}
