//! What operators' tools are told of the running program: lines for people and journals on
//! standard error, one JSON object each, and spans of calls for a collector of traces.
//!
//! Lines carry entry numbers, agencies, codes; never a sender's own reference, a body, or anything
//! a person wrote. Spans carry less: which method of the interface, how it ended, how long each
//! part took. Whatever the program says as an event is a line, and whatever it makes a span of is
//! a span; neither is ever the other.
//!
//! Holds: I12. Knows: config, limits.

mod collector;

use std::io::IsTerminal;

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Metadata, Span, level_filters::LevelFilter, subscriber::Interest};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, dynamic_filter_fn, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use self::collector::{Collector, SpanCounts, TracesError, counts};
use crate::config::TraceSettings;

/// What every span of ours is called that no other needs to surround.
pub const CALL: &str = "call";

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts the lines. `filter` is in the form of `RUST_LOG`; a second call does nothing.
pub fn start(filter: &str, json: bool) {
    drop(tracing_subscriber::registry().with(lines(filter, json)).try_init());
}

/// Starts the lines, and has a collector take the spans, in a task of its own.
///
/// # Errors
/// [`TracesError`]: its address is none.
pub fn start_with_spans(
    filter: &str,
    json: bool,
    settings: &TraceSettings,
) -> Result<Collector, TracesError> {
    let (collector, tracer) = Collector::start(settings)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        // Where in the sources, on which thread, busy or not: nothing that a caller's trace needs.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false);
    let spans = spans.with_filter(
        // A part of a call is a span of that call, or none.
        dynamic_filter_fn(|what, around| {
            is_span(what) && (what.name() == CALL || around.lookup_current().is_some())
        })
        .with_callsite_filter(|what| match is_span(what) {
            true => Interest::sometimes(),
            false => Interest::never(),
        })
        .with_max_level_hint(LevelFilter::INFO),
    );
    let layers: Vec<Boxed> = vec![lines(filter, json), spans.boxed()];
    drop(tracing_subscriber::registry().with(layers).try_init());
    Ok(collector)
}

fn lines(filter: &str, json: bool) -> Boxed {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let others = filter_fn(|what| !is_span(what)).with_max_level_hint(LevelFilter::TRACE);
    // Colours are for a screen: in a file or a journal they would stand between the words.
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(has_colours());
    match json {
        true => layer.json().flatten_event(true).with_filter(filter.and(others)).boxed(),
        false => layer.with_target(false).with_filter(filter.and(others)).boxed(),
    }
}

/// Whether the lines go to a screen whose owner has not asked for none, by `NO_COLOR`.
fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}

/// Whether it is a span that this program makes.
fn is_span(what: &Metadata<'_>) -> bool {
    what.is_span() && what.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

/// Makes a span that was not entered yet a part of its caller's trace, if the caller says in which
/// it is: by exactly one W3C `traceparent` that is well formed. The caller's `tracestate` can hold
/// anything and is not looked at.
pub fn follow(span: &Span, headers: &HeaderMap) {
    let nobody = Context::new();
    let caller = TraceContextPropagator::new().extract_with_context(&nobody, &Caller(headers));
    // It fails only where nobody takes spans.
    let _ = span.set_parent(caller);
}

struct Caller<'a>(&'a HeaderMap);

impl Extractor for Caller<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all("traceparent").iter();
        let first = values.next().filter(|_| name == "traceparent")?;
        first.to_str().ok().filter(|_| values.next().is_none())
    }

    fn keys(&self) -> Vec<&str> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;

    use super::*;

    /// The trace that headers lead to.
    fn trace(headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Caller(&map));
        let span = context.span().span_context().clone();
        assert_eq!(span.trace_state().header(), "", "what the caller adds is not taken");
        span.is_valid().then(|| span.trace_id().to_string())
    }

    /// Where nobody takes spans none is made, however much is said in lines.
    #[test]
    fn lines_alone_make_no_span() {
        let subscriber = tracing_subscriber::registry().with(lines("trace", true));
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::info_span!(CALL).is_disabled());
            assert!(tracing::enabled!(tracing::Level::TRACE));
        });
    }

    #[test]
    fn a_callers_trace_is_taken_from_one_well_formed_header_alone() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        assert_eq!(trace(&[("traceparent", good)]), id);
        assert_eq!(trace(&[("traceparent", good), ("tracestate", "who=Quillfeather")]), id);
        for odd in [
            "",
            "Quillfeather",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace(&[("traceparent", odd)]), None, "{odd}");
        }
        assert_eq!(trace(&[("traceparent", good), ("traceparent", good)]), None, "two are none");
        assert_eq!(trace(&[]), None);
    }
}
