//! What all pages look like, and their one style sheet and one script.
//!
//! Server-rendered, whole without the script. Landmarks, a skip link, one `h1`, a title that says
//! where one is; the parts that a script may replace are marked `data-live`.
//!
//! Holds: I12. Knows: identity, clock.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};

use super::{visit::Visit, words};

const CSS: &str = include_str!("assets/console.css");
const JS: &str = include_str!("assets/console.js");

/// Part of the assets' addresses, so that a browser keeps them until they change.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(CSS).chain_update(JS).finalize();
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// What the frame has to know of a page.
pub(super) struct About<'a> {
    /// Of the browser's tab, before the console's name.
    pub(super) title: &'a str,
    /// Which of the [`PLACES`] it belongs to.
    pub(super) place: &'a str,
    /// From where it keeps itself fresh, if it does.
    pub(super) live: Option<String>,
}

impl<'a> About<'a> {
    /// A page with a title and no more.
    pub(super) fn titled(title: &'a str) -> Self {
        Self { title, place: "", live: None }
    }

    /// A page that belongs to a place.
    pub(super) fn at(place: &'a str, title: &'a str) -> Self {
        Self { title, place, live: None }
    }

    /// The same, and it keeps itself fresh from this address.
    pub(super) fn live(self, address: impl Into<String>) -> Self {
        Self { live: Some(address.into()), ..self }
    }
}

/// A whole page.
pub(super) fn page(visit: Option<&Visit>, about: &About<'_>, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en-GB" data-shade=[visit.and_then(|visit| visit.shade)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (about.title) " – Cairn" }
                link rel="icon" href=(asset_address("cairn.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(asset_address("console.css"));
                script type="module" src=(asset_address("console.js")) {}
            }
            body data-live-page=[about.live.as_deref()] {
                a.skip href="#main" { "Skip to main content" }
                (top(visit, about))
                main #main tabindex="-1" { (main) }
                (foot(visit, about))
            }
        }
    }
}

fn top(visit: Option<&Visit>, about: &About<'_>) -> Markup {
    html! {
        header.top {
            div.wide {
                a.brand href="/" { (mark()) span { "Cairn" } }
                @if let Some(Visit { session, .. }) = visit {
                    div.who {
                        span { (session.person.name) span.muted { ", " (session.person.post) } }
                        form method="post" action="/sign-out" {
                            input type="hidden" name="form" value=(session.form);
                            button.quiet { "Sign out" }
                        }
                    }
                }
            }
            @if let Some(visit) = visit {
                nav aria-label="Pages" {
                    ul.wide {
                        @for place in &visit.places {
                            @let current = (place.address == about.place).then_some("page");
                            li { a href=(place.address) aria-current=[current] { (place.name) } }
                        }
                    }
                }
            }
        }
    }
}

fn foot(visit: Option<&Visit>, about: &About<'_>) -> Markup {
    html! {
        footer.foot {
            div.wide {
                @if let Some(visit) = visit {
                    p data-live="made" { "Made " (words::day_and_time(visit.now)) "." }
                    @if let Some(address) = &about.live {
                        p.live-controls {
                            a.button.quiet href=(address) data-refresh { "Refresh" }
                            " "
                            button.quiet type="button" data-pause hidden { "Pause updates" }
                            span role="status" data-live-status {}
                        }
                    }
                    (shades(visit))
                    p.only-print { "Printed by " (session_name(visit)) "." }
                }
                p.muted { "No page of this console holds a child's name, or a word of a concern." }
            }
        }
    }
}

/// Light or dark, whatever the machine is set to.
fn shades(visit: &Visit) -> Markup {
    let choices = [("", "As this device"), ("light", "Light"), ("dark", "Dark")];
    html! {
        form.shades method="post" action="/shade" {
            input type="hidden" name="form" value=(visit.session.form);
            fieldset {
                legend { "Colours" }
                @for (shade, name) in choices {
                    button.quiet name="shade" value=(shade)
                        aria-pressed=(if visit.shade.unwrap_or("") == shade { "true" } else { "false" }) { (name) }
                }
            }
        }
    }
}

fn session_name(visit: &Visit) -> String {
    format!("{}, {}", visit.session.person.name, visit.session.person.post)
}

/// Four stones, one upon the other.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 32" aria-hidden="true" focusable="false" {
            ellipse cx="16" cy="27" rx="13" ry="4" {}
            ellipse cx="15" cy="19.5" rx="9.5" ry="3.4" {}
            ellipse cx="17" cy="13" rx="6.6" ry="2.9" {}
            ellipse cx="16" cy="7.4" rx="3.8" ry="2.5" {}
        }
    }
}

const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\" \
    fill=\"#6b7f86\"><ellipse cx=\"16\" cy=\"27\" rx=\"13\" ry=\"4\"/><ellipse cx=\"15\" cy=\"19.5\" \
    rx=\"9.5\" ry=\"3.4\"/><ellipse cx=\"17\" cy=\"13\" rx=\"6.6\" ry=\"2.9\"/><ellipse cx=\"16\" \
    cy=\"7.4\" rx=\"3.8\" ry=\"2.5\"/></svg>";

fn asset_address(name: &str) -> String {
    let (stem, kind) = name.split_once('.').unwrap_or((name, ""));
    format!("/assets/{stem}-{}.{kind}", *VERSION)
}

/// The style sheet, the script, the icon; each for good under the address that holds its version.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let all = [
        ("console.css", "text/css; charset=utf-8", CSS),
        ("console.js", "text/javascript; charset=utf-8", JS),
        ("cairn.svg", "image/svg+xml", ICON),
    ];
    let asked = format!("/assets/{name}");
    let found = all.into_iter().find(|(name, ..)| asset_address(name) == asked);
    let Some((_, kind, text)) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, text).into_response()
}

/// The id of a delivery's card on the page of its concern.
pub(super) fn anchor(addressed: &str) -> String {
    format!("to-{addressed}")
}
