//! The index against a plain map: whatever is applied, merged or lost in a crash.
//!
//! Cites I5, I9, I10.

mod damage;

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::{
    block::{Block, BlockBuilder, BlockCursor},
    filter::{self, FilterBuilder},
    manifest::Manifest,
    page::{Kind, Page},
    run::Run,
    shelf::Shelf,
    writer::RunWriter,
    *,
};

const SMALL: usize = 8 * 1024;

fn mark(size: u64) -> Watermark {
    Watermark { ledger: [7; 16], size, root: [1; 32], frontier: vec![2; 40], time: size }
}

fn key(number: u64) -> Key {
    let name = format!("agency-{number}");
    [&b"k"[..], &(number / 8).to_be_bytes(), name.as_bytes()].concat().into()
}

/// An index in a folder, the batches applied to it, and the map that they make.
struct Model {
    folder: TempDir,
    index: Option<Index>,
    batches: Vec<Changes>,
    map: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Model {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let index = Some(Index::open_with(&folder.path().join("index"), SMALL).unwrap());
        Self { folder, index, batches: Vec::new(), map: BTreeMap::new() }
    }

    fn index(&self) -> &Index {
        self.index.as_ref().unwrap()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("index")
    }

    fn apply(&mut self, changes: Changes) {
        for (key, value) in changes.clone() {
            match value {
                Some(value) => self.map.insert(key.into_vec(), value),
                None => self.map.remove(key.as_slice()),
            };
        }
        self.batches.push(changes.clone());
        self.index().apply(changes, &mark(self.batches.len() as u64)).unwrap();
        self.index().make_room().unwrap();
    }

    /// Closes and opens again. What was lost is applied again, as recovery does from the journal.
    fn reopen(&mut self) -> u64 {
        self.index = None;
        let index = Index::open_with(&self.path(), SMALL).unwrap();
        let size = index.watermark().map_or(0, |mark| mark.size);
        for (number, changes) in (1_u64..).zip(&self.batches).skip(size as usize) {
            index.apply(changes.clone(), &mark(number)).unwrap();
            index.make_room().unwrap();
        }
        self.index = Some(index);
        size
    }

    fn check(&self) {
        let index = self.index();
        let all: Vec<_> = self.map.clone().into_iter().collect();
        assert_eq!(index.walk(Vec::new(), None).collect::<Vec<_>>(), all);
        for number in 0..130 {
            let key = key(number);
            assert_eq!(index.value(&key), self.map.get(key.as_slice()).cloned(), "{number}");
            let prefix = &key[..9];
            let under: Vec<_> =
                all.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect();
            assert_eq!(index.under(prefix, 100), under);
            assert_eq!(index.under(prefix, 2), under.into_iter().take(2).collect::<Vec<_>>());
        }
        let range: Vec<_> = index.range(&key(40), &key(90)).collect();
        let expected: Vec<_> = self
            .map
            .range(key(40).to_vec()..key(90).to_vec())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        assert_eq!(range, expected);
        assert_eq!(index.watermark().map_or(0, |mark| mark.size), self.batches.len() as u64);
        index.must_be_whole().unwrap();
    }

    /// The same batches into another index, laid out otherwise.
    fn hash_of_another(&self) -> [u8; 32] {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open_with(&folder.path().join("index"), 1_000_000).unwrap();
        for (number, changes) in (1_u64..).zip(&self.batches) {
            index.apply(changes.clone(), &mark(number)).unwrap();
        }
        index.content_hash()
    }

    /// Batches enough for several merges.
    fn grow(&mut self) {
        for batch in 0..120_u64 {
            let value = |number: u64| (number % 5 != batch % 5).then(|| vec![batch as u8; 300]);
            let numbers = (0..20).map(|number| (number * 7 + batch * 3) % 130);
            self.apply(numbers.map(|number| (key(number), value(number))).collect());
        }
        self.index().flush();
        self.index().core.settled();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<(u64, Option<usize>)>),
    Crash,
    Flush,
    Reopen,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0_u64..130, proptest::option::weighted(0.7, 0_usize..900));
    prop_oneof![
        20 => vec(change, 1..30).prop_map(Step::Apply),
        1 => Just(Step::Crash),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// I5, I9: any batches, written, merged, closed in order or lost in a crash: the index is the
    /// map, its hash does not depend on how it lies, and a start never claims more than was applied.
    #[test]
    fn is_a_plain_map_whatever_happens(steps in vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Apply(changes) => model.apply(
                    changes
                        .into_iter()
                        .map(|(number, value)| (key(number), value.map(|n| vec![n as u8; n])))
                        .collect(),
                ),
                Step::Crash => {
                    let size = model.reopen();
                    prop_assert!(size <= model.batches.len() as u64);
                }
                Step::Flush => model.index().flush(),
                Step::Reopen => {
                    model.index().flush();
                    prop_assert_eq!(model.reopen(), model.batches.len() as u64);
                }
                Step::Settle => model.index().core.settled(),
            }
        }
        model.check();
        prop_assert_eq!(model.index().content_hash(), model.hash_of_another());
    }

    #[test]
    fn a_block_gives_back_what_it_was_given(
        entries in proptest::collection::btree_map(vec(any::<u8>(), 0..20), proptest::option::of(vec(any::<u8>(), 0..40)), 1..200),
        wanted in vec(any::<u8>(), 0..20),
    ) {
        let mut builder = BlockBuilder::default();
        entries.iter().for_each(|(key, value)| builder.push(key, value.as_deref()));
        let page = page::seal(Kind::Block, 1, 0, &builder.finish());
        let open = || Block::within(Page::open(page.clone(), 1, 0).unwrap(), 0).unwrap();
        for (key, value) in &entries {
            prop_assert_eq!(open().find(key).unwrap(), Some(value.clone()));
        }
        prop_assert_eq!(open().find(&wanted).unwrap(), entries.get(&wanted).cloned());
        let mut cursor = BlockCursor::seek(open(), &wanted).unwrap();
        for (key, value) in entries.range(wanted..) {
            prop_assert_eq!(cursor.entry(), Some((key.as_slice(), value.as_deref())));
            cursor.advance().unwrap();
        }
        prop_assert_eq!(cursor.entry(), None);
    }

    #[test]
    fn a_filter_knows_every_key_and_every_beginning(
        keys in proptest::collection::btree_set(vec(0_u8..4, 1..14), 1..300),
    ) {
        let mut builder = FilterBuilder::default();
        keys.iter().for_each(|key| builder.push(key));
        let filter = builder.finish();
        for key in &keys {
            prop_assert!(filter::may_hold(&filter, key));
            prop_assert!(key.len() < 9 || filter::may_hold(&filter, &key[..9]));
        }
    }
}

#[test]
fn a_filter_seldom_takes_an_absent_key_for_present() {
    let mut builder = FilterBuilder::default();
    (0..3_000_u64).for_each(|number| builder.push(&number.to_be_bytes()));
    let filter = builder.finish();
    let absent = (3_000..103_000_u64).map(u64::to_be_bytes);
    let taken = absent.filter(|key| filter::may_hold(&filter, key)).count();
    assert!(taken < 3_000, "{taken} of 100,000");
}

#[test]
fn every_flipped_bit_of_a_page_is_noticed() {
    let mut builder = BlockBuilder::default();
    (0..40).for_each(|number| builder.push(&key(number), Some(b"value")));
    let page = page::seal(Kind::Block, 9, 3, &builder.finish());
    assert!(Page::open(page.clone(), 9, 3).is_ok());
    assert!(Page::open(page.clone(), 8, 3).is_err(), "another run's");
    assert!(Page::open(page.clone(), 9, 4).is_err(), "another place's");
    for bit in 0..8 * page.len() {
        let mut harmed = page.clone();
        harmed[bit / 8] ^= 1 << (bit % 8);
        assert!(Page::open(harmed, 9, 3).is_err(), "bit {bit}");
    }
    for kept in 0..page.len() {
        assert!(Page::open(page[..kept].to_vec(), 9, 3).is_err(), "cut to {kept}");
    }
}

#[test]
fn runs_stay_few_and_removals_fall_away_in_the_oldest() {
    let mut model = Model::new();
    model.grow();
    model.check();
    let runs = model.index().core.runs();
    assert!(runs.len() < 3 * crate::limits::INDEX_RUNS_MERGED, "{} runs", runs.len());
    let oldest = runs.last().unwrap();
    assert!(oldest.meta.bytes as usize > SMALL, "it was merged");
    let mut cursor = run::RunCursor::seek(oldest, b"").unwrap();
    while let Some((_, value)) = merge::Source::entry(&cursor) {
        assert!(value.is_some(), "a removal hides nothing here");
        merge::Source::advance(&mut cursor).unwrap();
    }
}

/// The runs that lie in the folder, and those that the manifest names.
fn lie_and_named(index: &Index) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let named = Manifest::read(&index.core.shelf).unwrap().runs;
    let lie = file::runs_in(index.folder()).unwrap();
    (lie.into_iter().collect(), named.iter().map(|run| run.id).collect())
}

/// I5: a stop between a run and the manifest leaves a file, whole or not, that nobody asks for,
/// and that the next start removes.
#[test]
fn what_a_crash_left_unnamed_is_swept() {
    let mut model = Model::new();
    model.grow();
    let (lie, named) = lie_and_named(model.index());
    assert_eq!(lie, named, "what was merged away is gone");
    let mut writer = RunWriter::new(&model.path()).unwrap();
    for number in 0..2_000 {
        writer.push(format!("k{number:06}").as_bytes(), Some(&[1; 200])).unwrap();
    }
    writer.finish().unwrap().unwrap();
    fs::write(file::path(&model.path(), 7), b"never finished").unwrap();
    assert_eq!(lie_and_named(model.index()).0.len(), named.len() + 2);
    model.reopen();
    model.index().core.settled();
    let (lie, named) = lie_and_named(model.index());
    assert_eq!(lie, named);
    model.check();
}

/// I10: a merge that is given up leaves nothing behind.
#[test]
fn a_run_that_is_given_up_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RunWriter::new(folder.path()).unwrap();
    writer.push(b"key", Some(&[1; 9_000])).unwrap();
    assert_eq!(file::runs_in(folder.path()).unwrap().len(), 1);
    drop(writer);
    assert_eq!(file::runs_in(folder.path()).unwrap(), Vec::<u64>::new());
}

/// I5: a run whose tree has several levels is found through, and walked, as any other.
#[test]
fn a_run_of_many_sections_gives_back_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RunWriter::new(folder.path()).unwrap();
    // Long keys and large values make many sections of few keys.
    let long =
        |number: u64| [&b"t"[..], &number.to_be_bytes(), &[number as u8; 900], b"end"].concat();
    for number in 0..3_000 {
        writer.push(&long(2 * number), Some(&[number as u8; 5_000])).unwrap();
    }
    let meta = writer.finish().unwrap().unwrap();
    let run = Arc::new(Run::open(folder.path(), meta, &Arc::default()).unwrap());
    assert!(run.levels() > 1, "the tree does not fit in its top");
    run.check().unwrap();
    for number in (0..3_000).step_by(7) {
        assert_eq!(run.find(&long(2 * number)).unwrap(), Some(Some(vec![number as u8; 5_000])));
        assert_eq!(run.find(&long(2 * number + 1)).unwrap(), None);
        let mut cursor = run::RunCursor::seek(&run, &long(2 * number + 1)).unwrap();
        let next = (number < 2_999).then(|| long(2 * number + 2));
        assert_eq!(merge::Source::entry(&cursor).map(|(key, _)| key.to_vec()), next);
        while let Some((key, _)) = merge::Source::entry(&cursor) {
            if key >= long(2 * number + 40).as_slice() {
                break;
            }
            merge::Source::advance(&mut cursor).unwrap();
        }
        assert!(run.may_begin(&long(2 * number)[..9]).unwrap());
    }
}

/// I5: a run that was merged away stays while a reader is in it, and goes afterwards.
#[test]
fn a_walk_sees_its_pages_whole_while_runs_are_merged_under_it() {
    let mut model = Model::new();
    model.grow();
    let map = model.map.clone();
    let held = model.index().core.runs();
    let mut walk = model.index().range(b"k", b"l");
    let first = walk.next().unwrap();
    assert_eq!(Some((&first.0, &first.1)), map.first_key_value());
    for batch in 0..60 {
        let changes = (200..220_u64).map(|number| (key(number + batch), Some(vec![0; 300])));
        model.apply(changes.collect());
    }
    model.index().core.settled();
    for run in held.iter() {
        run.check().unwrap();
    }
    let rest: Vec<_> = walk.filter(|(key, _)| map.contains_key(key)).collect();
    assert_eq!(rest, map.into_iter().skip(1).collect::<Vec<_>>());
    drop(held);
    model.check();
}

/// I10: what is in memory stays within its bound, however fast changes come.
#[test]
fn a_writer_too_fast_for_the_disk_waits() {
    let mut model = Model::new();
    for batch in 0..200_u64 {
        let changes = (0..8).map(|number| (key((batch * 8 + number) % 130), Some(vec![1; 200])));
        model.apply(changes.collect());
        let layers = model.index().core.layers();
        assert!(layers.recent.bytes <= SMALL + 8 * 400, "{}", layers.recent.bytes);
    }
    model.check();
}

/// I10: the catalogue does not grow with the number of manifests, and opens as fast.
#[test]
fn a_catalogue_written_often_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    for number in 0..4_000_u64 {
        shelf.put(b"m", [&number.to_be_bytes()[..], &[7; 4_000]].concat()).unwrap();
    }
    drop(shelf);
    let length = fs::metadata(folder.path().join("db")).unwrap().len();
    assert!(length <= 4 * 1024 * 1024, "{length} bytes");
    let last = Shelf::open(folder.path()).unwrap().get(b"m").unwrap().unwrap();
    assert_eq!(last[..8], 3_999_u64.to_be_bytes());
}

/// I10: nobody finds the catalogue locked by whoever has closed it.
#[test]
fn a_closed_catalogue_can_be_opened_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..300_u64 {
        let shelf = Shelf::open(folder.path()).unwrap();
        shelf.put(b"m", vec![number as u8; 4_000]).unwrap();
    }
}

/// An index of an older layout, or what was never one, is not read as an empty one.
#[test]
fn a_shelf_without_a_manifest_is_no_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    Shelf::open(&path).unwrap().put(b"w", vec![1; 100]).unwrap();
    assert!(matches!(Index::open(&path), Err(IndexError::Damaged(_))));
}
