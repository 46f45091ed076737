//! One request of somebody who is signed in, and the pages that are always one step away.
//!
//! Knows: identity, clock.

use crate::{clock::Moment, identity::people::Session};

/// The cookie: of this host alone, over TLS alone, for no script.
pub(super) const COOKIE: &str = "__Host-cairn";
/// The cookie of whoever wants light or dark pages whatever the machine is set to.
pub(super) const SHADE: &str = "cairn-shade";
/// What that may be.
pub(super) const SHADES: [&str; 2] = ["light", "dark"];

/// One request of somebody who is signed in.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) session: Session,
    pub(super) now: Moment,
    /// "light" or "dark", where the person chose.
    pub(super) shade: Option<&'static str>,
    /// The pages that the person may see, of those that are always one step away.
    pub(super) places: Vec<&'static Place>,
}

/// A page that is always one step away.
pub(super) struct Place {
    pub(super) address: &'static str,
    pub(super) name: &'static str,
    /// The call that one must be permitted to make to see it.
    pub(super) call: Option<&'static str>,
}

impl Place {
    const fn new(address: &'static str, name: &'static str, call: Option<&'static str>) -> Self {
        Self { address, name, call }
    }

    /// Whether it is the one at this address.
    pub(super) fn is(&self, address: &str) -> bool {
        self.address == address
    }
}

/// All of them.
pub(super) static PLACES: [Place; 6] = [
    Place::new("/", "Now", Some("StatusService/ListWaiting")),
    Place::new("/find", "Find a concern", Some("StatusService/ListWaiting")),
    Place::new("/agencies", "Agencies", Some("StatusService/ListWaiting")),
    Place::new("/health", "Log health", Some("StatusService/GetSummary")),
    Place::new("/hand-over", "Hand-over", Some("StatusService/ListWaiting")),
    Place::new("/help", "Help", None),
];
