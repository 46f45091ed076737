//! Whether a change of the directory may be made: its shape, what it refers to, and
//! who must have signed it.
//!
//! The same judgement runs in the exchange before a change is appended and in every
//! client that folds it, so whoever runs the exchange cannot slip one in.
//!
//! Holds: I2. Knows: proto, crypto, domain, limits, clock.

use std::collections::BTreeSet;

use super::{Directory, Role, invalid, key_id, public_key};
use crate::{
    clock::Moment,
    crypto::{
        seal::SealingPublicKey,
        sign::{DIRECTORY_TYPE, PublicKey, verify_dsse},
    },
    domain::{
        calendar::{self, Clock},
        deadline::Duty,
        ids::{AgencyId, AgreementId, InboxId, SystemName},
        profile::Profile,
        refusal::Refusal,
        vocabulary::Urgency,
    },
    limits,
    proto::{self, directory_change::Change},
};

impl Directory {
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
            Change::Area(area) => self.judge_area(area, signed, now)?,
            Change::Agency(agency) => self.judge_agency(agency, signed, now)?,
            Change::System(system) => self.judge_system(system)?,
            Change::Inbox(inbox) => self.judge_inbox(inbox, signed, now)?,
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

    /// Bodies are sealed to an area's out-of-hours inbox too, so whoever answers for the
    /// area signs: the agency of its catch-all inbox, the one before and the new one,
    /// and those of the out-of-hours inbox and of the reviewer.
    fn judge_area(
        &self,
        area: &proto::Area,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        bounded("area.id", &area.id, limits::NAME_BYTES_MAX)?;
        let before = self.areas.get(&area.id).map_or("", |before| &before.catch_all);
        for name in [before, &area.catch_all, &area.out_of_hours, &area.reviewer] {
            if !name.is_empty() {
                let inbox = parsed::<InboxId>("area", name)?;
                self.must_be_signed_by(inbox.agency(), signed, now)?;
            }
        }
        Ok(())
    }

    /// What is an agency's own is changed by its signature, once it has a key.
    fn must_be_its_own(
        &self,
        agency: &str,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        match self.keys.values().any(|known| known.record.agency == agency) {
            true => self.must_be_signed_by(agency, signed, now),
            false => Ok(()),
        }
    }

    fn judge_agency(
        &self,
        agency: &proto::Agency,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        self.must_be_its_own(&agency.id, signed, now)?;
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

    fn judge_inbox(
        &self,
        inbox: &proto::Inbox,
        signed: &proto::SignedChange,
        now: Moment,
    ) -> Result<(), Refusal> {
        let id = parsed::<InboxId>("inbox.id", &inbox.id)?;
        self.must_have_agency(id.agency())?;
        self.must_be_its_own(id.agency(), signed, now)?;
        bounded("inbox.calendar", &inbox.calendar, limits::CODE_BYTES_MAX)?;
        if inbox.closed_on.len() > limits::CLOSED_ON_MAX {
            return Err(invalid("inbox.closed_on", "at most 64 days or spans of days"));
        }
        if inbox.closed_on.iter().any(|text| calendar::days(text).is_none()) {
            let rule = "must be days such as 2026-10-12, or a first and a last of at most 60, such \
                        as 2026-10-12/2026-10-23";
            return Err(invalid("inbox.closed_on", rule));
        }
        judge_own_times(&inbox.own_times)?;
        if inbox.deputy == inbox.id {
            return Err(invalid("inbox.deputy", "an inbox cannot be its own deputy"));
        }
        // Bodies are sealed to a deputy too, so naming one always takes the agency's
        // signature. It may be added later than the inbox it stands in for.
        if !inbox.deputy.is_empty() {
            parsed::<InboxId>("inbox.deputy", &inbox.deputy)?;
            self.must_be_signed_by(id.agency(), signed, now)?;
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
            // comes in but by one that the agency has. An agency that has lost them all
            // enrols anew under another id: nobody else can take its place.
            return self.must_be_its_own(&key.agency, signed, now);
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
        self.must_be_signed_by(inbox.agency(), signed, now)
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
        if agreement.profiles.iter().any(|name| !Profile::is_known(name)) {
            let rule = "must be profiles of the code list, such as encompass";
            return Err(invalid("agreement.profiles", rule));
        }
        if agreement.profiles.len() > limits::PROFILES_MAX {
            return Err(invalid("agreement.profiles", "at most 16"));
        }
        if agreement.review_key.is_empty() {
            bounded("agreement.no_review_key_reason", &agreement.no_review_key_reason, 256)?;
        } else {
            SealingPublicKey::from_bytes(&agreement.review_key)
                .map_err(|_| invalid("agreement.review_key", "must be an X-Wing key"))?;
        }
        if let Some((before, _)) = self.agreements.get(&agreement.id) {
            let mut parties = before.parties.iter();
            parties.try_for_each(|party| self.must_be_signed_by(party, signed, now))?;
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
}

/// What [`judge_own_times`] asks for. A test holds it to the times of the urgencies.
const OWN_TIMES_RULE: &str = "must be at most one for each urgency, with fewer minutes than the \
    urgency has: to acknowledge and to decide immediate 15 and 60, urgent 60 and 240, prompt 240 \
    and 480, routine 480 and 1440, information 1440 and no time to decide, a \
    working day being 480; 0 in one of the two leaves it as it is";

/// Times of an inbox's own: each urgency once, and each makes something sooner, so that a mistake
/// is seen.
fn judge_own_times(own: &[proto::OwnTime]) -> Result<(), Refusal> {
    let urgencies: BTreeSet<&str> = own.iter().map(|own| own.urgency.as_str()).collect();
    match urgencies.len() == own.len() && own.iter().all(tightens) {
        true => Ok(()),
        false => Err(invalid("inbox.own_times", OWN_TIMES_RULE)),
    }
}

fn tightens(own: &proto::OwnTime) -> bool {
    let Some(urgency) = Urgency::parse(&own.urgency) else { return false };
    let said = [(Duty::Acknowledge, own.acknowledge_minutes), (Duty::Decide, own.decide_minutes)];
    let mut said = said.into_iter().filter(|(_, minutes)| *minutes > 0).peekable();
    let sooner = |(duty, minutes)| minutes < minutes_allowed(duty, urgency);
    said.peek().is_some() && said.all(sooner)
}

/// How many minutes an urgency has for a duty; 0 where there is nothing to do.
fn minutes_allowed(duty: Duty, urgency: Urgency) -> u32 {
    match duty.time_allowed(urgency) {
        Some(Clock::Elapsed(minutes) | Clock::WorkingMinutes(minutes)) => minutes,
        Some(Clock::WorkingDays(days)) => days * limits::WORKING_DAY_MINUTES,
        Some(Clock::CalendarDays(_) | Clock::NextSchoolDay) | None => 0,
    }
}

fn signed_by(signed: &proto::SignedChange, public: &PublicKey) -> bool {
    signed.signatures.iter().any(|signature| verifies(public, &signed.change, signature))
}

fn verifies(public: &PublicKey, change: &[u8], signature: &proto::Signature) -> bool {
    let named = signature.key_id == public.key_id().0;
    let bytes = <&[u8; 64]>::try_from(signature.signature.as_slice());
    named && bytes.is_ok_and(|bytes| verify_dsse(public, DIRECTORY_TYPE, change, bytes).is_ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(urgency: &str, acknowledge_minutes: u32, decide_minutes: u32) -> bool {
        let urgency = urgency.to_owned();
        judge_own_times(&[proto::OwnTime { urgency, acknowledge_minutes, decide_minutes }]).is_ok()
    }

    #[test]
    fn a_time_of_its_own_is_shorter_than_the_urgencys_and_the_rule_says_how_short() {
        for urgency in Urgency::ALL {
            let word = urgency.as_str();
            let [acknowledge, decide] =
                [Duty::Acknowledge, Duty::Decide].map(|duty| minutes_allowed(duty, urgency));
            let decide_said = if decide == 0 { "no time".into() } else { decide.to_string() };
            let said = format!("{word} {acknowledge} and {decide_said}");
            assert!(OWN_TIMES_RULE.contains(&said), "{said}");
            assert!(judged(word, acknowledge - 1, 0) && !judged(word, acknowledge, 0));
            assert!(!judged(word, 0, decide), "{word}: what is no sooner");
            assert!(!judged(word, 1, decide.max(1)), "{word}: one of them is no sooner");
            assert!(decide == 0 || judged(word, 0, decide - 1));
            assert!(!judged(word, 0, 0), "{word}: nothing of its own");
        }
        assert!(!judged("urgently", 1, 0));
    }
}
