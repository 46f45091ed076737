//! `cairn audit show`: one entry, its receipt verified.
//!
//! Knows: audit, wire::client, store (durable files).

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    super::{Output, print, speaker::Speaker},
    words,
};
use crate::{
    audit::look::{self, Shown},
    clock::Moment,
    wire::client::{Client, ClientError},
};

/// Show one entry, its receipt verified
///
/// With --detail also what its sender signed, down to the staff who acted; a sealed
/// body stays sealed. The look itself is recorded in the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn audit show 1204 --system auditor --purpose learning_review --detail")]
pub(super) struct Show {
    /// The entry number
    entry: u64,
    #[command(flatten)]
    speaker: Speaker,
    /// Why you look, as a code such as learning_review
    #[arg(long, value_name = "CODE")]
    purpose: String,
    /// Show the detail too
    #[arg(long)]
    detail: bool,
    /// How the entry is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let shown = look::entry(&client, self.entry, &self.purpose, self.detail).await?;
        let detail = match self.detail && shown.proved.detail {
            false => None,
            true => Some(self.opened(&client, &shown).await?),
        };
        match self.output {
            Output::Json => print::json(&as_json(&shown, detail))?,
            Output::Text => as_text(&shown, detail.as_ref(), self.detail)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The detail's fields; of a statement only after its signature was verified.
    async fn opened(&self, client: &Client, shown: &Shown) -> anyhow::Result<words::Fields> {
        let (facts, detail) = (&shown.proved.facts, &shown.opening.detail);
        let mut suspected = false;
        if look::is_statement(facts) {
            client.refresh().await?;
            let at = Moment(shown.proved.leaf.time_unix_ns);
            suspected = look::must_be_signed(&client.directory(), detail, at)?;
        }
        let mut fields = words::detail(facts, detail)
            .map_err(|error| ClientError::Suspect(format!("its detail: {error}")))?;
        if suspected {
            fields.push(("key_suspected", true.into()));
        }
        Ok(fields)
    }
}

fn as_json(shown: &Shown, detail: Option<words::Fields>) -> Value {
    let proved = &shown.proved;
    json!({
        "entry": proved.entry,
        "at": words::rfc3339(proved.leaf.time_unix_ns),
        "facts": words::map(words::facts(&proved.facts)),
        "detail": detail.map(words::map),
        "erased": shown.erased,
        "tlog_proof": String::from_utf8_lossy(&shown.tlog_proof),
        "checkpoint": {
            "origin": proved.checkpoint.origin(),
            "size": proved.checkpoint.size(),
            "root": proved.checkpoint.root().to_string(),
        },
    })
}

fn as_text(
    shown: &Shown,
    detail: Option<&words::Fields>,
    detail_asked: bool,
) -> std::io::Result<()> {
    let proved = &shown.proved;
    let at = print::moment(proved.leaf.time_unix_ns);
    print::line(format!("Entry {}, {at}: {}", proved.entry, words::kind(&proved.facts)))?;
    for line in words::lines(&words::facts(&proved.facts)) {
        print::line(line)?;
    }
    match detail {
        Some(fields) => {
            print::line("Detail")?;
            for line in words::lines(fields) {
                print::line(line)?;
            }
            if look::is_statement(&proved.facts) {
                print::line("Its signature verifies: the directory has that key for its sender.")?;
            }
        }
        None if shown.erased => print::line("Its detail is erased.")?,
        None if detail_asked => print::line("It has no detail.")?,
        None => {}
    }
    let checkpoint = &proved.checkpoint;
    print::line(format!(
        "Its receipt verifies: {} signed for it under a ledger of {} entries.",
        checkpoint.origin(),
        checkpoint.size()
    ))
}
