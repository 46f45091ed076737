//! `cairn fsck` and `cairn reindex`: whether what is on disk is the ledger, and the
//! index anew from it.
//!
//! Knows: audit, broker, ledger, store.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::{Output, print, progress::Bar};
use crate::{
    audit::fsck::{self as ledger_fsck, Problem},
    broker::recovery::{DataFolder, OpenError},
    ledger::note::Vkey,
    store::{
        JournalError,
        journal::{self, Damage, Exchange},
        lock::{DataLock, LockError},
    },
};

/// Check every byte of a ledger: checksums, leaves, commitments, roots, signatures
///
/// Changes nothing. Exit code: 0 sound, 1 something does not add up (each place is
/// named), 3 it could not be checked.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn fsck ardness/data\n  \
    cairn fsck ardness/data --running -o json")]
pub(crate) struct Fsck {
    /// The exchange's data folder
    #[arg(value_name = "DATA_FOLDER")]
    folder: PathBuf,
    /// The exchange is running: check what it has published
    #[arg(long)]
    running: bool,
    /// Check signatures with this verifier key (a file, or the key itself) and not with
    /// the one that the folder's own private key gives
    #[arg(long, value_name = "FILE|KEY", value_parser = super::audit::vkey)]
    vkey: Option<Vkey>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

/// What was found, bytes first and then the ledger in them.
struct Found {
    journal: journal::Report,
    /// Absent if the bytes are not sound.
    ledger: Option<ledger_fsck::Report>,
}

impl Fsck {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match tokio::task::block_in_place(|| self.check()) {
            Ok(found) => {
                match self.output {
                    Output::Json => print::json(&found.as_json())?,
                    Output::Text => found.print()?,
                }
                Ok(if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(error) => {
                eprintln!("cairn: could not check: {error:#}");
                Ok(ExitCode::from(3))
            }
        }
    }

    fn check(&self) -> anyhow::Result<Found> {
        let data = data_folder(&self.folder);
        let vkey = match &self.vkey {
            Some(vkey) => vkey.clone(),
            None => data.vkey()?,
        };
        let (exchange, lock) = match self.running {
            true => (Exchange::Running, None),
            false => (Exchange::Stopped, Some(lock(data.path())?)),
        };
        let journal = {
            let bar = Bar::of_bytes();
            let mut progress = |done, total| bar.at(done, total);
            journal::fsck(&data.journal(), exchange, &mut |_| false, &mut progress)?
        };
        let ledger = match journal.is_sound() {
            false => None,
            true => Some(check_ledger(&data.journal(), &vkey)?),
        };
        drop(lock);
        Ok(Found { journal, ledger })
    }
}

fn check_ledger(journal: &Path, vkey: &Vkey) -> Result<ledger_fsck::Report, JournalError> {
    let bar = Bar::of("entries");
    ledger_fsck::check_ledger(journal, vkey, &mut |done, total| bar.at(done, total))
}

/// Holds the folder while it is checked, so that no server starts on it meanwhile.
fn lock(folder: &Path) -> anyhow::Result<DataLock> {
    DataLock::acquire(folder).map_err(|error| match error {
        LockError::Held { .. } => anyhow::anyhow!("{error}; add --running"),
        LockError::Io { .. } => error.into(),
    })
}

impl Found {
    fn is_sound(&self) -> bool {
        self.ledger.as_ref().is_some_and(ledger_fsck::Report::is_sound)
    }

    fn problem_count(&self) -> u64 {
        self.journal.problem_count + self.ledger.as_ref().map_or(0, |found| found.problem_count)
    }

    fn print(&self) -> std::io::Result<()> {
        for damage in &self.journal.problems {
            print::line(damage)?;
        }
        for problem in self.ledger.iter().flat_map(|ledger| &ledger.problems) {
            print::line(problem)?;
        }
        let journal = &self.journal;
        let (segments, bytes) = (journal.segments, journal.bytes);
        match &self.ledger {
            Some(ledger) if ledger.is_sound() => {
                print::line(format!(
                    "Sound: {} entries in {} batches",
                    ledger.size, ledger.batches
                ))?;
                print::line(format!(
                    "  {segments} segments, {bytes} bytes, {} details",
                    ledger.details
                ))?;
                print::line(format!("  root {}", ledger.root))?;
                let beyond = journal.size.saturating_sub(ledger.size);
                match beyond {
                    0 => Ok(()),
                    _ => print::line(format!(
                        "  {beyond} entries more are whole and not published yet; the next start \
                         takes them"
                    )),
                }
            }
            checked => {
                let problems = match self.problem_count() {
                    1 => "1 problem".to_owned(),
                    count => format!("{count} problems"),
                };
                print::line(format!("NOT SOUND: {problems} in {segments} segments"))?;
                if checked.is_none() {
                    print::line(
                        "  Its bytes are not what was written; the entries were not checked.",
                    )?;
                }
                print::line("  Change nothing: copy the whole folder first.")
            }
        }
    }

    fn as_json(&self) -> Value {
        let journal = &self.journal;
        let problems: Vec<Value> = journal
            .problems
            .iter()
            .map(damage)
            .chain(self.ledger.iter().flat_map(|ledger| &ledger.problems).map(problem))
            .collect();
        let ledger = self.ledger.as_ref().map(|ledger| {
            json!({
                "size": ledger.size,
                "root": ledger.root.to_string(),
                "batches": ledger.batches,
                "details": ledger.details,
            })
        });
        json!({
            "sound": self.is_sound(),
            "journal": {
                "segments": journal.segments,
                "bytes": journal.bytes,
                "size": journal.size,
                "entries": journal.entries,
                "erased": journal.erased,
                "published": journal.published.map(|mark| mark.size),
                "clean_stop": journal.clean_stop,
            },
            "ledger": ledger,
            "problems": problems,
            "problem_count": self.problem_count(),
        })
    }
}

fn damage(damage: &Damage) -> Value {
    json!({
        "file": damage.file.display().to_string(),
        "offset": damage.offset,
        "entry": damage.entry,
        "reason": damage.fault.to_string(),
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "file": problem.at.map(|(segment, _)| format!("{segment:020}.seg")),
        "offset": problem.at.map(|(_, offset)| offset),
        "entry": problem.entry,
        "reason": problem.reason,
    })
}

/// Throw the index away and make it anew from the ledger
///
/// The exchange must be stopped. Exit code: 0 the old index was the same, 1 it differed
/// (it is rebuilt all the same; after an unclean stop it may only have been behind),
/// 3 it could not be done.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn reindex ardness/data")]
pub(crate) struct Reindex {
    /// The exchange's data folder
    #[arg(value_name = "DATA_FOLDER")]
    folder: PathBuf,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Reindex {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let data = data_folder(&self.folder);
        let had_index = data.index().exists();
        let rebuilt = tokio::task::block_in_place(|| {
            let bar = Bar::of("entries");
            data.reindex(&mut |done, total| bar.at(done, total))
        });
        let rebuilt = match rebuilt {
            Ok(rebuilt) => rebuilt,
            Err(error @ OpenError::Diverged { .. }) => {
                return Err(error).context("the index is not rebuilt");
            }
            Err(error) => {
                eprintln!("cairn: could not rebuild the index: {error}");
                return Ok(ExitCode::from(3));
            }
        };
        let old_hash = rebuilt.old_hash.filter(|_| had_index);
        let same = old_hash.map(|old| old == rebuilt.new_hash);
        match self.output {
            Output::Json => print::json(&json!({
                "size": rebuilt.size,
                "old_hash": old_hash.map(|hash| hex(&hash)),
                "new_hash": hex(&rebuilt.new_hash),
                "same": same,
            }))?,
            Output::Text => {
                print::line(format!("The index is rebuilt from {} entries.", rebuilt.size))?;
                print::line(format!("  hash {}", hex(&rebuilt.new_hash)))?;
                print::line(match same {
                    Some(true) => "  The old index had the same.",
                    Some(false) => "  The old index had another: it was behind, or damaged.",
                    None => "  There was no old index that could be read.",
                })?;
            }
        }
        Ok(if same == Some(false) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// The data folder, also if the exchange's own folder is named.
fn data_folder(folder: &Path) -> DataFolder {
    let inner = folder.join("data");
    let is_outer = !folder.join("journal").exists() && inner.join("journal").exists();
    DataFolder::at(if is_outer { inner } else { folder.to_owned() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
