//! Progress bars: on a terminal only, on standard error, gone when done.
//!
//! Knows: nothing.

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
