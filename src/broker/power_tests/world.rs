//! An exchange, and what left its process: receipts and checkpoints. They are the judge.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::{
    Broker, Error,
    recovery::{self, DataFolder, Running},
    submit::Accepted,
};
use super::template::{self, Template, copy_folder, inbox_of, template};
use crate::{
    clock::{ManualClock, Moment},
    proto::{self, Person, statement::Act},
    store::{
        journal::JournalError,
        simulated::{Chance, Fault, Plan, SimDisk},
    },
    wire::client::compose::{About, Composer},
};

/// Why a run failed, for people.
pub(super) type Judged<T> = Result<T, String>;

/// A statement, and what its sender knows of it.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) from: usize,
    pub(super) envelope: Vec<u8>,
    pub(super) receipt: Option<proto::Receipt>,
}

/// What runs did, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) receipts: u64,
    pub(super) unknown: u64,
    pub(super) repeats: u64,
    pub(super) lives: u64,
    pub(super) steps: u64,
    pub(super) rungs: u64,
}

pub(super) struct World {
    pub(super) template: &'static Template,
    pub(super) folder: TempDir,
    pub(super) disk: SimDisk,
    pub(super) data: DataFolder,
    pub(super) chance: Chance,
    pub(super) said: Vec<Said>,
    /// Checkpoints that somebody has seen.
    pub(super) seen: Vec<Vec<u8>>,
    /// How many concerns were taken from the template.
    next: usize,
    clock: u64,
    pub(super) runtime: Runtime,
    pub(super) told: Told,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let template = template();
        let folder = tempfile::tempdir().unwrap();
        let (data, disk) = template.copy(folder.path(), seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        World {
            template,
            folder,
            disk,
            data,
            chance: Chance::of(!seed),
            said: Vec::new(),
            seen: Vec::new(),
            next: 0,
            clock: template.now.0,
            runtime,
            told: Told::default(),
        }
    }

    /// One life of the exchange: starts, says a few things while something may be planned to go
    /// wrong, and ends.
    pub(super) fn live(&mut self) -> Judged<()> {
        self.told.lives += 1;
        let older = self.folder.path().join("older-index");
        drop(std::fs::remove_dir_all(&older));
        if self.data.index().exists() {
            copy_folder(&self.data.index(), &older);
        }
        let step = self.chance.below(60);
        let fault = *self.chance.one_of(&[Fault::Done, Fault::Full, Fault::NotDone]);
        self.disk.plan(match self.chance.below(10) {
            0..=4 => Plan::PowerCut(step),
            5..=8 => Plan::Fail(step, fault),
            _ => Plan::Nothing,
        });
        let low = self.chance.percent(5);
        self.disk.low(low);
        if let Some(running) = self.start()? {
            let lived = self.speak(&running.broker);
            if !self.chance.percent(30) {
                self.disk.power_off(); // not an orderly end
            }
            running.close();
            lived?;
        }
        self.end(&older);
        Ok(())
    }

    /// Starts the exchange; `None` where the disk did not let it.
    pub(super) fn start(&mut self) -> Judged<Option<Running>> {
        // Seconds, or long enough that rungs are due.
        let hours = if self.chance.percent(40) { self.chance.below(4) } else { 0 };
        self.clock += 1_000_000_000 * (1 + 3_600 * hours);
        let clock = Arc::new(ManualClock::at(Moment(self.clock)));
        match recovery::open(&self.data, clock) {
            Ok(running) => match self.runtime.block_on(running.settle()) {
                Ok(()) => Ok(Some(running)),
                Err(error) => {
                    self.disk.power_off();
                    running.close();
                    self.excused("settling", &error).map(|_| None)
                }
            },
            Err(recovery::OpenError::Journal(JournalError::Io { .. })) if self.disk.struck() => {
                Ok(None)
            }
            Err(error) => Err(format!("it does not start: {error}")),
        }
    }

    /// The program ends or the power goes, and the index is as it was, older, or gone.
    fn end(&mut self, older: &Path) {
        self.told.steps += self.disk.steps();
        if self.chance.percent(60) {
            self.disk = self.disk.cut();
            self.data = template::on(self.folder.path(), &self.disk);
        } else {
            let evict = self.chance.percent(30);
            self.disk.restart(evict);
        }
        match self.chance.below(4) {
            0 => drop(std::fs::remove_dir_all(self.data.index())),
            1 if older.exists() => {
                drop(std::fs::remove_dir_all(self.data.index()));
                copy_folder(older, &self.data.index());
            }
            _ => {}
        }
    }

    /// An error is no failure if the disk gave cause for it. Says whether the life can go on.
    pub(super) fn excused(&self, doing: &str, error: &Error) -> Judged<bool> {
        match error {
            Error::Busy(_) => Ok(true),
            Error::Unknown | Error::Broken(_) if self.disk.struck() => Ok(false),
            error => Err(format!("{doing}: {error:?}")),
        }
    }

    /// Says things, alone or several while one is on its way to the disk.
    fn speak(&mut self, broker: &Broker) -> Judged<()> {
        if !self.climb(broker)? {
            return Ok(());
        }
        self.resend(broker)?;
        for _ in 0..1 + self.chance.below(5) {
            if self.disk.is_out() || !broker.is_running() {
                break;
            }
            let mut group = vec![self.concern()];
            for _ in 0..self.chance.below(4) {
                group.push(self.another(&group));
            }
            if !self.say_together(broker, group)? {
                break;
            }
        }
        Ok(())
    }

    /// Whoever was told "unknown", or nothing, says it again.
    fn resend(&mut self, broker: &Broker) -> Judged<()> {
        let waiting: Vec<usize> =
            (0..self.said.len()).filter(|&at| self.said[at].receipt.is_none()).collect();
        for at in waiting {
            let said = self.said[at].clone();
            let answer = self.say(broker, &said);
            if !self.take(at, answer)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn concern(&mut self) -> Said {
        let concern = &self.template.concerns[self.next % self.template.concerns.len()];
        self.next += 1;
        Said { from: concern.from, envelope: concern.envelope.clone(), receipt: None }
    }

    /// Something to say beside what is on its way: a new concern, a repeat, a step of a delivery.
    fn another(&mut self, group: &[Said]) -> Said {
        let known = self.said.iter().rev().find(|said| said.receipt.is_some()).cloned();
        match (self.chance.below(6), known) {
            (0 | 1, _) => Said { receipt: None, ..self.chance.one_of(group).clone() },
            (2, Some(said)) => Said { receipt: None, ..said },
            (3, Some(said)) => self.step(&said).unwrap_or_else(|| self.concern()),
            _ => self.concern(),
        }
    }

    /// The recipient's next word about a concern: it has it, a person has it.
    fn step(&mut self, said: &Said) -> Option<Said> {
        let entry = said.receipt.as_ref()?.entry;
        let from = 2;
        if said.from == from {
            return None;
        }
        let speaker = &self.template.speakers[from];
        let person = Person {
            staff_id: String::new(),
            name: "A. Tester".into(),
            post: "duty officer".into(),
            simulated: true,
        };
        let act = match self.chance.percent(60) {
            true => Act::Stored(proto::Stored {}),
            false => Act::Acknowledgement(proto::Acknowledgement { person: Some(person) }),
        };
        let about = About { entry, inbox: inbox_of(&speaker.folder) };
        let id = self.chance.bytes(16).try_into().unwrap();
        let template = self.template;
        let composer = Composer::new(&speaker.folder, &template.directory, template.now);
        Some(Said { from, envelope: composer.step(&about, id, act), receipt: None })
    }

    /// The first is held on its way to the disk while the others are said; so they are one batch.
    fn say_together(&mut self, broker: &Broker, group: Vec<Said>) -> Judged<bool> {
        let first_of_all = self.said.len();
        self.said.extend(group.iter().cloned());
        self.disk.hold_next();
        let disk = self.disk.clone();
        let template = self.template;
        let answers = self.runtime.block_on(async {
            let submit = |said: Said| {
                let (broker, peer) =
                    (broker.clone(), Arc::clone(&template.speakers[said.from].peer));
                tokio::task::spawn_local(async move { broker.submit(peer, said.envelope).await })
            };
            tokio::task::LocalSet::new()
                .run_until(async {
                    let mut asked = Vec::new();
                    for (at, said) in group.into_iter().enumerate() {
                        asked.push(submit(said));
                        tokio::task::yield_now().await;
                        // On its way to the disk, or answered without it.
                        while at == 0 && !disk.is_held() && !asked[0].is_finished() {
                            tokio::task::yield_now().await;
                            std::thread::yield_now();
                        }
                    }
                    let seen = broker.tree().head().checkpoint.clone();
                    disk.release();
                    let mut answers = Vec::new();
                    for answer in asked {
                        answers.push(answer.await.unwrap());
                    }
                    (answers, [seen, broker.tree().head().checkpoint.clone()])
                })
                .await
        });
        let (answers, seen) = answers;
        self.seen.extend(seen);
        let mut goes_on = true;
        for (at, answer) in (first_of_all..).zip(answers) {
            goes_on &= self.take(at, answer)?;
        }
        Ok(goes_on)
    }

    pub(super) fn say(&self, broker: &Broker, said: &Said) -> Result<Accepted, Error> {
        let peer = Arc::clone(&self.template.speakers[said.from].peer);
        self.runtime.block_on(broker.submit(peer, said.envelope.clone()))
    }

    /// Takes an answer: a receipt is for ever.
    pub(super) fn take(&mut self, at: usize, answer: Result<Accepted, Error>) -> Judged<bool> {
        match answer {
            Ok(accepted) => {
                self.told.receipts += 1;
                self.told.repeats += u64::from(accepted.duplicate);
                self.said[at].receipt = Some(accepted.receipt);
                Ok(true)
            }
            // A step of a delivery may come too early or twice. It is said no more.
            Err(Error::Refused(_)) if self.said[at].from == 2 => {
                self.said[at].envelope.clear();
                Ok(true)
            }
            Err(error) => {
                self.told.unknown += u64::from(error == Error::Unknown);
                self.excused("saying", &error)
            }
        }
    }
}
