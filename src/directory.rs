//! Who is who, as of an entry number: areas, agencies, systems, inboxes, keys,
//! caller roles and agreements.
//!
//! A pure fold of directory entries. [`Directory::judge`] decides whether a change
//! may be made; [`Directory::apply`] makes it. A client folds the same changes and
//! so sees what the server sees, signatures included.
//!
//! Holds: I2. Knows: proto, crypto, domain, limits, clock.

use std::collections::BTreeMap;

use crate::{
    clock::Moment,
    crypto::{
        seal::SealingPublicKey,
        sign::{DIRECTORY_TYPE, KeyId, PublicKey, verify_dsse},
    },
    domain::{
        ids::{AgencyId, AgreementId, InboxId, SystemName},
        refusal::Refusal,
    },
    limits,
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

    /// All agencies, by id.
    pub fn agencies(&self) -> impl Iterator<Item = &proto::Agency> {
        self.agencies.values()
    }

    /// The inbox of this id.
    pub fn inbox(&self, id: &InboxId) -> Option<&proto::Inbox> {
        self.inboxes.get(id)
    }

    /// An agency's inboxes, its first one first.
    pub fn inboxes_of(&self, agency: &str) -> impl Iterator<Item = &InboxId> {
        self.order.get(agency).into_iter().flatten()
    }

    /// The signing key of this id.
    pub fn key(&self, id: &KeyId) -> Option<&KnownKey> {
        self.keys.get(id)
    }

    /// The agreement of this id.
    pub fn agreement(&self, id: &str) -> Option<&proto::Agreement> {
        self.agreements.get(id).map(|(agreement, _)| agreement)
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
        let mut add = |id: &str| -> Option<InboxId> {
            let id: InboxId = id.parse().ok()?;
            let fresh = self.inboxes.contains_key(&id) && !to.contains(&id) && !found.contains(&id);
            fresh.then(|| found.push(id.clone()));
            fresh.then_some(id)
        };
        for inbox in to {
            let mut next = self.inboxes.get(inbox).map(|known| known.deputy.clone());
            while let Some(deputy) = next.as_deref().and_then(&mut add) {
                next = self.inboxes.get(&deputy).map(|known| known.deputy.clone());
            }
            let area = self.agencies.get(inbox.agency().as_str()).map(|agency| &agency.area);
            if let Some(area) = area.and_then(|id| self.areas.get(id)) {
                add(&area.out_of_hours);
            }
        }
        found
    }

    /// Decides whether a change may be made: its shape, what it refers to, and who
    /// signed it.
    ///
    /// # Errors
    /// The refusal, which says what to do.
    pub fn judge(
        &self,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<proto::DirectoryChange, Refusal> {
        let change: proto::DirectoryChange = proto::decode(&signed.change)
            .map_err(|_| invalid("change", "not a DirectoryChange"))?;
        if change.exchange != self.exchange {
            return Err(Refusal::WrongExchange);
        }
        match change.change.as_ref().ok_or_else(|| invalid("change", "says nothing"))? {
            Change::Area(area) => bounded("area.id", &area.id, limits::NAME_BYTES_MAX)?,
            Change::Agency(agency) => self.judge_agency(agency)?,
            Change::System(system) => self.judge_system(system)?,
            Change::Inbox(inbox) => self.judge_inbox(inbox)?,
            Change::SigningKey(key) => self.judge_signing_key(key, signed, now)?,
            Change::SealingKey(key) => self.judge_sealing_key(key, signed, now)?,
            Change::Agreement(agreement) => self.judge_agreement(agreement, signed, now)?,
            Change::KeyRevocation(revocation) => {
                let id = key_id(&revocation.key_id)?;
                self.keys.get(&id).ok_or(Refusal::UnknownKey)?;
            }
        }
        Ok(change)
    }

    fn judge_agency(&self, agency: &proto::Agency) -> Result<(), Refusal> {
        parsed::<AgencyId>("agency.id", &agency.id)?;
        bounded("agency.name", &agency.name, 256)?;
        if !agency.area.is_empty() && !self.areas.contains_key(&agency.area) {
            return Err(invalid("agency.area", "no such area: add the area first"));
        }
        Ok(())
    }

    fn judge_system(&self, system: &proto::System) -> Result<(), Refusal> {
        self.must_have_agency(&system.agency)?;
        parsed::<SystemName>("system.name", &system.name)?;
        match system.roles.iter().find(|name| Role::named(name).is_none()) {
            Some(_) => Err(invalid(
                "system.roles",
                "must be agency, on_call, auditor, directory_admin or witness",
            )),
            None => Ok(()),
        }
    }

    fn judge_inbox(&self, inbox: &proto::Inbox) -> Result<(), Refusal> {
        let id = parsed::<InboxId>("inbox.id", &inbox.id)?;
        self.must_have_agency(id.agency().as_str())?;
        bounded("inbox.calendar", &inbox.calendar, limits::CODE_BYTES_MAX)?;
        if inbox.deputy == inbox.id {
            return Err(invalid("inbox.deputy", "an inbox cannot be its own deputy"));
        }
        // A deputy may be added later than the inbox it stands in for.
        if !inbox.deputy.is_empty() {
            parsed::<InboxId>("inbox.deputy", &inbox.deputy)?;
        }
        Ok(())
    }

    fn judge_signing_key(
        &self,
        key: &proto::SigningKey,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        if !self.systems.contains_key(&(key.agency.clone(), key.system.clone())) {
            return Err(invalid("signing_key.system", "no such system: add the system first"));
        }
        let public = public_key(&key.public_key)?;
        if self.keys.contains_key(&public.key_id()) {
            return Err(invalid("signing_key.public_key", "is registered already"));
        }
        // Who registers a key shows that it has it.
        if !signed_by(signed, &public) {
            return Err(Refusal::NotSigned { what: "signing key" });
        }
        if key.predecessor.is_empty() {
            // An agency's very first key is confirmed out of band; after that, no key
            // comes in but by one that the agency has.
            let mut own = self.keys.values().filter(|known| known.record.agency == key.agency);
            return match own.all(|known| known.revoked.is_some()) {
                true => Ok(()),
                false => self.must_be_signed_by(&key.agency, signed, now),
            };
        }
        let predecessor = self.keys.get(&key_id(&key.predecessor)?).ok_or(Refusal::UnknownKey)?;
        let same_system =
            predecessor.record.agency == key.agency && predecessor.record.system == key.system;
        // A confined key cannot bring in one that may say more.
        let within = |new: &[String], old: &[String]| {
            old.is_empty() || (!new.is_empty() && new.iter().all(|name| old.contains(name)))
        };
        let confined = within(&key.kinds, &predecessor.record.kinds)
            && within(&key.inboxes, &predecessor.record.inboxes);
        let signed = predecessor.valid_at(now) && signed_by(signed, &predecessor.public);
        match same_system && confined && signed {
            true => Ok(()),
            false => Err(Refusal::NotSigned { what: "signing key" }),
        }
    }

    fn judge_sealing_key(
        &self,
        key: &proto::SealingKey,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        let inbox = parsed::<InboxId>("sealing_key.inbox", &key.inbox)?;
        if !self.inboxes.contains_key(&inbox) {
            return Err(invalid("sealing_key.inbox", "no such inbox: add the inbox first"));
        }
        SealingPublicKey::from_bytes(&key.public_key).map_err(|_| {
            invalid("sealing_key.public_key", "must be an X-Wing key of 1,216 bytes")
        })?;
        self.must_be_signed_by(inbox.agency().as_str(), signed, now)
    }

    fn judge_agreement(
        &self,
        agreement: &proto::Agreement,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        parsed::<AgreementId>("agreement.id", &agreement.id)?;
        bounded("agreement.title", &agreement.title, 256)?;
        for (field, day) in [
            ("agreement.valid_from", &agreement.valid_from),
            ("agreement.valid_to", &agreement.valid_to),
        ] {
            day.parse::<jiff::civil::Date>()
                .map_err(|_| invalid(field, "must be a day such as 2026-04-01"))?;
        }
        if agreement.review_key.is_empty() {
            bounded("agreement.no_review_key_reason", &agreement.no_review_key_reason, 256)?;
        } else {
            SealingPublicKey::from_bytes(&agreement.review_key)
                .map_err(|_| invalid("agreement.review_key", "must be an X-Wing key"))?;
        }
        if agreement.parties.is_empty() {
            return Err(invalid("agreement.parties", "must name at least one agency"));
        }
        agreement.parties.iter().try_for_each(|party| self.must_be_signed_by(party, signed, now))
    }

    /// One of the agency's valid keys must have signed the change.
    fn must_be_signed_by(
        &self,
        agency: &str,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        self.must_have_agency(agency)?;
        let by_agency = signed.signatures.iter().any(|signature| {
            key_id(&signature.key_id)
                .ok()
                .and_then(|id| self.keys.get(&id))
                .filter(|known| known.record.agency == agency && known.valid_at(now))
                .filter(|known| known.speaks_for_agency())
                .is_some_and(|known| verifies(&known.public, &signed.change, signature))
        });
        if by_agency { Ok(()) } else { Err(Refusal::NotSigned { what: "change" }) }
    }

    fn must_have_agency(&self, agency: &str) -> Result<(), Refusal> {
        match self.agencies.contains_key(agency) {
            true => Ok(()),
            false => Err(invalid("agency", "no such agency: add the agency first")),
        }
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

fn signed_by(signed: &proto::SignedChange, public: &PublicKey) -> bool {
    signed.signatures.iter().any(|signature| verifies(public, &signed.change, signature))
}

fn verifies(public: &PublicKey, change: &[u8], signature: &proto::Signature) -> bool {
    let named = signature.key_id == public.key_id().0;
    let bytes = <&[u8; 64]>::try_from(signature.signature.as_slice());
    named && bytes.is_ok_and(|bytes| verify_dsse(public, DIRECTORY_TYPE, change, bytes).is_ok())
}

fn window_holds(from: i64, to: i64, now: Moment) -> bool {
    let now = now.unix_seconds();
    from <= now && (to == 0 || now < to)
}

fn parsed<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| invalid(field, "1 to 64 of A-Z a-z 0-9 . _ - (inboxes: agency/role)"))
}

fn bounded(field: &'static str, text: &str, most: usize) -> Result<(), Refusal> {
    match text.is_empty() || text.len() > most {
        true => Err(invalid(field, "must not be empty, nor longer than its bound")),
        false => Ok(()),
    }
}

fn invalid(field: &'static str, rule: &'static str) -> Refusal {
    Refusal::FieldInvalid { field, rule }
}
