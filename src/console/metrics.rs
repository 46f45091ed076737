//! `/metrics`: what an operator's Prometheus asks, in its text format.
//!
//! Names as Prometheus has them: base units, `_total` on what only grows. Labels are codes,
//! inboxes and states, never an entry, a person or a reference. Exercises are in no count of what
//! waits: they wake nobody.
//!
//! Holds: I6, I12. Knows: broker, listener, identity, domain, telemetry.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use super::Operators;
use crate::{
    broker::{
        records::{DeliveryRecord, Timeliness},
        witnessed::WitnessCounts,
    },
    domain::{
        deadline::{Duty, Rung, STEPS},
        lifecycle::State,
        vocabulary::Urgency,
    },
    limits,
    notify::ChannelCounts,
    telemetry,
};

/// All metrics.
pub(super) fn text(operators: &Operators) -> String {
    let mut page = Page::default();
    let waiting = Waiting::now(operators);
    waiting.write(&mut page);
    ledger(operators, &mut page, waiting.open);
    connections(operators, &mut page);
    channels(operators, &mut page);
    probe(operators, &mut page);
    raised(operators, &mut page);
    witnesses(operators, &mut page);
    spans(&mut page);
    page.0
}

/// The page as it grows.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A metric without labels.
    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// A metric with labels; each of them a code, so that nothing needs an escape.
    fn many(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (String, u64)>) {
        self.head(name, help);
        for (labels, value) in values {
            let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
        }
    }

    fn head(&mut self, name: &str, help: &str) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
    }
}

/// What is open, counted by walking through it.
#[derive(Default)]
struct Waiting {
    /// All of it, exercises too.
    open: u64,
    by_time: BTreeMap<(Urgency, Duty, Attended, Timeliness), u64>,
    by_rung: BTreeMap<(Urgency, Duty, Attended, Rung), u64>,
    /// The age of the oldest that nobody has acknowledged, in seconds.
    oldest: BTreeMap<(String, Urgency), u64>,
    /// Not fetched, by inboxes that have not been heard from for a while.
    silent: BTreeMap<(String, Urgency), u64>,
}

/// Whether a member of the on-call staff has said to be dealing with it: then nobody is woken.
type Attended = bool;

impl Waiting {
    fn now(operators: &Operators) -> Self {
        let now = operators.clock.now().0 / 1_000_000_000;
        let mut waiting = Self::default();
        // A count that is not there yet could not be seen to rise.
        for (urgency, duty) in Urgency::ALL.into_iter().flat_map(|of| Duty::ALL.map(|it| (of, it)))
        {
            for state in [Timeliness::OnTime, Timeliness::DueSoon, Timeliness::Overdue] {
                waiting.by_time.insert((urgency, duty, false, state), 0);
            }
            for step in 0..STEPS {
                waiting.by_rung.insert((urgency, duty, false, Rung::at(step, duty, urgency)), 0);
            }
        }
        for (_, record) in operators.broker.open_deliveries(None) {
            waiting.open += 1;
            if !record.exercise {
                waiting.count(&record, now);
                let holder = &record.delivery.holder;
                let queued = record.delivery.state == State::Queued;
                if queued && operators.broker.is_silent(holder, operators.clock.now()) {
                    let (urgency, _) = Urgency::effective(Some(&record.urgency));
                    *waiting.silent.entry((holder.to_string(), urgency)).or_default() += 1;
                }
            }
        }
        waiting
    }

    fn count(&mut self, record: &DeliveryRecord, now: u64) {
        let (urgency, _) = Urgency::effective(Some(&record.urgency));
        let attended = record.cared_for.is_some_and(|(_, until)| until > now);
        if let Some(duty) = record.duties().first() {
            let timeliness = record.timeliness(now);
            *self.by_time.entry((urgency, *duty, attended, timeliness)).or_default() += 1;
            if let Some(rung) = record.rung_now() {
                *self.by_rung.entry((urgency, *duty, attended, rung)).or_default() += 1;
            }
        }
        if matches!(record.delivery.state, State::Queued | State::Stored) {
            let age = now.saturating_sub(record.accepted_at / 1_000_000_000);
            let inbox = record.delivery.holder.to_string();
            let oldest = self.oldest.entry((inbox, urgency)).or_default();
            *oldest = age.max(*oldest);
        }
    }

    fn write(&self, page: &mut Page) {
        let labels = |urgency: &Urgency, duty: &Duty, attended: &Attended, name, code| {
            let attended = if *attended { "yes" } else { "no" };
            let (urgency, duty) = (urgency.as_str(), duty.as_str());
            format!(
                "urgency=\"{urgency}\",duty=\"{duty}\",attended=\"{attended}\",{name}=\"{code}\""
            )
        };
        let by_time = self.by_time.iter().map(|((urgency, duty, attended, state), count)| {
            (labels(urgency, duty, attended, "state", state.as_str()), *count)
        });
        let help = "Deliveries by what is to be done next, and the time left for it";
        page.many("cairn_deliveries_waiting", help, by_time);
        let by_rung = self.by_rung.iter().map(|((urgency, duty, attended, rung), count)| {
            (labels(urgency, duty, attended, "rung", rung.as_str()), *count)
        });
        let help = "Deliveries by what is to be done next, and the highest rung told for it";
        page.many("cairn_deliveries_escalated", help, by_rung);
        let oldest = self.oldest.iter();
        let oldest = oldest.map(|((inbox, urgency), age)| {
            (format!("urgency=\"{}\",inbox=\"{inbox}\"", urgency.as_str()), *age)
        });
        let help = "Age of the oldest delivery that nobody has acknowledged";
        page.many("cairn_oldest_unacknowledged_age_seconds", help, oldest);
        let silent = self.silent.iter().map(|((inbox, urgency), count)| {
            (format!("urgency=\"{}\",inbox=\"{inbox}\"", urgency.as_str()), *count)
        });
        let help =
            "Deliveries not fetched, at inboxes whose systems have not been here for 5 minutes";
        page.many("cairn_deliveries_at_silent_inboxes", help, silent);
    }
}

/// The ledger, what it holds, and whether all of it adds up.
fn ledger(operators: &Operators, page: &mut Page, open: u64) {
    let broker = &operators.broker;
    let (counts, summary) = (broker.counts(), broker.summary());
    let made = broker.count("deliveries") as i64;
    let gap = made - summary.closed as i64 - summary.withdrawn as i64 - open as i64;
    for (name, help, value) in [
        ("cairn_concerns", "Concerns accepted", summary.concerns),
        ("cairn_deliveries", "Deliveries: closed plus open", summary.deliveries),
        ("cairn_deliveries_closed", "Deliveries closed", summary.closed),
        ("cairn_deliveries_open", "Deliveries open", summary.open),
        ("cairn_escalations", "Rungs climbed since the ledger began", broker.count("escalations")),
        ("cairn_ledger_entries", "Entries of the ledger", summary.size),
        ("cairn_ledger_running", "1 while the ledger takes entries", broker.is_running().into()),
        ("cairn_disk_low", "1 while concerns are put off for want of disk", broker.is_low().into()),
        ("cairn_ledger_batches_total", "Batches, one fdatasync each", load(&counts.batches)),
        ("cairn_ledger_appended_total", "Entries since the start", load(&counts.entries)),
        ("cairn_broker_refusals_total", "Refusals since the start", load(&counts.refusals)),
        (
            "cairn_broker_repeats_total",
            "Repeats answered with the original receipt",
            load(&counts.repeats),
        ),
        ("cairn_broker_offered_total", "Statements offered on streams", load(&counts.offered)),
    ] {
        page.one(name, help, value);
    }
    let help = "Deliveries ever made, less those that ended and those that are found open: \
                anything but 0 is a delivery lost from sight";
    page.one("cairn_reconciliation_gap", help, gap);
    let behind = load(&counts.clock_behind) as f64 / 1e9;
    page.one("cairn_clock_behind_seconds", "The clock behind the last entry", behind);
}

/// The door, and the certificates.
fn connections(operators: &Operators, page: &mut Page) {
    let connections = &operators.connections;
    for (name, help, count) in [
        ("cairn_connections_open", "Connections", &connections.open),
        ("cairn_connections_accepted_total", "Connections accepted", &connections.accepted),
        (
            "cairn_connections_limited_total",
            "Connections refused as too many",
            &connections.refused_by_limit,
        ),
        (
            "cairn_handshakes_failed_total",
            "TLS handshakes that failed",
            &connections.handshake_failures,
        ),
        ("cairn_strangers_total", "Connections without an identity", &connections.no_identity),
        (
            "cairn_revoked_cut_total",
            "Connections cut as revoked or ended",
            &connections.revoked_cut,
        ),
    ] {
        page.one(name, help, load(count));
    }
    let help = "When the server's certificate ends, Unix time";
    page.one("cairn_server_certificate_end_seconds", help, operators.trust.server_not_after_unix());
    let help = "When the first authority of callers' certificates ends, Unix time";
    let ends = operators.trust.authorities_not_after_unix();
    page.one("cairn_client_authority_end_seconds", help, ends);
    let soon = operators.clock.now().after(limits::CERTIFICATE_ENDS_NOW);
    let ending = operators.broker.certificates_ending(soon).len();
    let help =
        "Systems whose certificate, as they last connected, ends within 14 days or has ended";
    page.one("cairn_client_certificates_ending", help, ending);
    if let Some(next) = operators.trust.crl_next_update_unix() {
        let help = "When the first revocation list is out of date, Unix time";
        page.one("cairn_revocation_list_end_seconds", help, next);
    }
    let groups = connections.groups().into_iter();
    let groups = groups.map(|(group, count)| (format!("group=\"{group}\""), count));
    page.many("cairn_key_exchange_total", "Handshakes by group", groups);
    if let Some(sign_ins) = &operators.sign_ins {
        let help = "When the certificate that browsers are shown ends, Unix time";
        let ends = operators.trust.browsers_not_after_unix();
        page.one("cairn_console_certificate_end_seconds", help, ends);
        let help = "Wrong names or passphrases at the console, those that had to wait included";
        page.one("cairn_console_wrong_sign_ins_total", help, load(&sign_ins.wrong));
        let help = "Invitations' links that nobody was given, or that were used before";
        page.one("cairn_console_unknown_links_total", help, load(&sign_ins.unknown_links));
    }
}

/// The concern that proves the path. Without one there is nothing to be late.
fn probe(operators: &Operators, page: &mut Page) {
    let now = operators.clock.now().seconds();
    let started = operators.broker.started().seconds();
    let (mut age, mut took, mut failed) = (0, 0, 0);
    if let Some(probe) = &operators.probe {
        age = now.saturating_sub(load(&probe.last_success).max(started));
        (took, failed) = (load(&probe.took_micros), load(&probe.failed));
    }
    let help = "Since a synthetic concern last went the whole way, or since the start";
    page.one("cairn_probe_age_seconds", help, age);
    let help = "How long it took, from its sealing to the sender's having the answer";
    page.one("cairn_probe_duration_seconds", help, took as f64 / 1e6);
    page.one("cairn_probe_failed_total", "Synthetic concerns that did not", failed);
}

/// What no deadline shows.
fn raised(operators: &Operators, page: &mut Page) {
    let raised = operators.broker.raised();
    let late = raised.reviews_late(operators.clock.now());
    for (name, help, value) in [
        (
            "cairn_refused_urgent_waiting",
            "Immediate and urgent concerns refused, of which the sender may not know",
            raised.refused_count,
        ),
        (
            "cairn_missing_statements",
            "Statements that agencies count as sent and that have not come",
            raised.missing_count,
        ),
        (
            "cairn_reviews_waiting",
            "Concerns outside any agreement that nobody has looked at",
            raised.reviews_count,
        ),
        ("cairn_reviews_late", "Of those, past their working day", late),
        (
            "cairn_quiet_agencies",
            "Agencies that usually send something at this time of the week, and did not",
            raised.quiet.len() as u64,
        ),
    ] {
        page.one(name, help, value);
    }
}

/// What others have cosigned. Without witnesses nothing is old.
fn witnesses(operators: &Operators, page: &mut Page) {
    let witnesses = operators.broker.witnesses();
    let (asked, cosigned) = (witnesses.asked(), witnesses.cosigned());
    let (now, started) = (operators.clock.now().seconds(), operators.broker.started().seconds());
    let at = cosigned.as_ref().map_or(started, |cosigned| cosigned.at.seconds());
    let age = if asked.is_empty() { 0 } else { now.saturating_sub(at) };
    for (name, help, value) in [
        ("cairn_witnesses", "Witnesses that the settings name", asked.len() as u64),
        (
            "cairn_witnessed_age_seconds",
            "Since enough witnesses last cosigned the newest checkpoint, or since the start",
            age,
        ),
        (
            "cairn_witnessed_entries",
            "Entries that enough witnesses have cosigned",
            cosigned.map_or(0, |cosigned| cosigned.size),
        ),
        (
            "cairn_witnesses_disagreeing",
            "Witnesses that know another history than this ledger's",
            witnesses.disagreeing() as u64,
        ),
    ] {
        page.one(name, help, value);
    }
    let label = |witness: &WitnessCounts| format!("witness=\"{}\"", witness.name);
    let ages = asked.iter();
    let ages = ages.map(|it| (label(it), now.saturating_sub(load(&it.last).max(started))));
    let help = "Since the witness last cosigned, or since the start";
    page.many("cairn_witness_age_seconds", help, ages);
    let failed = asked.iter().map(|it| (label(it), load(&it.failed)));
    let help = "Questions that the witness did not answer with a cosignature";
    page.many("cairn_witness_failed_total", help, failed);
}

/// Spans of calls, where a collector takes them.
fn spans(page: &mut Page) {
    let counts = telemetry::counts();
    let help = "Spans that the collector of traces took";
    page.one("cairn_spans_exported_total", help, load(&counts.exported));
    let help = "Spans that it did not take, or that did not fit into the queue for it";
    page.one("cairn_spans_lost_total", help, load(&counts.lost));
}

/// The channels that tell people.
fn channels(operators: &Operators, page: &mut Page) {
    let now = operators.clock.now().seconds();
    let age = |at: u64| if at == 0 { 0 } else { now.saturating_sub(at) };
    type Of = fn(&ChannelCounts) -> &AtomicU64;
    let shown: [(&str, &str, Of); 3] = [
        ("cairn_notices_told_total", "Notices that a channel took", |it| &it.told),
        ("cairn_notices_failed_total", "Attempts that failed", |it| &it.failed),
        ("cairn_notices_waiting", "Notices that a channel has yet to take", |it| &it.waiting),
    ];
    let label = |name: &str| format!("channel=\"{name}\"");
    for (metric, help, of) in shown {
        let values = operators.channels.iter();
        page.many(metric, help, values.map(|(name, counts)| (label(name), load(of(counts)))));
    }
    let oldest = operators.channels.iter();
    let oldest = oldest.map(|(name, counts)| (label(name), age(load(&counts.oldest))));
    let help = "Age of the oldest notice that a channel has yet to take";
    page.many("cairn_oldest_notice_age_seconds", help, oldest);
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
