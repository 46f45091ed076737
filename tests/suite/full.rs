//! A disk that is full and a disk that fails, under the real program. The judge is the senders'
//! own receipts.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

use cairn::{
    proto::{Receipt, SubmitRequest},
    wire::client::Client,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    process::{PATIENCE, Process},
    support::{World, launch, statements::*},
};

/// Senders at once.
const SENDERS: usize = 4;

/// A disk of its own size, in memory; unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    fn of(mebibytes: u32) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = format!("size={mebibytes}m");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        disk.run(Command::new("mount").args(mount));
        disk
    }

    fn grow(&self, mebibytes: u32) {
        self.run(Command::new("mount").args(["-o", &format!("remount,size={mebibytes}m")]));
    }

    fn run(&self, command: &mut Command) {
        let output = launch::output(command.arg(self.0.path())).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = "this test mounts a small tmpfs, so it must run as root";
        assert!(output.status.success(), "{refused}: {said}");
    }

    /// Brings a stopped world's data here, where the world finds it under its old name.
    fn take(&self, world: &World) {
        let (old, new) = (world.folder.path().join("data"), self.0.path().join("data"));
        // The next segment, made ahead: here there is to be no room for it.
        drop(fs::remove_file(world.data().journal().join("spare.tmp")));
        // Without holes: what is allocated stays so.
        let copy = ["-a", "--sparse=never"];
        let copied = launch::output(Command::new("cp").args(copy).args([&old, &new])).unwrap();
        assert!(copied.status.success());
        fs::remove_dir_all(&old).unwrap();
        symlink(&new, &old).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(launch::output(Command::new("umount").arg("--lazy").arg(self.0.path())));
    }
}

/// Another connection of the same system.
async fn another(client: &Client) -> Client {
    let folder = cairn::wire::client::folder::SystemFolder::open(client.folder().path()).unwrap();
    let client = Client::new(folder).unwrap();
    client.refresh().await.unwrap();
    client
}

/// Submits once, for the status as it came.
async fn submit(client: &Client, envelope: &[u8]) -> Result<Receipt, Status> {
    let request = SubmitRequest { envelope: envelope.to_vec(), validate_only: false };
    let response = client.exchange().submit(request).await?.into_inner();
    Ok(response.receipt.unwrap())
}

/// What the senders hold: accepted with its receipt, or not accepted with the status.
#[derive(Default)]
struct Told {
    accepted: Vec<(Vec<u8>, Receipt)>,
    not: Vec<(Vec<u8>, Status)>,
}

impl Told {
    /// Each receipt comes back as it was.
    async fn is_kept(&self, police: &Client) {
        for (envelope, receipt) in &self.accepted {
            let again = police.submit(envelope).await.unwrap();
            assert_eq!((again.duplicate, again.receipt.as_ref()), (true, Some(receipt)));
        }
    }
}

/// Each sender sends concerns with bodies of this size until one is not accepted.
async fn send_until_told_no(world: &World, body_bytes: usize) -> Told {
    let told = Arc::new(Mutex::new(Told::default()));
    // All connected before the first of them sends.
    let mut clients = Vec::new();
    for _ in 0..SENDERS {
        clients.push(another(world.agency("police")).await);
    }
    let mut senders = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        let told = Arc::clone(&told);
        senders.spawn(async move {
            for count in 0.. {
                let plain = concern(
                    "police",
                    &["school/duty"],
                    &format!("F-{body_bytes}-{number}-{count}"),
                );
                let narrative = "x".repeat(body_bytes);
                let body = json!({"concern": {"category": "neglect", "narrative": narrative}});
                let envelope = envelope(&client, &with(plain, body));
                match submit(&client, &envelope).await {
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

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Not lost, not broken: come again, and when.
fn is_put_off(status: &Status) {
    let said = (status.code(), reason(status));
    assert_eq!(said, (Code::ResourceExhausted, "BUSY".into()), "{status:?}");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(delay.is_some_and(|delay| !delay.is_zero()), "it says when to come again");
}

/// I1, I8, I10: a full disk puts concerns off and loses nothing: steps of deliveries still go
/// in, every receipt survives `kill -9` and a start on the full disk, and once there is room
/// it goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_puts_concerns_off_and_keeps_all_that_was_accepted() {
    // Room for one segment of 64 MiB and not for another.
    let disk = Disk::of(112);
    let mut world = World::with_agencies().await;
    world.stop().await;
    disk.take(&world);
    let mut process = Process::serve(&world).await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let told = send_until_told_no(&world, 250_000).await;
    assert!(told.accepted.len() > 100, "it took {} before it was full", told.accepted.len());
    told.not.iter().for_each(|(_, status)| is_put_off(status));
    assert!(process.runs(), "{}", process.traces());

    let first = told.accepted[0].1.entry;
    for act in [stored(), opened(), acknowledged()] {
        say(school, first, "school/duty", act).await.expect("steps go in on a full disk");
    }
    told.is_kept(police).await;
    is_put_off(&submit(police, &told.not[0].0).await.unwrap_err());

    process.kill();
    let mut process = Process::serve(&world).await;
    told.is_kept(police).await;
    is_put_off(&submit(police, &told.not[0].0).await.unwrap_err());
    say(school, told.accepted[1].1.entry, "school/duty", stored()).await.unwrap();
    assert_eq!(world.summary().await.concerns as usize, told.accepted.len());

    disk.grow(512);
    let bound = Instant::now() + PATIENCE;
    for (envelope, _) in &told.not {
        while let Err(status) = submit(police, envelope).await {
            is_put_off(&status);
            assert!(Instant::now() < bound, "it goes on once there is room");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    assert!(process.runs(), "without a restart");
    let all = told.accepted.len() + told.not.len();
    assert_eq!(world.summary().await.concerns as usize, all, "each counts once");
    process.stop();
    world.start().await;
    world.check().await;
}

/// Another program at hand, which fails one `fdatasync` of a file with EIO.
fn failing_sync(file: &Path, which: u32, report: &Path) -> Vec<String> {
    let inject = format!("inject=fdatasync:error=EIO:when={which}");
    // As a grandchild (-D), so that the process we started is the program itself.
    ["strace", "-D", "-f", "-o", report.to_str().unwrap(), "-P", file.to_str().unwrap()]
        .into_iter()
        .chain(["-e", "trace=fdatasync", "-e", &inject])
        .map(str::to_owned)
        .collect()
}

/// I8, I9: after a failed `fdatasync` those who wait are told "unknown", the program ends, a
/// start reads the truth from the disk, and what is sent again counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fdatasync_is_told_as_unknown_and_stops_the_ledger() {
    for which in [1, 5] {
        let mut world = World::with_agencies().await;
        world.stop().await;
        let report = world.folder.path().join("strace.txt");
        let segment = world.data().journal().join("00000000000000000000.seg");
        let wrapper = failing_sync(&segment, which, &report);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let process = Process::serve_under(&world, &wrapper).await;
        let told = send_until_told_no(&world, 100).await;
        let status = process.end().await;
        assert_eq!(status.code(), Some(1), "it ends, and not as if all were well");
        let calls = fs::read_to_string(&report).unwrap();
        let injected = calls.lines().filter(|line| line.ends_with("(INJECTED)")).count();
        assert_eq!(injected, 1, "the fault fired: {calls}");

        let unknown = |(_, status): &&(Vec<u8>, Status)| {
            (status.code(), reason(status)) == (Code::Unavailable, "OUTCOME_UNKNOWN".into())
        };
        let waiting = told.not.iter().filter(unknown).count();
        assert!(waiting > 0, "those who waited are told so: {:?}", told.not);

        let process = Process::serve(&world).await;
        let police = world.agency("police");
        told.is_kept(police).await;
        for (envelope, _) in &told.not {
            let receipt = police.submit(envelope).await.unwrap().receipt;
            let again = police.submit(envelope).await.unwrap();
            assert_eq!((again.duplicate, again.receipt), (true, receipt));
        }
        let all = told.accepted.len() + told.not.len();
        assert_eq!(world.summary().await.concerns as usize, all, "each counts once");
        process.stop();
        world.start().await;
        world.check().await;
    }
}
