//! The file of people and sessions.
//!
//! JSON, so that an operator can read it; mode 0600. One that says more than this version knows is
//! refused, not guessed at.
//!
//! Holds: I2, I10. Knows: crypto, domain, store, clock, limits.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{Fault, Person, session::Times};
use crate::{
    clock::Moment,
    crypto::passphrase::{KeptPassphrase, TokenDigest},
    domain::ids::SystemName,
    limits,
    store::files,
};

/// What the file holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    people: BTreeMap<SystemName, Known>,
    sessions: Vec<KeptSession>,
}

/// A person, and how that person gets in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub(super) person: Person,
    pub(super) passphrase: Option<KeptPassphrase>,
    link: Option<Link>,
}

/// An invitation's link, until when it is good, and whom it lets in, and until when.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    digest: TokenDigest,
    until: u64,
    person: Person,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptSession {
    digest: TokenDigest,
    sign_in: SystemName,
    times: Times,
}

impl Kept {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        files::write_atomic(path, &serde_json::to_vec_pretty(self)?)
    }

    pub(super) fn known(&self, sign_in: &SystemName) -> Option<&Known> {
        self.people.get(sign_in)
    }

    pub(super) fn people(&self) -> usize {
        self.people.len()
    }

    /// Everybody, and whether they have a passphrase.
    pub(super) fn all(&self) -> Vec<(Person, bool)> {
        let all = self.people.values();
        all.map(|known| (known.person.clone(), known.passphrase.is_some())).collect()
    }

    /// A new link for this person; what got the same person in before goes on, as it was, until
    /// it is used. Another person of that name gets in by the link alone.
    pub(super) fn invite(&mut self, person: Person, digest: TokenDigest, until: Moment) {
        let link = Some(Link { digest, until: until.seconds(), person: person.clone() });
        let sign_in = person.sign_in.clone();
        match self.people.get_mut(&sign_in).filter(|known| known.person.is_same(&person)) {
            Some(known) => known.link = link,
            None => {
                self.sessions.retain(|session| session.sign_in != sign_in);
                self.people.insert(sign_in, Known { person, passphrase: None, link });
            }
        }
    }

    /// Makes room by forgetting those whose time is over, if there is any to be made.
    pub(super) fn make_room(&mut self, now: Moment) {
        self.people.retain(|_, known| known.person.until > now.seconds());
    }

    /// Who a link is for.
    pub(super) fn invited(&self, digest: &TokenDigest, now: Moment) -> Result<&Person, Fault> {
        let mut all = self.people.values();
        let found = all.find_map(|known| {
            let link = known.link.as_ref().filter(|link| link.digest == *digest)?;
            Some((&link.person, link.until))
        });
        let (person, until) = found.ok_or(Fault::LinkUnknown)?;
        match now.seconds() {
            now if person.until <= now => Err(Fault::AccessEnded(Box::new(person.clone()))),
            now if until <= now => Err(Fault::LinkExpired(Box::new(person.clone()))),
            _ => Ok(person),
        }
    }

    /// The link is used: from now on only this passphrase lets the person in.
    pub(super) fn join(&mut self, sign_in: &SystemName, passphrase: KeptPassphrase) {
        self.sessions.retain(|session| session.sign_in != *sign_in);
        if let Some(known) = self.people.get_mut(sign_in)
            && let Some(link) = known.link.take()
        {
            known.person = link.person;
            known.passphrase = Some(passphrase);
        }
    }

    /// Begins a session; of this person's, only the newest stay.
    pub(super) fn begin(
        &mut self,
        sign_in: &SystemName,
        digest: TokenDigest,
        now: Moment,
    ) -> Times {
        let people = &self.people;
        self.sessions.retain(|session| {
            people.get(&session.sign_in).is_some_and(|known| session.times.run(&known.person, now))
        });
        let own = |session: &&KeptSession| session.sign_in == *sign_in;
        if self.sessions.iter().filter(own).count() >= limits::SESSIONS_PER_PERSON_MAX
            && let Some(oldest) = self.sessions.iter().position(|session| own(&session))
        {
            self.sessions.remove(oldest);
        }
        let times = Times { began: now.seconds(), proved: now.seconds() };
        self.sessions.push(KeptSession { digest, sign_in: sign_in.clone(), times });
        times
    }

    /// Whether the passphrase that was just found right is still this person's, and the person
    /// still may: it takes a while to find out.
    pub(super) fn must_still_be(&self, proved: &Known) -> Result<(), Fault> {
        let known = self.people.get(&proved.person.sign_in).ok_or(Fault::Wrong)?;
        let same = known.passphrase == proved.passphrase && known.person == proved.person;
        if same { Ok(()) } else { Err(Fault::Wrong) }
    }

    /// The person and the times of a session that runs.
    pub(super) fn session(&self, digest: &TokenDigest, now: Moment) -> Option<(&Person, Times)> {
        let session = self.sessions.iter().find(|session| session.digest == *digest)?;
        let person = &self.people.get(&session.sign_in)?.person;
        session.times.run(person, now).then_some((person, session.times))
    }

    /// The passphrase was given again.
    pub(super) fn proved(&mut self, digest: &TokenDigest, now: Moment) {
        if let Some(session) = self.sessions.iter_mut().find(|known| known.digest == *digest) {
            session.times.proved = now.seconds();
        }
    }

    pub(super) fn end_session(&mut self, digest: &TokenDigest) {
        self.sessions.retain(|session| session.digest != *digest);
    }

    /// Ends a person's access from now on. The name stays theirs.
    pub(super) fn end(&mut self, sign_in: &SystemName, now: Moment) -> Option<Person> {
        self.sessions.retain(|session| session.sign_in != *sign_in);
        let known = self.people.get_mut(sign_in)?;
        known.link = None;
        known.passphrase = None;
        known.person.until = known.person.until.min(now.seconds());
        Some(known.person.clone())
    }
}
