//! One who is signed in.
//!
//! Holds: I2, I14. Knows: crypto, domain, identity, clock, limits.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Person;
use crate::{
    clock::Moment,
    crypto::passphrase::{Token, TokenDigest},
    domain::ids::ExchangeName,
    identity::Peer,
    limits,
};

/// A session that has just begun.
pub struct SignedIn {
    /// For the browser, and nowhere else.
    pub cookie: Token,
    /// The session.
    pub session: Session,
}

/// One who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who.
    pub person: Person,
    /// As whom the person calls.
    pub peer: Peer,
    /// What every form of this session posts with it, and no other site can know.
    pub form: String,
    /// When it began, and when the passphrase was given last.
    pub times: Times,
    pub(super) digest: TokenDigest,
}

/// When a session began, and when its passphrase was given last. Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// When it began.
    pub began: u64,
    /// When the passphrase was given last.
    pub proved: u64,
}

impl Times {
    /// When it ends by itself, Unix seconds.
    pub fn end(self, person: &Person) -> u64 {
        self.proved.saturating_add(limits::SESSION_TIME_MAX.as_secs()).min(person.until)
    }

    /// Whether it runs.
    pub(super) fn run(self, person: &Person, now: Moment) -> bool {
        now.seconds() < self.end(person)
    }
}

impl Session {
    pub(super) fn of(cookie: &str, person: Person, times: Times, exchange: &ExchangeName) -> Self {
        let peer = Peer::signed_in(&person, exchange);
        let form = Sha256::new().chain_update("cairn/form/v1").chain_update(cookie).finalize();
        let form = URL_SAFE_NO_PAD.encode(form);
        Self { person, peer, form, times, digest: TokenDigest::of(cookie) }
    }

    /// Whether the passphrase was given so lately that this person may act.
    pub fn may_act(&self, now: Moment) -> bool {
        now < Moment::of_seconds(self.times.proved).after(limits::PROOF_TIME_MAX)
    }

    /// By what it is told from other sessions; opens nothing.
    pub fn id(&self) -> TokenDigest {
        self.digest
    }
}
