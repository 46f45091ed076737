//! *Concern*: where it stands in a sentence, a card for each recipient, what on-call staff can do,
//! and what happened, newest first.
//!
//! Holds: I6, I11, I12. Knows: broker, directory, domain, audit, policy, proto, clock.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use maud::{Markup, html};
use serde::Deserialize;

mod card;

use crate::{
    audit::verify::{Opening, verify_receipt},
    broker::records::{DeliveryRecord, EntryMeta},
    clock::Moment,
    console::{
        answer::Page,
        forms::{Done, Filled},
        frame::{self, About},
        site::Console,
        story::{self, Step},
        visit::Visit,
        words,
    },
    directory::Directory,
    domain::{lifecycle::State as Life, vocabulary::Urgency},
    limits,
    proto::{self, EntryType, Facts},
};

/// A silence of this many hours is said in one line.
const QUIET_HOURS: u64 = 6;

/// After what the page is shown.
#[derive(Deserialize)]
pub(in crate::console) struct After {
    #[serde(default)]
    done: String,
}

/// `GET /concerns/{entry}`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(entry): Path<u64>,
    Query(After { done }): Query<After>,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "ExchangeService/GetConcern").await?;
    let deed = done.parse().ok();
    let done = deed.and_then(|deed| Done::of(&console.broker, deed, entry, visit.now));
    let filled = Filled { done, ..Filled::default() };
    shown(&console, &visit, entry, StatusCode::OK, &filled).await
}

/// The page, with what was filled in and what is wrong with it.
pub(in crate::console) async fn shown(
    console: &Console,
    visit: &Visit,
    entry: u64,
    status: StatusCode,
    filled: &Filled,
) -> Result<Page, Page> {
    let known = console.broker.concern(entry).ok_or_else(|| Page::not_found(Some(visit)))?;
    console.look(visit, "concern_page", Some(entry)).await?;
    let (visit, filled) = (visit.clone(), filled.clone());
    // It reads much of the journal.
    let made = move |console: &Console| made(console, &visit, (entry, known), status, &filled);
    Ok(console.apart(made).await)
}

fn made(
    console: &Console,
    visit: &Visit,
    (entry, (meta, facts)): (u64, (EntryMeta, Vec<u8>)),
    status: StatusCode,
    filled: &Filled,
) -> Page {
    let facts: Facts = proto::decode(&facts).unwrap_or_default();
    let concern = Concern {
        console,
        visit,
        entry,
        accepted: Moment(meta.time),
        directory: &console.broker.directory(),
        deliveries: console.broker.deliveries(entry),
        steps: story::of(&console.broker, meta.thread),
        thread: meta.thread,
        facts,
        filled,
    };
    let title = match filled.problem {
        Some(_) => format!("Error: Concern {entry}"),
        None => format!("Concern {entry}"),
    };
    let about = About::at("/find", &title).live(format!("/concerns/{entry}"));
    Page::new(status, frame::page(Some(visit), &about, concern.main()))
}

/// `GET /concerns/{entry}/proof`: the receipt's proof, for anybody's verifier.
pub(in crate::console) async fn proof(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(entry): Path<u64>,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "AuditService/GetInclusionProof").await?;
    if console.broker.concern(entry).is_none() {
        return Err(Page::not_found(Some(&visit)));
    }
    let stored = console.broker.entry(entry).map_err(|error| Page::trouble(&error))?;
    let name = format!("attachment; filename=\"concern-{entry}.tlog-proof\"");
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok(Page::from((headers, stored.receipt.tlog_proof).into_response()))
}

/// All that the page is made of.
struct Concern<'a> {
    console: &'a Console,
    visit: &'a Visit,
    entry: u64,
    accepted: Moment,
    thread: u64,
    directory: &'a Directory,
    facts: Facts,
    deliveries: Vec<DeliveryRecord>,
    steps: Vec<Step>,
    filled: &'a Filled,
}

impl Concern<'_> {
    fn main(&self) -> Markup {
        html! {
            (crate::console::door::summary(self.filled.problem.as_deref(), &self.filled.field))
            @if let Some(done) = self.filled.done {
                div.done role="status" tabindex="-1" data-focus { p { (done.sentence()) } }
            }
            h1 { "Concern " (self.entry) }
            div data-live="where" {
                p.lead { (self.sentence()) }
                (self.summary())
            }
            h2 { "Who it went to" }
            div.cards {
                @for record in &self.deliveries { (self.card(record)) }
            }
            section aria-labelledby="story" data-live="story" {
                h2 #story { "What happened" }
                p.muted { "Newest first."
                    @if self.steps.len() >= limits::THREAD_ENTRIES_MAX {
                        " Of very many steps these are the newest " (words::grouped(limits::THREAD_ENTRIES_MAX as u64)) "."
                    } }
                (self.timeline())
            }
            (self.check())
        }
    }

    /// Where it stands, in a sentence or two.
    fn sentence(&self) -> String {
        let (back, going): (Vec<_>, Vec<_>) =
            self.deliveries.iter().partition(|record| record.delivery.state == Life::Withdrawn);
        if going.is_empty() {
            return "The sender took it back before anybody had it.".to_owned();
        }
        let taken = going.iter().filter(|record| record.delivery.state >= Life::Acknowledged);
        let mut said = match (taken.count(), going.len()) {
            (0, 1) => "Nobody has acknowledged it.".to_owned(),
            (1, 1) => "A person has acknowledged it.".to_owned(),
            (taken, all) => format!("Acknowledged by {taken} of {all} recipients."),
        };
        if !back.is_empty() {
            said += " From the others the sender took it back in time.";
        }
        let mut next: Vec<String> = going
            .iter()
            .filter(|record| record.delivery.is_open() && !record.duties().is_empty())
            .map(|record| words::next_to_act(record))
            .collect();
        next.sort();
        next.dedup();
        match next.is_empty() {
            true => said + " Nobody owes anything by a time.",
            false => format!("{said} Next to act: {}.", next.join(", ")),
        }
    }

    /// The most pressing urgency that something still undecided runs as; else as it was sent.
    fn urgency(&self) -> &str {
        let undecided = self.deliveries.iter().filter(|record| record.is_undecided());
        let running = undecided.min_by_key(|record| Urgency::effective(Some(&record.urgency)).0);
        running.map_or(&self.facts.urgency, |record| &record.urgency)
    }

    fn summary(&self) -> Markup {
        let facts = &self.facts;
        let known = self.directory.agency(&facts.sender);
        let name = known.map_or(facts.sender.as_str(), |agency| agency.name.as_str());
        let running = self.urgency();
        html! {
            dl.facts {
                div { dt { "Urgency" } dd { (words::urgency(running))
                    @if running != facts.urgency { " (sent as " (facts.urgency) ")" } } }
                div { dt { "Sent by" } dd { a href={ "/agencies/" (facts.sender) } { (name) } } }
                div { dt { "Accepted" } dd { (words::day_and_time(self.accepted)) ", "
                    (words::ago(self.accepted, self.visit.now)) } }
                @if !facts.class.is_empty() { div { dt { "Class" } dd { (story::plain(&facts.class)) } } }
                div { dt { "Agreement" } dd {
                    @if facts.outside_agreement { "None covers it: it went through for its urgency" }
                    @else if facts.agreement.is_empty() { "None" }
                    @else { (facts.agreement) } } }
                @if !facts.flags.is_empty() {
                    div { dt { "Flags" } dd { (facts.flags.iter().map(|flag| story::plain(flag)).collect::<Vec<_>>().join(", ")) } }
                }
                @if facts.exercise { div { dt { "Exercise" } dd { "Yes: practice, nobody is woken" } } }
                @if self.thread != self.entry {
                    div { dt { "Belongs to" } dd { a href={ "/concerns/" (self.thread) } { "concern " (self.thread) } } }
                }
            }
        }
    }

    /// What happened, newest first; long silences in one line.
    fn timeline(&self) -> Markup {
        let mut later = self.visit.now;
        html! {
            ol.timeline {
                @for step in self.steps.iter().rev() {
                    @let hours = later.seconds().saturating_sub(step.at.seconds()) / 3_600;
                    @if hours >= QUIET_HOURS { li.quiet { "No change for " (words::span(hours * 3_600)) "." } }
                    ({ later = step.at; self.step(step) })
                }
            }
        }
    }

    fn step(&self, step: &Step) -> Markup {
        let who = match (step.by.as_str(), step.inbox.as_str(), step.sender.as_str()) {
            ("", _, "") => "by this exchange".to_owned(),
            ("", "", sender) => format!("by {sender}'s system"),
            ("", inbox, _) if step.kind.is_statement() => format!("by {inbox}'s system"),
            ("", inbox, _) => format!("about {inbox}"),
            (by, "", sender) => format!("by {by}, {sender}"),
            (by, inbox, _) if !step.kind.is_statement() => format!("by {by}, about {inbox}"),
            (by, inbox, _) => format!("by {by}, {inbox}"),
        };
        let escalated = step.kind == EntryType::Escalation;
        html! {
            li class=[escalated.then_some("ill")] {
                p.at { (words::time(step.at, self.visit.now)) }
                div {
                    p { strong { (step.title) } " " span.muted { (who) } }
                    @if !step.text.is_empty() { p { (step.text) } }
                    details {
                        summary { "Details" span.hidden { " of entry " (step.entry) } }
                        p { "Entry " (step.entry) " of the ledger, " code { (step.kind.as_str_name()) }
                            ", at " code { (step.at.rfc3339()) } "." }
                    }
                }
            }
        }
    }

    /// What was checked when the page was made, and how to check it oneself.
    fn check(&self) -> Markup {
        let checked = self.checked();
        html! {
            section.check aria-labelledby="check" {
                h2 #check { "Check this yourself" }
                @match checked {
                    Ok(size) => {
                        p.well { "This concern is entry " (self.entry) " of the ledger. When this page was made, \
                            its place under the signed checkpoint of " (words::grouped(size)) " entries was checked." }
                    }
                    Err(fault) => { p.ill { strong { "It could not be checked: " } (fault) ". Tell the operators of the exchange." } }
                }
                p { a href={ "/concerns/" (self.entry) "/proof" } { "Download the proof" }
                    " (C2SP tlog-proof). A reviewer asks for the entry, and has all of it verified, with" }
                pre { "cairn audit show " (self.entry) }
            }
        }
    }

    /// The size of the checkpoint under which the concern was verified just now.
    fn checked(&self) -> Result<u64, String> {
        let broker = &self.console.broker;
        let stored = broker.entry(self.entry).map_err(|error| error.to_string())?;
        let receipt = &stored.receipt;
        let opening = Opening {
            entry: receipt.entry,
            leaf: receipt.leaf.clone(),
            facts: receipt.facts.clone(),
            facts_opening: receipt.facts_opening.clone(),
            detail: stored.record.detail.clone(),
            detail_opening: receipt.detail_opening.clone(),
        };
        let vkeys = std::slice::from_ref(broker.vkey());
        let proved = verify_receipt(&receipt.tlog_proof, &opening, vkeys);
        proved.map(|proved| proved.checkpoint.size()).map_err(|error| error.to_string())
    }
}
