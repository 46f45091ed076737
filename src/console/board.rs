//! What is open, walked through once for all who look.
//!
//! Between two entries of the ledger nothing moves, so everybody is shown the same walk. While
//! entries come, those who asked before a walk began share it: nobody is shown what is older than
//! the question, and however many ask, one walk at a time is made.
//!
//! Holds: I6, I10, I14. Knows: broker, domain, clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crate::{
    broker::{
        Broker,
        records::{DeliveryRecord, Timeliness},
    },
    clock::Moment,
    domain::{ids::InboxId, lifecycle::State, vocabulary::Urgency},
};

/// All that is open, at one moment.
pub(super) struct Board {
    begun: Instant,
    /// How many entries of the ledger it knows.
    pub(super) size: u64,
    /// Deliveries, the one with the least time left first; exercises too.
    pub(super) rows: Vec<DeliveryRecord>,
    /// Deliveries ever made.
    pub(super) made: u64,
    /// Of them closed.
    pub(super) closed: u64,
    /// Of them taken back in time.
    pub(super) withdrawn: u64,
    /// Whether nothing was entered while it was walked through: only then can it add up.
    pub(super) settled: bool,
}

/// How often a walk is made again while entries come.
const WALKS_MAX: usize = 3;

/// Which deliveries a list shows. Each row of what is live stands in exactly one of the first four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// The time for the next step is over.
    Overdue,
    /// Less than a third of it is left.
    DueSoon,
    /// There is time.
    OnTime,
    /// Nobody owes anything by a time.
    NothingDue,
    /// Their system has not fetched it, could not take it, or cannot open it.
    Undelivered,
    /// Exercises, which wake nobody and are in none of the above.
    Exercises,
    /// Everything that is open.
    All,
}

impl Show {
    pub(super) const EACH: [Self; 7] = [
        Self::Overdue,
        Self::DueSoon,
        Self::OnTime,
        Self::NothingDue,
        Self::Undelivered,
        Self::Exercises,
        Self::All,
    ];

    /// As it stands in an address.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::DueSoon => "due_soon",
            Self::OnTime => "on_time",
            Self::NothingDue => "nothing_due",
            Self::Undelivered => "undelivered",
            Self::Exercises => "exercises",
            Self::All => "all",
        }
    }

    /// From an address.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|show| show.as_str() == word)
    }

    /// The heading of the list.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Overdue => "Overdue",
            Self::DueSoon => "Due soon",
            Self::OnTime => "On time",
            Self::NothingDue => "Nothing due",
            Self::Undelivered => "Not delivered",
            Self::Exercises => "Exercises",
            Self::All => "Everything open",
        }
    }

    /// What it means, in a sentence.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Overdue => "The time for the next step is over.",
            Self::DueSoon => "Less than a third of the time is left.",
            Self::OnTime => "Somebody has it to do, and there is time.",
            Self::NothingDue => "No deadline runs: read, or told and waiting to be fetched.",
            Self::Undelivered => "Their system has not fetched it, or could not take or open it.",
            Self::Exercises => "Practice. It wakes nobody and is in no other count here.",
            Self::All => "Every delivery that is not closed, exercises included.",
        }
    }

    fn has(self, record: &DeliveryRecord, now: u64) -> bool {
        let timeliness = || record.timeliness(now);
        match self {
            Self::All => true,
            Self::Exercises => record.exercise,
            _ if record.exercise => false,
            Self::Overdue => timeliness() == Timeliness::Overdue,
            Self::DueSoon => timeliness() == Timeliness::DueSoon,
            Self::OnTime => timeliness() == Timeliness::OnTime,
            Self::NothingDue => timeliness() == Timeliness::NothingDue,
            Self::Undelivered => {
                record.delivery.state == State::Queued || record.delivery.trouble.is_some()
            }
        }
    }
}

/// An inbox with what waits there.
#[derive(Default)]
pub(super) struct Queue {
    /// What is open there: as many as [`Show::All`] lists.
    pub(super) open: u64,
    /// As many as [`Show::Undelivered`] lists.
    pub(super) undelivered: u64,
    /// Of those, accepted first: when.
    pub(super) oldest: Option<Moment>,
    /// Something immediate or urgent is among those.
    pub(super) pressing: bool,
}

impl Board {
    /// Walks through what is open; again, a few times, if entries came meanwhile.
    fn walk(broker: &Broker) -> Self {
        let begun = Instant::now();
        let mut board = Self::walk_once(broker, begun);
        for _ in 1..WALKS_MAX {
            if board.settled {
                break;
            }
            board = Self::walk_once(broker, begun);
        }
        board
    }

    fn walk_once(broker: &Broker, begun: Instant) -> Self {
        let folded = broker.index().size();
        let mut rows: Vec<DeliveryRecord> =
            broker.open_deliveries(None).map(|(_, record)| record).collect();
        // What nobody owes by a time comes last.
        rows.sort_by_key(|row| (row.next_due().unwrap_or(u64::MAX), row.concern));
        let summary = broker.summary();
        let made = broker.count("deliveries");
        let (closed, withdrawn) = (summary.closed, summary.withdrawn);
        let settled = broker.index().size() == folded;
        Self { begun, size: folded, rows, made, closed, withdrawn, settled }
    }

    /// The rows of a list, in order.
    pub(super) fn list(&self, show: Show, now: Moment) -> impl Iterator<Item = &DeliveryRecord> {
        self.rows.iter().filter(move |row| show.has(row, now.seconds()))
    }

    /// How many rows a list has.
    pub(super) fn count(&self, show: Show, now: Moment) -> u64 {
        self.list(show, now).count() as u64
    }

    /// What is open by inbox.
    pub(super) fn queues(&self) -> BTreeMap<InboxId, Queue> {
        let mut queues: BTreeMap<InboxId, Queue> = BTreeMap::new();
        for row in &self.rows {
            let queue = queues.entry(row.delivery.holder.clone()).or_default();
            queue.open += 1;
            if Show::Undelivered.has(row, 0) {
                let accepted = Moment(row.accepted_at);
                queue.undelivered += 1;
                queue.oldest = Some(queue.oldest.map_or(accepted, |oldest| oldest.min(accepted)));
                queue.pressing |= Urgency::parse(&row.urgency).is_some_and(Urgency::cannot_wait);
            }
        }
        queues
    }
}

/// The newest walk.
#[derive(Default)]
pub(super) struct Boards(Mutex<Option<Arc<Board>>>);

impl Boards {
    /// What is open now. It may walk: not for an async thread.
    pub(super) fn now(&self, broker: &Broker) -> Arc<Board> {
        let asked = Instant::now();
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = broker.index().size();
        let fresh = |board: &&Arc<Board>| board.size == size || board.begun >= asked;
        match newest.as_ref().filter(fresh) {
            Some(board) => Arc::clone(board),
            None => Arc::clone(newest.insert(Arc::new(Board::walk(broker)))),
        }
    }
}
