//! An agency's computer: says what it is to say until that is answered, takes what comes, and
//! finds its disk again after it went down.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cairn::{
    clock::{Clock, Moment},
    limits,
    proto::{Incoming, Receipt, Stored, SubmitResponse, receive_response::Item, statement::Act},
    wire::client::{Client, ClientError, compose::About, folder::SystemFolder, open},
};
use tokio::time::{sleep, timeout};

use super::{
    PORT,
    wires::{Time, Wire},
};
use crate::support::statements::{concern, envelope};

/// A stream that says nothing for this long is given up, as `cairn receive` does.
const SILENCE_MAX: Duration = limits::ALIVE_INTERVAL.saturating_mul(3);

/// A concern that an agency will send.
#[derive(Clone)]
pub struct Planned {
    pub at: Duration,
    pub to: Vec<String>,
    pub reference: String,
    /// Said again after it was accepted.
    pub again: Again,
}

/// What a sender says after its receipt came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    Nothing,
    /// The same bytes.
    Same,
    /// The same concern, sealed anew.
    Resealed,
}

/// What is on its disk.
#[derive(Default)]
pub struct Disk {
    /// Envelopes by reference, from before they were first sent.
    pub said: BTreeMap<String, Vec<u8>>,
    /// Receipts by reference, as the first answer brought them.
    pub receipts: BTreeMap<String, Receipt>,
    /// What was not answered at the first try: when we knew that we do not know.
    pub unknown: BTreeMap<String, Duration>,
    /// The repeats whose answer was compared with the first.
    pub repeated: u64,
    /// What was taken, by reference and inbox: the entry. Never written twice.
    pub taken: BTreeMap<(String, String), u64>,
    /// What we know that the exchange knows to be stored.
    pub stored: BTreeMap<(u64, String), Receipt>,
    /// What could not be taken when it was first offered.
    pub put_off: BTreeSet<(u64, String)>,
    /// Each offer: which stream, what, and when it was accepted.
    pub offers: Vec<Offer>,
    /// Streams opened so far.
    pub streams: u64,
    /// When streams ended, and how.
    pub ends: Vec<(Duration, String)>,
}

/// A statement as it was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub stream: u64,
    pub entry: u64,
    pub inbox: String,
    pub inbox_number: u64,
    pub accepted_at: Moment,
}

/// An agency of a simulated network.
pub struct Agency {
    pub name: String,
    pub folder: PathBuf,
    pub time: Arc<Time>,
    pub plan: Vec<Planned>,
    /// Cannot take every fourth statement when it is first offered.
    pub reluctant: bool,
    pub disk: Mutex<Disk>,
}

impl Agency {
    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its client, on the simulated network.
    pub fn client(&self) -> Client {
        let mut folder = SystemFolder::open(&self.folder).unwrap();
        folder.settings.server = format!("exchange:{PORT}");
        let clock: Arc<dyn Clock> = self.time.clone();
        Client::over(folder, Wire, clock).unwrap()
    }

    /// What runs on it, for ever.
    pub async fn run(self: Arc<Self>) -> turmoil::Result {
        let client = self.client();
        while let Err(error) = client.refresh().await {
            assert!(matches!(error, ClientError::Again(_)), "{error}");
            sleep(limits::BUSY_DELAY).await;
        }
        tokio::join!(self.send(&client, 0), self.send(&client, 1), self.receive(&client));
        Ok(())
    }

    /// Sends every second concern of the plan, one after the other.
    async fn send(&self, client: &Client, lane: usize) {
        for planned in self.plan.iter().skip(lane).step_by(2) {
            if self.disk().receipts.contains_key(&planned.reference) {
                continue;
            }
            self.time.until(planned.at).await;
            let envelope = self.kept(client, planned);
            let first = match client.submit(&envelope).await {
                Ok(response) => response,
                Err(ClientError::Again(_)) => {
                    let now = self.time.elapsed();
                    self.disk().unknown.insert(planned.reference.clone(), now);
                    answered(client, &envelope).await
                }
                Err(error) => panic!("{error}"),
            };
            let receipt = first.receipt.unwrap();
            self.disk().receipts.insert(planned.reference.clone(), receipt.clone());
            let again = match planned.again {
                Again::Nothing => continue,
                Again::Same => envelope,
                Again::Resealed => self.sealed(client, planned),
            };
            let repeat = answered(client, &again).await;
            assert!(repeat.duplicate, "{}: said again, it is known", planned.reference);
            assert_eq!(repeat.receipt, Some(receipt), "{}: byte for byte", planned.reference);
            self.disk().repeated += 1;
        }
    }

    /// The envelope of a concern, on disk before it is sent.
    fn kept(&self, client: &Client, planned: &Planned) -> Vec<u8> {
        let sealed = || self.sealed(client, planned);
        self.disk().said.entry(planned.reference.clone()).or_insert_with(sealed).clone()
    }

    fn sealed(&self, client: &Client, planned: &Planned) -> Vec<u8> {
        let to: Vec<&str> = planned.to.iter().map(String::as_str).collect();
        envelope(client, &concern(&self.name, &to, &planned.reference))
    }

    /// Takes what comes, on one stream after the other.
    async fn receive(&self, client: &Client) {
        let mut delay = limits::BUSY_DELAY;
        loop {
            let ended = self.follow(client, &mut delay).await;
            if let Err(error) = &ended {
                assert!(matches!(error, ClientError::Again(_)), "{}: {error}", self.name);
            }
            self.disk().ends.push((self.time.elapsed(), format!("{ended:?}")));
            sleep(delay).await;
            delay = (delay * 2).min(limits::RETRY_DELAY_MAX);
        }
    }

    async fn follow(&self, client: &Client, delay: &mut Duration) -> Result<(), ClientError> {
        client.refresh().await?;
        let mut stream = client.receive(Vec::new()).await?;
        let number = {
            let mut disk = self.disk();
            disk.streams += 1;
            disk.streams
        };
        loop {
            let silence = |_| ClientError::Again("the stream has gone silent".to_owned());
            let next = timeout(SILENCE_MAX, stream.message()).await.map_err(silence)??;
            let Some(next) = next else { return Ok(()) };
            *delay = limits::BUSY_DELAY;
            if let Some(Item::Incoming(incoming)) = next.item {
                self.take(client, &incoming, number).await?;
            }
        }
    }

    /// Opens and proves a statement, keeps it, and only then says that it is stored. A repeat is
    /// not taken again, only said to be stored again: the exchange may not know.
    async fn take(
        &self,
        client: &Client,
        incoming: &Incoming,
        stream: u64,
    ) -> Result<(), ClientError> {
        let opened = open::open(client.folder(), &client.directory(), incoming).unwrap();
        let written = open::written(incoming, &opened);
        let (entry, inbox) = (incoming.entry, incoming.inbox.clone());
        let notice = written["type"] == "escalation";
        if !notice {
            let reference = written["document"]["reference"].as_str().unwrap().to_owned();
            let inbox_number = incoming.inbox_number;
            let accepted_at = Moment(incoming.accepted_at);
            let mut disk = self.disk();
            if self.reluctant && entry % 4 == 0 && disk.put_off.insert((entry, inbox.clone())) {
                return Ok(());
            }
            let key = (reference, inbox.clone());
            disk.offers.push(Offer {
                stream,
                entry,
                inbox: inbox.clone(),
                inbox_number,
                accepted_at,
            });
            let first = *disk.taken.entry(key).or_insert(entry);
            assert_eq!(first, entry, "{}: one concern under two entries", self.name);
        }
        let folder = client.folder();
        let id = folder.secret.request_id(&self.name, &format!("\0stored\0{entry}\0{inbox}"));
        let about = About { entry, inbox: inbox.parse().unwrap() };
        let stored = client.compose(|composer| composer.step(&about, id, Act::Stored(Stored {})));
        match client.submit(&stored).await {
            Ok(response) => {
                let receipt = response.receipt.unwrap();
                let known = self.disk().stored.insert((entry, inbox), receipt.clone());
                assert!(known.is_none_or(|known| known == receipt), "byte for byte");
                Ok(())
            }
            // It is offered again.
            Err(ClientError::Again(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Sends an envelope until it is answered, and nothing but accepted will do.
async fn answered(client: &Client, envelope: &[u8]) -> SubmitResponse {
    client.submit_until_answered(envelope).await.unwrap_or_else(|error| panic!("{error}"))
}
