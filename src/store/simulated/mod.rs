//! A disk in memory that forgets what was not synced, fails when it is told to, and lies as Linux
//! does.
//!
//! Every write, sync, create, rename and remove is a **step**; steps are counted. A plan makes the
//! power go before a given step, or that step fail: *not done*, or *done and reported failed*, or
//! for want of room. After the power went every call fails until [`SimDisk::cut`] gives the disk as
//! it is found afterwards.
//!
//! **What a power cut leaves.** Of what was not synced, any subset: each 512-byte sector of each
//! write, each longer length, each change of a folder, by themselves and out of order, over files
//! and folders alike. [`SimDisk::choices`] gives all subsets where there are few, and a seeded
//! sample where there are many. What was synced is there.
//!
//! **What a failed sync leaves.** Nothing is dirty any more, so a second sync says "done"; a part of
//! it, all or nothing is on the platter; and reads go on showing all of it, until the pages are
//! evicted ([`SimDisk::restart`]) or the power goes.
//!
//! **What it cannot see** is in `tests/durability.md`.
//!
//! Knows: disk.

mod calls;
mod chance;
mod platter;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use self::chance::Chance;
use self::platter::{Inode, Named, Node, Platter, TOP};
use super::disk::BoxFile;

/// With at most this many unsynced changes every subset is tried.
pub(crate) const ALL_SUBSETS_MAX: usize = 10;

/// How long a step is held at most.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All of it is done, and reported failed.
    Done,
    /// A part is done, and the disk is full.
    Full,
    /// Nothing of it is done; a failed sync may have done a part.
    NotDone,
}

/// What is to go wrong, and at which step from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Fail(u64, Fault),
    Nothing,
    PowerCut(u64),
}

#[derive(Debug)]
struct State {
    platter: Platter,
    chance: Chance,
    steps: u64,
    /// The step that the plan is about.
    at: u64,
    plan: Plan,
    /// Whether the planned fault has struck.
    struck: bool,
    /// The power is out.
    out: bool,
    /// What is left of the room for large files is less than the margin.
    low: bool,
    /// Restarts so far: a file opened before one is closed by it.
    boot: u64,
    hold: Hold,
}

/// A step that a test holds, to do something meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Armed,
    Holding,
    None,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    state: Mutex<State>,
    moved: Condvar,
}

/// The disk. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Inner>);

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
    writable: bool,
    boot: u64,
}

impl SimDisk {
    /// An empty disk whose top folder is `root`.
    pub(crate) fn new(root: impl Into<PathBuf>, seed: u64) -> SimDisk {
        SimDisk::with(root.into(), Platter::new(), Chance::of(seed))
    }

    fn with(root: PathBuf, platter: Platter, chance: Chance) -> SimDisk {
        let state = State {
            platter,
            chance,
            steps: 0,
            at: 0,
            plan: Plan::Nothing,
            struck: false,
            out: false,
            low: false,
            boot: 0,
            hold: Hold::None,
        };
        SimDisk(Arc::new(Inner { root, state: Mutex::new(state), moved: Condvar::new() }))
    }

    /// A copy under another top folder, nothing planned.
    pub(crate) fn copy(&self, root: impl Into<PathBuf>, seed: u64) -> SimDisk {
        SimDisk::with(root.into(), self.state().platter.clone(), Chance::of(seed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans what goes wrong. Steps are counted from now, the next one being 0.
    pub(crate) fn plan(&self, plan: Plan) {
        let mut state = self.state();
        state.at = state.steps
            + match plan {
                Plan::Fail(step, _) | Plan::PowerCut(step) => step,
                Plan::Nothing => 0,
            };
        (state.plan, state.struck) = (plan, false);
    }

    /// How many steps were done.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Whether the planned fault has struck or the power has gone.
    pub(crate) fn struck(&self) -> bool {
        self.state().struck
    }

    /// Whether the power is out.
    pub(crate) fn is_out(&self) -> bool {
        self.state().out
    }

    /// The power goes now.
    pub(crate) fn power_off(&self) {
        let mut state = self.state();
        (state.out, state.struck) = (true, true);
    }

    /// Whether there is too little room for a segment.
    pub(crate) fn low(&self, low: bool) {
        self.state().low = low;
    }

    /// The program ends and begins again; the power stays. Reads go on showing what a failed sync
    /// dropped, unless the pages are evicted.
    pub(crate) fn restart(&self, evict: bool) {
        let mut state = self.state();
        state.boot += 1;
        (state.plan, state.struck, state.out) = (Plan::Nothing, false, false);
        if evict {
            state.platter.evict();
        }
    }

    /// The disk after a power cut now, for each choice of what survives: all of them where there are
    /// few, else none, all, and a sample of `sample`.
    pub(crate) fn choices(&self, sample: usize) -> Vec<SimDisk> {
        let unsynced = self.state().platter.unsynced();
        let few = unsynced.len() <= ALL_SUBSETS_MAX;
        let mut survivors: Vec<Vec<u64>> = Vec::new();
        if few && (1 << unsynced.len()) <= sample.max(1 << ALL_SUBSETS_MAX) {
            for subset in 0..1_u64 << unsynced.len() {
                let is_in = |place: usize| subset >> place & 1 == 1;
                let kept = (0..).zip(&unsynced).filter(|(at, _)| is_in(*at)).map(|(_, o)| *o);
                survivors.push(kept.collect());
            }
        } else {
            survivors.extend([Vec::new(), unsynced.clone()]);
            for _ in 0..sample {
                let drawn = draw(&mut self.state().chance, &unsynced);
                survivors.push(drawn);
            }
        }
        survivors.iter().map(|survivors| self.after(survivors)).collect()
    }

    /// The disk after a power cut now, for one drawn choice of what survives.
    pub(crate) fn cut(&self) -> SimDisk {
        let mut state = self.state();
        let unsynced = state.platter.unsynced();
        let survivors = draw(&mut state.chance, &unsynced);
        drop(state);
        self.after(&survivors)
    }

    fn after(&self, survivors: &[u64]) -> SimDisk {
        let mut state = self.state();
        let mut platter = state.platter.clone();
        platter.cut(|order| survivors.binary_search(&order).is_ok());
        let chance = Chance::of(state.chance.next());
        drop(state);
        SimDisk::with(self.0.root.clone(), platter, chance)
    }

    /// Holds whoever comes to the next step, before it is done, until [`SimDisk::release`].
    pub(crate) fn hold_next(&self) {
        self.state().hold = Hold::Armed;
    }

    /// Whether somebody is held.
    pub(crate) fn is_held(&self) -> bool {
        self.state().hold == Hold::Holding
    }

    /// Lets who is held go on.
    pub(crate) fn release(&self) {
        self.state().hold = Hold::None;
        self.0.moved.notify_all();
    }

    /// Begins a step: fails if the power is out, and says how the step is to fail, if it is.
    fn step(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.state();
        if state.hold == Hold::Armed {
            state.hold = Hold::Holding;
            let holding = |state: &mut State| state.hold == Hold::Holding;
            let waited = self.0.moved.wait_timeout_while(state, WAIT_MAX, holding);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let now = state.steps;
        state.steps += 1;
        let planned = state.at == now && !state.struck;
        let fault = match state.plan {
            Plan::PowerCut(_) if planned => {
                (state.struck, state.out) = (true, true);
                None
            }
            Plan::Fail(_, fault) if planned => {
                state.struck = true;
                Some(fault)
            }
            _ => None,
        };
        if state.out {
            return Err(io::Error::other("the power is out"));
        }
        Ok((state, fault))
    }

    /// A step that is done whole or not at all.
    fn change(&self, change: impl FnOnce(&mut Platter) -> io::Result<()>) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        match fault {
            None => change(&mut state.platter),
            Some(Fault::Done) => change(&mut state.platter).and_then(|()| Err(injected())),
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::NotDone) => Err(injected()),
        }
    }

    /// The inode of a path.
    fn find(&self, platter: &mut Platter, path: &Path) -> io::Result<Inode> {
        let mut inode = TOP;
        let below = path.strip_prefix(&self.0.root).map_err(|_| io::ErrorKind::NotFound)?;
        for part in below.iter() {
            let part = part.to_string_lossy();
            let folder = platter.folder(inode).ok_or(io::ErrorKind::NotADirectory)?;
            inode = *folder.shown.get(part.as_ref()).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    /// The folder that a name is in, and the name.
    fn place(&self, platter: &mut Platter, path: &Path) -> io::Result<(Inode, String)> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = self.find(platter, above)?;
        Ok((folder, name.to_string_lossy().into_owned()))
    }

    fn add(&self, platter: &mut Platter, path: &Path, node: Node) -> io::Result<Inode> {
        let (folder, name) = self.place(platter, path)?;
        if platter.folder(folder).is_some_and(|folder| folder.shown.contains_key(&name)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = platter.add(node);
        platter.name(folder, Named::Added(name, inode));
        Ok(inode)
    }

    fn remove(&self, platter: &mut Platter, path: &Path) -> io::Result<()> {
        self.find(platter, path)?;
        let (folder, name) = self.place(platter, path)?;
        platter.name(folder, Named::Removed(name));
        Ok(())
    }

    fn handle(&self, inode: Inode, writable: bool, boot: u64) -> BoxFile {
        Box::new(SimFile { disk: self.clone(), inode, writable, boot })
    }
}

/// What survives, drawn in one of the ways in which disks are known to lose things.
fn draw(chance: &mut Chance, unsynced: &[u64]) -> Vec<u64> {
    let way = chance.below(6);
    let often = *chance.one_of(&[10, 50, 90]);
    let count = unsynced.len() as u64;
    let place = if count == 0 { 0 } else { chance.below(count) as usize };
    let mut survives = |at: usize| match way {
        0 => false,
        1 => true,
        2 => at < place,
        3 => at != place,
        4 => at == place,
        _ => chance.percent(often),
    };
    let kept = (0..).zip(unsynced).filter(|(at, _)| survives(*at)).map(|(_, order)| *order);
    kept.collect()
}

fn injected() -> io::Error {
    io::Error::other("injected")
}
