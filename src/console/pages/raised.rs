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
    broker::{
        Broker,
        raised::Raised,
        records::{Missing, Refused, Review},
    },
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
        p.lead { "What no deadline shows. Each line goes away by itself once somebody has seen to it." }
        (refused(broker, &raised.refused, now))
        (missing(broker, &raised.missing, now))
        (reviews(broker, &raised.reviews, now))
        (quiet(broker, &raised.quiet))
        p { a href="/" { "Now" } }
    };
    let about = About::at("/", "Also to look at");
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
                    @if !raised.refused.is_empty() {
                        li.ill { a href="/raised#refused" { (words::count(raised.refused.len() as u64, "urgent concern")) }
                            " refused, and the sender may not know." }
                    }
                    @if !raised.missing.is_empty() {
                        li.ill { a href="/raised#missing" { (words::count(raised.missing.len() as u64, "manifest")) }
                            " counting what has not come: " (words::count(raised.missing_count(), "statement")) "." }
                    }
                    @if !raised.reviews.is_empty() {
                        li class=[(late > 0).then_some("ill")] {
                            a href="/raised#reviews" { (words::count(raised.reviews.len() as u64, "concern")) }
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

fn refused(broker: &Broker, refused: &[(u64, Refused)], now: Moment) -> Markup {
    html! {
        section aria-labelledby="refused" {
            h2 #refused { "Urgent concerns that were refused" }
            @if refused.is_empty() { p { "None." } } @else {
                p { "Each is still with its sender. Ring them: ask whether it was sent again, or told by telephone." }
                ul.silent {
                    @for (entry, it) in refused {
                        li { (words::urgency(&it.urgency)) " from " (it.inbox.agency()) ", "
                            (words::time(Moment(it.at), now)) ": " code { (it.code) } " (entry " (entry) "). "
                            "Not yet fetched by " (it.inbox) ". " (telephone(broker, it.inbox.as_str())) }
                    }
                }
            }
        }
    }
}

fn missing(broker: &Broker, missing: &[(String, u64, Missing)], now: Moment) -> Markup {
    let desk = |agency: &str| {
        let directory = broker.directory();
        directory.inboxes_of(agency).next().map(ToString::to_string).unwrap_or_default()
    };
    html! {
        section aria-labelledby="missing" {
            h2 #missing { "Counted as sent, and not here" }
            @if missing.is_empty() { p { "Nothing." } } @else {
                p { "By its manifest an agency counts these as sent. They never came: something between its records and this exchange loses them." }
                ul.silent {
                    @for (agency, entry, it) in missing {
                        li { (words::count(it.requests.len() as u64, "statement")) " of "
                            a href={ "/agencies/" (agency) } { (agency) } ", by its manifest of "
                            (words::time(Moment(it.said_at), now)) " (entry " (entry) "). "
                            (telephone(broker, &desk(agency))) }
                    }
                }
            }
        }
    }
}

fn reviews(broker: &Broker, reviews: &[(u64, Review)], now: Moment) -> Markup {
    html! {
        section aria-labelledby="reviews" {
            h2 #reviews { "Outside any agreement" }
            @if reviews.is_empty() { p { "None." } } @else {
                p { "These were too urgent to wait for an agreement. The reviewer of the sender's area has a working day to look at each." }
                ul.silent {
                    @for (concern, it) in reviews {
                        @let late = it.due <= now.seconds();
                        li { (words::urgency(&it.urgency)) " "
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
