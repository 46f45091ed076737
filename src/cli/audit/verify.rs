//! `cairn audit verify`: a mirror, receipts and old checkpoints, without a network.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | it verifies |
//! | 1 | it does not; the text says which file and entry |
//! | 2 | the command was not understood |
//! | 3 | a file could not be read |
//! | 4 | it verifies, and by the policy it is logged, not yet witnessed |
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
    audit::{
        mirror,
        verify::{self, Opening, Proved, Verified, VerifyError},
    },
    ledger::{
        note::Vkey,
        tlog_policy::{POLICY_BYTES_MAX, TlogPolicy},
        tlog_proof::TlogProof,
    },
};

/// The exit code for what is logged, and not yet witnessed.
pub(super) const NOT_YET_WITNESSED: u8 = 4;

/// Verify a mirror, a receipt or an old checkpoint, without a network
///
/// A mirror is recomputed from its leaves. With --checkpoint it must also continue that
/// older checkpoint, and with --receipt the ledger that gave that receipt: so an
/// exchange that rewrites an entry and signs again is caught.
///
/// With --policy it must also be witnessed: the checkpoint of the receipt, or the one that the
/// mirror has in `cosigned`, must be cosigned by witnesses that the policy (C2SP tlog-policy) finds
/// enough. Until then it is logged, not yet witnessed.
///
/// Exit code: 0 it verifies, 1 it does not, 2 not understood, 3 a file cannot be read, 4 it
/// verifies and is not yet witnessed.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).multiple(true).args(["vkey", "policy"])))]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["mirror", "receipt"])))]
#[command(after_help = "Example:\n  \
    cairn audit verify --mirror ./mirror --vkey log.vkey --checkpoint last-month.checkpoint\n  \
    cairn audit verify --receipt sent/4f2a.tlog-proof --vkey log.vkey\n  \
    cairn audit verify --receipt sent/4f2a.witnessed.tlog-proof --policy our.policy")]
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
    #[arg(long, value_name = "FILE|KEY", value_parser = vkey)]
    vkey: Vec<Vkey>,
    /// Which ledgers and witnesses to believe: a file of lines log, witness, group and quorum
    #[arg(long, value_name = "FILE", value_parser = policy)]
    policy: Option<TlogPolicy>,
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
    /// By the policy, if there is one.
    witnessed: Option<Witnessed>,
}

/// What is witnessed by the policy.
#[derive(Default)]
struct Witnessed {
    /// Of the mirror's entries so many, counted from the first.
    mirror: u64,
    /// The receipt's entry.
    receipt: bool,
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
            Ok(found) if !found.is_witnessed() => ExitCode::from(NOT_YET_WITNESSED),
            Ok(_) => ExitCode::SUCCESS,
            Err(VerifyError::File { .. }) => ExitCode::from(3),
            Err(_) => ExitCode::FAILURE,
        })
    }

    fn verify(&self) -> Result<Found, VerifyError> {
        let mut found = Found::default();
        let mut older = Vec::new();
        let policy = self.policy.clone().map(|policy| policy.with_logs(&self.vkey));
        let vkeys = policy.as_ref().map_or(self.vkey.as_slice(), TlogPolicy::logs);
        let mut witnessed = Witnessed::default();
        for path in &self.checkpoint {
            older.push((path.clone(), verify::read(path)?));
        }
        if let Some(path) = &self.receipt {
            let tlog_proof = verify::read(path)?;
            let opening = Opening::parse(&verify::read(&self.opening_of(path))?)?;
            found.receipt = Some(verify::verify_receipt(&tlog_proof, &opening, vkeys)?);
            let receipt = TlogProof::parse(&tlog_proof)
                .map_err(|error| VerifyError::Receipt(error.to_string()))?;
            if let Some(policy) = &policy {
                let judged = policy.judge(receipt.checkpoint());
                let judged = judged.map_err(|error| VerifyError::Receipt(error.to_string()))?;
                witnessed.receipt = judged.enough;
            }
            older.push((path.clone(), receipt.checkpoint().to_vec()));
        }
        let Some(mirror) = &self.mirror else {
            found.witnessed = policy.map(|_| witnessed);
            return Ok(found);
        };
        let bar = Bar::of("entries");
        let mut progress = |done, total| bar.at(done, total);
        found.mirror = Some(verify::verify_mirror_with(mirror, vkeys, &mut progress)?);
        for (path, note) in older {
            let verified = verify::verify_extends(mirror, &note, vkeys)?;
            found.continues.push((path, verified));
        }
        if let Some(policy) = &policy {
            witnessed.mirror = mirror_witnessed(mirror, policy)?;
            let entry = found.receipt.as_ref().map(|receipt| receipt.entry);
            witnessed.receipt |= entry.is_some_and(|entry| entry < witnessed.mirror);
            found.witnessed = Some(witnessed);
        }
        Ok(found)
    }

    fn opening_of(&self, receipt: &Path) -> PathBuf {
        self.opening.clone().unwrap_or_else(|| {
            let name = receipt.file_name().unwrap_or_default().to_string_lossy();
            match name.strip_suffix(".witnessed.tlog-proof") {
                Some(name) => receipt.with_file_name(format!("{name}.opening.json")),
                None => receipt.with_extension("opening.json"),
            }
        })
    }
}

/// How many entries of a mirror are under a checkpoint that the policy finds witnessed, and that
/// the mirror goes on from.
fn mirror_witnessed(mirror: &Path, policy: &TlogPolicy) -> Result<u64, VerifyError> {
    let mut size = 0;
    for name in [mirror::CHECKPOINT_FILE, mirror::COSIGNED_FILE] {
        let file = mirror.join(name);
        if !file.exists() {
            continue;
        }
        let note = verify::read(&file)?;
        let judged = policy
            .judge(&note)
            .map_err(|reason| VerifyError::Checkpoint { file: file.clone(), reason })?;
        if judged.enough {
            size = size.max(verify::verify_extends(mirror, &note, policy.logs())?.size);
        }
    }
    Ok(size)
}

impl Found {
    /// Whether the policy, if there is one, asks for no more.
    fn is_witnessed(&self) -> bool {
        self.witnessed.as_ref().is_none_or(|witnessed| {
            (self.mirror.is_none() || witnessed.mirror > 0)
                && (self.receipt.is_none() || witnessed.receipt)
        })
    }

    fn print(&self) -> std::io::Result<()> {
        self.print_verified()?;
        let Some(witnessed) = &self.witnessed else { return Ok(()) };
        if let Some(mirror) = &self.mirror {
            print::line(match witnessed.mirror {
                0 => "Logged, not yet witnessed: no checkpoint of this mirror has enough cosignatures."
                    .to_owned(),
                size => format!("Witnessed: {size} of its {} entries, by the policy.", mirror.size),
            })?;
        }
        match (&self.receipt, witnessed.receipt) {
            (Some(receipt), true) => {
                print::line(format!("Witnessed: entry {}, by the policy.", receipt.entry))
            }
            (Some(receipt), false) => print::line(format!(
                "Entry {}: logged, not yet witnessed. `cairn audit proof` gets a receipt with \
                 cosignatures.",
                receipt.entry
            )),
            (None, _) => Ok(()),
        }
    }

    fn print_verified(&self) -> std::io::Result<()> {
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
        if let Some(witnessed) = &self.witnessed {
            let value = json!({
                "enough": self.is_witnessed(),
                "mirror_entries": self.mirror.as_ref().map(|_| witnessed.mirror),
                "receipt": self.receipt.as_ref().map(|_| witnessed.receipt),
            });
            found.insert("witnessed".into(), value);
        }
        Value::Object(found)
    }
}

/// A policy, from the file that holds it.
fn policy(path: &str) -> Result<TlogPolicy, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > POLICY_BYTES_MAX as u64 {
        return Err("a policy is at most 262,144 bytes".into());
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    TlogPolicy::parse(&text).map_err(|error| error.to_string())
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
