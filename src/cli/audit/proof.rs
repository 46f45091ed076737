//! `cairn audit proof`: a second receipt, under a checkpoint that witnesses have cosigned.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | it is written |
//! | 1 | what the exchange answers does not verify |
//! | 2 | the command was not understood |
//! | 3 | the exchange did not answer |
//! | 4 | logged, not yet witnessed: ask again later |
//!
//! Knows: audit, wire::client, store (durable files).

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::{
    super::{
        Output, print,
        speaker::{Speaker, answered},
    },
    verify::NOT_YET_WITNESSED,
};
use crate::{
    audit::{
        verify::{self, Opening},
        witnessed::{self, Witnessed},
    },
    ledger::tlog_proof::TlogProof,
    store::files,
};

/// Get a second receipt for an entry, under a checkpoint that witnesses have cosigned
///
/// The receipt that an exchange gives at once is signed by the exchange alone. Some seconds later,
/// once enough witnesses have cosigned a checkpoint that covers the entry, this gets another one.
/// `cairn audit verify --policy` says whether its witnesses are those you trust.
///
/// Exit code: 0 written, 1 it does not verify, 2 not understood, 3 no answer, 4 logged, not yet
/// witnessed.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["entry", "receipt"])))]
#[command(after_help = "Example:\n  \
    cairn audit proof --receipt school-a/sent/4f2a.tlog-proof --system school-a\n  \
    cairn audit proof 20 --out 20.witnessed.tlog-proof --system auditor")]
pub(super) struct Proof {
    /// The entry number
    #[arg(requires = "out")]
    entry: Option<u64>,
    /// The receipt that the exchange gave at once, with its opening beside it
    #[arg(long, value_name = "FILE.tlog-proof")]
    receipt: Option<PathBuf>,
    /// The file to write; else `<name>.witnessed.tlog-proof` beside the receipt
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    speaker: Speaker,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Proof {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let (entry, leaf) = self.which()?;
        let found = answered(witnessed::receipt(&client, entry, leaf.as_deref())).await?;
        let (receipt, size, verified) = match found {
            Witnessed::Yes { receipt, size, verified } => (receipt, size, verified),
            Witnessed::NotYet(size) => {
                match self.output {
                    Output::Json => print::json(&json!({
                        "entry": entry, "witnessed": false, "witnessed_entries": size,
                    }))?,
                    Output::Text => print::line(format!(
                        "Entry {entry}: logged, not yet witnessed. Witnesses have cosigned {size} \
                         entries; ask again later."
                    ))?,
                }
                return Ok(ExitCode::from(NOT_YET_WITNESSED));
            }
        };
        let path = self.out.clone().or_else(|| {
            self.receipt.as_ref().map(|receipt| receipt.with_extension("witnessed.tlog-proof"))
        });
        let path = path.context("--out must name a file")?;
        files::write_atomic(&path, receipt.to_text().as_bytes())
            .with_context(|| path.display().to_string())?;
        let file = path.display().to_string();
        match self.output {
            Output::Json => print::json(&json!({
                "entry": entry, "witnessed": true, "witnessed_entries": size, "file": file,
                "verified": verified,
            }))?,
            Output::Text => {
                print::line(format!(
                    "{file}: entry {entry}, under a cosigned checkpoint of {size} entries"
                ))?;
                print::line("Whether its witnesses are those you trust:")?;
                print::line(format!("  cairn audit verify --receipt {file} --policy POLICY"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The entry, and its leaf if an opening is at hand.
    fn which(&self) -> anyhow::Result<(u64, Option<Vec<u8>>)> {
        let Some(path) = &self.receipt else {
            return Ok((self.entry.context("name an entry or a receipt")?, None));
        };
        let receipt =
            TlogProof::parse(&verify::read(path)?).with_context(|| path.display().to_string())?;
        let opening = Opening::parse(&verify::read(&path.with_extension("opening.json"))?)?;
        anyhow::ensure!(opening.entry == receipt.index(), "the opening is of another entry");
        Ok((receipt.index(), Some(opening.leaf)))
    }
}
