//! `cairn audit query`: which entries, each proved to be in the ledger.
//!
//! Knows: audit, wire::client, proto.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{
    super::{
        Output,
        moment::{from, until},
        print,
        progress::Bar,
        speaker::Speaker,
    },
    words,
};
use crate::{
    audit::look::{self, Answer, Complete, Row},
    proto::{EntryType, Only, QueryRequest},
};

/// Ask which entries the ledger has, by time, agency, inbox, concern and what they say
///
/// Every entry of the answer is proved to be in the ledger with the facts shown. The
/// question itself is recorded in the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn audit query --system auditor \
    --from 2026-11-01 --until 2026-11-30 \\\n    --agency sw-ardness --purpose learning_review\n  \
    cairn audit query --system auditor --inbox school-a/duty --purpose inspection\n  \
    cairn audit query --system auditor --only late --only refused --urgency immediate \\\n    \
    --purpose inspection")]
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
    /// Said by this agency
    #[arg(long, value_name = "AGENCY")]
    sender: Option<String>,
    /// Addressed to, or about a delivery of, this inbox
    #[arg(long, value_name = "AGENCY/ROLE")]
    inbox: Option<String>,
    /// In the thread of this concern: its entry number
    #[arg(long, value_name = "ENTRY")]
    concern: Option<u64>,
    /// Of this kind, such as concern, decision or query; again for more
    #[arg(long = "type", value_name = "TYPE", value_parser = entry_type)]
    types: Vec<EntryType>,
    /// With this outcome, a code such as no_further_action
    #[arg(long, value_name = "CODE")]
    outcome: Option<String>,
    /// Of this urgency
    #[arg(long, value_name = "CODE")]
    urgency: Option<String>,
    /// Under this agreement
    #[arg(long, value_name = "ID")]
    agreement: Option<String>,
    /// With this flag, such as missing_purpose; again for more
    #[arg(long = "flag", value_name = "CODE")]
    flags: Vec<String>,
    /// Only what was late, refused, escalated, or outside any agreement; again for any of several
    #[arg(long, value_enum)]
    only: Vec<Kind>,
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
            sender: self.sender.unwrap_or_default(),
            inbox: self.inbox.unwrap_or_default(),
            types: self.types.into_iter().map(Into::into).collect(),
            outcome: self.outcome.unwrap_or_default(),
            urgency: self.urgency.unwrap_or_default(),
            agreement: self.agreement.unwrap_or_default(),
            flags: self.flags,
            only: self.only.into_iter().map(|kind| Only::from(kind).into()).collect(),
            ..QueryRequest::default()
        };
        let client = self.speaker.client()?;
        let bar = Bar::of("entries");
        let answer =
            look::query(&client, &question, self.limit, &mut |to, of| bar.at(to, of)).await?;
        drop(bar);
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
        "searched_to": answer.searched_to,
        "complete": match answer.complete {
            Complete::ByEntry => json!({"by": "entry"}),
            Complete::ByNumber { first, last } => {
                json!({"by": "number", "first": first, "last": last})
            }
            Complete::NotProved => Value::Null,
        },
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
    print::line(match answer.complete {
        Complete::ByEntry => "Complete: the entries follow one another.".to_owned(),
        Complete::ByNumber { first: 1, last } => format!(
            "What was said, or addressed there, is complete up to the last row: numbered 1 to {last} \
             without a gap. That none follows is the exchange's word, or a monitor's."
        ),
        Complete::ByNumber { first, last } => format!(
            "What was said, or addressed there, has no gap: numbered {first} to {last}. That none is \
             missing before the first or after the last is the exchange's word, or a monitor's."
        ),
        Complete::NotProved => {
            "That no row is missing is the exchange's word: ask by --sender, by \
                                --inbox or by time alone, and the numbers prove it."
                .to_owned()
        }
    })?;
    if answer.more {
        let to = answer.searched_to;
        print::line(format!(
            "Entries from {to} on were not looked at: raise --limit, or narrow the question."
        ))?;
    }
    Ok(())
}

/// What auditors often look for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Concerns for which a deadline passed with nothing done
    Late,
    /// Refusals
    Refused,
    /// Concerns for which a rung was climbed
    Escalated,
    /// Concerns accepted outside any agreement
    OutsideAgreement,
}

impl From<Kind> for Only {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Late => Self::Late,
            Kind::Refused => Self::Refused,
            Kind::Escalated => Self::Escalated,
            Kind::OutsideAgreement => Self::OutsideAgreement,
        }
    }
}

fn entry_type(text: &str) -> Result<EntryType, String> {
    let name = format!("ENTRY_TYPE_{}", text.to_ascii_uppercase());
    let known = EntryType::from_str_name(&name).filter(|known| *known != EntryType::Unspecified);
    known.ok_or_else(|| "must be what an entry records, such as concern or decision".to_owned())
}
