//! Damaged, missing and outdated files: what the exchange makes of them when it starts.
//!
//! The index may be in any state: it is rebuilt. The journal may not: what is wrong in it is
//! named by segment, offset and entry, and nothing wrong is ever served. Only an unfinished batch
//! that nobody was told of is cut, kept aside and recorded.

mod damage;
mod index;
mod torn;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cairn::{
    proto::Receipt,
    server::Server,
    store::{
        Index, Journal,
        journal::{self, Damage, Detail, Evidence, Exchange, Options, Record, Scanned},
    },
};
use serde_json::json;

use crate::support::{World, code, launch, statements::*};

/// A world with a past, stopped: what its sender holds, and the index as it should be.
struct Past {
    world: World,
    held: Vec<(Vec<u8>, Receipt)>,
    content: [u8; 32],
}

impl Past {
    async fn of(concerns: usize) -> Self {
        let mut world = World::with_agencies().await;
        let (police, school) = (world.agency("police"), world.agency("school"));
        let mut held = Vec::new();
        for number in 0..concerns {
            let to = ["school/duty", "social-work/duty"];
            let envelope = envelope(police, &concern("police", &to, &format!("D-{number}")));
            let receipt = police.submit(&envelope).await.unwrap().receipt.unwrap();
            held.push((envelope, receipt));
        }
        let first = held[0].1.entry;
        for act in [stored(), opened(), acknowledged()] {
            say(school, first, "school/duty", act).await.unwrap();
        }
        let nowhere = with(concern("police", &["school/duty"], "D-0"), json!({"purpose": "other"}));
        assert_eq!(code(send(police, &nowhere).await), "request_id_conflict");
        world.stop().await;
        let content = content(&world);
        Self { world, held, content }
    }

    fn journal(&self) -> PathBuf {
        self.world.data().journal()
    }

    fn index(&self) -> PathBuf {
        self.world.data().index()
    }

    /// The first segment's file.
    fn segment(&self) -> PathBuf {
        self.segments()[0].clone()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.journal()).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> =
            names.filter(|path| path.extension().is_some_and(|kind| kind == "seg")).collect();
        segments.sort();
        segments
    }

    /// Starts, finds every receipt as it was, stops, and finds the index as it was.
    async fn is_as_it_was(&mut self, what: &str) {
        self.world.start().await;
        self.every_receipt_returns(what).await;
        self.world.stop().await;
        assert_eq!(content(&self.world), self.content, "{what}: the index is a fold");
    }

    /// Starts, finds every receipt as it was, stops, and takes the index for what it should be:
    /// the ledger has moved or grown.
    async fn settles(&mut self) {
        self.world.start().await;
        self.every_receipt_returns("as it is now").await;
        self.world.stop().await;
        self.content = content(&self.world);
    }

    async fn every_receipt_returns(&self, what: &str) {
        for (envelope, receipt) in &self.held {
            let again = self.world.agency("police").submit(envelope).await.expect(what);
            assert_eq!((again.duplicate, again.receipt.as_ref()), (true, Some(receipt)), "{what}");
        }
    }

    /// Why the server does not start.
    async fn refuses_to_start(&self, what: &str) -> String {
        match self.try_start().await {
            Ok(_) => panic!("{what}: it started"),
            Err(why) => why,
        }
    }

    async fn try_start(&self) -> Result<Server, String> {
        self.world.try_start().await.map_err(|error| error.to_string())
    }

    fn problems(&self) -> Vec<Damage> {
        journal::fsck(&self.journal(), Exchange::Stopped, &mut |_| false, &mut |_, _| {})
            .unwrap()
            .problems
    }

    /// The same ledger, batch for batch, in segments of this size; the index goes.
    fn in_segments_of(&self, segment_bytes: u64) {
        in_segments_of(&self.world, segment_bytes);
    }

    /// After the last test of a past: it goes on, and the whole world is verified.
    async fn goes_on(mut self) {
        self.world.start().await;
        self.every_receipt_returns("at the end").await;
        let police = self.world.agency("police");
        sent(police, &concern("police", &["school/duty"], "D-last")).await;
        self.world.check().await;
    }
}

/// The ledger of a stopped world, batch for batch, in segments of this size; the index goes.
pub fn in_segments_of(world: &World, segment_bytes: u64) {
    let data = world.data();
    let (folder, fresh) = (data.journal(), data.journal().with_extension("fresh"));
    let (old, recovery) = Journal::open(&folder, None, Evidence::default(), "test").unwrap();
    let options = Options { segment_bytes };
    let mut new = Journal::create_with(&fresh, old.ledger_id(), options).unwrap();
    let mut batch = Vec::new();
    for scanned in old.reader().scan(0, recovery.size) {
        match scanned.unwrap() {
            Scanned::Entry { record, .. } => {
                let Detail::Present { opening, content } = record.detail else { panic!() };
                batch.push(Record {
                    leaf: record.leaf,
                    facts_opening: record.facts_opening,
                    facts: record.facts,
                    detail_opening: opening,
                    detail: content,
                });
            }
            Scanned::Batch { trailer, .. } => {
                new.append(&batch, trailer.root, &trailer.checkpoint).unwrap();
                new.published(trailer.size(), trailer.root).unwrap();
                batch.clear();
            }
        }
    }
    new.close_clean().unwrap();
    drop(old);
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&fresh, &folder).unwrap();
    fs::remove_dir_all(data.index()).unwrap();
}

/// The hash over the index of a stopped world.
fn content(world: &World) -> [u8; 32] {
    launch::settled();
    Index::open(&world.data().index()).unwrap().content_hash()
}

/// Copies a folder, replacing what is there.
pub fn replace(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    let copied = launch::output(Command::new("cp").arg("-a").arg(from).arg(to)).unwrap();
    assert!(copied.status.success());
}

fn flip(file: &Path, at: u64) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at as usize] ^= 0x10;
    fs::write(file, bytes).unwrap();
}
