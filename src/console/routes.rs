//! The console's addresses, and what every answer says to the browser that gets it.
//!
//! Holds: I2, I10. Knows: limits.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    acts,
    answer::{Page, SIGN_IN, is_own_page},
    door, frame, live, pages,
    site::Console,
};
use crate::{broker::Error, limits};

impl Console {
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
            .route("/raised", get(pages::raised::page))
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

async fn guarded(State(console): State<Console>, request: Request, next: Next) -> Response {
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
fn wanted(request: &Request) -> Option<String> {
    let path = request.uri().path();
    (request.method() == Method::GET && is_own_page(path) && path != "/").then(|| path.to_owned())
}
