//! *Help*: what the words mean, and what to do at 3 am.
//!
//! Knows: nothing.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use maud::html;

use crate::console::{
    answer::Page,
    board::Show,
    frame::{self, About},
    site::Console,
};

/// What each step means, in the order of a life.
const STEPS: &[(&str, &str)] = &[
    (
        "Accepted",
        "The concern is safe in the ledger, and the sender has a receipt. Nobody has it yet.",
    ),
    ("Stored", "The recipient's computer has it. That is not a person: nobody may know of it."),
    ("Read", "A person there has opened it. That alone is no promise to act."),
    (
        "Acknowledged",
        "A named person in a duty role has taken it on. From now on somebody owns it.",
    ),
    ("Decided", "The recipient has decided what will be done."),
    ("Sender told", "The sender's system has, or is being sent, what was decided."),
    ("Closed", "The sender's system has it. Nothing is left to do."),
];

/// `GET /help`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Page, Page> {
    let visit = console.visit(&headers)?;
    let main = html! {
        h1 { "Help" }
        p.lead { "This exchange carries concerns about children between agencies, and goes on until a \
            named person has taken each one on." }
        h2 { "When something is overdue" }
        ol {
            li { "Open the concern, and see who must act next and their telephone." }
            li { "Press “I'm dealing with this”, so that others on call leave it to you." }
            li { "Ring them. Give the concern's number, not a child's name, and have it read back." }
            li { "Record the call. It counts once a person there confirms it." }
            li { "If nobody answers, ring the senior post named on the agency's page." }
        }
        p { "If a child is in danger now, ring 999. This exchange is not an emergency service." }
        h2 { "What the steps mean" }
        dl.facts { @for (step, meaning) in STEPS { div { dt { (step) } dd { (meaning) } } } }
        h2 { "What the lists mean" }
        dl.facts { @for show in Show::EACH { div { dt { (show.title()) } dd { (show.meaning()) } } } }
        h2 { "What your buttons do, and do not do" }
        p { "Each is recorded in the ledger with your name, and pressing twice counts once. None of them \
            acknowledges a concern, decides anything, or stops a clock: that is for the people of the \
            agency it went to." }
        p { "There is no button to try again: while a recipient's system is connected, it is offered what \
            waits every 30 seconds, for as long as it takes." }
        h2 { "Times" }
        p { "All times are those of a clock in the United Kingdom. Point at one, or read the print-out, \
            to see it in UTC: on the night when the clocks go back, an hour comes twice." }
    };
    let about = About::at("/help", "Help");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}
