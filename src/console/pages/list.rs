//! A list of deliveries: what a number on another page leads to, and exactly as long.
//!
//! Holds: I10, I12. Knows: broker, domain, policy, limits.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::rows;
use crate::{
    broker::records::DeliveryRecord,
    console::{
        answer::{Page, is_own_page},
        board::Show,
        frame::{self, About},
        site::Console,
        words,
    },
    limits,
};

/// What is asked for.
#[derive(Deserialize)]
pub(in crate::console) struct Asked {
    #[serde(default)]
    show: String,
    /// An inbox, or an agency: what has come there, or was sent by it.
    #[serde(default)]
    at: String,
    #[serde(default)]
    page: usize,
}

/// `GET /deliveries?show=…&at=…&page=…`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/ListWaiting").await?;
    let show = match asked.show.as_str() {
        "" => Show::All,
        word => Show::parse(word).ok_or_else(|| Page::not_found(Some(&visit)))?,
    };
    if !asked.at.is_empty() && !is_own_page(&format!("/{}", asked.at)) {
        return Err(Page::not_found(Some(&visit)));
    }
    let board = console.board().await;
    let rows: Vec<&DeliveryRecord> =
        board.list(show, visit.now).filter(|row| is_at(row, &asked.at)).collect();
    let pages = rows.len().div_ceil(limits::CONSOLE_ROWS_MAX).max(1);
    let number = asked.page.clamp(1, pages);
    let first = (number - 1) * limits::CONSOLE_ROWS_MAX;
    let shown: Vec<&DeliveryRecord> =
        rows.iter().skip(first).take(limits::CONSOLE_ROWS_MAX).copied().collect();
    let of_pages = if pages > 1 { format!(", page {number} of {pages}") } else { String::new() };
    let title = format!("{}{of_pages}", show.title());
    let main = html! {
        h1 { (show.title()) @if !asked.at.is_empty() { " at " (asked.at) } }
        div data-live="list" {
            p.lead { (words::count(rows.len() as u64, "delivery")) ". " (show.meaning()) }
            @if shown.is_empty() {
                p { "There is nothing to show." }
            } @else {
                @let caption = format!("{} to {} of {}", first + 1, first + shown.len(), words::grouped(rows.len() as u64));
                (rows::table(&console.broker, &caption, shown, (visit.now, None)))
            }
            (turn(show, &asked.at, number, pages))
        }
        p { a href="/" { "Back to what needs you now" } }
    };
    let about = About::at("/", &title).live(address(show, &asked.at, number));
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

fn is_at(row: &DeliveryRecord, at: &str) -> bool {
    let delivery = &row.delivery;
    match at.contains('/') {
        _ if at.is_empty() => true,
        true => delivery.holder.as_str() == at,
        false => delivery.holder.agency() == at,
    }
}

fn address(show: Show, at: &str, page: usize) -> String {
    format!("/deliveries?show={}&at={at}&page={page}", show.as_str())
}

/// The way to the other pages.
fn turn(show: Show, at: &str, number: usize, pages: usize) -> Markup {
    let address = |page: usize| address(show, at, page);
    html! {
        @if pages > 1 {
            nav.turn aria-label="Pages of the list" {
                @if number > 1 { a rel="prev" href=(address(number - 1)) { "Previous page" } }
                " " span { "Page " (number) " of " (pages) } " "
                @if number < pages { a rel="next" href=(address(number + 1)) { "Next page" } }
            }
        }
    }
}
