//! A system's next signing key.
//!
//! ```text
//! signing.next.key made ─► registered, signed by both keys ─► takes the place of signing.key
//! ```
//!
//! Each step is durable before the next and is found done when the command is run again,
//! so that it can stop anywhere: at no moment is there only a key that the directory does
//! not have.
//!
//! Knows: wire::client, crypto, proto, store (durable files).

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;

use super::{
    Speaker, apply,
    known::{self, Known},
    print,
    signed::SignedFile,
};
use crate::{
    crypto::{
        SigningKey, keyfile,
        sign::{DIRECTORY_TYPE, sign_dsse},
    },
    directory::{Directory, Role},
    proto::{self, Signature, SignedChange, directory_change::Change},
    store::files,
    wire::client::{self, Client, enrol, folder::SystemFolder},
};

/// Replace a system's signing key
///
/// The next key is signed by itself and by the one before it. Only a directory
/// administrator can register it: name its folder with --admin, or hand over the file that
/// --out writes and run the command again once it is applied. Safe to stop and run again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cairn directory rotate-key --system systems/school-a --admin x/systems/operator/admin\n\n  \
    cairn directory rotate-key --system systems/school-a --out next-key.signed.json\n  \
    cairn directory apply next-key.signed.json --system x/systems/operator/admin\n  \
    cairn directory rotate-key --system systems/school-a")]
pub(super) struct RotateKey {
    #[command(flatten)]
    speaker: Speaker,
    /// The folder of a directory administrator, who registers the next key
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    admin: Option<PathBuf>,
    /// Write the registration here, for a directory administrator to apply
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl RotateKey {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let folder = client.folder();
        let path = folder.path().join("signing.next.key");
        let known = Known::read(&client).await?;
        let next = next_key(&path)?;
        if known.directory.key(&next.key_id()).is_none() {
            let registration = registration(folder, &known.directory, &next);
            if !self.registered(&client, &known, registration).await? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        take_place(folder, &path, &next)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Registers the key, or writes down what must be registered; whether it is done.
    async fn registered(
        &self,
        client: &Client,
        known: &Known,
        registration: SignedChange,
    ) -> anyhow::Result<bool> {
        let settings = &client.folder().settings;
        let (agency, system) = (settings.agency.as_str(), settings.system.as_str());
        if let Some(admin) = &self.admin {
            let admin = Client::new(SystemFolder::open(admin)?)?;
            apply(&admin, registration).await?;
            return Ok(true);
        }
        if self.out.is_none() && known.directory.has_role(agency, system, Role::DirectoryAdmin) {
            apply(client, registration).await?;
            return Ok(true);
        }
        let file = SignedFile::of(&registration, &format!("{agency}/{system}"))?;
        match &self.out {
            Some(path) => {
                files::write_atomic(path, &serde_json::to_vec_pretty(&file)?)
                    .with_context(|| path.display().to_string())?;
                let path = path.display();
                print::line(format_args!("{path}: have a directory administrator run"))?;
                print::line(format_args!("  cairn directory apply {path} --system ADMIN_FOLDER"))?;
            }
            None => print::json(&file)?,
        }
        eprintln!("The key in use stays until this is applied; then run rotate-key again.");
        Ok(false)
    }
}

/// The next key: the one that an earlier run made, or a new one.
fn next_key(path: &Path) -> anyhow::Result<SigningKey> {
    if !path.exists() {
        keyfile::write_signing_key(path, &SigningKey::generate()?)?;
    }
    Ok(keyfile::read_signing_key(path)?)
}

/// The next key's registration; it may say what the key in use may say.
fn registration(folder: &SystemFolder, directory: &Directory, next: &SigningKey) -> SignedChange {
    let settings = &folder.settings;
    let in_use = directory.key(&folder.signing.key_id()).map(|known| known.record.clone());
    let proto::SigningKey { kinds, inboxes, .. } = in_use.unwrap_or_default();
    let record = proto::SigningKey {
        agency: settings.agency.to_string(),
        system: settings.system.to_string(),
        public_key: next.public().to_bytes().to_vec(),
        valid_from: client::now().unix_seconds(),
        valid_to: 0,
        predecessor: folder.signing.key_id().0.to_vec(),
        kinds,
        inboxes,
    };
    let change = Change::SigningKey(record);
    let mut signed = enrol::signed(settings.exchange.as_str(), change, &[folder]);
    signed.signatures.push(Signature {
        key_id: next.key_id().0.to_vec(),
        signature: sign_dsse(next, DIRECTORY_TYPE, &signed.change).to_vec(),
    });
    signed
}

/// One rename: before it the old key signs, after it the new one, and both may.
fn take_place(folder: &SystemFolder, path: &Path, next: &SigningKey) -> anyhow::Result<()> {
    let place = folder.path().join("signing.key");
    files::rename(path, &place).with_context(|| place.display().to_string())?;
    let (old, new) = (folder.signing.key_id(), next.key_id());
    print::line(format_args!("{}: signs with {new} from now on", folder.path().display()))?;
    print::line(format_args!("  fingerprint   {}", known::fingerprint(&next.public().to_bytes())))?;
    print::line(format_args!(
        "Restart what runs with this folder. Once `cairn status` shows nothing unanswered, end the \
         old key:\n  cairn directory revoke {old} --system ADMIN_FOLDER"
    ))?;
    Ok(())
}
