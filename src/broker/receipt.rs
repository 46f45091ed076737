//! Receipts: from a batch just committed, or from the journal long after. Both
//! ways give the same bytes.
//!
//! Holds: I1, I8. Knows: ledger, store, proto.

use std::sync::Arc;

use super::{Error, Shared, records};
use crate::{
    ledger::{checkpoint::Checkpoint, extension::Extension, tlog_proof::TlogProof},
    proto,
    store::{
        Committed, Record,
        journal::{self, Detail},
    },
};

/// A batch that is durable, with what its receipts are made of.
#[derive(Debug)]
pub struct DurableBatch {
    pub(super) records: Vec<Record>,
    pub(super) extension: Extension,
    pub(super) checkpoint: Vec<u8>,
}

impl DurableBatch {
    /// The receipt of one of its entries.
    ///
    /// # Errors
    /// [`Error::Broken`] for an entry of another batch.
    pub fn receipt(&self, committed: Committed) -> Result<proto::Receipt, Error> {
        let entry = committed.entry();
        let path = self.extension.inclusion(entry).map_err(broken)?;
        let proof = TlogProof::new(entry, path, &self.checkpoint).map_err(broken)?;
        let at = usize::try_from(entry - self.extension.old_size()).map_err(broken)?;
        let record = self.records.get(at).ok_or_else(|| broken("no such entry in the batch"))?;
        Ok(receipt(entry, &proof, record))
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
        let (record, checkpoint) = self.record(entry)?;
        let opened = Checkpoint::open(&checkpoint, &self.vkey).map_err(broken)?;
        let path = self.tree.inclusion(entry, opened.size()).map_err(broken)?;
        let proof = TlogProof::new(entry, path, &checkpoint).map_err(broken)?;
        let receipt = receipt(entry, &proof, &record);
        Ok(Stored { entry, record, receipt })
    }

    /// Reads an entry and its batch's checkpoint.
    ///
    /// # Errors
    /// As [`Shared::stored`].
    pub fn record(&self, entry: u64) -> Result<(Record, Vec<u8>), Error> {
        let place = records::place(&self.index, entry)
            .ok_or_else(|| broken(format!("entry {entry} has no place in the index")))?;
        let record = as_written(self.journal.read(place.entry()).map_err(broken)?)?;
        let trailer = self.journal.read_trailer(place.trailer()).map_err(broken)?;
        Ok((record, trailer.checkpoint))
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
