//! What waits for an inbox, and how it is offered: again and again until stored.
//!
//! No expiry, no maximum of attempts, nothing set aside: a statement leaves the
//! queue of an inbox by a `stored` statement alone, or with its delivery.
//!
//! Holds: I7, I10. Knows: store, directory, proto.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Broker, Error, hub::Heard, records};
use crate::{
    clock::Moment,
    directory,
    domain::ids::InboxId,
    limits,
    proto::{self, EntryType, Envelope, Facts, Incoming, Rewrap, Statement, Wrap},
    store::Index,
};

/// What a stream gives.
pub enum Offered {
    /// A statement.
    Incoming(Box<Incoming>),
    /// Nothing new for a while; the ledger has this size.
    Alive(u64),
}

impl Broker {
    /// Entries waiting for an inbox after `after`, oldest first.
    pub fn waiting(
        &self,
        inbox: &InboxId,
        after: Option<u64>,
    ) -> impl Iterator<Item = u64> + use<> {
        waiting(&self.shared.index, inbox, after)
    }

    /// Offers what waits for these inboxes and what comes, until the receiver is
    /// dropped, it is no longer `allowed`, or `ended` says so. Bounded: no more than the window is ever ahead of
    /// the reader.
    pub async fn offer(
        &self,
        inboxes: Vec<InboxId>,
        to: mpsc::Sender<Result<Offered, Error>>,
        allowed: impl Fn() -> bool + Send + Sync,
        ended: tokio_util::sync::CancellationToken,
    ) {
        let bells = self.shared.hub.listen(&inboxes);
        let _there = There::begin(self, &inboxes);
        let late = |inbox: &InboxId| self.shared.hub.late_count(inbox);
        let mut rounds: Vec<Round> =
            inboxes.into_iter().map(|inbox| Round::new(late(&inbox), inbox)).collect();
        let mut caught_up = false;
        while allowed() {
            // Listen before looking, so that nothing slips between the two.
            let mut rung: Vec<_> = bells.iter().map(|bell| Box::pin(bell.notified())).collect();
            for bell in &mut rung {
                bell.as_mut().enable();
            }
            let mut offered = false;
            for round in &mut rounds {
                match self.offer_round(round, &to).await {
                    Ok(any) => offered |= any,
                    Err(Gone) => return,
                }
            }
            if offered {
                continue;
            }
            // Said at once when all that waited has been offered, then in silence.
            let wake = if caught_up { limits::ALIVE_INTERVAL } else { Duration::ZERO };
            tokio::select! {
                () = ended.cancelled() => return,
                () = to.closed() => return,
                () = any(rung) => {}
                () = sleep_until(Instant::now() + wake) => {
                    let size = self.shared.tree.head().growth.size();
                    if to.send(Ok(Offered::Alive(size))).await.is_err() {
                        return;
                    }
                    caught_up = true;
                }
            }
        }
    }

    /// When an inbox's system was heard from.
    pub fn heard(&self, inbox: &InboxId) -> Heard {
        self.shared.hub.heard(inbox)
    }

    /// Whether nobody listens for an inbox, and nobody has asked for it for a while.
    pub fn is_silent(&self, inbox: &InboxId, now: Moment) -> bool {
        let heard = self.heard(inbox);
        let last = heard.last.unwrap_or(self.shared.started);
        heard.streams == 0 && now >= last.after(limits::SILENT_AFTER)
    }

    /// An inbox's system asks what waits there.
    pub fn asked_for(&self, inbox: &InboxId) {
        self.shared.hub.asked(inbox, self.shared.clock.now());
    }

    /// Offers what is new in one inbox, or everything again when its time has come.
    async fn offer_round(
        &self,
        round: &mut Round,
        to: &mpsc::Sender<Result<Offered, Error>>,
    ) -> Result<bool, Gone> {
        let round_inbox = round.inbox.clone();
        if round.started.elapsed() >= limits::REDELIVERY_INTERVAL {
            round.begin_again(|entry| self.waits(&round_inbox, entry));
        }
        let (late, count) = self.shared.hub.late_since(&round.inbox, round.late);
        round.late = count;
        let late = late.unwrap_or_else(|| {
            round.begin_again(|entry| self.waits(&round_inbox, entry));
            Vec::new()
        });
        let behind = round.after;
        let late = late.into_iter().filter(|entry| behind.is_some_and(|after| *entry <= after));
        let mut offered = false;
        for entry in late.chain(self.waiting(&round.inbox, round.after)) {
            round.after = round.after.max(Some(entry));
            let attempt = round.attempts.entry(entry).or_insert(0);
            *attempt += 1;
            #[cfg(test)]
            if crate::planted::is(crate::planted::Bug::RedeliveryDropped) && *attempt > 5 {
                continue;
            }
            // Stored since we looked, or not readable: then it waits until the disk is mended, and
            // what comes after it does not.
            let Some(incoming) = self.readable(&round.inbox, entry) else { continue };
            let incoming = Box::new(Incoming { attempt: *attempt, ..incoming });
            self.shared.counts.offered.fetch_add(1, Ordering::Relaxed);
            offered = true;
            to.send(Ok(Offered::Incoming(incoming))).await.map_err(|_| Gone)?;
        }
        Ok(offered)
    }

    /// [`Broker::incoming`], or nothing where the journal does not have it whole: the
    /// operators are told, the statement goes on waiting, and the others do not wait for it.
    pub fn readable(&self, inbox: &InboxId, entry: u64) -> Option<Incoming> {
        self.incoming(inbox, entry).unwrap_or_else(|error| {
            tracing::error!(entry, %inbox, %error, "a statement that waits cannot be read");
            None
        })
    }

    /// One waiting statement as its inbox may see it; `None` if it no longer waits.
    ///
    /// # Errors
    /// [`Error::Broken`] if the journal does not have it whole.
    pub fn incoming(&self, inbox: &InboxId, entry: u64) -> Result<Option<Incoming>, Error> {
        let shared = &self.shared;
        if !self.waits(inbox, entry) {
            return Ok(None);
        }
        let stored = shared.stored(entry)?;
        let facts: Facts = proto::decode(&stored.record.facts).map_err(super::receipt::broken)?;
        // What the exchange itself says is said by the facts; nobody signed it.
        let envelope = match facts.r#type().is_statement() {
            true => proto::decode(&stored.record.detail).map_err(super::receipt::broken)?,
            false => Envelope::default(),
        };
        let refused = facts.r#type() == EntryType::Refusal;
        let refused_request_id = if refused { stored.record.detail.clone() } else { Vec::new() };
        let rewraps = records::deliveries(&shared.index, entry)
            .into_iter()
            .filter(|it| it.delivery.holder == *inbox || it.delivery.stand_ins.contains(inbox))
            .flat_map(|record| record.rewraps)
            .map(|rewrap| self.rewrap(inbox, rewrap))
            .filter(|rewrap| rewrap.as_ref().is_ok_and(|rewrap| !rewrap.wraps.is_empty()))
            .collect::<Result<Vec<_>, _>>()?;
        let number = facts.inboxes.iter().position(|name| *name == inbox.to_string());
        let body = envelope.body.map(|mut body| {
            released_to(inbox, &mut body.wraps);
            body
        });
        let accepted_at = records::meta(&shared.index, entry).map_or(0, |meta| meta.time);
        Ok(Some(Incoming {
            entry,
            inbox: inbox.to_string(),
            inbox_number: number.and_then(|at| facts.inbox_numbers.get(at).copied()).unwrap_or(0),
            accepted_at,
            signing_key: self.signing_key(envelope.signature.as_ref()),
            statement: envelope.statement,
            signature: envelope.signature,
            body,
            rewraps,
            tlog_proof: stored.receipt.tlog_proof,
            leaf: stored.receipt.leaf,
            facts: stored.receipt.facts,
            facts_opening: stored.receipt.facts_opening,
            attempt: 1,
            refused_request_id,
        }))
    }

    fn rewrap(&self, inbox: &InboxId, entry: u64) -> Result<Rewrap, Error> {
        let record = self.shared.record(entry)?;
        let envelope: Envelope = proto::decode(&record.detail).map_err(super::receipt::broken)?;
        let mut wraps = envelope.body.map(|body| body.wraps).unwrap_or_default();
        released_to(inbox, &mut wraps);
        Ok(Rewrap {
            entry,
            signing_key: self.signing_key(envelope.signature.as_ref()),
            statement: envelope.statement,
            signature: envelope.signature,
            wraps,
        })
    }

    fn signing_key(&self, signature: Option<&proto::Signature>) -> Vec<u8> {
        let directory = self.shared.directory.load();
        signature
            .and_then(|signature| directory::key_id(&signature.key_id).ok())
            .and_then(|id| directory.key(&id).map(|known| known.public.to_bytes().to_vec()))
            .unwrap_or_default()
    }

    /// Who sent the statement of an entry, for those who may ask.
    ///
    /// # Errors
    /// [`Error::Broken`] if the journal does not have it whole.
    pub fn statement(&self, entry: u64) -> Result<Statement, Error> {
        let record = self.shared.record(entry)?;
        let envelope: Envelope = proto::decode(&record.detail).map_err(super::receipt::broken)?;
        proto::decode(&envelope.statement).map_err(super::receipt::broken)
    }
}

/// The wraps that an inbox may have: its own. Who asks has a place in the queue, so a deputy's
/// wrap is released by the rung or the redirection that gave it one.
fn released_to(inbox: &InboxId, wraps: &mut Vec<Wrap>) {
    let name = inbox.to_string();
    wraps.retain(|wrap| wrap.inbox == name);
}

fn waiting(
    index: &Index,
    inbox: &InboxId,
    after: Option<u64>,
) -> impl Iterator<Item = u64> + use<> {
    let from = after.map_or(0, |entry| entry.saturating_add(1));
    index
        .range(&records::queue_key(inbox, from), &records::queue_key(inbox, u64::MAX))
        .filter_map(|(key, _)| records::entry_of(&key))
}

/// One inbox of a stream: how far it was offered, and since when.
struct Round {
    inbox: InboxId,
    after: Option<u64>,
    /// How many entries that came late are known.
    late: u64,
    started: Instant,
    attempts: HashMap<u64, u32>,
}

impl Round {
    fn new(late: u64, inbox: InboxId) -> Self {
        Self { inbox, after: None, late, started: Instant::now(), attempts: HashMap::new() }
    }

    /// From the oldest on again. Only what still waits keeps its count.
    fn begin_again(&mut self, waits: impl Fn(u64) -> bool) {
        self.attempts.retain(|entry, _| waits(*entry));
        self.started = Instant::now();
        self.after = None;
    }
}

/// The reader has gone.
struct Gone;

/// A stream is open for these inboxes for as long as this lives.
struct There<'a> {
    broker: &'a Broker,
    inboxes: Vec<InboxId>,
}

impl<'a> There<'a> {
    fn begin(broker: &'a Broker, inboxes: &[InboxId]) -> Self {
        broker.shared.hub.stream_began(inboxes);
        Self { broker, inboxes: inboxes.to_vec() }
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        let shared = &self.broker.shared;
        shared.hub.stream_ended(&self.inboxes, shared.clock.now());
    }
}

/// Ready when the first bell rings.
async fn any(bells: Vec<std::pin::Pin<Box<tokio::sync::futures::Notified<'_>>>>) {
    let mut bells = bells;
    std::future::poll_fn(|context| {
        let ready = bells.iter_mut().any(|bell| bell.as_mut().poll(context).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Shared with the services.
pub type Stream = mpsc::Receiver<Result<Offered, Error>>;

impl Broker {
    /// [`Broker::offer`] in a task of its own.
    pub fn receive(
        &self,
        inboxes: Vec<InboxId>,
        allowed: impl Fn() -> bool + Send + Sync + 'static,
        ended: tokio_util::sync::CancellationToken,
    ) -> Stream {
        let (to, stream) = mpsc::channel(limits::STREAM_WINDOW);
        let broker = self.clone();
        tokio::spawn(async move { broker.offer(inboxes, to, allowed, ended).await });
        stream
    }
}
