//! `cairn audit`: questions to the ledger, and checks that need nobody's word.
//!
//! Knows: audit, wire::client.

mod knew;
mod proof;
mod query;
mod show;
mod verify;
mod words;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Output, print, progress::Bar, speaker::Speaker};
pub(super) use verify::vkey;

use crate::audit::mirror::{self, MirrorError};

/// Ask the ledger, mirror it, and verify it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn audit query --system auditor --agency sw-ardness --purpose learning_review\n  \
    cairn audit mirror ./mirror --system auditor --purpose monthly_check\n  \
    cairn audit verify --mirror ./mirror --vkey log.vkey")]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Query(query::Query),
    Knew(knew::Known),
    Show(show::Show),
    Mirror(Mirror),
    Proof(proof::Proof),
    Verify(verify::Verify),
}

impl Audit {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Query(query) => query.run().await,
            Command::Knew(knew) => knew.run().await,
            Command::Show(show) => show.run().await,
            Command::Mirror(mirror) => mirror.run().await,
            Command::Proof(proof) => proof.run().await,
            Command::Verify(verify) => verify.run(),
        }
    }
}

/// Copy the ledger's leaves and hashes, and notice if they ever change
///
/// A second run fetches only what is new, and refuses a ledger that does not continue
/// the one mirrored before: both checkpoints are then kept in `conflict-<size>`.
/// The run is recorded in the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn audit mirror ./mirror --system auditor --purpose monthly_check")]
struct Mirror {
    /// The mirror's folder; made if it is not there
    dir: PathBuf,
    #[command(flatten)]
    speaker: Speaker,
    /// Why, as a code such as monthly_check
    #[arg(long, value_name = "CODE")]
    purpose: String,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Mirror {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let bar = Bar::of("files");
        let mut progress = |done, total| bar.at(done, total);
        let mirrored = mirror::mirror(&client, &self.dir, &self.purpose, &mut progress).await;
        drop(bar);
        let mirrored = match mirrored {
            Ok(mirrored) => mirrored,
            // As it is, so that the exit code can tell "later" from "no".
            Err(MirrorError::Client(error)) => return Err(error.into()),
            Err(error @ MirrorError::File { .. }) => {
                eprintln!("cairn: {error}");
                return Ok(ExitCode::from(3));
            }
            Err(error) => return Err(error.into()),
        };
        let (origin, size) = (mirrored.vkey.name(), mirrored.size);
        match self.output {
            Output::Json => print::json(&json!({
                "origin": origin,
                "size": size,
                "root": mirrored.root.to_string(),
                "vkey": mirrored.vkey.to_string(),
                "folder": self.dir.display().to_string(),
            }))?,
            Output::Text => {
                print::line(format!("{}: {origin}, {size} entries", self.dir.display()))?;
                print::line(format!("  root {}", mirrored.root))?;
                print::line("Verify it anywhere, without the exchange:")?;
                let (folder, vkey) = (self.dir.display(), &mirrored.vkey);
                print::line(format!("  cairn audit verify --mirror {folder} --vkey {vkey}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_arguments_fit_together_and_each_command_shows_an_example() {
        let mut audit = Audit::augment_args(clap::Command::new("audit"));
        audit.clone().debug_assert();
        audit.build();
        for command in audit.get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example:"), "{}", command.get_name());
        }
    }
}
