//! Who is who, as of an entry number: areas, agencies, systems, inboxes, keys,
//! caller roles and agreements.
//!
//! A pure fold of directory entries. [`Directory::judge`] decides whether a change
//! may be made; [`Directory::apply`] makes it. A client folds the same changes and
//! so sees what the server sees, signatures included.
//!
//! Holds: I2. Knows: proto, crypto, domain, clock.

mod judge;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    clock::Moment,
    crypto::{
        seal::SealingPublicKey,
        sign::{KeyId, PublicKey},
    },
    domain::{
        calendar::{Calendar, Clock},
        deadline::Duty,
        ids::InboxId,
        refusal::Refusal,
        vocabulary::Urgency,
    },
    proto::{self, directory_change::Change},
};

/// What a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Pushes and receives statements for its agency.
    Agency,
    /// Asks questions of the ledger.
    Auditor,
    /// Changes the directory.
    DirectoryAdmin,
    /// Sees what is not getting through.
    OnCall,
    /// Cosigns checkpoints.
    Witness,
}

impl Role {
    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "agency" => Self::Agency,
            "auditor" => Self::Auditor,
            "directory_admin" => Self::DirectoryAdmin,
            "on_call" => Self::OnCall,
            "witness" => Self::Witness,
            _ => return None,
        })
    }
}

/// A signing key and its standing.
#[derive(Debug, Clone)]
pub struct KnownKey {
    /// Whose it is, from when to when.
    pub record: proto::SigningKey,
    /// The key itself.
    pub public: PublicKey,
    /// When it was revoked, with the time from which it is suspected (0: not at all).
    pub revoked: Option<i64>,
}

impl KnownKey {
    /// Whether it may sign keys and agreements: a key confined to kinds of statement or
    /// to inboxes may not.
    pub fn speaks_for_agency(&self) -> bool {
        self.record.kinds.is_empty() && self.record.inboxes.is_empty()
    }

    /// Whether it may sign at this moment.
    pub fn valid_at(&self, now: Moment) -> bool {
        self.revoked.is_none() && window_holds(self.record.valid_from, self.record.valid_to, now)
    }
}

/// A sealing key with the signed change that registered it.
#[derive(Debug, Clone)]
pub struct KnownSealingKey {
    /// Its id.
    pub id: KeyId,
    /// From when to when, and the key's bytes.
    pub record: proto::SealingKey,
    /// The change, for clients to check.
    pub registered: proto::SignedChange,
}

/// Who is who as of one entry.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    exchange: String,
    as_of: u64,
    areas: BTreeMap<String, proto::Area>,
    agencies: BTreeMap<String, proto::Agency>,
    systems: BTreeMap<(String, String), proto::System>,
    inboxes: BTreeMap<InboxId, proto::Inbox>,
    /// The calendar of each inbox, its own days off included.
    calendars: BTreeMap<InboxId, Arc<Calendar>>,
    /// Each agency's inboxes in the order in which they were registered.
    order: BTreeMap<String, Vec<InboxId>>,
    keys: BTreeMap<KeyId, KnownKey>,
    sealing: BTreeMap<InboxId, Vec<KnownSealingKey>>,
    agreements: BTreeMap<String, (proto::Agreement, proto::SignedChange)>,
}

impl Directory {
    /// An empty directory of this exchange.
    pub fn of(exchange: &str) -> Self {
        Self { exchange: exchange.to_owned(), ..Self::default() }
    }

    /// The exchange's origin name.
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// The number of the last entry folded in, plus one; 0 for none.
    pub fn as_of(&self) -> u64 {
        self.as_of
    }

    /// The agency of this id.
    pub fn agency(&self, id: &str) -> Option<&proto::Agency> {
        self.agencies.get(id)
    }

    /// The area of an agency.
    pub fn area_of(&self, agency: &str) -> Option<&proto::Area> {
        self.areas.get(&self.agencies.get(agency)?.area)
    }

    /// All areas, by id.
    pub fn areas(&self) -> impl Iterator<Item = &proto::Area> {
        self.areas.values()
    }

    /// The inbox that looks at what an area's agencies sent outside any agreement, if it takes
    /// anything.
    pub fn reviewer_of(&self, area: &proto::Area) -> Option<InboxId> {
        let named = if area.reviewer.is_empty() { &area.catch_all } else { &area.reviewer };
        let inbox: InboxId = named.parse().ok()?;
        self.inboxes.get(&inbox).is_some_and(|known| !known.retired).then_some(inbox)
    }

    /// All agencies, by id.
    pub fn agencies(&self) -> impl Iterator<Item = &proto::Agency> {
        self.agencies.values()
    }

    /// The inbox of this id.
    pub fn inbox(&self, id: &InboxId) -> Option<&proto::Inbox> {
        self.inboxes.get(id)
    }

    /// The calendar that an inbox works by.
    pub fn calendar(&self, id: &InboxId) -> Option<&Arc<Calendar>> {
        self.calendars.get(id)
    }

    /// How long an inbox gives itself for a duty, where it has a time of its own.
    pub fn own_time(&self, inbox: &str, duty: Duty, urgency: Urgency) -> Option<Clock> {
        let inbox = self.inboxes.get(&inbox.parse::<InboxId>().ok()?)?;
        let own = inbox.own_times.iter().find(|own| own.urgency == urgency.as_str())?;
        let minutes = match duty {
            Duty::Acknowledge => own.acknowledge_minutes,
            Duty::Decide => own.decide_minutes,
            Duty::Feedback => 0,
        };
        let clock = match urgency.cannot_wait() {
            true => Clock::Elapsed(minutes),
            false => Clock::WorkingMinutes(minutes),
        };
        (minutes > 0).then_some(clock)
    }

    /// An agency's inboxes, its first one first.
    pub fn inboxes_of(&self, agency: &str) -> impl Iterator<Item = &InboxId> {
        self.order.get(agency).into_iter().flatten()
    }

    /// The signing key of this id.
    pub fn key(&self, id: &KeyId) -> Option<&KnownKey> {
        self.keys.get(id)
    }

    /// The signing keys of an agency's systems, those that are over too.
    pub fn keys_of<'d>(&'d self, agency: &'d str) -> impl Iterator<Item = &'d KnownKey> {
        self.keys.values().filter(move |key| key.record.agency == agency)
    }

    /// The agreement of this id.
    pub fn agreement(&self, id: &str) -> Option<&proto::Agreement> {
        self.agreements.get(id).map(|(agreement, _)| agreement)
    }

    /// All agreements, by id.
    pub fn agreements(&self) -> impl Iterator<Item = &proto::Agreement> {
        self.agreements.values().map(|(agreement, _)| agreement)
    }

    /// The sealing keys of an inbox, oldest first.
    pub fn sealing_keys_of(&self, inbox: &InboxId) -> &[KnownSealingKey] {
        self.sealing.get(inbox).map_or(&[], Vec::as_slice)
    }

    /// The systems of an agency, suspended ones too.
    pub fn systems_of<'d>(&'d self, agency: &'d str) -> impl Iterator<Item = &'d proto::System> {
        self.systems.values().filter(move |system| system.agency == agency)
    }

    /// Whether this system is known, not suspended, and has the role.
    pub fn has_role(&self, agency: &str, system: &str, role: Role) -> bool {
        self.systems.get(&(agency.to_owned(), system.to_owned())).is_some_and(|known| {
            !known.suspended && known.roles.iter().any(|name| Role::named(name) == Some(role))
        })
    }

    /// Whether this system is known and not suspended.
    pub fn knows_system(&self, agency: &str, system: &str) -> bool {
        self.systems
            .get(&(agency.to_owned(), system.to_owned()))
            .is_some_and(|known| !known.suspended)
    }

    /// The key that bodies for this inbox are sealed to now.
    pub fn sealing_key(&self, inbox: &InboxId, now: Moment) -> Option<&KnownSealingKey> {
        let valid =
            |key: &&KnownSealingKey| window_holds(key.record.valid_from, key.record.valid_to, now);
        self.sealing.get(inbox)?.iter().rev().find(valid)
    }

    /// Whether this is, or was, a sealing key of the inbox.
    pub fn is_sealing_key(&self, inbox: &InboxId, id: &KeyId) -> bool {
        self.sealing.get(inbox).is_some_and(|keys| keys.iter().any(|key| key.id == *id))
    }

    /// The inboxes that may come to stand in for these: each deputy chain, then each
    /// area's out-of-hours inbox. Never one of `to` itself.
    pub fn stand_ins(&self, to: &[InboxId]) -> Vec<InboxId> {
        let mut found: Vec<InboxId> = Vec::new();
        let mut add = |id: &InboxId| {
            if self.inboxes.contains_key(id) && !to.contains(id) && !found.contains(id) {
                found.push(id.clone());
            }
        };
        let named = |id: &str| id.parse::<InboxId>().ok();
        for inbox in to {
            let mut seen = vec![inbox.clone()];
            let deputy_of = |id: &InboxId| named(&self.inboxes.get(id)?.deputy);
            let mut next = deputy_of(inbox);
            while let Some(deputy) = next.filter(|deputy| !seen.contains(deputy)) {
                add(&deputy);
                next = deputy_of(&deputy);
                seen.push(deputy);
            }
            let area = self.area_of(inbox.agency());
            if let Some(out_of_hours) = area.and_then(|area| named(&area.out_of_hours)) {
                add(&out_of_hours);
            }
        }
        found
    }

    /// Makes a change that [`Directory::judge`] allowed and the ledger holds as
    /// entry `entry`.
    pub fn apply(&mut self, entry: u64, signed: &proto::SignedChange) {
        self.as_of = entry + 1;
        let Ok(change) = proto::decode::<proto::DirectoryChange>(&signed.change) else { return };
        match change.change {
            Some(Change::Area(area)) => drop(self.areas.insert(area.id.clone(), area)),
            Some(Change::Agency(agency)) => {
                self.agencies.insert(agency.id.clone(), agency);
            }
            Some(Change::System(system)) => {
                self.systems.insert((system.agency.clone(), system.name.clone()), system);
            }
            Some(Change::Inbox(inbox)) => {
                if let Ok(id) = inbox.id.parse::<InboxId>() {
                    let order = self.order.entry(id.agency().to_string()).or_default();
                    if !order.contains(&id) {
                        order.push(id.clone());
                    }
                    let calendar = Calendar::named_or_strictest(&inbox.calendar);
                    let calendar = Arc::new(calendar.closed_on_days(&inbox.closed_on));
                    self.calendars.insert(id.clone(), calendar);
                    self.inboxes.insert(id, inbox);
                }
            }
            Some(Change::SigningKey(record)) => self.add_signing_key(record),
            Some(Change::SealingKey(record)) => self.add_sealing_key(record, signed),
            Some(Change::Agreement(agreement)) => {
                self.agreements.insert(agreement.id.clone(), (agreement, signed.clone()));
            }
            Some(Change::KeyRevocation(revocation)) => {
                let known = key_id(&revocation.key_id).ok().and_then(|id| self.keys.get_mut(&id));
                if let Some(known) = known {
                    known.revoked = Some(revocation.suspected_since);
                }
            }
            None => {}
        }
    }

    fn add_signing_key(&mut self, record: proto::SigningKey) {
        if let Ok(public) = public_key(&record.public_key) {
            self.keys.insert(public.key_id(), KnownKey { record, public, revoked: None });
        }
    }

    fn add_sealing_key(&mut self, record: proto::SealingKey, signed: &proto::SignedChange) {
        let public = SealingPublicKey::from_bytes(&record.public_key);
        if let (Ok(inbox), Ok(public)) = (record.inbox.parse::<InboxId>(), public) {
            let id = public.key_id();
            let registered = signed.clone();
            self.sealing.entry(inbox).or_default().push(KnownSealingKey { id, record, registered });
        }
    }

    /// The signed change by which an agreement came into force.
    pub fn agreement_as_signed(&self, id: &str) -> Option<&proto::SignedChange> {
        self.agreements.get(id).map(|(_, signed)| signed)
    }
}

/// What a change is about, for facts: no personal data.
pub fn subject(change: &proto::DirectoryChange) -> (&'static str, String) {
    match &change.change {
        Some(Change::Area(area)) => ("area", area.id.clone()),
        Some(Change::Agency(agency)) => ("agency", agency.id.clone()),
        Some(Change::System(system)) => ("system", format!("{}/{}", system.agency, system.name)),
        Some(Change::Inbox(inbox)) => ("inbox", inbox.id.clone()),
        Some(Change::SigningKey(key)) => ("signing_key", format!("{}/{}", key.agency, key.system)),
        Some(Change::SealingKey(key)) => ("sealing_key", key.inbox.clone()),
        Some(Change::Agreement(agreement)) => ("agreement", agreement.id.clone()),
        Some(Change::KeyRevocation(_)) => ("key_revocation", String::new()),
        None => ("", String::new()),
    }
}

/// A key id from the wire.
///
/// # Errors
/// [`Refusal::FieldInvalid`] unless it is 8 bytes.
pub fn key_id(bytes: &[u8]) -> Result<KeyId, Refusal> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| invalid("key_id", "must be 8 bytes"))?;
    Ok(KeyId(bytes))
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, Refusal> {
    let bytes: &[u8; 32] =
        bytes.try_into().map_err(|_| invalid("public_key", "must be 32 bytes"))?;
    PublicKey::from_bytes(bytes).map_err(|_| Refusal::WeakKey)
}

fn window_holds(from: i64, to: i64, now: Moment) -> bool {
    let now = now.unix_seconds();
    from <= now && (to == 0 || now < to)
}

fn invalid(field: &'static str, rule: &'static str) -> Refusal {
    Refusal::FieldInvalid { field, rule }
}
