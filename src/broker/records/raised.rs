//! What is raised beside deadlines, as the fold keeps it: what a manifest found missing, an urgent
//! concern that was refused, and what came outside any agreement.
//!
//! Pure. Holds: I5. Knows: domain, store.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{REQUEST_KEY_BYTES, entry_of, request_key};
use crate::{domain::ids::InboxId, store::View};

/// The beginning of a request key, as the index has it.
type Request = [u8; REQUEST_KEY_BYTES];

/// What a manifest counts as sent and had not come by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// When it was said, Unix nanoseconds.
    pub said_at: u64,
    /// Their request keys.
    pub requests: Vec<Request>,
}

impl Missing {
    /// From the facts of a manifest.
    pub fn of(said_at: u64, requests: &[Vec<u8>]) -> Self {
        let requests = requests.iter().filter_map(|key| key.as_slice().try_into().ok());
        Self { said_at, requests: requests.collect() }
    }

    /// What has not come since either.
    #[must_use]
    pub fn still(mut self, view: &impl View) -> Self {
        self.requests.retain(|request| view.value(&request_key(request)).is_none());
        self
    }
}

/// An immediate or urgent concern was refused, and the inbox of its sender that is told has not
/// stored that yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When, Unix nanoseconds.
    pub at: u64,
    /// The inbox that is told.
    pub inbox: InboxId,
    /// The urgency that it would have run as.
    pub urgency: String,
    /// The refusal's code.
    pub code: String,
    /// The request key, where it was known: accepted since, it is no longer refused.
    pub request: Option<Request>,
}

impl Refused {
    /// Whether it was said again since, and accepted.
    pub fn is_over(&self, view: &impl View) -> bool {
        self.request.is_some_and(|request| view.value(&request_key(&request)).is_some())
    }
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

/// All values under a prefix with their keys and the entry numbers at their ends, at most so many.
pub fn numbered<T: DeserializeOwned>(
    view: &impl View,
    prefix: &[u8],
    most: usize,
) -> Vec<(Vec<u8>, u64, T)> {
    let found = view.under(prefix, most).into_iter();
    let read = found.filter_map(|(key, value)| {
        let (entry, value) = (entry_of(&key)?, postcard::from_bytes(&value).ok()?);
        Some((key, entry, value))
    });
    read.collect()
}
