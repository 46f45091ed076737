//! *Hand-over*: what the next shift must know, on paper if they like.
//!
//! Holds: I6, I10, I11, I12. Knows: broker, domain, policy, proto, clock, limits.

use std::collections::{BTreeMap, VecDeque};

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{raised, rows};
use crate::{
    broker::{raised::Raised, records},
    clock::Moment,
    console::{
        answer::Page,
        board::{Board, Show},
        frame::{self, About},
        site::Console,
        story, words,
    },
    limits,
    proto::EntryType,
};

/// How long a shift was, in hours.
const SHIFTS: [u64; 4] = [8, 12, 24, 72];

/// For how long back.
#[derive(Deserialize)]
pub(in crate::console) struct Back {
    #[serde(default)]
    hours: u64,
}

/// What happened in a shift, counted.
#[derive(Default)]
struct Shift {
    counts: BTreeMap<i32, u64>,
    /// The entries of rungs, calls, and who dealt with what, the newest first; and their concerns.
    told: VecDeque<(u64, u64)>,
    /// The same of more time, another urgency, and what was said of a concern that no agreement
    /// covered.
    changed: VecDeque<(u64, u64)>,
    /// Whether there was more than is read.
    cut: bool,
}

/// The most of what was told, and of what was changed, that is listed.
const LISTED_MAX: usize = 200;

/// `GET /hand-over?hours=…`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(Back { hours }): Query<Back>,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/ListWaiting").await?;
    console.look(&visit, "hand_over", None).await?;
    let hours = if SHIFTS.contains(&hours) { hours } else { SHIFTS[1] };
    let since = Moment(visit.now.0.saturating_sub(hours * 3_600 * 1_000_000_000));
    let (board, also) = (console.board().await, console.raised().await);
    let shift = console.apart(move |console| Shift::read(console, since)).await;
    let main = html! {
        h1 { "Hand-over" }
        p.lead { "The " (hours) " hours from " (words::day_and_time(since)) " to " (words::day_and_time(visit.now)) "." }
        form.act.no-print method="get" action="/hand-over" {
            label for="hours" { "Shift of" } " "
            select #hours name="hours" { @for shift in SHIFTS { option value=(shift) selected[shift == hours] { (shift) " hours" } } }
            " " button { "Show" }
        }
        (left_open(&console, &board, &also, visit.now))
        (raised::summary(&also, visit.now))
        (shift.happened())
        (listed("Who was told", &shift.told, &console, visit.now))
        (listed("What was changed", &shift.changed, &console, visit.now))
        h2 { "Signed over" }
        p { "Given by " span.blank {} " taken by " span.blank {} " at " span.blank {} }
    };
    let about = About::at("/hand-over", "Hand-over");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

/// What the next shift begins with.
fn left_open(console: &Console, board: &Board, also: &Raised, now: Moment) -> Markup {
    let pressing: Vec<_> =
        board.list(Show::Overdue, now).chain(board.list(Show::DueSoon, now)).collect();
    html! {
        h2 { "Left to do" }
        @if pressing.is_empty() {
            p { "No delivery is overdue or due soon."
                @if !also.is_empty() { " There is something else to look at, below." } }
        } @else {
            @let shown = pressing.len().min(limits::CONSOLE_ROWS_MAX);
            (rows::table(&console.broker, "Overdue and due soon", pressing.iter().take(shown).copied(), (now, None)))
            @if shown < pressing.len() { p { "These are the first " (shown) " of " (pressing.len()) "." } }
        }
        p {
            a href="/deliveries?show=on_time" { (words::count(board.count(Show::OnTime, now), "delivery")) " on time" } ", "
            a href="/deliveries?show=undelivered" { (words::count(board.count(Show::Undelivered, now), "delivery")) " not delivered" } "."
        }
    }
}

impl Shift {
    fn read(console: &Console, since: Moment) -> Self {
        let (entries, cut) = console.broker.since(since.0, limits::HANDOVER_ENTRIES_MAX);
        let mut shift = Self { cut, ..Self::default() };
        for (entry, meta) in entries {
            *shift.counts.entry(meta.kind).or_default() += 1;
            let list = match records::kind_of(&meta) {
                EntryType::Escalation | EntryType::ToldByPhone | EntryType::TakenCareOf => {
                    &mut shift.told
                }
                EntryType::Extension | EntryType::UrgencyChange | EntryType::AgreementReview => {
                    &mut shift.changed
                }
                _ => continue,
            };
            list.push_front((entry, meta.thread));
            list.truncate(LISTED_MAX);
        }
        shift
    }

    fn count(&self, kind: EntryType) -> u64 {
        self.counts.get(&i32::from(kind)).copied().unwrap_or(0)
    }

    fn happened(&self) -> Markup {
        let shown = [
            ("Accepted", EntryType::Concern),
            ("Acknowledged", EntryType::Acknowledgement),
            ("Decided", EntryType::Decision),
            ("Senders told", EntryType::Feedback),
            ("Passed on", EntryType::Redirection),
            ("Passed on, come to the wrong place", EntryType::Misdirection),
            ("Given more time", EntryType::Extension),
            ("Urgency changed", EntryType::UrgencyChange),
            ("Reviewed, since no agreement covered it", EntryType::AgreementReview),
            ("Told since nobody had acted", EntryType::Escalation),
            ("Telephone calls", EntryType::ToldByPhone),
            ("Refused", EntryType::Refusal),
        ];
        html! {
            h2 { "What happened" }
            p.muted { "Entries of these hours, exercises included." }
            @if self.cut {
                p.ill { "There was so much that only the newest " (words::grouped(limits::HANDOVER_ENTRIES_MAX)) " entries are counted here." }
            }
            dl.facts { @for (name, kind) in shown { div { dt { (name) } dd { (words::grouped(self.count(kind))) } } } }
        }
    }
}

/// Steps of many concerns, each with what there is to say of it.
fn listed(title: &str, steps: &VecDeque<(u64, u64)>, console: &Console, now: Moment) -> Markup {
    html! {
        @if !steps.is_empty() {
            h2 { (title) }
            ol.timeline {
                @for (entry, concern) in steps {
                    @if let Some(step) = story::one(&console.broker, *entry) {
                        li {
                            p.at { (words::time(step.at, now)) }
                            div {
                                p { strong { (step.title) } " "
                                    a href={ "/concerns/" (concern) } { "concern " (concern) }
                                    @if !step.inbox.is_empty() { " at " (step.inbox) }
                                    @if !step.by.is_empty() { span.muted { ", by " (step.by) } } }
                                @if !step.text.is_empty() { p { (step.text) } }
                            }
                        }
                    }
                }
            }
            @if steps.len() == LISTED_MAX { p { "These are the newest " (LISTED_MAX) "." } }
        }
    }
}
