//! What a person does about a concern: `cairn opened`, `ack`, `decide`, `feedback`,
//! `redirect`, `extend`, `urgency`, `review`, `confirm-call`, `confirm-withdrawal`; the sender's `withdraw`; and what
//! on-call staff do, `called`, `dealing` and `settle`.
//!
//! Each but the last three is a statement of the system that names the person. It goes through the
//! outbox, so that one that was not answered is not lost, and saying the same again counts once.
//!
//! Holds: I6, I8, I12. Knows: wire::client, domain, proto.

mod desk;
mod extend;
mod on_call;
mod review;
mod sender;
mod urgency;

pub(crate) use extend::Extend;
pub(crate) use on_call::{Called, Dealing, Settle};
pub(crate) use review::Review;
pub(crate) use sender::Withdraw;
pub(crate) use urgency::ChangeUrgency;

use std::process::ExitCode;

use clap::Args;

use self::desk::{Desk, Said, Step};
use super::kept;
use crate::{
    domain::{
        ids::InboxId,
        vocabulary::{CodeList, NO_FURTHER_ACTION_REASONS, OUTCOMES},
    },
    proto::{self, DeliveryState, statement::Act},
};

/// Say that a person has read a concern
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn opened 42 --system systems/sw --name \"A. Person\" \
    --post \"duty social worker\"")]
pub(crate) struct Opened {
    #[command(flatten)]
    step: Step,
}

impl Opened {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let act = Act::Opened(proto::Opened { person: Some(self.step.person()) });
        let said = desk.say("opened", act).await?;
        self.step.print(&[said])
    }
}

/// Take ownership of a concern, as a named person in a duty role
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn ack 42 --system systems/sw --inbox duty \
    --name \"A. Person\" --post \"duty social worker\"")]
pub(crate) struct Ack {
    #[command(flatten)]
    step: Step,
}

impl Ack {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let person = Some(self.step.person());
        let act = Act::Acknowledgement(proto::Acknowledgement { person });
        let said = desk.say("acknowledged", act).await?;
        self.step.print(&[said])
    }
}

/// Say what was decided, and with --feedback tell the sender
///
/// Said again after a failure it goes on where it stopped: what was decided is not decided
/// twice. A decision that changes the outcome makes new feedback due.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn decide 42 --outcome assessment \
    --feedback \"We visited today and will assess.\" \\\n    --system systems/sw \
    --name \"A. Person\" --post \"duty social worker\"\n  \
    cairn decide 42 --outcome no_further_action --reason threshold_not_met --system systems/sw \\\n    \
    --staff-id 1234 --post \"team leader\"")]
pub(crate) struct Decide {
    #[command(flatten)]
    step: Step,
    /// A code of the vocabulary, such as assessment
    #[arg(long, value_parser = outcome)]
    outcome: String,
    /// Why, with no_further_action
    #[arg(long, value_parser = reason, required_if_eq("outcome", "no_further_action"))]
    reason: Option<String>,
    /// What the sender is told; sealed to the inbox where it wants to hear of it
    #[arg(long, value_name = "TEXT")]
    feedback: Option<String>,
}

impl Decide {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut desk = Desk::at(&self.step).await?;
        let mut said = vec![self.decide(&desk).await?];
        if let Some(text) = &self.feedback {
            desk.look_again().await?;
            said.push(feedback(&desk, &self.step, text).await?);
        }
        let told = self.feedback.is_some();
        self.step.print(&said)?;
        if !told {
            eprintln!("The sender has not been told: cairn feedback {} …", self.step.entry);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn decide(&self, desk: &Desk) -> anyhow::Result<Said> {
        let delivery = &desk.delivery;
        if let (true, Some(entry)) = (delivery.outcome == self.outcome, delivery.decision) {
            return Ok(Said { what: "decided", entry, before: true });
        }
        let act = Act::Decision(proto::Decision {
            person: Some(self.step.person()),
            outcome: self.outcome.clone(),
            reason: self.reason.clone().unwrap_or_default(),
        });
        desk.say("decided", act).await
    }
}

/// Tell the sender what was decided
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cairn feedback 42 --text \"We visited today and will assess.\" \
    --system systems/sw \\\n    --name \"A. Person\" --post \"duty social worker\""
)]
pub(crate) struct Feedback {
    #[command(flatten)]
    step: Step,
    /// What the sender is told; sealed to the inbox where it wants to hear of it
    #[arg(long)]
    text: String,
}

impl Feedback {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let said = feedback(&desk, &self.step, &self.text).await?;
        self.step.print(&[said])
    }
}

async fn feedback(desk: &Desk, step: &Step, text: &str) -> anyhow::Result<Said> {
    let delivery = &desk.delivery;
    let told = matches!(delivery.state(), DeliveryState::FeedbackSent | DeliveryState::Closed);
    if let (true, Some(entry)) = (told, delivery.feedback) {
        return Ok(Said { what: "answered with feedback", entry, before: true });
    }
    let act = Act::Feedback(proto::Feedback { person: Some(step.person()) });
    let body = serde_json::json!({ "outcome": delivery.outcome, "text": text });
    desk.say_with_body("answered with feedback", act, &body).await
}

/// Pass a concern on to its next owner
///
/// Opens what this system has kept of it and seals the key anew for the next owner. The
/// clocks run on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn redirect 42 --to sw-brackendale/duty --misdirected \
    --system systems/sw \\\n    --name \"A. Person\" --post \"duty social worker\"")]
pub(crate) struct Redirect {
    #[command(flatten)]
    step: Step,
    /// The next owner
    #[arg(long, value_name = "AGENCY/ROLE")]
    to: InboxId,
    /// It should never have come here
    #[arg(long)]
    misdirected: bool,
}

impl Redirect {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let entry = self.step.entry.0;
        let (key, digest) = kept::content_key(&desk.client, entry, &desk.inbox)?;
        let act = Act::Redirection(proto::Redirection {
            person: Some(self.step.person()),
            next: self.to.to_string(),
            misdirected: self.misdirected,
        });
        let said = desk.say_with_wraps("redirected", act, &self.to, (&key, &digest)).await?;
        self.step.print(&[said])
    }
}

/// Confirm that a concern was taken back by its sender
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn confirm-withdrawal 42 --system systems/sw \
    --name \"A. Person\" --post \"duty social worker\"")]
pub(crate) struct ConfirmWithdrawal {
    #[command(flatten)]
    step: Step,
}

impl ConfirmWithdrawal {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let person = Some(self.step.person());
        let act = Act::WithdrawalConfirmed(proto::WithdrawalConfirmed { person });
        let said = desk.say("confirmed as withdrawn", act).await?;
        self.step.print(&[said])
    }
}

/// Confirm what was said by telephone, and own it
///
/// On-call staff recorded that they rang. Whoever took the call says so: that counts as
/// ownership, and the acknowledgement can follow when the system has the concern.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn confirm-call 42 --system systems/sw \
    --name \"A. Person\" --post \"duty social worker\"")]
pub(crate) struct ConfirmCall {
    #[command(flatten)]
    step: Step,
}

impl ConfirmCall {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let desk = Desk::at(&self.step).await?;
        let person = Some(self.step.person());
        let act = Act::PhoneConfirmed(proto::PhoneConfirmed { person });
        let said = desk.say("confirmed as told by telephone", act).await?;
        self.step.print(&[said])
    }
}

/// A reason that says nothing about anybody.
fn code(text: &str) -> Result<String, String> {
    match crate::domain::ids::is_code_shaped(text, crate::limits::CODE_BYTES_MAX) {
        true => Ok(text.to_owned()),
        false => Err("must be a code of 1 to 64 letters, digits, . _ : / -".to_owned()),
    }
}

fn outcome(text: &str) -> Result<String, String> {
    of_list(&OUTCOMES, text)
}

fn reason(text: &str) -> Result<String, String> {
    of_list(&NO_FURTHER_ACTION_REASONS, text)
}

fn of_list(list: &CodeList, text: &str) -> Result<String, String> {
    if list.contains(text) {
        return Ok(text.to_owned());
    }
    let row =
        |code: &crate::domain::vocabulary::Code| format!("\n  {:<46}{}", code.code, code.display);
    Err(format!("must be one of{}", list.codes.iter().map(row).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_the_vocabulary_lacks_is_answered_with_those_it_has() {
        assert_eq!(outcome("assessment").unwrap(), "assessment");
        let error = outcome("assessed").unwrap_err();
        assert!(error.contains("no_further_action") && error.contains("Noted for information"));
        assert!(reason("threshold_not_met").is_ok() && reason("").is_err());
    }
}
