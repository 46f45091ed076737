//! Questions: where deliveries stand, what the ledger holds, who is who.
//!
//! A look at the ledger is an entry before its answer leaves; one's own deliveries
//! and live counts are not.
//!
//! Holds: I11, I12. Knows: store, ledger, directory, proto.

use std::collections::VecDeque;

use super::{
    Broker, Error,
    draft::Work,
    receipt::{Stored, broken},
    records::{self, DeliveryRecord},
    sequencer::Done,
};
use crate::{
    clock::Moment,
    directory,
    domain::{
        ids::InboxId,
        lifecycle::{Party, Phone, State, Trouble, Withdrawal},
        refusal::Refusal,
    },
    identity::Peer,
    limits,
    proto::{self, DeliveryState, EntryType, Envelope, Facts, SignedChange},
    store::{Record, View},
};

impl Broker {
    /// Appends the record of a look, and waits until it is durable.
    ///
    /// # Errors
    /// Those of a commit; then no answer may leave.
    pub async fn record_look(
        &self,
        peer: &Peer,
        kind: &'static str,
        about: Option<u64>,
        question: Vec<u8>,
    ) -> Result<u64, Error> {
        let facts = Facts { code: kind.to_owned(), answers: about, ..Facts::default() };
        self.note(peer, EntryType::Query, facts, question).await
    }

    /// Appends the record of what became of a person's access to the console, "invited" or
    /// "signed_in" and so on, and waits until it is durable.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn record_access(
        &self,
        peer: &Peer,
        code: &'static str,
        access: &proto::ConsoleAccess,
    ) -> Result<u64, Error> {
        let facts = Facts {
            code: code.to_owned(),
            subject: format!("{}/{}", access.agency, access.system),
            until: access.until,
            ..Facts::default()
        };
        self.note(peer, EntryType::ConsoleAccess, facts, proto::encode(access)).await
    }

    /// Records that a channel which tells people was sent elsewhere and did not follow; once for
    /// each channel.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn record_redirect(&self, channel: &str) -> Result<(), Error> {
        let mut facts = Facts {
            code: "redirect_not_followed".into(),
            subject: channel.to_owned(),
            ..Facts::default()
        };
        facts.set_type(EntryType::Refusal);
        self.record_once(facts, Vec::new(), || Ok(None)).await
    }

    /// Appends a record of the exchange's own about a caller.
    async fn note(
        &self,
        peer: &Peer,
        kind: EntryType,
        mut facts: Facts,
        detail: Vec<u8>,
    ) -> Result<u64, Error> {
        facts.sender = peer.agency.to_string();
        facts.set_type(kind);
        let work = Work::Note { facts: Box::new(facts), detail };
        let place = self.admit(peer, work.bytes())?;
        self.commit(work, Some(place)).await.and_then(entry_of)
    }

    /// Applies a change of the directory.
    ///
    /// # Errors
    /// The refusal, or those of a commit.
    pub async fn change(&self, peer: &Peer, change: SignedChange) -> Result<u64, Error> {
        let odd = |signature: &proto::Signature| {
            signature.key_id.len() != 8 || signature.signature.len() != 64
        };
        if change.change.len() > limits::DIRECTORY_CHANGE_BYTES_MAX
            || change.signatures.len() > limits::SIGNATURES_MAX
            || change.signatures.iter().any(odd)
        {
            let rule = "at most 65,536 bytes, with at most 2,048 signatures of 64 bytes";
            let refusal = Refusal::FieldInvalid { field: "change", rule };
            return Err(self.refuse(peer, refusal, Vec::new()).await);
        }
        let by = peer.agency.to_string();
        let work = Work::Change { by, change };
        let place = self.admit(peer, work.bytes())?;
        self.commit(work, Some(place)).await.and_then(entry_of)
    }

    /// The directory's changes after an entry, each proved to be in the ledger, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`Error::Broken`] if the journal does not have one whole.
    pub fn changes(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<proto::RecordedChange>, Error> {
        let from = after.map_or(0, |entry| entry.saturating_add(1));
        self.shared
            .index
            .range(&records::directory_key(from), &records::directory_key(u64::MAX))
            .filter_map(|(key, _)| records::entry_of(&key))
            .take(limit)
            .map(|entry| {
                let Stored { record, receipt, .. } = self.shared.stored(entry)?;
                Ok(proto::RecordedChange {
                    entry,
                    change: Some(proto::decode(&record.detail).map_err(broken)?),
                    at: records::meta(&self.shared.index, entry).map_or(0, |meta| meta.time),
                    tlog_proof: receipt.tlog_proof,
                    leaf: receipt.leaf,
                    detail_opening: receipt.detail_opening,
                })
            })
            .collect()
    }

    /// An entry with its receipt.
    ///
    /// # Errors
    /// [`Refusal::UnknownStatement`] if there is none.
    pub fn entry(&self, entry: u64) -> Result<Stored, Error> {
        match entry < self.shared.tree.head().growth.size() {
            true => self.shared.stored(entry),
            false => Err(Refusal::UnknownStatement.into()),
        }
    }

    /// An entry as it was appended, without a proof.
    ///
    /// # Errors
    /// As [`Broker::entry`].
    pub fn record(&self, entry: u64) -> Result<Record, Error> {
        match entry < self.shared.tree.head().growth.size() {
            true => self.shared.record(entry),
            false => Err(Refusal::UnknownStatement.into()),
        }
    }

    /// Whether an entry's detail is a statement signed with a key that was revoked as
    /// suspected from before `at` on.
    pub fn is_suspected(&self, detail: &[u8], at: Moment) -> bool {
        let envelope = proto::decode::<Envelope>(detail).unwrap_or_default();
        let directory = self.shared.directory.load();
        envelope
            .signature
            .and_then(|signature| directory::key_id(&signature.key_id).ok())
            .and_then(|id| directory.key(&id)?.revoked)
            .is_some_and(|since| since > 0 && since <= at.unix_seconds())
    }

    /// The leaf of an entry, for a bundle.
    ///
    /// # Errors
    /// [`Error::Broken`] if the journal does not have it whole.
    pub fn leaf(&self, entry: u64) -> Result<[u8; 89], Error> {
        self.shared.record(entry).map(|record| record.leaf)
    }

    /// What the index keeps of the entries since a time, oldest first; of more than `most` the
    /// newest. And whether there were more.
    pub fn since(
        &self,
        time: u64,
        most: u64,
    ) -> (impl Iterator<Item = (u64, records::EntryMeta)> + use<>, bool) {
        let size = self.shared.index.size();
        let all = self.first_at(time, size);
        let first = all.max(size.saturating_sub(most));
        let (from, below) = (records::entry_key(first), records::entry_key(size));
        let entries =
            self.shared.index.range(&from, &below).filter_map(|(key, value)| {
                Some((records::entry_of(&key)?, records::meta_in(&value)?))
            });
        (entries, all < first)
    }

    /// The entry that took a request id of this agency.
    pub fn entry_of_request(&self, agency: &str, request_id: &[u8]) -> Option<u64> {
        let key = self.shared.secret.request_key(agency, request_id);
        records::unpack(&self.shared.index, &records::request_key(&key))
    }

    /// Facts and time of an entry, if it is a concern.
    pub fn concern(&self, entry: u64) -> Option<(records::EntryMeta, Vec<u8>)> {
        let meta = records::meta(&self.shared.index, entry)?;
        let is_concern = records::kind_of(&meta) == EntryType::Concern;
        let record = is_concern.then(|| self.shared.record(entry).ok()).flatten()?;
        Some((meta, record.facts))
    }

    /// Deliveries of a concern.
    pub fn deliveries(&self, concern: u64) -> Vec<DeliveryRecord> {
        records::deliveries(&self.shared.index, concern)
    }

    /// The numbers of a thread's entries from `from` on: the one that began it, then the rest.
    pub(super) fn members(&self, thread: u64, from: u64) -> impl Iterator<Item = u64> + use<> {
        let index = &self.shared.index;
        let began = records::meta(index, thread).is_some_and(|meta| meta.thread == thread);
        let first = (began && from <= thread).then_some(thread);
        let rest = index
            .range(&records::thread_key(thread, from), &records::thread_key(thread, u64::MAX))
            .filter_map(|(key, _)| records::entry_of(&key));
        first.into_iter().chain(rest)
    }

    /// The entries of a thread, oldest first, without looks; of very many the newest.
    pub fn thread(&self, thread: u64) -> Vec<proto::ThreadEntry> {
        let index = &self.shared.index;
        let mut newest = VecDeque::new();
        for entry in self.members(thread, 0) {
            let Some(meta) = records::meta(index, entry) else { continue };
            if records::kind_of(&meta) == EntryType::Query {
                continue;
            }
            if newest.len() == limits::THREAD_ENTRIES_MAX {
                newest.pop_front();
            }
            let (r#type, at, sender, inbox) = (meta.kind, meta.time, meta.sender, meta.inbox);
            newest.push_back(proto::ThreadEntry { entry, r#type, at, sender, inbox });
        }
        newest.into()
    }

    /// Open deliveries after a key of [`records::open_key`], oldest concern first.
    pub fn open_deliveries(
        &self,
        after: Option<Vec<u8>>,
    ) -> impl Iterator<Item = (Vec<u8>, DeliveryRecord)> + use<> {
        let index = self.shared.index.clone();
        let from = after.map_or_else(
            || vec![b'o'],
            |mut key| {
                key.push(0);
                key
            },
        );
        self.shared.index.range(&from, &[b'o' + 1]).filter_map(move |(key, _)| {
            let mut delivery = key.clone();
            *delivery.first_mut()? = b'd';
            let record = DeliveryRecord::unpack(&delivery, &index.value(&delivery)?)?;
            Some((key, record))
        })
    }

    /// A count of the index by its name.
    pub fn count(&self, name: &str) -> u64 {
        records::unpack(&self.shared.index, &records::count_key(name)).unwrap_or(0)
    }

    /// Counts of the whole exchange.
    pub fn summary(&self) -> proto::GetSummaryResponse {
        let in_state = |state: State| self.count(state.as_str());
        let states: Vec<proto::StateCount> = State::ALL
            .into_iter()
            .filter(|state| state.is_open())
            .map(|state| proto::StateCount {
                state: delivery_state(state).into(),
                count: in_state(state),
            })
            .collect();
        let open = states.iter().map(|state| state.count).sum();
        let closed = in_state(State::Closed);
        proto::GetSummaryResponse {
            concerns: self.count("concerns"),
            deliveries: closed + open,
            closed,
            open,
            withdrawn: in_state(State::Withdrawn),
            refusals: self.count("refusals"),
            size: self.shared.tree.head().growth.size(),
            states,
            ..proto::GetSummaryResponse::default()
        }
    }

    /// Whether something waits for an inbox.
    pub fn waits(&self, inbox: &InboxId, entry: u64) -> bool {
        records::waits(&self.shared.index, inbox, entry)
    }
}

fn entry_of(done: Done) -> Result<u64, Error> {
    match done {
        Done::Committed { committed, .. } => Ok(committed.entry()),
        Done::Known(entry) => Ok(entry),
        Done::Moved(_) => Err(broken("a record of the exchange's own was to be judged again")),
    }
}

/// A delivery as the API says it.
pub fn delivery(record: &DeliveryRecord) -> proto::Delivery {
    let delivery = &record.delivery;
    let responsible = match delivery.responsible() {
        Party::Exchange => "exchange".to_owned(),
        Party::Nobody => "nobody".to_owned(),
        Party::Recipient(inbox) => inbox.to_string(),
        Party::Sender => "sender".to_owned(),
    };
    proto::Delivery {
        concern: record.concern,
        sender: record.sender.clone(),
        addressed: delivery.addressed.to_string(),
        inbox: delivery.holder.to_string(),
        state: delivery_state(delivery.state).into(),
        opened: delivery.opened,
        trouble: match delivery.trouble {
            None => "",
            Some(Trouble::CannotOpen) => "cannot_open",
            Some(Trouble::NotTaken) => "not_taken",
        }
        .to_owned(),
        withdrawal: match delivery.withdrawal {
            None => "",
            Some(Withdrawal::Announced) => "announced",
            Some(Withdrawal::Confirmed) => "confirmed",
        }
        .to_owned(),
        phone: match delivery.phone {
            None => "",
            Some(Phone::Told) => "told",
            Some(Phone::Confirmed) => "confirmed",
        }
        .to_owned(),
        outcome: delivery.outcome.clone().unwrap_or_default(),
        urgency: record.urgency.clone(),
        responsible,
        accepted_at: record.accepted_at,
        changed_at: record.changed.0,
        changed_by: record.changed.1,
        decision: record.decision,
        feedback: record.feedback,
        acknowledgement_due: record.due.acknowledgement.due,
        decision_due: record.due.decision.due,
        feedback_due: record.due.feedback.due,
        next_due: record.next_due().unwrap_or_default(),
        stand_ins: delivery.stand_ins.iter().map(ToString::to_string).collect(),
        rung: record.highest_rung().map(|rung| rung.as_str().to_owned()).unwrap_or_default(),
        next_rung_at: record.next_step().map(|step| step.at).unwrap_or_default(),
        cared_for_until: record.cared_for.map(|(_, until)| until).unwrap_or_default(),
        cared_for_by: record.cared_for.map(|(entry, _)| entry).unwrap_or_default(),
        rewraps: record.rewraps.clone(),
        exercise: record.exercise,
    }
}

/// A state as the API says it.
pub fn delivery_state(state: State) -> DeliveryState {
    match state {
        State::Queued => DeliveryState::Queued,
        State::Stored => DeliveryState::Stored,
        State::Acknowledged => DeliveryState::Acknowledged,
        State::Decided => DeliveryState::Decided,
        State::FeedbackSent => DeliveryState::FeedbackSent,
        State::Closed => DeliveryState::Closed,
        State::Withdrawn => DeliveryState::Withdrawn,
    }
}
