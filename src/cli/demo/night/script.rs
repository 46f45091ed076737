//! The script of a night: who does what, when. One JSON object a line, in the order of time.
//!
//! Times are written as a clock in the United Kingdom shows them, with the zone's offset: a script
//! that is wrong about the hour that comes twice is refused.
//!
//! Knows: domain, clock.

use std::{fs, path::Path};

use anyhow::{Context, anyhow, bail, ensure};
use jiff::{
    Timestamp,
    fmt::temporal::{Pieces, PiecesOffset},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::super::exchange::parties::Parties;
use crate::{
    clock::Moment,
    domain::{
        document::Document,
        ids::{AgencyId, InboxId, SystemName},
    },
};

const AGENCIES: &str = include_str!("../../../../tests/packs/night/agencies.json");
const NIGHT: &str = include_str!("../../../../tests/packs/night/night.jsonl");
const EXPECTED: &str = include_str!("../../../../tests/packs/night/expected.json");

/// A pack for a night, read.
pub(super) struct NightPack {
    pub(super) parties: Parties,
    pub(super) script: Vec<Event>,
    /// What must come of it, worked out by hand; nothing of a pack that says nothing.
    pub(super) expected: Value,
}

/// One line of the script.
pub(super) struct Event {
    pub(super) at: Moment,
    pub(super) deed: Deed,
}

/// What happens.
#[derive(Deserialize)]
#[serde(tag = "does", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Deed {
    /// The exchange is founded: the first line.
    Begin,
    /// An agency sends a concern; while the exchange is down, its system tries until it is back.
    #[serde(skip)]
    Send(Box<Document>),
    /// An agency's system is switched off, or back.
    Away {
        agency: AgencyId,
    },
    Back {
        agency: AgencyId,
    },
    /// A person in a post reads concerns and takes them.
    Acknowledge {
        inbox: InboxId,
        post: String,
        concerns: Vec<String>,
    },
    /// A person decides.
    Decide {
        inbox: InboxId,
        post: String,
        concerns: Vec<String>,
        outcome: String,
    },
    /// A person tells the sender.
    Answer {
        inbox: InboxId,
        post: String,
        concerns: Vec<String>,
        text: String,
    },
    /// On-call staff ring an inbox about a delivery, and somebody there answers.
    Ring {
        concern: String,
        addressed: InboxId,
        inbox: InboxId,
        post: String,
        told: String,
    },
    /// A webhook that nobody answered is answered from now on.
    Answers {
        channel: SystemName,
    },
    /// The exchange goes down in order, and comes up again.
    Stop,
    Start,
    /// The night is over: the last line.
    End,
}

impl NightPack {
    /// Reads a pack's folder, or the one that is built in.
    pub(super) fn read(folder: Option<&Path>) -> anyhow::Result<Self> {
        let file = |name: &str, built_in: &str| match folder {
            None => Ok(built_in.to_owned()),
            Some(folder) => {
                let path = folder.join(name);
                fs::read_to_string(&path).with_context(|| path.display().to_string())
            }
        };
        let states_nothing = folder.is_some_and(|folder| !folder.join("expected.json").exists());
        let expected = match states_nothing {
            true => "{}".to_owned(),
            false => file("expected.json", EXPECTED)?,
        };
        let parties = serde_json::from_str(&file("agencies.json", AGENCIES)?);
        let script = script(&file("night.jsonl", NIGHT)?)?;
        Ok(Self {
            parties: parties.context("agencies.json")?,
            script,
            expected: serde_json::from_str(&expected).context("expected.json")?,
        })
    }

    /// When it begins.
    pub(super) fn begins(&self) -> Moment {
        self.script.first().map(|event| event.at).unwrap_or_default()
    }
}

fn script(text: &str) -> anyhow::Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let event = event(line).with_context(|| format!("night.jsonl, line {number}"))?;
        if let Some(before) = events.last() {
            ensure!(before.at <= event.at, "night.jsonl, line {number}: it is before the last one");
        }
        events.push(event);
    }
    let ends = (events.first().map(|event| &event.deed), events.last().map(|event| &event.deed));
    let whole = matches!(ends, (Some(Deed::Begin), Some(Deed::End)));
    ensure!(whole, "night.jsonl: the first line must say `begin`, and the last one `end`");
    Ok(events)
}

/// One line: `at`, and what happens.
fn event(line: &str) -> anyhow::Result<Event> {
    let mut rest: Map<String, Value> = serde_json::from_str(line)?;
    let at = rest.remove("at");
    let at = moment(at.as_ref().and_then(Value::as_str).context("`at` must say when")?)?;
    let deed = match rest.remove("document") {
        Some(document) if rest.get("does") == Some(&"send".into()) && rest.len() == 1 => {
            let document = Document::parse(&serde_json::to_vec(&document)?);
            Deed::Send(Box::new(document.map_err(|wrong| anyhow!("{wrong}"))?))
        }
        Some(_) => bail!("only `send` has a document, and nothing else"),
        None => serde_json::from_value(Value::Object(rest))?,
    };
    Ok(Event { at, deed })
}

/// RFC 3339 with the offset that the United Kingdom has at that very moment.
fn moment(text: &str) -> anyhow::Result<Moment> {
    let at: Timestamp = text.parse().with_context(|| format!("{text:?} is no time"))?;
    let at = Moment(u64::try_from(at.as_nanosecond()).context("a time before 1970")?);
    let written = match Pieces::parse(text).ok().and_then(|pieces| pieces.offset()) {
        Some(PiecesOffset::Numeric(offset)) => Some(offset.offset()),
        _ => None,
    };
    let local = at.in_london().offset();
    ensure!(written == Some(local), "{text}: clocks in the United Kingdom are at {local} then");
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_that_comes_twice_is_told_apart() {
        let summer = moment("2026-10-25T01:48:00+01:00").unwrap();
        let winter = moment("2026-10-25T01:48:00+00:00").unwrap();
        assert_eq!(winter.seconds() - summer.seconds(), 3_600);
        for wrong in ["2026-10-25T00:48:00+00:00", "2026-10-25T02:48:00+01:00", "2026-10-25T01:48"]
        {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_pack_that_is_built_in_can_be_read() {
        let pack = NightPack::read(None).unwrap();
        assert!(pack.script.len() > 40 && pack.expected.is_object());
    }

    #[test]
    fn a_script_says_where_it_is_wrong() {
        let says = |text: &str| format!("{:#}", script(text).err().expect("a fault"));
        assert!(says(r#"{"at": "2026-10-23T15:00:00+01:00", "does": "stop"}"#).contains("begin"));
        assert!(says(r#"{"at": "2026-10-23T15:00:00+01:00", "does": "run"}"#).contains("line 1"));
        let back = "{\"at\": \"2026-10-23T15:00:00+01:00\", \"does\": \"begin\"}\n\
                    {\"at\": \"2026-10-23T14:00:00+01:00\", \"does\": \"end\"}";
        assert!(says(back).contains("line 2"));
    }
}
