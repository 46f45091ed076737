//! What commands print: lines, tables and times for people, JSON for programs.
//!
//! Knows: clock.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::clock::Moment;

/// One line under the head, and none between rows: a wrapped cell stands out by itself.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
/// How wide a table may be, in columns.
const WIDTH: u16 = 110;

/// One line on standard output. A reader that has gone (`| head`) is no fault of ours.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// One JSON document on standard output.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(value)?)?)
}

/// A table, if it has rows.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(head.to_vec());
    let mut any = false;
    for row in rows {
        table.add_row(row);
        any = true;
    }
    if any { line(table.trim_fmt()) } else { Ok(()) }
}

/// A moment, to the second.
pub(crate) fn moment(nanos: u64) -> String {
    let text = Moment(nanos).rfc3339();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.get(..8).unwrap_or(time))
}

/// How long ago, in the two largest units that say something.
pub(crate) fn age(since: u64, now: Moment) -> String {
    let seconds = now.0.saturating_sub(since) / 1_000_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long until a deadline (Unix seconds), or how long past it; nothing for 0.
pub(crate) fn left(due: u64, now: Moment) -> String {
    match Moment::of_seconds(due) {
        Moment(0) => String::new(),
        due if due > now => format!("in {}", age(now.0, due)),
        due => format!("LATE by {}", age(due.0, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn times_and_ages_are_short() {
        assert_eq!(moment(1_790_000_000 * SECOND + 5), "2026-09-21 14:13:20 UTC");
        let age_of = |seconds: u64| age(0, Moment(seconds * SECOND));
        assert_eq!(age_of(59), "59 s");
        assert_eq!(age_of(60), "1 min");
        assert_eq!(age_of(3_600 + 120), "1 h 2 min");
        assert_eq!(age_of(2 * 86_400 + 3_600), "2 d 1 h");
        assert_eq!(age(5 * SECOND, Moment(0)), "0 s");
        assert_eq!(left(100, Moment(40 * SECOND)), "in 1 min");
        assert_eq!(left(100, Moment(100 * SECOND)), "LATE by 0 s");
        assert_eq!(left(0, Moment(100 * SECOND)), "");
    }
}
