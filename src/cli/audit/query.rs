//! `cairn audit query`: which entries, each proved to be in the ledger.
//!
//! Knows: audit, wire::client, proto.

use std::process::ExitCode;

use clap::Args;
use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    super::{Output, print, speaker::Speaker},
    words,
};
use crate::{
    audit::look::{self, Answer, Row},
    proto::QueryRequest,
};

/// Ask which entries the ledger has, by time, agency or concern
///
/// Every entry of the answer is proved to be in the ledger with the facts shown. The
/// question itself is recorded in the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn audit query --system auditor \
    --from 2026-11-01 --until 2026-11-30 \\\n    --agency sw-ardness --purpose learning_review")]
pub(super) struct Query {
    #[command(flatten)]
    speaker: Speaker,
    /// From this time on: RFC 3339, or a day in Europe/London
    #[arg(long, value_name = "TIME", value_parser = from)]
    from: Option<u64>,
    /// Before this time: RFC 3339, or to the end of a day in Europe/London
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<u64>,
    /// Said by or addressed to this agency
    #[arg(long)]
    agency: Option<String>,
    /// In the thread of this concern: its entry number
    #[arg(long, value_name = "ENTRY")]
    concern: Option<u64>,
    /// Why you ask, as a code such as learning_review
    #[arg(long, value_name = "CODE")]
    purpose: String,
    /// At most so many entries; whether there are more is said
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// How the answer is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Query {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let question = QueryRequest {
            from_time: self.from.unwrap_or(0),
            until_time: self.until.unwrap_or(0),
            agency: self.agency.unwrap_or_default(),
            concern: self.concern,
            purpose: self.purpose,
            ..QueryRequest::default()
        };
        let client = self.speaker.client()?;
        let answer = look::query(&client, &question, self.limit).await?;
        match self.output {
            Output::Json => print::json(&as_json(&answer))?,
            Output::Text => as_text(&answer)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(answer: &Answer) -> Value {
    let row = |row: &Row| {
        let mut fields = words::map(words::facts(&row.facts));
        fields.insert("entry".into(), row.entry.into());
        fields.insert("at".into(), words::rfc3339(row.leaf.time_unix_ns).into());
        if row.suspected {
            fields.insert("key_suspected".into(), true.into());
        }
        Value::Object(fields)
    };
    json!({
        "rows": answer.rows.iter().map(row).collect::<Vec<_>>(),
        "more": answer.more,
        "checkpoint": {
            "origin": answer.checkpoint.origin(),
            "size": answer.checkpoint.size(),
            "root": answer.checkpoint.root().to_string(),
        },
    })
}

fn as_text(answer: &Answer) -> std::io::Result<()> {
    for Row { entry, leaf, facts, suspected } in &answer.rows {
        let (at, kind) = (print::moment(leaf.time_unix_ns), words::kind(facts));
        let mut line = format!("{entry:>8}  {at}  {kind:<16} {}", words::summary(facts));
        if *suspected {
            line += " (signed with a key that was suspected by then)";
        }
        print::line(line.trim_end())?;
    }
    let (count, size) = (answer.rows.len(), answer.checkpoint.size());
    let entries = if count == 1 { "entry" } else { "entries" };
    print::line(format!(
        "{count} {entries}, each checked against the signed ledger of {} up to {size} entries.",
        answer.checkpoint.origin()
    ))?;
    if answer.more {
        print::line("There are more: raise --limit, or narrow the question.")?;
    }
    Ok(())
}

fn from(text: &str) -> Result<u64, String> {
    time(text, Some)
}

fn until(text: &str) -> Result<u64, String> {
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
