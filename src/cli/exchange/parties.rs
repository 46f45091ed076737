//! Who takes part in a made-up exchange: areas, agencies with their inboxes, agreements, in
//! the form of a pack's `agencies.json`.
//!
//! Knows: domain.

use serde::Deserialize;

use crate::domain::ids::{AgencyId, ExchangeName, InboxId, RoleName};

/// All of them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Parties {
    pub(crate) exchange: ExchangeName,
    #[serde(default)]
    pub(crate) areas: Vec<Area>,
    pub(crate) agencies: Vec<Agency>,
    #[serde(default)]
    pub(crate) agreements: Vec<Agreement>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Area {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) catch_all: String,
    #[serde(default)]
    pub(crate) out_of_hours: String,
    #[serde(default)]
    pub(crate) reviewer: String,
    #[serde(default)]
    pub(crate) senior: Senior,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Senior {
    #[serde(default)]
    pub(crate) post: String,
    #[serde(default)]
    pub(crate) phone: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Agency {
    pub(crate) id: AgencyId,
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) area: String,
    #[serde(default)]
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) behaviour: Behaviour,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Inbox {
    pub(crate) role: RoleName,
    #[serde(default)]
    pub(crate) phone: String,
    #[serde(default)]
    pub(crate) calendar: String,
    /// Days off beside the calendar's own.
    #[serde(default)]
    pub(crate) closed_on: Vec<String>,
    #[serde(default)]
    pub(crate) deputy: Option<InboxId>,
}

/// How a simulated agency receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// Stores, opens, acknowledges, decides, sends feedback.
    Acknowledges,
    /// Never connects to receive, though it sends.
    Silent,
    /// Does all that, late.
    Slow,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Agreement {
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) parties: Vec<String>,
    #[serde(default)]
    pub(crate) classes: Vec<String>,
    #[serde(default)]
    pub(crate) lawful_bases: Vec<String>,
    #[serde(default)]
    pub(crate) valid_from: String,
    #[serde(default)]
    pub(crate) valid_to: String,
    #[serde(default)]
    pub(crate) review_by: String,
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
}
