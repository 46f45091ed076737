//! A pack: a made-up area's agencies and the concerns they send. Reads
//! `agencies.json` and `concerns.jsonl`, and nothing else of the folder.
//!
//! Knows: domain.

use std::{fs, path::Path};

use anyhow::{Context, ensure};

use super::super::exchange::parties::{Behaviour, Parties};

/// The pilot pack, for a demonstration without `--pack`.
const PILOT_AGENCIES: &str = include_str!("../../../tests/packs/pilot/agencies.json");
const PILOT_CONCERNS: &[u8] = include_bytes!("../../../tests/packs/pilot/concerns.jsonl");

/// A pack, read.
pub(super) struct Pack {
    pub(super) agencies: Parties,
    /// The lines, without their line ends, in the order in which they are sent.
    pub(super) lines: Vec<Vec<u8>>,
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
        let agencies: Parties = serde_json::from_str(&agencies).context("agencies.json")?;
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
