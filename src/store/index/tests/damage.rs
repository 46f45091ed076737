//! An index whose files are harmed: noticed by whoever reads there, or at the start.
//!
//! Cites I5, I10.

use std::{os::unix::fs::FileExt as _, path::Path};

use super::{
    super::{
        page::{HEAD_BYTES, Kind, Page},
        *,
    },
    Model, key, mark,
};

/// Where the pages of one kind lie in the oldest run: offset and length.
fn pages_of(index: &Index, wanted: Kind) -> Vec<(u64, usize)> {
    let run = Arc::clone(index.core.runs().last().unwrap());
    let bytes = fs::read(file::path(index.folder(), run.meta.id)).unwrap();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let length = page::length(&bytes[at..]).unwrap();
        let page = Page::open(bytes[at..at + length].to_vec(), run.meta.id, at as u64).unwrap();
        if page.kind() == wanted {
            found.push((at as u64, length));
        }
        at += length;
    }
    found
}

/// The file of the oldest run, to be harmed.
fn oldest(index: &Index) -> fs::File {
    let path = file::path(index.folder(), index.core.runs().last().unwrap().meta.id);
    fs::File::options().read(true).write(true).open(path).unwrap()
}

fn flip(index: &Index, at: u64) {
    let (file, mut byte) = (oldest(index), [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Puts the bytes of one page where another is.
fn move_page(index: &Index, from: (u64, usize), to: u64) {
    let (file, mut bytes) = (oldest(index), vec![0; from.1]);
    file.read_exact_at(&mut bytes, from.0).unwrap();
    file.write_all_at(&bytes, to).unwrap();
}

/// I5: a page that is lost, harmed, or another's is noticed by whoever reads there; nothing is
/// then taken for absent, and the next start begins anew.
#[test]
fn a_lost_harmed_or_swapped_page_is_noticed_and_never_read_as_absence() {
    type Harm = fn(&Index);
    let harms: [Harm; 7] = [
        |index| oldest(index).set_len(pages_of(index, Kind::Block)[3].0).unwrap(),
        |index| {
            let (at, length) = pages_of(index, Kind::Block)[1];
            oldest(index).write_all_at(&vec![0; length], at).unwrap();
        },
        |index| {
            let (at, length) = pages_of(index, Kind::Section)[0];
            oldest(index).write_all_at(&vec![0; length], at).unwrap();
        },
        |index| {
            let blocks = pages_of(index, Kind::Block);
            move_page(index, blocks[0], blocks[1].0);
        },
        |index| {
            let blocks = pages_of(index, Kind::Block);
            move_page(index, blocks[2], blocks[1].0);
        },
        |index| flip(index, pages_of(index, Kind::Block)[1].0 + 100),
        |index| flip(index, pages_of(index, Kind::Section)[0].0 + HEAD_BYTES as u64 + 9),
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let mut model = Model::new();
        let changes = (0..130).map(|number| (key(number), Some(vec![3; 900])));
        model.apply(changes.collect());
        model.index().flush();
        model.index().core.settled();
        let index = model.index().clone();
        harm(&index);
        let found = index.range(b"k", b"l").count();
        let read = (0..130).filter(|number| index.value(&key(*number)).is_some()).count();
        assert!(read < 130 || found < 130, "harm {number}");
        assert!(index.must_be_whole().is_err(), "harm {number}");
        assert!(index.apply(Changes::new(), &mark(200)).is_err(), "harm {number}");
        index.flush();
        drop(index);
        model.index = None;
        assert!(matches!(Index::open(&model.path()), Err(IndexError::Damaged(_))));
    }
}

/// I5: the same if nobody reads there before the next start.
#[test]
fn any_harmed_page_of_a_new_run_is_noticed_at_the_start() {
    for kind in [Kind::Block, Kind::Foot, Kind::Section, Kind::Tree] {
        let mut model = Model::new();
        model.apply((0..130).map(|number| (key(number), Some(vec![3; 900]))).collect());
        model.index().flush();
        flip(model.index(), pages_of(model.index(), kind)[0].0 + HEAD_BYTES as u64);
        model.index = None;
        assert!(matches!(Index::open(&model.path()), Err(IndexError::Damaged(_))), "{kind:?}");
    }
}

/// I5: a run that the manifest names and that is gone, cut or another's is no index.
#[test]
fn a_named_run_that_is_missing_or_cut_is_noticed_at_the_start() {
    type Harm = fn(&Path);
    let harms: [Harm; 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap(),
        |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        },
        |path| {
            let length = fs::metadata(path).unwrap().len() as usize;
            fs::write(path, vec![0; length]).unwrap();
        },
    ];
    for harm in harms {
        let mut model = Model::new();
        model.apply((0..130).map(|number| (key(number), Some(vec![3; 900]))).collect());
        model.index().flush();
        let run = model.index().core.runs()[0].meta.id;
        model.index = None;
        harm(&file::path(&model.path(), run));
        assert!(matches!(Index::open(&model.path()), Err(IndexError::Damaged(_))));
        assert!(matches!(Index::open(&model.path()), Err(IndexError::Damaged(_))), "again");
    }
}

/// I10: a keeper that fails sets free whoever waits for it.
#[test]
fn nobody_waits_for_a_keeper_that_failed() {
    let mut model = Model::new();
    model.apply((0..130).map(|number| (key(number), Some(vec![3; 900]))).collect());
    model.index().flush();
    model.index().core.settled();
    let index = model.index().clone();
    flip(&index, pages_of(&index, Kind::Block)[1].0 + 100);
    let mut size = 2;
    // The merge of the harmed run fails in the keeper's thread.
    let failed = loop {
        let changes = (0..130).map(|number| (key(number), Some(vec![size as u8; 900])));
        match index.apply(changes.collect(), &mark(size)).and_then(|()| index.make_room()) {
            Ok(()) if size < 100 => size += 1,
            ended => break ended,
        }
    };
    assert!(failed.is_err());
    index.flush();
    assert!(index.must_be_whole().is_err());
}
