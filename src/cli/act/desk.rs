//! A person's desk: one concern, one inbox that has it, and how a step about it is said.
//!
//! Knows: wire::client, domain, proto.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    cli::{
        Output, print,
        speaker::{Speaker, answered},
    },
    crypto::ContentKey,
    domain::ids::{EntryNumber, InboxId, RoleName},
    proto::{
        self, Delivery, DeliveryState, Facts, GetConcernRequest, GetConcernResponse, Person,
        get_concern_request::By, statement::Act,
    },
    wire::client::{Client, ClientError, compose::About, outbox::Outbox},
};

/// What every step of a person says: about which concern, for which inbox, who
#[derive(Debug, Args)]
pub(crate) struct Step {
    /// The concern's entry number
    pub(super) entry: EntryNumber,
    #[command(flatten)]
    pub(super) speaker: Speaker,
    /// The role whose inbox has it [default: the one that has]
    #[arg(long, value_name = "ROLE")]
    inbox: Option<RoleName>,
    #[command(flatten)]
    who: Who,
    /// How to print what was said
    #[arg(short, long, value_enum, default_value = "text")]
    pub(super) output: Output,
}

/// The person; an identity, a post
#[derive(Debug, Args)]
pub(crate) struct Who {
    #[command(flatten)]
    identity: Identity,
    /// The post, such as "duty social worker"
    #[arg(long)]
    post: String,
    /// A rehearsal: no real person stands behind it
    #[arg(long)]
    simulated: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Identity {
    /// The person's name
    #[arg(long)]
    name: Option<String>,
    /// The person's staff number
    #[arg(long, value_name = "NUMBER")]
    staff_id: Option<String>,
}

impl Who {
    /// The member of staff, acting in post.
    pub(super) fn person(&self) -> Person {
        let Self { identity, post, simulated } = self;
        Person {
            staff_id: identity.staff_id.clone().unwrap_or_default(),
            name: identity.name.clone().unwrap_or_default(),
            post: post.clone(),
            simulated: *simulated,
        }
    }
}

impl Step {
    /// The member of staff, acting in post.
    pub(super) fn person(&self) -> Person {
        self.who.person()
    }

    /// The inbox of ours that was asked for.
    pub(super) fn inbox(&self, agency: &str) -> anyhow::Result<Option<InboxId>> {
        let agency = agency.parse()?;
        Ok(self.inbox.as_ref().map(|role| InboxId::new(&agency, role)))
    }

    /// Says what was said.
    pub(super) fn print(&self, said: &[Said]) -> anyhow::Result<ExitCode> {
        print_said(self.entry.0, said, self.output)
    }
}

/// One step that is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) what: &'static str,
    pub(super) entry: u64,
    /// It had been said before.
    pub(super) before: bool,
}

pub(super) fn print_said(concern: u64, said: &[Said], output: Output) -> anyhow::Result<ExitCode> {
    if output == Output::Json {
        let rows: Vec<Value> = said
            .iter()
            .map(|said| json!({"said": said.what, "entry": said.entry, "before": said.before}))
            .collect();
        print::json(&json!({"concern": concern, "statements": rows}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for Said { what, entry, before } in said {
        let before = if *before { ", as it was before" } else { "" };
        print::line(format_args!("concern {concern}: {what}, entry {entry}{before}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A concern as one inbox has it.
pub(super) struct Desk {
    pub(super) client: Client,
    outbox: Outbox,
    pub(super) inbox: InboxId,
    pub(super) delivery: Delivery,
    facts: Facts,
}

impl Desk {
    /// Reads where the concern stands, and finds the inbox of ours that has it.
    pub(super) async fn at(step: &Step) -> anyhow::Result<Self> {
        let client = step.speaker.ready().await?;
        let found = concern(&client, step.entry.0).await?;
        let agency = &client.folder().settings.agency;
        let asked = step.inbox.as_ref().map(|role| InboxId::new(agency, role));
        let (inbox, delivery) = ours(&found, agency.as_str(), asked.as_ref())?;
        let facts = proto::decode(&found.facts)?;
        let outbox = Outbox::of(client.folder().path())?;
        Ok(Self { client, outbox, inbox, delivery, facts })
    }

    /// Reads again where it stands.
    pub(super) async fn look_again(&mut self) -> anyhow::Result<()> {
        let found = concern(&self.client, self.delivery.concern).await?;
        let agency = self.inbox.agency();
        self.delivery = ours(&found, agency, Some(&self.inbox))?.1;
        Ok(())
    }

    /// Says a step without a body.
    pub(super) async fn say(&self, what: &'static str, act: Act) -> anyhow::Result<Said> {
        let id = self.request_id(what, &proto::encode(&self.act_of(&act)), &Value::Null);
        let envelope = self.client.compose(|composer| composer.step(&self.about(), id, act));
        self.submit(what, envelope).await
    }

    /// Says a step with a body for the inbox where the sender wants to hear of it.
    pub(super) async fn say_with_body(
        &self,
        what: &'static str,
        act: Act,
        body: &Value,
    ) -> anyhow::Result<Said> {
        let id = self.request_id(what, &proto::encode(&self.act_of(&act)), body);
        let to: Vec<InboxId> = self.facts.reply_to.parse().into_iter().collect();
        let envelope = self
            .client
            .compose(|composer| composer.step_with_body(&self.about(), id, &to, act, body))?;
        self.submit(what, envelope).await
    }

    /// Says a step that wraps the content key for the next owner.
    pub(super) async fn say_with_wraps(
        &self,
        what: &'static str,
        act: Act,
        next: &InboxId,
        (key, digest): (&ContentKey, &[u8]),
    ) -> anyhow::Result<Said> {
        let id = self.request_id(what, &proto::encode(&self.act_of(&act)), &Value::Null);
        let envelope = self.client.compose(|composer| {
            composer.step_with_wraps(&self.about(), id, next, (key, digest), act)
        });
        self.submit(what, envelope).await
    }

    fn about(&self) -> About {
        About { entry: self.delivery.concern, inbox: self.inbox.clone() }
    }

    fn act_of(&self, act: &Act) -> proto::Statement {
        proto::Statement { act: Some(act.clone()), ..proto::Statement::default() }
    }

    /// The same words about the same standing have the same id, so that saying them twice
    /// counts once; after another decision or redirection they are said anew.
    fn request_id(&self, what: &str, act: &[u8], body: &Value) -> [u8; 16] {
        let Delivery { concern, decision, rewraps, .. } = &self.delivery;
        let said = Sha256::digest(act).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let reference = format!(
            "\0{what}\0{concern}\0{}\0{}\0{}\0{said}\0{body}",
            self.inbox,
            rewraps.len(),
            decision.unwrap_or(0)
        );
        let folder = self.client.folder();
        folder.secret.request_id(folder.settings.agency.as_str(), &reference)
    }

    async fn submit(&self, what: &'static str, envelope: Vec<u8>) -> anyhow::Result<Said> {
        let (entry, inbox) = (self.delivery.concern, &self.inbox);
        let said = submit(&self.client, &self.outbox, what, envelope).await;
        said.map_err(|error| match error.downcast::<ClientError>() {
            Ok(ClientError::Refused { code, message }) => {
                let context = format!("concern {entry} for {inbox} is not {what} ({code})");
                let next = if code == "out_of_turn" { advice(&self.delivery) } else { "".into() };
                let message = message + &next;
                anyhow::Error::from(ClientError::Refused { code, message }).context(context)
            }
            Ok(error) => anyhow::Error::from(error)
                .context(format!("concern {entry}: `{what}` is kept, and sent with `cairn send`")),
            Err(error) => error,
        })
    }
}

/// Submits a person's statement. Refused, it is not kept: the person is told at once.
pub(super) async fn submit(
    client: &Client,
    outbox: &Outbox,
    what: &'static str,
    envelope: Vec<u8>,
) -> anyhow::Result<Said> {
    let (id, envelope) =
        outbox.put(envelope).context("the outbox cannot keep it, so it was not said")?;
    match answered(client.submit(&envelope)).await {
        Ok(response) => {
            let receipt = response.receipt.unwrap_or_default();
            outbox
                .accepted(&id, &envelope, &receipt)
                .context("it is said, its receipt not kept")?;
            Ok(Said { what, entry: receipt.entry, before: response.duplicate })
        }
        Err(ClientError::Refused { code, message }) => {
            outbox.forget(&id)?;
            Err(ClientError::Refused { code, message }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A concern that we sent or have.
pub(super) async fn concern(client: &Client, entry: u64) -> anyhow::Result<GetConcernResponse> {
    let request = GetConcernRequest { by: Some(By::Entry(entry)) };
    let found = answered(client.exchange().get_concern(request)).await;
    Ok(found.with_context(|| format!("concern {entry}"))?.into_inner())
}

/// The delivery that an inbox of ours has, or else stands in for, and which inbox that is.
pub(super) fn ours(
    found: &GetConcernResponse,
    agency: &str,
    asked: Option<&InboxId>,
) -> anyhow::Result<(InboxId, Delivery)> {
    let is_ours = |inbox: &String| {
        let inbox = inbox.parse::<InboxId>().ok()?;
        let it_is = asked.map_or(inbox.agency() == agency, |asked| inbox == *asked);
        it_is.then_some(inbox)
    };
    let has = |delivery: &Delivery| Some((is_ours(&delivery.inbox)?, delivery.clone()));
    let stands_in = |delivery: &Delivery| {
        Some((delivery.stand_ins.iter().find_map(is_ours)?, delivery.clone()))
    };
    let mut deliveries: Vec<_> = found.deliveries.iter().filter_map(has).collect();
    if deliveries.is_empty() {
        deliveries.extend(found.deliveries.iter().filter_map(stands_in));
    }
    let holders = || {
        let inboxes: Vec<&str> = found.deliveries.iter().map(|d| d.inbox.as_str()).collect();
        inboxes.join(", ")
    };
    match deliveries.len() {
        1 => Ok(deliveries.swap_remove(0)),
        0 => bail!(
            "concern {}: {} does not have it; {} has",
            found.entry,
            asked.map_or_else(|| agency.to_owned(), ToString::to_string),
            holders()
        ),
        _ => bail!("concern {}: {} have it; say for which with --inbox", found.entry, holders()),
    }
}

/// What comes next from where a delivery stands.
fn advice(delivery: &Delivery) -> String {
    let entry = delivery.concern;
    match delivery.state() {
        DeliveryState::Queued => " It waits to be received: let `cairn receive` take it.".into(),
        DeliveryState::Stored => format!(" Nobody owns it yet: `cairn ack {entry} …` is next."),
        DeliveryState::Acknowledged => format!(" It is owned: `cairn decide {entry} …` is next."),
        DeliveryState::Decided => format!(" It is decided: `cairn feedback {entry} …` is next."),
        DeliveryState::FeedbackSent => " The sender's system must store the feedback.".into(),
        DeliveryState::Closed => " Nothing more is owed.".into(),
        DeliveryState::Withdrawn => " Its sender took it back.".into(),
        DeliveryState::Unspecified => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(inboxes: &[&str]) -> GetConcernResponse {
        let delivery =
            |inbox: &&str| Delivery { inbox: (*inbox).to_owned(), ..Delivery::default() };
        let deliveries = inboxes.iter().map(delivery).collect();
        GetConcernResponse { entry: 7, deliveries, ..GetConcernResponse::default() }
    }

    #[test]
    fn the_inbox_that_has_it_is_found_and_two_must_be_told_apart() {
        let one = found(&["sw/duty", "gp/duty"]);
        assert_eq!(ours(&one, "sw", None).unwrap().0.to_string(), "sw/duty");
        let two = found(&["sw/duty", "sw/night"]);
        let error = ours(&two, "sw", None).unwrap_err().to_string();
        assert!(error.contains("--inbox"), "{error}");
        let night = "sw/night".parse().unwrap();
        assert_eq!(ours(&two, "sw", Some(&night)).unwrap().0, night);
        let error = ours(&one, "school", None).unwrap_err().to_string();
        assert!(error.contains("sw/duty, gp/duty"), "{error}");
        let mut offered = one;
        offered.deliveries[1].stand_ins = vec!["school/duty".into(), "sw/duty".into()];
        assert_eq!(ours(&offered, "school", None).unwrap().1.inbox, "gp/duty", "it stands in");
        assert_eq!(ours(&offered, "sw", None).unwrap().1.inbox, "sw/duty", "it has one itself");
    }

    #[test]
    fn every_state_says_what_comes_next() {
        for state in 1..=7 {
            let delivery = Delivery { state, concern: 42, ..Delivery::default() };
            assert!(advice(&delivery).len() > 10, "{state}");
        }
    }
}
