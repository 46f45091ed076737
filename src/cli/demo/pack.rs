//! A pack: a made-up area's agencies and the concerns they send. Reads
//! `agencies.json` and `concerns.jsonl`, and nothing else of the folder.
//!
//! Knows: domain.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::domain::ids::{AgencyId, ExchangeName, InboxId, RoleName};

/// The pilot pack, for a demonstration without `--pack`.
const PILOT_AGENCIES: &str = include_str!("../../../tests/packs/pilot/agencies.json");
const PILOT_CONCERNS: &[u8] = include_bytes!("../../../tests/packs/pilot/concerns.jsonl");

/// A pack, read.
pub(super) struct Pack {
    pub(super) agencies: Agencies,
    /// The lines, without their line ends, in the order in which they are sent.
    pub(super) lines: Vec<Vec<u8>>,
}

/// `agencies.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Agencies {
    pub(super) exchange: ExchangeName,
    #[serde(default)]
    pub(super) areas: Vec<Area>,
    pub(super) agencies: Vec<Agency>,
    #[serde(default)]
    pub(super) agreements: Vec<Agreement>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Area {
    pub(super) id: String,
    #[serde(default)]
    pub(super) catch_all: String,
    #[serde(default)]
    pub(super) out_of_hours: String,
    #[serde(default)]
    pub(super) senior: Senior,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Senior {
    #[serde(default)]
    pub(super) post: String,
    #[serde(default)]
    pub(super) phone: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Agency {
    pub(super) id: AgencyId,
    #[serde(default)]
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) area: String,
    #[serde(default)]
    pub(super) inboxes: Vec<Inbox>,
    pub(super) behaviour: Behaviour,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Inbox {
    pub(super) role: RoleName,
    #[serde(default)]
    pub(super) phone: String,
    #[serde(default)]
    pub(super) calendar: String,
    #[serde(default)]
    pub(super) deputy: Option<InboxId>,
}

/// How a simulated agency receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Behaviour {
    /// Stores, opens, acknowledges, decides, sends feedback.
    Acknowledges,
    /// Never connects to receive, though it sends.
    Silent,
    /// Does all that, late.
    Slow,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Agreement {
    pub(super) id: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) parties: Vec<String>,
    #[serde(default)]
    pub(super) classes: Vec<String>,
    #[serde(default)]
    pub(super) lawful_bases: Vec<String>,
    #[serde(default)]
    pub(super) valid_from: String,
    #[serde(default)]
    pub(super) valid_to: String,
    #[serde(default)]
    pub(super) review_by: String,
}

impl Pack {
    /// Reads a pack's folder, or the pilot pack that is built in.
    pub(super) fn read(folder: Option<&Path>) -> anyhow::Result<Self> {
        let (agencies, concerns) = match folder {
            None => (PILOT_AGENCIES.to_owned(), PILOT_CONCERNS.to_vec()),
            Some(folder) => {
                let agencies = folder.join("agencies.json");
                let concerns = folder.join("concerns.jsonl");
                (
                    fs::read_to_string(&agencies)
                        .with_context(|| agencies.display().to_string())?,
                    fs::read(&concerns).with_context(|| concerns.display().to_string())?,
                )
            }
        };
        let agencies: Agencies = serde_json::from_str(&agencies).context("agencies.json")?;
        ensure!(!agencies.agencies.is_empty(), "agencies.json: it names no agency");
        let mut lines: Vec<Vec<u8>> =
            concerns.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // What follows the last line feed is not a line.
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        Ok(Self { agencies, lines })
    }

    /// How an agency receives.
    pub(super) fn behaviour(&self, agency: &str) -> Option<Behaviour> {
        let mut agencies = self.agencies.agencies.iter();
        agencies.find(|known| known.id.as_str() == agency).map(|known| known.behaviour)
    }
}
