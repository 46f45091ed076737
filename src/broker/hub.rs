//! Wakes streams when something new waits for their inboxes.
//!
//! Knows: domain.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::domain::ids::InboxId;

/// One bell for each inbox that somebody listens for.
#[derive(Default)]
pub struct Hub {
    bells: Mutex<HashMap<InboxId, Arc<Notify>>>,
}

impl Hub {
    /// Puts one bell on all these inboxes. A listener that hears it looks at all of
    /// them.
    pub fn listen(&self, inboxes: &[InboxId]) -> Vec<Arc<Notify>> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.iter().map(|inbox| Arc::clone(bells.entry(inbox.clone()).or_default())).collect()
    }

    /// Rings for an inbox; nobody listening is no fault.
    pub fn ring(&self, inbox: &InboxId) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(inbox) {
            bell.notify_waiters();
        }
    }
}
