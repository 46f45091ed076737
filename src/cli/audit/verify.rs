//! `cairn audit verify`: a mirror, receipts and old checkpoints, without a network.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | it verifies |
//! | 1 | it does not; the text says which file and entry |
//! | 2 | the command was not understood |
//! | 3 | a file could not be read |
//!
//! Knows: audit, ledger.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use super::{
    super::{Output, print, progress::Bar},
    words,
};
use crate::{
    audit::verify::{self, Opening, Proved, Verified, VerifyError},
    ledger::{note::Vkey, tlog_proof::TlogProof},
};

/// Verify a mirror, a receipt or an old checkpoint, without a network
///
/// A mirror is recomputed from its leaves. With --checkpoint it must also continue that
/// older checkpoint, and with --receipt the ledger that gave that receipt: so an
/// exchange that rewrites an entry and signs again is caught.
///
/// Exit code: 0 it verifies, 1 it does not, 2 not understood, 3 a file cannot be read.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["mirror", "receipt"])))]
#[command(after_help = "Example:\n  \
    cairn audit verify --mirror ./mirror --vkey log.vkey --checkpoint last-month.checkpoint\n  \
    cairn audit verify --receipt sent/4f2a.tlog-proof --vkey log.vkey")]
pub(super) struct Verify {
    /// A mirror's folder
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// A checkpoint that the mirror must continue; may be given again
    #[arg(long, value_name = "OLD_FILE", requires = "mirror")]
    checkpoint: Vec<PathBuf>,
    /// A receipt
    #[arg(long, value_name = "FILE.tlog-proof")]
    receipt: Option<PathBuf>,
    /// What opens the receipt's leaf; else the file of its name beside it
    #[arg(long, value_name = "FILE.opening.json", requires = "receipt")]
    opening: Option<PathBuf>,
    /// The ledger's verifier key: a file, or the key itself; may be given again
    #[arg(long, value_name = "FILE|KEY", required = true, value_parser = vkey)]
    vkey: Vec<Vkey>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

/// What was verified.
#[derive(Default)]
struct Found {
    mirror: Option<Verified>,
    continues: Vec<(PathBuf, Verified)>,
    receipt: Option<Proved>,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let found = tokio::task::block_in_place(|| self.verify());
        match (&found, self.output) {
            (Ok(found), Output::Text) => found.print()?,
            (Ok(found), Output::Json) => print::json(&found.as_json())?,
            (Err(error @ VerifyError::File { .. }), Output::Text) => eprintln!("cairn: {error}"),
            (Err(error), Output::Text) => eprintln!("cairn: does not verify: {error}"),
            (Err(error), Output::Json) => print::json(&refused(error))?,
        }
        Ok(match found {
            Ok(_) => ExitCode::SUCCESS,
            Err(VerifyError::File { .. }) => ExitCode::from(3),
            Err(_) => ExitCode::FAILURE,
        })
    }

    fn verify(&self) -> Result<Found, VerifyError> {
        let mut found = Found::default();
        let mut older = Vec::new();
        for path in &self.checkpoint {
            older.push((path.clone(), verify::read(path)?));
        }
        if let Some(path) = &self.receipt {
            let tlog_proof = verify::read(path)?;
            let opening = Opening::parse(&verify::read(&self.opening_of(path))?)?;
            found.receipt = Some(verify::verify_receipt(&tlog_proof, &opening, &self.vkey)?);
            let receipt = TlogProof::parse(&tlog_proof)
                .map_err(|error| VerifyError::Receipt(error.to_string()))?;
            older.push((path.clone(), receipt.checkpoint().to_vec()));
        }
        let Some(mirror) = &self.mirror else { return Ok(found) };
        let bar = Bar::of("entries");
        let mut progress = |done, total| bar.at(done, total);
        found.mirror = Some(verify::verify_mirror_with(mirror, &self.vkey, &mut progress)?);
        for (path, note) in older {
            let verified = verify::verify_extends(mirror, &note, &self.vkey)?;
            found.continues.push((path, verified));
        }
        Ok(found)
    }

    fn opening_of(&self, receipt: &Path) -> PathBuf {
        self.opening.clone().unwrap_or_else(|| receipt.with_extension("opening.json"))
    }
}

impl Found {
    fn print(&self) -> std::io::Result<()> {
        if let Some(mirror) = &self.mirror {
            let Verified { origin, size, root } = mirror;
            print::line(format!("Verified: {origin}, every leaf up to {size} entries"))?;
            print::line(format!("  root {root}"))?;
        }
        for (path, older) in &self.continues {
            let (path, size) = (path.display(), older.size);
            print::line(format!("  continues the {size} entries that {path} was signed for"))?;
        }
        let Some(receipt) = &self.receipt else { return Ok(()) };
        let Proved { entry, leaf, facts, checkpoint, .. } = receipt;
        let at = print::moment(leaf.time_unix_ns);
        let (kind, origin) = (words::kind(facts), checkpoint.origin());
        print::line(format!("Verified: entry {entry} of {origin}, {at}: {kind}"))?;
        for line in words::lines(&words::facts(facts)) {
            print::line(line)?;
        }
        print::line(match receipt.detail {
            true => "  Its envelope is the one that was recorded.",
            false => "  Its envelope was not given, and not compared.",
        })
    }

    fn as_json(&self) -> Value {
        let verified = |verified: &Verified| {
            let Verified { origin, size, root } = verified;
            json!({ "origin": origin, "size": size, "root": root.to_string() })
        };
        let continues = |(path, older): &(PathBuf, Verified)| json!({ "file": path.display().to_string(), "size": older.size });
        let mut found = Map::new();
        found.insert("verified".into(), true.into());
        if let Some(mirror) = &self.mirror {
            found.insert("mirror".into(), verified(mirror));
            found.insert("continues".into(), self.continues.iter().map(continues).collect());
        }
        if let Some(receipt) = &self.receipt {
            let value = json!({
                "entry": receipt.entry,
                "at": words::rfc3339(receipt.leaf.time_unix_ns),
                "facts": words::map(words::facts(&receipt.facts)),
                "envelope_compared": receipt.detail,
                "size": receipt.checkpoint.size(),
                "origin": receipt.checkpoint.origin(),
            });
            found.insert("receipt".into(), value);
        }
        Value::Object(found)
    }
}

fn refused(error: &VerifyError) -> Value {
    let (file, entry) = match error {
        VerifyError::Altered { file, entry, .. } => (Some(file), Some(entry)),
        VerifyError::Checkpoint { file, .. } | VerifyError::File { file, .. } => (Some(file), None),
        VerifyError::Receipt(_) | VerifyError::Rewritten(_) => (None, None),
    };
    json!({
        "verified": false,
        "reason": error.to_string(),
        "file": file.map(|file| file.display().to_string()),
        "entry": entry,
    })
}

/// A verifier key, or the file that holds one.
pub(in crate::cli) fn vkey(text: &str) -> Result<Vkey, String> {
    if let Ok(vkey) = Vkey::parse(text) {
        return Ok(vkey);
    }
    let held = fs::read_to_string(text).map_err(|error| format!("no key, and no file: {error}"))?;
    Vkey::parse(held.trim()).map_err(|error| error.to_string())
}
