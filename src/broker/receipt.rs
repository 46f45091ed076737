//! Receipts: from a batch just committed, or from the journal long after. Both
//! ways give the same bytes.
//!
//! Batches stay in memory for a while, since their recipients' streams ask for them
//! next.
//!
//! Holds: I1, I8, I10. Knows: ledger, store, proto, limits.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use super::{Error, Shared, records};
use crate::{
    ledger::{
        extension::Extension,
        tlog_proof::{SignedCheckpoint, TlogProof},
    },
    limits, proto,
    store::{
        Committed, Record,
        journal::{self, Detail, Trailer},
    },
};

/// A batch that is durable, with what its receipts are made of.
#[derive(Debug)]
pub struct DurableBatch {
    pub(super) records: Vec<Record>,
    /// The request keys that it took, and by which record.
    pub(super) requests: HashMap<[u8; 32], usize>,
    pub(super) extension: Extension,
    pub(super) checkpoint: SignedCheckpoint,
}

impl DurableBatch {
    /// The receipt of one of its entries.
    ///
    /// # Errors
    /// [`Error::Broken`] for an entry of another batch.
    pub fn receipt(&self, committed: Committed) -> Result<proto::Receipt, Error> {
        let entry = committed.entry();
        let record = self.record(entry).ok_or_else(|| broken("no such entry in the batch"))?;
        self.receipt_of(entry, record)
    }

    fn receipt_of(&self, entry: u64, record: &Record) -> Result<proto::Receipt, Error> {
        let path = self.extension.inclusion(entry).map_err(broken)?;
        let proof = TlogProof::under(entry, path, &self.checkpoint).map_err(broken)?;
        Ok(receipt(entry, &proof, record))
    }

    fn record(&self, entry: u64) -> Option<&Record> {
        let at = entry.checked_sub(self.extension.old_size())?;
        self.records.get(usize::try_from(at).ok()?)
    }

    fn bytes(&self) -> usize {
        self.records.iter().map(Record::frame_bytes).sum()
    }
}

/// The newest durable batches, at most [`limits::RECENT_BATCH_BYTES`] of them.
#[derive(Default)]
pub(super) struct Recent(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    /// Oldest first; one follows the other.
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl Recent {
    /// Keeps a durable batch, and lets the oldest go.
    pub(super) fn keep(&self, batch: &Batch) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += batch.bytes();
        kept.batches.push_back(Arc::clone(batch));
        while kept.bytes > limits::RECENT_BATCH_BYTES
            && let Some(oldest) = kept.batches.pop_front()
        {
            kept.bytes -= oldest.bytes();
        }
    }

    /// Whether no batch after the first `as_of` entries took a request key; false if some of
    /// them are not kept any more.
    pub(super) fn is_new(&self, key: &[u8; 32], as_of: u64) -> bool {
        #[cfg(test)]
        if crate::planted::is(crate::planted::Bug::RequestLookUpSkipped) {
            return true;
        }
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut since =
            kept.batches.iter().rev().take_while(|batch| batch.extension.size() > as_of);
        let all = kept.batches.front().is_some_and(|first| first.extension.old_size() <= as_of);
        all && since.all(|batch| !batch.requests.contains_key(key))
    }

    fn batch_of(&self, entry: u64) -> Option<Batch> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = kept.batches.partition_point(|batch| batch.extension.size() <= entry);
        kept.batches.get(at).filter(|batch| batch.extension.old_size() <= entry).cloned()
    }
}

/// An entry read back from the journal.
pub struct Stored {
    /// Its number.
    pub entry: u64,
    /// What it holds.
    pub record: Record,
    /// Its receipt.
    pub receipt: proto::Receipt,
}

impl Shared {
    /// Reads an entry back, with the receipt it was given when it was committed.
    ///
    /// # Errors
    /// [`Error::Broken`] if the journal does not have it whole.
    pub fn stored(&self, entry: u64) -> Result<Stored, Error> {
        if let Some(batch) = self.recent.batch_of(entry)
            && let Some(record) = batch.record(entry)
        {
            let receipt = batch.receipt_of(entry, record)?;
            return Ok(Stored { entry, record: record.clone(), receipt });
        }
        let place = self.place(entry)?;
        let record = self.read(&place)?;
        let trailer: Trailer = self.journal.read_trailer(place.trailer()).map_err(broken)?;
        let path = self.tree.inclusion(entry, trailer.size()).map_err(broken)?;
        let proof = TlogProof::new(entry, path, &trailer.checkpoint).map_err(broken)?;
        let receipt = receipt(entry, &proof, &record);
        Ok(Stored { entry, record, receipt })
    }

    /// Reads an entry back, without a proof.
    ///
    /// # Errors
    /// As [`Shared::stored`].
    pub fn record(&self, entry: u64) -> Result<Record, Error> {
        if let Some(batch) = self.recent.batch_of(entry)
            && let Some(record) = batch.record(entry)
        {
            return Ok(record.clone());
        }
        self.read(&self.place(entry)?)
    }

    fn place(&self, entry: u64) -> Result<records::Place, Error> {
        records::place(&self.index, entry)
            .ok_or_else(|| broken(format!("entry {entry} has no place in the index")))
    }

    fn read(&self, place: &records::Place) -> Result<Record, Error> {
        as_written(self.journal.read(place.entry()).map_err(broken)?)
    }
}

/// A stored entry as it was appended. One whose detail is erased has none.
fn as_written(stored: journal::Stored) -> Result<Record, Error> {
    let (detail_opening, detail) = match stored.detail {
        Detail::Present { opening, content } => (opening, content),
        Detail::Erased => ([0; 32], Vec::new()),
        Detail::Damaged => {
            return Err(broken(format!("the detail of entry {} is damaged", stored.number)));
        }
    };
    let (leaf, facts_opening, facts) = (stored.leaf, stored.facts_opening, stored.facts);
    Ok(Record { leaf, facts_opening, facts, detail_opening, detail })
}

fn receipt(entry: u64, proof: &TlogProof, record: &Record) -> proto::Receipt {
    proto::Receipt {
        entry,
        tlog_proof: proof.to_text().into_bytes(),
        leaf: record.leaf.to_vec(),
        facts: record.facts.clone(),
        facts_opening: record.facts_opening.to_vec(),
        detail_opening: record.detail_opening.to_vec(),
        erased: false,
    }
}

pub(super) fn broken(error: impl ToString) -> Error {
    Error::Broken(error.to_string())
}

/// A batch shared by those who wait for it.
pub type Batch = Arc<DurableBatch>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::sign::SigningKey,
        ledger::{
            checkpoint::Checkpoint,
            extension::extends,
            growth::Growth,
            merkle::{Hash, leaf_hash},
        },
    };

    /// A batch of two entries after those of `growth`, the second of which took a request key.
    fn batch(growth: &mut Growth, key: [u8; 32], detail: usize) -> Batch {
        let (old, old_root) = (growth.frontier().clone(), growth.root());
        let leaves: Vec<Hash> =
            (0..2_u64).map(|n| leaf_hash(&(growth.size() + n).to_be_bytes())).collect();
        leaves.iter().for_each(|leaf| growth.push(*leaf, &mut Vec::new()));
        let extension = extends(&old, &old_root, &leaves, &growth.root()).unwrap();
        let head = Checkpoint::new("cairn.example/test", growth.size(), growth.root()).unwrap();
        let note = head.sign(&SigningKey::from_seed(&[7; 32]));
        let record = Record {
            leaf: [0; 89],
            facts_opening: [0; 32],
            facts: Vec::new(),
            detail_opening: [0; 32],
            detail: vec![0; detail],
        };
        Arc::new(DurableBatch {
            records: vec![record.clone(), record],
            requests: HashMap::from([(key, 1)]),
            extension,
            checkpoint: SignedCheckpoint::read(&note).unwrap(),
        })
    }

    /// I8: only what is kept from then on says that a request id is new; a doubt says it is not.
    #[test]
    fn a_request_is_new_only_where_every_batch_since_is_kept() {
        let (recent, mut growth) = (Recent::default(), Growth::new());
        assert!(!recent.is_new(&[1; 32], 0), "just started: nothing is known");
        for key in [1, 2, 3] {
            recent.keep(&batch(&mut growth, [key; 32], 100));
        }
        for as_of in 0..6 {
            assert!(recent.is_new(&[9; 32], as_of), "{as_of}");
            assert!(!recent.is_new(&[3; 32], as_of), "{as_of}");
            assert_eq!(recent.is_new(&[2; 32], as_of), as_of >= 4, "looked for after it: {as_of}");
        }
        assert!(recent.is_new(&[3; 32], 6), "whoever looked then would have found it");
        // As much as may be kept: those before it go.
        recent.keep(&batch(&mut growth, [4; 32], limits::RECENT_BATCH_BYTES / 2 - 300));
        assert!(!recent.is_new(&[9; 32], 5), "a batch since is gone");
        assert!(recent.is_new(&[9; 32], 6));
        recent.keep(&batch(&mut growth, [5; 32], limits::RECENT_BATCH_BYTES));
        assert!(!recent.is_new(&[9; 32], 10), "too large to be kept: nothing is known");
    }
}
