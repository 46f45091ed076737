//! What the index holds: its keys, in one table, and its values.
//!
//! | key | value |
//! |---|---|
//! | `a` agency 0 entry | nothing: the agency said it, was addressed, or it is about its inbox |
//! | `c` name | a count |
//! | `d` concern addressed-inbox | [`DeliveryRecord`] |
//! | `e` entry | [`EntryMeta`], then [`Place`]: where the journal has it |
//! | `f` digest | nothing: a refusal of this kind is recorded |
//! | `g` entry | nothing: a directory change |
//! | `h` thread entry | nothing: belongs to the thread that another entry began |
//! | `n` inbox | the inbox's newest gapless number |
//! | `o` concern addressed-inbox | nothing: the delivery is open |
//! | `q` inbox 0 entry | nothing: waits to be stored there |
//! | `r` half a request key | the entry that took it; its facts have the other half |
//! | `s` agency | the sender's newest gapless number |
//! | `t` level tile | a full tile of hashes |
//! | `v` concern | [`Review`]: it came outside any agreement, and nobody has looked at it |
//! | `w` seconds concern addressed-inbox | nothing: the next rung of this delivery is climbed then |
//! | `x` half a request key | [`Awaited`]: it was refused and urgent, or a manifest counts it as sent |
//!
//! Numbers in keys are big-endian, so that keys sort as numbers do. What a key says its value
//! does not say again.
//!
//! Holds: I5. Knows: domain, proto, store.

mod due;
mod keys;
mod raised;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    due::{Due, DueBy, NextStep},
    keys::*,
    raised::{Awaited, Missing, Refused, Review, numbered},
};
use crate::{
    domain::{
        deadline::{Duty, Rung},
        ids::InboxId,
        lifecycle::{self, State},
        vocabulary::Urgency,
    },
    proto,
    store::{Location, View},
};

/// What the fold keeps of each entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryMeta {
    /// The entry type, by its number in the API.
    pub kind: i32,
    /// Its time, Unix nanoseconds.
    pub time: u64,
    /// The agency that said it.
    pub sender: String,
    /// The inbox it is about, or empty.
    pub inbox: String,
    /// The concern that its thread began with; itself if it began one.
    pub thread: u64,
    /// The delivery it is feedback for: the concern and the inbox addressed.
    pub delivery: Option<(u64, InboxId)>,
}

/// Where the journal has an entry and the trailer of its batch, which are in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    segment: u64,
    /// Offset and length of the entry.
    entry: (u64, u32),
    /// How far behind the entry's the trailer's offset is, and its length.
    trailer: (u64, u32),
}

impl Place {
    /// From the journal's locations.
    pub fn new(entry: Location, trailer: Location) -> Self {
        Self {
            segment: entry.segment,
            entry: (entry.offset, entry.length),
            trailer: (trailer.offset.saturating_sub(entry.offset), trailer.length),
        }
    }

    /// Where the entry is.
    pub fn entry(&self) -> Location {
        let (offset, length) = self.entry;
        Location { segment: self.segment, offset, length }
    }

    /// Where its batch's trailer is.
    pub fn trailer(&self) -> Location {
        let (behind, length) = self.trailer;
        let offset = self.entry.0.saturating_add(behind);
        Location { segment: self.segment, offset, length }
    }

    /// Adds it to the value under [`entry_key`], which begins with the entry's meta.
    pub fn follow(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&pack(self));
    }
}

/// A delivery and what is needed to answer questions about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Where it stands.
    pub delivery: lifecycle::Delivery,
    /// The entry of the concern.
    pub concern: u64,
    /// The agency that sent it.
    pub sender: String,
    /// Where feedback goes; `None` for a sender without an inbox.
    pub reply_to: Option<InboxId>,
    /// The urgency it runs as.
    pub urgency: String,
    /// True in exercises.
    pub exercise: bool,
    /// Accepted at, Unix nanoseconds.
    pub accepted_at: u64,
    /// The newest step: when, and which entry.
    pub changed: (u64, u64),
    /// The entry of the newest decision.
    pub decision: Option<u64>,
    /// The entry of the newest feedback.
    pub feedback: Option<u64>,
    /// Entries that brought wraps for the inbox that has it now.
    pub rewraps: Vec<u64>,
    /// The entry that took the concern back.
    pub withdrawn_by: Option<u64>,
    /// By when, and how far the ladders are climbed.
    pub due: Due,
    /// Who is dealing with it: the entry that says so, and until when, Unix seconds.
    pub cared_for: Option<(u64, u64)>,
}

/// How a delivery stands to the deadline that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timeliness {
    /// The time is over.
    Overdue,
    /// Less than a third of the time since it was accepted is left.
    DueSoon,
    /// There is time.
    OnTime,
    /// No deadline runs.
    NothingDue,
}

impl Timeliness {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::DueSoon => "due_soon",
            Self::OnTime => "on_time",
            Self::NothingDue => "nothing_due",
        }
    }
}

/// A [`DeliveryRecord`] without what its key says, and without a holder who is the inbox
/// addressed.
#[derive(Serialize, Deserialize)]
struct Lean<'a> {
    holder: Option<InboxId>,
    state: lifecycle::State,
    opened: bool,
    trouble: Option<lifecycle::Trouble>,
    withdrawal: Option<lifecycle::Withdrawal>,
    #[serde(borrow)]
    outcome: Option<&'a str>,
    phone: Option<lifecycle::Phone>,
    sender: &'a str,
    reply_to: Option<InboxId>,
    urgency: &'a str,
    exercise: bool,
    accepted_at: u64,
    /// How long after that, and how many entries after the concern.
    changed: (u64, u64),
    decision: Option<u64>,
    feedback: Option<u64>,
    rewraps: std::borrow::Cow<'a, [u64]>,
    withdrawn_by: Option<u64>,
    stand_ins: std::borrow::Cow<'a, [InboxId]>,
    /// In seconds after it was accepted.
    due: Due,
    cared_for: Option<(u64, u64)>,
}

impl DeliveryRecord {
    /// Whether it came to an agency: now, first, or to stand in.
    pub fn came_to(&self, agency: &str) -> bool {
        let delivery = &self.delivery;
        let mut inboxes =
            [&delivery.holder, &delivery.addressed].into_iter().chain(&delivery.stand_ins);
        inboxes.any(|inbox| inbox.agency() == agency)
    }

    /// What is still to be done, in order; the deadline of the first is the one that runs.
    pub fn duties(&self) -> &'static [Duty] {
        match self.delivery.state {
            State::Queued | State::Stored if self.is_read() => &[],
            State::Queued | State::Stored => &[Duty::Acknowledge, Duty::Decide],
            State::Acknowledged => &[Duty::Decide],
            State::Decided => &[Duty::Feedback],
            State::FeedbackSent | State::Closed | State::Withdrawn => &[],
        }
    }

    /// The deadline that runs now, Unix seconds; `None` if none does.
    pub fn next_due(&self) -> Option<u64> {
        self.duties().first().map(|duty| self.due.of(*duty).due).filter(|due| *due > 0)
    }

    /// How the deadline that runs stands at a moment, Unix seconds.
    pub fn timeliness(&self, now: u64) -> Timeliness {
        match self.next_due() {
            None => Timeliness::NothingDue,
            Some(due) if due <= now => Timeliness::Overdue,
            Some(due) => {
                let allowed = due.saturating_sub(self.accepted_at / 1_000_000_000);
                match (due - now) * 3 <= allowed {
                    true => Timeliness::DueSoon,
                    false => Timeliness::OnTime,
                }
            }
        }
    }

    /// The rung that is climbed next, of what is still to be done.
    pub fn next_step(&self) -> Option<NextStep> {
        self.duties().iter().filter_map(|duty| self.due.of(*duty).next_step(*duty)).min()
    }

    /// The highest rung that was climbed, for whatever was not done.
    pub fn highest_rung(&self) -> Option<Rung> {
        Duty::ALL.into_iter().filter_map(|duty| self.rung_of(duty)).max()
    }

    /// The highest rung that was climbed for what is to be done next.
    pub fn rung_now(&self) -> Option<Rung> {
        self.rung_of(*self.duties().first()?)
    }

    /// The highest rung that was climbed for a duty.
    pub fn rung_of(&self, duty: Duty) -> Option<Rung> {
        let (urgency, _) = Urgency::effective(Some(&self.urgency));
        Some(Rung::at(self.due.of(duty).highest()?, duty, urgency))
    }

    /// Whether it can still be taken and decided.
    pub fn is_undecided(&self) -> bool {
        matches!(self.delivery.state, State::Queued | State::Stored | State::Acknowledged)
    }

    /// Of what is for information nothing is owed once it was read.
    fn is_read(&self) -> bool {
        self.delivery.opened && self.urgency == Urgency::Information.as_str()
    }

    /// The value under [`delivery_key`].
    pub fn pack(&self) -> Vec<u8> {
        let delivery = &self.delivery;
        let moved = delivery.holder != delivery.addressed;
        pack(&Lean {
            holder: moved.then(|| delivery.holder.clone()),
            state: delivery.state,
            opened: delivery.opened,
            trouble: delivery.trouble,
            withdrawal: delivery.withdrawal,
            outcome: delivery.outcome.as_deref(),
            phone: delivery.phone,
            sender: &self.sender,
            reply_to: self.reply_to.clone(),
            urgency: &self.urgency,
            exercise: self.exercise,
            accepted_at: self.accepted_at,
            changed: (
                self.changed.0.saturating_sub(self.accepted_at),
                self.changed.1.saturating_sub(self.concern),
            ),
            decision: self.decision,
            feedback: self.feedback,
            rewraps: self.rewraps.as_slice().into(),
            withdrawn_by: self.withdrawn_by,
            stand_ins: delivery.stand_ins.as_slice().into(),
            due: self.due.since(self.accepted_at),
            cared_for: self.cared_for,
        })
    }

    /// From a key of [`delivery_key`] and its value.
    pub fn unpack(key: &[u8], value: &[u8]) -> Option<Self> {
        let (concern, addressed) = key.get(1..)?.split_first_chunk()?;
        let concern = u64::from_be_bytes(*concern);
        let addressed: InboxId = std::str::from_utf8(addressed).ok()?.parse().ok()?;
        let lean: Lean<'_> = postcard::from_bytes(value).ok()?;
        let delivery = lifecycle::Delivery {
            holder: lean.holder.unwrap_or_else(|| addressed.clone()),
            addressed,
            state: lean.state,
            opened: lean.opened,
            trouble: lean.trouble,
            withdrawal: lean.withdrawal,
            outcome: lean.outcome.map(str::to_owned),
            phone: lean.phone,
            stand_ins: lean.stand_ins.into_owned(),
        };
        Some(Self {
            delivery,
            concern,
            sender: lean.sender.to_owned(),
            reply_to: lean.reply_to,
            urgency: lean.urgency.to_owned(),
            exercise: lean.exercise,
            accepted_at: lean.accepted_at,
            changed: (lean.accepted_at + lean.changed.0, concern + lean.changed.1),
            decision: lean.decision,
            feedback: lean.feedback,
            rewraps: lean.rewraps.into_owned(),
            withdrawn_by: lean.withdrawn_by,
            due: lean.due.after(lean.accepted_at),
            cared_for: lean.cared_for,
        })
    }
}

/// A value's bytes.
pub fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("invariant: the records are plain data")
}

/// A value from the index; `None` if absent.
pub fn unpack<T: DeserializeOwned>(view: &impl View, key: &[u8]) -> Option<T> {
    view.value(key).and_then(|bytes| postcard::from_bytes(&bytes).ok())
}

/// All deliveries of a concern, by the inbox addressed.
pub fn deliveries(view: &impl View, concern: u64) -> Vec<DeliveryRecord> {
    view.under(&deliveries_prefix(concern), crate::limits::RECIPIENTS_MAX)
        .into_iter()
        .filter_map(|(key, value)| DeliveryRecord::unpack(&key, &value))
        .collect()
}

/// Whether an entry waits to be stored by an inbox.
pub fn waits(view: &impl View, inbox: &InboxId, entry: u64) -> bool {
    view.value(&queue_key(inbox, entry)).is_some()
}

/// Where the journal has an entry.
pub fn place(view: &impl View, entry: u64) -> Option<Place> {
    let value = view.value(&entry_key(entry))?;
    let (_, place) = postcard::take_from_bytes::<EntryMeta>(&value).ok()?;
    postcard::from_bytes(place).ok()
}

/// What the fold kept of an entry.
pub fn meta(view: &impl View, entry: u64) -> Option<EntryMeta> {
    unpack(view, &entry_key(entry))
}

/// The same, from the value of an [`entry_key`].
pub fn meta_in(value: &[u8]) -> Option<EntryMeta> {
    postcard::from_bytes(value).ok()
}

/// The entry type of a number in the index.
pub fn kind_of(meta: &EntryMeta) -> proto::EntryType {
    proto::EntryType::try_from(meta.kind).unwrap_or_default()
}
