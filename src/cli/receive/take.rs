//! Takes one statement: opened, kept, handed over, and only then said to be stored.
//!
//! ```text
//! opened and proved ─► kept (sealed, for a redirection) ─► line written, or command run
//!        │                                                            │           │
//!        └ cannot_open: the sender must act              not_taken ◄──┘           ▼
//!                                                        offered again          stored
//! ```
//!
//! Never acknowledges: that is for a person.
//!
//! Holds: I6, I7, I8. Knows: wire::client, domain, proto, store (durable files).

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, task::block_in_place, time::timeout};

use super::shelf::{Key, Shelf};
use crate::{
    cli::{kept, print, speaker::answered},
    crypto::OpenError,
    domain::ids::InboxId,
    proto::{self, CannotOpen, Incoming, NotTaken, Stored, statement::Act},
    wire::client::{
        Client, ClientError,
        compose::About,
        open::{self, Opened, Suspect},
        outbox::Outbox,
    },
};

/// Where statements go.
pub(super) enum To {
    /// Into files.
    Folder(Shelf),
    /// To a command, one statement at a time.
    Command { line: String, time: Duration },
}

/// How a statement fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is ours to keep, and the exchange knows or will know.
    Stored,
    /// It is offered again.
    Left,
    /// It is ours, but the exchange may not know that yet: it is offered again.
    Unanswered,
}

/// The receiving side of one system.
pub(super) struct Taker {
    pub(super) client: Client,
    pub(super) outbox: Outbox,
    pub(super) to: To,
    /// The inboxes that we asked for.
    pub(super) asked: Vec<InboxId>,
    /// What the exchange did not want to hear stored: it went another way meanwhile.
    pub(super) gone_elsewhere: BTreeSet<(u64, String, usize)>,
    /// What could not be taken or opened and was said to be so, to say it once.
    pub(super) complained: BTreeSet<(u64, String, usize, &'static str)>,
}

impl Taker {
    /// Takes a statement, if it can.
    ///
    /// # Errors
    /// Only what makes going on senseless.
    pub(super) async fn take(&mut self, incoming: &Incoming) -> anyhow::Result<Taken> {
        let opened = match self.opened(incoming).await {
            Ok(opened) => opened,
            Err(suspect) => return self.leave(incoming, &suspect).await,
        };
        let inbox: InboxId = incoming.inbox.parse().context("the exchange named no inbox")?;
        if !self.asked.contains(&inbox) {
            eprintln!("cairn: {}: not asked for, and left alone", name(incoming));
            return Ok(Taken::Left);
        }
        if self.gone_elsewhere.contains(&offer(incoming)) {
            return Ok(Taken::Stored);
        }
        let about = About { entry: incoming.entry, inbox };
        let stored = self.statement(incoming, &about, "stored", Act::Stored(Stored {}));
        if let Err(reason) = self.hand_over(incoming, &opened, &about, &stored).await {
            eprintln!("cairn: {}: not taken: {reason}", name(incoming));
            let reason = reason.code();
            let act = Act::NotTaken(NotTaken { reason: reason.to_owned() });
            self.complain(incoming, &about, reason, act).await?;
            return Ok(Taken::Left);
        }
        self.say_stored(incoming, stored, &kind(incoming, &opened)).await
    }

    /// Opened and proved; once more with a newer directory, if its key was not known.
    async fn opened(&self, incoming: &Incoming) -> Result<Opened, Suspect> {
        let open = || open::open(self.client.folder(), &self.client.directory(), incoming);
        match block_in_place(open) {
            Err(Suspect::Key) if answered(self.client.refresh()).await.is_ok() => {
                block_in_place(open)
            }
            answer => answer,
        }
    }

    /// Keeps what a redirection will need, then writes the line or runs the command.
    async fn hand_over(
        &mut self,
        incoming: &Incoming,
        opened: &Opened,
        about: &About,
        stored: &[u8],
    ) -> Result<(), NotTakenBecause> {
        if is_concern(incoming) && opened.key.is_some() {
            let folder = self.client.folder().path();
            block_in_place(|| kept::keep(folder, incoming))?;
        }
        let redirected_by = kept::redirected_by(incoming);
        let mut line = open::written(incoming, opened);
        if let Some(redirection) = redirected_by {
            line["redirected_by"] = redirection.into();
        }
        let text = serde_json::to_vec(&line).map_err(io::Error::other)?;
        match &mut self.to {
            To::Folder(shelf) => {
                let key: Key = (incoming.entry, redirected_by);
                block_in_place(|| shelf.put(about.inbox.role(), key, &text))?;
                Ok(())
            }
            // What the outbox holds was taken before and only not answered.
            To::Command { .. } if self.outbox.holds(stored) => Ok(()),
            To::Command { line: command, time } => run(command, *time, &line, &text).await,
        }
    }

    async fn say_stored(
        &mut self,
        incoming: &Incoming,
        stored: Vec<u8>,
        kind: &str,
    ) -> anyhow::Result<Taken> {
        let name = name(incoming);
        let (id, envelope) = match block_in_place(|| self.outbox.put(stored)) {
            Ok(put) => put,
            Err(error) => {
                // The line is there; it is offered again and then said to be.
                eprintln!("cairn: {name}: the outbox cannot keep `stored`: {error}");
                return Ok(Taken::Left);
            }
        };
        match answered(self.client.submit(&envelope)).await {
            Ok(response) => {
                let receipt = response.receipt.unwrap_or_default();
                block_in_place(|| self.outbox.accepted(&id, &envelope, &receipt))?;
                print::line(format_args!("{name}: {kind}, stored"))?;
                Ok(Taken::Stored)
            }
            Err(ClientError::Again(reason)) => {
                eprintln!("cairn: {name}: taken, but `stored` is not answered yet: {reason}");
                Ok(Taken::Unanswered)
            }
            // It went another way meanwhile: nothing more is asked of us.
            Err(ClientError::Refused { code, message })
                if ["out_of_turn", "not_a_recipient", "unknown_statement"]
                    .contains(&code.as_str()) =>
            {
                block_in_place(|| self.outbox.forget(&id))?;
                eprintln!("cairn: {name}: taken, but no longer asked for: {message}");
                self.gone_elsewhere.insert(offer(incoming));
                Ok(Taken::Stored)
            }
            Err(error) => Err(error).with_context(|| format!("{name}: `stored`")),
        }
    }

    /// Says why it cannot be opened or trusted. The sender must act on the first, the
    /// operators on the second; it is offered again in either case.
    async fn leave(&mut self, incoming: &Incoming, suspect: &Suspect) -> anyhow::Result<Taken> {
        eprintln!("cairn: {}: {suspect}", name(incoming));
        let Ok(inbox) = incoming.inbox.parse() else { return Ok(Taken::Left) };
        let about = About { entry: incoming.entry, inbox };
        let (reason, act) = match suspect {
            Suspect::Key => not_taken("unknown_key"),
            Suspect::Signature => not_taken("forged_signature"),
            Suspect::Proof(_) => not_taken("not_proved"),
            Suspect::Statement(_) => not_taken("unreadable"),
            Suspect::NoWrap | Suspect::Body(OpenError::OtherKey) => cannot_open("key_lost"),
            Suspect::Body(OpenError::WrapAltered | OpenError::CommitmentMismatch) => {
                cannot_open("wrap_failed")
            }
            Suspect::Body(OpenError::BodyAltered | OpenError::Malformed | OpenError::Padding) => {
                cannot_open("body_damaged")
            }
        };
        self.complain(incoming, &about, reason, act).await?;
        Ok(Taken::Left)
    }

    /// Says that it could not be taken or opened; once for the same reason.
    async fn complain(
        &mut self,
        incoming: &Incoming,
        about: &About,
        reason: &'static str,
        act: Act,
    ) -> anyhow::Result<()> {
        let said = (incoming.entry, incoming.inbox.clone(), incoming.rewraps.len(), reason);
        if !is_concern(incoming) || self.complained.contains(&said) {
            return Ok(());
        }
        let envelope = self.statement(incoming, about, reason, act);
        match answered(self.client.submit(&envelope)).await {
            Ok(_) => drop(self.complained.insert(said)),
            Err(ClientError::Again(reason)) => {
                eprintln!("cairn: {}: the exchange does not know yet: {reason}", name(incoming));
            }
            Err(ClientError::Refused { message, .. }) => {
                eprintln!("cairn: {}: {message}", name(incoming));
                self.complained.insert(said);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A statement about this offer: said again it is the same, and counts once.
    fn statement(&self, incoming: &Incoming, about: &About, step: &str, act: Act) -> Vec<u8> {
        let folder = self.client.folder();
        let reference =
            format!("\0{step}\0{}\0{}\0{}", about.entry, about.inbox, incoming.rewraps.len());
        let id = folder.secret.request_id(folder.settings.agency.as_str(), &reference);
        self.client.compose(|composer| composer.step(about, id, act))
    }
}

/// Why a statement was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTakenBecause {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("the command could not be started: {0}")]
    NoCommand(io::Error),
    #[error("the command ended with {0}")]
    CommandFailed(std::process::ExitStatus),
    #[error("the command took too long and was ended")]
    CommandTooLong,
}

impl NotTakenBecause {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) if error.kind() == ErrorKind::StorageFull => "disk_full",
            Self::Disk(_) => "disk_error",
            Self::NoCommand(_) => "command_not_started",
            Self::CommandFailed(_) => "command_failed",
            Self::CommandTooLong => "command_timed_out",
        }
    }
}

/// Runs the command with the statement on its standard input; 0 means that it has it.
async fn run(
    command: &str,
    time: Duration,
    line: &Value,
    text: &[u8],
) -> Result<(), NotTakenBecause> {
    let said = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .env("CAIRN_ENTRY", line["entry"].to_string())
        .env("CAIRN_INBOX", said("inbox"))
        .env("CAIRN_TYPE", said("type"))
        .stdin(Stdio::piped())
        // Ctrl-C is for us: what has begun may end.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(NotTakenBecause::NoCommand)?;
    let (group, input) = (child.id(), child.stdin.take());
    let ended = async {
        if let Some(mut input) = input {
            // A command that does not read it all may have its reasons; its exit counts.
            drop(input.write_all(text).await);
            drop(input.write_all(b"\n").await);
        }
        child.wait().await
    };
    match timeout(time, ended).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(NotTakenBecause::CommandFailed(status)),
        Ok(Err(error)) => Err(NotTakenBecause::NoCommand(error)),
        Err(_) => {
            end_group(group).await;
            Err(NotTakenBecause::CommandTooLong)
        }
    }
}

/// Ends a command that took too long, and what it started: none of it may go on and take
/// the statement after all.
async fn end_group(group: Option<u32>) {
    if let Some(group) = group {
        let ended = Command::new("/bin/sh").arg("-c").arg(format!("kill -KILL -{group}")).status();
        if let Err(error) = ended.await {
            eprintln!("cairn: the command could not be ended: {error}");
        }
    }
}

fn not_taken(reason: &'static str) -> (&'static str, Act) {
    (reason, Act::NotTaken(NotTaken { reason: reason.to_owned() }))
}

fn cannot_open(reason: &'static str) -> (&'static str, Act) {
    (reason, Act::CannotOpen(CannotOpen { reason: reason.to_owned() }))
}

/// Only of a concern can be said that it is not taken or cannot be opened.
fn is_concern(incoming: &Incoming) -> bool {
    let facts: proto::Facts = proto::decode(&incoming.facts).unwrap_or_default();
    facts.r#type() == proto::EntryType::Concern
}

/// What came and from whom, in words that name nobody.
fn kind(incoming: &Incoming, opened: &Opened) -> String {
    let facts: proto::Facts = proto::decode(&incoming.facts).unwrap_or_default();
    let kind = match &opened.statement.act {
        Some(Act::Concern(_)) => "concern",
        Some(Act::Feedback(_)) => "feedback",
        Some(Act::Withdrawal(_)) => "withdrawal",
        Some(Act::UrgencyChange(_)) => "change of urgency",
        Some(Act::Extension(_)) => "more time",
        Some(Act::Manifest(_)) => {
            return format!("notice: {} of {} did not come", facts.missing.len(), facts.count);
        }
        Some(Act::Resealed(_)) => "new wraps",
        _ if facts.r#type() == proto::EntryType::Escalation => {
            let proto::Facts { inbox, subject, code, .. } = &facts;
            return format!("notice: {inbox} did not {subject} in time, {code} told");
        }
        _ if facts.r#type() == proto::EntryType::ToldByPhone => {
            return format!("notice: {} was told by telephone", facts.inbox);
        }
        _ if facts.r#type() == proto::EntryType::Refusal => {
            return format!("notice: refused, and {}: {}", facts.urgency, facts.code);
        }
        _ if facts.r#type() == proto::EntryType::ReviewAsked => {
            let about = facts.answers.unwrap_or_default();
            return format!("notice: look at concern {about}, which no agreement covers");
        }
        _ => "statement",
    };
    format!("{kind} from {}", facts.sender)
}

/// Which offer of which statement: another one once it was passed on or sealed anew.
fn offer(incoming: &Incoming) -> (u64, String, usize) {
    (incoming.entry, incoming.inbox.clone(), incoming.rewraps.len())
}

/// Which statement, in words that name nobody.
fn name(incoming: &Incoming) -> String {
    format!("entry {} for {}", incoming.entry, incoming.inbox)
}
