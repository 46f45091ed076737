//! `cairn urgency`: how urgent a concern is, said anew.
//!
//! Knows: wire::client, domain, proto.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::desk::{Step, concern, ours, print_said, submit};
use crate::{
    domain::vocabulary::Urgency,
    proto::{self, Facts, UrgencyChange, statement::Act},
    wire::client::{compose::About, outbox::Outbox},
};

/// Raise how urgent a concern is, or lower it as its sender
///
/// Raised, it brings deadlines from now on, where they are sooner than those that stand.
/// Lowered, it moves none: what is due stays due. All who have it are told.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn urgency 42 --to immediate --reason new_information \
    --system systems/sw \\\n    --name \"A. Person\" --post \"duty social worker\"")]
pub(crate) struct ChangeUrgency {
    #[command(flatten)]
    step: Step,
    /// immediate, urgent, prompt, routine or information
    #[arg(long, value_parser = urgency)]
    to: Urgency,
    /// Why, as a code such as new_information: nothing about the child
    #[arg(long, value_name = "CODE", value_parser = super::code)]
    reason: String,
}

impl ChangeUrgency {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.step.speaker.ready().await?;
        let entry = self.step.entry.0;
        let found = concern(&client, entry).await?;
        let facts: Facts = proto::decode(&found.facts)?;
        let agency = client.folder().settings.agency.as_str();
        let mut id = [0; 16];
        if let Err(error) = getrandom::fill(&mut id) {
            bail!("no randomness: {error}");
        }
        let act = Act::UrgencyChange(UrgencyChange {
            person: Some(self.step.person()),
            urgency: self.to.as_str().to_owned(),
            reason: self.reason.clone(),
        });
        let envelope = match facts.sender == agency {
            true => client.compose(|composer| composer.of_sender(entry, id, act)),
            false => {
                let (inbox, _) = ours(&found, agency, self.step.inbox(agency)?.as_ref())?;
                let about = About { entry, inbox };
                client.compose(|composer| composer.step(&about, id, act))
            }
        };
        let outbox = Outbox::of(client.folder().path())?;
        let said = submit(&client, &outbox, "changed in urgency", envelope)
            .await
            .with_context(|| format!("concern {entry}"))?;
        print_said(entry, &[said], self.step.output)
    }
}

fn urgency(text: &str) -> Result<Urgency, String> {
    let known = || Urgency::ALL.map(Urgency::as_str).join(", ");
    Urgency::parse(text).ok_or_else(|| format!("must be one of {}", known()))
}
