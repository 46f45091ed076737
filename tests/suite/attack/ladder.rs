//! `kill -9` while the ladder is climbed. What fell due while the exchange was down is climbed
//! when it starts; wherever it dies meanwhile, each rung is an entry once. The judge is a list of
//! rungs that the test makes by itself, held against every entry that is on the disk.

use std::{
    collections::BTreeMap, os::unix::process::ExitStatusExt, path::PathBuf, process::Command,
};

use cairn::{
    clock::{Clock, Moment, SystemClock},
    proto::{self, EntryType, Facts, ListWaitingRequest},
    store::journal::{JournalReader, Scanned},
};
use serde_json::json;
use tokio::time::{Duration, sleep, timeout};

use super::{ROOM_BYTES, SEGMENT};
use crate::{
    disk,
    escalation::ladder_in,
    process::{PATIENCE, Process},
    support::{World, launch, statements::*, strace::Fault},
};

const SIGKILL: i32 = 9;
/// A day lies behind them, and every ladder of these is an hour, or four.
const URGENCIES: [&str; 6] = ["immediate", "urgent", "immediate", "urgent", "immediate", "urgent"];
const INBOXES: [&str; 2] = ["school/duty", "social-work/duty"];
/// In the order in which they are climbed, for an acknowledgement and then for a decision.
const RUNGS: [&str; 3] = ["deputy", "out_of_hours", "senior"];

/// How often it is killed at a call drawn by a seed; `CAIRN_KILLS` says otherwise.
const ROUNDS: u64 = 10;
/// The calls that are drawn from: each batch makes three or four of them.
const ANY: &str = "pwrite64,fdatasync";
const CALLS: u64 = 24;

const PUBLISHED: &str = "journal/published";

/// What it is about to do when it dies, each with the call and the file: the batches of a climb,
/// and how the next start finds them.
const POINTS: [(&str, &str, &str, u32); 12] = [
    ("the first rungs are written", "pwrite64", SEGMENT, 1),
    ("the first rungs are synced", "fdatasync", SEGMENT, 1),
    ("their size is published", "pwrite64", PUBLISHED, 1),
    ("that is synced", "fdatasync", PUBLISHED, 1),
    ("more rungs are written", "pwrite64", SEGMENT, 2),
    ("more rungs are synced", "fdatasync", SEGMENT, 2),
    ("their size is published too", "pwrite64", PUBLISHED, 2),
    ("the tail takes its place", "/^rename", "journal/00000000000000000000.seg.tmp", 1),
    ("the published size is begun anew", "/^rename", "journal/published.tmp", 1),
    ("later rungs are written", "pwrite64", SEGMENT, 3),
    ("later rungs are synced", "fdatasync", SEGMENT, 3),
    ("their size is published at last", "pwrite64", PUBLISHED, 3),
];

/// A concern, the inbox that it was sent to, what was not done, who was told.
type Step = (u64, String, String, String);

/// A world in which every rung of some ladders fell due while it was down.
struct Overdue {
    world: World,
    concerns: Vec<u64>,
    killed: usize,
    climbs: usize,
}

impl Overdue {
    async fn new() -> Self {
        let yesterday = Moment(SystemClock.now().0 - 24 * 3600 * 1_000_000_000);
        let mut world = ladder_in(World::at(yesterday).await).await;
        let mut concerns = Vec::new();
        for (number, urgency) in URGENCIES.iter().enumerate() {
            let document = concern("police", &INBOXES, &format!("O-{number}"));
            let document = with(document, json!({"urgency": urgency}));
            concerns.push(sent(world.agency("police"), &document).await);
        }
        world.stop().await;
        assert_eq!(rungs(&world), [], "nothing is due before it is down");
        disk::in_segments_of(&world, ROOM_BYTES);
        world.data().reindex(&mut |_, _| {}).unwrap();
        disk::replace(&world.config.data, &world.folder.path().join("overdue"));
        Self { world, concerns, killed: 0, climbs: 0 }
    }

    /// As it was when it went down, with everything still to climb.
    fn lay(&self) {
        launch::settled();
        disk::replace(&self.world.folder.path().join("overdue"), &self.world.config.data);
    }

    /// What kills it when a thread is about to make such a call on these files for the `when`-th
    /// time.
    fn killer(&self, calls: &str, files: &[&str], when: u32) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|file| self.world.config.data.join(file)).collect();
        let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
        let fault = Fault { calls, becomes: "signal=SIGKILL", when };
        fault.wrapper(&self.world.folder.path().join("report.txt"), &files)
    }

    /// Starts it with this in front. Says whether it was killed; otherwise all is climbed, and
    /// judged.
    async fn dies(&mut self, wrapper: &[String]) -> bool {
        let mut process = Process::start(&self.world, wrapper);
        let climbed = process.comes_up(&self.world).await && self.is_climbed(&mut process).await;
        let traces = process.traces();
        let status = process.finish().await;
        let died = status.signal() == Some(SIGKILL);
        assert!(died || (climbed && status.success()), "{status}: {traces}");
        self.killed += usize::from(died);
        if !died {
            self.is_climbed_once();
        }
        died
    }

    /// Waits until no open delivery has a rung left, or it has ended: whether there is none.
    async fn is_climbed(&self, process: &mut Process) -> bool {
        let climbed = async {
            loop {
                let request = ListWaitingRequest { page_size: 1_000, ..Default::default() };
                match self.world.on_call.status().list_waiting(request).await {
                    Ok(waiting) => {
                        let open = waiting.into_inner().deliveries;
                        assert_eq!(open.len(), URGENCIES.len() * INBOXES.len());
                        if open.iter().all(|delivery| delivery.next_rung_at == 0) {
                            return true;
                        }
                    }
                    Err(_) if !process.runs() => return false,
                    Err(_) => {}
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        match timeout(PATIENCE, climbed).await {
            Ok(climbed) => climbed,
            Err(_) => panic!("every rung that is due is climbed: {}", process.traces()),
        }
    }

    /// Of a stopped exchange: each rung is there once and in order, and all of it is whole.
    fn is_climbed_once(&mut self) {
        self.climbs += 1;
        let found = rungs(&self.world);
        let mut times = BTreeMap::<Step, usize>::new();
        found.iter().for_each(|step| *times.entry(step.clone()).or_default() += 1);
        let expected: BTreeMap<Step, usize> = self.expected().map(|step| (step, 1)).collect();
        assert_eq!(times, expected, "each rung is an entry once");
        for (concern, inbox, duty) in self.ladders() {
            let mut ladder =
                found.iter().filter(|it| (it.0, &*it.1, &*it.2) == (concern, inbox, duty));
            assert!(ladder.by_ref().map(|step| &*step.3).eq(RUNGS), "in order: {found:?}");
        }
        let mut fsck = Command::new(env!("CARGO_BIN_EXE_cairn"));
        let fsck = launch::output(fsck.arg("fsck").arg(&self.world.config.data)).unwrap();
        assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
        self.world.is_sound();
    }

    fn ladders(&self) -> impl Iterator<Item = (u64, &'static str, &'static str)> {
        let concerns = self.concerns.clone().into_iter();
        concerns.flat_map(|concern| {
            INBOXES
                .into_iter()
                .flat_map(move |inbox| ["acknowledge", "decide"].map(|duty| (concern, inbox, duty)))
        })
    }

    fn expected(&self) -> impl Iterator<Item = Step> {
        self.ladders().flat_map(|(concern, inbox, duty)| {
            RUNGS.map(|rung| (concern, inbox.to_owned(), duty.to_owned(), rung.to_owned()))
        })
    }
}

/// Every rung that is an entry of a stopped exchange, in the ledger's order.
fn rungs(world: &World) -> Vec<Step> {
    launch::settled();
    let reader = JournalReader::open_read_only(&world.data().journal()).unwrap();
    let size = reader.published().unwrap().size;
    let entries = reader.scan(0, size).filter_map(|scanned| match scanned.unwrap() {
        Scanned::Entry { record, .. } => Some(proto::decode::<Facts>(&record.facts).unwrap()),
        Scanned::Batch { .. } => None,
    });
    let rungs = entries.filter(|facts| facts.r#type() == EntryType::Escalation);
    rungs.map(|facts| (facts.answers.unwrap(), facts.inbox, facts.subject, facts.code)).collect()
}

/// I5, I6, I8: killed at each point of a climb, one after another and then wherever a seed says,
/// and started again each time: no rung is lost and none is climbed twice.
#[tokio::test(flavor = "multi_thread")]
async fn each_rung_is_climbed_once_however_often_it_is_killed_meanwhile() {
    let rounds = std::env::var("CAIRN_KILLS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut overdue = Overdue::new().await;
    for (what, calls, file, when) in POINTS {
        let killer = overdue.killer(calls, &[file], when);
        if overdue.dies(&killer).await {
            continue;
        }
        // Nothing was left to climb before it came to that.
        overdue.lay();
        assert!(overdue.dies(&killer).await, "it dies where {what}");
    }
    for seed in 0..rounds {
        let when = 1 + (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % CALLS;
        if !overdue.dies(&overdue.killer(ANY, &[SEGMENT, PUBLISHED], when as u32)).await {
            overdue.lay();
        }
    }
    assert!(!overdue.dies(&[]).await, "what is left is climbed in peace");
    println!("killed {} times; {} climbs, each rung once", overdue.killed, overdue.climbs);
    let mut world = overdue.world;
    world.clock.set(SystemClock.now());
    world.start().await;
    world.climb().await;
    let rungs = rungs(&world).len();
    assert_eq!(rungs, URGENCIES.len() * INBOXES.len() * 2 * RUNGS.len(), "nothing is left");
    world.check().await;
}
