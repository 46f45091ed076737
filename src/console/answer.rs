//! What is answered: a page, another address, or a page that says what is wrong.
//!
//! Plain words, whose it is to mend, and what to do; never a word of what was sent.
//!
//! Holds: I9, I12. Knows: broker.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    frame::{self, About},
    visit::Visit,
};
use crate::broker::Error;

/// Where one signs in.
pub(super) const SIGN_IN: &str = "/sign-in";

/// A page, or what stands in its place.
pub(super) struct Page(Box<Response>);

impl Page {
    /// A page of this status.
    pub(super) fn new(status: StatusCode, markup: Markup) -> Self {
        let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        Self::from((status, html, markup.into_string()).into_response())
    }

    /// Elsewhere, by a GET.
    pub(super) fn to(address: &str) -> Self {
        Self::from(
            (StatusCode::SEE_OTHER, [(header::LOCATION, address.to_owned())]).into_response(),
        )
    }

    /// The sign-in page.
    pub(super) fn to_sign_in() -> Self {
        Self::to(SIGN_IN)
    }

    /// Nothing there, or nothing for this person.
    pub(super) fn not_found(visit: Option<&Visit>) -> Self {
        let text = html! {
            p { "If you typed the address, check that it is right." }
            p { "If you followed a link, what it led to may not be for the post you signed in with." }
        };
        Self::said(visit, StatusCode::NOT_FOUND, "Page not found", text)
    }

    /// A request that none of our pages makes.
    pub(super) fn not_understood(status: StatusCode) -> Self {
        let text = html! {
            p { "What was sent is not what this page takes, so nothing was done. Go back, load the page \
                again, and repeat what you did." }
            p { a href="/" { "What needs you now" } }
        };
        Self::said(None, status, "This was not understood", text)
    }

    /// A form that no page of this session made.
    pub(super) fn not_ours(visit: &Visit) -> Self {
        let text = html! {
            p { "What you sent did not come from a page of this console in your session, so nothing \
                was done. It has been recorded." }
            p { "Go back to the page, load it again, and repeat what you did." }
        };
        Self::said(Some(visit), StatusCode::FORBIDDEN, "Nothing was done", text)
    }

    /// What the exchange could not do, by whose it is to mend.
    pub(super) fn trouble(error: &Error) -> Self {
        let (status, text) = match error {
            Error::Refused(refusal) => {
                (StatusCode::CONFLICT, format!("{}. {}", refusal.sentence(), refusal.what_to_do()))
            }
            Error::Busy(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The exchange is busy. Nothing was done. Try again in a few seconds.".to_owned(),
            ),
            Error::Unknown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "It is not known whether this was recorded. Go back and press the button again: it \
                 counts once."
                    .to_owned(),
            ),
            Error::Broken(fault) => {
                tracing::error!(fault, "a page could not be made");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Tell the operators of the exchange; its traces say what is wrong. What agencies \
                     have sent is safe."
                        .to_owned(),
                )
            }
        };
        let title = match error {
            Error::Refused(_) => "Nothing was done",
            _ => "Sorry, there is a problem with the service",
        };
        Self::said(None, status, title, html! { p { (text) } })
    }

    fn said(visit: Option<&Visit>, status: StatusCode, title: &str, text: Markup) -> Self {
        let main = html! { h1 { (title) } (text) };
        Self::new(status, frame::page(visit, &About::titled(title), main))
    }

    /// The same with this header beside the others.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().append(name, value);
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Response> for Page {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

/// Whether an address is a plain one of this console, and so safe to be sent to.
pub(super) fn is_own_page(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
}
