//! Who listens for an inbox: wakes streams when something new waits there, and knows when an
//! inbox was heard from last.
//!
//! All of it in memory: after a start an inbox was not heard from yet.
//!
//! Knows: domain, clock, limits.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{clock::Moment, domain::ids::InboxId, limits};

/// One bell for each inbox that somebody listens for.
#[derive(Default)]
pub struct Hub {
    inboxes: Mutex<HashMap<InboxId, Line>>,
}

/// What is known of one inbox.
#[derive(Default)]
struct Line {
    bell: Arc<Notify>,
    heard: Heard,
    /// Entries that came to wait although later ones had been offered, the newest of them.
    late: VecDeque<u64>,
    /// How many there were.
    late_count: u64,
}

/// When an inbox's system was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Streams that are open now.
    pub streams: usize,
    /// When it asked, or a stream of it ended, last; `None`: not since the start.
    pub last: Option<Moment>,
}

impl Hub {
    /// Puts one bell on all these inboxes. A listener that hears it looks at all of
    /// them.
    pub fn listen(&self, inboxes: &[InboxId]) -> Vec<Arc<Notify>> {
        let mut lines = self.lines();
        inboxes.iter().map(|inbox| Arc::clone(&line(&mut lines, inbox).bell)).collect()
    }

    /// Rings for an inbox; nobody listening is no fault.
    pub fn ring(&self, inbox: &InboxId) {
        if let Some(line) = self.lines().get(inbox) {
            line.bell.notify_waiters();
        }
    }

    /// An entry of before waits for an inbox from now on: a rung or a redirection brought it. Streams
    /// that are past it must go back for it.
    pub fn late(&self, inbox: &InboxId, entry: u64) {
        let mut lines = self.lines();
        let line = line(&mut lines, inbox);
        line.late.push_back(entry);
        line.late_count += 1;
        if line.late.len() > limits::LATE_OFFERS_MAX {
            line.late.pop_front();
        }
    }

    /// How many entries came late for an inbox.
    pub fn late_count(&self, inbox: &InboxId) -> u64 {
        self.lines().get(inbox).map_or(0, |line| line.late_count)
    }

    /// Those that came after so many, and how many there are now. `None`: too many to know each.
    pub fn late_since(&self, inbox: &InboxId, count: u64) -> (Option<Vec<u64>>, u64) {
        let lines = self.lines();
        let Some(line) = lines.get(inbox) else { return (Some(Vec::new()), 0) };
        let new = usize::try_from(line.late_count.saturating_sub(count)).unwrap_or(usize::MAX);
        let known = line.late.len().checked_sub(new);
        (known.map(|from| line.late.range(from..).copied().collect()), line.late_count)
    }

    /// A stream has begun.
    pub fn stream_began(&self, inboxes: &[InboxId]) {
        let mut lines = self.lines();
        for inbox in inboxes {
            line(&mut lines, inbox).heard.streams += 1;
        }
    }

    /// A stream that had begun has ended.
    pub fn stream_ended(&self, inboxes: &[InboxId], now: Moment) {
        let mut lines = self.lines();
        for inbox in inboxes {
            let heard = &mut line(&mut lines, inbox).heard;
            heard.streams = heard.streams.saturating_sub(1);
            heard.last = Some(now);
        }
    }

    /// Its system asked what waits.
    pub fn asked(&self, inbox: &InboxId, now: Moment) {
        line(&mut self.lines(), inbox).heard.last = Some(now);
    }

    /// When an inbox was heard from.
    pub fn heard(&self, inbox: &InboxId) -> Heard {
        self.lines().get(inbox).map(|line| line.heard).unwrap_or_default()
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<InboxId, Line>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line<'a>(lines: &'a mut HashMap<InboxId, Line>, inbox: &InboxId) -> &'a mut Line {
    if !lines.contains_key(inbox) {
        lines.insert(inbox.clone(), Line::default());
    }
    lines.get_mut(inbox).expect("invariant: it was just put there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_late_is_known_one_by_one_until_it_is_too_many() {
        let (hub, inbox) = (Hub::default(), "school/duty".parse().unwrap());
        assert_eq!(hub.late_since(&inbox, 0), (Some(Vec::new()), 0));
        hub.late(&inbox, 7);
        let seen = hub.late_count(&inbox);
        hub.late(&inbox, 3);
        assert_eq!(hub.late_since(&inbox, seen), (Some(vec![3]), 2));
        assert_eq!(hub.late_since(&inbox, 2), (Some(Vec::new()), 2));
        let most = limits::LATE_OFFERS_MAX as u64;
        (0..most).for_each(|entry| hub.late(&inbox, entry));
        let (all, count) = hub.late_since(&inbox, 2);
        assert_eq!((all.map(|all| all.len() as u64), count), (Some(most), 2 + most));
        assert_eq!(hub.late_since(&inbox, 1), (None, 2 + most), "one more than is remembered");
    }
}
