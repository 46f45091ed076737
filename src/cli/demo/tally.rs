//! What a demonstration comes to: counted from the senders' receipts and from what
//! the exchange says, and held against each other.
//!
//! Knows: audit, domain, proto.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    super::exchange::parties::Behaviour,
    pack::Pack,
    sender::{Fate, Kept},
};
use crate::{
    audit::verify::{Verified, VerifyError},
    cli::{Output, print},
    domain::ids::InboxId,
    proto::{DeliveryState, GetSummaryResponse},
};

/// Where every delivery should come to stand, from who was sent what and who answers.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) deliveries: u64,
    /// To recipients that never connect.
    pub(super) queued: u64,
    /// Answered, to senders that never connect.
    pub(super) feedback_sent: u64,
    /// Seen through to the end.
    pub(super) closed: u64,
}

impl Expected {
    pub(super) fn of(pack: &Pack, fates: &BTreeMap<usize, Fate>) -> Self {
        let answers =
            |agency: &str| pack.behaviour(agency).is_some_and(|how| how != Behaviour::Silent);
        let mut expected = Self::default();
        for kept in fates.values().filter_map(accepted) {
            // An agency without an inbox has nowhere to be told.
            let told = answers(&kept.facts.sender) && !kept.facts.reply_to.is_empty();
            for inbox in &kept.facts.inboxes {
                let agency = inbox.parse::<InboxId>().map(|inbox| inbox.agency().to_string());
                expected.deliveries += 1;
                match agency.is_ok_and(|agency| answers(&agency)) {
                    false => expected.queued += 1,
                    true if told => expected.closed += 1,
                    true => expected.feedback_sent += 1,
                }
            }
        }
        expected
    }

    /// Whether the exchange's counts are these.
    pub(super) fn reached_by(&self, summary: &GetSummaryResponse) -> bool {
        summary.deliveries == self.deliveries
            && summary.closed == self.closed
            && in_state(summary, DeliveryState::Queued) == self.queued
            && in_state(summary, DeliveryState::FeedbackSent) == self.feedback_sent
    }
}

fn accepted(fate: &Fate) -> Option<&Kept> {
    match fate {
        Fate::Accepted(kept) => Some(kept),
        _ => None,
    }
}

fn in_state(summary: &GetSummaryResponse, state: DeliveryState) -> u64 {
    summary.states.iter().filter(|count| count.state() == state).map(|count| count.count).sum()
}

/// The result, in the words of the packs' README.
#[derive(Debug, Serialize)]
struct Counts {
    lines: usize,
    accepted: usize,
    duplicates: usize,
    conflicts: usize,
    malformed: usize,
    refused: BTreeMap<String, usize>,
    flags: BTreeMap<String, usize>,
    by_urgency: BTreeMap<String, usize>,
    outside_agreement: usize,
    deliveries: u64,
    stored: u64,
    acknowledged: u64,
    decided: u64,
    feedback_sent: u64,
    closed: u64,
    open: u64,
    receipts_verified: usize,
    ledger: Ledger,
    seconds: f64,
}

/// The ledger as it was verified from outside.
#[derive(Debug, Serialize)]
pub(super) struct Ledger {
    origin: String,
    pub(super) size: u64,
    root: String,
    verified: bool,
}

impl Ledger {
    /// What came of verifying it.
    pub(super) fn of(
        origin: &str,
        size: u64,
        verified: Result<Verified, VerifyError>,
        faults: &mut Vec<String>,
    ) -> Self {
        match verified {
            Ok(Verified { origin, size, root }) => {
                Self { origin, size, root: root.to_string(), verified: true }
            }
            Err(error) => {
                faults.push(format!("the ledger does not verify: {error}"));
                Self { origin: origin.to_owned(), size, root: String::new(), verified: false }
            }
        }
    }

    /// One line, for people.
    pub(super) fn line(&self) -> String {
        let Self { origin, size, root, verified } = self;
        let verified = if *verified { "verified from outside" } else { "NOT verified" };
        format!("Ledger {origin}: {size} entries, root {root}, {verified}.")
    }
}

/// The result with what it was counted from.
pub(super) struct Tally {
    counts: Counts,
    /// What does not add up, in words; empty if everything does.
    faults: Vec<String>,
    /// Who has not answered, and how many deliveries wait for them.
    silent: BTreeMap<String, u64>,
    /// Which senders have not collected answers, and to how many deliveries.
    uncollected: BTreeMap<String, u64>,
    /// What became of each line.
    pub(super) fates: BTreeMap<usize, Fate>,
}

impl Tally {
    pub(super) fn new(
        pack: &Pack,
        fates: BTreeMap<usize, Fate>,
        expected: &Expected,
        summary: &GetSummaryResponse,
        verified: Result<Verified, VerifyError>,
        took: Duration,
    ) -> Self {
        let mut faults = Vec::new();
        let origin = pack.agencies.exchange.as_str();
        let ledger = Ledger::of(origin, summary.size, verified, &mut faults);
        let waits = |state: DeliveryState| in_state(summary, state);
        let stored = summary.deliveries - waits(DeliveryState::Queued);
        let acknowledged = stored - waits(DeliveryState::Stored);
        let decided = acknowledged - waits(DeliveryState::Acknowledged);
        let mut counts = Counts {
            lines: pack.lines.len(),
            accepted: 0,
            duplicates: 0,
            conflicts: 0,
            malformed: 0,
            refused: BTreeMap::new(),
            flags: BTreeMap::new(),
            by_urgency: BTreeMap::new(),
            outside_agreement: 0,
            deliveries: summary.deliveries,
            stored,
            acknowledged,
            decided,
            feedback_sent: decided - waits(DeliveryState::Decided),
            closed: summary.closed,
            open: summary.open,
            receipts_verified: 0,
            ledger,
            seconds: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
        };
        let (mut silent, mut uncollected) = (BTreeMap::new(), BTreeMap::new());
        let is_silent = |agency: &str| pack.behaviour(agency) == Some(Behaviour::Silent);
        for fate in fates.values() {
            counts.add(fate);
            let sender = accepted(fate).map(|kept| &kept.facts.sender);
            for inbox in accepted(fate).iter().flat_map(|kept| &kept.facts.inboxes) {
                let agency = inbox.split('/').next().unwrap_or_default();
                if is_silent(agency) {
                    *silent.entry(inbox.clone()).or_default() += 1;
                } else if let Some(sender) = sender.filter(|sender| is_silent(sender)) {
                    *uncollected.entry(sender.clone()).or_default() += 1;
                }
            }
        }
        counts.find_faults(expected, summary, &mut faults);
        Self { counts, faults, silent, uncollected, fates }
    }

    pub(super) fn adds_up(&self) -> bool {
        self.faults.is_empty()
    }

    /// The JSON object of the result.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.counts)?)
    }

    pub(super) fn print(&self, output: Output) -> anyhow::Result<()> {
        match output {
            Output::Json => println!("{}", self.json()?),
            Output::Text => self.print_text()?,
        }
        for fault in &self.faults {
            eprintln!("does not add up: {fault}");
        }
        Ok(())
    }

    fn print_text(&self) -> anyhow::Result<()> {
        let counts = &self.counts;
        println!(
            "{} lines sent: {} accepted, {} repeated, {} conflicting, {} malformed, {} refused.",
            counts.lines,
            counts.accepted,
            counts.duplicates,
            counts.conflicts,
            counts.malformed,
            counts.refused.values().sum::<usize>(),
        );
        println!(
            "{} deliveries: {} stored, {} acknowledged, {} decided, {} answered, {} closed; {} open.\n",
            counts.deliveries,
            counts.stored,
            counts.acknowledged,
            counts.decided,
            counts.feedback_sent,
            counts.closed,
            counts.open,
        );
        let not_accepted = self.fates.iter().filter_map(|(number, fate)| {
            let (what, why) = match fate {
                Fate::Refused { code, message } => (code.clone(), message.clone()),
                Fate::Malformed(reason) => ("malformed".to_owned(), reason.clone()),
                Fate::Accepted(_) | Fate::Duplicate(_) => return None,
            };
            Some(vec![number.to_string(), what, why])
        });
        println!("Not accepted; what was refused stays in its sender's outbox:");
        print::table(&["line", "what", "why, and what to do"], not_accepted)?;
        println!();
        for (inbox, waiting) in &self.silent {
            println!("{inbox} has not answered: {waiting} deliveries wait for it.");
        }
        for (agency, waiting) in &self.uncollected {
            println!("{agency} has not collected the answers to {waiting} of its deliveries.");
        }
        println!("\n{}", counts.ledger.line());
        println!(
            "{} of {} receipts verified offline. {} seconds.",
            counts.receipts_verified, counts.accepted, counts.seconds
        );
        if self.adds_up() {
            println!("Everything adds up.");
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, fate: &Fate) {
        match fate {
            Fate::Accepted(kept) => {
                self.accepted += 1;
                self.receipts_verified += usize::from(kept.verified);
                self.outside_agreement += usize::from(kept.facts.outside_agreement);
                *self.by_urgency.entry(kept.facts.urgency.clone()).or_default() += 1;
                for flag in &kept.facts.flags {
                    *self.flags.entry(flag.clone()).or_default() += 1;
                }
            }
            Fate::Duplicate(_) => self.duplicates += 1,
            Fate::Refused { code, .. } if code == "request_id_conflict" => self.conflicts += 1,
            Fate::Refused { code, .. } => *self.refused.entry(code.clone()).or_default() += 1,
            Fate::Malformed(_) => self.malformed += 1,
        }
    }

    fn find_faults(
        &self,
        expected: &Expected,
        summary: &GetSummaryResponse,
        faults: &mut Vec<String>,
    ) {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(what.to_owned());
            }
        };
        let refused: usize = self.refused.values().sum();
        let counted = self.accepted + self.duplicates + self.conflicts + self.malformed + refused;
        must(counted == self.lines, "each line counts once");
        must(self.receipts_verified == self.accepted, "every receipt verifies offline");
        must(summary.concerns as usize == self.accepted, "the exchange has as many concerns");
        must(self.deliveries == expected.deliveries, "the exchange has as many deliveries");
        must(self.deliveries == self.closed + self.open, "deliveries = closed + open");
        must(expected.reached_by(summary), "every delivery stands where it should");
    }
}
