//! `cairn status`: where a concern stands, what waits, and what the outbox keeps.
//!
//! Nothing here names a child, and a sender's own reference never leaves: the request id is
//! made from it here.
//!
//! Holds: I6, I12. Knows: wire::client, domain, proto.

mod shown;
mod watch;

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Output, print,
    speaker::{Speaker, answered},
};
use crate::{
    clock::Moment,
    domain::ids::{EntryNumber, InboxId},
    proto::{
        self, Delivery, Facts, GetConcernRequest, GetConcernResponse, GetSummaryRequest,
        GetSummaryResponse, ListWaitingRequest, get_concern_request::By,
    },
    wire::client::{
        Client, ClientError,
        outbox::{Kept, Outbox},
    },
};

/// Show where a concern stands, or everything that waits
///
/// An agency sees what it sent or holds; an on-call system sees all. Without a concern, an
/// agency also sees what its outbox still keeps: what is not answered yet, and what was
/// refused and needs somebody.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn status 42 --system systems/school-a\n  \
    cairn status --reference SCHOOL-26-0042 --system systems/school-a\n  \
    cairn status --watch --system x/systems/operator/on-call\n  \
    cairn status --waiting -o json --system x/systems/operator/on-call\n  \
    cairn status 42 --wait acknowledged --timeout 15m --system systems/school-a\n\n\
    With --wait it ends with 0 when every recipient has come so far, with 1 when one never will \
    (taken back), and with 124 when the time is over.")]
pub(crate) struct Status {
    /// The concern's entry number
    #[arg(conflicts_with_all = ["reference", "waiting", "inbox"])]
    entry: Option<EntryNumber>,
    /// The concern's reference, as this agency gave it
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["waiting", "inbox"])]
    reference: Option<String>,
    /// What waits, without what the outbox keeps
    #[arg(long)]
    waiting: bool,
    /// What waits for this inbox only
    #[arg(long, value_name = "AGENCY/ROLE")]
    inbox: Option<InboxId>,
    /// A live board of what waits, until Ctrl-C; with `-o json` one line for each change
    #[arg(long, conflicts_with_all = ["entry", "reference"])]
    watch: bool,
    /// Wait until every recipient of the concern has come so far
    #[arg(long, value_enum, value_name = "STATE", conflicts_with_all = ["waiting", "inbox", "watch"])]
    wait: Option<watch::Wanted>,
    /// How long to wait, such as 15m [default: until it is so]
    #[arg(long, value_name = "DURATION", requires = "wait")]
    timeout: Option<jiff::SignedDuration>,
    #[command(flatten)]
    speaker: Speaker,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let by = match (self.entry, &self.reference) {
            (Some(entry), _) => By::Entry(entry.0),
            (None, Some(reference)) => {
                let folder = client.folder();
                let agency = folder.settings.agency.as_str();
                By::RequestId(folder.secret.request_id(agency, reference).to_vec())
            }
            (None, None) if self.wait.is_some() => bail!("wait for which concern? Give its entry"),
            (None, None) if self.watch => return self.watch(&client).await,
            (None, None) => return self.everything(&client).await,
        };
        match self.wait {
            Some(wanted) => self.wait_until(&client, by, wanted).await,
            None => self.concern(&client, by).await,
        }
    }

    async fn concern(&self, client: &Client, by: By) -> anyhow::Result<ExitCode> {
        let request = GetConcernRequest { by: Some(by) };
        let answer = answered(client.exchange().get_concern(request)).await;
        if let (Err(ClientError::Refused { .. }), Some(reference)) = (&answer, &self.reference)
            && let Some(kept) = of_reference(client.folder().path(), reference)?
        {
            self.print_outbox(&[kept])?;
            return Ok(ExitCode::SUCCESS);
        }
        let found = answer?.into_inner();
        let facts: Facts = proto::decode(&found.facts)?;
        match self.output {
            Output::Json => print::json(&shown::concern_json(&found, &facts))?,
            Output::Text => text(&found, &facts)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn everything(&self, client: &Client) -> anyhow::Result<ExitCode> {
        let outbox = match self.waiting {
            true => Vec::new(),
            false => outbox(client.folder().path())?,
        };
        // What the outbox keeps is known while the exchange is away: then above all.
        let waiting = self.waiting(client).await;
        let summary = answered(client.status().get_summary(GetSummaryRequest {})).await;
        let raised = summary.map_or_else(|_| Vec::new(), |found| raised(&found.into_inner()));
        match self.output {
            Output::Json => {
                let known = |known: &Waiting| known.rows.iter().map(shown::delivery_json).collect();
                print::json(&json!({
                    "waiting": waiting.as_ref().ok().map(known).unwrap_or(Value::Null),
                    "outbox": outbox.iter().map(kept_json).collect::<Vec<_>>(),
                    "raised": raised.iter().map(|(name, count, _)| (*name, *count)).collect::<BTreeMap<_, _>>(),
                }))?;
            }
            Output::Text => {
                for (_, _, said) in &raised {
                    print::line(said)?;
                }
                waiting
                    .as_ref()
                    .map_or(Ok(()), |waiting| say_waiting(&waiting.rows, waiting.now()))?;
                self.print_outbox(&outbox)?;
            }
        }
        waiting.context("what waits is not known")?;
        Ok(ExitCode::SUCCESS)
    }

    async fn waiting(&self, client: &Client) -> Result<Waiting, ClientError> {
        let inbox = self.inbox.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut rows = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListWaitingRequest { inbox: inbox.clone(), page_size: 1_000, page_token };
            let page = answered(client.status().list_waiting(request)).await?.into_inner();
            rows.extend(page.deliveries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(Waiting { rows, at: Moment(page.at), seen: Instant::now() });
            }
        }
    }

    fn print_outbox(&self, outbox: &[Kept]) -> anyhow::Result<()> {
        if self.output == Output::Json {
            return print::json(&json!({
                "outbox": outbox.iter().map(kept_json).collect::<Vec<_>>()
            }));
        }
        let unanswered = outbox.iter().filter(|kept| kept.refused.is_none()).count();
        let refused = outbox.len() - unanswered;
        match outbox.is_empty() {
            true => return Ok(()),
            false => print::line(format_args!(
                "in the outbox: {unanswered} not answered yet, {refused} refused and yours to mend"
            ))?,
        }
        let rows = outbox.iter().map(|kept| match &kept.refused {
            None => vec![kept.id.clone(), String::new(), "`cairn send` sends it again".into()],
            Some(note) => {
                let advice = format!("{}: {}", note.code, note.message);
                vec![kept.id.clone(), note.reference.clone(), advice]
            }
        });
        Ok(print::table(&["id", "your reference", "what to do"], rows)?)
    }
}

/// What no deadline shows, to whom it concerns: a name, how many, a sentence.
fn raised(summary: &GetSummaryResponse) -> Vec<(&'static str, u64, String)> {
    let late = summary.reviews_late;
    let all = [
        (
            "refused_urgent",
            summary.refused_urgent,
            "refused and urgent, and the sender may not know",
        ),
        ("missing", summary.missing, "counted as sent by a manifest, and not here"),
        ("reviews", summary.reviews, "outside any agreement, to be reviewed"),
        ("quiet_agencies", summary.quiet_agencies, "quieter than usual"),
    ];
    let some = all.into_iter().filter(|(_, count, _)| *count > 0);
    some.map(|(name, count, what)| match name {
        "reviews" if late > 0 => (name, count, format!("{count} {what}, {late} late")),
        _ => (name, count, format!("{count} {what}")),
    })
    .collect()
}

/// What the outbox keeps; nothing if the system has none.
fn outbox(folder: &Path) -> anyhow::Result<Vec<Kept>> {
    match folder.join("outbox").exists() {
        true => Ok(Outbox::of(folder)?.list()?),
        false => Ok(Vec::new()),
    }
}

/// What the outbox keeps under a reference that the exchange does not know.
fn of_reference(folder: &Path, reference: &str) -> anyhow::Result<Option<Kept>> {
    let named = |kept: &Kept| kept.refused.as_ref().is_some_and(|note| note.reference == reference);
    Ok(outbox(folder)?.into_iter().find(named))
}

fn kept_json(kept: &Kept) -> Value {
    match &kept.refused {
        None => json!({"id": kept.id, "state": "unanswered"}),
        Some(note) => json!({
            "id": kept.id, "state": "refused", "reference": note.reference,
            "code": note.code, "message": note.message,
        }),
    }
}

/// What waits, as of a moment of the exchange's clock: deadlines go by it, and not by this
/// machine's.
struct Waiting {
    rows: Vec<Delivery>,
    at: Moment,
    seen: Instant,
}

impl Waiting {
    /// Now, by the exchange's clock, as far as it is known here.
    fn now(&self) -> Moment {
        self.at.after(self.seen.elapsed())
    }
}

fn say_waiting(waiting: &[Delivery], now: Moment) -> anyhow::Result<()> {
    let Some(oldest) = waiting.iter().min_by_key(|delivery| delivery.accepted_at) else {
        return Ok(print::line("Nothing waits.")?);
    };
    let late = waiting.iter().filter(|delivery| is_late(delivery, now)).count();
    print::line(format_args!(
        "{} waiting, {late} late; the longest for {}, at {}",
        waiting.len(),
        print::age(oldest.accepted_at, now),
        oldest.inbox
    ))?;
    // What is due first comes first; what nobody owes by a time, last.
    let mut waiting: Vec<&Delivery> = waiting.iter().collect();
    waiting.sort_by_key(|delivery| (delivery.next_due.wrapping_sub(1), delivery.concern));
    let rows = waiting.into_iter().map(|delivery| {
        vec![
            delivery.concern.to_string(),
            delivery.urgency.clone(),
            delivery.sender.clone(),
            shown::inbox(delivery),
            shown::state(delivery, now),
            print::left(delivery.next_due, now),
            print::age(delivery.accepted_at, now),
            delivery.responsible.clone(),
        ]
    });
    let head = ["entry", "urgency", "from", "for", "state", "due", "age", "next to act"];
    Ok(print::table(&head, rows)?)
}

/// Whether the deadline that runs is past.
fn is_late(delivery: &Delivery, now: Moment) -> bool {
    delivery.next_due > 0 && Moment::of_seconds(delivery.next_due) <= now
}

fn text(found: &GetConcernResponse, facts: &Facts) -> anyhow::Result<()> {
    let accepted = print::moment(found.accepted_at);
    let exercise = if facts.exercise { ", an exercise" } else { "" };
    print::line(format_args!(
        "concern {}: {} from {}, accepted {accepted}{exercise}",
        found.entry, facts.urgency, facts.sender
    ))?;
    let agreement = match (facts.outside_agreement, facts.agreement.is_empty()) {
        (true, _) => "outside any agreement, for its urgency",
        (false, true) => "none",
        (false, false) => facts.agreement.as_str(),
    };
    print::line(format_args!("  agreement  {agreement}"))?;
    if !facts.flags.is_empty() {
        print::line(format_args!("  flags      {}", facts.flags.join(", ")))?;
    }
    let now = Moment(found.at);
    let deliveries = found.deliveries.iter().map(|delivery| {
        vec![
            shown::inbox(delivery),
            shown::state(delivery, now),
            delivery.outcome.clone(),
            print::moment(delivery.changed_at),
            print::left(delivery.next_due, now),
            delivery.responsible.clone(),
        ]
    });
    print::table(&["for", "state", "outcome", "since", "due", "next to act"], deliveries)?;
    let thread = found.thread.iter().map(|entry| {
        let by = match (!entry.r#type().is_statement(), entry.inbox.as_str()) {
            (true, _) if entry.sender.is_empty() => "exchange",
            (true, _) | (false, "") => entry.sender.as_str(),
            (false, inbox) => inbox,
        };
        let what = shown::entry_type(entry.r#type());
        vec![entry.entry.to_string(), print::moment(entry.at), what, by.to_owned()]
    });
    Ok(print::table(&["entry", "at", "what", "by"], thread)?)
}
