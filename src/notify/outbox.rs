//! Which entries a channel has yet to tell.
//!
//! The ledger is the queue. Kept is the entry to look at next, and those looked at that were not
//! taken yet; a file of that, replaced whole. A channel that is new begins with what comes.
//!
//! Holds: I7, I10. Knows: limits.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits;

/// A channel's place in the ledger.
pub(super) struct Outbox {
    /// Everything before was looked at.
    next: u64,
    /// Not taken yet.
    open: BTreeMap<u64, PutOff>,
}

/// Until when a notice that was refused waits.
#[derive(Clone, Copy, Default)]
struct PutOff {
    until: Option<Instant>,
    delay: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    next: u64,
    open: Vec<u64>,
}

impl Outbox {
    /// The place that was written down, or one at the end of a ledger of this size.
    pub(super) fn open(path: &Path, size: u64) -> io::Result<Self> {
        let kept = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Kept { next: size, open: Vec::new() }
            }
            Err(error) => return Err(error),
        };
        let open = kept.open.into_iter().map(|entry| (entry, PutOff::default())).collect();
        Ok(Self { next: kept.next, open })
    }

    /// What is to be written down.
    pub(super) fn text(&self) -> Vec<u8> {
        let kept = Kept { next: self.next, open: self.open.keys().copied().collect() };
        serde_json::to_vec(&kept).expect("invariant: numbers are JSON")
    }

    /// Looks at what is new in a ledger of this size, a bounded part at a time and no further than
    /// there is room; whether anything that matters was found.
    pub(super) fn look(&mut self, size: u64, matters: impl Fn(u64) -> bool) -> bool {
        let end = size.min(self.next.saturating_add(limits::NOTIFY_LOOK_ENTRIES));
        let mut found = false;
        while self.next < end && self.open.len() < limits::NOTICES_WAITING_MAX {
            if matters(self.next) {
                self.open.insert(self.next, PutOff::default());
                found = true;
            }
            self.next += 1;
        }
        found
    }

    /// What may be tried now, oldest first.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        let may = |put_off: &PutOff| put_off.until.is_none_or(|until| until <= now);
        self.open.iter().filter(|(_, put_off)| may(put_off)).map(|(entry, _)| *entry).collect()
    }

    /// It was taken.
    pub(super) fn told(&mut self, entry: u64) {
        self.open.remove(&entry);
    }

    /// It was refused, and is tried again later and later.
    pub(super) fn put_off(&mut self, entry: u64, now: Instant) {
        if let Some(put_off) = self.open.get_mut(&entry) {
            let delay = 2 * put_off.delay;
            put_off.delay = delay.clamp(limits::NOTIFY_DELAY_MIN, limits::NOTIFY_DELAY_MAX);
            put_off.until = Some(now + put_off.delay);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.open.len()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.open.keys().next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_and_nothing_in_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pager.json");
        let mut outbox = Outbox::open(&path, 10).unwrap();
        assert!(!outbox.look(10, |_| true), "a new channel begins with what comes");
        assert!(outbox.look(15, |entry| entry % 2 == 0));
        assert_eq!(outbox.due(Instant::now()), [10, 12, 14]);
        outbox.told(12);
        fs::write(&path, outbox.text()).unwrap();
        let again = Outbox::open(&path, 20).unwrap();
        assert_eq!((again.next, again.due(Instant::now())), (15, vec![10, 14]));
        fs::write(&path, b"{}").unwrap();
        assert!(Outbox::open(&path, 20).is_err(), "what cannot be read is not begun anew");
    }

    #[test]
    fn what_is_refused_waits_longer_and_longer_and_keeps_nobody() {
        let mut outbox = Outbox { next: 0, open: BTreeMap::new() };
        outbox.look(2, |_| true);
        let now = Instant::now();
        outbox.put_off(0, now);
        assert_eq!(outbox.due(now), [1]);
        assert_eq!(outbox.due(now + limits::NOTIFY_DELAY_MIN), [0, 1]);
        outbox.put_off(0, now);
        assert_eq!(outbox.due(now + limits::NOTIFY_DELAY_MIN), [1]);
        for _ in 0..20 {
            outbox.put_off(0, now);
        }
        assert_eq!(outbox.due(now + limits::NOTIFY_DELAY_MAX), [0, 1], "but never for ever");
    }

    #[test]
    fn a_full_outbox_looks_no_further() {
        let mut outbox = Outbox { next: 0, open: BTreeMap::new() };
        let many = limits::NOTICES_WAITING_MAX as u64 + 50;
        outbox.look(many, |_| true);
        assert_eq!(outbox.waiting(), limits::NOTICES_WAITING_MAX);
        outbox.told(0);
        outbox.look(many, |_| true);
        assert_eq!(outbox.next, limits::NOTICES_WAITING_MAX as u64 + 1);
    }
}
