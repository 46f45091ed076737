//! The exchange's rounds: the newest checkpoint goes to every witness, until enough have cosigned
//! it.
//!
//! One checkpoint for all, so that their lines meet on one note; one question under way at each;
//! busy or idle, since a cosignature's age says how old the newest history is that somebody else
//! has seen. Nothing on the way of a commit waits for any of it.
//!
//! Holds: I4, I7, I10. Knows: broker, ledger, store, config, clock, limits.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::asker::{Answered, Asker};
use crate::{
    broker::{
        Broker,
        witnessed::{Cosigned, WitnessCounts},
    },
    clock::{Clock, Moment},
    ledger::{
        add_checkpoint::AddCheckpoint,
        note::{Note, SignatureLine, Vkey},
        tlog_policy::TlogPolicy,
    },
    limits,
    store::files,
};

/// The checkpoint that witnesses are asked to cosign.
struct Candidate {
    round: u64,
    size: u64,
    checkpoint: Vec<u8>,
}

/// The lines that have come in for a candidate.
struct Round {
    number: u64,
    note: Option<Note>,
}

/// The rounds of one exchange.
pub struct Gathering {
    broker: Broker,
    clock: Arc<dyn Clock>,
    policy: TlogPolicy,
    path: PathBuf,
    counts: Arc<Vec<WitnessCounts>>,
    round: Mutex<Round>,
    /// One file is written at a time.
    keeping: tokio::sync::Mutex<()>,
}

/// The checkpoint that is kept in a file beside the ledger, with the lines of enough witnesses;
/// none if there is none, or if it is not enough by this policy.
///
/// # Errors
/// What the file system says.
pub fn kept(path: &Path, policy: &TlogPolicy) -> io::Result<Option<(Vec<u8>, u64)>> {
    let note = match fs::read(path) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match policy.judge(&note) {
        Ok(judged) if judged.enough => Ok(Some((note, judged.checkpoint.size()))),
        Ok(_) => {
            tracing::warn!("the cosigned checkpoint that is kept does not have enough witnesses");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(%error, "the cosigned checkpoint that is kept is not used");
            Ok(None)
        }
    }
}

impl Gathering {
    /// The rounds for a broker, from what is kept in the file at `path`; `needed` of these
    /// witnesses are enough.
    pub fn new(
        broker: &Broker,
        clock: &Arc<dyn Clock>,
        askers: &[Asker],
        needed: usize,
        path: PathBuf,
    ) -> Self {
        let policy = policy(broker.vkey(), askers, needed);
        let counts = askers.iter().map(|asker| WitnessCounts {
            name: asker.name().to_owned(),
            last: 0.into(),
            failed: 0.into(),
            disagrees: false.into(),
        });
        let counts: Arc<Vec<_>> = Arc::new(counts.collect());
        let gathering = Self {
            broker: broker.clone(),
            clock: Arc::clone(clock),
            policy,
            path,
            counts,
            round: Mutex::new(Round { number: 0, note: None }),
            keeping: tokio::sync::Mutex::default(),
        };
        gathering.broker.witnesses().begin(Arc::clone(&gathering.counts));
        gathering.take_up_kept(needed);
        gathering
    }

    /// What was kept is good if it is a checkpoint of this very tree.
    fn take_up_kept(&self, needed: usize) {
        let note = match kept(&self.path, &self.policy) {
            Ok(Some((note, _))) => note,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "it cannot be read");
                return;
            }
        };
        let Ok(judged) = self.policy.judge(&note) else { return };
        let (size, root) = (judged.checkpoint.size(), judged.checkpoint.root());
        if self.broker.tree().root_at(size).is_ok_and(|here| here == root) {
            let seconds = judged.time(needed).unwrap_or(0).min(self.clock.now().seconds());
            let at = Moment::of_seconds(seconds);
            self.broker.witnesses().publish(Cosigned { checkpoint: note, size, at });
        } else {
            tracing::error!(size, "witnesses cosigned another history than this ledger's");
        }
    }

    /// Asks the witnesses from now on, each in a task of its own, until `ended` says so.
    pub fn run(self, askers: Vec<Asker>, ended: &CancellationToken) -> JoinHandle<()> {
        let ended = ended.clone();
        tokio::spawn(async move {
            let gathering = Arc::new(self);
            let (candidates, first) = watch::channel(None);
            let mut asking = JoinSet::new();
            for (at, asker) in askers.into_iter().enumerate() {
                asking.spawn(Arc::clone(&gathering).ask(at, asker, first.clone()));
            }
            drop(first);
            ended.run_until_cancelled(gathering.rounds(&candidates)).await;
            // What is under way is of no more use: it is asked again at the next start.
            asking.shutdown().await;
        })
    }

    async fn rounds(&self, candidates: &watch::Sender<Option<Arc<Candidate>>>) {
        let mut tick = interval(limits::WITNESS_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.broker.witnesses().wanted() => {}
            }
            let head = self.broker.tree().head();
            let Ok(note) = Note::parse(&head.checkpoint) else { continue };
            let round = {
                let mut round = self.round();
                *round = Round { number: round.number + 1, note: Some(note) };
                round.number
            };
            let (size, checkpoint) = (head.growth.size(), head.checkpoint.clone());
            candidates.send_replace(Some(Arc::new(Candidate { round, size, checkpoint })));
        }
    }

    /// Asks one witness about each candidate, the newest alone, one at a time.
    async fn ask(
        self: Arc<Self>,
        at: usize,
        asker: Asker,
        mut candidates: watch::Receiver<Option<Arc<Candidate>>>,
    ) {
        let counts = &self.counts[at];
        let mut known = 0;
        while candidates.changed().await.is_ok() {
            let Some(candidate) = candidates.borrow_and_update().clone() else { continue };
            match self.cosigned(&asker, &candidate, &mut known, counts).await {
                Ok(line) => {
                    counts.last.store(self.clock.now().seconds(), Ordering::Relaxed);
                    self.take(candidate.round, line, asker.vkey()).await;
                }
                Err(fault) => {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(witness = asker.name(), fault, "no cosignature");
                }
            }
        }
    }

    /// The witness's line for a candidate. Asked with a size that it does not know, it says its own,
    /// and is asked once more.
    async fn cosigned(
        &self,
        asker: &Asker,
        candidate: &Candidate,
        known: &mut u64,
        counts: &WitnessCounts,
    ) -> Result<SignatureLine, String> {
        for _ in 0..2 {
            let old = (*known).min(candidate.size);
            let proof = self.broker.tree().consistency(old, candidate.size);
            let proof = proof.map_err(|error| error.to_string())?;
            let checkpoint = candidate.checkpoint.clone();
            match asker.add(&AddCheckpoint { old, proof, checkpoint }).await? {
                Answered::Cosigned(line) => {
                    *known = candidate.size;
                    counts.disagrees.store(false, Ordering::Relaxed);
                    return Ok(line);
                }
                Answered::Conflict(size) if size <= candidate.size && size != old => *known = size,
                // Anybody may have shown it a newer checkpoint of ours meanwhile.
                Answered::Conflict(size) if size <= self.broker.tree().head().growth.size() => {
                    *known = size;
                    return Err(format!("it has cosigned {size} entries already"));
                }
                Answered::Conflict(size) => {
                    return Err(disagrees(
                        counts,
                        asker,
                        &format!("it has cosigned {size} entries"),
                    ));
                }
                Answered::Refused(422, why) => return Err(disagrees(counts, asker, &why)),
                Answered::Refused(status, why) => {
                    return Err(format!("it answers {status}: {why}"));
                }
            }
        }
        Err("it does not say twice the same size".into())
    }

    /// Adds a line to its round; once there are enough, keeps and publishes what there is.
    async fn take(&self, number: u64, line: SignatureLine, vkey: &Vkey) {
        let Some(added) = self.add(number, line, vkey) else { return };
        let _alone = self.keeping.lock().await;
        // With whatever came in meanwhile, unless the next round has begun.
        let note = self.lines(number).unwrap_or(added);
        let Ok(judged) = self.policy.judge(&note) else { return };
        if !judged.enough {
            return;
        }
        let cosigned = Cosigned {
            checkpoint: note.clone(),
            size: judged.checkpoint.size(),
            at: self.clock.now(),
        };
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || files::write_atomic(&path, &note)).await;
        match written.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            Ok(()) => self.broker.witnesses().publish(cosigned),
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%path, %error, "the cosigned checkpoint could not be kept");
            }
        }
    }

    /// Adds a line to its round, if that is still the newest; gives the note as it is then.
    fn add(&self, number: u64, line: SignatureLine, vkey: &Vkey) -> Option<Vec<u8>> {
        let mut round = self.round();
        if round.number != number {
            return None;
        }
        let note = round.note.as_mut()?;
        note.add(line, vkey).ok()?;
        Some(note.to_bytes())
    }

    /// The note of a round, if that is still the newest.
    fn lines(&self, number: u64) -> Option<Vec<u8>> {
        let round = self.round();
        round.note.as_ref().filter(|_| round.number == number).map(Note::to_bytes)
    }

    fn round(&self) -> std::sync::MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many of these witnesses, for the ledger of this key.
pub fn policy(log: &Vkey, askers: &[Asker], needed: usize) -> TlogPolicy {
    let witnesses = askers.iter().map(|asker| asker.vkey().clone()).collect();
    TlogPolicy::of(log.clone(), witnesses, needed)
}

fn disagrees(counts: &WitnessCounts, asker: &Asker, why: &str) -> String {
    counts.disagrees.store(true, Ordering::Relaxed);
    tracing::error!(witness = asker.name(), why, "a witness knows another history of this ledger");
    why.to_owned()
}
