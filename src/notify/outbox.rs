//! What a channel has yet to tell, and what it has told that is not over.
//!
//! The ledger is the queue. Kept is the entry to look at next, those looked at that were not taken
//! yet, and the incidents that were begun: a small file, replaced whole, and written before
//! anything is told that would have to be taken back.
//!
//! Holds: I7, I10. Knows: domain, store, limits.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::notice::Key;
use crate::{limits, store::files};

/// A channel's place in the ledger.
#[derive(Debug)]
pub(super) struct Outbox {
    path: PathBuf,
    /// Everything before was looked at.
    next: u64,
    /// Not taken yet.
    open: BTreeMap<u64, Tries>,
    /// Told, and not over.
    begun: BTreeMap<Key, Incident>,
    /// When each of those was tried and refused.
    refused: BTreeMap<Key, Tries>,
}

/// One incident, as those outside have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Incident {
    /// The rung that it was told of last.
    pub(super) entry: u64,
    /// Who is said to be dealing with it, by the entry that says so.
    pub(super) cared_for: Option<u64>,
    /// How often it was begun: each time is another incident outside.
    pub(super) times: u32,
}

/// How often something was tried, and until when it waits.
#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    failed: u32,
    until: Option<Instant>,
    /// It waits for the hour, or for whoever deals with it, and not for the channel.
    held: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    next: u64,
    open: Vec<u64>,
    begun: Vec<(Key, Incident)>,
}

impl Tries {
    fn may(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// It was refused, and waits longer and longer.
    fn fail(&mut self, now: Instant) {
        let delay = limits::NOTIFY_DELAY_MIN * 2u32.saturating_pow(self.failed.min(16));
        self.failed = self.failed.saturating_add(1);
        self.until = Some(now + delay.min(limits::NOTIFY_DELAY_MAX));
        self.held = false;
    }
}

impl Outbox {
    /// The place that was written down; none for a channel that is new.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let kept: Kept = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            path: path.to_owned(),
            next: kept.next,
            open: kept.open.into_iter().map(|entry| (entry, Tries::default())).collect(),
            begun: kept.begun.into_iter().collect(),
            refused: BTreeMap::new(),
        }))
    }

    /// A place at the end of a ledger of this size.
    pub(super) fn at_end(path: &Path, size: u64) -> Self {
        let (open, begun, refused) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { path: path.to_owned(), next: size, open, begun, refused }
    }

    /// Writes it down, durably.
    pub(super) fn write(&self) -> io::Result<()> {
        let begun = self.begun.iter().map(|(key, incident)| (key.clone(), *incident));
        let kept = Kept {
            next: self.next,
            open: self.open.keys().copied().collect(),
            begun: begun.collect(),
        };
        files::write_atomic(&self.path, &serde_json::to_vec(&kept)?)
    }

    /// Looks at what is new in a ledger of this size, a bounded part at a time and no further than
    /// there is room; whether anything that matters was found. What is held takes no room from what
    /// presses.
    pub(super) fn look(&mut self, size: u64, matters: impl Fn(u64) -> bool) -> bool {
        let end = size.min(self.next.saturating_add(limits::NOTIFY_LOOK_ENTRIES));
        let mut room = limits::NOTICES_WAITING_MAX.saturating_sub(self.waiting());
        room = room.min(limits::NOTICES_HELD_MAX.saturating_sub(self.open.len()));
        let mut found = false;
        while self.next < end && room > 0 {
            if matters(self.next) {
                self.open.insert(self.next, Tries::default());
                (found, room) = (true, room - 1);
            }
            self.next += 1;
        }
        found
    }

    /// What may be tried now: first what never failed, of that the oldest.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        let mut due: Vec<_> = self.open.iter().filter(|(_, tries)| tries.may(now)).collect();
        due.sort_by_key(|(entry, tries)| (tries.failed, **entry));
        due.into_iter().map(|(entry, _)| *entry).collect()
    }

    /// It was taken, or there is nothing left to tell.
    pub(super) fn done(&mut self, entry: u64) {
        self.open.remove(&entry);
    }

    /// It was not taken.
    pub(super) fn failed(&mut self, entry: u64, now: Instant) {
        if let Some(tries) = self.open.get_mut(&entry) {
            tries.fail(now);
        }
    }

    /// It waits for the hour, or for whoever deals with it.
    pub(super) fn hold(&mut self, entry: u64) {
        if let Some(tries) = self.open.get_mut(&entry) {
            tries.held = true;
        }
    }

    /// The incidents that are not over, and may be tried now.
    pub(super) fn begun(&self, now: Instant) -> Vec<(Key, Incident)> {
        let may = |key: &Key| self.refused.get(key).is_none_or(|tries| tries.may(now));
        let begun = self.begun.iter().filter(|(key, _)| may(key));
        begun.map(|(key, incident)| (key.clone(), *incident)).collect()
    }

    /// The incident of a key.
    pub(super) fn incident(&self, key: &Key) -> Option<Incident> {
        self.begun.get(key).copied()
    }

    /// Begins an incident, or goes on with it.
    pub(super) fn begin(&mut self, key: Key, incident: Incident) {
        self.begun.insert(key, incident);
    }

    /// An incident is over, as those outside know.
    pub(super) fn end(&mut self, key: &Key) {
        self.begun.remove(key);
        self.refused.remove(key);
    }

    /// What was to be said of an incident was not taken.
    pub(super) fn refused(&mut self, key: &Key, now: Instant) {
        self.refused.entry(key.clone()).or_default().fail(now);
    }

    /// To be told anew.
    pub(super) fn again(&mut self, entry: u64) {
        self.open.entry(entry).or_default();
    }

    /// How many wait for the channel.
    pub(super) fn waiting(&self) -> usize {
        self.open.values().filter(|tries| !tries.held).count()
    }

    /// The oldest of those.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.open.iter().find(|(_, tries)| !tries.held).map(|(entry, _)| *entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::deadline::Duty;

    fn key(concern: u64) -> Key {
        Key { concern, addressed: "school/duty".parse().unwrap(), duty: Duty::Decide }
    }

    #[test]
    fn a_place_is_found_again_and_nothing_in_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pager.json");
        assert!(Outbox::read(&path).unwrap().is_none());
        let mut outbox = Outbox::at_end(&path, 10);
        assert!(!outbox.look(10, |_| true), "a new channel begins with what comes");
        assert!(outbox.look(15, |entry| entry % 2 == 0));
        assert_eq!(outbox.due(Instant::now()), [10, 12, 14]);
        outbox.done(12);
        let incident = Incident { entry: 10, cared_for: Some(13), times: 2 };
        outbox.begin(key(7), incident);
        outbox.write().unwrap();
        let again = Outbox::read(&path).unwrap().unwrap();
        assert_eq!((again.next, again.due(Instant::now())), (15, vec![10, 14]));
        assert_eq!(again.begun(Instant::now()), [(key(7), incident)]);
        fs::write(&path, b"{}").unwrap();
        assert!(Outbox::read(&path).is_err(), "what cannot be read is not begun anew");
    }

    #[test]
    fn what_is_refused_waits_longer_and_longer_and_keeps_nobody() {
        let mut outbox = Outbox::at_end(Path::new(""), 0);
        outbox.look(2, |_| true);
        let now = Instant::now();
        outbox.failed(0, now);
        assert_eq!(outbox.due(now), [1]);
        assert_eq!(
            outbox.due(now + limits::NOTIFY_DELAY_MIN),
            [1, 0],
            "those that never failed first"
        );
        outbox.failed(0, now);
        assert_eq!(outbox.due(now + limits::NOTIFY_DELAY_MIN), [1]);
        for _ in 0..40 {
            outbox.failed(0, now);
        }
        assert_eq!(outbox.due(now + limits::NOTIFY_DELAY_MAX), [1, 0], "but never for ever");
    }

    #[test]
    fn a_full_outbox_looks_no_further_and_what_is_held_fills_none() {
        let mut outbox = Outbox::at_end(Path::new(""), 0);
        let most = limits::NOTICES_WAITING_MAX as u64;
        outbox.look(most + 50, |_| true);
        assert_eq!((outbox.waiting() as u64, outbox.next), (most, most));
        outbox.hold(0);
        outbox.done(1);
        outbox.look(most + 50, |_| true);
        assert_eq!((outbox.next, outbox.oldest()), (most + 2, Some(2)));
    }
}
