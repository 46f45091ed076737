//! What a night comes to: who was told what and when, who owns what is open, and whether all of it
//! adds up with what the pack says must come of it.
//!
//! Knows: proto, clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    super::tally::Ledger,
    account::{Account, Climbed, Line, Noticed, clock, local},
};
use crate::{
    cli::{Output, print},
    clock::Moment,
    proto::{self, GetSummaryResponse},
};

/// A delivery at the end of the night.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    concern: String,
    addressed: String,
    urgency: String,
    #[serde(serialize_with = "local")]
    accepted: Moment,
    /// By when a person had to acknowledge it, and to decide.
    #[serde(serialize_with = "local")]
    acknowledge_by: Moment,
    #[serde(serialize_with = "by")]
    decide_by: Option<Moment>,
    /// The inbox that has it.
    inbox: String,
    state: String,
    /// Who owns the next action.
    owner: String,
}

fn by<S: serde::Serializer>(at: &Option<Moment>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => local(at, to),
        None => to.serialize_none(),
    }
}

impl Standing {
    pub(super) fn of(concern: &str, delivery: &proto::Delivery) -> Self {
        let state = delivery.state().as_str_name();
        Self {
            concern: concern.to_owned(),
            addressed: delivery.addressed.clone(),
            urgency: delivery.urgency.clone(),
            accepted: Moment(delivery.accepted_at),
            acknowledge_by: Moment::of_seconds(delivery.acknowledgement_due),
            decide_by: Some(delivery.decision_due).filter(|at| *at > 0).map(Moment::of_seconds),
            inbox: delivery.inbox.clone(),
            state: state.trim_start_matches("DELIVERY_STATE_").to_ascii_lowercase(),
            owner: delivery.responsible.clone(),
        }
    }

    fn is_open(&self) -> bool {
        self.state != "closed" && self.state != "withdrawn"
    }
}

/// Somebody who has yet to do something.
#[derive(Debug, Serialize)]
struct Open {
    concern: String,
    addressed: String,
    state: String,
    owner: String,
}

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct NightTally {
    concerns: usize,
    deliveries: u64,
    closed: u64,
    open: u64,
    rungs: Vec<Climbed>,
    notices: BTreeMap<String, Vec<Noticed>>,
    still_open: Vec<Open>,
    standing: Vec<Standing>,
    told: Vec<Line>,
    receipts_verified: usize,
    ledger: Ledger,
    seconds: f64,
    /// What does not add up, in words.
    faults: Vec<String>,
}

/// What it is made of.
pub(super) struct Parts {
    pub(super) account: Account,
    pub(super) standing: Vec<Standing>,
    pub(super) summary: GetSummaryResponse,
    pub(super) concerns: usize,
    pub(super) receipts_verified: usize,
    pub(super) ledger: Ledger,
    /// What was found wrong before.
    pub(super) faults: Vec<String>,
    pub(super) took: Duration,
}

impl NightTally {
    pub(super) fn new(parts: Parts, expected: &Value) -> anyhow::Result<Self> {
        let Parts { account, standing, summary, .. } = parts;
        let open = standing.iter().filter(|standing| standing.is_open()).map(|standing| Open {
            concern: standing.concern.clone(),
            addressed: standing.addressed.clone(),
            state: standing.state.clone(),
            owner: standing.owner.clone(),
        });
        let mut tally = Self {
            concerns: parts.concerns,
            deliveries: summary.deliveries,
            closed: summary.closed,
            open: summary.open,
            rungs: account.rungs,
            notices: account.notices,
            still_open: open.collect(),
            standing,
            told: account.lines,
            receipts_verified: parts.receipts_verified,
            ledger: parts.ledger,
            seconds: (parts.took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            faults: parts.faults,
        };
        tally.find_faults(summary.concerns as usize);
        let found = serde_json::to_value(&tally)?;
        tally.faults.extend(differences(&found, expected));
        Ok(tally)
    }

    pub(super) fn adds_up(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    fn find_faults(&mut self, concerns: usize) {
        let once: BTreeSet<_> = self.rungs.iter().map(Climbed::once).collect();
        let facts = [
            (concerns == self.concerns, "the exchange has as many concerns as were sent"),
            (self.receipts_verified == self.concerns, "every receipt verifies offline"),
            (self.standing.len() as u64 == self.deliveries, "every delivery is accounted for"),
            (self.deliveries == self.closed + self.open, "deliveries = closed + open"),
            (self.still_open.len() as u64 == self.open, "whatever is open has an owner"),
            (self.still_open.iter().all(|open| owns(&open.owner)), "and that is somebody"),
            (once.len() == self.rungs.len(), "every rung is climbed once"),
        ];
        let broken = facts.into_iter().filter(|(holds, _)| !holds);
        self.faults.extend(broken.map(|(_, what)| what.to_owned()));
    }

    pub(super) fn print(&self, output: Output) -> anyhow::Result<()> {
        match output {
            Output::Json => print::line(self.json()?)?,
            Output::Text => self.print_text()?,
        }
        for fault in &self.faults {
            eprintln!("does not add up: {fault}");
        }
        Ok(())
    }

    fn print_text(&self) -> anyhow::Result<()> {
        let told = self.told.iter().map(|line| {
            vec![clock(line.at), line.concern.clone(), line.who.clone(), line.what.clone()]
        });
        print::table(&["when", "concern", "who", "what"], told)?;
        print::line("\nStill open, and whose it is:")?;
        let open = self.standing.iter().filter(|standing| standing.is_open()).map(|standing| {
            let next = match standing.state.as_str() {
                "acknowledged" => standing.decide_by,
                _ => Some(standing.acknowledge_by),
            };
            vec![
                standing.concern.clone(),
                standing.addressed.clone(),
                standing.state.clone(),
                standing.owner.clone(),
                next.map(clock).unwrap_or_default(),
            ]
        });
        print::table(&["concern", "sent to", "state", "owner", "due"], open)?;
        print::line(format!(
            "\n{} concerns, {} deliveries = {} closed + {} open. {} rungs climbed, each once.",
            self.concerns,
            self.deliveries,
            self.closed,
            self.open,
            self.rungs.len()
        ))?;
        for (channel, notices) in &self.notices {
            print::line(format!("{channel} was told of {} rungs.", notices.len()))?;
        }
        print::line(self.ledger.line())?;
        print::line(format!(
            "{} of {} receipts verified offline. {} seconds.",
            self.receipts_verified, self.concerns, self.seconds
        ))?;
        if self.adds_up() {
            print::line("Everything adds up.")?;
        }
        Ok(())
    }
}

/// Whether an owner is somebody.
fn owns(owner: &str) -> bool {
    !owner.is_empty() && owner != "nobody"
}

/// Where what was found is not what must be. `exactly`: each value as it is; `among`: each element
/// of a list is to be found in it. What says why is for people.
fn differences(found: &Value, expected: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, wanted) in fields(&expected["exactly"]) {
        differ(name, &found[name.as_str()], wanted, &mut faults);
    }
    for (name, wanted) in fields(&expected["among"]) {
        let found = found[name.as_str()].as_array().map(Vec::as_slice).unwrap_or_default();
        for wanted in wanted.as_array().into_iter().flatten() {
            if !found.iter().any(|found| has(found, wanted)) {
                faults.push(format!("{name}: there is no {}", without_why(wanted)));
            }
        }
    }
    faults
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten().filter(|(name, _)| *name != "why")
}

fn differ(name: &str, found: &Value, wanted: &Value, faults: &mut Vec<String>) {
    match (found, wanted) {
        (Value::Array(found), Value::Array(wanted)) => {
            for (found, wanted) in found.iter().zip(wanted) {
                if !has(found, wanted) {
                    faults.push(format!("{name}: {found} is not {}", without_why(wanted)));
                }
            }
            if found.len() != wanted.len() {
                faults.push(format!("{name}: {} of them, not {}", found.len(), wanted.len()));
            }
        }
        (Value::Object(_), Value::Object(_)) => {
            for (inner, wanted) in fields(wanted) {
                differ(&format!("{name}.{inner}"), &found[inner.as_str()], wanted, faults);
            }
        }
        _ if found != wanted => faults.push(format!("{name}: {found}, not {wanted}")),
        _ => {}
    }
}

/// Whether something has every field that is wanted.
fn has(found: &Value, wanted: &Value) -> bool {
    match wanted.is_object() {
        true => fields(wanted).all(|(name, value)| found.get(name.as_str()) == Some(value)),
        false => found == wanted,
    }
}

fn without_why(value: &Value) -> Value {
    match value {
        Value::Object(_) => {
            fields(value).map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_as_it_must_be_is_said() {
        let found = json!({
            "open": 3, "rungs": [{"at": "1", "told": "deputy"}], "standing": [{"a": 1, "b": 2}],
        });
        let fits = json!({
            "exactly": {"open": 3, "rungs": [{"at": "1", "told": "deputy", "why": "a third"}]},
            "among": {"standing": [{"a": 1, "why": "since"}]},
        });
        assert_eq!(differences(&found, &fits), Vec::<String>::new());
        assert_eq!(differences(&found, &json!({})), Vec::<String>::new());
        for wrong in [
            json!({"exactly": {"open": 2}}),
            json!({"exactly": {"rungs": []}}),
            json!({"exactly": {"rungs": [{"at": "2"}]}}),
            json!({"exactly": {"nothing": 1}}),
            json!({"among": {"standing": [{"a": 2}]}}),
        ] {
            assert_eq!(differences(&found, &wrong).len(), 1, "{wrong}");
        }
    }
}
