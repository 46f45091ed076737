//! The simulated disk loses what it should lose, and nothing else.

use super::*;
use crate::store::disk::Disk;
use crate::store::files::Durable;

fn disk() -> SimDisk {
    SimDisk::new("/disk", 1)
}

fn path(name: &str) -> PathBuf {
    Path::new("/disk").join(name)
}

/// What the file holds, or nothing if it is not there.
fn content(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    let file = disk.open(&path(name), false).ok()?;
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

fn contents(disk: &SimDisk, name: &str) -> Vec<Option<Vec<u8>>> {
    let mut found: Vec<_> = disk.choices(8).iter().map(|after| content(after, name)).collect();
    found.sort();
    found.dedup();
    found
}

/// A file that is durably there, holding this.
fn kept(disk: &SimDisk, name: &str, bytes: &[u8]) -> BoxFile {
    disk.write_atomic(&path(name), bytes).unwrap();
    assert_eq!(contents(disk, name), [Some(bytes.to_vec())]);
    disk.open(&path(name), true).unwrap()
}

#[test]
fn unsynced_bytes_survive_or_not_and_synced_ones_do() {
    let disk = disk();
    let file = kept(&disk, "f", b"old");
    file.write_all_at(b"new", 0).unwrap();
    assert_eq!(content(&disk, "f").unwrap(), b"new");
    assert_eq!(contents(&disk, "f"), [Some(b"new".to_vec()), Some(b"old".to_vec())]);
    file.sync_data().unwrap();
    assert_eq!(contents(&disk, "f"), [Some(b"new".to_vec())]);
}

#[test]
fn a_write_is_torn_between_sectors_and_never_within_one() {
    let disk = disk();
    let file = kept(&disk, "f", &[1; 1536]);
    file.write_all_at(&[2; 1000], 300).unwrap();
    let found = contents(&disk, "f");
    assert_eq!(found.len(), 8);
    for bytes in found.into_iter().flatten() {
        for sector in [300..512, 512..1024, 1024..1300] {
            let first = bytes[sector.start];
            assert!(bytes[sector].iter().all(|&byte| byte == first));
        }
        assert!(bytes[..300].iter().chain(&bytes[1300..]).all(|&byte| byte == 1));
    }
}

#[test]
fn length_and_bytes_survive_apart() {
    let disk = disk();
    let file = kept(&disk, "f", b"ab");
    file.write_all_at(b"cd", 2).unwrap();
    let texts: Vec<_> = contents(&disk, "f").into_iter().flatten().collect();
    assert_eq!(texts, [b"ab".to_vec(), b"ab\0\0".to_vec(), b"abcd".to_vec()]);
}

#[test]
fn names_survive_only_once_their_folder_is_synced() {
    let disk = disk();
    let file = disk.create_new(&path("f")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(contents(&disk, "f"), [None, Some(b"x".to_vec())]);
    disk.sync_dir(Path::new("/disk")).unwrap();
    assert_eq!(contents(&disk, "f"), [Some(b"x".to_vec())]);
    disk.rename(&path("f"), &path("g")).unwrap();
    let both = disk.choices(8);
    assert_eq!(both.len(), 2);
    for after in both {
        assert_ne!(content(&after, "f"), content(&after, "g"), "renamed or not, never half");
    }
    disk.sync_dir(Path::new("/disk")).unwrap();
    disk.remove_file(&path("g")).unwrap();
    assert_eq!(contents(&disk, "g"), [None, Some(b"x".to_vec())]);
}

#[test]
fn changes_of_a_folder_survive_out_of_order() {
    let disk = disk();
    disk.create_new(&path("a")).unwrap();
    disk.create_new(&path("b")).unwrap();
    let listed: Vec<_> =
        disk.choices(8).iter().map(|after| after.list(Path::new("/disk")).unwrap()).collect();
    let name = |name: &str| vec![name.to_owned()];
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(listed, [Vec::new(), name("a"), name("b"), both]);
}

#[test]
fn a_failed_sync_drops_the_pages_that_reads_go_on_showing() {
    let disk = disk();
    let file = kept(&disk, "f", b"old");
    file.write_all_at(b"new", 0).unwrap();
    let mut lost = 0;
    for _ in 0..8 {
        let again = disk.copy("/disk", lost + 7);
        let file = again.open(&path("f"), true).unwrap();
        again.plan(Plan::Fail(0, Fault::NotDone));
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(content(&again, "f").unwrap(), b"new");
        let after = contents(&again, "f");
        again.restart(true);
        assert_eq!(contents(&again, "f"), [content(&again, "f")]);
        assert_eq!(after.len(), 1);
        lost += u64::from(after == [Some(b"old".to_vec())]);
    }
    assert!(lost > 0);
}

#[test]
fn a_step_fails_done_or_not_done_and_only_that_step() {
    for (fault, there) in [(Fault::Done, true), (Fault::NotDone, false)] {
        let disk = disk();
        disk.plan(Plan::Fail(1, fault));
        disk.create_new(&path("a")).unwrap();
        assert!(disk.create_new(&path("b")).is_err());
        assert_eq!(disk.exists(&path("b")), there);
        assert!(disk.struck());
        disk.create_new(&path("c")).unwrap();
    }
}

#[test]
fn after_the_power_went_nothing_is_done_any_more() {
    let disk = disk();
    let file = kept(&disk, "f", b"x");
    disk.plan(Plan::PowerCut(1));
    file.write_all_at(b"y", 0).unwrap();
    assert!(file.sync_data().is_err());
    assert!(file.sync_data().is_err());
    assert_eq!(contents(&disk, "f").len(), 2);
}
