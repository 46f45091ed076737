//! From an envelope to a receipt.
//!
//! ```text
//! Envelope → authenticate → known request id? → the original receipt
//!                               │ no
//!                               └→ permit → commit → receipt
//! ```
//!
//! A refusal of an authenticated caller is an entry before it leaves. The request
//! does not own the commit: a client that hangs up changes nothing.
//!
//! Holds: I1, I2, I8, I9, I11. Knows: identity, policy, store, proto.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::{mpsc::error::TrySendError, oneshot};
use tracing::Instrument;

use super::{
    Broker, Error, Shared,
    admission::{self, Admitted},
    draft::{Ready, Work, refusal_facts, said},
    projection,
    receipt::Stored,
    records, sameness,
    sequencer::{Done, Job},
};
use crate::{
    directory::Directory,
    domain::refusal::Refusal,
    identity::{
        Peer,
        authenticate::{Authenticated, authenticate},
    },
    limits,
    policy::{self, Urgently},
    proto::{self, EntryType, Facts},
    store::View,
};

/// A statement that is in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its proof.
    pub receipt: proto::Receipt,
    /// Whether it had been accepted before.
    pub duplicate: bool,
}

/// A statement's place among those under way.
#[derive(Debug)]
pub struct Place(Admitted);

impl Broker {
    /// Takes a statement: authenticates it, answers a repeat with the original
    /// receipt, asks the policy, and waits until the entry is durable. A caller that
    /// drops the future learns nothing more; what it was handed goes on.
    ///
    /// # Errors
    /// Each of the four kinds. On [`Error::Unknown`] the caller sends the same
    /// envelope again.
    pub async fn submit(&self, peer: Arc<Peer>, envelope: Vec<u8>) -> Result<Accepted, Error> {
        let admitted = self.admit(&peer, envelope.len())?;
        self.take(peer, envelope, admitted).await
    }

    /// A place for a statement of this many bytes, waited for: so a stream is read no faster
    /// than its agency's share allows.
    pub async fn place(&self, peer: &Peer, bytes: usize) -> Place {
        Place(self.shared.admission.wait(&peer.agency, bytes).await)
    }

    /// [`Broker::submit`] for one that has its place.
    ///
    /// # Errors
    /// As [`Broker::submit`].
    pub async fn submit_at(
        &self,
        place: Place,
        peer: Arc<Peer>,
        envelope: Vec<u8>,
    ) -> Result<Accepted, Error> {
        self.take(peer, envelope, place.0).await
    }

    async fn take(
        &self,
        peer: Arc<Peer>,
        mut envelope: Vec<u8>,
        mut admitted: Admitted,
    ) -> Result<Accepted, Error> {
        loop {
            let judged = tracing::info_span!("judge").in_scope(|| self.judge(&peer, envelope));
            let (permitted, key, new_as_of) = match judged {
                Ok(Judged::Known(receipt)) => {
                    self.shared.counts.repeats.fetch_add(1, Ordering::Relaxed);
                    return Ok(Accepted { receipt, duplicate: true });
                }
                Ok(Judged::New(permitted, key, new_as_of)) => (permitted, key, new_as_of),
                Err(Stopped::Refused { refusal, key, told }) => {
                    let (told, id) = told.map(|told| *told).unzip();
                    let facts = refusal_facts(peer.agency.as_str(), &refusal, key, told.as_ref());
                    let id = id.unwrap_or_default();
                    let recorded = self.record_refusal(&peer, *refusal, facts, id, Some(admitted));
                    return Err(recorded.await);
                }
                Err(Stopped::Failed(error)) => return Err(error),
            };
            if permitted.facts().r#type() == EntryType::Concern && !admitted.takes_concerns() {
                return Err(Error::Busy(limits::BUSY_DELAY));
            }
            let work = Work::Statement(Box::new(Ready::new(*permitted, key, new_as_of)?));
            // From the queue to the disk.
            let committed = self.commit(work, Some(admitted));
            match committed.instrument(tracing::info_span!("commit")).await? {
                // Once more for each change of the directory that came between.
                Done::Moved(back) => {
                    admitted = self.shared.admission.wait(&peer.agency, back.len()).await;
                    envelope = back;
                }
                Done::Committed { committed, batch, repeat } => {
                    return Ok(Accepted { receipt: batch.receipt(committed)?, duplicate: repeat });
                }
                Done::Known(entry) => {
                    let receipt = self.shared.stored(entry)?.receipt;
                    return Ok(Accepted { receipt, duplicate: true });
                }
            }
        }
    }

    /// Says what [`Broker::submit`] would do, and appends nothing.
    ///
    /// # Errors
    /// As [`Broker::submit`], though refusals are not recorded.
    pub fn would_submit(&self, peer: &Arc<Peer>, envelope: Vec<u8>) -> Result<Facts, Error> {
        match self.judge(peer, envelope)? {
            Judged::Known(receipt) => proto::decode(&receipt.facts).map_err(super::receipt::broken),
            Judged::New(permitted, ..) => {
                let mut facts = permitted.facts().clone();
                projection::address(&self.shared.index, &mut facts);
                let next = self.shared.tree.head().growth.size();
                projection::judge(&self.shared.index, next, self.shared.now().0, &facts)?;
                Ok(facts)
            }
        }
    }

    /// Records a refusal, once for identical ones, and gives it back to be answered.
    /// A refusal whose record is not durable is answered as what went wrong there.
    pub async fn refuse(&self, peer: &Peer, refusal: Refusal, request_key: Vec<u8>) -> Error {
        let facts = refusal_facts(peer.agency.as_str(), &refusal, request_key, None);
        self.record_refusal(peer, refusal, facts, Vec::new(), None).await
    }

    /// The same of a person at the console, in this session: identical ones of that person there
    /// are one, and the record's detail names the person.
    pub async fn refuse_person(
        &self,
        peer: &Peer,
        access: &proto::ConsoleAccess,
        session: &str,
        refusal: Refusal,
    ) -> Error {
        let whose = format!("console/{}/{session}", access.sign_in);
        let key = self.shared.secret.request_key(peer.agency.as_str(), whose.as_bytes());
        let facts = refusal_facts(peer.agency.as_str(), &refusal, key.to_vec(), None);
        self.record_refusal(peer, refusal, facts, proto::encode(access), None).await
    }

    async fn record_refusal(
        &self,
        peer: &Peer,
        refusal: Refusal,
        facts: Facts,
        detail: Vec<u8>,
        admitted: Option<Admitted>,
    ) -> Error {
        self.shared.counts.refusals.fetch_add(1, Ordering::Relaxed);
        let directory = self.shared.directory.load();
        if !directory.knows_system(peer.agency.as_str(), peer.system.as_str()) {
            return refusal.into(); // strangers are only counted
        }
        let place = || admitted.map_or_else(|| self.admit(peer, 0), Ok).map(Some);
        match self.record_once(facts, detail, place).await {
            Ok(()) => refusal.into(),
            Err(error) => error,
        }
    }

    /// Appends the record of a refusal, unless an identical one is there; its place is asked for
    /// only then.
    ///
    /// # Errors
    /// There is no place, or those of a commit.
    pub(super) async fn record_once(
        &self,
        facts: Facts,
        detail: Vec<u8>,
        place: impl FnOnce() -> Result<Option<Admitted>, Error>,
    ) -> Result<(), Error> {
        let recorded = records::refusal_key(&projection::refusal_digest(&facts));
        if self.shared.index.value(&recorded).is_some() {
            return Ok(());
        }
        let work = Work::Note { facts: Box::new(facts), detail };
        self.commit(work, place()?).await.map(drop)
    }

    /// Everything before the commit.
    fn judge(&self, peer: &Arc<Peer>, envelope: Vec<u8>) -> Result<Judged, Stopped> {
        let shared = &self.shared;
        let directory = shared.directory.load();
        let new_as_of = shared.index.size();
        let authenticated =
            authenticate(&directory, Arc::clone(peer), envelope).map_err(|unproven| {
                // Whose connection it came by is known: it is of that agency or nobody's.
                let agency = peer.agency.as_str();
                let said = said(&unproven.envelope).filter(|said| said.from == agency);
                let told = said.and_then(|said| urgently(&directory, &said));
                let key = told.as_ref().map(|(_, id)| shared.secret.request_key(agency, id));
                let key = key.map(Vec::from).unwrap_or_default();
                let refusal = Box::new(unproven.refusal);
                Stopped::Refused { refusal, key, told: told.map(Box::new) }
            })?;
        let key = shared.request_key(&authenticated);
        let told = urgently(&directory, authenticated.statement());
        let judged = match shared.repeat_of(authenticated.envelope(), &key) {
            Some(Ok(known)) => Ok(Judged::Known(known.receipt)),
            Some(Err(error)) => Err(error),
            None => policy::permit(&directory, authenticated, shared.now())
                .map(|permitted| Judged::New(Box::new(permitted), key, new_as_of))
                .map_err(Error::from),
        };
        judged.map_err(|error| match error {
            Error::Refused(refusal) => {
                Stopped::Refused { refusal, key: key.to_vec(), told: told.map(Box::new) }
            }
            error => Stopped::Failed(error),
        })
    }

    /// A place for a statement of this many bytes, before any work is done for it.
    ///
    /// # Errors
    /// [`Error::Busy`] if its agency's share, or everyone's, is taken.
    pub(super) fn admit(&self, peer: &Peer, bytes: usize) -> Result<Admitted, Error> {
        self.shared
            .admission
            .enter(&peer.agency, bytes)
            .map_err(|admission::Full| Error::Busy(limits::BUSY_DELAY))
    }

    /// Hands work to the committer and waits until it is durable. Dropping the
    /// returned future leaves the work where it is.
    pub(super) async fn commit(
        &self,
        work: Work,
        admitted: Option<Admitted>,
    ) -> Result<Done, Error> {
        self.hand_over(work, admitted)?.done().await
    }

    /// Hands work to the committer, to be waited for later.
    pub(super) fn hand_over(
        &self,
        work: Work,
        admitted: Option<Admitted>,
    ) -> Result<UnderWay, Error> {
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(Error::Broken("the ledger has stopped".into()));
        }
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { work, reply, admitted }).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy(limits::BUSY_DELAY),
            TrySendError::Closed(_) => Error::Broken("the ledger has stopped".into()),
        })?;
        Ok(UnderWay(answer))
    }
}

/// Work that the committer has. Dropped, it is left where it is.
pub(super) struct UnderWay(oneshot::Receiver<Result<Done, Error>>);

impl UnderWay {
    /// Waits until it is durable.
    pub(super) async fn done(self) -> Result<Done, Error> {
        self.0.await.unwrap_or(Err(Error::Unknown))
    }
}

enum Judged {
    Known(proto::Receipt),
    /// With the ledger's uniqueness key of its request id, which no entry below this number took.
    New(Box<policy::Permitted>, [u8; 32], u64),
}

/// Why a statement does not come to its commit.
enum Stopped {
    /// It is refused; `told` is who must know of that, if it could not wait, and its request id.
    Refused { refusal: Box<Refusal>, key: Vec<u8>, told: Option<Box<Told>> },
    /// Something else went wrong.
    Failed(Error),
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Refused { refusal, .. } => Self::Refused(refusal),
            Stopped::Failed(error) => error,
        }
    }
}

/// Who must know of a refusal, and the request id of what is refused.
type Told = (Urgently, Vec<u8>);

/// Who must know if a statement is refused, if it cannot wait, and its request id.
fn urgently(directory: &Directory, statement: &proto::Statement) -> Option<Told> {
    Some((Urgently::said(directory, statement)?, statement.request_id.clone()))
}

impl Shared {
    /// The ledger's uniqueness key of a statement.
    pub(super) fn request_key(&self, authenticated: &Authenticated) -> [u8; 32] {
        let statement = authenticated.statement();
        self.secret.request_key(&statement.from, &statement.request_id)
    }

    /// The entry that already took this request id, if it says the same; a conflict
    /// if it does not; `None` if the id is free.
    pub(super) fn repeat_of(
        &self,
        envelope: &[u8],
        key: &[u8; 32],
    ) -> Option<Result<Stored, Error>> {
        let entry: u64 = records::unpack(&self.index, &records::request_key(key))?;
        Some(self.stored(entry).and_then(|stored| {
            match sameness::same(&stored.record.detail, envelope) {
                true => Ok(stored),
                false => Err(Refusal::RequestIdConflict.into()),
            }
        }))
    }
}
