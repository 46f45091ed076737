//! Data-sharing agreements: in force once every party has signed the same bytes.
//!
//! Knows: wire::client, domain, proto.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde::Deserialize;

use super::{Speaker, apply, known, print, signed::SignedFile};
use crate::{
    domain::{ids::AgreementId, profile::Profile},
    proto::{self, directory_change::Change},
    wire::client::{enrol, folder::SystemFolder},
};

/// Put an agreement in force with the signatures of systems on this machine
#[derive(Debug, Args)]
#[command(after_help = "The file is a JSON object:\n  {\"id\": \"isp-ardness-2026\", \
    \"title\": \"Information sharing protocol\",\n   \
    \"parties\": [\"sw-ardness\", \"school-a\"], \"classes\": [\"child_protection\"],\n   \
    \"lawful_bases\": [\"public_task\"], \"valid_from\": \"2026-01-01\", \
    \"valid_to\": \"2027-12-31\",\n   \"review_by\": \"2027-06-30\",\n   \
    \"profiles\": [\"encompass\"], \"no_review_key_reason\": \"pilot\"}\n\n\
    Example:\n  cairn directory agreement --file A.json --signed-by systems/sw systems/school-a \\\n    \
    --system x/systems/operator/admin\n\n\
    Where each party's key stays with the party, each runs `cairn directory sign`.")]
pub(super) struct Agree {
    /// The agreement
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The folder of one system of each party
    #[arg(long, value_name = "FOLDER", required = true, num_args = 1..)]
    signed_by: Vec<PathBuf>,
    #[command(flatten)]
    speaker: Speaker,
}

impl Agree {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let mut file = read(&self.file, client.folder().settings.exchange.as_str())?;
        for path in &self.signed_by {
            file.sign(&SystemFolder::open(path)?)?;
        }
        apply(&client, file.signed_change()?).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Sign an agreement, or another change, for the system's agency
///
/// Takes the agreement, or a file with a change that others may have signed. Gives the change with
/// the signatures on standard output; what is signed is shown on standard error. Nothing
/// leaves this machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cairn directory sign A.json --system systems/school-a > school-a.signed.json\n  \
    cairn directory sign school-a.signed.json --system systems/sw > both.signed.json")]
pub(super) struct Sign {
    /// The agreement, or a change that was signed by another party
    file: PathBuf,
    #[command(flatten)]
    speaker: Speaker,
}

impl Sign {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = SystemFolder::open(&self.speaker.folder)?;
        let (exchange, agency) = (folder.settings.exchange.as_str(), &folder.settings.agency);
        let mut file = read(&self.file, exchange)?;
        let change = known::decoded(&file.bytes()?)?;
        ensure!(
            change.exchange == exchange,
            "this is for the exchange {}, and the system belongs to {exchange}",
            change.exchange
        );
        eprintln!("{agency} signs {}", super::about(&change));
        if let Some(Change::Agreement(agreement)) = change.change {
            ensure!(
                agreement.parties.iter().any(|party| party == agency.as_str()),
                "{agency} is no party to {}",
                agreement.id
            );
            eprintln!("  title         {}", agreement.title);
            eprintln!("  parties       {}", agreement.parties.join(", "));
            eprintln!("  classes       {}", agreement.classes.join(", "));
            eprintln!("  lawful bases  {}", agreement.lawful_bases.join(", "));
            eprintln!("  valid         {} to {}", agreement.valid_from, agreement.valid_to);
            for name in &agreement.profiles {
                let day = crate::wire::client::now().london_date();
                let profile = Profile::in_force(name, day);
                eprintln!("  profile       {}", profile.map_or(name.as_str(), |it| it.display));
            }
        }
        file.sign(&folder)?;
        print::json(&file)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Apply a change that its parties have signed
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn directory apply A.json --signature school-a.signed.json sw.signed.json \\\n    --system x/systems/operator/admin\n  \
    cairn directory apply next-key.signed.json --system x/systems/operator/admin"
)]
pub(super) struct Apply {
    /// The agreement, or a signed change of any kind
    file: PathBuf,
    /// More signatures of the same change
    #[arg(long, value_name = "FILE", num_args = 1..)]
    signature: Vec<PathBuf>,
    #[command(flatten)]
    speaker: Speaker,
}

impl Apply {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let mut file = read(&self.file, client.folder().settings.exchange.as_str())?;
        for path in &self.signature {
            let other = SignedFile::read(path)?;
            file.merge(other).with_context(|| path.display().to_string())?;
        }
        apply(&client, file.signed_change()?).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// An agreement or a signed change, whichever the file is.
fn read(path: &Path, exchange: &str) -> anyhow::Result<SignedFile> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    if value.get("change").is_some() {
        return SignedFile::read(path);
    }
    let agreement: AgreementFile = serde_json::from_value(value)
        .with_context(|| format!("{}: not an agreement", path.display()))?;
    let change = Change::Agreement(agreement.try_into()?);
    SignedFile::unsigned(&enrol::unsigned(exchange, change).change)
}

/// An agreement as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgreementFile {
    id: AgreementId,
    title: String,
    parties: Vec<String>,
    classes: Vec<String>,
    lawful_bases: Vec<String>,
    valid_from: String,
    valid_to: String,
    #[serde(default)]
    review_by: String,
    /// An X-Wing public key, base64.
    #[serde(default)]
    review_key: String,
    #[serde(default)]
    no_review_key_reason: String,
    #[serde(default)]
    profiles: Vec<String>,
}

impl TryFrom<AgreementFile> for proto::Agreement {
    type Error = anyhow::Error;

    fn try_from(file: AgreementFile) -> anyhow::Result<Self> {
        let review_key = STANDARD.decode(&file.review_key).context("`review_key`: not base64")?;
        ensure!(
            !review_key.is_empty() || !file.no_review_key_reason.is_empty(),
            "give a `review_key`, so that an inquiry can open what was shared, or say in \
             `no_review_key_reason` why there is none"
        );
        Ok(Self {
            id: file.id.to_string(),
            title: file.title,
            parties: file.parties,
            classes: file.classes,
            lawful_bases: file.lawful_bases,
            valid_from: file.valid_from,
            valid_to: file.valid_to,
            review_by: file.review_by,
            review_key,
            no_review_key_reason: file.no_review_key_reason,
            profiles: file.profiles,
        })
    }
}

/// The change inside, for tests that read what was signed.
#[cfg(test)]
fn agreement_of(file: &SignedFile) -> Option<proto::Agreement> {
    let change = known::decoded(&file.bytes().ok()?).ok()?;
    match change.change? {
        Change::Agreement(agreement) => Some(agreement),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREEMENT: &str = r#"{"id":"isp","title":"T","parties":["a","b"],"classes":["wellbeing"],
        "lawful_bases":["public_task"],"valid_from":"2026-01-01","valid_to":"2027-12-31","no_review_key_reason":"pilot"}"#;

    #[test]
    fn the_same_file_gives_the_same_bytes_wherever_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("A.json");
        fs::write(&path, AGREEMENT).unwrap();
        let file = read(&path, "cairn.example/x").unwrap();
        assert_eq!(file, read(&path, "cairn.example/x").unwrap());
        assert_eq!(agreement_of(&file).unwrap().no_review_key_reason, "pilot");
        let signed = dir.path().join("signed.json");
        fs::write(&signed, serde_json::to_vec(&file).unwrap()).unwrap();
        assert_eq!(read(&signed, "cairn.example/other").unwrap(), file);
    }

    #[test]
    fn a_field_that_an_agreement_does_not_have_is_refused_by_name() {
        let text = AGREEMENT.replace("\"title\"", "\"titel\"");
        let error = serde_json::from_str::<AgreementFile>(&text).unwrap_err().to_string();
        assert!(error.contains("titel"), "{error}");
    }
}
