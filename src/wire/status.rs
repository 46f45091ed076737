//! Every error as a gRPC status: one exhaustive match, one `ErrorInfo` each.
//!
//! | kind | status |
//! |---|---|
//! | refused | by [`RefusalKind`] |
//! | busy | RESOURCE_EXHAUSTED with a delay |
//! | unknown | UNAVAILABLE: send it again with the same request id |
//! | broken | INTERNAL: the code alone; the rest is traced, not told |
//!
//! `ErrorInfo.reason` is the refusal's code in capitals, `metadata["code"]` the code
//! as the README's table has it. Nothing here quotes what was sent.
//!
//! Holds: I9, I12. Knows: broker, domain.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    broker::Error,
    domain::refusal::{Refusal, RefusalKind},
    proto,
};

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "cairn.v1";
/// Where the texts of all codes are.
pub const HELP: &str = "https://cairn.example/help/codes#";

/// What an error says outside.
struct Said {
    status: Code,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
}

fn said(error: &Error) -> Said {
    match error {
        Error::Refused(refusal) => refused(refusal),
        Error::Busy(delay) => Said {
            status: Code::ResourceExhausted,
            code: "busy",
            message: "the exchange is busy; send it again after the delay given".into(),
            field: None,
            retry_after: Some(*delay),
        },
        Error::Unknown => Said {
            status: Code::Unavailable,
            code: "outcome_unknown",
            message: error.to_string(),
            field: None,
            retry_after: None,
        },
        Error::Broken(inside) => {
            tracing::error!(inside, "broken");
            Said {
                status: Code::Internal,
                code: "broken",
                message: "the exchange has a fault of its own; its operators have been told".into(),
                field: None,
                retry_after: None,
            }
        }
    }
}

fn refused(refusal: &Refusal) -> Said {
    let status = match refusal.kind() {
        RefusalKind::Conflict => Code::AlreadyExists,
        RefusalKind::Denied => Code::PermissionDenied,
        RefusalKind::Invalid => Code::InvalidArgument,
        RefusalKind::NotFound => Code::NotFound,
        RefusalKind::OutOfTurn => Code::FailedPrecondition,
        RefusalKind::Unauthenticated => Code::Unauthenticated,
    };
    let field = match refusal {
        Refusal::FieldInvalid { field, .. } => Some(*field),
        _ => None,
    };
    let message = format!("{}. {}", refusal.sentence(), refusal.what_to_do());
    Said { status, code: refusal.code(), message, field, retry_after: None }
}

/// The gRPC status of an error.
pub fn status(error: &Error) -> Status {
    let said = said(error);
    let metadata = HashMap::from([("code".to_owned(), said.code.to_owned())]);
    let mut details =
        ErrorDetails::with_error_info(said.code.to_ascii_uppercase(), DOMAIN, metadata);
    details.add_help_link("What this means and what to do", format!("{HELP}{}", said.code));
    if let Some(field) = said.field {
        details.add_bad_request_violation(field, &said.message);
    }
    if let Some(delay) = said.retry_after {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(said.status, said.message, details)
}

/// The status of a refusal.
pub fn refusal(refusal: Refusal) -> Status {
    status(&refusal.into())
}

/// Gives an error that never reached a service, such as a message past its bound, the
/// `ErrorInfo` that every error carries.
pub fn explained(response: http::Response<tonic::body::Body>) -> http::Response<tonic::body::Body> {
    let headers = response.headers();
    let refused = headers.get("grpc-status").is_some_and(|status| status.as_bytes() != b"0");
    if !refused || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(bare) => explain(bare).into_http(),
        None => response,
    }
}

/// Gives a status that is not ours its `ErrorInfo`.
pub fn explain(bare: Status) -> Status {
    let (code, advice) = match bare.code() {
        Code::DeadlineExceeded => ("deadline_exceeded", "send it again with the same request id"),
        Code::OutOfRange => ("message_too_large", "send messages of at most 4 MiB"),
        Code::Unimplemented => ("unknown_call", "ask reflection which calls there are"),
        Code::InvalidArgument | Code::Internal => ("malformed", "send a message of the right type"),
        Code::Unauthenticated => ("certificate_not_valid", "connect with a valid certificate"),
        _ => ("transport", "send it again"),
    };
    let metadata = HashMap::from([("code".to_owned(), code.to_owned())]);
    let mut details = ErrorDetails::with_error_info(code.to_ascii_uppercase(), DOMAIN, metadata);
    details.add_help_link("What this means and what to do", format!("{HELP}{code}"));
    let message = format!("{}: {advice}", bare.message());
    Status::with_error_details(bare.code(), message, details)
}

/// The same, inside a bulk answer.
pub fn problem(error: &Error) -> proto::Problem {
    let said = said(error);
    proto::Problem {
        status: said.status as i32,
        reason: said.code.to_owned(),
        message: said.message,
    }
}
