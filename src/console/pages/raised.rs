//! *Also to look at*: what no deadline of a delivery shows. An urgent concern that was refused, what
//! an agency counts as sent and has not come, what came outside any agreement, an agency that
//! usually speaks and does not.
//!
//! Holds: I12. Knows: broker, directory, domain, policy, clock.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use maud::{Markup, html};

use crate::{
    broker::{Broker, raised::Raised},
    clock::Moment,
    console::{
        answer::Page,
        frame::{self, About},
        site::Console,
        words,
    },
};

/// `GET /raised`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/ListWaiting").await?;
    let raised = console.raised().await;
    let (broker, now) = (&console.broker, visit.now);
    let main = html! {
        h1 { "Also to look at" }
        p.lead { "What no deadline shows. Each line says what ends it." }
        div data-live="raised" {
            (refused(broker, &raised, now))
            (missing(broker, &raised, now))
            (reviews(broker, &raised, now))
            (quiet(broker, &raised.quiet))
        }
        p { a href="/" { "Now" } }
    };
    let about = About::at("/", "Also to look at").live("/raised");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

/// The same on *Now*: what there is, each number a link to as many lines.
pub(super) fn summary(raised: &Raised, now: Moment) -> Markup {
    let late = raised.reviews_late(now);
    html! {
        @if !raised.is_empty() {
            section aria-labelledby="raised" {
                h2 #raised { "Also to look at" }
                ul.silent {
                    @if raised.refused_count > 0 {
                        li.ill { a href="/raised#refused" { (words::count(raised.refused_count, "urgent concern")) }
                            " refused, and the sender may not know." }
                    }
                    @if raised.missing_count > 0 {
                        li.ill { "Counted as sent, and not here: " (words::count(raised.missing_count, "statement"))
                            ", by " a href="/raised#missing" { (words::count(raised.missing.len() as u64, "manifest")) } "." }
                    }
                    @if raised.reviews_count > 0 {
                        li class=[(late > 0).then_some("ill")] {
                            a href="/raised#reviews" { (words::count(raised.reviews_count, "concern")) }
                            " outside any agreement to be reviewed"
                            @if late > 0 { ", " (words::grouped(late)) " of them late" } "." }
                    }
                    @if !raised.quiet.is_empty() {
                        li { a href="/raised#quiet" { (words::count(raised.quiet.len() as u64, "agency")) }
                            " quieter than usual." }
                    }
                }
            }
        }
    }
}

/// Of a list that is cut, how much of it is shown.
fn cut(shown: usize, of: u64) -> Markup {
    html! { @if (shown as u64) < of { p { "The first " (words::grouped(shown as u64)) " of " (words::grouped(of)) "." } } }
}

fn refused(broker: &Broker, raised: &Raised, now: Moment) -> Markup {
    html! {
        section aria-labelledby="refused" {
            h2 #refused { "Urgent concerns that were refused" }
            @if raised.refused.is_empty() { p { "None." } } @else {
                p { "Each is still with its sender. Ring them: ask whether it was sent again, or told by telephone. "
                    "It is over once it is accepted under its own reference, or somebody on call says why: "
                    code { "cairn settle ENTRY --reason told_by_phone" } "." }
                (cut(raised.refused.len(), raised.refused_count))
                ul.silent {
                    @for it in &raised.refused {
                        @let known = it.inbox.as_ref().map(|inbox| inbox.as_str()).unwrap_or_default();
                        li.ill { (words::urgency(&it.urgency)) " from " a href={ "/agencies/" (it.agency) } { (it.agency) } ", "
                            (words::time(Moment(it.at), now)) ": " code { (it.code) } " (entry " (it.entry) "). "
                            @if known.is_empty() { "It has no inbox that could be told: ring the agency." }
                            @else if broker.waits_at(known, it.entry) { "Not yet fetched by " (known) ". " }
                            @else { (known) "'s system has the notice. " }
                            (telephone(broker, known)) }
                    }
                }
            }
        }
    }
}

fn missing(broker: &Broker, raised: &Raised, now: Moment) -> Markup {
    let desk = |agency: &str| {
        let directory = broker.directory();
        directory.inboxes_of(agency).next().map(ToString::to_string).unwrap_or_default()
    };
    html! {
        section aria-labelledby="missing" {
            h2 #missing { "Counted as sent, and not here" }
            @if raised.missing.is_empty() { p { "Nothing." } } @else {
                p { "By its manifest an agency counts these as sent. They never came: something between its records and this exchange loses them. "
                    "Each is over once it has come. What was counted wrongly is settled: "
                    code { "cairn settle ENTRY --reason counted_wrongly" } "." }
                ul.silent {
                    @for (it, count) in &raised.missing {
                        li.ill { (words::count(*count, "statement")) " of "
                            a href={ "/agencies/" (it.agency) } { (it.agency) } ", by its manifest of "
                            (words::time(Moment(it.at), now)) " (entry " (it.entry) "). "
                            (telephone(broker, &desk(&it.agency))) }
                    }
                }
            }
        }
    }
}

fn reviews(broker: &Broker, raised: &Raised, now: Moment) -> Markup {
    html! {
        section aria-labelledby="reviews" {
            h2 #reviews { "Outside any agreement" }
            @if raised.reviews.is_empty() { p { "None." } } @else {
                p { "These were too urgent to wait for an agreement. The reviewer of the sender's area has a working day to look at each. "
                    "Where nobody was asked, somebody on call says what came of it: "
                    code { "cairn settle CONCERN --reason sharing_was_right" } "." }
                (cut(raised.reviews.len(), raised.reviews_count))
                ul.silent {
                    @for (concern, it) in &raised.reviews {
                        @let late = it.due <= now.seconds();
                        li class=[late.then_some("ill")] { (words::urgency(&it.urgency)) " "
                            a href={ "/concerns/" (concern) } { "Concern " (concern) } " from " (it.sender) ", "
                            (words::time(Moment(it.accepted_at), now)) ". "
                            @match &it.reviewer {
                                Some(reviewer) => { (reviewer) " has until " }
                                None => { strong.ill { "Its area names no reviewer" } ": until " }
                            }
                            (words::time(Moment::of_seconds(it.due), now))
                            @if late { ": " strong.ill { "late" } } ". "
                            @if let Some(reviewer) = &it.reviewer { (telephone(broker, reviewer.as_str())) } }
                    }
                }
            }
        }
    }
}

fn quiet(broker: &Broker, quiet: &[String]) -> Markup {
    let directory = broker.directory();
    html! {
        section aria-labelledby="quiet" {
            h2 #quiet { "Quieter than usual" }
            @if quiet.is_empty() { p { "None." } } @else {
                p { "In each of the last four weeks these sent something at this time of the week, and today nothing. It may be a holiday; it may be a feed that has stopped." }
                ul.silent {
                    @for id in quiet {
                        @let name = directory.agency(id).map_or(id.as_str(), |agency| &agency.name);
                        li { a href={ "/agencies/" (id) } { (name) } }
                    }
                }
            }
        }
    }
}

/// Whom to ring.
fn telephone(broker: &Broker, inbox: &str) -> Markup {
    let directory = broker.directory();
    let known = inbox.parse().ok().and_then(|inbox| directory.inbox(&inbox));
    let phone = known.map(|inbox| inbox.phone.clone()).unwrap_or_default();
    html! {
        @if !phone.is_empty() { "Telephone " a href={ "tel:" (phone.replace(' ', "")) } { (phone) } "." }
    }
}
