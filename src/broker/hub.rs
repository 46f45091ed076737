//! Who listens for an inbox: wakes streams when something new waits there, and knows when an
//! inbox was heard from last.
//!
//! All of it in memory: after a start an inbox was not heard from yet.
//!
//! Knows: domain, clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{clock::Moment, domain::ids::InboxId};

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
