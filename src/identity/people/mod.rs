//! Who may sign in at the console, and who has.
//!
//! A directory administrator invites a person to act as one system of the directory, until a
//! time. The link that comes of it is good once: with it the person chooses a passphrase, and
//! signs in by that from then on. What a person may do is what the directory lets that system do,
//! asked again at each request; nothing here grants anything.
//!
//! All of it is one small file of the data folder, replaced whole before an answer leaves, so that
//! a restart at 3 am signs nobody out. It holds nothing that opens anything: of links and cookies
//! their SHA-256, of passphrases Argon2id.
//!
//! Holds: I2, I10, I14. Knows: crypto, domain, store, proto, clock, limits.

mod attempts;
mod kept;
mod session;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

pub use self::session::{Session, SignedIn, Times};
use self::{
    attempts::Attempts,
    kept::{Kept, Known},
};
use crate::{
    clock::Moment,
    crypto::passphrase::{KeptPassphrase, Token, TokenDigest},
    domain::ids::{AgencyId, ExchangeName, SystemName},
    identity::Peer,
    limits, proto,
};

/// One who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What the person types to sign in: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub sign_in: SystemName,
    /// As which system of the directory.
    pub agency: AgencyId,
    /// See [`Person::agency`].
    pub system: SystemName,
    /// The name, 1 to 128 bytes.
    pub name: String,
    /// The post, 1 to 128 bytes.
    pub post: String,
    /// The staff number, or empty.
    pub staff_id: String,
    /// Until when, Unix seconds.
    pub until: u64,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The person's time is over, or was ended.
    #[error("the access of this person has ended")]
    AccessEnded(Box<Person>),
    /// There is no room.
    #[error("there are {} people already; end the access of some", limits::PEOPLE_MAX)]
    Full,
    /// The file could not be replaced; nothing has changed.
    #[error("{path}: {source}")]
    Kept {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The link's day is over.
    #[error("the link has expired")]
    LinkExpired(Box<Person>),
    /// No such link, or it was used.
    #[error("the link is not known, or was used")]
    LinkUnknown,
    /// No chance to be had from the system.
    #[error(transparent)]
    NoChance(#[from] crate::crypto::KeyError),
    /// Nobody has this name.
    #[error("nobody signs in by this name")]
    Nobody,
    /// Too short or too long.
    #[error(
        "a passphrase has {} characters or more and at most {} bytes",
        limits::PASSPHRASE_CHARS_MIN,
        limits::PASSPHRASE_BYTES_MAX
    )]
    Passphrase,
    /// The name is somebody's at another system.
    #[error("this name is taken by somebody who signs in as another system")]
    Taken,
    /// Too many wrong ones; ask again after this.
    #[error("too many wrong passphrases")]
    Wait(Duration),
    /// Name or passphrase are wrong.
    #[error("the name or the passphrase is wrong")]
    Wrong,
}

/// Everybody, and their sessions.
pub struct People {
    path: PathBuf,
    exchange: ExchangeName,
    kept: ArcSwap<Kept>,
    /// Held by whoever replaces the file; readers do not wait for the disk.
    writing: Mutex<()>,
    attempts: Mutex<Attempts>,
}

impl People {
    /// Reads the file, or begins one.
    ///
    /// # Errors
    /// [`Fault::Kept`] if it is there and cannot be read.
    pub fn open(path: &Path, exchange: ExchangeName) -> Result<Self, Fault> {
        let kept = Kept::read(path)
            .map_err(|source| Fault::Kept { path: path.display().to_string(), source })?;
        let (kept, writing, attempts) =
            (ArcSwap::from_pointee(kept), Mutex::default(), Mutex::default());
        Ok(Self { path: path.to_owned(), exchange, kept, writing, attempts })
    }

    /// Lets a person in until [`Person::until`], by a link that is good for
    /// [`limits::LINK_TIME_MAX`]. Somebody who is known by that name at the same system gets a new
    /// link, and the sessions and the passphrase of before are over once it is used.
    ///
    /// # Errors
    /// [`Fault::Taken`], [`Fault::Full`] or what keeps the file from being replaced.
    pub fn invite(&self, person: &Person, now: Moment) -> Result<Token, Fault> {
        let link = Token::draw()?;
        let until = now.after(limits::LINK_TIME_MAX);
        self.change(|kept| {
            let known = kept.known(&person.sign_in);
            if known.is_some_and(|known| !known.person.is_same_system(person)) {
                return Err(Fault::Taken);
            }
            if known.is_none() && kept.people() >= limits::PEOPLE_MAX {
                kept.make_room(now);
                if kept.people() >= limits::PEOPLE_MAX {
                    return Err(Fault::Full);
                }
            }
            kept.invite(person.clone(), link.digest(), until);
            Ok(())
        })?;
        Ok(link)
    }

    /// Who a link is for.
    ///
    /// # Errors
    /// [`Fault::LinkUnknown`], [`Fault::LinkExpired`], [`Fault::AccessEnded`].
    pub fn invited(&self, link: &str, now: Moment) -> Result<Person, Fault> {
        self.kept.load().invited(&TokenDigest::of(link), now).cloned()
    }

    /// Uses a link: the person has this passphrase from now on, and is signed in.
    ///
    /// # Errors
    /// As [`People::invited`], and [`Fault::Passphrase`].
    pub fn join(&self, link: &str, passphrase: &str, now: Moment) -> Result<SignedIn, Fault> {
        let chars = passphrase.chars().count();
        if chars < limits::PASSPHRASE_CHARS_MIN || passphrase.len() > limits::PASSPHRASE_BYTES_MAX {
            return Err(Fault::Passphrase);
        }
        let link = TokenDigest::of(link);
        // Not stretched for a link that is good for nothing, nor while others wait for the file.
        self.kept.load().invited(&link, now)?;
        let passphrase = KeptPassphrase::of(passphrase)?;
        let cookie = Token::draw()?;
        let (person, times) = self.change(|kept| {
            let person = kept.invited(&link, now)?.clone();
            kept.join(&person.sign_in, passphrase);
            let times = kept.begin(&person.sign_in, cookie.digest(), now);
            Ok((person, times))
        })?;
        self.attempts().right(person.sign_in.as_str());
        Ok(self.signed_in(cookie, person, times))
    }

    /// Signs in by name and passphrase.
    ///
    /// # Errors
    /// [`Fault::Wrong`], [`Fault::Wait`], [`Fault::AccessEnded`] once the passphrase was right.
    pub fn sign_in(&self, name: &str, passphrase: &str, now: Moment) -> Result<SignedIn, Fault> {
        let known = self.prove(name, name, passphrase, now)?;
        let cookie = Token::draw()?;
        let sign_in = &known.person.sign_in;
        let times = self.change(|kept| {
            kept.must_still_be(&known)?;
            Ok(kept.begin(sign_in, cookie.digest(), now))
        })?;
        Ok(self.signed_in(cookie, known.person, times))
    }

    /// The same passphrase again, by the person of a session: that person may act for another
    /// while.
    ///
    /// # Errors
    /// As [`People::sign_in`].
    pub fn sign_in_again(
        &self,
        session: &Session,
        passphrase: &str,
        now: Moment,
    ) -> Result<(), Fault> {
        // Strangers who guess at the name keep nobody from acting who is signed in.
        let counted = format!("{}?", session.form);
        let known = self.prove(&counted, session.person.sign_in.as_str(), passphrase, now)?;
        self.change(|kept| {
            kept.must_still_be(&known)?;
            kept.proved(&session.digest, now);
            Ok(())
        })
    }

    /// Whoever has this name and passphrase, wrong ones counted under `counted`. As slow for a
    /// name that nobody has.
    fn prove(
        &self,
        counted: &str,
        name: &str,
        passphrase: &str,
        now: Moment,
    ) -> Result<Known, Fault> {
        self.attempts().may(counted, now).map_err(Fault::Wait)?;
        let name = name.parse::<SystemName>().ok();
        let known = name.as_ref().and_then(|name| self.kept.load().known(name).cloned());
        let passphrase_of = known.as_ref().and_then(|known| known.passphrase.clone());
        let right = passphrase.len() <= limits::PASSPHRASE_BYTES_MAX
            && passphrase_of.unwrap_or_else(KeptPassphrase::nobodys).is(passphrase);
        match known.filter(|_| right) {
            None => {
                // What is no name at all is not kept.
                if name.is_some() {
                    self.attempts().wrong(counted, now);
                }
                Err(Fault::Wrong)
            }
            Some(known) => {
                self.attempts().right(counted);
                match known.person.until > now.seconds() {
                    true => Ok(known),
                    false => Err(Fault::AccessEnded(Box::new(known.person))),
                }
            }
        }
    }

    /// The session of a cookie, if it still runs.
    pub fn session(&self, cookie: &str, now: Moment) -> Option<Session> {
        let kept = self.kept.load();
        let (person, times) = kept.session(&TokenDigest::of(cookie), now)?;
        Some(Session::of(cookie, person.clone(), times, &self.exchange))
    }

    /// Whether a session still runs: it has not ended, and nobody ended it.
    pub fn still_runs(&self, session: &Session, now: Moment) -> bool {
        self.kept.load().session(&session.digest, now).is_some()
    }

    /// Ends a session.
    ///
    /// # Errors
    /// What keeps the file from being replaced.
    pub fn sign_out(&self, session: &Session) -> Result<(), Fault> {
        self.change(|kept| {
            kept.end_session(&session.digest);
            Ok(())
        })
    }

    /// Ends a person's access, and all sessions.
    ///
    /// # Errors
    /// [`Fault::Nobody`].
    pub fn end(&self, name: &SystemName, now: Moment) -> Result<Person, Fault> {
        self.change(|kept| kept.end(name, now).ok_or(Fault::Nobody))
    }

    /// As whom a person calls.
    pub fn peer_of(&self, person: &Person) -> Peer {
        Peer::signed_in(person, &self.exchange)
    }

    /// Everybody, by name, and whether they have chosen a passphrase.
    pub fn all(&self) -> Vec<(Person, bool)> {
        self.kept.load().all()
    }

    fn signed_in(&self, cookie: Token, person: Person, times: Times) -> SignedIn {
        let session = Session::of(cookie.as_str(), person, times, &self.exchange);
        SignedIn { cookie, session }
    }

    /// Changes what is kept: in the file first, then here.
    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> Result<T, Fault>) -> Result<T, Fault> {
        // What a thread that panicked left behind is whole: it is replaced whole.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Kept::clone(&self.kept.load());
        let given = change(&mut changed)?;
        changed
            .write(&self.path)
            .map_err(|source| Fault::Kept { path: self.path.display().to_string(), source })?;
        self.kept.store(Arc::new(changed));
        Ok(given)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person {
    /// As the API and the ledger say it.
    pub fn access(&self) -> proto::ConsoleAccess {
        proto::ConsoleAccess {
            sign_in: self.sign_in.to_string(),
            person: Some(self.named()),
            agency: self.agency.to_string(),
            system: self.system.to_string(),
            until: self.until,
        }
    }

    /// As one who says something.
    pub fn named(&self) -> proto::Person {
        proto::Person {
            staff_id: self.staff_id.clone(),
            name: self.name.clone(),
            post: self.post.clone(),
            simulated: false,
        }
    }

    /// Whether it is the same human being, as far as we are told.
    fn is_same(&self, other: &Self) -> bool {
        let who =
            |person: &Self| (person.name.clone(), person.post.clone(), person.staff_id.clone());
        self.is_same_system(other) && who(self) == who(other)
    }

    fn is_same_system(&self, other: &Self) -> bool {
        (&self.agency, &self.system) == (&other.agency, &other.system)
    }
}

#[cfg(test)]
mod tests;
