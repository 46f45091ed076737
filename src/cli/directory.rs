//! `cairn directory`: who is who, read and changed.
//!
//! ```text
//! records      areas, agencies, systems, inboxes, the end of a key
//! agreements   agreements, and the signatures of their parties
//! signed       a change with its signatures, as a file that travels between agencies
//! enrol        a system's folder and its registration, for development
//! rotate       a system's next signing key
//! known · show the directory as this client has judged it
//! ```
//!
//! Knows: wire::client, directory, domain, proto.

mod agreements;
mod enrol;
mod known;
mod records;
mod rotate;
mod show;
mod signed;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{
    print,
    speaker::{Speaker, answered},
};
use crate::{
    directory,
    proto::{self, DirectoryChange, SignedChange, directory_change::Change},
    wire::client::{Client, ClientError, enrol as registration},
};

/// See and change who is who
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cairn directory agency school-a --kind school --name \"School A\" --system x/systems/operator/admin\n  \
    cairn directory show --system systems/school-a")]
pub(crate) struct Directory {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Area(records::Area),
    Agency(records::Agency),
    System(records::System),
    Inbox(records::Inbox),
    Agreement(agreements::Agree),
    Revoke(records::Revoke),
    Enrol(enrol::Enrol),
    Show(show::Show),
    Sign(agreements::Sign),
    Apply(agreements::Apply),
    RotateKey(rotate::RotateKey),
}

impl Directory {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Area(area) => area.run().await,
            What::Agency(agency) => agency.run().await,
            What::System(system) => system.run().await,
            What::Inbox(inbox) => inbox.run().await,
            What::Agreement(agreement) => agreement.run().await,
            What::Revoke(revoke) => revoke.run().await,
            What::Enrol(enrol) => enrol.run().await,
            What::Show(show) => show.run().await,
            What::Sign(sign) => sign.run().await,
            What::Apply(apply) => apply.run().await,
            What::RotateKey(rotate) => rotate.run().await,
        }
    }
}

/// Applies a change that needs no signature, unless it says what is known already.
async fn put(client: &Client, change: Change, known: Option<Change>) -> anyhow::Result<ExitCode> {
    if known.as_ref() == Some(&change) {
        let change = DirectoryChange { change: Some(change), ..DirectoryChange::default() };
        print::line(format_args!("{}: the directory says so already", about(&change)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let exchange = client.folder().settings.exchange.as_str();
    apply(client, registration::unsigned(exchange, change)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Applies a change and says under which entry it is in force.
async fn apply(client: &Client, signed: SignedChange) -> anyhow::Result<u64> {
    let change: DirectoryChange = proto::decode(&signed.change)?;
    let about = about(&change);
    let entry = match answered(client.apply(signed)).await {
        Err(ClientError::Refused { code, message }) => {
            let refused = format!("{about}: refused ({code})");
            return Err(ClientError::Refused { code, message }).context(refused);
        }
        answer => answer.with_context(|| about.clone())?,
    };
    print::line(format_args!("{about}: in force with entry {entry}"))?;
    Ok(entry)
}

/// Such as "inbox school-a/duty".
fn about(change: &DirectoryChange) -> String {
    let (kind, name) = directory::subject(change);
    let kind = kind.replace('_', " ");
    if name.is_empty() { kind } else { format!("{kind} {name}") }
}
