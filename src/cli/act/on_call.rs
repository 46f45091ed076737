//! What on-call staff do about a delivery, `called` and `dealing`, and about what no deadline shows,
//! `settle`.
//!
//! Each is an entry that names the person. None acknowledges, and no clock stops.
//!
//! Knows: wire::client, domain, proto.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::desk::{Said, Who, concern, print_said};
use crate::{
    cli::{
        Output,
        speaker::{Speaker, answered},
    },
    domain::ids::{EntryNumber, InboxId},
    proto::{self, GetConcernResponse, Person, RecordCallRequest, SettleRequest, TakeCareRequest},
    wire::client::{self, Client},
};

/// Which delivery, by whom
#[derive(Debug, Args)]
pub(crate) struct About {
    /// The concern's entry number
    entry: EntryNumber,
    /// The inbox that it was addressed to [default: the only one]
    #[arg(long, value_name = "AGENCY/ROLE")]
    inbox: Option<InboxId>,
    #[command(flatten)]
    speaker: Speaker,
    #[command(flatten)]
    who: Who,
    /// How to print what was recorded
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl About {
    /// The caller, and the inbox that the delivery was addressed to.
    async fn delivery(&self) -> anyhow::Result<(Client, String)> {
        let client = self.speaker.client()?;
        let found = concern(&client, self.entry.0).await?;
        let addressed = addressed(&found, self.inbox.as_ref())?;
        Ok((client, addressed))
    }

    fn print(&self, what: &'static str, entry: u64, before: bool) -> anyhow::Result<ExitCode> {
        print_said(self.entry.0, &[Said { what, entry, before }], self.output)
    }
}

/// The inbox asked for, if the concern went there, or the only one.
fn addressed(found: &GetConcernResponse, asked: Option<&InboxId>) -> anyhow::Result<String> {
    let inboxes: Vec<&str> = found.deliveries.iter().map(|it| it.addressed.as_str()).collect();
    match (asked, inboxes.as_slice()) {
        (Some(asked), inboxes) if inboxes.contains(&asked.as_str()) => Ok(asked.to_string()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => bail!("it went to {}; say to which with --inbox", inboxes.join(", ")),
        (Some(asked), _) => bail!("it did not go to {asked}, but to {}", inboxes.join(", ")),
    }
}

/// The same act at the same time gets the same id, so that it counts once.
fn request_id(act: &[u8]) -> Vec<u8> {
    Sha256::digest(act).to_vec()
}

/// Record that somebody was told of a concern by telephone
///
/// It stops no clock: it counts as ownership once a person of that inbox confirms it. That
/// inbox and the sender are told.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn called 42 --number \"0131 496 0000\" \
    --told-name \"B. Person\" --told-post \"duty social worker\" \\\n    --read-back \
    --name \"A. Person\" --post \"on call\" --system x/systems/operator/on-call")]
pub(crate) struct Called {
    #[command(flatten)]
    about: About,
    /// The number that was rung
    #[arg(long)]
    number: String,
    /// Who answered
    #[arg(long, value_name = "NAME")]
    told_name: String,
    /// The post of who answered
    #[arg(long, value_name = "POST")]
    told_post: String,
    /// When, such as 2026-10-24T02:10:00Z; given again, the same call counts once [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// They read the entry number back
    #[arg(long)]
    read_back: bool,
}

impl Called {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (client, addressed) = self.about.delivery().await?;
        let at = self.at.map_or_else(|| client::now().unix_seconds(), Timestamp::as_second);
        let told = Person {
            name: self.told_name.clone(),
            post: self.told_post.clone(),
            ..Person::default()
        };
        let mut call = RecordCallRequest {
            request_id: Vec::new(),
            concern: self.about.entry.0,
            addressed,
            by: Some(self.about.who.person()),
            told: Some(told),
            number: self.number.clone(),
            at: at.try_into().context("a call before 1970")?,
            read_back: self.read_back,
        };
        call.request_id = request_id(&proto::encode(&call));
        let said = answered(client.status().record_call(call)).await?.into_inner();
        self.about.print("told by telephone", said.entry, said.duplicate)
    }
}

/// Say that you are dealing with a delivery, for a while
///
/// Others on call see who it is and until when. It silences pages, never rungs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn dealing 42 --for 30m --name \"A. Person\" \
    --post \"on call\" --system x/systems/operator/on-call")]
pub(crate) struct Dealing {
    #[command(flatten)]
    about: About,
    /// How long, such as 30m; at most 12h
    #[arg(long = "for", value_name = "DURATION", default_value = "30m")]
    time: SignedDuration,
}

impl Dealing {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (client, addressed) = self.about.delivery().await?;
        let until = client::now().unix_seconds().saturating_add(self.time.as_secs());
        let mut care = TakeCareRequest {
            request_id: Vec::new(),
            concern: self.about.entry.0,
            addressed,
            by: Some(self.about.who.person()),
            until: until.try_into().context("a time before 1970")?,
        };
        care.request_id = request_id(&proto::encode(&care));
        let said = answered(client.status().take_care(care)).await?.into_inner();
        self.about.print("being dealt with", said.entry, said.duplicate)
    }
}

/// Say that you have seen to what no deadline shows
///
/// An urgent concern that was refused and has reached its recipient another way, what a manifest
/// counts wrongly, a review that nobody was asked for. It is raised no longer; the entry names you
/// and says why.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn settle 42 --reason told_by_phone --name \"A. Person\" \
    --post \"on call\" --system x/systems/operator/on-call")]
pub(crate) struct Settle {
    /// The entry of the refusal, of the manifest, or of the concern to be reviewed
    entry: EntryNumber,
    /// Why, as a code such as told_by_phone, sent_again or counted_wrongly
    #[arg(long, value_name = "CODE", value_parser = super::code)]
    reason: String,
    #[command(flatten)]
    speaker: Speaker,
    #[command(flatten)]
    who: Who,
    /// How to print what was said
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Settle {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let (entry, reason) = (self.entry.0, self.reason);
        let by = Some(self.who.person());
        let mut settled = SettleRequest { request_id: Vec::new(), entry, by, reason };
        settled.request_id = request_id(&proto::encode(&settled));
        let said = answered(client.status().settle(settled)).await;
        let said = said.with_context(|| format!("entry {entry}"))?.into_inner();
        let said = Said { what: "seen to", entry: said.entry, before: said.duplicate };
        print_said(entry, &[said], self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_inbox_is_found_and_of_several_one_must_be_named() {
        let to = |inboxes: &[&str]| GetConcernResponse {
            deliveries: inboxes
                .iter()
                .map(|inbox| proto::Delivery { addressed: (*inbox).into(), ..Default::default() })
                .collect(),
            ..Default::default()
        };
        assert_eq!(addressed(&to(&["sw/duty"]), None).unwrap(), "sw/duty");
        let two = to(&["sw/duty", "gp/duty"]);
        assert!(addressed(&two, None).unwrap_err().to_string().contains("--inbox"));
        let gp = "gp/duty".parse().unwrap();
        assert_eq!(addressed(&two, Some(&gp)).unwrap(), "gp/duty");
        let other = "gp/night".parse().unwrap();
        assert!(
            addressed(&two, Some(&other)).unwrap_err().to_string().contains("sw/duty, gp/duty")
        );
    }
}
