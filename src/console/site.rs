//! The console: its addresses, its headers, its bounds, and its error pages.
//!
//! Holds: I2, I10, I12. Knows: broker, identity, clock, limits.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use maud::{Markup, html};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    acts,
    board::{Board, Boards},
    door::{self, Turns},
    frame, live, pages,
    visit::Visit,
};
use crate::{
    broker::{Broker, Error},
    clock::Moment,
    crypto::passphrase::TokenDigest,
    identity::{People, Trust},
    limits,
};

/// The console and all that its pages are made of. Clones share it.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

/// See [`Console`].
pub struct Inner {
    pub(super) broker: Broker,
    pub(super) people: Arc<People>,
    pub(super) trust: Arc<Trust>,
    /// How people reach it; what a form's origin must be.
    pub(super) url: String,
    pub(super) looks: Looks,
    pub(super) live: Arc<Semaphore>,
    pub(super) ended: CancellationToken,
    pub(super) tally: Arc<Tally>,
    /// Turns for passphrases: each takes 19 MiB and a core for a while.
    pub(super) strangers: Turns,
    pub(super) signed_in: Turns,
    /// Live pages by session.
    pub(super) watching: Mutex<HashMap<TokenDigest, usize>>,
    boards: Boards,
}

impl std::ops::Deref for Console {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What happened at the sign-in page: strangers are counted, not recorded.
#[derive(Debug, Default)]
pub struct Tally {
    /// Wrong names or passphrases, and those that had to wait.
    pub wrong: AtomicU64,
    /// Links that nobody was given, or that were used.
    pub unknown_links: AtomicU64,
}

impl Console {
    /// The console of a broker, at this address; its streams end when `ended` says so.
    pub fn new(
        broker: Broker,
        people: Arc<People>,
        trust: Arc<Trust>,
        url: String,
        ended: CancellationToken,
    ) -> Self {
        let live = Arc::new(Semaphore::new(limits::LIVE_PAGES_MAX));
        let (looks, boards, tally) = (Looks::default(), Boards::default(), Arc::default());
        Self(Arc::new(Inner {
            broker,
            people,
            trust,
            url,
            looks,
            live,
            ended,
            tally,
            strangers: Turns::new(),
            signed_in: Turns::new(),
            watching: Mutex::default(),
            boards,
        }))
    }

    /// What happened at its sign-in page.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Its addresses.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/", get(pages::now::page))
            .route("/deliveries", get(pages::list::page))
            .route("/concerns/{entry}", get(pages::concern::page))
            .route("/concerns/{entry}/proof", get(pages::concern::proof))
            .route("/concerns/{entry}/dealing", post(acts::dealing))
            .route("/concerns/{entry}/called", post(acts::called))
            .route("/find", get(pages::find::page).post(pages::find::found))
            .route("/agencies", get(pages::agencies::page))
            .route("/agencies/{agency}", get(pages::agencies::one))
            .route("/health", get(pages::health::page))
            .route("/hand-over", get(pages::handover::page))
            .route("/help", get(pages::help::page))
            .route("/sign-in", get(door::page).post(door::sign_in))
            .route("/sign-out", post(door::sign_out))
            .route("/join/{link}", get(door::invited).post(door::join))
            .route("/shade", post(door::shade))
            .route("/live", get(live::events))
            .route("/assets/{name}", get(frame::asset))
            .fallback(lost)
            .layer(DefaultBodyLimit::max(limits::FORM_BYTES_MAX))
            .layer(middleware::from_fn_with_state(self.clone(), guarded))
            .with_state(self)
    }

    /// What is open now, walked through away from the async threads.
    pub(super) async fn board(&self) -> Arc<Board> {
        self.apart(|console| console.boards.now(&console.broker)).await
    }

    /// Does what reads much, away from the async threads.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let console = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&console)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

/// Where one signs in.
const SIGN_IN: &str = "/sign-in";

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
    fn not_understood(status: StatusCode) -> Self {
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
        Self::new(status, frame::page(visit, &frame::About::titled(title), main))
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

async fn lost(State(console): State<Console>, headers: HeaderMap) -> Page {
    Page::not_found(console.visit(&headers).ok().as_ref())
}

/// What every answer says to the browser that gets it.
static GUARDS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

async fn guarded(
    State(console): State<Console>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let wanted = wanted(&request);
    let looks_only = request.method() == Method::GET;
    let answer = tokio::time::timeout(limits::CALL_TIME_MAX, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| {
        // What was handed to the ledger goes on.
        let error = if looks_only { Error::Busy(limits::BUSY_DELAY) } else { Error::Unknown };
        Page::trouble(&error).into_response()
    });
    let plain = response.headers().get(header::CONTENT_TYPE);
    let plain = plain.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if plain && response.status().is_client_error() {
        response = Page::not_understood(response.status()).into_response();
    }
    let headers = response.headers_mut();
    for (name, value) in &GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if console.url.starts_with("https://") {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    // Whoever followed a link is there once signed in.
    if let Some(wanted) = wanted
        && headers.get(header::LOCATION).is_some_and(|to| to == SIGN_IN)
        && let Ok(to) = HeaderValue::from_str(&format!("{SIGN_IN}?to={wanted}"))
    {
        headers.insert(header::LOCATION, to);
    }
    // Pages are about what is so now, and about somebody's work.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The address of a page that was asked for, if it is one to come back to.
fn wanted(request: &axum::extract::Request) -> Option<String> {
    let path = request.uri().path();
    (request.method() == Method::GET && is_own_page(path) && path != "/").then(|| path.to_owned())
}

/// Whether an address is a plain one of this console, and so safe to be sent to.
pub(super) fn is_own_page(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
}

/// One look: by which session, at what.
type Look = (TokenDigest, &'static str, Option<u64>);

/// Who looked at what lately.
#[derive(Default)]
pub(super) struct Looks(Mutex<HashMap<Look, Moment>>);

impl Looks {
    pub(super) fn is_same(&self, look: &Look, now: Moment) -> bool {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.get(look).is_some_and(|at| now < at.after(limits::SAME_LOOK_TIME))
    }

    pub(super) fn remember(&self, look: Look, now: Moment) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= limits::LOOKS_MAX {
            looks.retain(|_, at| now < at.after(limits::SAME_LOOK_TIME));
        }
        // Beyond the bound a look is recorded each time, never not at all.
        if looks.len() < limits::LOOKS_MAX {
            looks.insert(look, now);
        }
    }
}

/// Counts one.
pub(super) fn tick(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
