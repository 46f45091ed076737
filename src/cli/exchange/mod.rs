//! A throw-away exchange, for the demonstration and for measurements: founded in a folder,
//! and its directory loaded over the directory service, each agency with its own keys and
//! certificate. Who serves it is the caller's to say.
//!
//! Knows: server, wire::client, identity.

pub(crate) mod parties;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use self::parties::{Agency, Agreement, Area, Parties};
use crate::{
    clock::Moment,
    domain::ids::{ExchangeName, InboxId, RoleName},
    identity::DevelopmentCa,
    ledger::note::Vkey,
    proto::{self, SignedChange, directory_change::Change},
    server::founding::{self, Dates},
    wire::client::{
        Client,
        enrol::{self, Enrolment},
        folder::{SystemFolder, SystemSettings},
    },
};

/// The name of the one system that each simulated agency has.
const SYSTEM: &str = "case-management";

/// A founded exchange, and a client for each agency.
pub(crate) struct Exchange {
    pub(crate) name: ExchangeName,
    pub(crate) folder: PathBuf,
    pub(crate) vkey: Vkey,
    pub(crate) admin: Client,
    pub(crate) on_call: Client,
    pub(crate) auditor: Client,
    pub(crate) agencies: BTreeMap<String, Client>,
    address: String,
    ca: DevelopmentCa,
    dates: Dates,
}

impl Exchange {
    /// Makes it in a folder, to be served at an address of loopback. It and all its clients go
    /// by the clock of `dates`.
    pub(crate) async fn found(
        folder: &Path,
        name: &ExchangeName,
        address: SocketAddr,
        dates: Dates,
    ) -> anyhow::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let vkey = founding::found(folder, name, address, &names, &dates).await?;
        let operator = |system: &str| -> anyhow::Result<Client> {
            let path = folder.join("systems").join(founding::OPERATOR).join(system);
            Ok(Client::by(SystemFolder::open(&path)?, Arc::clone(&dates.clock))?)
        };
        let ca = DevelopmentCa::load(
            &fs::read_to_string(folder.join("ca/ca.pem"))?,
            &fs::read_to_string(folder.join("ca/ca.key"))?,
        )?;
        Ok(Self {
            name: name.clone(),
            folder: folder.to_path_buf(),
            vkey,
            admin: operator("admin")?,
            on_call: operator("on-call")?,
            auditor: operator("auditor")?,
            agencies: BTreeMap::new(),
            address: address.to_string(),
            ca,
            dates,
        })
    }

    /// Now, by its clock.
    pub(crate) fn now(&self) -> Moment {
        self.dates.clock.now()
    }

    /// Loads a directory: areas, agencies with their systems, inboxes and keys, and the
    /// agreements that their parties sign.
    pub(crate) async fn load(
        &mut self,
        parties: &Parties,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        let declared = parties.areas.iter().map(|area| &area.id);
        let named = parties.agencies.iter().map(|agency| &agency.area);
        let areas: BTreeSet<&String> = declared.chain(named).filter(|id| !id.is_empty()).collect();
        for id in areas {
            let area = proto::Area { id: id.clone(), ..Default::default() };
            self.apply(Change::Area(area)).await.with_context(|| format!("area {id}"))?;
        }
        for agency in &parties.agencies {
            progress(agency.id.as_str());
            let client =
                self.enrol(agency).await.with_context(|| format!("agency {}", agency.id))?;
            self.agencies.insert(agency.id.to_string(), client);
        }
        for area in &parties.areas {
            self.lead(area).await.with_context(|| area.id.clone())?;
        }
        for agreement in &parties.agreements {
            progress(&agreement.id);
            self.agree(agreement).await.with_context(|| agreement.id.clone())?;
        }
        for client in self.agencies.values() {
            client.refresh().await?;
        }
        Ok(())
    }

    /// Makes an agency's folder and registers all that is its own.
    pub(crate) async fn enrol(&self, agency: &Agency) -> anyhow::Result<Client> {
        let settings = SystemSettings {
            exchange: self.name.clone(),
            agency: agency.id.clone(),
            system: SYSTEM.parse()?,
            server: self.address.clone(),
            server_name: "localhost".into(),
        };
        let Dates { clock, validity } = &self.dates;
        // From when its certificate is: whoever tries it goes by the machine's clock.
        let since = Moment::of_seconds(validity.not_before_unix);
        let roles: Vec<RoleName> = agency.inboxes.iter().map(|inbox| inbox.role.clone()).collect();
        let (vkey, validity) = (&self.vkey, *validity);
        let enrolment =
            Enrolment { settings, roles: &roles, ca: &self.ca, validity, vkey, secret: None };
        let path = self.folder.join("systems").join(agency.id.as_str()).join(SYSTEM);
        let folder = enrol::make_folder(&path, &enrolment)?;
        self.apply(Change::Agency(proto::Agency {
            id: agency.id.to_string(),
            kind: agency.kind.clone(),
            name: agency.name.clone(),
            area: agency.area.clone(),
        }))
        .await?;
        self.apply(Change::System(proto::System {
            agency: agency.id.to_string(),
            name: SYSTEM.into(),
            roles: vec!["agency".into()],
            suspended: false,
        }))
        .await?;
        self.send_change(enrol::signing_key(&folder, since)).await?;
        for inbox in &agency.inboxes {
            let calendar = if inbox.calendar.is_empty() { "24x7" } else { &inbox.calendar };
            let id = InboxId::new(&agency.id, &inbox.role);
            let deputy = inbox.deputy.as_ref().filter(|deputy| **deputy != id);
            let inbox = Change::Inbox(proto::Inbox {
                id: id.to_string(),
                phone: inbox.phone.clone(),
                calendar: calendar.to_owned(),
                deputy: deputy.map(ToString::to_string).unwrap_or_default(),
                closed_on: inbox.closed_on.clone(),
                ..proto::Inbox::default()
            });
            self.send_change(enrol::signed(self.name.as_str(), inbox, &[&folder])).await?;
        }
        for change in enrol::sealing_keys(&folder, since) {
            self.send_change(change).await?;
        }
        Ok(Client::by(folder, Arc::clone(clock))?)
    }

    /// Names an area's inboxes, signed by those who answer there. One that the pack does
    /// not have could not sign, and is left out.
    async fn lead(&self, area: &Area) -> anyhow::Result<()> {
        let client = |inbox: &str| {
            let agency = inbox.parse::<InboxId>().ok()?.agency().to_string();
            self.agencies.get(&agency)
        };
        let named = |inbox: &str| client(inbox).map(|_| inbox.to_owned()).unwrap_or_default();
        let inboxes = [&area.catch_all, &area.out_of_hours, &area.reviewer];
        let signers: Vec<&SystemFolder> =
            inboxes.into_iter().filter_map(|inbox| client(inbox)).map(Client::folder).collect();
        let change = Change::Area(proto::Area {
            id: area.id.clone(),
            catch_all: named(&area.catch_all),
            out_of_hours: named(&area.out_of_hours),
            senior_post: area.senior.post.clone(),
            senior_phone: area.senior.phone.clone(),
            reviewer: named(&area.reviewer),
        });
        self.send_change(enrol::signed(self.name.as_str(), change, &signers)).await
    }

    /// Brings an agreement into force: every party signs it.
    pub(crate) async fn agree(&self, agreement: &Agreement) -> anyhow::Result<()> {
        self.agree_among(agreement, &self.agencies).await
    }

    /// The same, signed by these clients. A party that is not among them could
    /// neither sign nor send.
    pub(crate) async fn agree_among(
        &self,
        agreement: &Agreement,
        agencies: &BTreeMap<String, Client>,
    ) -> anyhow::Result<()> {
        let known = |party: &&String| agencies.contains_key(*party);
        let parties: Vec<String> = agreement.parties.iter().filter(known).cloned().collect();
        let dated = !agreement.valid_from.is_empty() && !agreement.valid_to.is_empty();
        if parties.is_empty() || !dated {
            return Ok(()); // nobody could sign it, or it never begins
        }
        let signers: Vec<&SystemFolder> =
            parties.iter().map(|party| agencies[party].folder()).collect();
        let change = Change::Agreement(proto::Agreement {
            id: agreement.id.clone(),
            title: agreement.title.clone(),
            parties: parties.clone(),
            classes: agreement.classes.clone(),
            lawful_bases: agreement.lawful_bases.clone(),
            valid_from: agreement.valid_from.clone(),
            valid_to: agreement.valid_to.clone(),
            review_by: agreement.review_by.clone(),
            review_key: Vec::new(),
            profiles: agreement.profiles.clone(),
            no_review_key_reason: "made-up agreement of a demonstration".into(),
        });
        self.send_change(enrol::signed(self.name.as_str(), change, &signers)).await
    }

    async fn apply(&self, change: Change) -> anyhow::Result<()> {
        self.send_change(enrol::unsigned(self.name.as_str(), change)).await
    }

    async fn send_change(&self, change: SignedChange) -> anyhow::Result<()> {
        self.admin.apply(change).await?;
        Ok(())
    }
}
