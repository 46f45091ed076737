//! An unfinished last batch: cut only if nobody was told of it, and never in silence.

use std::fs;

use cairn::{
    proto::{self, EntryType, Facts, QueryRequest},
    store::{
        Journal,
        journal::{self, Evidence, Record},
    },
};

use super::{Past, replace};
use crate::process::Process;

impl Past {
    /// The bytes that the next batch of this journal would put on disk.
    fn next_batch(&self) -> Vec<u8> {
        let copy = self.world.folder.path().join("copy");
        replace(&self.journal(), &copy);
        let label = "copy";
        let (mut journal, _) = Journal::open(&copy, None, Evidence::default(), label).unwrap();
        let record = Record {
            leaf: [7; journal::LEAF_BYTES],
            facts_opening: [8; 32],
            facts: vec![9; 100],
            detail_opening: [10; 32],
            detail: vec![11; 9_000],
        };
        let placed = journal.append(&[record.clone(), record], [12; 32], &[13; 200]).unwrap();
        drop(journal);
        let end = placed.trailer.offset + u64::from(placed.trailer.length);
        let segment = fs::read(copy.join(self.segment().file_name().unwrap())).unwrap();
        segment[placed.locations[0].offset as usize..end as usize].to_vec()
    }

    /// What recovery has cut, as the ledger has it.
    async fn recoveries(&self) -> Vec<u64> {
        let request = QueryRequest { purpose: "test".into(), page_size: 1_000, ..<_>::default() };
        let rows = self.world.auditor.audit().query(request).await.unwrap().into_inner().rows;
        let facts = rows.iter().map(|row| proto::decode::<Facts>(&row.facts).unwrap());
        let cut = facts.filter(|facts| facts.r#type() == EntryType::Recovery);
        cut.map(|facts| facts.count).collect()
    }
}

/// I1, I3, I9: an unfinished batch after an unclean stop, which nothing names, is cut, kept
/// aside byte for byte and recorded, once; nothing that anyone was told goes with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_that_nobody_was_told_of_is_cut_kept_aside_and_recorded() {
    let past = Past::of(3).await;
    let process = Process::serve(&past.world).await;
    assert!(past.recoveries().await.is_empty(), "a clean stop leaves nothing to recover");
    process.kill();
    let process = Process::serve(&past.world).await;
    assert!(past.recoveries().await.is_empty(), "an unclean one without a torn batch neither");
    process.kill();

    let mut cuts = Vec::new();
    for variant in 0..5 {
        let whole = past.next_batch();
        let mut torn = match variant {
            0 => whole[..1].to_vec(),
            1 => whole[..whole.len() / 4].to_vec(),
            2 => whole[..whole.len() / 2].to_vec(),
            3 => whole[..whole.len() - 1].to_vec(),
            _ => whole,
        };
        if variant == 4 {
            // Written out of order: the first sectors never came.
            torn[..2048].fill(0);
        }
        let segment = past.segment();
        let mut bytes = fs::read(&segment).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes[end..end + torn.len()].copy_from_slice(&torn);
        fs::write(&segment, bytes).unwrap();

        let process = Process::serve(&past.world).await;
        past.every_receipt_returns(&format!("variant {variant}")).await;
        cuts.push(torn.len() as u64);
        assert_eq!(past.recoveries().await, cuts, "variant {variant}");
        let kept = fs::read_dir(past.journal()).unwrap().map(|entry| entry.unwrap().path());
        let kept: Vec<_> = kept
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("cut-"))
            .filter(|path| fs::read(path).unwrap() == torn)
            .collect();
        assert_eq!(kept.len(), 1, "variant {variant}: kept aside byte for byte");
        process.kill();
    }
    let process = Process::serve(&past.world).await;
    process.stop();
    let process = Process::serve(&past.world).await;
    assert_eq!(past.recoveries().await, cuts, "each is recorded once");
    process.stop();
    past.goes_on().await;
}
