//! Wrong passphrases: after a few of one name, it has to wait.
//!
//! In memory, and by name alone: whoever guesses on and on keeps that name from signing in. Who is
//! signed in is counted apart, and a new invitation ends the wait.
//!
//! Holds: I10, I14. Knows: clock, limits.

use std::{collections::HashMap, time::Duration};

use crate::{clock::Moment, limits};

/// Names with wrong passphrases.
#[derive(Default)]
pub(super) struct Attempts(HashMap<String, Wrong>);

#[derive(Clone, Copy)]
struct Wrong {
    times: u32,
    /// Not before this is another one looked at.
    again: Moment,
}

impl Attempts {
    /// Whether a passphrase for this name is looked at now; else how long to wait.
    pub(super) fn may(&self, name: &str, now: Moment) -> Result<(), Duration> {
        let again = self.0.get(name).map_or(Moment(0), |wrong| wrong.again);
        match again.0.checked_sub(now.0) {
            None | Some(0) => Ok(()),
            Some(left) => Err(Duration::from_nanos(left)),
        }
    }

    /// It was wrong.
    pub(super) fn wrong(&mut self, name: &str, now: Moment) {
        if self.0.len() >= limits::WRONG_NAMES_MAX && !self.0.contains_key(name) {
            // Room is made by those who wait no longer; if all do, by nobody.
            self.0.retain(|_, wrong| wrong.again > now);
            if self.0.len() >= limits::WRONG_NAMES_MAX {
                return;
            }
        }
        let wrong = self.0.entry(name.to_owned()).or_insert(Wrong { times: 0, again: now });
        wrong.times = wrong.times.saturating_add(1);
        if let Some(over) = wrong.times.checked_sub(limits::WRONG_PASSPHRASES_MAX) {
            let delay = limits::WRONG_PASSPHRASE_DELAY * 2u32.saturating_pow(over.min(10));
            wrong.again = now.after(delay.min(limits::WRONG_PASSPHRASE_DELAY_MAX));
        }
    }

    /// It was right.
    pub(super) fn right(&mut self, name: &str) {
        self.0.remove(name);
    }
}
