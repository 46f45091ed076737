//! A disk that is full and a disk that fails, under the real program. The judge is the senders'
//! own receipts.

use std::{fs, os::unix::fs::symlink, process::Command, time::Instant};

use tempfile::TempDir;
use tonic::{Code, Status};

use crate::{
    process::{PATIENCE, Process},
    support::{
        World, launch,
        senders::{Load, Told, puts_off, reason, submit},
        statements::*,
        strace::{Fault, fired},
    },
};

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

/// Each sender sends concerns with bodies of this size until one is not accepted.
async fn send_until_told_no(world: &World, body_bytes: usize) -> Told {
    Load { senders: 4, each: usize::MAX, body_bytes }.send(world, "F").await
}

/// Not lost, not broken: come again, and when.
fn is_put_off(status: &Status) {
    assert!(puts_off(status), "{status:?}");
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
    assert_eq!(told.try_kept(&world).await, Ok(()));
    is_put_off(&submit(police, &told.not[0].0).await.unwrap_err());

    process.kill();
    let mut process = Process::serve(&world).await;
    assert_eq!(told.try_kept(&world).await, Ok(()));
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

/// I8, I9: after a failed `fdatasync` those who wait are told "unknown", the program ends, a
/// start reads the truth from the disk, and what is sent again counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fdatasync_is_told_as_unknown_and_stops_the_ledger() {
    for which in [1, 5] {
        let mut world = World::with_agencies().await;
        world.stop().await;
        let report = world.folder.path().join("strace.txt");
        let segment = world.data().journal().join("00000000000000000000.seg");
        let fault = Fault { calls: "fdatasync", becomes: "error=EIO", when: which };
        let wrapper = fault.wrapper(&report, &[&segment]);
        let process = Process::serve_under(&world, &wrapper).await;
        let mut told = send_until_told_no(&world, 100).await;
        let status = process.end().await;
        assert_eq!(status.code(), Some(1), "it ends, and not as if all were well");
        assert_eq!(fired(&report).len(), 1, "the fault fired");

        let unknown = |(_, status): &&(Vec<u8>, Status)| {
            (status.code(), reason(status)) == (Code::Unavailable, "OUTCOME_UNKNOWN".into())
        };
        let waiting = told.not.iter().filter(unknown).count();
        assert!(waiting > 0, "those who waited are told so: {:?}", told.not);

        let process = Process::serve(&world).await;
        told.goes_in(&world).await;
        told.is_kept(&world).await;
        process.stop();
        world.start().await;
        world.check().await;
    }
}
