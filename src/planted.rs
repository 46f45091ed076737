//! Bugs that tests plant, to see that they are caught. Nothing of this is in the real program.
//!
//! A bug is planted in the thread that plants it and in the committers that this thread starts;
//! every other thread, and every other test, runs the code as it is.
//!
//! Knows: nothing.

use std::cell::Cell;

/// A promise of the program, broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    CheckpointBeforeDurable,
    CrcIgnored,
    DirectorySyncSkipped,
    ReceiptBeforeSync,
    RecoveryCutsAcknowledged,
    RedeliveryDropped,
    RequestLookUpSkipped,
    SyncRemoved,
    TailNotRewritten,
}

impl Bug {
    pub(crate) const ALL: [Bug; 9] = [
        Bug::ReceiptBeforeSync,
        Bug::SyncRemoved,
        Bug::DirectorySyncSkipped,
        Bug::CrcIgnored,
        Bug::TailNotRewritten,
        Bug::RecoveryCutsAcknowledged,
        Bug::CheckpointBeforeDurable,
        Bug::RequestLookUpSkipped,
        Bug::RedeliveryDropped,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Bug::CheckpointBeforeDurable => "checkpoint published before it is durable",
            Bug::CrcIgnored => "checksums ignored",
            Bug::DirectorySyncSkipped => "directory fsync skipped",
            Bug::ReceiptBeforeSync => "receipt before fsync",
            Bug::RecoveryCutsAcknowledged => "recovery cuts an acknowledged batch",
            Bug::RedeliveryDropped => "redelivery dropped after 5 attempts",
            Bug::RequestLookUpSkipped => "request-id look-up skipped in the committer",
            Bug::SyncRemoved => "fsync removed",
            Bug::TailNotRewritten => "tail not rewritten after an unclean stop",
        }
    }
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// What is planted here.
pub(crate) fn here() -> Option<Bug> {
    PLANTED.get()
}

/// Whether this bug is planted here.
pub(crate) fn is(bug: Bug) -> bool {
    here() == Some(bug)
}

/// Plants a bug here until the guard goes.
pub(crate) fn plant(bug: Option<Bug>) -> Guard {
    Guard(PLANTED.replace(bug))
}

/// Takes the bug out again.
pub(crate) struct Guard(Option<Bug>);

impl Drop for Guard {
    fn drop(&mut self) {
        PLANTED.set(self.0);
    }
}
