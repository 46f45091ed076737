//! An agency that nobody is behind, as a recipient: stores what comes, then does what a person
//! would do, marked `simulated`. For demonstrations, and for the concern that proves the path.
//!
//! Knows: domain, proto.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, anyhow};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{Client, compose::About, open};
use crate::{
    domain::ids::InboxId,
    proto::{
        self, Acknowledgement, Decision, Facts, Feedback, Incoming, Opened, Person, Stored,
        receive_response::Item, statement::Act,
    },
};

/// How many statements one agency works on at once.
const AT_ONCE: usize = 8;

/// An agency's receiving side.
pub struct Recipient {
    client: Client,
    /// Where received documents go: `<folder>/<role>.jsonl`.
    folder: PathBuf,
    /// Entries taken already, so that a repeat is taken once.
    taken: Mutex<HashSet<(u64, String, usize)>>,
    file: Mutex<()>,
}

impl Recipient {
    /// Receives into a folder.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(client: Client, folder: PathBuf) -> anyhow::Result<Arc<Self>> {
        fs::create_dir_all(&folder)?;
        let (taken, file) = (Mutex::new(HashSet::new()), Mutex::new(()));
        Ok(Arc::new(Self { client, folder, taken, file }))
    }

    /// Receives until told to end.
    ///
    /// # Errors
    /// When the stream ends, or something that came cannot be verified.
    pub async fn run(self: Arc<Self>, ended: CancellationToken) -> anyhow::Result<()> {
        let mut stream = self.client.receive(Vec::new()).await?;
        let window = Arc::new(Semaphore::new(AT_ONCE));
        let mut work: JoinSet<anyhow::Result<()>> = JoinSet::new();
        loop {
            tokio::select! {
                () = ended.cancelled() => break,
                Some(done) = work.join_next() => done??,
                item = stream.next() => match item.context("the stream ended")??.item {
                    Some(Item::Incoming(incoming)) => {
                        let permit = Arc::clone(&window).acquire_owned().await?;
                        let recipient = Arc::clone(&self);
                        work.spawn(async move {
                            let done = recipient.take(incoming).await;
                            drop(permit);
                            done
                        });
                    }
                    Some(Item::Alive(_)) | None => {}
                },
            }
        }
        while let Some(done) = work.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Stores one statement and, if it is a concern, sees it through.
    async fn take(&self, incoming: Incoming) -> anyhow::Result<()> {
        let round = (incoming.entry, incoming.inbox.clone(), incoming.rewraps.len());
        if !self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(round) {
            return Ok(());
        }
        let directory = self.client.directory();
        let opened = open::open(self.client.folder(), &directory, &incoming)
            .map_err(|suspect| anyhow!("entry {}: {suspect}", incoming.entry))?;
        let inbox: InboxId = incoming.inbox.parse()?;
        let line = serde_json::to_vec(&open::written(&incoming, &opened))?;
        tokio::task::block_in_place(|| self.write(&inbox, line))?;
        let about = About { entry: incoming.entry, inbox };
        self.say(&about, "stored", Act::Stored(Stored {})).await?;
        if !matches!(opened.statement.act, Some(Act::Concern(_))) {
            return Ok(());
        }
        let facts: Facts = proto::decode(&incoming.facts)?;
        let person = || Some(simulated(&about.inbox));
        self.say(&about, "opened", Act::Opened(Opened { person: person() })).await?;
        let act = Act::Acknowledgement(Acknowledgement { person: person() });
        self.say(&about, "acknowledged", act).await?;
        let outcome = outcome(&facts).to_owned();
        let act = Act::Decision(Decision {
            person: person(),
            outcome: outcome.clone(),
            reason: String::new(),
        });
        self.say(&about, "decided", act).await?;
        self.feedback(&about, &facts, &outcome).await
    }

    async fn feedback(&self, about: &About, facts: &Facts, outcome: &str) -> anyhow::Result<()> {
        let to: Vec<InboxId> = facts.reply_to.parse().into_iter().collect();
        let body = serde_json::json!({
            "outcome": outcome,
            "text": "Thank you. This is a simulated answer to a made-up concern.",
        });
        let act = Act::Feedback(Feedback { person: Some(simulated(&about.inbox)) });
        let id = self.request_id(about, "feedback");
        let envelope =
            self.client.compose(|composer| composer.step_with_body(about, id, &to, act, &body))?;
        self.client.submit_until_answered(&envelope).await?;
        Ok(())
    }

    async fn say(&self, about: &About, step: &str, act: Act) -> anyhow::Result<()> {
        let id = self.request_id(about, step);
        let envelope = self.client.compose(|composer| composer.step(about, id, act));
        self.client
            .submit_until_answered(&envelope)
            .await
            .with_context(|| format!("{step} entry {} for {}", about.entry, about.inbox))?;
        Ok(())
    }

    /// The same step about the same delivery always has the same id.
    fn request_id(&self, about: &About, step: &str) -> [u8; 16] {
        let folder = self.client.folder();
        let reference = format!("\0{step}\0{}\0{}", about.entry, about.inbox);
        folder.secret.request_id(folder.settings.agency.as_str(), &reference)
    }

    /// Appends a line to the inbox's file and syncs it: only then may `stored` be
    /// said.
    fn write(&self, inbox: &InboxId, mut line: Vec<u8>) -> anyhow::Result<()> {
        let _one_at_a_time = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(format!("{}.jsonl", inbox.role()));
        line.push(b'\n');
        let mut file = append_to(&path)?;
        file.write_all(&line)?;
        Ok(file.sync_data()?)
    }
}

fn append_to(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| path.display().to_string())
}

/// Who acts for an agency here, said to be nobody real.
fn simulated(inbox: &InboxId) -> Person {
    Person {
        staff_id: "demonstration".into(),
        name: String::new(),
        post: format!("simulated {}", inbox.role()),
        simulated: true,
    }
}

/// A plausible outcome for a made-up concern.
fn outcome(facts: &Facts) -> &'static str {
    match facts.urgency.as_str() {
        "information" => "noted_for_information",
        "immediate" => "emergency_action",
        "urgent" => "strategy_or_ird",
        "prompt" => "assessment",
        _ => "early_help_or_named_person_support",
    }
}
