//! The real program on a disk that forgets what was not synced.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
};

use super::{SEGMENT, forgetful::Forgetful};
use crate::{
    process::Process,
    support::{
        World, launch,
        senders::{Load, Senders, Told},
        strace::Fault,
    },
};

/// Power cuts under load; `CAIRN_FORGETS` says otherwise.
const ROUNDS: u64 = 4;
const LOAD: Load = Load { senders: 6, each: usize::MAX, body_bytes: 3_000 };

/// A world whose data lie on such a disk.
struct Powered {
    world: World,
    disk: Forgetful,
}

impl Powered {
    async fn new() -> Self {
        let mut world = World::with_agencies().await;
        world.stop().await;
        launch::settled();
        crate::disk::in_segments_of(&world, super::ROOM_BYTES);
        let disk = Forgetful::mounted();
        let (old, new) = (world.folder.path().join("data"), disk.path().join("data"));
        let copied = launch::output(Command::new("cp").arg("-r").args([&old, &new])).unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        disk.sync();
        fs::remove_dir_all(&old).unwrap();
        symlink(&new, &old).unwrap();
        Self { world, disk }
    }

    /// Loads it, kills it in the middle and cuts the power.
    async fn cut(
        &mut self,
        senders: &mut Senders,
        wrapper: &[String],
        survives: impl FnMut() -> bool,
    ) {
        let process = Process::serve_under(&self.world, wrapper).await;
        senders.receive(40).await;
        process.kill();
        launch::settled();
        self.disk.lose_power(survives);
    }
}

/// A coin, the same for the same seed.
fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 63 == 1
    }
}

/// I1, I3, I4, I5, I8, I9: the power goes under load, and of what was not synced nothing is left,
/// or a part by chance: every receipt stands, each counts once, all is whole. The index may go.
#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_survives_a_power_cut() {
    let rounds = std::env::var("CAIRN_FORGETS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut powered = Powered::new().await;
    let mut held = Told::default();
    for round in 0..rounds {
        let mut senders = Senders::start(&powered.world, &format!("P-{round}"), LOAD);
        match round % 2 {
            0 => powered.cut(&mut senders, &[], || false).await,
            _ => powered.cut(&mut senders, &[], coin(round)).await,
        }
        let process = Process::serve(&powered.world).await;
        held.and(senders.stop().await);
        held.is_kept(&powered.world).await;
        held.is_proved(&powered.world).await;
        process.stop();
        powered.world.is_sound();
    }
    println!("{rounds} power cuts; {} receipts stand", held.accepted.len());
    // Whoever has a file open keeps the disk from being unmounted.
    let Powered { mut world, disk } = powered;
    world.start().await;
    world.check().await;
    drop(disk);
}

/// The disk and the judge can tell: where `fdatasync` only says that it did, receipts are lost,
/// and that is seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_left_out_is_caught() {
    let mut powered = Powered::new().await;
    let report = powered.world.folder.path().join("report.txt");
    let segment = powered.disk.path().join("data").join(SEGMENT);
    let fault = Fault { calls: "fdatasync", becomes: "retval=0", when: 0 };
    let mut senders = Senders::start(&powered.world, "L", LOAD);
    powered.cut(&mut senders, &fault.wrapper(&report, &[&segment]), || false).await;
    let mut process = Process::start(&powered.world, &[]);
    let caught = match process.comes_up(&powered.world).await {
        false => process.traces(),
        true => senders.stop().await.try_kept(&powered.world).await.expect_err("lost and not seen"),
    };
    println!("caught: {}", caught.lines().last().unwrap_or_default());
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// The disk keeps what was synced and nothing else: a file's bytes, and a folder's names.
#[test]
fn the_disk_forgets_what_was_not_synced() {
    let mut disk = Forgetful::mounted();
    let at = |disk: &Forgetful, name: &str| disk.path().join(name);
    let sync_names = |disk: &Forgetful| File::open(disk.path()).unwrap().sync_all().unwrap();

    fs::write(at(&disk, "nothing synced"), b"x").unwrap();
    let mut file = File::create(at(&disk, "bytes synced")).unwrap();
    file.write_all(b"x").unwrap();
    file.sync_data().unwrap();
    drop(file);
    disk.lose_power(|| false);
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);

    fs::write(at(&disk, "names synced"), b"x").unwrap();
    let mut file = File::create(at(&disk, "both synced")).unwrap();
    file.write_all(b"first").unwrap();
    file.sync_data().unwrap();
    sync_names(&disk);
    file.write_all(b", second").unwrap();
    drop(file);
    fs::rename(at(&disk, "both synced"), at(&disk, "renamed")).unwrap();
    assert_eq!(read(&at(&disk, "renamed")), Some(b"first, second".to_vec()));
    disk.lose_power(|| false);
    assert_eq!(read(&at(&disk, "names synced")), Some(vec![]));
    assert_eq!(read(&at(&disk, "both synced")), Some(b"first".to_vec()));
    assert_eq!(read(&at(&disk, "renamed")), None);

    fs::rename(at(&disk, "both synced"), at(&disk, "renamed")).unwrap();
    sync_names(&disk);
    fs::write(at(&disk, "renamed"), vec![1; 3 * 512]).unwrap();
    let mut third = [false, true, false, true, false].into_iter();
    disk.lose_power(|| third.next().unwrap_or(false));
    let torn = read(&at(&disk, "renamed")).unwrap();
    assert!(torn.contains(&1) && torn.contains(&0), "{torn:?}");
}
