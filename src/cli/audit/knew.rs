//! `cairn audit knew`: who had been told what of a concern by a moment, and what was done with it.
//!
//! Knows: audit, wire::client, proto.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{
    super::{Output, moment::until, print, speaker::Speaker},
    words,
};
use crate::{
    audit::{
        knew::{Knew, Place, knew},
        look::{self, Answer},
    },
    clock::Moment,
    domain::ids::EntryNumber,
    proto::QueryRequest,
    wire::client,
};

/// Show what each inbox had been sent of a concern by a moment, and what was done with it there
///
/// Every step is proved to be in the ledger. The question itself is recorded there.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn audit knew 1204 --at 2026-10-24T02:00:00+01:00 \
    --system auditor --purpose learning_review\n  \
    cairn audit knew 1204 --agency school-a --system auditor --purpose learning_review -o json")]
pub(super) struct Known {
    /// The concern's entry number
    concern: EntryNumber,
    /// By when: RFC 3339, or to the end of a day in Europe/London [default: now]
    #[arg(long, value_name = "TIME", value_parser = until)]
    at: Option<u64>,
    /// Of this agency's inboxes alone
    #[arg(long)]
    agency: Option<String>,
    #[command(flatten)]
    speaker: Speaker,
    /// Why you ask, as a code such as learning_review
    #[arg(long, value_name = "CODE")]
    purpose: String,
    /// How the answer is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Known {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let question = QueryRequest {
            concern: Some(self.concern.0),
            purpose: self.purpose.clone(),
            ..QueryRequest::default()
        };
        let answer = look::query(&client, &question, u64::MAX, &mut |_, _| {}).await?;
        if answer.rows.is_empty() {
            bail!("there is no thread of entry {}", self.concern);
        }
        let by = self.at.map_or_else(client::now, Moment);
        let of_agency = |((.., inbox), _): &(Place, Knew)| {
            let agency = inbox.split('/').next();
            self.agency.as_deref().is_none_or(|wanted| agency == Some(wanted))
        };
        let table: Vec<_> = knew(&answer.rows, by).into_iter().filter(of_agency).collect();
        match self.output {
            Output::Json => print::json(&as_json(by, &answer, &table))?,
            Output::Text => as_text(by, &answer, &table)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(by: Moment, answer: &Answer, table: &[(Place, Knew)]) -> Value {
    let moment = |at: Option<Moment>| at.map(Moment::rfc3339);
    let row = |((entry, what, inbox), it): &(Place, Knew)| {
        json!({
            "entry": entry, "what": what, "inbox": inbox, "how": it.how,
            "sent": it.sent.rfc3339(), "stored": moment(it.stored), "opened": moment(it.opened),
            "acknowledged": moment(it.acknowledged),
            "decided": moment(it.decided.as_ref().map(|it| it.0)),
            "outcome": it.decided.as_ref().map(|it| &it.1),
            "told_sender": moment(it.told_sender), "told_by_phone": moment(it.told_by_phone),
            "trouble": it.trouble,
        })
    };
    json!({
        "by": by.rfc3339(),
        "rows": table.iter().map(row).collect::<Vec<_>>(),
        "checkpoint": {"origin": answer.checkpoint.origin(), "size": answer.checkpoint.size()},
    })
}

fn as_text(by: Moment, answer: &Answer, table: &[(Place, Knew)]) -> anyhow::Result<()> {
    let at = |moment: Option<Moment>| moment.map(|at| print::moment(at.0)).unwrap_or_default();
    let rows = table.iter().map(|((entry, what, inbox), it)| {
        let decided = it
            .decided
            .as_ref()
            .map(|(at, outcome)| format!("{}: {}", print::moment(at.0), outcome.replace('_', " ")));
        let mut how = it.how.replace('_', " ");
        if let Some(at) = it.told_by_phone {
            how += &format!(", told by telephone {}", print::moment(at.0));
        }
        if let Some(trouble) = it.trouble {
            how += &format!(", {}", trouble.replace('_', " "));
        }
        vec![
            format!("{entry} {}", what.replace('_', " ")),
            inbox.clone(),
            at(Some(it.sent)),
            at(it.stored),
            at(it.opened),
            at(it.acknowledged),
            decided.unwrap_or_default(),
            at(it.told_sender),
            how,
        ]
    });
    let head = [
        "what",
        "inbox",
        "sent",
        "stored",
        "opened",
        "acknowledged",
        "decided",
        "sender told",
        "how",
    ];
    print::table(&head, rows)?;
    let (origin, size) = (answer.checkpoint.origin(), answer.checkpoint.size());
    print::line(format!(
        "As it was known by {}. Each step is checked against the signed ledger of {origin} up to \
         {size} entries; that none of the thread is missing is the exchange's word.",
        words::rfc3339(by.0)
    ))?;
    Ok(())
}
