//! Senders whose receipts, kept outside the exchange, judge it: what was accepted is there byte
//! for byte and once, whatever became of the program in between.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cairn::{
    audit,
    ledger::tlog_proof::TlogProof,
    proto::{Receipt, SubmitRequest},
    wire::client::{Client, ClientError, folder::SystemFolder},
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{World, statements::*};
use crate::process::PATIENCE;

/// The pause before a sender sends again what was not answered.
const PAUSE: Duration = Duration::from_millis(10);

/// Another connection of the same system. It knows no directory, so it composes nothing.
pub fn line(client: &Client) -> Client {
    Client::new(SystemFolder::open(client.folder().path()).unwrap()).unwrap()
}

/// What an exchange that runs answers, sooner or later.
async fn answered<T>(call: impl Future<Output = T>) -> T {
    timeout(PATIENCE, call).await.expect("the exchange answers")
}

/// Submits once, for the status as it came.
pub async fn submit(client: &Client, envelope: &[u8]) -> Result<Receipt, Status> {
    let request = SubmitRequest { envelope: envelope.to_vec(), validate_only: false };
    let response = client.exchange().submit(request).await?.into_inner();
    Ok(response.receipt.unwrap())
}

/// The reason of a status; empty if it came from no exchange.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Whether it says: not lost, not broken, come again, and when.
pub fn puts_off(status: &Status) -> bool {
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    (status.code(), reason(status)) == (Code::ResourceExhausted, "BUSY".into())
        && delay.is_some_and(|delay| !delay.is_zero())
}

/// A concern with a narrative of this length.
pub fn sized(to: &[&str], reference: &str, body_bytes: usize) -> Value {
    let narrative = "x".repeat(body_bytes);
    let body = json!({"concern": {"category": "neglect", "narrative": narrative}});
    with(concern("police", to, reference), body)
}

/// What the senders hold: accepted with its receipt, or not accepted with the status.
#[derive(Clone, Default)]
pub struct Told {
    pub accepted: Vec<(Vec<u8>, Receipt)>,
    pub not: Vec<(Vec<u8>, Status)>,
}

impl Told {
    /// Adds what others hold.
    pub fn and(&mut self, other: Told) {
        self.accepted.extend(other.accepted);
        self.not.extend(other.not);
    }

    /// Each receipt comes back as it was; nothing was lost and nothing counts twice.
    pub async fn is_kept(&self, world: &World) {
        if let Err(lost) = self.try_kept(world).await {
            panic!("{lost}");
        }
        let concerns = world.summary().await.concerns as usize;
        assert_eq!(concerns, self.accepted.len(), "nothing lost, nothing counted twice");
    }

    /// The same, for tests in which it must not be so: the first receipt that did not come back.
    pub async fn try_kept(&self, world: &World) -> Result<(), String> {
        let police = world.agency("police");
        for (envelope, receipt) in &self.accepted {
            let entry = receipt.entry;
            let again = police.submit(envelope);
            let again = answered(again).await.map_err(|error| error.to_string())?;
            if (again.duplicate, again.receipt.as_ref()) != (true, Some(receipt)) {
                return Err(format!("the receipt of entry {entry} is not what it was"));
            }
        }
        Ok(())
    }

    /// What was not accepted is sent again, twice, and counts once.
    pub async fn goes_in(&mut self, world: &World) {
        let police = world.agency("police");
        for (envelope, _) in std::mem::take(&mut self.not) {
            let receipt = answered(police.submit(&envelope)).await.unwrap().receipt.unwrap();
            let again = answered(police.submit(&envelope)).await.unwrap();
            assert_eq!((again.duplicate, again.receipt.as_ref()), (true, Some(&receipt)));
            self.accepted.push((envelope, receipt));
        }
    }

    /// A mirror made now proves every receipt: its entry, and that its checkpoint was of this
    /// very ledger.
    pub async fn is_proved(&self, world: &World) {
        let mirror = world.folder.path().join("mirror-outside");
        let mut quiet = |_, _| {};
        let made = audit::mirror::mirror(&world.auditor, &mirror, "test", &mut quiet);
        answered(made).await.unwrap();
        let vkeys = std::slice::from_ref(&world.vkey);
        let verified = audit::verify::verify_mirror(&mirror, vkeys).unwrap();
        for (_, receipt) in &self.accepted {
            let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
            let (entry, checkpoint) = proof.verify(&receipt.leaf, vkeys).unwrap();
            assert_eq!(entry, receipt.entry);
            assert!(checkpoint.size() <= verified.size);
            audit::verify::verify_extends(&mirror, proof.checkpoint(), vkeys).unwrap();
        }
    }
}

/// How much is sent at once.
#[derive(Clone, Copy)]
pub struct Load {
    /// Each on a connection of its own.
    pub senders: usize,
    /// Concerns of each sender, at most.
    pub each: usize,
    /// The length of a narrative, about that of an entry.
    pub body_bytes: usize,
}

impl Load {
    /// Sends until all is sent; a sender that is told no sends nothing more. `name` makes the
    /// references its own.
    pub async fn send(self, world: &World, name: &str) -> Told {
        let told = Arc::new(Mutex::new(Told::default()));
        let mut senders = JoinSet::new();
        for number in 0..self.senders {
            let (told, police) = (Arc::clone(&told), world.agency("police").clone());
            let (line, name) = (line(&police), name.to_owned());
            senders.spawn(async move {
                for count in 0..self.each {
                    let reference = format!("{name}-{number}-{count}");
                    let document = sized(&["school/duty"], &reference, self.body_bytes);
                    let envelope = envelope(&police, &document);
                    match submit(&line, &envelope).await {
                        Ok(receipt) => told.lock().unwrap().accepted.push((envelope, receipt)),
                        Err(status) => return told.lock().unwrap().not.push((envelope, status)),
                    }
                }
            });
        }
        while let Some(ended) = senders.join_next().await {
            ended.unwrap();
        }
        Arc::into_inner(told).unwrap().into_inner().unwrap()
    }
}

/// Senders that go on until they are stopped: each sends its next concern when the last one was
/// accepted, and sends what is not answered again, the same bytes.
pub struct Senders {
    stop: Arc<AtomicBool>,
    held: Arc<Mutex<Told>>,
    at_work: JoinSet<()>,
}

impl Senders {
    pub fn start(world: &World, name: &str, load: Load) -> Self {
        let (stop, held) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Told>>::default());
        let mut at_work = JoinSet::new();
        for number in 0..load.senders {
            let (stop, held) = (Arc::clone(&stop), Arc::clone(&held));
            let (police, name) = (world.agency("police").clone(), name.to_owned());
            let line = line(&police);
            at_work.spawn(async move {
                for count in 0..load.each {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let to = ["school/duty", "social-work/duty"];
                    let reference = format!("{name}-{number}-{count}");
                    let envelope = envelope(&police, &sized(&to, &reference, load.body_bytes));
                    let receipt = loop {
                        match answered(line.submit(&envelope)).await {
                            Ok(response) => break response.receipt.unwrap(),
                            Err(ClientError::Again(_)) => tokio::time::sleep(PAUSE).await,
                            Err(error) => panic!("{error}"),
                        }
                    };
                    held.lock().unwrap().accepted.push((envelope, receipt));
                }
            });
        }
        Self { stop, held, at_work }
    }

    /// Waits until this many more receipts have come. The exchange must be running.
    pub async fn receive(&mut self, more: usize) {
        let held = Arc::clone(&self.held);
        let receipts = || held.lock().unwrap().accepted.len();
        let wanted = receipts() + more;
        let come = timeout(PATIENCE, async {
            while receipts() < wanted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut come = pin!(come);
        loop {
            tokio::select! {
                come = &mut come => return come.expect("receipts come"),
                // A sender that has failed says why here.
                Some(ended) = self.at_work.join_next() => ended.unwrap(),
            }
        }
    }

    /// Lets each have its last answer. The exchange must be running.
    pub async fn stop(mut self) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        let ended = async {
            while let Some(ended) = self.at_work.join_next().await {
                ended.unwrap();
            }
        };
        timeout(PATIENCE, ended).await.expect("each has its last answer");
        Arc::into_inner(self.held).unwrap().into_inner().unwrap()
    }
}
