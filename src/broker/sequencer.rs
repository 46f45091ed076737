//! The single writer. Takes all that is queued, commits it as one batch, answers
//! everyone. No timer: a batch is what arrived while the last one was on its way.
//!
//! ```text
//! draft:   look up request ids once more · judge against where things stand ·
//!          number · encode · fold into an overlay
//! seal:    grow a copy of the tree · check old root → new root by other code ·
//!          sign one checkpoint
//! commit:  one write, one fdatasync · apply the overlay to the index
//! publish: the checkpoint, the directory, the answers, the bells
//! ```
//!
//! An error before the write answers those it concerns; an unknown outcome stops
//! the ledger until recovery has read the disk.
//!
//! Holds: I1, I4, I8, I9. Knows: store, ledger, policy, directory, crypto, proto.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    Error, Shared, projection,
    receipt::{Batch, DurableBatch, broken},
    records::{self, Place},
    sameness,
    submit::refusal_facts,
    tree::Head,
};
use crate::{
    clock::Moment,
    crypto::sign::SigningKey,
    directory::{self, Directory},
    domain::{ids::InboxId, refusal::Refusal},
    ledger::{
        checkpoint::Checkpoint,
        extension::{Extension, extends},
        growth::{FullTile, Growth},
        leaf::{Leaf, commit},
        tiles::encode_tile,
    },
    limits,
    policy::{self, Permitted},
    proto::{self, EntryType, Facts, SignedChange},
    store::{self, Committed, Location, Overlay, Record, Store, StoreError, Watermark},
};

/// Something to append.
pub(super) enum Work {
    /// A statement that the policy permitted.
    Statement(Box<Permitted>),
    /// A change of the directory, by this agency.
    Change { by: String, change: SignedChange },
    /// A record of the exchange's own: a refusal, a look, a recovery.
    Note { facts: Box<Facts>, detail: Vec<u8> },
}

/// Work and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Done, Error>>,
    /// Its share of what the queue may hold, in KiB; given back when it is done.
    pub(super) room: OwnedSemaphorePermit,
}

/// Work that is done.
pub(super) enum Done {
    /// In this batch; `repeat` if an earlier statement of the batch said the same.
    Committed { committed: Committed, batch: Batch, repeat: bool },
    /// Accepted before, under this entry.
    Known(u64),
}

/// What somebody who waits will be told once the batch is durable.
enum Verdict {
    Entry { at: usize, repeat: bool },
    Known(u64),
    Refused(Refusal),
    Failed(Error),
}

type Waiter = (oneshot::Sender<Result<Done, Error>>, Verdict);

/// The committer: owns the store and the ledger's key.
pub(super) struct Sequencer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) key: SigningKey,
    pub(super) ledger: [u8; 16],
}

/// A batch in the making.
struct Draft<'a> {
    shared: &'a Shared,
    overlay: Overlay<'a>,
    first: u64,
    time: u64,
    directory: Arc<Directory>,
    records: Vec<Record>,
    /// Request keys of this batch: which record took them.
    requests: HashMap<[u8; 32], usize>,
    /// What is left of the disk is kept for steps of deliveries under way.
    low: bool,
    /// Inboxes for which something new waits.
    bells: Vec<InboxId>,
    waiters: Vec<Waiter>,
}

/// A batch whose checkpoint is signed. It has left the process to nobody.
struct Sealed {
    growth: Growth,
    full: Vec<FullTile>,
    extension: Extension,
    checkpoint: Vec<u8>,
}

impl Sequencer {
    /// Runs until every sender of jobs is gone, then closes in order; or until an
    /// outcome is unknown.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let batch = take(first, &mut jobs);
            if let Err(error) = self.commit(batch) {
                self.shared.stopped.store(true, Ordering::SeqCst);
                tracing::error!(%error, "the ledger has stopped; recovery will read the disk");
                return;
            }
        }
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Err(error) = self.store.close() {
            tracing::error!(%error, "the clean-stop mark was not written");
        }
    }

    /// Commits one batch and answers everyone in it. An error stops the ledger.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let head = shared.tree.head();
        let mut draft = Draft::begin(&shared, &head);
        draft.low = self.store.is_low();
        shared.low.store(draft.low, Ordering::Relaxed);
        let mut rooms = Vec::with_capacity(jobs.len());
        for Job { work, reply, room } in jobs {
            let verdict = draft.take(work);
            draft.waiters.push((reply, verdict));
            rooms.push(room);
        }
        if draft.records.is_empty() {
            answer(draft.waiters, &[], None);
            return Ok(());
        }
        let sealed = match self.seal(&head, &draft.records) {
            Ok(sealed) => sealed,
            Err(error) => {
                fail(draft.waiters, &error);
                return Ok(());
            }
        };
        self.write(draft, sealed)
    }

    /// Grows the tree, checks the growth by separate code, signs the checkpoint.
    fn seal(&self, head: &Head, records: &[Record]) -> Result<Sealed, Error> {
        let leaves: Vec<_> =
            records.iter().map(|record| crate::ledger::merkle::leaf_hash(&record.leaf)).collect();
        let (mut growth, mut full) = (head.growth.clone(), Vec::new());
        for leaf in &leaves {
            growth.push(*leaf, &mut full);
        }
        let old_root = head.growth.root();
        let extension =
            extends(head.growth.frontier(), &old_root, &leaves, &growth.root()).map_err(broken)?;
        let origin = &self.shared.exchange;
        let checkpoint =
            Checkpoint::new(origin, growth.size(), growth.root()).map_err(broken)?.sign(&self.key);
        Ok(Sealed { growth, full, extension, checkpoint })
    }

    /// Puts the batch on disk and, only then, shows it to anyone.
    fn write(&mut self, draft: Draft<'_>, sealed: Sealed) -> Result<(), StoreError> {
        let Draft { overlay, first, time, directory, records, bells, waiters, .. } = draft;
        let watermark = Watermark {
            ledger: self.ledger,
            size: sealed.growth.size(),
            root: *sealed.growth.root().as_bytes(),
            frontier: sealed.growth.frontier().to_bytes(),
            time,
        };
        let batch = store::Batch {
            first,
            records: &records,
            root: watermark.root,
            checkpoint: &sealed.checkpoint,
        };
        let mut changes = overlay.into_changes();
        let shared = Arc::clone(&self.shared);
        let mut moving = None;
        let outcome = self.store.commit(&batch, |entries, trailer| {
            moving = Some(shared.tree.moving());
            place(&mut changes, first, entries, trailer, &sealed.full);
            (changes, watermark)
        });
        let committed = match outcome {
            Ok(committed) => committed,
            Err(StoreError::NotWritten(error)) => {
                tracing::error!(%error, "a batch was not written");
                fail(waiters, &Error::Busy(limits::DISK_FULL_DELAY));
                return Ok(());
            }
            // Unknown to those who wait, and the ledger stops (I9). An index that fails
            // after the sync leaves them the same way out: the retry finds the truth.
            Err(error) => {
                fail(waiters, &Error::Unknown);
                return Err(error);
            }
        };
        shared.counts.batches.fetch_add(1, Ordering::Relaxed);
        shared.counts.entries.fetch_add(committed.len() as u64, Ordering::Relaxed);
        shared.directory.store(directory);
        let checkpoint = sealed.checkpoint.clone();
        if let Some(moving) = moving {
            moving.publish(Arc::new(Head { growth: sealed.growth, checkpoint, time }));
        }
        let batch = Arc::new(DurableBatch {
            records,
            extension: sealed.extension,
            checkpoint: sealed.checkpoint,
        });
        answer(waiters, &committed, Some(&batch));
        bells.iter().for_each(|inbox| shared.hub.ring(inbox));
        Ok(())
    }
}

/// All that is queued, within the bounds of a batch.
fn take(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.work.bytes();
    let mut batch = vec![first];
    let room =
        limits::BATCH_BYTES_MAX - limits::DETAIL_BYTES_MAX - limits::LEAF_AND_FACTS_BYTES_MAX;
    // A refused statement leaves a record too, so each job is at most one entry.
    while batch.len() < limits::BATCH_ENTRIES_MAX && bytes < room {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.work.bytes();
        batch.push(job);
    }
    batch
}

impl Work {
    /// About how much of a batch it takes.
    pub(super) fn bytes(&self) -> usize {
        let detail = match self {
            Self::Statement(permitted) => permitted.authenticated().envelope().len(),
            Self::Change { change, .. } => change.change.len() + change.signatures.len() * 80,
            Self::Note { detail, .. } => detail.len(),
        };
        detail + limits::LEAF_AND_FACTS_BYTES_MAX
    }
}

impl<'a> Draft<'a> {
    fn begin(shared: &'a Shared, head: &Head) -> Self {
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
            low: false,
            bells: Vec::new(),
            waiters: Vec::new(),
        }
    }

    fn take(&mut self, work: Work) -> Verdict {
        match work {
            Work::Statement(permitted) => self.statement(*permitted),
            Work::Change { by, change } => self.change(&by, change),
            Work::Note { facts, detail } => self.append(&facts, detail),
        }
    }

    /// A statement, if its request id is still free and it still fits.
    fn statement(&mut self, permitted: Permitted) -> Verdict {
        let key = self.shared.request_key(permitted.authenticated());
        if let Some(at) = self.requests.get(&key).copied() {
            let envelope = permitted.authenticated().envelope();
            return match sameness::same(&self.records[at].detail, envelope) {
                true => Verdict::Entry { at, repeat: true },
                false => {
                    self.refuse(permitted.facts().sender.clone(), Refusal::RequestIdConflict, &key)
                }
            };
        }
        match self.shared.repeat_of(permitted.authenticated(), &key) {
            Some(Ok(stored)) => return Verdict::Known(stored.entry),
            Some(Err(Error::Refused(refusal))) => {
                return self.refuse(permitted.facts().sender.clone(), *refusal, &key);
            }
            Some(Err(error)) => return Verdict::Failed(error),
            None => {}
        }
        if self.low && permitted.facts().r#type() == EntryType::Concern {
            return Verdict::Failed(Error::Busy(limits::DISK_FULL_DELAY));
        }
        let sender = permitted.facts().sender.clone();
        let fits = self.still_permitted(permitted).and_then(|permitted| {
            let (authenticated, mut facts) = permitted.into_parts();
            projection::address(&self.overlay, &mut facts);
            projection::judge(&self.overlay, &facts)?;
            Ok((authenticated, facts))
        });
        match fits {
            Ok((authenticated, mut facts)) => {
                facts.request_key = key.to_vec();
                self.number(&mut facts);
                self.requests.insert(key, self.records.len());
                self.append(&facts, authenticated.into_envelope())
            }
            Err(refusal) => self.refuse(sender, refusal, &key),
        }
    }

    /// The directory may have moved since the policy looked.
    fn still_permitted(&self, permitted: Permitted) -> Result<Permitted, Refusal> {
        if permitted.judged_as_of() == self.directory.as_of() {
            return Ok(permitted);
        }
        let (authenticated, _) = permitted.into_parts();
        policy::permit(&self.directory, authenticated, Moment(self.time))
    }

    /// The gapless numbers of the sender and of each inbox addressed.
    fn number(&self, facts: &mut Facts) {
        let newest = |key: Vec<u8>| records::unpack::<u64>(&self.overlay, &key).unwrap_or(0);
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
            Err(refusal) => return self.refuse(by.to_owned(), refusal, &[]),
        };
        let (code, subject) = directory::subject(&change);
        let mut facts =
            Facts { sender: by.to_owned(), code: code.to_owned(), subject, ..Facts::default() };
        facts.set_type(EntryType::Directory);
        let entry = self.first + self.records.len() as u64;
        Arc::make_mut(&mut self.directory).apply(entry, &signed);
        self.append(&facts, proto::encode(&signed))
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

    /// The refusal's own record, unless an identical one is recorded already.
    fn refuse(&mut self, agency: String, refusal: Refusal, request_key: &[u8]) -> Verdict {
        self.shared.counts.refusals.fetch_add(1, Ordering::Relaxed);
        let facts = refusal_facts(&agency, &refusal, request_key.to_vec());
        let recorded = records::refusal_key(&projection::refusal_digest(&facts));
        if store::View::value(&self.overlay, &recorded).is_none()
            && let Verdict::Failed(error) = self.append(&facts, Vec::new())
        {
            return Verdict::Failed(error);
        }
        Verdict::Refused(refusal)
    }

    /// Encodes an entry and folds it into the overlay.
    fn append(&mut self, facts: &Facts, detail: Vec<u8>) -> Verdict {
        match self.record(facts, detail) {
            Ok(record) => {
                let entry = self.first + self.records.len() as u64;
                if let Err(refusal) = projection::apply(&mut self.overlay, entry, self.time, facts)
                {
                    return Verdict::Failed(broken(format!(
                        "the fold refused entry {entry}: {refusal}"
                    )));
                }
                self.bells.extend(rings(facts));
                self.records.push(record);
                Verdict::Entry { at: self.records.len() - 1, repeat: false }
            }
            Err(error) => Verdict::Failed(error),
        }
    }

    fn record(&self, facts: &Facts, detail: Vec<u8>) -> Result<Record, Error> {
        let facts = proto::encode(facts);
        let mut chance = [0; 80];
        getrandom::fill(&mut chance).map_err(broken)?;
        let (mut entry_id, mut facts_opening, mut detail_opening) = ([0; 16], [0; 32], [0; 32]);
        entry_id.copy_from_slice(&chance[..16]);
        facts_opening.copy_from_slice(&chance[16..48]);
        detail_opening.copy_from_slice(&chance[48..]);
        let leaf = Leaf {
            entry_id,
            time_unix_ns: self.time,
            facts: commit(&facts, &facts_opening),
            detail: commit(&detail, &detail_opening),
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

/// Completes the index changes with where the journal put everything.
fn place(
    changes: &mut store::Changes,
    first: u64,
    entries: &[Location],
    trailer: Location,
    full: &[FullTile],
) {
    for (entry, at) in (first..).zip(entries) {
        let place = records::pack(&Place::new(*at, trailer));
        changes.insert(records::place_key(entry), Some(place));
    }
    for tile in full {
        let key = records::tile_key(tile.level, tile.index);
        changes.insert(key, Some(encode_tile(&tile.hashes)));
    }
}

/// Tells everyone what became of their work. Who hung up is not waited for.
fn answer(waiters: Vec<Waiter>, committed: &[Committed], batch: Option<&Batch>) {
    for (reply, verdict) in waiters {
        let result = match verdict {
            Verdict::Entry { at, repeat } => match (committed.get(at), batch) {
                (Some(committed), Some(batch)) => {
                    Ok(Done::Committed { committed: *committed, batch: Arc::clone(batch), repeat })
                }
                _ => Err(Error::Unknown),
            },
            Verdict::Known(entry) => Ok(Done::Known(entry)),
            Verdict::Refused(refusal) => Err(refusal.into()),
            Verdict::Failed(error) => Err(error),
        };
        drop(reply.send(result));
    }
}

fn fail(waiters: Vec<Waiter>, error: &Error) {
    for (reply, _) in waiters {
        drop(reply.send(Err(error.clone())));
    }
}
