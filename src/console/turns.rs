//! Turns for what takes a core and much memory for a while: stretching a passphrase.
//!
//! Holds: I10. Knows: limits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;

/// One at a time, and few in the queue for it.
pub(super) struct Turns {
    turn: Arc<Semaphore>,
    queue: Semaphore,
}

impl Turns {
    pub(super) fn new() -> Self {
        let queue = Semaphore::new(limits::PASSPHRASES_WAITING_MAX);
        Self { turn: Arc::new(Semaphore::new(1)), queue }
    }

    /// The turn, once it comes; none where too many wait already.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let _place = self.queue.try_acquire().ok()?;
        Arc::clone(&self.turn).acquire_owned().await.ok()
    }
}
