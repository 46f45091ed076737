//! A system's folder and its registration, made in one go: for development and pilots.
//! What a real agency does instead is printed at the end.
//!
//! May be run again after a failure: it goes on where it stopped.
//!
//! Knows: wire::client, identity, crypto, proto.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{
    Speaker, apply,
    known::{self, Known},
    print, put,
    records::system_change,
};
use crate::{
    crypto::keyfile,
    domain::ids::{AgencyId, InboxId, RoleName, SystemName},
    identity::{DevelopmentCa, Validity},
    proto::directory_change::Change,
    wire::client::{
        self, Client,
        enrol::{self, Enrolment},
        folder::{SystemFolder, SystemSettings},
    },
};

/// A development certificate is good for a year, and from yesterday for clocks behind.
const DAY_SECONDS: u64 = 24 * 3600;
const VALID_DAYS: u64 = 365;

/// Make a system's folder and register it, for development
///
/// The agency and its inboxes must be in the directory. Makes keys and a certificate from
/// the exchange's development authority, and registers the system, its signing key and the
/// sealing keys of the inboxes that it serves. May be run again after a failure.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn directory enrol school-a mis --ca x/ca --roles duty \
    --out systems/school-a \\\n    --system x/systems/operator/admin\n  \
    cairn directory enrol school-a tablet --ca x/ca --like systems/school-a --out systems/tablet \\\n    \
    --system x/systems/operator/admin")]
pub(super) struct Enrol {
    /// The agency, which must be in the directory
    agency: AgencyId,
    /// The system's name within the agency
    name: SystemName,
    /// The folder of the development authority: ca.pem and ca.key
    #[arg(long, value_name = "FOLDER")]
    ca: PathBuf,
    /// The roles of the inboxes that it serves
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Vec<RoleName>,
    /// The folder to make
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// What it may do: agency, on_call, auditor, directory_admin, witness
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…", default_value = "agency")]
    caller_roles: Vec<String>,
    /// Another system of the agency: shares its secret and the keys of the inboxes that both
    /// serve, and vouches for the new one
    #[arg(long, value_name = "FOLDER")]
    like: Option<PathBuf>,
    #[command(flatten)]
    speaker: Speaker,
}

impl Enrol {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let admin = self.speaker.client()?;
        let known = Known::read(&admin).await?;
        self.must_fit(&known)?;
        let like = self.like.as_deref().map(SystemFolder::open).transpose()?;
        let folder = match self.out.join("system.toml").exists() {
            true => self.reopened()?,
            false => self.made(&admin, like.as_ref())?,
        };
        self.register(&admin, &known, &folder, like.as_ref()).await?;
        say_what_next(&folder, &known)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Everything that can be seen to be wrong before anything is made.
    fn must_fit(&self, known: &Known) -> anyhow::Result<()> {
        ensure!(
            known.agencies.contains_key(self.agency.as_str()),
            "no agency {0}: add it first with `cairn directory agency {0} --kind … --name …`",
            self.agency
        );
        for role in &self.roles {
            let inbox = InboxId::new(&self.agency, role).to_string();
            ensure!(
                known.inboxes.contains_key(&inbox),
                "no inbox {inbox}: add it first with `cairn directory inbox {inbox} --calendar …`"
            );
        }
        let mut keys =
            known.signing_keys.iter().filter(|(_, key)| key.agency == self.agency.as_str());
        let first = keys.all(|(_, key)| key.system == self.name.as_str());
        ensure!(
            first || self.like.is_some(),
            "{} has a system already, which must vouch for this one: name its folder with --like",
            self.agency
        );
        Ok(())
    }

    fn reopened(&self) -> anyhow::Result<SystemFolder> {
        let folder = SystemFolder::open(&self.out)?;
        let settings = &folder.settings;
        if settings.agency != self.agency || settings.system != self.name {
            bail!(
                "{} is the folder of {}/{}; name another one with --out",
                self.out.display(),
                settings.agency,
                settings.system
            );
        }
        Ok(folder)
    }

    fn made(&self, admin: &Client, like: Option<&SystemFolder>) -> anyhow::Result<SystemFolder> {
        let own = &admin.folder().settings;
        let settings = SystemSettings {
            exchange: own.exchange.clone(),
            agency: self.agency.clone(),
            system: self.name.clone(),
            server: own.server.clone(),
            server_name: own.server_name.clone(),
        };
        if let Some(like) = like {
            ensure!(
                like.settings.agency == self.agency,
                "--like: {} is a system of {}",
                like.path().display(),
                like.settings.agency
            );
        }
        let shared = |role: &&RoleName| {
            let inbox = InboxId::new(&self.agency, role);
            like.is_some_and(|like| like.sealing.contains_key(&inbox))
        };
        let (shared, roles): (Vec<&RoleName>, Vec<&RoleName>) = self.roles.iter().partition(shared);
        let roles: Vec<RoleName> = roles.into_iter().cloned().collect();
        let made = enrol::make_folder(
            &self.out,
            &Enrolment {
                settings,
                roles: &roles,
                ca: &authority(&self.ca)?,
                validity: validity(),
                vkey: &admin.folder().vkey,
                secret: like.map(|like| &like.secret),
            },
        )?;
        for role in &shared {
            let file = format!("sealing/{role}.key");
            let inbox = InboxId::new(&self.agency, role);
            let keys = like.and_then(|like| like.sealing.get(&inbox));
            if let Some(keys) = keys {
                keyfile::write_sealing_key(&self.out.join(file), keys)?;
            }
        }
        match shared.is_empty() {
            true => Ok(made),
            false => Ok(SystemFolder::open(&self.out)?),
        }
    }

    /// Registers what the directory does not have yet, in the order in which each change
    /// leans on the one before.
    async fn register(
        &self,
        admin: &Client,
        known: &Known,
        folder: &SystemFolder,
        like: Option<&SystemFolder>,
    ) -> anyhow::Result<()> {
        let (agency, name) = (self.agency.as_str(), self.name.as_str());
        let before = known.systems.get(&(agency.to_owned(), name.to_owned())).cloned();
        let change = system_change(agency, name, self.caller_roles.clone());
        put(admin, change, before.map(Change::System)).await?;
        let now = client::now();
        if known.directory.key(&folder.signing.key_id()).is_none() {
            let mut key = enrol::signing_key(folder, now);
            key.signatures.extend(like.map(|like| enrol::signature(like, &key.change)));
            apply(admin, key).await?;
        }
        for (keys, registration) in folder.sealing.values().zip(enrol::sealing_keys(folder, now)) {
            let public = keys.public().to_bytes();
            if !known.sealing_keys.iter().any(|known| known.public_key == public) {
                apply(admin, registration).await?;
            }
        }
        Ok(())
    }
}

/// Reads a development authority.
fn authority(folder: &Path) -> anyhow::Result<DevelopmentCa> {
    let text = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    Ok(DevelopmentCa::load(&text("ca.pem")?, &text("ca.key")?)?)
}

fn validity() -> Validity {
    let now = u64::try_from(client::now().unix_seconds()).unwrap_or(0);
    Validity {
        not_before_unix: now.saturating_sub(DAY_SECONDS),
        not_after_unix: now + VALID_DAYS * DAY_SECONDS,
    }
}

fn say_what_next(folder: &SystemFolder, known: &Known) -> anyhow::Result<()> {
    let settings = &folder.settings;
    let (agency, system) = (&settings.agency, &settings.system);
    print::line(format_args!("\n{}: {agency}/{system} is ready", folder.path().display()))?;
    let public = folder.signing.public().to_bytes();
    print::line(format_args!("  signing key   {}", folder.signing.key_id()))?;
    print::line(format_args!("  fingerprint   {}", known::fingerprint(&public)))?;
    if !known.signing_keys.iter().any(|(_, key)| key.agency == agency.as_str()) {
        print::line(format_args!(
            "This is the first key of {agency}. Read the fingerprint to its security officer over \
             a telephone number\nthat you did not get from them today, and compare it with \
             `cairn directory show` on their side."
        ))?;
    }
    print::line(format_args!(
        "A real authority puts into the certificate: an ECDSA P-256 key, client authentication \
         (1.3.6.1.5.5.7.3.2),\nand exactly one URI name, cairn://{}/{agency}/{system}. The key stays \
         in tls.key, mode 0600;\nthe connection is TLS 1.3.",
        settings.exchange
    ))?;
    Ok(())
}
