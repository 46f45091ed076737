//! The real program under attack: killed at named points, its system calls failing, on a disk
//! that forgets, short of memory and of descriptors. The judge is the senders' own receipts, which
//! lie outside the exchange, and after each round every byte of what is left.

mod descriptors;
mod faults;
mod forgetful;
mod forgets;
mod ladder;
mod memory;
mod points;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use tonic::Status;

use crate::{
    disk,
    process::Process,
    support::{
        World, launch,
        senders::{Load, Told, puts_off, reason},
    },
};

/// The first segment, in the data folder.
const SEGMENT: &str = "journal/00000000000000000000.seg";
/// Of the segment of a world with [`Before::Room`]: small, so that rounds are quick.
const ROOM_BYTES: u64 = 4 * 1024 * 1024;
/// What is left in the segment otherwise: a few entries of this load.
const LITTLE_ROOM_BYTES: u64 = 16 * 1024;
/// What a round sends unless it says otherwise: more than there is room for in the segment.
const LOAD: Load = Load { senders: 3, each: 4, body_bytes: 4_000 };

/// How a world's files lie when a round begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Closed in order, with room in the segment.
    Room,
    /// Closed in order, and the load goes on into the next segment.
    NearlyFull,
    /// The same, not closed in order: the tail must be rewritten.
    Unclean,
    /// Closed in order, and the index is gone.
    WithoutIndex,
}

/// A world that is brought back to how it was before each round.
struct Attacked {
    world: World,
    /// What its senders hold of before.
    held: Told,
    rounds: usize,
}

/// How a round ended.
struct Ended {
    status: ExitStatus,
    told: Told,
    /// What the program traced or said.
    said: String,
}

impl Attacked {
    async fn new() -> Self {
        let mut world = World::with_agencies().await;
        let before = Load { senders: 2, each: 4, body_bytes: 1_000 };
        let held = before.send(&world, "before").await;
        assert!(held.not.is_empty(), "{:?}", held.not);
        world.stop().await;
        let written = fs::read(world.config.data.join(SEGMENT)).unwrap();
        let end = written.iter().rposition(|&byte| byte != 0).unwrap() as u64;
        let little = (end + LITTLE_ROOM_BYTES).next_multiple_of(4_096);
        for (name, segment_bytes) in [("room", ROOM_BYTES), ("nearly-full", little)] {
            launch::settled();
            disk::in_segments_of(&world, segment_bytes);
            world.data().reindex(&mut |_, _| {}).unwrap();
            disk::replace(&world.config.data, &world.folder.path().join(name));
        }
        Self { world, held, rounds: 0 }
    }

    fn data(&self) -> &Path {
        &self.world.config.data
    }

    /// A file for what a program in front reports.
    fn report(&self) -> PathBuf {
        self.world.folder.path().join("report.txt")
    }

    fn lay(&self, before: Before) {
        launch::settled();
        let name = if before == Before::Room { "room" } else { "nearly-full" };
        disk::replace(&self.world.folder.path().join(name), self.data());
        match before {
            Before::Room | Before::NearlyFull => {}
            Before::Unclean => fs::remove_file(self.data().join("journal/clean-stop")).unwrap(),
            Before::WithoutIndex => fs::remove_dir_all(self.data().join("index")).unwrap(),
        }
    }

    /// Starts it with this in front, sends the load, stops it. It may end whenever it wants.
    async fn round(&mut self, wrapper: &[String], load: Load) -> Ended {
        self.rounds += 1;
        let mut process = Process::start(&self.world, wrapper);
        let mut told = Told::default();
        let before = process.traces().len();
        if process.comes_up(&self.world).await {
            told = load.send(&self.world, &format!("round-{}", self.rounds)).await;
        }
        let traces = self.world.folder.path().join("traces.jsonl");
        let status = process.finish().await;
        let said = fs::read_to_string(traces).unwrap().split_off(before);
        for (_, not) in &told.not {
            assert!(is_documented(not, status), "{status}: {not:?}");
        }
        Ended { status, told, said }
    }

    /// Starts it with nothing in the way: all receipts stand, what was not answered goes in, each
    /// counts once, and the files are whole.
    async fn settles(&self, told: Told) {
        let process = Process::serve(&self.world).await;
        let mut all = self.held.clone();
        all.and(told);
        all.goes_in(&self.world).await;
        all.is_kept(&self.world).await;
        process.stop();
        self.world.is_sound();
    }
}

/// An answer that the README has, or none, because the program ended.
fn is_documented(not: &Status, ended: ExitStatus) -> bool {
    match reason(not).as_str() {
        "BUSY" => puts_off(not),
        "OUTCOME_UNKNOWN" | "BROKEN" => true,
        _ => not.details().is_empty() && !ended.success(),
    }
}
