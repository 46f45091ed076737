//! Programs that tests start, one at a time.
//!
//! Between `fork` and `exec` a child has every socket and lock of ours open too. Whoever
//! opens anew what was just closed waits until no program is being started.

use std::{
    process::{Child, Command, Output, Stdio},
    sync::{PoisonError, RwLock},
};

static STARTING: RwLock<()> = RwLock::new(());

/// Starts a program; back when it has begun.
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let _alone = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Runs a program to its end.
pub fn output(command: &mut Command) -> std::io::Result<Output> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(piped)?.wait_with_output()
}

/// Waits until no program is being started.
pub fn settled() {
    drop(STARTING.read().unwrap_or_else(PoisonError::into_inner));
}
