//! Traces for operators: one JSON object a line, on standard error.
//!
//! Traces carry entry numbers, agencies, codes; never a sender's own reference, a
//! body, or anything a person wrote.
//!
//! Holds: I12. Knows: nothing.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts tracing. `filter` is in the form of `RUST_LOG`; a second call does nothing.
pub fn start(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    let started = match json {
        true => registry.with(layer.json().flatten_event(true)).try_init(),
        false => registry.with(layer.with_target(false)).try_init(),
    };
    drop(started);
}
