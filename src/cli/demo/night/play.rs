//! Plays the script: lets the time come, and lets everybody do what the script says.
//!
//! Knows: wire::client, domain, proto.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use super::{
    super::{
        super::progress::Progress,
        sender::{self, Fate, Kept},
    },
    account::{self, Happening},
    script::{Deed, Event},
    settle::Settling,
    stage::Stage,
};
use crate::{
    clock::Clock,
    domain::{document::Document, ids::InboxId},
    proto::RecordCallRequest,
    wire::client::{
        Client,
        compose::About,
        outbox::Outbox,
        simulated::{self, Post},
    },
};

/// A night in the making.
pub(super) struct Play<'a> {
    stage: &'a mut Stage,
    settling: Settling,
    /// What was accepted, by the sender's own reference.
    pub(super) concerns: BTreeMap<String, Kept>,
    /// Sent while the exchange is down: their senders go on trying.
    trying: Vec<JoinHandle<anyhow::Result<(String, Fate)>>>,
    /// What was decided, by reference and inbox, for the answers.
    outcomes: BTreeMap<(String, InboxId), String>,
    /// What happened that is in no ledger.
    pub(super) happenings: Vec<Happening>,
}

impl<'a> Play<'a> {
    pub(super) fn on(stage: &'a mut Stage) -> Self {
        Self {
            stage,
            settling: Settling::default(),
            concerns: BTreeMap::new(),
            trying: Vec::new(),
            outcomes: BTreeMap::new(),
            happenings: Vec::new(),
        }
    }

    /// From the first line to the last.
    pub(super) async fn run(
        &mut self,
        script: &[Event],
        pace: Option<Duration>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        for Event { at, deed } in script {
            progress.say(&format!("the night: {}", account::clock(*at)));
            self.settling.come(self.stage, *at, pace).await?;
            let said = || account::clock(*at);
            self.perform(deed).await.with_context(said)?;
            self.settling.settle(self.stage).await.with_context(said)?;
        }
        Ok(())
    }

    async fn perform(&mut self, deed: &Deed) -> anyhow::Result<()> {
        match deed {
            Deed::Begin | Deed::End => Ok(()),
            Deed::Send(document) => self.send(document).await,
            Deed::Away { agency } => {
                self.happened(format!("the system of {agency} is switched off"));
                self.stage.away(agency.as_str()).await
            }
            Deed::Back { agency } => {
                self.happened(format!("the system of {agency} is there again"));
                self.stage.back(agency.as_str())
            }
            Deed::Answers { channel } => {
                self.happened(format!("the webhook {channel} answers"));
                self.stage.pager(channel.as_str())?.answer()
            }
            Deed::Stop => {
                self.happened("the exchange goes down".into());
                self.stage.stop().await
            }
            Deed::Start => {
                self.happened("the exchange is up again".into());
                self.stage.start().await?;
                for sent in std::mem::take(&mut self.trying) {
                    let (reference, fate) = sent.await??;
                    self.keep(reference, fate)?;
                }
                Ok(())
            }
            Deed::Ring { concern, addressed, inbox, post, told } => {
                self.ring(concern, addressed, inbox, [post, told]).await
            }
            Deed::Acknowledge { inbox, post, concerns } => {
                let client = self.client(inbox)?;
                let post = Post::of(&client, post);
                for concern in concerns {
                    let about = self.about(concern, inbox)?;
                    post.open(&about).await?;
                    post.acknowledge(&about).await?;
                }
                Ok(())
            }
            Deed::Decide { inbox, post, concerns, outcome } => {
                let client = self.client(inbox)?;
                for concern in concerns {
                    Post::of(&client, post).decide(&self.about(concern, inbox)?, outcome).await?;
                    self.outcomes.insert((concern.clone(), inbox.clone()), outcome.clone());
                }
                Ok(())
            }
            Deed::Answer { inbox, post, concerns, text } => {
                let client = self.client(inbox)?;
                for concern in concerns {
                    let about = self.about(concern, inbox)?;
                    let reply_to = &self.concern(concern)?.facts.reply_to;
                    let outcome = self.outcomes.get(&(concern.clone(), inbox.clone()));
                    let outcome = outcome.context("it was not decided")?;
                    Post::of(&client, post).answer(&about, reply_to, outcome, text).await?;
                }
                Ok(())
            }
        }
    }

    /// Sends a document; while the exchange is down its sender tries until it is back.
    async fn send(&mut self, document: &Document) -> anyhow::Result<()> {
        let from = document.fields.from.as_str();
        let client = self.stage.exchange.agencies.get(from).context("`from` is no agency here")?;
        let (client, vkey) = (client.clone(), self.stage.exchange.vkey.clone());
        let (document, name) = (document.clone(), document.fields.reference.clone());
        let reference = name.clone();
        let sending = tokio::spawn(async move {
            let outbox = Outbox::of(client.folder().path())?;
            let mut before = HashMap::new();
            let fate = sender::push_one(&client, &vkey, &outbox, &document, &mut before).await?;
            Ok((reference, fate))
        });
        if self.stage.broker().is_none() {
            self.happened(format!("{from} sends {name}, and tries until the exchange is back"));
            self.trying.push(sending);
            return Ok(());
        }
        let (reference, fate) = sending.await??;
        self.keep(reference, fate)
    }

    fn keep(&mut self, reference: String, fate: Fate) -> anyhow::Result<()> {
        match fate {
            Fate::Accepted(kept) => drop(self.concerns.insert(reference, *kept)),
            Fate::Refused { message, .. } => bail!("{reference}: {message}"),
            Fate::Duplicate(_) => bail!("{reference} was sent before"),
            Fate::Malformed(why) => bail!("{reference}: {why}"),
        }
        Ok(())
    }

    async fn ring(
        &self,
        concern: &str,
        addressed: &InboxId,
        inbox: &InboxId,
        [post, told]: [&String; 2],
    ) -> anyhow::Result<()> {
        let on_call = &self.stage.exchange.on_call;
        on_call.refresh().await?;
        let directory = on_call.directory();
        let number = directory.inbox(inbox).context("there is no such inbox")?.phone.clone();
        let mut request_id = vec![0; 16];
        getrandom::fill(&mut request_id).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let call = RecordCallRequest {
            request_id,
            concern: self.concern(concern)?.receipt.entry,
            addressed: addressed.to_string(),
            by: Some(simulated::simulated(post)),
            told: Some(simulated::simulated(told)),
            number,
            at: self.stage.clock.now().seconds(),
            read_back: true,
        };
        on_call.status().record_call(call).await?;
        Ok(())
    }

    fn concern(&self, reference: &str) -> anyhow::Result<&Kept> {
        self.concerns.get(reference).with_context(|| format!("{reference} was not sent"))
    }

    fn about(&self, reference: &str, inbox: &InboxId) -> anyhow::Result<About> {
        Ok(About { entry: self.concern(reference)?.receipt.entry, inbox: inbox.clone() })
    }

    fn client(&self, inbox: &InboxId) -> anyhow::Result<Client> {
        let agency = inbox.agency();
        let client = self.stage.exchange.agencies.get(agency);
        client.cloned().with_context(|| format!("{agency} is no agency here"))
    }

    fn happened(&mut self, what: String) {
        self.happenings.push(Happening { at: self.stage.clock.now(), what });
    }
}
