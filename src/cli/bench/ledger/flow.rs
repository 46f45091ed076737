//! What agencies say in a made-up exchange: a concern to two inboxes; each stores it, takes it,
//! decides and tells the sender, whose system stores the answer. Eleven entries for a concern.
//!
//! Every step goes through the broker's own door, signed by the agency that takes it, and waits
//! for the receipt of the one before, as agencies do.
//!
//! Knows: broker, identity, wire::client, domain, proto.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::super::{
    super::exchange::Exchange,
    ground::{self, AGREEMENT, SENDER},
    load::{Content, Maker, sign},
};
use crate::{
    broker::{Broker, Error},
    domain::ids::InboxId,
    identity::Peer,
    proto::{
        self, Acknowledgement, Decision, Envelope, Feedback, Person, SealedBody, Statement, Stored,
        statement::Act,
    },
    wire::client::{Client, compose::About},
};

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) entries: u64,
    pub(super) concerns_only: bool,
    /// About how long a concern's envelope is, in bytes.
    pub(super) size: usize,
}

/// An agency that speaks without a network.
struct Agency {
    client: Client,
    peer: Arc<Peer>,
}

/// Who speaks, and what they have ready.
pub(super) struct Cast {
    broker: Broker,
    sender: Agency,
    recipients: Vec<(InboxId, Agency)>,
    pub(super) maker: Maker,
    /// A feedback's statement and sealed body, signed anew for each.
    feedback: (Statement, SealedBody),
    concerns_only: bool,
    said: AtomicU64,
    /// Entries that were accepted.
    pub(super) accepted: AtomicU64,
}

impl Cast {
    /// The agencies of the exercise, at a broker of our own.
    pub(super) fn of(
        exchange: &Exchange,
        broker: &Broker,
        wanted: &Wanted,
    ) -> anyhow::Result<Self> {
        let agency = |id: &str| {
            let client = exchange.agencies.get(id).context("invariant: it was enrolled")?;
            let pem = fs::read(client.folder().certificate())?;
            let der = CertificateDer::from_pem_slice(&pem)?;
            let peer = Arc::new(Peer::from_certificate(&der, &exchange.name)?);
            anyhow::Ok(Agency { client: client.clone(), peer })
        };
        let sender = agency(SENDER)?;
        let recipients = ground::inboxes()?
            .into_iter()
            .map(|inbox| Ok((inbox.clone(), agency(inbox.agency())?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let content = Content {
            to: recipients.iter().map(|(inbox, _)| inbox.clone()).collect(),
            agreement: Some(AGREEMENT.into()),
            size: wanted.size,
        };
        Ok(Self {
            broker: broker.clone(),
            maker: Maker::new(&sender.client, &content)?,
            feedback: feedback(&recipients[0])?,
            sender,
            recipients,
            concerns_only: wanted.concerns_only,
            said: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        })
    }

    /// The concern of this number, seen through; gives its entry.
    pub(super) async fn see_through(&self, number: u64) -> anyhow::Result<u64> {
        let concern = self.submit(&self.sender, self.maker.one(number).envelope()).await?;
        if !self.concerns_only {
            for (inbox, agency) in &self.recipients {
                self.answer(concern, inbox, agency).await?;
            }
        }
        Ok(concern)
    }

    async fn answer(&self, concern: u64, inbox: &InboxId, agency: &Agency) -> anyhow::Result<()> {
        let person = || {
            let (staff_id, post) = ("exercise".into(), "duty".into());
            Some(Person { staff_id, post, simulated: true, ..Person::default() })
        };
        let outcome = "assessment".to_owned();
        let decision = Decision { person: person(), outcome, reason: String::new() };
        let about = About { entry: concern, inbox: inbox.clone() };
        for act in [
            Act::Stored(Stored {}),
            Act::Acknowledgement(Acknowledgement { person: person() }),
            Act::Decision(decision),
        ] {
            self.say(agency, &about, act).await?;
        }
        let entry = self.submit(agency, self.feedback(concern, inbox, agency)).await?;
        let reply_to = inbox.at(&self.sender.peer.agency);
        let about = About { entry, inbox: reply_to };
        self.say(&self.sender, &about, Act::Stored(Stored {})).await.map(drop)
    }

    async fn say(&self, agency: &Agency, about: &About, act: Act) -> anyhow::Result<u64> {
        let id = self.request_id();
        let envelope = agency.client.compose(|composer| composer.step(about, id, act));
        self.submit(agency, envelope).await
    }

    fn feedback(&self, concern: u64, inbox: &InboxId, agency: &Agency) -> Vec<u8> {
        let (statement, body) = &self.feedback;
        let folder = agency.client.folder();
        let statement = Statement {
            from: folder.settings.agency.to_string(),
            request_id: self.request_id().to_vec(),
            answers: Some(concern),
            inbox: inbox.to_string(),
            ..statement.clone()
        };
        let envelope = Envelope { body: Some(body.clone()), ..sign(folder, &statement) };
        proto::encode(&envelope)
    }

    /// A request id that this run has not used, and an earlier one had no way to.
    fn request_id(&self) -> [u8; 16] {
        let number = self.said.fetch_add(1, Ordering::Relaxed) | 1 << 63;
        self.maker.request_id(number)
    }

    /// Hands it in until it is taken: a full queue means to wait.
    async fn submit(&self, agency: &Agency, envelope: Vec<u8>) -> anyhow::Result<u64> {
        loop {
            let peer = Arc::clone(&agency.peer);
            match self.broker.submit(peer, envelope.clone()).await {
                Ok(accepted) => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    return Ok(accepted.receipt.entry);
                }
                Err(Error::Busy(delay)) => tokio::time::sleep(delay.min(BUSY_WAIT)).await,
                Err(error) => bail!("the exchange did not take a statement: {error}"),
            }
        }
    }
}

/// In one process there is no reason to wait longer.
const BUSY_WAIT: Duration = Duration::from_millis(5);

/// A feedback to the sender's inbox, sealed once.
fn feedback((inbox, agency): &(InboxId, Agency)) -> anyhow::Result<(Statement, SealedBody)> {
    let to = [inbox.at(&SENDER.parse()?)];
    let about = About { entry: 0, inbox: inbox.clone() };
    let person = Person {
        staff_id: "exercise".into(),
        post: "duty".into(),
        simulated: true,
        ..Person::default()
    };
    let act = Act::Feedback(Feedback { person: Some(person) });
    let body = serde_json::json!({"outcome": "assessment", "text": "An exercise."});
    let envelope = agency
        .client
        .compose(|composer| composer.step_with_body(&about, [0; 16], &to, act, &body))?;
    let envelope: Envelope = proto::decode(&envelope)?;
    let body = envelope.body.context("invariant: feedback has a body")?;
    Ok((proto::decode(&envelope.statement)?, body))
}
