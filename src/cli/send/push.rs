//! Brings one document after the other to an answer, and keeps in the outbox what has
//! none.
//!
//! ```text
//! document → sealed → outbox → submitted ─┬ accepted    its receipt, in `sent`
//!                        ▲                ├ refused     stays, with why
//!                        │                └ no answer   stays, sent first the next time
//!                        └ sealed anew, once, if the directory had moved on
//! ```
//!
//! Holds: I6, I8. Knows: wire::client, domain, limits.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    task::block_in_place,
    time::{error::Elapsed, timeout},
};

use crate::{
    domain::{document::Document, refusal::Refusal},
    limits,
    proto::{self, Envelope, Statement, SubmitResponse, statement::Act},
    wire::client::{
        Client, ClientError,
        compose::ComposeError,
        outbox::{Outbox, RefusedNote},
    },
};

/// The shortest time that one try may take, however little of the wait is left.
const TRY_TIME_MIN: Duration = Duration::from_secs(1);

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The exchange has it.
    Accepted { entry: u64, outside_agreement: bool },
    /// It had been accepted before.
    Duplicate { entry: u64 },
    /// It was refused, by the exchange or before it left.
    Refused { code: String, message: String },
    /// Nobody knows yet. The outbox keeps it.
    Unanswered,
}

/// Pushes the statements of one system. Clones are one and the same.
#[derive(Clone)]
pub(super) struct Pusher(Arc<Inner>);

struct Inner {
    client: Client,
    outbox: Outbox,
    wait: Duration,
    last_answer: Mutex<Instant>,
    /// Nothing was answered for all of the wait: what comes now is only kept.
    given_up: AtomicBool,
    /// The ids of what the outbox holds refused.
    refused: Mutex<BTreeSet<String>>,
    /// One refresh at a time, so that a newer directory is never overwritten.
    refreshing: tokio::sync::Mutex<()>,
}

impl Pusher {
    pub(super) fn new(client: Client, outbox: Outbox, wait: Duration) -> anyhow::Result<Self> {
        let refused = outbox.list()?.into_iter().filter(|kept| kept.refused.is_some());
        Ok(Self(Arc::new(Inner {
            refused: Mutex::new(refused.map(|kept| kept.id).collect()),
            client,
            outbox,
            wait,
            last_answer: Mutex::new(Instant::now()),
            given_up: AtomicBool::new(false),
            refreshing: tokio::sync::Mutex::new(()),
        })))
    }

    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Reads the directory, for as long as the wait allows.
    pub(super) async fn read_directory(&self) -> Result<(), ClientError> {
        let mut delay = limits::BUSY_DELAY;
        loop {
            let tried = timeout(self.try_time(), self.0.client.refresh()).await;
            if let Some(answer) = self.settled(tried, &mut delay).await {
                return answer;
            }
        }
    }

    /// Statements of the outbox that have no answer yet, by id. What a receiving
    /// system says of itself is not among them: that follows from what is offered.
    pub(super) fn unanswered(&self) -> anyhow::Result<Vec<String>> {
        let outbox = &self.0.outbox;
        let mut ids = Vec::new();
        for kept in outbox.list()?.into_iter().filter(|kept| kept.refused.is_none()) {
            let by_program = matches!(
                statement(&outbox.envelope(&kept.id)?).act,
                Some(Act::Stored(_) | Act::NotTaken(_) | Act::CannotOpen(_))
            );
            if !by_program {
                ids.push(kept.id);
            }
        }
        Ok(ids)
    }

    /// Sends again what the outbox keeps under this id.
    pub(super) async fn resend(&self, id: String) -> anyhow::Result<Fate> {
        let envelope = self.0.outbox.envelope(&id).with_context(|| format!("outbox: {id}"))?;
        let reference = match statement(&envelope).act {
            Some(Act::Concern(concern)) => concern.reference,
            _ => String::new(),
        };
        let answer = self.submit(&envelope).await;
        self.settle(&id, &envelope, &reference, answer)
    }

    /// Seals, keeps and submits one document.
    pub(super) async fn push(&self, document: &Document) -> anyhow::Result<Fate> {
        let Inner { client, outbox, .. } = &*self.0;
        let reference = &document.fields.reference;
        let as_of = client.directory().as_of();
        let sealed = match client.compose(|composer| composer.concern(document)) {
            Ok(sealed) => sealed,
            Err(ComposeError::Refused(refusal)) => return self.note(document, &refusal),
            Err(error) => bail!("cannot seal: {error}"),
        };
        let (id, mut envelope) = block_in_place(|| outbox.put(sealed.clone()))
            .context("the outbox cannot keep it, so it was not sent")?;
        if self.refused_ids().contains(&id) && envelope != sealed {
            // Refused for what may have been mended since: its wraps are not of use.
            block_in_place(|| outbox.replace(&sealed))?;
            envelope.clone_from(&sealed);
        }
        let mut answer = self.submit(&envelope).await;
        let by_directory = matches!(&answer, Err(ClientError::Refused { code, .. })
            if matches!(code.as_str(), "unknown_recipient" | "missing_wrap"));
        if by_directory && (self.refreshed_beyond(as_of).await || envelope != sealed) {
            envelope = client.compose(|composer| composer.concern(document))?;
            block_in_place(|| outbox.replace(&envelope))?;
            answer = self.submit(&envelope).await;
        }
        self.settle(&id, &envelope, reference, answer)
    }

    /// A refusal of our own, of something that was never sealed.
    fn note(&self, document: &Document, refusal: &Refusal) -> anyhow::Result<Fate> {
        let client = &self.0.client;
        let request_id = client.compose(|composer| composer.request_id(document));
        let tag = client.folder().secret.content_tag(&request_id, &document.body.canonical());
        let id = format!("{}-{}", hex(&request_id), hex(&tag.to_bytes()[..4]));
        let message = format!("{}. {}", refusal.sentence(), refusal.what_to_do());
        self.refused(&id, refusal.code().to_owned(), message, &document.fields.reference)
    }

    fn refused(
        &self,
        id: &str,
        code: String,
        message: String,
        reference: &str,
    ) -> anyhow::Result<Fate> {
        let reference = reference.to_owned();
        let note = RefusedNote { code: code.clone(), message: message.clone(), reference };
        block_in_place(|| self.0.outbox.refused(id, &note))?;
        self.refused_ids().insert(id.to_owned());
        Ok(Fate::Refused { code, message })
    }

    fn refused_ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was answered.
    fn settle(
        &self,
        id: &str,
        envelope: &[u8],
        reference: &str,
        answer: Result<SubmitResponse, ClientError>,
    ) -> anyhow::Result<Fate> {
        let outbox = &self.0.outbox;
        match answer {
            Ok(response) => {
                let receipt = response.receipt.unwrap_or_default();
                block_in_place(|| outbox.accepted(id, envelope, &receipt))?;
                let (entry, outside_agreement) = (receipt.entry, response.outside_agreement);
                if response.duplicate {
                    return Ok(Fate::Duplicate { entry });
                }
                block_in_place(|| self.clear_refusals(id, envelope))?;
                Ok(Fate::Accepted { entry, outside_agreement })
            }
            Err(ClientError::Refused { code, message }) => {
                self.refused(id, code, message, reference)
            }
            Err(ClientError::Again(_)) => Ok(Fate::Unanswered),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets go of earlier refusals of the same body under the same reference: it has
    /// been accepted now, with what was mended outside the body.
    fn clear_refusals(&self, accepted: &str, envelope: &[u8]) -> anyhow::Result<()> {
        let outbox = &self.0.outbox;
        let request = accepted.split('-').next().unwrap_or(accepted);
        let tag = statement(envelope).content_tag;
        let mut refused = self.refused_ids();
        let earlier = refused.range(request.to_owned()..).take_while(|id| id.starts_with(request));
        let same_body = |id: &&String| {
            let body = outbox.envelope(id).map(|bytes| statement(&bytes).content_tag);
            body.is_ok_and(|body| body == tag)
        };
        let mended: Vec<String> =
            earlier.filter(|id| *id == accepted || same_body(id)).cloned().collect();
        for id in mended {
            outbox.forget(&id)?;
            refused.remove(&id);
        }
        Ok(())
    }

    /// Reads the directory once; whether it has moved on since `as_of`.
    async fn refreshed_beyond(&self, as_of: u64) -> bool {
        let _one_at_a_time = self.0.refreshing.lock().await;
        let moved = || self.0.client.directory().as_of() != as_of;
        if !moved()
            && let Err(error) = self.0.client.refresh().await
        {
            tracing::warn!(%error, "the directory was not read again");
        }
        moved()
    }

    async fn submit(&self, envelope: &[u8]) -> Result<SubmitResponse, ClientError> {
        if self.0.given_up.load(Ordering::Relaxed) {
            return Err(ClientError::Again("the exchange is away".into()));
        }
        let mut delay = limits::BUSY_DELAY;
        loop {
            let tried = timeout(self.try_time(), self.0.client.submit(envelope)).await;
            if let Some(answer) = self.settled(tried, &mut delay).await {
                return answer;
            }
        }
    }

    /// What to make of one try: the answer, or nothing after a pause, or that nothing
    /// at all has been answered for as long as we are to wait.
    async fn settled<T>(
        &self,
        tried: Result<Result<T, ClientError>, Elapsed>,
        delay: &mut Duration,
    ) -> Option<Result<T, ClientError>> {
        let silent = |_| Err(ClientError::Again("the exchange says nothing".into()));
        let answer = tried.unwrap_or_else(silent);
        if !matches!(answer, Err(ClientError::Again(_))) {
            *self.0.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            return Some(answer);
        }
        if self.left().is_zero() {
            self.0.given_up.store(true, Ordering::Relaxed);
            return Some(answer);
        }
        tokio::time::sleep(self.left().min(*delay)).await;
        *delay = (*delay * 2).min(limits::RETRY_DELAY_MAX);
        None
    }

    fn try_time(&self) -> Duration {
        self.left().max(TRY_TIME_MIN)
    }

    fn left(&self) -> Duration {
        let last = *self.0.last_answer.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.wait.saturating_sub(last.elapsed())
    }
}

/// The statement of an envelope of our own.
fn statement(envelope: &[u8]) -> Statement {
    proto::decode::<Envelope>(envelope)
        .and_then(|envelope| proto::decode(&envelope.statement))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
