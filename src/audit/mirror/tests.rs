use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::{
    audit::{
        testbed::{Ledger, files},
        verify::{verify_extends, verify_mirror},
    },
    ledger::tiles::encode_tile,
};

/// A ledger that is served from memory, harmed on the way if the test says so.
#[derive(Clone)]
struct Memory {
    ledger: Arc<Ledger>,
    fetched: Arc<AtomicU64>,
    /// Changes the bytes of this file.
    harmed: Option<TilePath>,
    /// After so many files nothing more is answered.
    answers: u64,
}

impl Memory {
    fn of(ledger: Ledger) -> Self {
        let fetched = Arc::default();
        Self { ledger: Arc::new(ledger), fetched, harmed: None, answers: u64::MAX }
    }

    fn fetched(&self) -> u64 {
        self.fetched.swap(0, Ordering::SeqCst)
    }

    async fn mirror(&self, folder: &Path) -> Result<Mirrored, MirrorError> {
        let (size, vkey) = (self.ledger.size(), self.ledger.vkey());
        follow(self, folder, &vkey, self.ledger.checkpoint(size), &mut |_, _| {}).await
    }
}

impl Served for Memory {
    fn fetch(
        &self,
        what: TilePath,
    ) -> impl Future<Output = Result<Vec<u8>, ClientError>> + Send + 'static {
        let answered = self.fetched.fetch_add(1, Ordering::SeqCst) < self.answers;
        let mut bytes = match what {
            TilePath::Entries { index, width } => self.ledger.bundle(index, width),
            TilePath::Hashes(TileId { level, index, width }) => {
                encode_tile(&self.ledger.tile(level, index, width))
            }
        };
        if self.harmed == Some(what) {
            bytes[40] ^= 1;
        }
        std::future::ready(match answered {
            true => Ok(bytes),
            false => Err(ClientError::Again("away".into())),
        })
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ClientError> {
        proof::prove_consistency(self, old, new)
            .map_err(|error| ClientError::Suspect(error.to_string()))
    }
}

impl ledger::tiles::TileSource for Memory {
    type Error = ledger::Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, ledger::Error> {
        Ok(self.ledger.tile(level, index, width))
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("a/mirror");
    (outer, folder)
}

#[tokio::test]
async fn mirrors_the_standard_layout_and_nothing_else() {
    for size in [1, 256, 257, 600] {
        let ledger = Ledger::of(size);
        let (_outer, folder) = folder();
        let mirrored = Memory::of(ledger.clone()).mirror(&folder).await.unwrap();
        assert_eq!((mirrored.size, mirrored.root), (size, ledger.root(size)));
        let expected = ledger.mirror();
        assert_eq!(files(&folder), files(expected.path()), "{size}");
        for name in files(&folder) {
            let (one, other) = (folder.join(&name), expected.path().join(&name));
            assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap(), "{name}");
        }
    }
}

#[tokio::test]
async fn counts_its_files_up_to_the_last() {
    let ledger = Ledger::of(600);
    let (_outer, folder) = folder();
    let mut seen = Vec::new();
    let mut progress = |done, total| seen.push((done, total));
    let note = ledger.checkpoint(600);
    let served = Memory::of(ledger.clone());
    follow(&served, &folder, &ledger.vkey(), note, &mut progress).await.unwrap();
    let expected: Vec<_> = (1..=7).map(|done| (done, 7)).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn fetches_full_files_once_and_removes_the_old_edge() {
    let mut ledger = Ledger::of(300);
    let (_outer, folder) = folder();
    let served = Memory::of(ledger.clone());
    served.mirror(&folder).await.unwrap();
    assert_eq!(served.fetched(), 5);
    ledger.grow(800);
    let served = Memory::of(ledger.clone());
    served.mirror(&folder).await.unwrap();
    // Tiles 1 and 2, the edges of levels 0 and 1; bundles 1 and 2, and the last.
    assert_eq!(served.fetched(), 7);
    assert_eq!(files(&folder), files(ledger.mirror().path()));
    let verified = verify_mirror(&folder, &[ledger.vkey()]).unwrap();
    assert_eq!(verified.size, 800);
    verify_extends(&folder, &ledger.checkpoint(300), &[ledger.vkey()]).unwrap();
}

#[tokio::test]
async fn goes_on_where_it_was_interrupted() {
    let ledger = Ledger::of(600);
    let (_outer, folder) = folder();
    let away = Memory { answers: 4, ..Memory::of(ledger.clone()) };
    assert!(matches!(away.mirror(&folder).await, Err(MirrorError::Client(_))));
    assert!(!folder.join("checkpoint").exists());
    let served = Memory::of(ledger.clone());
    served.mirror(&folder).await.unwrap();
    // The two edges again, and the bundles; both full tiles were there.
    assert_eq!(served.fetched(), 5);
    verify_mirror(&folder, &[ledger.vkey()]).unwrap();
}

/// I4: a file that does not follow from the signed root is not kept.
#[tokio::test]
async fn refuses_each_file_that_does_not_follow_from_the_root() {
    let ledger = Ledger::of(600);
    for name in files(ledger.mirror().path()) {
        let Ok(harmed) = TilePath::parse(&name) else { continue };
        let (_outer, folder) = folder();
        let served = Memory { harmed: Some(harmed), ..Memory::of(ledger.clone()) };
        let refused = served.mirror(&folder).await;
        assert!(matches!(refused, Err(MirrorError::Suspect { .. })), "{name}: {refused:?}");
        assert!(!folder.join(&name).exists() && !folder.join("checkpoint").exists());
    }
}

/// I4: both histories are kept as evidence, and the mirror stays as it was.
#[tokio::test]
async fn refuses_a_rewritten_ledger_and_keeps_the_evidence() {
    let mut ledger = Ledger::of(300);
    let (_outer, folder) = folder();
    Memory::of(ledger.clone()).mirror(&folder).await.unwrap();
    let (old, before) = (ledger.checkpoint(300), files(&folder));
    ledger.rewrite(7);
    for size in [300, 500, 500] {
        ledger.grow(size);
        let served = Memory::of(ledger.clone());
        let Err(MirrorError::Conflict { evidence, .. }) = served.mirror(&folder).await else {
            panic!("{size}: not refused");
        };
        assert_eq!(fs::read(evidence.join("checkpoint-held")).unwrap(), old);
        assert_eq!(fs::read(evidence.join("checkpoint-served")).unwrap(), ledger.checkpoint(size));
        let proof = fs::read_to_string(evidence.join("consistency-proof")).unwrap();
        assert_eq!(proof.is_empty(), size == 300);
    }
    let kept = |name: &&String| !name.starts_with("conflict-");
    assert_eq!(files(&folder).iter().filter(kept).collect::<Vec<_>>(), Vec::from_iter(&before));
    assert!(folder.join("conflict-500").exists() && folder.join("conflict-500-2").exists());
    assert_eq!(verify_mirror(&folder, &[ledger.vkey()]).unwrap().size, 300);
}

#[tokio::test]
async fn refuses_a_ledger_that_became_shorter() {
    let (_outer, folder) = folder();
    Memory::of(Ledger::of(30)).mirror(&folder).await.unwrap();
    let refused = Memory::of(Ledger::of(29)).mirror(&folder).await;
    assert!(matches!(refused, Err(MirrorError::Conflict { old: 30, new: 29, .. })));
}

#[tokio::test]
async fn refuses_a_checkpoint_that_the_ledger_did_not_sign() {
    let ledger = Ledger::of(30);
    let (_outer, folder) = folder();
    let mut note = ledger.checkpoint(30);
    let last = note.len() - 5;
    note[last] ^= 1;
    let served = Memory::of(ledger.clone());
    let refused = follow(&served, &folder, &ledger.vkey(), note, &mut |_, _| {}).await;
    assert!(matches!(refused, Err(MirrorError::Suspect { .. })));
    assert!(!folder.exists());
}

#[tokio::test]
async fn refuses_a_folder_whose_own_checkpoint_is_not_to_be_believed() {
    let ledger = Ledger::of(30);
    let (_outer, folder) = folder();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("checkpoint"), "something else\n").unwrap();
    let refused = Memory::of(ledger).mirror(&folder).await;
    assert!(matches!(refused, Err(MirrorError::Own { .. })));
}
