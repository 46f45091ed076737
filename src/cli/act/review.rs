//! `cairn review`: somebody has looked at what was sent outside any agreement.
//!
//! Knows: wire::client, domain, proto.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use sha2::{Digest, Sha256};

use super::desk::{Step, print_said, submit};
use crate::{
    domain::{ids::InboxId, vocabulary::AGREEMENT_REVIEWS},
    proto::{AgreementReview, statement::Act},
    wire::client::{Client, compose::About, outbox::Outbox},
};

/// Say what came of looking at a concern that was sent outside any agreement
///
/// An immediate or urgent concern goes through without an agreement. The reviewer of its sender's
/// area has one working day to look at that, and says the outcome here.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn review 42 --outcome agreement_to_be_made \
    --system systems/sw \\\n    --name \"A. Person\" --post \"information governance officer\"")]
pub(crate) struct Review {
    #[command(flatten)]
    step: Step,
    /// A code of the vocabulary, such as sharing_was_right
    #[arg(long, value_parser = outcome)]
    outcome: String,
}

impl Review {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.step.speaker.ready().await?;
        let agency = client.folder().settings.agency.as_str().to_owned();
        let inbox = match self.step.inbox(&agency)? {
            Some(inbox) => inbox,
            None => reviewer(&client, &agency)?,
        };
        let entry = self.step.entry.0;
        let person = Some(self.step.person());
        let review = AgreementReview { person, outcome: self.outcome.clone() };
        let said = Sha256::digest(crate::proto::encode(&review));
        let reference = format!("\0reviewed\0{entry}\0{inbox}\0{said:02x?}");
        let id = client.folder().secret.request_id(&agency, &reference);
        let about = About { entry, inbox };
        let act = Act::AgreementReview(review);
        let envelope = client.compose(|composer| composer.step(&about, id, act));
        let outbox = Outbox::of(client.folder().path())?;
        let said = submit(&client, &outbox, "reviewed", envelope)
            .await
            .with_context(|| format!("concern {entry}"))?;
        print_said(entry, &[said], self.step.output)
    }
}

/// The inbox of ours that an area has as its reviewer.
fn reviewer(client: &Client, agency: &str) -> anyhow::Result<InboxId> {
    let directory = client.directory();
    let named = directory.areas().filter_map(|area| directory.reviewer_of(area));
    let mut ours: Vec<InboxId> = named.filter(|inbox| inbox.agency() == agency).collect();
    ours.dedup();
    match ours.len() {
        1 => Ok(ours.swap_remove(0)),
        0 => bail!("no area has an inbox of {agency} as its reviewer"),
        _ => bail!("{agency} reviews for several areas: say as which inbox with --inbox"),
    }
}

fn outcome(text: &str) -> Result<String, String> {
    super::of_list(&AGREEMENT_REVIEWS, text)
}
