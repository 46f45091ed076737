//! `cairn extend`: more time for a decision or for feedback, agreed by somebody senior.
//!
//! Knows: wire::client, domain, proto.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::desk::{Desk, Step};
use crate::{
    domain::deadline::Duty,
    proto::{self, Person, statement::Act},
};

/// Give a decision or the feedback more time, agreed by a senior manager
///
/// A statement of its own: the deadline before stands in the ledger, and the sender is told. The
/// ladder is climbed anew on the new one. An acknowledgement is never given more time.
///
/// Name the approver as you name yourself, both by name or both by staff number, so that anybody
/// can see that you are two.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn extend 42 --to decide --until 2026-11-12T17:00:00Z \
    --reason awaiting_medical \\\n    --approved-by \"B. Manager\" --approver-post \"service manager\" \
    --system systems/sw \\\n    --name \"A. Person\" --post \"duty social worker\"\n  \
    cairn extend 42 --to feedback --until 2026-11-12T17:00:00Z --reason awaiting_medical \\\n    \
    --approver-staff-id 1018 --approver-post \"service manager\" --system systems/sw \\\n    \
    --staff-id 2044 --post \"duty social worker\"")]
pub(crate) struct Extend {
    #[command(flatten)]
    step: Step,
    /// What needs more time
    #[arg(long, value_enum)]
    to: What,
    /// Until when, such as 2026-11-12T17:00:00Z: at most 28 days from now
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
    /// Why, as a code such as awaiting_medical: nothing about the child
    #[arg(long, value_name = "CODE", value_parser = super::code)]
    reason: String,
    #[command(flatten)]
    approver: Approver,
    /// The approver's post
    #[arg(long, value_name = "POST")]
    approver_post: String,
}

/// Who agreed
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Approver {
    /// Who agreed: an accountable senior manager, and somebody else
    #[arg(long, value_name = "NAME")]
    approved_by: Option<String>,
    /// The approver's staff number
    #[arg(long, value_name = "NUMBER")]
    approver_staff_id: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Decide what to do
    Decide,
    /// Tell the sender
    Feedback,
}

impl Extend {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let person = self.step.person();
        let approver = Person {
            name: self.approver.approved_by.clone().unwrap_or_default(),
            staff_id: self.approver.approver_staff_id.clone().unwrap_or_default(),
            post: self.approver_post.clone(),
            simulated: person.simulated,
        };
        let duty = match self.to {
            What::Decide => Duty::Decide,
            What::Feedback => Duty::Feedback,
        };
        let act = Act::Extension(proto::Extension {
            person: Some(person),
            approver: Some(approver),
            duty: duty.as_str().to_owned(),
            until: self.until.as_second().try_into().unwrap_or_default(),
            reason: self.reason.clone(),
        });
        let said = desk.say("given more time", act).await?;
        self.step.print(&[said])
    }
}
