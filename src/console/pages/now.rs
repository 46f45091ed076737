//! *Now*: what needs somebody, in a sentence, then in a table, then in numbers that add up.
//!
//! Holds: I6, I12. Knows: broker, directory, domain, policy, clock.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use maud::{Markup, html};

use super::{agencies, health, raised, rows};
use crate::{
    broker::records::DeliveryRecord,
    clock::Moment,
    console::{
        answer::Page,
        board::{Board, Show},
        frame::{self, About},
        site::Console,
        visit::Visit,
        words,
    },
};

/// Rows of the table; the rest is a link away.
const ROWS: usize = 25;

/// `GET /`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Page, Page> {
    let visit = console.visit(&headers)?;
    if !visit.places.iter().any(|place| place.is("/")) {
        // Those who are not on call begin elsewhere.
        return Ok(Page::to("/health"));
    }
    let (board, also) = (console.board().await, console.raised().await);
    let now = visit.now;
    let refused = also.refused_count;
    let title = title(&board, refused, now);
    let main = html! {
        h1 { "What needs you now" }
        div data-live="now" {
            @if !console.broker.is_running() {
                p.lead.ill { "The exchange has stopped, so that nothing is lost. Tell its operators now." }
            }
            (sentence(&board, refused, now))
            (pressing(&console, &board, &visit))
            (raised::summary(&also, now))
            (counts(&board, now))
            (agencies::silent(&console, &board, now))
            (health::is_well(&console, now))
            (adds_up(&board))
        }
    };
    let about = About::at("/", &title).live("/");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

/// The same in the browser's tab. Who was refused waits for nothing, so that comes first.
fn title(board: &Board, refused: u64, now: Moment) -> String {
    let (overdue, soon) = (board.count(Show::Overdue, now), board.count(Show::DueSoon, now));
    match (refused, overdue, soon) {
        (0, 0, 0) => "Nothing is waiting too long".to_owned(),
        (0, 0, soon) => format!("{} due soon", words::grouped(soon)),
        (0, overdue, _) => format!("{} overdue", words::grouped(overdue)),
        (refused, 0, _) => format!("{} refused", words::count(refused, "urgent concern")),
        (refused, overdue, _) => {
            let refused = words::count(refused, "urgent concern");
            format!("{refused} refused, {} overdue", words::grouped(overdue))
        }
    }
}

/// The line of truth that comes first.
fn sentence(board: &Board, refused: u64, now: Moment) -> Markup {
    let worst = board.list(Show::Overdue, now).next();
    let soon = board.count(Show::DueSoon, now);
    let well = refused == 0 && worst.is_none();
    html! {
        p.lead.well[well].ill[!well] {
            @if refused > 0 {
                a href="/raised#refused" { (words::count(refused, "urgent concern")) }
                @if refused == 1 { " was refused, and its sender may not know. " }
                @else { " were refused, and their senders may not know. " }
            }
            @if let Some(worst) = worst {
                (waited(board.count(Show::Overdue, now), worst, now))
            } @else {
                @if refused > 0 { "No delivery has waited too long. " }
                @else { "Nothing is waiting too long. " }
                @match soon {
                    0 => { "Nothing is due soon either." }
                    1 => { "One delivery is due soon." }
                    soon => { (words::grouped(soon)) " deliveries are due soon." }
                }
            }
        }
    }
}

fn waited(overdue: u64, worst: &DeliveryRecord, now: Moment) -> Markup {
    let (late, _) = words::left(worst, now);
    html! {
        @if overdue == 1 { "One delivery has waited too long" }
        @else { (words::grouped(overdue)) " deliveries have waited too long" }
        ". The first is " a href={ "/concerns/" (worst.concern) } { "concern " (worst.concern) }
        " for " (worst.delivery.holder) ", " (late) "."
    }
}

/// What is overdue or due soon, the least time left first.
fn pressing(console: &Console, board: &Board, visit: &Visit) -> Markup {
    let now = visit.now;
    let both = || board.list(Show::Overdue, now).chain(board.list(Show::DueSoon, now));
    let all = both().count();
    if all == 0 {
        return html! {};
    }
    let shown: Vec<&DeliveryRecord> = both().take(ROWS).collect();
    html! {
        section aria-labelledby="pressing" {
            h2 #pressing { "Overdue and due soon" }
            (rows::table(&console.broker, "Deliveries, the least time left first", shown, (now, Some(visit))))
            @if all > ROWS {
                p { "These are the first " (ROWS) ". All: "
                    a href="/deliveries?show=overdue" { "overdue" } ", "
                    a href="/deliveries?show=due_soon" { "due soon" } "." }
            }
        }
    }
}

/// Numbers, each a link to a list of exactly that length.
fn counts(board: &Board, now: Moment) -> Markup {
    let shown = [Show::Overdue, Show::DueSoon, Show::OnTime, Show::Undelivered];
    html! {
        section aria-labelledby="counts" {
            h2 #counts { "What is open" }
            ul.counts {
                @for show in shown {
                    @let count = board.count(show, now);
                    li class={ "count " (show.as_str()) " " (if count == 0 { "zero" } else { "some" }) } {
                        a href={ "/deliveries?show=" (show.as_str()) } {
                            span.number { (words::grouped(count)) } " "
                            span.name { (show.title()) }
                        }
                        p { (show.meaning()) }
                    }
                }
            }
            p {
                "Beside these: "
                (other(board, Show::NothingDue, now)) " with nothing due, "
                (other(board, Show::Exercises, now)) " of exercises. "
                a href="/deliveries?show=all" { "Everything open: " (words::grouped(board.count(Show::All, now))) }
            }
        }
    }
}

fn other(board: &Board, show: Show, now: Moment) -> Markup {
    html! { a href={ "/deliveries?show=" (show.as_str()) } { (words::grouped(board.count(show, now))) } }
}

/// Whether every delivery that was ever made is accounted for.
fn adds_up(board: &Board) -> Markup {
    let open = board.rows.len() as u64;
    let whole = board.made == board.closed + board.withdrawn + open;
    let (class, verdict) = match (whole, board.settled) {
        (true, _) => ("well", "Yes. "),
        (false, true) => ("ill", "No: tell the operators of the exchange at once. "),
        (false, false) => ("muted", "Being counted: entries are coming in. "),
    };
    html! {
        section aria-labelledby="sum" {
            h2 #sum { "Does everything add up?" }
            p class=(class) {
                strong { (verdict) }
                (words::grouped(board.made)) " deliveries made = "
                (words::grouped(board.closed)) " closed + "
                (words::grouped(board.withdrawn)) " taken back in time + "
                (words::grouped(open)) " open, at entry " (words::grouped(board.size)) " of the ledger."
            }
        }
    }
}
