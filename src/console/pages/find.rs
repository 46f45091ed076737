//! *Find*: a concern by its number, or what is open at an agency or inbox.
//!
//! What is typed here could be anything, a child's name too; so it is posted, never put in an
//! address, and never shown again.
//!
//! Holds: I12. Knows: directory, domain, policy.

use axum::{
    Form,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use maud::html;
use serde::Deserialize;

use crate::{
    console::{
        answer::Page,
        door,
        frame::{self, About},
        site::Console,
        visit::Visit,
        words,
    },
    domain::ids::{AgencyId, InboxId},
};

/// What is looked for.
#[derive(Deserialize)]
pub(in crate::console) struct Wanted {
    form: String,
    what: String,
}

/// `GET /find`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/ListWaiting").await?;
    Ok(form(&visit, StatusCode::OK, None))
}

/// `POST /find`
pub(in crate::console) async fn found(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(wanted): Form<Wanted>,
) -> Result<Page, Page> {
    let visit = console.posted(&headers, &wanted.form, "StatusService/ListWaiting").await?;
    let what = wanted.what.trim();
    let number = what.to_ascii_lowercase();
    let number = number.trim_start_matches("concern").trim_start_matches("entry");
    let number = number.trim().trim_start_matches('#').replace([',', ' '], "");
    if let Ok(entry) = number.parse::<u64>() {
        let known = console.broker.concern(entry).is_some();
        return Ok(match known {
            true => Page::to(&format!("/concerns/{entry}")),
            false => {
                form(&visit, StatusCode::NOT_FOUND, Some("There is no concern of that number."))
            }
        });
    }
    let directory = console.broker.directory();
    if let Ok(inbox) = what.parse::<InboxId>()
        && directory.inbox(&inbox).is_some()
    {
        return Ok(Page::to(&format!("/deliveries?show=all&at={inbox}")));
    }
    if let Ok(agency) = what.parse::<AgencyId>()
        && directory.agency(agency.as_str()).is_some()
    {
        return Ok(Page::to(&format!("/agencies/{agency}")));
    }
    let named = |name: &str| name.to_lowercase().contains(&what.to_lowercase());
    let like: Vec<_> = match what.chars().count() {
        0..=2 => Vec::new(),
        _ => directory.agencies().filter(|agency| named(&agency.name)).take(20).collect(),
    };
    if like.is_empty() {
        let problem = "Nothing was found. Type a concern's number, or an agency's or inbox's name.";
        return Ok(form(&visit, StatusCode::NOT_FOUND, Some(problem)));
    }
    let main = html! {
        h1 { "Agencies found" }
        p { (words::count(like.len() as u64, "agency")) "." }
        ul { @for agency in &like { li { a href={ "/agencies/" (agency.id) } { (agency.name) } " " span.muted { (agency.id) } } } }
        p { a href="/find" { "Find something else" } }
    };
    let about = About::at("/find", "Agencies found");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

fn form(visit: &Visit, status: StatusCode, problem: Option<&str>) -> Page {
    let title = if problem.is_some() { "Error: Find a concern" } else { "Find a concern" };
    let main = html! {
        (door::summary(problem, "#what"))
        h1 { "Find a concern" }
        form.narrow method="post" action="/find" role="search" {
            input type="hidden" name="form" value=(visit.session.form);
            div.field {
                label for="what" { "A concern's number, an agency or an inbox" }
                p.hint #hint { "Such as 42, Ardness Council or sw-ardness/duty. Not a child's name: this \
                    exchange cannot read one." }
                input #what name="what" autocomplete="off" spellcheck="false" maxlength="200"
                    aria-describedby="hint" required;
            }
            button { "Find" }
        }
        h2 { "Where the number is" }
        p { "Every receipt that this exchange gives holds it: the sender's system has it beside the \
            reference that the sender uses. Ask for it on the telephone, and have it read back." }
    };
    Page::new(status, frame::page(Some(visit), &About::at("/find", title), main))
}
