//! The single writer. Takes all that is queued, commits it as one batch, answers
//! everyone. No timer: a batch is what arrived while the last one was on its way, and while
//! those who want a processor had one.
//!
//! ```text
//! draft:   look up request ids once more · judge against where things stand ·
//!          number · encode · fold into an overlay (`draft.rs`)
//! seal:    grow a copy of the tree · check old root → new root by other code ·
//!          sign one checkpoint
//! commit:  one write, one fdatasync · apply the overlay to the index
//! publish: the checkpoint, the directory, the answers, the bells
//! ```
//!
//! An error before the write answers those it concerns; an unknown outcome stops
//! the ledger until recovery has read the disk.
//!
//! Holds: I1, I4, I9. Knows: store, ledger, crypto, limits.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    Error, Shared,
    admission::Admitted,
    draft::{Draft, Verdict, Waiter, Work},
    receipt::{Batch, DurableBatch, broken},
    records::{self, Place},
    tree::Head,
};
use crate::{
    crypto::sign::SigningKey,
    ledger::{
        checkpoint::Checkpoint,
        extension::{Extension, extends},
        growth::{FullTile, Growth},
        merkle::leaf_hash,
        tiles::encode_tile,
        tlog_proof::SignedCheckpoint,
    },
    limits,
    store::{self, Committed, Location, Record, Store, StoreError, Watermark},
};

/// Work and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Done, Error>>,
    /// Its place; given back when it is done.
    pub(super) admitted: Option<Admitted>,
}

/// Work that is done.
pub(super) enum Done {
    /// In this batch; `repeat` if an earlier statement of the batch said the same.
    Committed { committed: Committed, batch: Batch, repeat: bool },
    /// Accepted before, under this entry.
    Known(u64),
    /// To be judged again, by the directory as it is now.
    Moved(Vec<u8>),
}

/// The committer: owns the store and the ledger's key.
pub(super) struct Sequencer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) key: SigningKey,
    pub(super) ledger: [u8; 16],
}

/// A batch whose checkpoint is signed. It has left the process to nobody.
struct Sealed {
    growth: Growth,
    full: Vec<FullTile>,
    extension: Extension,
    checkpoint: SignedCheckpoint,
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
            let error = store::with_causes(&error);
            tracing::error!(error, "the clean-stop mark was not written");
        }
    }

    /// Commits one batch and answers everyone in it. An error stops the ledger.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let head = shared.tree.head();
        let mut draft = Draft::begin(&shared, &head);
        draft.low = self.store.is_low();
        shared.low.store(draft.low, Ordering::Relaxed);
        let mut places = Vec::with_capacity(jobs.len());
        for Job { work, reply, admitted } in jobs {
            let verdict = draft.take(work);
            draft.waiters.push((reply, verdict));
            places.push(admitted);
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
        let leaves: Vec<_> = records.iter().map(|record| leaf_hash(&record.leaf)).collect();
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
        let checkpoint = SignedCheckpoint::read(&checkpoint).map_err(broken)?;
        Ok(Sealed { growth, full, extension, checkpoint })
    }

    /// Puts the batch on disk and, only then, shows it to anyone.
    fn write(&mut self, draft: Draft<'_>, sealed: Sealed) -> Result<(), StoreError> {
        let Draft { overlay, first, time, directory, records, requests, bells, waiters, .. } =
            draft;
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
            checkpoint: sealed.checkpoint.as_bytes(),
        };
        let mut changes = overlay.into_changes();
        let shared = Arc::clone(&self.shared);
        #[cfg(test)]
        if crate::planted::is(crate::planted::Bug::CheckpointBeforeDurable) {
            let (growth, checkpoint) =
                (sealed.growth.clone(), sealed.checkpoint.as_bytes().to_vec());
            shared.tree.moving().publish(Arc::new(Head { growth, checkpoint, time }));
        }
        // What waits from now on although later ones were offered before it.
        let late = records::queued_before(&changes, first);
        let mut moving = None;
        let outcome = self.store.commit(&batch, |entries, trailer| {
            moving = Some(shared.tree.moving());
            place(&mut changes, first, entries, trailer, &sealed.full);
            (changes, watermark)
        });
        let committed = match outcome {
            Ok(committed) => committed,
            Err(StoreError::NotWritten(error)) => {
                let error = store::with_causes(&error);
                tracing::error!(error, "a batch was not written");
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
        let checkpoint = sealed.checkpoint.as_bytes().to_vec();
        let batch = Arc::new(DurableBatch {
            records,
            requests,
            extension: sealed.extension,
            checkpoint: sealed.checkpoint,
        });
        shared.recent.keep(&batch);
        if let Some(moving) = moving {
            moving.publish(Arc::new(Head { growth: sealed.growth, checkpoint, time }));
        }
        answer(waiters, &committed, Some(&batch));
        late.iter().for_each(|(inbox, entry)| shared.hub.late(inbox, *entry));
        bells.iter().for_each(|inbox| shared.hub.ring(inbox));
        Ok(())
    }
}

/// All that is queued, within the bounds of a batch, after everyone who wants a processor now has
/// had one: on an idle machine that is at once; on a busy one it is who is being judged, and a
/// core that judges is worth more than one that writes a small batch.
fn take(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.work.bytes();
    let mut batch = vec![first];
    let room =
        limits::BATCH_BYTES_MAX - limits::DETAIL_BYTES_MAX - limits::LEAF_AND_FACTS_BYTES_MAX;
    let mut let_others = true;
    // A refused statement leaves a record too, and one outside any agreement asks for a review.
    let mut entries = batch[0].work.entries();
    while entries + 2 <= limits::BATCH_ENTRIES_MAX && bytes < room {
        match jobs.try_recv() {
            Ok(job) => {
                bytes += job.work.bytes();
                entries += job.work.entries();
                batch.push(job);
            }
            Err(_) if let_others => {
                let_others = false;
                thread::yield_now();
            }
            Err(_) => break,
        }
    }
    batch
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
        if let Some(Some(meta)) = changes.get_mut(&records::entry_key(entry)) {
            Place::new(*at, trailer).follow(meta);
        }
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
            Verdict::Moved(envelope) => Ok(Done::Moved(envelope)),
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
