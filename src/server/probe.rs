//! The synthetic concern: each minute one of the exchange's own goes the whole way, as agencies'
//! do, and an alarm is raised when it does not arrive.
//!
//! A client like any other, over mTLS: it seals, signs and sends to its own inbox, receives, opens,
//! acknowledges, decides and answers, marked as an exercise and `simulated`. It pages nobody and is
//! in no count of what waits.
//!
//! Knows: everything.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    config::ProbeSettings,
    console::ProbeCounts,
    domain::{document::Document, ids::InboxId},
    limits,
    proto::{DeliveryState, GetConcernRequest, get_concern_request::By},
    wire::client::{self, Client, folder::SystemFolder, simulated::Recipient},
};

/// How often it is asked whether the concern has come to its end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Sends one, each minute.
pub(super) struct Probe {
    client: Client,
    agreement: String,
    /// What it receives is written here, and thrown away.
    folder: PathBuf,
    counts: Arc<ProbeCounts>,
}

impl Probe {
    /// As the system of a folder, writing what it receives below `data`.
    ///
    /// # Errors
    /// In words, what is wrong with the folder.
    pub(super) fn new(settings: &ProbeSettings, data: &Path) -> anyhow::Result<Self> {
        let folder = SystemFolder::open(&settings.system)
            .with_context(|| format!("[probe] {}", settings.system.display()))?;
        let client = Client::new(folder)?;
        let agreement = settings.agreement.clone();
        Ok(Self { client, agreement, folder: data.join("probe"), counts: Arc::default() })
    }

    /// How it goes.
    pub(super) fn counts(&self) -> Arc<ProbeCounts> {
        Arc::clone(&self.counts)
    }

    /// Goes on until `ended` says so.
    pub(super) async fn run(self, ended: CancellationToken) {
        let mut tick = interval(limits::PROBE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while ended.run_until_cancelled(tick.tick()).await.is_some() {
            let began = Instant::now();
            let whole = timeout(limits::PROBE_TIME_MAX, self.once());
            let gone = match ended.run_until_cancelled(whole).await {
                None => return,
                Some(Ok(gone)) => gone,
                Some(Err(_)) => Err(anyhow::anyhow!("it did not come to its end in time")),
            };
            match gone {
                Ok(()) => {
                    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.counts.last_success.store(client::now().seconds(), Ordering::Relaxed);
                    self.counts.took_micros.store(took, Ordering::Relaxed);
                }
                Err(error) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    let error = format!("{error:#}");
                    tracing::error!(error, "the synthetic concern did not go the whole way");
                }
            }
        }
    }

    /// One concern, from its sealing to the sender's having the answer.
    async fn once(&self) -> anyhow::Result<()> {
        self.client.refresh().await.context("reading the directory")?;
        let settings = &self.client.folder().settings;
        let directory = self.client.directory();
        let inbox = directory.inboxes_of(settings.agency.as_str()).next().cloned();
        let inbox: InboxId = inbox.context("the agency of [probe] has no inbox")?;
        // What came before is of no more use.
        drop(tokio::fs::remove_dir_all(&self.folder).await);
        let recipient = Recipient::new(self.client.clone(), self.folder.clone())?;
        let receiving = tokio::spawn(recipient.run(CancellationToken::new()));
        let mut receiving = AbortOnDropHandle::new(receiving);
        let entry = self.send(&inbox).await.context("sending")?;
        tokio::select! {
            closed = self.closed(entry) => closed,
            ended = &mut receiving => {
                ended?.context("receiving")?;
                anyhow::bail!("the stream ended")
            }
        }
    }

    async fn send(&self, inbox: &InboxId) -> anyhow::Result<u64> {
        let agency = self.client.folder().settings.agency.as_str();
        let document = json!({
            "kind": "concern", "reference": format!("synthetic-{}", client::now().0),
            "from": agency, "to": [inbox.as_str()], "urgency": "routine", "class": "wellbeing",
            "agreement": self.agreement, "lawful_basis": "public_task", "exercise": true,
            "purpose": "to prove that the whole path works", "action_requested": "none",
            "concern": {"category": "other", "narrative": "A synthetic concern, about nobody."},
        });
        let document = Document::parse(&serde_json::to_vec(&document)?)?;
        let envelope = self.client.compose(|composer| composer.concern(&document))?;
        let accepted = self.client.submit(&envelope).await?;
        self.client.verify(&envelope, &accepted)?;
        Ok(accepted.receipt.unwrap_or_default().entry)
    }

    /// Waits until the sender has the answer.
    async fn closed(&self, entry: u64) -> anyhow::Result<()> {
        loop {
            let request = GetConcernRequest { by: Some(By::Entry(entry)) };
            let found = self.client.exchange().get_concern(request).await?.into_inner();
            let delivery = found.deliveries.first().context("it has no delivery")?;
            ensure!(delivery.exercise, "it counts as live");
            if delivery.state() == DeliveryState::Closed {
                return Ok(());
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}
