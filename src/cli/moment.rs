//! Times as people write them: RFC 3339, or a day in Europe/London.
//!
//! Knows: nothing.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};

/// A time, or the beginning of a day in Europe/London, Unix nanoseconds.
pub(super) fn from(text: &str) -> Result<u64, String> {
    time(text, Some)
}

/// A time, or the end of a day in Europe/London.
pub(super) fn until(text: &str) -> Result<u64, String> {
    time(text, |day| day.tomorrow().ok())
}

/// RFC 3339, or the start of the day that `of` makes of a day in Europe/London.
fn time(text: &str, of: impl Fn(Date) -> Option<Date>) -> Result<u64, String> {
    const RULE: &str = "neither a day such as 2026-11-22 nor RFC 3339 such as 2026-11-22T09:30:00Z";
    let nanos = |at: Timestamp| u64::try_from(at.as_nanosecond()).map_err(|_| RULE.to_owned());
    if let Ok(at) = text.parse::<Timestamp>() {
        return nanos(at);
    }
    let day = text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(of).ok_or(RULE)?;
    let london = TimeZone::get("Europe/London").map_err(|error| error.to_string())?;
    let start: Zoned = day.to_zoned(london).map_err(|error| error.to_string())?;
    nanos(start.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn a_day_is_a_day_in_london_and_until_includes_it() {
        let midsummer = from("2026-06-21").unwrap();
        assert_eq!(midsummer, from("2026-06-20T23:00:00Z").unwrap());
        assert_eq!(until("2026-06-21").unwrap() - midsummer, 24 * HOUR);
        // The day on which the clocks go back has 25 hours.
        assert_eq!(until("2026-10-25").unwrap() - from("2026-10-25").unwrap(), 25 * HOUR);
    }

    #[test]
    fn a_moment_is_taken_as_it_is_written() {
        assert_eq!(from("1970-01-01T00:00:01+00:00").unwrap(), 1_000_000_000);
        assert_eq!(until("2026-06-21T10:00:00+01:00"), from("2026-06-21T09:00:00Z"));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "yesterday", "2026-13-01", "2026-11-22T09:30:00", "1969-12-31", "1"] {
            assert!(from(text).is_err(), "{text}");
        }
    }
}
