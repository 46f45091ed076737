//! What an entry of the ledger means for people.
//!
//! What is wrong, who, since when, what to do, and where to find more; by inboxes and numbers
//! alone.
//!
//! Holds: I12. Knows: broker, directory, domain, proto, clock.

use crate::{
    broker::{
        Broker,
        records::{self, DeliveryRecord, EntryMeta},
    },
    clock::Moment,
    domain::{
        deadline::{Duty, Rung},
        ids::InboxId,
    },
    proto::{self, EntryType, Facts},
};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Nobody has acted in time, and the next in line was told.
    Begun,
    /// Somebody on call is dealing with it.
    CaredFor,
    /// It is done, or there is nothing left to do.
    Over,
}

/// One notice.
pub(super) struct Notice {
    pub(super) what: What,
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
    /// Who was told last.
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
    /// Whether what was to be done has been done since.
    pub(super) is_over: bool,
}

/// Whether an entry could be something to tell; the rest is decided when it is told.
pub(super) fn matters(broker: &Broker, entry: u64) -> bool {
    let Some(meta) = records::meta(broker.index(), entry) else { return false };
    what(records::kind_of(&meta)).is_some()
}

fn what(kind: EntryType) -> Option<What> {
    Some(match kind {
        EntryType::Escalation => What::Begun,
        EntryType::TakenCareOf => What::CaredFor,
        EntryType::Acknowledgement
        | EntryType::Decision
        | EntryType::Feedback
        | EntryType::Opened
        | EntryType::Withdrawal => What::Over,
        _ => return None,
    })
}

impl Notice {
    /// What there is to tell of an entry; `None` where nobody outside was, or need be, told:
    /// exercises, and what was done in time.
    pub(super) fn of(broker: &Broker, console: &str, entry: u64) -> Option<Self> {
        let meta = records::meta(broker.index(), entry)?;
        let what = what(records::kind_of(&meta))?;
        let facts: Facts = proto::decode(&broker.record(entry).ok()?.facts).ok()?;
        let record = delivery(broker, &meta, &facts)?;
        if record.exercise {
            return None;
        }
        let duty = match what {
            What::Begun => Duty::parse(&facts.subject)?,
            What::CaredFor => *record.duties().first()?,
            What::Over => ended(records::kind_of(&meta))?,
        };
        let climbed = match what {
            What::Begun => Rung::parse(&facts.code)?,
            // Of what nobody was told there is nothing to take back.
            What::CaredFor | What::Over => record.rung_of(duty)?,
        };
        let holder = &record.delivery.holder;
        let directory = broker.directory();
        let phone = directory.inbox(holder).map(|inbox| inbox.phone.clone()).unwrap_or_default();
        let link = match console.is_empty() {
            true => String::new(),
            false => format!("{console}/concerns/{}", record.concern),
        };
        Some(Self {
            what,
            entry,
            at: Moment(meta.time),
            exchange: broker.exchange().to_owned(),
            concern: record.concern,
            sender: record.sender.clone(),
            urgency: record.urgency.clone(),
            addressed: record.delivery.addressed.to_string(),
            inbox: holder.to_string(),
            duty,
            rung: climbed,
            offered: facts.next_inbox.clone(),
            since: Moment(record.accepted_at),
            due: Moment::of_seconds(record.due.of(duty).due),
            phone,
            link,
            is_over: !record.duties().contains(&duty),
        })
    }

    /// What belongs together: one duty of one delivery.
    pub(super) fn key(&self) -> String {
        let Self { exchange, concern, addressed, duty, .. } = self;
        format!("{exchange}/{concern}/{addressed}/{}", duty.as_str())
    }

    /// Whether it wakes people at night.
    pub(super) fn is_pressing(&self) -> bool {
        matches!(self.urgency.as_str(), "immediate" | "urgent")
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
            What::Over => format!("Concern {concern} for {inbox}: this has been done"),
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

/// Which duty a statement ends.
fn ended(kind: EntryType) -> Option<Duty> {
    match kind {
        EntryType::Decision => Some(Duty::Decide),
        EntryType::Feedback => Some(Duty::Feedback),
        EntryType::Acknowledgement | EntryType::Opened | EntryType::Withdrawal => {
            Some(Duty::Acknowledge)
        }
        _ => None,
    }
}

/// The delivery that an entry is about.
fn delivery(broker: &Broker, meta: &EntryMeta, facts: &Facts) -> Option<DeliveryRecord> {
    if let Some((concern, addressed)) = &meta.delivery {
        return find(broker, *concern, addressed.as_str());
    }
    let concern = facts.answers?;
    find(broker, concern, &facts.inbox)
}

/// Of a concern, the delivery addressed to an inbox; or, since people say where it is now, held
/// there.
fn find(broker: &Broker, concern: u64, inbox: &str) -> Option<DeliveryRecord> {
    let inbox: InboxId = inbox.parse().ok()?;
    let all = broker.deliveries(concern);
    let addressed = all.iter().find(|record| record.delivery.addressed == inbox);
    addressed.or_else(|| all.iter().find(|record| record.delivery.holder == inbox)).cloned()
}
