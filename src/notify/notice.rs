//! What a rung of the ledger means for people, and what has become of it.
//!
//! What is wrong, who, since when, what to do, and where to find more; by inboxes and numbers
//! alone.
//!
//! Holds: I12. Knows: broker, directory, domain, proto, clock.

use serde::{Deserialize, Serialize};

use crate::{
    broker::{
        Broker,
        records::{self, DeliveryRecord},
    },
    clock::Moment,
    domain::{
        deadline::{Duty, Rung},
        ids::InboxId,
        vocabulary::Urgency,
    },
    proto::{self, EntryType, Facts},
};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Nobody has acted in time.
    Begun,
    /// Somebody on call is dealing with it.
    CaredFor,
    /// It is done, there is nothing left to do, or there is more time for it.
    Over,
}

/// What belongs together: one duty of one delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Key {
    pub(super) concern: u64,
    pub(super) addressed: InboxId,
    pub(super) duty: Duty,
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        format!("{}/{}/{}", key.concern, key.addressed, key.duty.as_str())
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || {
            let (concern, rest) = text.split_once('/')?;
            let (addressed, duty) = rest.rsplit_once('/')?;
            let (concern, addressed) = (concern.parse().ok()?, addressed.parse().ok()?);
            Some(Self { concern, addressed, duty: Duty::parse(duty)? })
        };
        read().ok_or("a key is concern/agency/role/duty")
    }
}

/// Where a duty stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is not done, and nobody is dealing with it.
    Undone,
    /// Somebody is dealing with it, as this entry says.
    CaredFor(u64),
    /// It is done, there is nothing left to do, or there is more time: nobody on the ladder that it
    /// has now was told yet.
    Over,
}

/// One notice.
pub(super) struct Notice {
    pub(super) what: What,
    /// The entry that it is about: a rung, or the delivery's newest step.
    pub(super) entry: u64,
    pub(super) at: Moment,
    pub(super) exchange: String,
    pub(super) concern: u64,
    pub(super) sender: String,
    pub(super) urgency: String,
    /// The inbox that the delivery was addressed to.
    pub(super) addressed: String,
    /// The inbox that has it.
    pub(super) inbox: String,
    pub(super) duty: Duty,
    /// How far the ladder was climbed.
    pub(super) rung: Rung,
    /// To whom it was offered then, or empty.
    pub(super) offered: String,
    /// When it was accepted, and when it was due.
    pub(super) since: Moment,
    pub(super) due: Moment,
    /// The inbox's telephone, or empty.
    pub(super) phone: String,
    /// The page of the concern, or empty where no console is served.
    pub(super) link: String,
    /// How often it was begun.
    pub(super) times: u32,
}

/// Whether an entry could be something to tell; the rest is decided when it is told.
pub(super) fn matters(broker: &Broker, entry: u64) -> bool {
    let meta = records::meta(broker.index(), entry);
    meta.is_some_and(|meta| records::kind_of(&meta) == EntryType::Escalation)
}

/// The rung of an entry: what it belongs to, and its facts. None of an exercise, which wakes
/// nobody.
pub(super) fn rung(broker: &Broker, entry: u64) -> Option<(Key, Facts)> {
    let facts: Facts = proto::decode(&broker.record(entry).ok()?.facts).ok()?;
    let key = Key {
        concern: facts.answers?,
        addressed: facts.inbox.parse().ok()?,
        duty: Duty::parse(&facts.subject)?,
    };
    (!facts.exercise).then_some((key, facts))
}

/// The delivery of a key, and where its duty stands at a moment.
pub(super) fn stands(broker: &Broker, key: &Key, now: Moment) -> Option<(DeliveryRecord, Stands)> {
    let all = broker.deliveries(key.concern).into_iter();
    let record = all.into_iter().find(|record| record.delivery.addressed == key.addressed)?;
    let stands = match record.cared_for {
        _ if !record.duties().contains(&key.duty) || has_time(&record, key.duty, now) => {
            Stands::Over
        }
        Some((entry, until)) if until > now.seconds() => Stands::CaredFor(entry),
        _ => Stands::Undone,
    };
    Some((record, stands))
}

/// Whether a duty is not due yet and its ladder not begun: it was given more time, or the concern
/// another urgency, since somebody was told.
fn has_time(record: &DeliveryRecord, duty: Duty, now: Moment) -> bool {
    record.rung_of(duty).is_none() && record.due.of(duty).due > now.seconds()
}

impl Notice {
    /// What there is to tell of a delivery.
    pub(super) fn of(
        (broker, console): (&Broker, &str),
        what: What,
        (key, record): (&Key, &DeliveryRecord),
        (entry, times): (u64, u32),
    ) -> Self {
        let holder = &record.delivery.holder;
        let directory = broker.directory();
        let phone = directory.inbox(holder).map(|inbox| inbox.phone.clone()).unwrap_or_default();
        let link = match console.is_empty() {
            true => String::new(),
            false => format!("{console}/concerns/{}", key.concern),
        };
        let offered = rung(broker, entry).map(|(_, facts)| facts.next_inbox).unwrap_or_default();
        let at = records::meta(broker.index(), entry).map_or(0, |meta| meta.time);
        Self {
            what,
            entry,
            at: Moment(at),
            exchange: broker.exchange().to_owned(),
            concern: key.concern,
            sender: record.sender.clone(),
            urgency: record.urgency.clone(),
            addressed: key.addressed.to_string(),
            inbox: holder.to_string(),
            duty: key.duty,
            rung: record.rung_of(key.duty).unwrap_or(Rung::Deputy),
            offered,
            since: Moment(record.accepted_at),
            due: Moment::of_seconds(record.due.of(key.duty).due),
            phone,
            link,
            times,
        }
    }

    /// By what tools outside know an incident: one duty of one delivery, each time it was begun.
    pub(super) fn incident(&self) -> String {
        let Self { exchange, concern, addressed, duty, .. } = self;
        let again = if self.times > 1 { format!("/{}", self.times) } else { String::new() };
        format!("{exchange}/{concern}/{addressed}/{}{again}", duty.as_str())
    }

    /// By what a repeat of this very notice is known.
    pub(super) fn id(&self) -> String {
        let what = match self.what {
            What::Begun => "begun",
            What::CaredFor => "cared-for",
            What::Over => "over",
        };
        format!("{}/{}/{what}", self.incident(), self.entry)
    }

    /// Whether it wakes people at night.
    pub(super) fn is_pressing(&self) -> bool {
        Urgency::parse(&self.urgency).is_some_and(Urgency::cannot_wait)
    }

    /// What is wrong, or what has become of it, in a sentence without a full stop.
    pub(super) fn summary(&self) -> String {
        let Self { concern, inbox, urgency, .. } = self;
        match self.what {
            What::Begun => {
                let undone = self.duty.undone();
                let turn = match self.offered.as_str() {
                    "" => format!("it is time to ring {}", self.rung.post()),
                    offered => format!("it was offered to {offered} too"),
                };
                format!("Concern {concern} for {inbox} ({urgency}): {undone}; {turn}")
            }
            What::CaredFor => {
                format!("Concern {concern} for {inbox}: somebody on call is dealing with it")
            }
            What::Over => format!("Concern {concern} for {inbox}: this is done, or has more time"),
        }
    }

    /// Since when, and what to do.
    pub(super) fn what_to_do(&self) -> String {
        let clock = |at: Moment| at.in_london().strftime("%-I:%M%P on %-d %B %Y").to_string();
        let ring = match self.phone.as_str() {
            "" => format!("Ring {}; the directory has no number for it.", self.inbox),
            phone => format!("Ring {} on {phone}.", self.inbox),
        };
        format!(
            "Accepted from {} at {}, due at {}. {ring} Give the concern's number, have it read back, \
             and record the call.",
            self.sender,
            clock(self.since),
            clock(self.due)
        )
    }
}
