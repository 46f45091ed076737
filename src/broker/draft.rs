//! A batch in the making: each piece of work looked up once more, judged against where
//! things stand, numbered, encoded, and folded into an overlay.
//!
//! Nothing here touches the disk but to read what a repeat repeats; a draft that is
//! dropped was never there.
//!
//! Holds: I2, I6, I8, I14. Knows: store, policy, directory, domain, proto, ledger.

mod due;
mod own;
mod raised;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::oneshot;

pub(super) use self::raised::{refusal_facts, said};
use super::{
    Error, Shared, projection, receipt::broken, records, sameness, sequencer::Done, tree::Head,
};
use crate::{
    clock::Moment,
    directory::{self, Directory},
    domain::{ids::InboxId, refusal::Refusal},
    ledger::{
        leaf::{Leaf, commit},
        merkle::Hash,
    },
    limits,
    policy::{Permitted, Urgently},
    proto::{self, EntryType, Facts, SignedChange, statement::Act},
    store::{Key, Overlay, Record},
};

/// A statement that the policy permitted, with all of it that does not depend on its
/// turn: made beside other statements, so that the one committer does it for none.
pub(super) struct Ready {
    sender: String,
    /// The ledger's uniqueness key of its request id.
    key: [u8; 32],
    permitted: Permitted,
    chance: Chance,
    /// The commitment to its envelope.
    commitment: Hash,
    /// No entry below this number took its request id.
    new_as_of: u64,
}

impl Ready {
    /// Prepares a statement.
    ///
    /// # Errors
    /// [`Error::Broken`] without randomness.
    pub(super) fn new(permitted: Permitted, key: [u8; 32], new_as_of: u64) -> Result<Self, Error> {
        let chance = Chance::draw()?;
        let commitment = commit(permitted.envelope(), &chance.detail_opening);
        let sender = permitted.facts().sender.clone();
        Ok(Self { sender, key, permitted, chance, commitment, new_as_of })
    }
}

/// What is random in an entry.
struct Chance {
    entry_id: [u8; 16],
    facts_opening: [u8; 32],
    detail_opening: [u8; 32],
}

impl Chance {
    fn draw() -> Result<Self, Error> {
        let mut chance =
            Self { entry_id: [0; 16], facts_opening: [0; 32], detail_opening: [0; 32] };
        let mut drawn = [0; 80];
        getrandom::fill(&mut drawn).map_err(broken)?;
        chance.entry_id.copy_from_slice(&drawn[..16]);
        chance.facts_opening.copy_from_slice(&drawn[16..48]);
        chance.detail_opening.copy_from_slice(&drawn[48..]);
        Ok(chance)
    }
}

/// A detail, and the commitment to it.
struct Detail {
    content: Vec<u8>,
    chance: Chance,
    commitment: Hash,
}

impl Detail {
    fn new(content: Vec<u8>) -> Result<Self, Error> {
        let chance = Chance::draw()?;
        let commitment = commit(&content, &chance.detail_opening);
        Ok(Self { content, chance, commitment })
    }
}

/// Something to append.
pub(super) enum Work {
    /// A statement that the policy permitted.
    Statement(Box<Ready>),
    /// A change of the directory, by this agency.
    Change { by: String, change: SignedChange },
    /// A record of the exchange's own: a refusal, a look, a recovery.
    Note { facts: Box<Facts>, detail: Vec<u8> },
    /// What on-call staff say of a delivery.
    Told { facts: Box<Facts>, detail: Vec<u8> },
    /// The next rung of a delivery, if it is time.
    Rung { concern: u64, addressed: InboxId },
}

/// What somebody who waits will be told once the batch is durable.
pub(super) enum Verdict {
    Entry {
        at: usize,
        repeat: bool,
    },
    Known(u64),
    /// The directory has moved since the policy looked: to be judged again.
    Moved(Vec<u8>),
    Refused(Refusal),
    Failed(Error),
}

/// Who waits, and what it will be told.
pub(super) type Waiter = (oneshot::Sender<Result<Done, Error>>, Verdict);

/// A batch in the making.
pub(super) struct Draft<'a> {
    shared: &'a Shared,
    pub(super) overlay: Overlay<'a>,
    pub(super) first: u64,
    pub(super) time: u64,
    pub(super) directory: Arc<Directory>,
    pub(super) records: Vec<Record>,
    /// Request keys of this batch: which record took them.
    pub(super) requests: HashMap<[u8; 32], usize>,
    /// What is due when, by calendar.
    due: Vec<due::Asked>,
    /// What is left of the disk is kept for steps of deliveries under way.
    pub(super) low: bool,
    /// Inboxes for which something new waits.
    pub(super) bells: Vec<InboxId>,
    pub(super) waiters: Vec<Waiter>,
}

impl Work {
    /// About how much of a batch it takes.
    pub(super) fn bytes(&self) -> usize {
        let detail = match self {
            Self::Statement(ready) => ready.permitted.envelope().len(),
            Self::Change { change, .. } => change.change.len() + change.signatures.len() * 80,
            Self::Note { detail, .. } | Self::Told { detail, .. } => detail.len(),
            Self::Rung { .. } => 0,
        };
        detail + self.entries() * limits::LEAF_AND_FACTS_BYTES_MAX
    }

    /// How many entries it is at most.
    pub(super) fn entries(&self) -> usize {
        let asks = |facts: &Facts| facts.outside_agreement;
        match self {
            Self::Statement(ready) if asks(ready.permitted.facts()) => 2,
            _ => 1,
        }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn begin(shared: &'a Shared, head: &Head) -> Self {
        let now = shared.clock.now().0;
        let behind = head.time.saturating_sub(now);
        shared.counts.clock_behind.store(behind, Ordering::Relaxed);
        Self {
            shared,
            overlay: Overlay::over(&shared.index),
            first: head.growth.size(),
            // Entry times never decrease (I14); the skew is counted above.
            time: now.max(head.time),
            directory: shared.directory.load_full(),
            records: Vec::new(),
            requests: HashMap::new(),
            due: Vec::new(),
            low: false,
            bells: Vec::new(),
            waiters: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, work: Work) -> Verdict {
        match work {
            Work::Statement(ready) => self.statement(*ready),
            Work::Change { by, change } => self.change(&by, change),
            Work::Note { facts, detail } => self.note(*facts, detail),
            Work::Told { facts, detail } => self.told(*facts, detail),
            Work::Rung { concern, addressed } => self.climb(concern, &addressed),
        }
    }

    /// A statement, if its request id is still free and it still fits.
    fn statement(&mut self, ready: Ready) -> Verdict {
        let Ready { sender, key, permitted, chance, commitment, new_as_of } = ready;
        if let Some(repeated) = self.repeated(permitted.envelope(), &key, new_as_of) {
            return match repeated {
                Verdict::Refused(refusal) => {
                    let told = Urgently::of(permitted.facts());
                    self.refuse(&sender, refusal, &key, (told.as_ref(), permitted.envelope()))
                }
                known => known,
            };
        }
        if self.low && permitted.facts().r#type() == EntryType::Concern {
            return Verdict::Failed(Error::Busy(limits::DISK_FULL_DELAY));
        }
        let judged_as_of = permitted.judged_as_of();
        let (envelope, mut facts) = permitted.into_parts();
        if judged_as_of != self.directory.as_of() {
            return Verdict::Moved(envelope);
        }
        if facts.r#type() == EntryType::Manifest {
            self.compare(&mut facts, &counted(&envelope));
        }
        projection::address(&self.overlay, &mut facts);
        self.set_deadlines(&mut facts);
        let effect = match projection::judge(&self.overlay, self.next(), self.time, &facts) {
            Ok(effect) => effect,
            Err(refusal) => {
                let told = Urgently::of(&facts);
                return self.refuse(&sender, refusal, &key, (told.as_ref(), &envelope));
            }
        };
        facts.request_key = key.to_vec();
        self.number(&mut facts);
        let detail = Detail { content: envelope, chance, commitment };
        match self.append(&facts, detail, effect) {
            Verdict::Entry { at, repeat } => {
                self.requests.insert(key, at);
                // An exercise asks nobody to look.
                if facts.outside_agreement && !facts.exercise {
                    let concern = self.next() - 1;
                    if let Verdict::Failed(error) = self.ask_for_review(concern, &facts) {
                        return Verdict::Failed(error);
                    }
                }
                Verdict::Entry { at, repeat }
            }
            Verdict::Failed(Error::Refused(refusal)) => {
                let told = Urgently::of(&facts);
                self.refuse(&sender, *refusal, &key, (told.as_ref(), &[]))
            }
            failed => failed,
        }
    }

    /// What became of the request id, if an earlier statement took it.
    fn repeated(&self, envelope: &[u8], key: &[u8; 32], new_as_of: u64) -> Option<Verdict> {
        if let Some(at) = self.requests.get(key).copied() {
            let accepted = self.records.get(at).map_or(&[][..], |record| &record.detail);
            return Some(match sameness::same(accepted, envelope) {
                true => Verdict::Entry { at, repeat: true },
                false => Verdict::Refused(Refusal::RequestIdConflict),
            });
        }
        if self.shared.recent.is_new(key, new_as_of) {
            return None;
        }
        Some(match self.shared.repeat_of(envelope, key)? {
            Ok(stored) => Verdict::Known(stored.entry),
            Err(Error::Refused(refusal)) => Verdict::Refused(*refusal),
            Err(error) => Verdict::Failed(error),
        })
    }

    /// The gapless numbers of the sender and of each inbox addressed.
    fn number(&self, facts: &mut Facts) {
        let newest = |key: Key| records::unpack::<u64>(&self.overlay, &key).unwrap_or(0);
        facts.sender_number = newest(records::sender_number_key(&facts.sender)) + 1;
        facts.inbox_numbers = facts
            .inboxes
            .iter()
            .filter_map(|inbox| inbox.parse().ok())
            .map(|inbox| newest(records::inbox_number_key(&inbox)) + 1)
            .collect();
    }

    fn change(&mut self, by: &str, signed: SignedChange) -> Verdict {
        let judged = self.directory.judge(&signed, Moment(self.time));
        let change = match judged.and_then(|change| self.nothing_open(change)) {
            Ok(change) => change,
            Err(refusal) => return self.refuse(by, refusal, &[], (None, &[])),
        };
        let (code, subject) = directory::subject(&change);
        let mut facts =
            Facts { sender: by.to_owned(), code: code.to_owned(), subject, ..Facts::default() };
        facts.set_type(EntryType::Directory);
        let entry = self.next();
        let verdict = self.note(facts, proto::encode(&signed));
        if matches!(verdict, Verdict::Entry { .. }) {
            Arc::make_mut(&mut self.directory).apply(entry, &signed);
        }
        verdict
    }

    /// An inbox retires only when nothing is open there.
    fn nothing_open(
        &self,
        change: proto::DirectoryChange,
    ) -> Result<proto::DirectoryChange, Refusal> {
        let Some(proto::directory_change::Change::Inbox(inbox)) = &change.change else {
            return Ok(change);
        };
        let id: InboxId = inbox.id.parse().map_err(|error| Refusal::field("inbox.id", error))?;
        let key = records::count_key(&projection::held_count(&id));
        match records::unpack::<u64>(&self.overlay, &key) {
            Some(open) if inbox.retired => Err(Refusal::InboxHasOpenDeliveries { inbox: id, open }),
            _ => Ok(change),
        }
    }

    /// The number of the next entry.
    fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Encodes an entry and folds it into the overlay.
    fn append(&mut self, facts: &Facts, detail: Detail, effect: projection::Effect) -> Verdict {
        match self.record(facts, detail) {
            Ok(record) => {
                let entry = self.next();
                projection::apply(&mut self.overlay, entry, self.time, facts, effect);
                self.bells.extend(rings(facts));
                self.records.push(record);
                Verdict::Entry { at: self.records.len() - 1, repeat: false }
            }
            Err(error) => Verdict::Failed(error),
        }
    }

    fn record(&self, facts: &Facts, detail: Detail) -> Result<Record, Error> {
        let Detail { content: detail, chance, commitment } = detail;
        let Chance { entry_id, facts_opening, detail_opening } = chance;
        let facts = proto::encode(facts);
        if detail.len() > limits::DETAIL_BYTES_MAX {
            return Err(Refusal::StatementTooLarge.into());
        }
        let leaf = Leaf {
            entry_id,
            time_unix_ns: self.time,
            facts: commit(&facts, &facts_opening),
            detail: commitment,
        };
        let leaf = leaf.encode();
        if leaf.len() + facts.len() > limits::LEAF_AND_FACTS_BYTES_MAX {
            let rule = "makes the facts longer than 8,192 bytes: address fewer recipients at once";
            return Err(Refusal::FieldInvalid { field: "to", rule }.into());
        }
        Ok(Record { leaf, facts_opening, facts, detail_opening, detail })
    }
}

/// The inboxes for which an entry brings something.
fn rings(facts: &Facts) -> Vec<InboxId> {
    facts.inboxes.iter().filter_map(|inbox| inbox.parse().ok()).collect()
}

/// The request ids that the manifest in an envelope counts.
fn counted(envelope: &[u8]) -> Vec<Vec<u8>> {
    match said(envelope).and_then(|statement| statement.act) {
        Some(Act::Manifest(manifest)) => manifest.request_ids,
        _ => Vec::new(),
    }
}
