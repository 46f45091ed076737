//! `cairn send`: concern documents, one a line, to an answer each.
//!
//! A bad line never stops the good ones. What is not answered stays in the outbox and
//! is sent first by the next `cairn send`; what is refused stays there until somebody
//! mends it.
//!
//! Holds: I6, I8, I10, I13. Knows: wire::client, domain.

mod lines;
mod push;
mod tally;

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::{JoinSet, block_in_place};

pub(super) use self::lines::Lines;
use self::{
    lines::Line,
    push::{Fate, Pusher},
    tally::Tally,
};
use super::{
    Output, print,
    speaker::{Speaker, alone},
};
use crate::{domain::document::Document, wire::client::outbox::Outbox};

/// Statements under way at once.
const AT_ONCE: usize = 16;

/// Send concern documents, one JSON object a line
///
/// Every line is answered on its own: accepted, a duplicate of one that was accepted
/// before, refused, or malformed. Exits with 0 if every line was accepted, 1 if one was
/// refused or malformed, 3 if some are not answered yet: those are kept in the system's
/// outbox and sent first by the next `cairn send`. Sending a file again is safe.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn send --system systems/school-a --file concerns.jsonl\n  \
    jq -c . concern.json | cairn send --system systems/school-a --file -\n  \
    cairn send --system systems/school-a            (only what the outbox still keeps)\n  \
    cairn send --system systems/school-a --forget ID"
)]
pub(crate) struct Send {
    #[command(flatten)]
    speaker: Speaker,
    /// The documents; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Give up once nothing at all was answered for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Let go of something refused that you have dealt with, by its id in `cairn status`
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    forget: Vec<String>,
    /// How to print what became of them
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Send {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let folder = client.folder().path().to_path_buf();
        let outbox = Outbox::of(&folder).with_context(|| folder.display().to_string())?;
        if !self.forget.is_empty() {
            return forget(&outbox, &self.forget);
        }
        let running = "another `cairn send` is running for this system";
        let _alone = alone(&folder, "outbox/.send.lock", running)?;
        let input = self.file.as_deref().map(open).transpose()?;
        let pusher = Pusher::new(client, outbox, Duration::from_secs(self.wait))?;
        pusher.read_directory().await.context(
            "nothing was sent: the directory, which says to whom to seal, could not be read",
        )?;
        let mut tally = Tally::default();
        let pushed = push_all(&pusher, input, &mut tally).await;
        // What was answered before a fault is told in any case.
        tally.print(self.output, &folder)?;
        pushed?;
        Ok(tally.exit_code())
    }
}

/// First what the outbox still keeps, then the lines.
async fn push_all(pusher: &Pusher, input: Option<Input>, tally: &mut Tally) -> anyhow::Result<()> {
    for id in pusher.unanswered()? {
        let fate = pusher.resend(id.clone()).await?;
        tally.resent(id, fate);
    }
    match input {
        Some((input, length)) => push_lines(pusher, input, length, tally).await,
        None => Ok(()),
    }
}

/// Pushes every line; up to [`AT_ONCE`] at a time, those of one reference in order.
async fn push_lines(
    pusher: &Pusher,
    input: Box<dyn BufRead + std::marker::Send>,
    length: Option<u64>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let progress = progress(length);
    let mut lines = Lines::of(input);
    let mut window = Window::default();
    while let Some(line) = block_in_place(|| lines.next()).context("cannot read the documents")? {
        progress.inc(line.taken);
        let Some(document) = own_document(pusher, &line, tally) else { continue };
        let request_id = pusher.client().compose(|composer| composer.request_id(&document));
        while window.work.len() >= AT_ONCE || window.busy.contains(&request_id) {
            window.collect_one(tally).await?;
        }
        window.busy.insert(request_id);
        let (pusher, number) = (pusher.clone(), line.number);
        window.work.spawn(async move {
            let fate = pusher.push(&document).await.with_context(|| format!("line {number}"));
            Answered { number, request_id, reference: document.fields.reference, fate }
        });
    }
    while !window.work.is_empty() {
        window.collect_one(tally).await?;
    }
    progress.finish_and_clear();
    Ok(())
}

/// The document of a line, if it is one and ours to send.
fn own_document(pusher: &Pusher, line: &Line, tally: &mut Tally) -> Option<Document> {
    let document = match Document::parse(&line.bytes) {
        Ok(document) => document,
        Err(malformed) => {
            tally.malformed(line.number, malformed.code(), malformed.to_string());
            return None;
        }
    };
    let ours = &pusher.client().folder().settings.agency;
    if document.fields.from == *ours {
        return Some(document);
    }
    let message = format!(
        "`from` is {}, and this system speaks for {ours} alone. Send it with --system of that \
         agency's own folder.",
        document.fields.from
    );
    let code = "other_agency".to_owned();
    tally.line(line.number, document.fields.reference, Fate::Refused { code, message });
    None
}

/// What is under way.
#[derive(Default)]
struct Window {
    work: JoinSet<Answered>,
    busy: HashSet<[u8; 16]>,
}

struct Answered {
    number: u64,
    request_id: [u8; 16],
    reference: String,
    fate: anyhow::Result<Fate>,
}

impl Window {
    async fn collect_one(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        if let Some(done) = self.work.join_next().await {
            let Answered { number, request_id, reference, fate } = done?;
            self.busy.remove(&request_id);
            tally.line(number, reference, fate?);
        }
        Ok(())
    }
}

type Input = (Box<dyn BufRead + std::marker::Send>, Option<u64>);

fn open(path: &Path) -> anyhow::Result<Input> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let length = file.metadata().map(|about| about.len()).ok();
    Ok((Box::new(BufReader::new(file)), length))
}

fn forget(outbox: &Outbox, ids: &[String]) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        if outbox.list()?.iter().any(|kept| kept.id == *id && kept.refused.is_some()) {
            outbox.forget(id)?;
            print::line(format_args!("{id}: let go of"))?;
        } else {
            eprintln!("cairn: {id}: nothing refused has this id; `cairn status` lists the ids");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Shown on a terminal only.
fn progress(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "sending {bar:40} {percent}%"),
        None => (ProgressBar::new_spinner(), "sending {spinner} {binary_bytes}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
