//! Areas, agencies, systems, inboxes, and the end of a signing key. Once an agency has a
//! key, what is its own takes its signature: given with `--signed-by`, or by writing the
//! change with `--write` for others to sign.
//!
//! What a command does not say stays as it was.
//!
//! Knows: wire::client, domain, proto.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use clap::Args;

use super::{
    Speaker, apply,
    known::{self, Known, as_change},
    put,
    signed::SignedFile,
};
use crate::{
    crypto::KeyId,
    domain::{
        calendar,
        ids::{AgencyId, InboxId, SystemName},
        vocabulary::{AGENCY_KINDS, Urgency},
    },
    proto::{self, KeyRevocation, directory_change::Change},
    store::files,
    wire::client::{self, Client, enrol as registration, folder::SystemFolder},
};

/// Add or change an area
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn directory area ardness --catch-all sw-ardness/duty \
    --out-of-hours sw-ardness-ooh/duty --system x/systems/operator/admin")]
pub(super) struct Area {
    /// Its id
    id: String,
    /// The inbox that owns what nobody else does
    #[arg(long, value_name = "AGENCY/ROLE")]
    catch_all: Option<InboxId>,
    /// The inbox that answers out of hours
    #[arg(long, value_name = "AGENCY/ROLE")]
    out_of_hours: Option<InboxId>,
    /// The post of the senior officer who is told last
    #[arg(long, value_name = "POST")]
    senior_post: Option<String>,
    /// That officer's telephone
    #[arg(long, value_name = "NUMBER")]
    senior_phone: Option<String>,
    /// The inbox that looks at what was sent outside any agreement [default: the catch-all]
    #[arg(long, value_name = "AGENCY/ROLE")]
    reviewer: Option<InboxId>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    speaker: Speaker,
}

impl Area {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let known = Known::read(&client).await?;
        let before = known.areas.get(&self.id);
        let mut area = before.cloned().unwrap_or_default();
        area.id = self.id.clone();
        set(&mut area.catch_all, self.catch_all);
        set(&mut area.out_of_hours, self.out_of_hours);
        set(&mut area.senior_post, self.senior_post);
        set(&mut area.senior_phone, self.senior_phone);
        set(&mut area.reviewer, self.reviewer);
        self.signing.put(&client, Change::Area(area), as_change(before, Change::Area)).await
    }
}

/// Add or change an agency
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn directory agency school-a --kind school \
    --name \"School A\" --area ardness --system x/systems/operator/admin")]
pub(super) struct Agency {
    /// Its id, 1 to 64 of A-Z a-z 0-9 . _ -
    id: AgencyId,
    /// What it is, such as social_work, police, school, gp, other
    #[arg(long, value_parser = agency_kind)]
    kind: Option<String>,
    /// Its name as people know it
    #[arg(long)]
    name: Option<String>,
    /// Its area, which must be there already
    #[arg(long)]
    area: Option<String>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    speaker: Speaker,
}

impl Agency {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let known = Known::read(&client).await?;
        let before = known.agencies.get(self.id.as_str());
        let mut agency = before.cloned().unwrap_or_default();
        agency.id = self.id.to_string();
        set(&mut agency.kind, self.kind);
        set(&mut agency.name, self.name);
        set(&mut agency.area, self.area);
        ensure!(!agency.name.is_empty(), "a new agency needs --name, as people know it");
        self.signing.put(&client, Change::Agency(agency), as_change(before, Change::Agency)).await
    }
}

/// Add or change a system, or suspend it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn directory system school-a mis --roles agency \
    --system x/systems/operator/admin\n  \
    cairn directory system school-a mis --suspended true --system x/systems/operator/admin")]
pub(super) struct System {
    /// Its agency
    agency: AgencyId,
    /// Its name within the agency, as its certificate says it
    name: SystemName,
    /// What it may do: agency, on_call, auditor, directory_admin, witness
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Option<Vec<String>>,
    /// Whether it may do nothing any more
    #[arg(long, value_name = "BOOL")]
    suspended: Option<bool>,
    #[command(flatten)]
    speaker: Speaker,
}

impl System {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let known = Known::read(&client).await?;
        let before = known.systems.get(&(self.agency.to_string(), self.name.to_string()));
        let mut system = before.cloned().unwrap_or_default();
        system.agency = self.agency.to_string();
        system.name = self.name.to_string();
        system.roles = self.roles.unwrap_or(system.roles);
        system.suspended = self.suspended.unwrap_or(system.suspended);
        ensure!(!system.roles.is_empty(), "a new system needs --roles, such as --roles agency");
        put(&client, Change::System(system), as_change(before, Change::System)).await
    }
}

/// Add or change an inbox
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cairn directory inbox sw-ardness/duty --phone \"0131 496 0542\" \
    --calendar 24x7 --deputy sw-ardness-ooh/duty --system x/systems/operator/admin\n  \
    cairn directory inbox sw-ardness/duty --own-time immediate=10/45 --own-time urgent=30 \\\n    \
    --system x/systems/operator/admin --signed-by systems/sw\n  \
    cairn directory inbox school-a/duty --closed-on 2026-10-12/2026-10-23 --closed-on 2026-11-16 \\\n    \
    --system x/systems/operator/admin --signed-by systems/school-a"
)]
pub(super) struct Inbox {
    /// The duty role that receives
    #[arg(value_name = "AGENCY/ROLE")]
    id: InboxId,
    /// The telephone that is answered
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// The calendar it works by, such as 24x7 or scotland-working-hours
    #[arg(long)]
    calendar: Option<String>,
    /// The inbox that stands in for it
    #[arg(long, value_name = "AGENCY/ROLE")]
    deputy: Option<InboxId>,
    /// A day on which it does not work beside its calendar's own, or the first and the last of
    /// several; again for more. Those given replace those there were; "none" leaves none
    #[arg(long, value_name = "DAY[/DAY]", value_parser = closed_on)]
    closed_on: Vec<String>,
    /// A shorter time than an urgency's, in minutes (of prompt, routine and information: working
    /// ones), to acknowledge and, behind a slash, to decide; again for more. Those given replace
    /// those there were; "none" leaves none
    #[arg(long, value_name = "URGENCY=MINUTES[/MINUTES]", value_parser = own_time)]
    own_time: Vec<Option<proto::OwnTime>>,
    /// Whether it takes nothing new
    #[arg(long, value_name = "BOOL")]
    retired: Option<bool>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    speaker: Speaker,
}

impl Inbox {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let known = Known::read(&client).await?;
        let before = known.inboxes.get(&self.id.to_string());
        let mut inbox = before.cloned().unwrap_or_default();
        inbox.id = self.id.to_string();
        set(&mut inbox.phone, self.phone);
        set(&mut inbox.calendar, self.calendar);
        set(&mut inbox.deputy, self.deputy);
        inbox.retired = self.retired.unwrap_or(inbox.retired);
        if !self.closed_on.is_empty() {
            inbox.closed_on = self.closed_on.into_iter().filter(|days| days != "none").collect();
        }
        if !self.own_time.is_empty() {
            inbox.own_times = self.own_time.into_iter().flatten().collect();
        }
        ensure!(!inbox.calendar.is_empty(), "a new inbox needs --calendar, such as 24x7");
        self.signing.put(&client, Change::Inbox(inbox), as_change(before, Change::Inbox)).await
    }
}

fn closed_on(text: &str) -> Result<String, String> {
    match text == "none" || calendar::days(text).is_some() {
        true => Ok(text.to_owned()),
        false => {
            Err("must be a day such as 2026-10-12, or a first and a last of at most 60, such \
                      as 2026-10-12/2026-10-23"
                .to_owned())
        }
    }
}

fn own_time(text: &str) -> Result<Option<proto::OwnTime>, String> {
    if text == "none" {
        return Ok(None);
    }
    let read = || {
        let (urgency, minutes) = text.split_once('=')?;
        let (acknowledge, decide) = minutes.split_once('/').unwrap_or((minutes, "0"));
        let (acknowledge_minutes, decide_minutes) =
            (acknowledge.parse().ok()?, decide.parse().ok()?);
        let urgency = Urgency::parse(urgency)?.as_str().to_owned();
        Some(proto::OwnTime { urgency, acknowledge_minutes, decide_minutes })
    };
    let rule = "must be an urgency and minutes, such as immediate=10/45, or urgent=30";
    read().map(Some).ok_or_else(|| rule.to_owned())
}

/// End a signing key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn directory revoke 0123456789abcdef \
    --suspected-since 2026-11-20T18:00:00Z --system x/systems/operator/admin")]
pub(super) struct Revoke {
    /// The key, as `cairn directory show` lists it
    #[arg(value_parser = known::key_id)]
    key: KeyId,
    /// Flag what was signed with it after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    suspected_since: Option<jiff::Timestamp>,
    #[command(flatten)]
    speaker: Speaker,
}

impl Revoke {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let known = Known::read(&client).await?;
        let found = known.directory.key(&self.key);
        let Some(found) = found else {
            anyhow::bail!("{}: no such key; `cairn directory show` lists them", self.key)
        };
        let whose = format!("{}/{}", found.record.agency, found.record.system);
        let revocation = KeyRevocation {
            key_id: self.key.0.to_vec(),
            suspected_since: self.suspected_since.map_or(0, jiff::Timestamp::as_second),
        };
        let now = client::now();
        let another = known.signing_keys.iter().any(|(id, key)| {
            let same = format!("{}/{}", key.agency, key.system) == whose;
            same && *id != self.key && known.standing(id, now) == "valid"
        });
        let code = put(&client, Change::KeyRevocation(revocation), None).await?;
        if !another {
            eprintln!("{whose} has no valid key left: it can say nothing until it has a new one");
        }
        Ok(code)
    }
}

/// Who signs a change, where the directory asks for it.
#[derive(Debug, Args)]
struct Signing {
    /// Systems' folders whose agencies sign the change
    #[arg(long, value_name = "FOLDER", num_args = 1..)]
    signed_by: Vec<PathBuf>,
    /// Write the change to a file for others to sign, then `directory apply` it
    #[arg(long, value_name = "FILE", conflicts_with = "signed_by")]
    write: Option<PathBuf>,
}

impl Signing {
    async fn put(
        &self,
        client: &Client,
        change: Change,
        known: Option<Change>,
    ) -> anyhow::Result<ExitCode> {
        let exchange = client.folder().settings.exchange.as_str();
        let unsigned = registration::unsigned(exchange, change.clone());
        if let Some(path) = &self.write {
            let file = SignedFile::unsigned(&unsigned.change)?;
            files::write_atomic(path, &serde_json::to_vec_pretty(&file)?)
                .with_context(|| path.display().to_string())?;
            let path = path.display();
            super::print::line(format_args!(
                "{path}: have it signed with `cairn directory sign {path} --system FOLDER`"
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.signed_by.is_empty() {
            return put(client, change, known).await;
        }
        let mut file = SignedFile::unsigned(&unsigned.change)?;
        for path in &self.signed_by {
            file.sign(&SystemFolder::open(path)?)?;
        }
        apply(client, file.signed_change()?).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn set(field: &mut String, said: Option<impl ToString>) {
    if let Some(said) = said {
        *field = said.to_string();
    }
}

fn agency_kind(text: &str) -> Result<String, String> {
    let codes = || AGENCY_KINDS.codes.iter().map(|code| code.code).collect::<Vec<_>>().join(", ");
    match AGENCY_KINDS.contains(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("must be one of: {}", codes())),
    }
}

/// The system of this name, if the directory has it.
pub(super) fn system_change(agency: &str, name: &str, roles: Vec<String>) -> Change {
    let (agency, name) = (agency.to_owned(), name.to_owned());
    Change::System(proto::System { agency, name, roles, suspended: false })
}
