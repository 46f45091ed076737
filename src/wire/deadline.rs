//! Deadlines: a call that does not begin to answer in time is told so.
//!
//! Takes the caller's `grpc-timeout`, at most [`limits::CALL_TIME_MAX`]. What was
//! submitted goes on in a task of its own: the caller sends it again with the same
//! request id and gets its receipt.
//!
//! Holds: I10. Knows: limits.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use tonic::{Status, body::Body};
use tower::Service;

use crate::limits;

/// A service whose calls have a deadline.
#[derive(Debug, Clone)]
pub struct Deadline<S>(pub S);

impl<S, B> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let time = asked(request.headers()).unwrap_or(limits::CALL_TIME_MAX);
        let answer = self.0.call(request);
        Box::pin(async move {
            match tokio::time::timeout(time.min(limits::CALL_TIME_MAX), answer).await {
                Ok(answered) => answered,
                Err(_) => Ok(Status::deadline_exceeded("it was not answered in time").into_http()),
            }
        })
    }
}

/// The caller's `grpc-timeout`: at most eight digits and a unit, as gRPC over HTTP/2
/// defines it. One that is not of that form is as good as none.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let shaped = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let amount: u64 = digits.parse().ok().filter(|_| shaped)?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_in_every_unit_and_nothing_else_is() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            asked(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(read("10m"), Some(Duration::from_millis(10)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("5n"), Some(Duration::from_nanos(5)));
        for odd in ["", "S", "5", "123456789S", "-1S", "1x", "1 S"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_answer_in_time_is_told_so() {
        let never = tower::service_fn(|_: Request<()>| async {
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        });
        let request = Request::builder().header("grpc-timeout", "50m").body(()).unwrap();
        let answer = Deadline(never).call(request).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4");
    }
}
