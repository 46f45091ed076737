//! An agency that nobody is behind: as a recipient, which stores what comes and then does what a
//! person would do, or leaves that to a [`Post`]; all of it marked `simulated`. For demonstrations,
//! and for the concern that proves the path.
//!
//! Knows: domain, proto, limits.

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

use super::{Client, ClientError, compose::About, open};
use crate::{
    domain::ids::InboxId,
    limits,
    proto::{
        self, Acknowledgement, Decision, Facts, Feedback, Incoming, Opened, Person, Stored,
        receive_response::Item, statement::Act,
    },
};

/// How many statements one agency works on at once.
const AT_ONCE: usize = 8;
/// What is said to the sender when nothing else is.
const ANSWER: &str = "Thank you. This is a simulated answer to a made-up concern.";

/// An agency's receiving side.
pub struct Recipient {
    client: Client,
    /// Where received documents go: `<folder>/<role>.jsonl`.
    folder: PathBuf,
    /// Whether it sees concerns through, once they are stored.
    acts: bool,
    /// Entries taken already, so that a repeat is taken once.
    taken: Mutex<HashSet<(u64, String, usize)>>,
    file: Mutex<()>,
}

impl Recipient {
    /// Receives into a folder, and does at once all that a person would do.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(client: Client, folder: PathBuf) -> anyhow::Result<Arc<Self>> {
        Self::made(client, folder, true)
    }

    /// Receives into a folder, and no more: what people do is theirs.
    ///
    /// # Errors
    /// What the file system says.
    pub fn that_only_stores(client: Client, folder: PathBuf) -> anyhow::Result<Arc<Self>> {
        Self::made(client, folder, false)
    }

    fn made(client: Client, folder: PathBuf, acts: bool) -> anyhow::Result<Arc<Self>> {
        fs::create_dir_all(&folder)?;
        let (taken, file) = (Mutex::new(HashSet::new()), Mutex::new(()));
        Ok(Arc::new(Self { client, folder, acts, taken, file }))
    }

    /// Receives until told to end, and begins again whenever the exchange was away.
    ///
    /// # Errors
    /// When it is refused, or something that came cannot be verified.
    pub async fn keep(self: Arc<Self>, ended: CancellationToken) -> anyhow::Result<()> {
        loop {
            let run = Arc::clone(&self).run(ended.clone());
            let Err(error) = run.await else { return Ok(()) };
            if !matches!(error.downcast_ref(), Some(ClientError::Again(_))) {
                return Err(error);
            }
            let pause = tokio::time::sleep(limits::BUSY_DELAY);
            if ended.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Receives until told to end.
    ///
    /// # Errors
    /// When the stream ends, or something that came cannot be verified.
    pub async fn run(self: Arc<Self>, ended: CancellationToken) -> anyhow::Result<()> {
        let mut stream = self.client.receive(Vec::new()).await?;
        let window = Arc::new(Semaphore::new(AT_ONCE));
        let mut work: JoinSet<anyhow::Result<()>> = JoinSet::new();
        let end = loop {
            tokio::select! {
                () = ended.cancelled() => break Ok(()),
                Some(done) = work.join_next() => done??,
                item = stream.next() => match item {
                    Some(Ok(item)) => if let Some(Item::Incoming(incoming)) = item.item {
                        let permit = Arc::clone(&window).acquire_owned().await?;
                        let recipient = Arc::clone(&self);
                        work.spawn(async move {
                            let done = recipient.take(incoming).await;
                            drop(permit);
                            done
                        });
                    },
                    Some(Err(status)) => break Err(ClientError::from(status).into()),
                    None => break Err(ClientError::Again("the stream ended".into()).into()),
                },
            }
        };
        // What was begun is finished: it would not be begun again.
        while let Some(done) = work.join_next().await {
            done??;
        }
        end
    }

    /// Stores one statement and, if it is a concern and nobody else will, sees it through.
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
        say(&self.client, &about, "stored", Act::Stored(Stored {})).await?;
        if !self.acts || !matches!(opened.statement.act, Some(Act::Concern(_))) {
            return Ok(());
        }
        let facts: Facts = proto::decode(&incoming.facts)?;
        let post = Post::of(&self.client, &format!("simulated {}", about.inbox.role()));
        let outcome = outcome(&facts);
        post.open(&about).await?;
        post.acknowledge(&about).await?;
        post.decide(&about, outcome).await?;
        post.answer(&about, &facts.reply_to, outcome, ANSWER).await
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

/// A post of an agency. Whoever acts there is said to be nobody real.
pub struct Post<'a> {
    client: &'a Client,
    person: Person,
}

impl<'a> Post<'a> {
    /// The post of that name.
    pub fn of(client: &'a Client, post: &str) -> Self {
        Self { client, person: simulated(post) }
    }

    /// Says that it was read.
    ///
    /// # Errors
    /// The refusal.
    pub async fn open(&self, about: &About) -> anyhow::Result<()> {
        say(self.client, about, "opened", Act::Opened(Opened { person: self.person() })).await
    }

    /// Takes it.
    ///
    /// # Errors
    /// The refusal.
    pub async fn acknowledge(&self, about: &About) -> anyhow::Result<()> {
        let act = Act::Acknowledgement(Acknowledgement { person: self.person() });
        say(self.client, about, "acknowledged", act).await
    }

    /// Decides.
    ///
    /// # Errors
    /// The refusal.
    pub async fn decide(&self, about: &About, outcome: &str) -> anyhow::Result<()> {
        let (outcome, reason) = (outcome.to_owned(), String::new());
        let act = Act::Decision(Decision { person: self.person(), outcome, reason });
        say(self.client, about, "decided", act).await
    }

    /// Tells the sender, at `reply_to`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn answer(
        &self,
        about: &About,
        reply_to: &str,
        outcome: &str,
        text: &str,
    ) -> anyhow::Result<()> {
        let to: Vec<InboxId> = reply_to.parse().into_iter().collect();
        let body = serde_json::json!({ "outcome": outcome, "text": text });
        let act = Act::Feedback(Feedback { person: self.person() });
        let id = request_id(self.client, about, "feedback");
        let envelope =
            self.client.compose(|composer| composer.step_with_body(about, id, &to, act, &body))?;
        submit(self.client, about, "feedback", &envelope).await
    }

    fn person(&self) -> Option<Person> {
        Some(self.person.clone())
    }
}

/// Somebody in a post, said to be nobody real.
pub fn simulated(post: &str) -> Person {
    Person {
        staff_id: "demonstration".into(),
        name: String::new(),
        post: post.to_owned(),
        simulated: true,
    }
}

async fn say(client: &Client, about: &About, step: &str, act: Act) -> anyhow::Result<()> {
    let id = request_id(client, about, step);
    let envelope = client.compose(|composer| composer.step(about, id, act));
    submit(client, about, step, &envelope).await
}

async fn submit(client: &Client, about: &About, step: &str, said: &[u8]) -> anyhow::Result<()> {
    let answered = client.submit_until_answered(said).await;
    answered.with_context(|| format!("{step} entry {} for {}", about.entry, about.inbox))?;
    Ok(())
}

/// The same step about the same delivery always has the same id.
fn request_id(client: &Client, about: &About, step: &str) -> [u8; 16] {
    let folder = client.folder();
    let reference = format!("\0{step}\0{}\0{}", about.entry, about.inbox);
    folder.secret.request_id(folder.settings.agency.as_str(), &reference)
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
