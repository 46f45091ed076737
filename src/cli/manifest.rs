//! `cairn manifest`: does all that an agency counts as sent lie in the ledger?
//!
//! Knows: cli::send, wire::client, domain, proto.

use std::{collections::BTreeMap, fs, io::BufReader, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::json;

use super::{
    Output, print,
    send::Lines,
    speaker::{Speaker, answered},
};
use crate::{
    domain::document::Document,
    limits,
    proto::{self, Facts, statement::Act},
    wire::client::Client,
};

/// Compare what this agency counts as sent with what the exchange has accepted
///
/// The file is made from the agency's own records, apart from what sends: concern documents, one a
/// line, as `cairn send` takes them. Their request ids are said to the exchange; nothing else of
/// them leaves. It keeps asking for those that it does not have. Exits with 1 if there are any.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cairn manifest --file sent-today.jsonl --system systems/police"
)]
pub(crate) struct Manifest {
    /// Concern documents, one a line
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    speaker: Speaker,
    /// How to print the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

/// One line that was counted: its number, and its sender's own reference.
struct Counted {
    line: u64,
    reference: String,
}

impl Manifest {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.ready().await?;
        let (counted, bad) = self.count(&client)?;
        let ids: Vec<_> = counted.keys().copied().collect();
        let (mut entries, mut missing) = (Vec::new(), Vec::new());
        for ids in ids.chunks(limits::MANIFEST_MAX) {
            let (entry, facts) = say(&client, ids).await?;
            entries.push(entry);
            let absent = facts.missing.iter().filter_map(|place| ids.get(*place as usize));
            missing.extend(absent.filter_map(|id| counted.get(id)));
        }
        missing.sort_by_key(|counted| counted.line);
        self.print(counted.len(), bad, &entries, &missing)?;
        Ok(if missing.is_empty() && bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Each request id of the file once, and how many lines cannot be counted. A bad line does not
    /// stop the good ones.
    fn count(&self, client: &Client) -> anyhow::Result<(BTreeMap<[u8; 16], Counted>, usize)> {
        let name = self.file.display();
        let file = fs::File::open(&self.file).with_context(|| name.to_string())?;
        let (mut lines, mut counted) = (Lines::of(BufReader::new(file)), BTreeMap::new());
        let mut bad = 0;
        while let Some(line) = lines.next().with_context(|| name.to_string())? {
            match own_document(client, &line.bytes) {
                Ok(document) => {
                    let id = client.compose(|composer| composer.request_id(&document));
                    let reference = document.fields.reference;
                    counted.entry(id).or_insert(Counted { line: line.number, reference });
                }
                Err(error) => {
                    bad += 1;
                    eprintln!("{name}, line {}: it cannot be counted: {error:#}", line.number);
                }
            }
        }
        ensure!(!counted.is_empty(), "{name}: it counts nothing");
        Ok((counted, bad))
    }

    fn print(
        &self,
        counted: usize,
        bad: usize,
        entries: &[u64],
        missing: &[&Counted],
    ) -> anyhow::Result<()> {
        if self.output == Output::Json {
            let row = |it: &&Counted| json!({"line": it.line, "reference": it.reference});
            let missing: Vec<_> = missing.iter().map(row).collect();
            let result =
                json!({"counted": counted, "bad": bad, "entries": entries, "missing": missing});
            return print::json(&result);
        }
        for Counted { line, reference } in missing {
            print::line(format_args!("line {line}: not in the ledger: {reference}"))?;
        }
        let came = counted - missing.len();
        print::line(format_args!("{came} of {counted} are in the ledger"))?;
        if !missing.is_empty() {
            eprintln!("Send the rest: cairn send --file {} …", self.file.display());
        }
        Ok(())
    }
}

fn own_document(client: &Client, line: &[u8]) -> anyhow::Result<Document> {
    let document = Document::parse(line)?;
    let agency = &client.folder().settings.agency;
    ensure!(document.fields.from == *agency, "it is not from {agency}");
    Ok(document)
}

/// Says one part of the manifest: its entry, and what the exchange found.
async fn say(client: &Client, ids: &[[u8; 16]]) -> anyhow::Result<(u64, Facts)> {
    let mut id = [0; 16];
    if let Err(error) = getrandom::fill(&mut id) {
        bail!("no randomness: {error}");
    }
    let request_ids = ids.iter().map(|id| id.to_vec()).collect();
    let act = Act::Manifest(proto::Manifest { request_ids });
    let envelope = client.compose(|composer| composer.of_agency(id, act));
    let receipt = answered(client.submit(&envelope)).await?.receipt.unwrap_or_default();
    Ok((receipt.entry, proto::decode(&receipt.facts)?))
}
