//! The live board and waiting, by the program itself.

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::{
    escalation::{at_minute, ladder, sent_to_school},
    support::{World, launch, statements::*},
};

/// `cairn status` of a system, with its standard output in our hands.
fn status(world: &World, system: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    let folder = world.folder.path().join("systems").join(system);
    command.arg("status").args(arguments).arg("--system").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A board that is being watched; ended when dropped.
struct Board {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Board {
    fn watched(world: &World) -> Self {
        let mut command = status(world, "operator/on-call", &["--watch", "-o", "json"]);
        let mut child = launch::spawn(&mut command).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says next.
    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("it goes on").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A board says what changes, and says so when it cannot know.
#[tokio::test(flavor = "multi_thread")]
async fn a_board_shows_what_changes_and_that_it_is_out_of_date() {
    let mut world = ladder().await;
    let mut board = Board::watched(&world);
    assert_eq!(board.next()["waiting"].as_array().map(Vec::len), Some(0));
    let (entry, accepted) = sent_to_school(&world, "immediate", "B-1").await;
    let row = board.next()["waiting"][0].clone();
    assert_eq!((row["concern"].as_u64(), row["state"].as_str()), (Some(entry), Some("queued")));
    at_minute(&world, accepted, 5);
    let row = board.next()["waiting"][0].clone();
    assert_eq!(
        (row["rung"].as_str(), row["stand_ins"][0].as_str()),
        (Some("deputy"), Some("social-work/duty"))
    );
    world.stop().await;
    let away = board.next();
    assert!(away["problem"].is_string(), "{away}");
    assert_eq!(away["waiting"][0]["concern"].as_u64(), Some(entry), "what was known is kept");
    world.start().await;
    say(world.agency("school"), entry, "school/duty", stored()).await.unwrap();
    let back = loop {
        let said = board.next();
        if said["problem"].is_null() && said["waiting"][0]["state"] == "stored" {
            break said;
        }
    };
    assert_eq!(back["waiting"].as_array().map(Vec::len), Some(1));
    drop(board);
    world.check().await;
}

/// A script waits for a person, gives up in time, and sees that it will never be.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_waits_until_somebody_has_acknowledged() {
    let world = ladder().await;
    let (entry, _) = sent_to_school(&world, "urgent", "B-2").await;
    let number = entry.to_string();
    let wait = |state: &str, timeout: &str| {
        let mut command =
            status(&world, "police/system", &[&number, "--wait", state, "--timeout", timeout]);
        launch::spawn(&mut command).unwrap()
    };
    let ended = wait("stored", "1s").wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(124));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("the time is over"));
    let waiting = wait("acknowledged", "1m");
    for act in [stored(), acknowledged()] {
        say(world.agency("school"), entry, "school/duty", act).await.unwrap();
    }
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("acknowledged"));
    let nothing = status(&world, "police/system", &["--wait", "stored"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(1), "for which concern");
    world.check().await;
}
