//! *Agencies*: whose system answers, what waits there, how to reach them, what ends soon.
//!
//! Holds: I12. Knows: broker, directory, domain, policy, clock, limits.

mod certificates;

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use maud::{Markup, html};

use crate::{
    broker::hub::Heard,
    clock::Moment,
    console::{
        answer::Page,
        board::{Board, Queue, Show},
        frame::{self, About},
        site::Console,
        words,
    },
    directory::Directory,
    domain::ids::InboxId,
    proto,
};

/// What ends within this is said.
const SOON_SECONDS: i64 = 30 * 24 * 3600;

/// `GET /agencies`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/ListWaiting").await?;
    let board = console.board().await;
    let directory = console.broker.directory();
    let queues = board.queues();
    let agencies: Vec<_> = directory
        .agencies()
        .filter(|agency| directory.inboxes_of(&agency.id).next().is_some())
        .collect();
    let main = html! {
        h1 { "Agencies" }
        div data-live="agencies" {
            (silent(&console, &board, visit.now))
            (certificates::ending(&console, visit.now))
            (agreements(&directory, visit.now))
            h2 { "All of them" }
            div.scroll tabindex="0" role="region" aria-label="Agencies and their inboxes" {
                table {
                    caption { (words::count(agencies.len() as u64, "agency")) " with inboxes" }
                    thead { tr {
                        th scope="col" { "Agency and inbox" }
                        th scope="col" { "Their system" }
                        th.number scope="col" { "Open" }
                        th.number scope="col" { "Not delivered" }
                        th scope="col" { "Oldest of these" }
                    } }
                    tbody {
                        @for agency in agencies {
                            @for inbox in directory.inboxes_of(&agency.id) {
                                (row(&console, agency, inbox, &queues, visit.now))
                            }
                        }
                    }
                }
            }
        }
    };
    let about = About::at("/agencies", "Agencies").live("/agencies");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

fn row(
    console: &Console,
    agency: &proto::Agency,
    inbox: &InboxId,
    queues: &BTreeMap<InboxId, Queue>,
    now: Moment,
) -> Markup {
    let none = Queue::default();
    let queue = queues.get(inbox).unwrap_or(&none);
    let oldest =
        queue.oldest.map(|oldest| words::span(now.seconds().saturating_sub(oldest.seconds())));
    let list = |show: Show, count: u64| {
        html! {
            a href={ "/deliveries?show=" (show.as_str()) "&at=" (inbox) } {
                (words::grouped(count)) span.hidden { " " (show.title()) " at " (inbox) }
            }
        }
    };
    html! {
        tr {
            th scope="row" {
                a href={ "/agencies/" (agency.id) } { (agency.name) }
                div.muted { (inbox) }
            }
            td data-label="Their system" { (heard(console, inbox, now)) }
            td.number data-label="Open" { (list(Show::All, queue.open)) }
            td.number data-label="Not delivered" { (list(Show::Undelivered, queue.undelivered)) }
            td data-label="Oldest of these" { (oldest.as_deref().unwrap_or("–")) }
        }
    }
}

/// `GET /agencies/{agency}`
pub(in crate::console) async fn one(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/ListWaiting").await?;
    let directory = console.broker.directory();
    let Some(agency) = directory.agency(&id) else { return Err(Page::not_found(Some(&visit))) };
    let area = directory.area_of(&id);
    let main = html! {
        h1 { (agency.name) }
        p.lead { (agency.id) ", " (agency.kind.replace('_', " "))
            @if let Some(area) = area { ", area " (area.id) } "." }
        div.cards {
            @for inbox in directory.inboxes_of(&id) { (card(&console, &directory, inbox, visit.now)) }
        }
        @if let Some(area) = area { (seniors(area)) }
        (keys(&directory, &id, visit.now))
        (certificates::of(&console, &directory, &id, visit.now))
        p { a href="/agencies" { "All agencies" } }
    };
    let about = About::at("/agencies", &agency.name);
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

/// How to reach an inbox, and who stands in for it.
fn card(console: &Console, directory: &Directory, id: &InboxId, now: Moment) -> Markup {
    let none = proto::Inbox::default();
    let inbox = directory.inbox(id).unwrap_or(&none);
    html! {
        article.card {
            h2 { (id) }
            dl.facts {
                div { dt { "Telephone" } dd {
                    @if inbox.phone.is_empty() { "none in the directory" }
                    @else { a href={ "tel:" (inbox.phone.replace(' ', "")) } { (inbox.phone) } } } }
                div { dt { "Works by" } dd { (inbox.calendar) } }
                div { dt { "Deputy" } dd { @if inbox.deputy.is_empty() { "none" } @else { (inbox.deputy) } } }
                div { dt { "Their system" } dd { (heard(console, id, now)) } }
                div { dt { "Takes new concerns" } dd { (if inbox.retired { "no: retired" } else { "yes" }) } }
            }
            p { a href={ "/deliveries?show=all&at=" (id) } { "What is open here" } }
        }
    }
}

/// Whom to ring last.
fn seniors(area: &proto::Area) -> Markup {
    html! {
        h2 { "If nobody answers" }
        dl.facts {
            @if !area.out_of_hours.is_empty() { div { dt { "Out of hours" } dd { (area.out_of_hours) } } }
            @if !area.senior_post.is_empty() {
                div { dt { "Senior post" } dd { (area.senior_post) " "
                    a href={ "tel:" (area.senior_phone.replace(' ', "")) } { (area.senior_phone) } } }
            }
        }
    }
}

/// The keys of an agency, and when they end.
fn keys(directory: &Directory, agency: &str, now: Moment) -> Markup {
    let signing: Vec<_> = directory.keys_of(agency).collect();
    let sealing = directory.inboxes_of(agency).filter_map(|inbox| {
        // Of each inbox the one in use, or the last that was.
        let keys = directory.sealing_keys_of(inbox);
        Some((inbox, directory.sealing_key(inbox, now).or(keys.last())?))
    });
    html! {
        h2 { "Keys" }
        @if signing.is_empty() { p { "No signing key: this agency cannot send." } }
        ul {
            @for key in signing {
                li { "Signing, " (key.record.system) ": "
                    @if key.revoked.is_some() { "revoked" } @else { (end(key.record.valid_to, now)) } }
            }
            @for (inbox, key) in sealing {
                li { "Sealing, " (inbox) ": " (end(key.record.valid_to, now)) }
            }
        }
    }
}

/// When a key ends.
fn end(valid_to: i64, now: Moment) -> Markup {
    let left = valid_to - now.unix_seconds();
    html! {
        @if valid_to == 0 { "valid until it is replaced or revoked" }
        @else if left <= 0 { strong.ill { "ended " (words::time(moment(valid_to), now)) } }
        @else if left < SOON_SECONDS { strong.ill { "ends soon: " (words::time(moment(valid_to), now)) } }
        @else { "valid until " (words::time(moment(valid_to), now)) }
    }
}

/// Agreements that have ended, or are past the day on which they were to be looked at again.
fn agreements(directory: &Directory, now: Moment) -> Markup {
    let today = now.london_date().to_string();
    let past = |day: &str| !day.is_empty() && day < today.as_str();
    let late: Vec<_> = directory
        .agreements()
        .filter(|agreement| past(&agreement.review_by) || past(&agreement.valid_to))
        .collect();
    html! {
        @if !late.is_empty() {
            section aria-labelledby="agreements" {
                h2 #agreements { "Agreements to be looked at" }
                ul {
                    @for agreement in late {
                        li { strong { (agreement.title) } " " span.muted { (agreement.id) } ": "
                            @if past(&agreement.valid_to) { "ended after " (agreement.valid_to) }
                            @else { "to be reviewed by " (agreement.review_by) }
                            ". Parties: " (agreement.parties.join(", ")) "." }
                    }
                }
            }
        }
    }
}

fn moment(seconds: i64) -> Moment {
    Moment::of_seconds(u64::try_from(seconds).unwrap_or(0))
}

/// Inboxes where something waits and nobody has been there for a while.
pub(super) fn silent(console: &Console, board: &Board, now: Moment) -> Markup {
    let directory = console.broker.directory();
    let waits = board.queues().into_iter().filter(|(_, queue)| queue.undelivered > 0);
    let silent: Vec<_> = waits.filter(|(inbox, _)| console.broker.is_silent(inbox, now)).collect();
    html! {
        @if !silent.is_empty() {
            section aria-labelledby="silent" {
                h2 #silent { "Not answering" }
                p { "Something waits for these, and their systems have not been here for five minutes or more." }
                ul.silent {
                    @for (inbox, queue) in &silent {
                        @let phone = directory.inbox(inbox).map(|inbox| inbox.phone.clone()).unwrap_or_default();
                        li class=[queue.pressing.then_some("ill")] {
                            a href={ "/deliveries?show=undelivered&at=" (inbox) } { (inbox) }
                            ": " (words::count(queue.undelivered, "delivery")) " not delivered"
                            @if let Some(oldest) = queue.oldest {
                                ", the oldest for " (words::span(now.seconds().saturating_sub(oldest.seconds())))
                            }
                            @if queue.pressing { " – " strong { "some immediate or urgent" } }
                            ". " (heard(console, inbox, now)) "."
                            @if !phone.is_empty() { " Telephone " a href={ "tel:" (phone.replace(' ', "")) } { (phone) } "." }
                        }
                    }
                }
            }
        }
    }
}

/// When an inbox's system was there.
fn heard(console: &Console, inbox: &InboxId, now: Moment) -> Markup {
    match console.broker.heard(inbox) {
        Heard { streams, .. } if streams > 0 => html! { span.there { "Connected" } },
        Heard { last: Some(last), .. } => {
            html! { span.away { "Last here " (words::time(last, now)) } }
        }
        Heard { last: None, .. } => {
            html! { span.away { "Not here since this exchange was started, " (words::time(console.broker.started(), now)) } }
        }
    }
}
