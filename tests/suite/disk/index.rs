//! The index: whatever state it is in, what is served is the fold of the ledger.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Past, content, flip, replace};
use crate::support::statements::*;

/// About `count` places spread over the bytes of a file that are not zero, its ends among them.
fn places(file: &Path, count: usize) -> Vec<u64> {
    let bytes = fs::read(file).unwrap();
    let used: Vec<u64> =
        (0..).zip(&bytes).filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let step = (used.len() / count).max(1);
    used.iter().copied().step_by(step).chain(used.last().copied()).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// I5: an index that is gone, or is another exchange's, is made anew and is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_foreign_index_is_rebuilt_to_the_same_content() {
    let mut past = Past::of(6).await;
    fs::remove_dir_all(past.index()).unwrap();
    past.is_as_it_was("no index").await;

    let other = Past::of(1).await;
    replace(&other.index(), &past.index());
    past.is_as_it_was("another exchange's index").await;

    fs::remove_dir_all(past.index()).unwrap();
    fs::create_dir(past.index()).unwrap();
    fs::write(past.index().join("db"), b"this was never an index").unwrap();
    past.is_as_it_was("no index at all").await;

    // The catalogue without its runs, and runs without their catalogue.
    for file in files_below(&past.index()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("run-") {
            fs::remove_file(file).unwrap();
        }
    }
    past.is_as_it_was("no runs").await;
    for part in ["db", "conf"] {
        fs::remove_file(past.index().join(part)).unwrap();
    }
    past.is_as_it_was("no catalogue").await;
    past.goes_on().await;
}

/// I5, I8: whatever byte of the index is wrong, the index served is the fold of the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_index_is_rebuilt_or_opened_to_the_same_content() {
    let mut past = Past::of(6).await;
    let good = past.world.folder.path().join("good-index");
    replace(&past.index(), &good);
    let files = files_below(&good);
    for part in ["db", "run-"] {
        let is_there =
            |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with(part);
        assert!(files.iter().any(is_there), "the catalogue and a run are harmed: {part}");
    }
    for file in files {
        let name = file.strip_prefix(&good).unwrap();
        let length = fs::metadata(&file).unwrap().len();
        for at in places(&file, 8) {
            replace(&good, &past.index());
            flip(&past.index().join(name), at);
            past.is_as_it_was(&format!("{} flipped at {at} of {length}", name.display())).await;
        }
        for kept in [0, length / 2, length.saturating_sub(1)] {
            replace(&good, &past.index());
            let cut = fs::File::options().write(true).open(past.index().join(name)).unwrap();
            cut.set_len(kept).unwrap();
            past.is_as_it_was(&format!("{} cut to {kept} of {length}", name.display())).await;
        }
    }
    past.goes_on().await;
}

/// I4, I9: a journal older than what index or marks name is a lost history, not one to go on
/// from: it refuses, names both sizes, and says what a person must do.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_under_a_newer_index_or_mark_is_not_continued() {
    let mut past = Past::of(3).await;
    let older = past.world.folder.path().join("older");
    replace(&past.journal(), &older);
    past.world.start().await;
    let old_size = past.world.size().await;
    sent(past.world.agency("police"), &concern("police", &["school/duty"], "D-new")).await;
    past.world.stop().await;
    past.content = content(&past.world);
    let newer = past.world.folder.path().join("newer");
    replace(&past.journal(), &newer);
    let sizes = [format!("entry {old_size}"), format!("{} entries", old_size + 1)];

    replace(&older, &past.journal());
    let by_index = past.refuses_to_start("the index is ahead").await;
    let segment = past.segment();
    let name = segment.file_name().unwrap();
    replace(&newer, &past.journal());
    fs::copy(older.join(name), &segment).unwrap();
    let by_mark = past.refuses_to_start("the marks are ahead").await;
    assert!(!past.problems().is_empty());

    for (said, by) in [(by_index, "the index"), (by_mark, "the published size")] {
        for part in [by, name.to_str().unwrap(), &sizes[0], &sizes[1], "cairn fsck", "restore"] {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
    }
    replace(&newer, &past.journal());
    past.is_as_it_was("the newer journal again").await;
    past.goes_on().await;
}
