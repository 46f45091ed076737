//! `cairn receive`: takes what comes for a system's inboxes, into files or a command.
//!
//! Holds: I7, I10. Knows: wire::client, domain, proto.

mod shelf;
mod take;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    shelf::Shelf,
    take::{Taken, Taker, To},
};
use super::{
    kept,
    speaker::{Speaker, alone, answered},
};
use crate::{
    domain::ids::{InboxId, RoleName},
    limits,
    proto::{ListDeliveriesRequest, ListDeliveriesResponse, receive_response::Item},
    wire::client::{Client, ClientError, outbox::Outbox},
};

/// A stream that says nothing, not even that it is alive, for this long is dead.
const SILENCE_MAX: Duration = limits::ALIVE_INTERVAL.saturating_mul(3);

/// Receive what comes for the system's inboxes
///
/// Each statement is opened, proved to be in the ledger, and written as one JSON line to
/// FOLDER/<role>.jsonl, or handed to a command that runs once for each with the JSON on its
/// standard input and takes it by exiting with 0. Only then is it said to be stored. A
/// program that receives can store; to acknowledge needs a person and `cairn ack`.
///
/// The command sees CAIRN_ENTRY, CAIRN_INBOX and CAIRN_TYPE. After a crash it may see a
/// statement again: the entry number and inbox tell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn receive --system systems/sw --to received\n  \
    cairn receive --system systems/sw --inbox duty --to received --once\n  \
    cairn receive --system systems/sw --exec 'curl -sf --data-binary @- http://localhost/intake'")]
pub(crate) struct Receive {
    #[command(flatten)]
    speaker: Speaker,
    /// Only for the inbox of this role [default: all whose keys the folder has]
    #[arg(long, value_name = "ROLE")]
    inbox: Vec<RoleName>,
    /// Write each statement to <role>.jsonl in this folder
    #[arg(long, value_name = "FOLDER", required_unless_present = "exec")]
    to: Option<PathBuf>,
    /// Run this with sh for each statement
    #[arg(long, value_name = "COMMAND", conflicts_with = "to")]
    exec: Option<String>,
    /// The longest that the command may take for one statement
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    exec_time: u64,
    /// Take what waits, then end: with 0 if nothing is left, else with 1
    #[arg(long)]
    once: bool,
}

impl Receive {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let inboxes = self.inboxes(&client)?;
        let path = client.folder().path();
        let outbox = Outbox::of(path).with_context(|| path.display().to_string())?;
        kept::create(path).with_context(|| path.display().to_string())?;
        let _alone: Vec<File> = inboxes
            .iter()
            .map(|inbox| {
                let running = format!("another `cairn receive` serves {inbox} with this folder");
                alone(path, &format!("kept/.{}.lock", inbox.role()), &running)
            })
            .collect::<Result<_, _>>()?;
        let to = self.destination(&inboxes)?;
        let asked = inboxes.clone();
        let (gone_elsewhere, complained) = (BTreeSet::new(), BTreeSet::new());
        let taker = Taker { client, outbox, to, asked, gone_elsewhere, complained };
        let ending = Ending::on_signals()?;
        let work = async {
            match self.once {
                true => once(taker, &inboxes, ending.soon).await,
                false => forever(taker, &inboxes, ending.soon).await,
            }
        };
        tokio::select! {
            ended = work => ended,
            () = ending.now.cancelled() => Ok(ExitCode::FAILURE),
        }
    }

    /// Those asked for, else those that the system has keys for: another system of the
    /// agency may serve the others, and what we cannot open is not lost.
    fn inboxes(&self, client: &Client) -> anyhow::Result<Vec<InboxId>> {
        let folder = client.folder();
        ensure!(
            !folder.sealing.is_empty(),
            "{}: this system serves no inbox: it has no key in sealing/",
            folder.path().display()
        );
        if self.inbox.is_empty() {
            return Ok(folder.sealing.keys().cloned().collect());
        }
        let agency = &folder.settings.agency;
        let asked = self.inbox.iter().map(|role| InboxId::new(agency, role));
        asked
            .map(|inbox| match folder.sealing.contains_key(&inbox) {
                true => Ok(inbox),
                false => bail!("{inbox}: this system has no key for it in sealing/"),
            })
            .collect()
    }

    fn destination(&self, inboxes: &[InboxId]) -> anyhow::Result<To> {
        match (&self.to, &self.exec) {
            (Some(folder), _) => {
                let roles: Vec<&str> = inboxes.iter().map(InboxId::role).collect();
                let shelf = Shelf::open(folder, &roles);
                Ok(To::Folder(shelf.with_context(|| folder.display().to_string())?))
            }
            (None, Some(command)) => {
                let time = Duration::from_secs(self.exec_time);
                Ok(To::Command { line: command.clone(), time })
            }
            (None, None) => bail!("give --to FOLDER or --exec COMMAND"),
        }
    }
}

/// Takes what waits, page by page, until a look from the beginning shows nothing new.
async fn once(
    mut taker: Taker,
    inboxes: &[InboxId],
    ended: CancellationToken,
) -> anyhow::Result<ExitCode> {
    answered(taker.client.refresh()).await.context("cannot read the directory")?;
    let mut left: BTreeMap<(u64, String), Taken> = BTreeMap::new();
    loop {
        let before = left.len();
        let mut page_token = String::new();
        loop {
            let page = page(&taker.client, inboxes, page_token).await?;
            for incoming in page.incoming {
                let which = (incoming.entry, incoming.inbox.clone());
                if ended.is_cancelled() {
                    return Ok(ExitCode::FAILURE);
                }
                if left.contains_key(&which) {
                    continue;
                }
                match taker.take(&incoming).await? {
                    Taken::Stored => {}
                    not_stored => drop(left.insert(which, not_stored)),
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if left.len() == before {
            break;
        }
    }
    if left.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("cairn: {} not stored; they will be offered again", left.len());
    match left.values().any(|taken| *taken == Taken::Unanswered) {
        true => Ok(ExitCode::from(3)),
        false => Ok(ExitCode::FAILURE),
    }
}

async fn page(
    client: &Client,
    inboxes: &[InboxId],
    page_token: String,
) -> Result<ListDeliveriesResponse, ClientError> {
    let inboxes = inboxes.iter().map(ToString::to_string).collect();
    let request = ListDeliveriesRequest { inboxes, page_size: 0, page_token };
    Ok(answered(client.exchange().list_deliveries(request)).await?.into_inner())
}

/// Takes what comes until told to end; connects again whenever it must.
async fn forever(
    mut taker: Taker,
    inboxes: &[InboxId],
    ended: CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut delay = limits::BUSY_DELAY;
    while !ended.is_cancelled() {
        match follow(&mut taker, inboxes, &ended, &mut delay).await {
            Err(error) if again(&error) => eprintln!("cairn: {error:#}; trying again"),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        tokio::select! {
            () = sleep(delay) => {}
            () = ended.cancelled() => {}
        }
        delay = (delay * 2).min(limits::RETRY_DELAY_MAX);
    }
    Ok(ExitCode::SUCCESS)
}

/// One stream, from its beginning to its end. What has begun to be taken is seen through.
async fn follow(
    taker: &mut Taker,
    inboxes: &[InboxId],
    ended: &CancellationToken,
    delay: &mut Duration,
) -> anyhow::Result<()> {
    answered(taker.client.refresh()).await.context("cannot read the directory")?;
    let names = inboxes.iter().map(ToString::to_string).collect();
    let mut stream = answered(taker.client.receive(names)).await?;
    loop {
        let next = tokio::select! {
            next = timeout(SILENCE_MAX, stream.message()) => next,
            () = ended.cancelled() => return Ok(()),
        };
        let silence = |_| ClientError::Again("the stream has gone silent".to_owned());
        let Some(next) = next.map_err(silence)?.map_err(ClientError::from)? else {
            return Ok(());
        };
        *delay = limits::BUSY_DELAY;
        if let Some(Item::Incoming(incoming)) = next.item {
            taker.take(&incoming).await?;
        }
    }
}

/// Whether the same may go well later.
fn again(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<ClientError>(), Some(ClientError::Again(_)))
}

/// Told to end: `soon` after what has begun, `now` if told twice.
struct Ending {
    soon: CancellationToken,
    now: CancellationToken,
}

impl Ending {
    fn on_signals() -> anyhow::Result<Self> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let ending = Self { soon: CancellationToken::new(), now: CancellationToken::new() };
        let (soon, now) = (ending.soon.clone(), ending.now.clone());
        tokio::spawn(async move {
            for told in [soon, now] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                told.cancel();
            }
        });
        Ok(ending)
    }
}
