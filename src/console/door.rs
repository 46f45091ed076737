//! Signing in: the one-time link, the passphrase, signing out.
//!
//! Who comes in, and who goes, is an entry before the answer leaves. A stranger is only counted.
//! That a link was opened uses nothing up, since programs open links before people do; choosing a
//! passphrase does.
//!
//! Holds: I2, I10, I11. Knows: broker, directory, identity, domain.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    answer::{Page, is_own_page},
    frame::{self, About},
    site::{Console, tick},
    turns::Turns,
    visit::{COOKIE, SHADE, SHADES, Visit},
    words,
};
use crate::{
    broker::Error,
    directory::Role,
    domain::refusal::Refusal,
    identity::people::{Fault, People, Person, SignedIn},
    limits,
};

/// Where to go once signed in.
#[derive(Deserialize)]
pub(super) struct To {
    #[serde(default)]
    to: String,
}

/// Name and passphrase.
#[derive(Deserialize)]
pub(super) struct SignIn {
    name: String,
    passphrase: String,
    #[serde(default)]
    to: String,
}

/// A passphrase, twice.
#[derive(Deserialize)]
pub(super) struct Chosen {
    passphrase: String,
    again: String,
}

/// Nothing but the proof that a form is ours.
#[derive(Deserialize)]
pub(super) struct Bare {
    form: String,
    #[serde(default)]
    shade: String,
}

/// `GET /sign-in`
pub(super) async fn page(Query(To { to }): Query<To>) -> Page {
    sign_in_page(StatusCode::OK, "", &to, None)
}

/// `POST /sign-in`
pub(super) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(SignIn { name, passphrase, to }): Form<SignIn>,
) -> Page {
    if !console.same_site(&headers) {
        return sign_in_page(StatusCode::FORBIDDEN, "", "", Some("Sign in from this page.".into()));
    }
    let now = console.broker.now();
    to_its_end(async move {
        let typed = name.trim().to_owned();
        let proving = move |people: &People| people.sign_in(name.trim(), &passphrase, now);
        match console.stretched(&console.strangers, proving).await {
            Ok(signed_in) => {
                let to = if is_own_page(&to) { to } else { "/".to_owned() };
                come_in(&console, signed_in, "signed_in", &to).await
            }
            Err(fault) => {
                let (status, problem) = why_not(&console, fault).await;
                sign_in_page(status, &typed, &to, Some(problem))
            }
        }
    })
    .await
}

/// `GET /join/{link}`
pub(super) async fn invited(State(console): State<Console>, Path(link): Path<String>) -> Page {
    match console.people.invited(&link, console.broker.now()) {
        Ok(person) => join_page(&person, StatusCode::OK, None),
        Err(fault) => link_page(&console, fault).await,
    }
}

/// `POST /join/{link}`
pub(super) async fn join(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(link): Path<String>,
    Form(Chosen { passphrase, again }): Form<Chosen>,
) -> Page {
    let now = console.broker.now();
    let person = match console.people.invited(&link, now) {
        Ok(person) => person,
        Err(fault) => return link_page(&console, fault).await,
    };
    let bad = StatusCode::UNPROCESSABLE_ENTITY;
    if !console.same_site(&headers) {
        return join_page(&person, StatusCode::FORBIDDEN, Some("Choose it on this page.".into()));
    }
    if passphrase != again {
        let problem = "The two are not the same. Type the passphrase again.";
        return join_page(&person, bad, Some(problem.into()));
    }
    to_its_end(async move {
        let joining = move |people: &People| people.join(&link, &passphrase, now);
        match console.stretched(&console.strangers, joining).await {
            Ok(signed_in) => come_in(&console, signed_in, "joined", "/").await,
            Err(Fault::Passphrase) => {
                let least = limits::PASSPHRASE_CHARS_MIN;
                let problem =
                    format!("Use at least {least} characters: three or four plain words.");
                join_page(&person, bad, Some(problem))
            }
            Err(fault) => link_page(&console, fault).await,
        }
    })
    .await
}

/// `POST /sign-out`
pub(super) async fn sign_out(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(Bare { form, .. }): Form<Bare>,
) -> Result<Page, Page> {
    let visit = console.ours(&headers, console.visit(&headers)?, &form).await?;
    let (people, session) = (Arc::clone(&console.people), visit.session);
    to_its_end(async move {
        let access = session.person.access();
        let peer = session.peer.clone();
        let ended = tokio::task::spawn_blocking(move || people.sign_out(&session)).await;
        if let Ok(Err(fault)) = ended {
            return Err(Page::trouble(&Error::Broken(fault.to_string())));
        }
        let recorded = console.broker.record_access(&peer, "signed_out", &access).await;
        recorded.map_err(|error| Page::trouble(&error))?;
        Ok(Page::to("/sign-in").with(header::SET_COOKIE, cookie(COOKIE, "", 0)))
    })
    .await
}

/// `POST /shade`: light, dark, or as the device is set.
pub(super) async fn shade(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(Bare { form, shade }): Form<Bare>,
) -> Result<Page, Page> {
    console.ours(&headers, console.visit(&headers)?, &form).await?;
    let chosen = SHADES.into_iter().find(|known| *known == shade);
    let year = if chosen.is_some() { 365 * 24 * 3600 } else { 0 };
    let from = headers.get(header::REFERER).and_then(|from| from.to_str().ok());
    let from = from.and_then(|from| from.strip_prefix(console.url.as_str()));
    let from = from.map(|from| from.split(['?', '#']).next().unwrap_or("/"));
    Ok(Page::to(from.filter(|from| is_own_page(from)).unwrap_or("/"))
        .with(header::SET_COOKIE, cookie(SHADE, chosen.unwrap_or(""), year)))
}

impl Console {
    /// Does what stretches a passphrase, on a thread of its own, one at a time: so that guessing
    /// takes neither the cores nor the memory from the exchange. The turn is the work's, not the
    /// caller's, who may hang up.
    pub(super) async fn stretched<T: Send + 'static>(
        &self,
        turns: &Turns,
        work: impl FnOnce(&People) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = turns.take().await.ok_or(Fault::Wait(limits::PASSPHRASE_WAIT))?;
        let people = Arc::clone(&self.people);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&people)
        });
        done.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

/// Does something to its end, also if whoever asked hangs up: so that what changed is recorded.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Records that somebody has come in, and lets that person in.
async fn come_in(console: &Console, signed_in: SignedIn, code: &'static str, to: &str) -> Page {
    let SignedIn { cookie: token, session } = signed_in;
    let person = &session.person;
    let directory = console.broker.directory();
    let (agency, system) = (person.agency.as_str(), person.system.as_str());
    let roles = [Role::OnCall, Role::Auditor];
    let refused = !roles.into_iter().any(|role| directory.has_role(agency, system, role));
    let recorded = match refused {
        true => Err(console.refused_person(person, "", Refusal::NotPermitted).await),
        false => console.broker.record_access(&session.peer, code, &person.access()).await,
    };
    match recorded {
        Ok(_) => {
            // The session ends by itself, later if the passphrase is given again.
            let left = person.until.saturating_sub(session.times.proved);
            let left = left.min(limits::COOKIE_TIME_MAX.as_secs());
            Page::to(to).with(header::SET_COOKIE, cookie(COOKIE, token.as_str(), left))
        }
        Err(error) => {
            let people = Arc::clone(&console.people);
            drop(tokio::task::spawn_blocking(move || people.sign_out(&session)).await);
            match refused {
                true => sign_in_page(StatusCode::FORBIDDEN, "", "", Some(ENDED.into())),
                false => Page::trouble(&error),
            }
        }
    }
}

const ENDED: &str = "Your access has ended. Ask whoever runs the exchange for a new invitation.";

/// Why somebody was not let in, for that person; what is known of the person is recorded.
async fn why_not(console: &Console, fault: Fault) -> (StatusCode, String) {
    let problem = match fault {
        Fault::Wrong => {
            tick(&console.tally.wrong);
            "The name or the passphrase is wrong.".to_owned()
        }
        Fault::Wait(time) => {
            tick(&console.tally.wrong);
            let wait = words::wait(time);
            let text = format!(
                "There were too many wrong passphrases for this name, or too many people are signing \
                 in. Wait {wait}, then try again."
            );
            return (StatusCode::TOO_MANY_REQUESTS, text);
        }
        Fault::AccessEnded(person) => {
            console.refused_person(&person, "", Refusal::NotPermitted).await;
            ENDED.to_owned()
        }
        fault => {
            tracing::error!(%fault, "somebody could not sign in");
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "The exchange could not do this. Try again; if it goes on, tell its operators."
                    .to_owned(),
            );
        }
    };
    (StatusCode::FORBIDDEN, problem)
}

/// What stands in the place of a link that is good for nothing.
async fn link_page(console: &Console, fault: Fault) -> Page {
    let text = match fault {
        Fault::LinkExpired(person) | Fault::AccessEnded(person) => {
            console.refused_person(&person, "", Refusal::LinkExpired).await;
            "The link has expired. Ask whoever invited you for a new one."
        }
        Fault::LinkUnknown => {
            tick(&console.tally.unknown_links);
            "The link is not known, or it was used before. If you have chosen a passphrase, sign in \
             with it. If somebody else used your link, tell whoever invited you at once."
        }
        fault => return Page::trouble(&Error::Broken(fault.to_string())),
    };
    let main = html! {
        h1 { "This link cannot be used" }
        p { (text) }
        p { a href="/sign-in" { "Sign in" } }
    };
    Page::new(StatusCode::GONE, frame::page(None, &About::titled("This link cannot be used"), main))
}

fn sign_in_page(status: StatusCode, name: &str, to: &str, problem: Option<String>) -> Page {
    let title = if problem.is_some() { "Error: Sign in" } else { "Sign in" };
    let main = html! {
        (summary(problem.as_deref(), "#name"))
        h1 { "Sign in" }
        p.lead { "For on-call staff and reviewers of this exchange." }
        form.narrow method="post" action="/sign-in" {
            @if is_own_page(to) { input type="hidden" name="to" value=(to); }
            div.field {
                label for="name" { "Sign-in name" }
                input #name name="name" value=(name) autocomplete="username" autocapitalize="none"
                    spellcheck="false" maxlength="64" required;
            }
            div.field {
                label for="passphrase" { "Passphrase" }
                input #passphrase name="passphrase" type="password" autocomplete="current-password" required;
            }
            button { "Sign in" }
        }
        p.muted { "No passphrase yet? Whoever runs the exchange can send you an invitation. Forgotten \
            it? A new invitation lets you choose another." }
    };
    Page::new(status, frame::page(None, &About::titled(title), main))
}

fn join_page(person: &Person, status: StatusCode, problem: Option<String>) -> Page {
    let title =
        if problem.is_some() { "Error: Choose a passphrase" } else { "Choose a passphrase" };
    let least = limits::PASSPHRASE_CHARS_MIN;
    let until = crate::clock::Moment::of_seconds(person.until);
    let main = html! {
        (summary(problem.as_deref(), "#passphrase"))
        h1 { "Choose a passphrase" }
        p.lead { "Welcome, " (person.name) " (" (person.post) ")." }
        p { "You will sign in as " strong { (person.sign_in.as_str()) } " until "
            (words::day_and_time(until)) ". What you look at and what you do is recorded with your name." }
        form.narrow method="post" {
            input type="hidden" name="username" value=(person.sign_in.as_str()) autocomplete="username";
            div.field {
                label for="passphrase" { "Passphrase" }
                p.hint #hint { "At least " (least) " characters. Three or four plain words that do not \
                    belong together are good, and easy to type at night." }
                input #passphrase name="passphrase" type="password" autocomplete="new-password"
                    aria-describedby="hint" minlength=(least) required;
            }
            div.field {
                label for="again" { "The same again" }
                input #again name="again" type="password" autocomplete="new-password" required;
            }
            button { "Save and sign in" }
        }
    };
    Page::new(status, frame::page(None, &About::titled(title), main))
}

/// What is wrong with a form, before its heading.
pub(super) fn summary(problem: Option<&str>, field: &str) -> Markup {
    html! {
        @if let Some(problem) = problem {
            div.problem role="alert" tabindex="-1" data-focus {
                h2 { "There is a problem" }
                p { a href=(field) { (problem) } }
            }
        }
    }
}

/// The page that asks for the passphrase before a deed, with all that was filled in before.
pub(super) fn again_page(
    visit: &Visit,
    action: &str,
    kept: &[(&str, &str)],
    problem: Option<&str>,
) -> Page {
    let title =
        if problem.is_some() { "Error: Confirm that it is you" } else { "Confirm that it is you" };
    let main = html! {
        (summary(problem, "#passphrase"))
        h1 { "Confirm that it is you" }
        p { "You signed in more than an hour ago, and what you are about to do is recorded with your \
            name. Nothing that you filled in is lost." }
        form.narrow method="post" action=(action) {
            @for (name, value) in kept { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="username" value=(visit.session.person.sign_in.as_str())
                autocomplete="username";
            div.field {
                label for="passphrase" { "Passphrase" }
                input #passphrase name="passphrase" type="password" autocomplete="current-password" required;
            }
            button { "Confirm and go on" }
        }
    };
    let status = if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Page::new(status, frame::page(Some(visit), &About::titled(title), main))
}

fn cookie(name: &str, value: &str, seconds: u64) -> HeaderValue {
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&text).expect("invariant: base64url and words alone")
}
