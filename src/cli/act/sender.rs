//! `cairn withdraw`: the sender takes a concern back.
//!
//! Knows: wire::client, proto.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::desk::{concern, print_said, submit};
use crate::{
    cli::{Output, print, speaker::Speaker},
    domain::ids::EntryNumber,
    proto::DeliveryState,
    wire::client::outbox::Outbox,
};

/// Take a concern back that this agency sent
///
/// Nothing is deleted. Whoever has not stored it yet will not get it; whoever has is told,
/// and confirms.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cairn withdraw 42 --reason sent_in_error --system systems/school-a"
)]
pub(crate) struct Withdraw {
    /// The concern's entry number
    entry: EntryNumber,
    /// Why, as a code such as sent_in_error: nothing about the child
    #[arg(long, value_name = "CODE", value_parser = super::code)]
    reason: String,
    #[command(flatten)]
    speaker: Speaker,
    /// How to print what was said
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Withdraw {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.ready().await?;
        let entry = self.entry.0;
        let folder = client.folder();
        let id = folder
            .secret
            .request_id(folder.settings.agency.as_str(), &format!("\0withdrawn\0{entry}"));
        let envelope = client.compose(|composer| composer.withdrawal(entry, id, &self.reason));
        let outbox = Outbox::of(folder.path())?;
        let said = submit(&client, &outbox, "withdrawn", envelope)
            .await
            .with_context(|| format!("concern {entry}"))?;
        print_said(entry, &[said], self.output)?;
        let told = concern(&client, entry).await?.deliveries;
        let told = told.iter().filter(|delivery| delivery.state() != DeliveryState::Withdrawn);
        let told: Vec<&str> = told.map(|delivery| delivery.inbox.as_str()).collect();
        if self.output == Output::Text && !told.is_empty() {
            print::line(format_args!("already with {}, told to confirm", told.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
