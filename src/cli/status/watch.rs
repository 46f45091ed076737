//! `cairn status --watch`, the live board, and `--wait`, for scripts.
//!
//! Both ask again and again. A board that cannot be brought up to date says so, and since when.
//!
//! Knows: wire::client, proto.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::ValueEnum;
use console::Term;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Output, Status, Waiting, answered, print, say_waiting, shown};
use crate::{
    proto::{Delivery, DeliveryState, GetConcernRequest, get_concern_request::By},
    wire::client::{Client, ClientError},
};

/// How often it is asked again.
const INTERVAL: Duration = Duration::from_secs(2);
/// The time is over, as `timeout` of coreutils has it.
const TIMED_OUT: u8 = 124;

/// How far every recipient must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Wanted {
    /// Their systems have it
    Stored,
    /// A named person has it
    Acknowledged,
    /// It is decided
    Decided,
    /// The sender's system has their feedback
    Closed,
}

/// How a concern stands to what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    NotYet,
    /// Somebody's was taken back before that.
    Never,
}

impl Wanted {
    fn by(self, deliveries: &[Delivery]) -> Reached {
        let least = match self {
            Self::Stored => DeliveryState::Stored,
            Self::Acknowledged => DeliveryState::Acknowledged,
            Self::Decided => DeliveryState::Decided,
            Self::Closed => DeliveryState::Closed,
        };
        let withdrawn = |delivery: &Delivery| delivery.state() == DeliveryState::Withdrawn;
        match deliveries {
            [] => Reached::NotYet,
            all if all.iter().any(withdrawn) => Reached::Never,
            all if all.iter().all(|delivery| delivery.state() >= least) => Reached::Yes,
            _ => Reached::NotYet,
        }
    }
}

impl Status {
    /// Waits until every recipient has come so far, or one never will, or the time is over. An
    /// exchange that does not answer is asked again.
    pub(super) async fn wait_until(
        &self,
        client: &Client,
        by: By,
        wanted: Wanted,
    ) -> anyhow::Result<ExitCode> {
        let time = self.timeout.map(|time| Duration::try_from(time).unwrap_or_default());
        let end = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let request = GetConcernRequest { by: Some(by.clone()) };
            let reached = match answered(client.exchange().get_concern(request)).await {
                Ok(found) => wanted.by(&found.into_inner().deliveries),
                Err(ClientError::Again(reason)) => {
                    eprintln!("cairn: {reason}; asking again");
                    Reached::NotYet
                }
                Err(error) => return Err(error.into()),
            };
            if reached != Reached::NotYet {
                self.concern(client, by).await?;
                return Ok(ExitCode::from(u8::from(reached == Reached::Never)));
            }
            let over = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {
                    eprintln!("cairn: the time is over, and not every recipient has come so far");
                    return Ok(ExitCode::from(TIMED_OUT));
                }
                () = sleep(INTERVAL) => {}
            }
        }
    }

    /// Shows what waits, again and again, until it is ended.
    pub(super) async fn watch(&self, client: &Client) -> anyhow::Result<ExitCode> {
        let mut known: Option<Waiting> = None;
        let mut said = None;
        loop {
            let problem = match self.waiting(client).await {
                Ok(waiting) => {
                    known = Some(waiting);
                    None
                }
                Err(ClientError::Again(reason)) => Some(reason),
                Err(error) => return Err(error.into()),
            };
            // A terminal shows the time pass; elsewhere only what changes is said.
            let now = Some((known.as_ref().map(|known| known.rows.clone()), problem.is_some()));
            if io::stdout().is_terminal() || said != now {
                self.board(known.as_ref(), problem.as_deref())?;
                said = now;
            }
            sleep(INTERVAL).await;
        }
    }

    fn board(&self, known: Option<&Waiting>, problem: Option<&str>) -> anyhow::Result<()> {
        if self.output == Output::Json {
            let waiting =
                known.map(|known| known.rows.iter().map(shown::delivery_json).collect::<Vec<_>>());
            let as_of = known.map(|known| known.at.rfc3339());
            let line: Value = json!({"waiting": waiting, "as_of": as_of, "problem": problem});
            return Ok(print::line(line)?);
        }
        let terminal = Term::stdout();
        if terminal.is_term() {
            terminal.clear_screen()?;
        }
        if let Some(problem) = problem {
            let since = known.map_or_else(|| "never".to_owned(), |known| print::moment(known.at.0));
            print::line(format_args!("NOT UP TO DATE: {problem}. Last seen: {since}.\n"))?;
        }
        if let Some(known) = known {
            say_waiting(&known.rows, known.now())?;
            let as_of = print::moment(known.at.0);
            print::line(format_args!("\nas of {as_of}; Ctrl-C ends it"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_states(states: &[DeliveryState]) -> Vec<Delivery> {
        let delivery =
            |state: &DeliveryState| Delivery { state: (*state).into(), ..Delivery::default() };
        states.iter().map(delivery).collect()
    }

    #[test]
    fn it_is_so_when_everybody_has_come_so_far() {
        use DeliveryState as State;
        let two = in_states(&[State::Decided, State::Stored]);
        assert_eq!(Wanted::Stored.by(&two), Reached::Yes);
        assert_eq!(Wanted::Acknowledged.by(&two), Reached::NotYet);
        let all = in_states(&[State::Closed, State::Closed]);
        assert_eq!(Wanted::Closed.by(&all), Reached::Yes);
        let taken_back = in_states(&[State::Closed, State::Withdrawn]);
        assert_eq!(Wanted::Stored.by(&taken_back), Reached::Never);
        assert_eq!(Wanted::Stored.by(&[]), Reached::NotYet);
    }
}
