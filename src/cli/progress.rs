//! Progress bars and stages: on standard error, gone from a terminal when done.
//!
//! Knows: nothing.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts `unit`, such as "files".
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar at nothing of nothing.
    pub(crate) fn of(unit: &'static str) -> Self {
        Self::styled(&format!("{{wide_bar}} {{human_pos}} of {{human_len}} {unit} {{eta}}"))
    }

    /// A bar that counts bytes.
    pub(crate) fn of_bytes() -> Self {
        Self::styled("{wide_bar} {bytes} of {total_bytes} {eta}")
    }

    fn styled(template: &str) -> Self {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style))
    }

    /// So much is done, of so much in all.
    pub(crate) fn at(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Progress on standard error: a line that moves on a terminal, nothing elsewhere
/// but a line for each stage.
pub(crate) struct Progress {
    bar: ProgressBar,
    said: Mutex<BTreeSet<String>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        let bar = ProgressBar::new_spinner();
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar, said: Mutex::default() }
    }

    pub(crate) fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        self.bar.tick();
        let stage = text.split(':').next().unwrap_or(text).to_owned();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_hidden() && said.insert(stage.clone()) {
            eprintln!("{stage}");
        }
    }

    pub(crate) fn count(&self, what: &str, done: usize, of: usize) {
        self.say(&format!("{what}: {done} of {of}"));
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
