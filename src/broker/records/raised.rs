//! What is raised beside deadlines, as the fold keeps it: a statement that should have been accepted
//! and was not, and what came outside any agreement.
//!
//! Pure. Holds: I5. Knows: domain, store.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::entry_of;
use crate::{domain::ids::InboxId, store::View};

/// A statement that should have been accepted and was not: over once it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// It was refused, and could not wait.
    pub refused: Option<Refused>,
    /// A manifest counts it as sent.
    pub missing: Option<Missing>,
}

/// An immediate or urgent concern was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The entry of the refusal.
    pub entry: u64,
    /// When, Unix nanoseconds.
    pub at: u64,
    /// The agency that sent it.
    pub agency: String,
    /// The inbox of its that is told; `None` if it has none.
    pub inbox: Option<InboxId>,
    /// The urgency that it would have run as.
    pub urgency: String,
    /// The refusal's code.
    pub code: String,
}

/// A manifest counts it as sent, and it had not come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Missing {
    /// The agency that counts it.
    pub agency: String,
    /// The entry of its newest manifest that does.
    pub entry: u64,
    /// When that was said, Unix nanoseconds.
    pub at: u64,
}

/// A concern came outside any agreement and is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who must look; `None` where its sender's area names nobody.
    pub reviewer: Option<InboxId>,
    /// By when, Unix seconds.
    pub due: u64,
    /// The agency that sent the concern.
    pub sender: String,
    /// The urgency it came with.
    pub urgency: String,
    /// When it came, Unix nanoseconds.
    pub accepted_at: u64,
}

/// All values under a prefix with the numbers at the ends of their keys, at most so many.
pub fn numbered<T: DeserializeOwned>(
    view: &impl View,
    prefix: &[u8],
    most: usize,
) -> Vec<(u64, T)> {
    let found = view.under(prefix, most).into_iter();
    found
        .filter_map(|(key, value)| Some((entry_of(&key)?, postcard::from_bytes(&value).ok()?)))
        .collect()
}
