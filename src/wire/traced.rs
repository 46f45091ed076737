//! Traces: each call a span, from its headers to the last byte of its answer, in its caller's
//! trace. Where nobody takes spans none is made.
//!
//! A span says which method, how it ended, and how long it took: nothing of who called, nothing
//! of what was said. A path that is none of ours is not repeated: anything can stand in it.
//! Names are those of OpenTelemetry's conventions for RPC and gRPC.
//!
//! Holds: I12. Knows: telemetry, policy.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::Service;
use tracing::{Instrument, Span, field::Empty};

use crate::{policy, telemetry};

/// A service whose calls are traced.
#[derive(Debug, Clone)]
pub struct Traced<S>(pub S);

/// What is said of a method that is none of ours.
const OTHER: &str = "_OTHER";
/// The package of our services.
const PACKAGE: &str = "/cairn.v1.";

/// The names of gRPC's codes, by number, and whether they are the server's fault.
const CODES: [(&str, bool); 17] = [
    ("OK", false),
    ("CANCELLED", false),
    ("UNKNOWN", true),
    ("INVALID_ARGUMENT", false),
    ("DEADLINE_EXCEEDED", true),
    ("NOT_FOUND", false),
    ("ALREADY_EXISTS", false),
    ("PERMISSION_DENIED", false),
    ("RESOURCE_EXHAUSTED", false),
    ("FAILED_PRECONDITION", false),
    ("ABORTED", false),
    ("OUT_OF_RANGE", false),
    ("UNIMPLEMENTED", true),
    ("INTERNAL", true),
    ("UNAVAILABLE", true),
    ("DATA_LOSS", true),
    ("UNAUTHENTICATED", false),
];
const CANCELLED: usize = 1;
const UNKNOWN: usize = 2;

type Answer = Result<Response<Body>, Infallible>;

impl<S, B> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Answer> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = tracing::info_span!(
            telemetry::CALL,
            otel.kind = "server",
            otel.name = Empty,
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = Empty,
            rpc.response.status_code = Empty,
            "error.type" = Empty,
        );
        if span.is_disabled() {
            return Either::Left(self.0.call(request));
        }
        let method = method(request.uri().path());
        span.record("otel.name", method).record("rpc.method", method);
        telemetry::follow(&span, request.headers());
        let answer = span.in_scope(|| self.0.call(request));
        let ending = Ending { span: span.clone(), code: CANCELLED };
        let answer = async move { Ok(ending.with(answer.await?)) };
        Either::Right(Box::pin(answer.instrument(span)))
    }
}

/// The full name of a method of ours.
fn method(path: &str) -> &str {
    let ours = path
        .strip_prefix(PACKAGE)
        .filter(|call| policy::CALLS.iter().any(|(known, _)| known == call));
    ours.map_or(OTHER, |_| &path[1..])
}

/// Says how a call ended when it has: also of one that its caller gave up.
struct Ending {
    span: Span,
    code: usize,
}

impl Ending {
    /// Waits for the end of an answer, which is in its headers or after its body.
    fn with(mut self, answer: Response<Body>) -> Response<Body> {
        if self.is_said_in(answer.headers()) {
            return answer;
        }
        answer.map(|body| {
            Body::new(body.map_frame(move |frame| {
                if frame.trailers_ref().is_some_and(|trailers| !self.is_said_in(trailers)) {
                    self.code = UNKNOWN;
                }
                frame
            }))
        })
    }

    fn is_said_in(&mut self, headers: &HeaderMap) -> bool {
        let said = code(headers);
        self.code = said.unwrap_or(self.code);
        said.is_some()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (name, is_fault) = CODES[self.code];
        self.span.record("rpc.response.status_code", name);
        if is_fault {
            self.span.record("otel.status_code", "ERROR").record("error.type", name);
        }
    }
}

/// gRPC's code among headers or trailers.
fn code(headers: &HeaderMap) -> Option<usize> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok();
    Some(code.filter(|code| *code < CODES.len()).unwrap_or(UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I12: a path can hold anything.
    #[test]
    fn a_method_is_named_only_if_it_is_ours() {
        assert_eq!(method("/cairn.v1.ExchangeService/Submit"), "cairn.v1.ExchangeService/Submit");
        for odd in ["/cairn.v1.ExchangeService/Quillfeather", "/Quillfeather/Submit", "/", "é"] {
            assert_eq!(method(odd), OTHER, "{odd}");
        }
    }

    #[test]
    fn a_code_is_one_of_grpcs() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", text.parse().unwrap());
            code(&headers).map(|code| CODES[code].0)
        };
        assert_eq!((read("0"), read("16")), (Some("OK"), Some("UNAUTHENTICATED")));
        assert_eq!((read("17"), read("x")), (Some("UNKNOWN"), Some("UNKNOWN")));
        assert_eq!(code(&HeaderMap::new()), None);
    }
}
