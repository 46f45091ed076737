//! A system's outbox: what it has said, kept until it is accepted, and what was
//! refused, kept until somebody mends it.
//!
//! ```text
//! outbox/<id>.envelope       not answered yet, or refused
//! outbox/<id>.refused.json   why, with the code and what to do; alone, where the body
//!                            was too large to be sealed
//! sent/<id>.envelope         accepted
//! sent/<id>.tlog-proof       its receipt
//! sent/<id>.opening.json     what opens the receipt's leaf, base64
//! ```
//!
//! `<id>` is the request id and the start of the content's digest, so that the same
//! content finds its envelope again and another content does not overwrite it. Every
//! file is durable before the next step.
//!
//! Holds: I6, I8. Knows: store (durable files), proto.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    proto::{self, Envelope, Receipt, Statement},
    store::files,
};

/// Why a statement was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedNote {
    /// The stable code.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The sender's own reference, if it is a concern.
    pub reference: String,
}

/// Something in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Why it was refused; `None` if it was not answered yet.
    pub refused: Option<RefusedNote>,
}

/// A system's outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    outbox: PathBuf,
    sent: PathBuf,
}

impl Outbox {
    /// Opens the outbox of a system's folder, making it if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let (outbox, sent) = (folder.join("outbox"), folder.join("sent"));
        for folder in [&outbox, &sent] {
            if !folder.exists() {
                files::create_dir(folder)?;
            }
        }
        Ok(Self { outbox, sent })
    }

    /// Puts an envelope in, or finds the one with the same content that is there or
    /// was sent already. Gives its id and the envelope to submit.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&self, envelope: Vec<u8>) -> io::Result<(String, Vec<u8>)> {
        let id = id_of(&envelope);
        for folder in [&self.outbox, &self.sent] {
            let path = folder.join(format!("{id}.envelope"));
            if path.exists() {
                return Ok((id, fs::read(path)?));
            }
        }
        files::write_atomic(&self.outbox.join(format!("{id}.envelope")), &envelope)?;
        Ok((id, envelope))
    }

    /// Puts a freshly sealed envelope in the place of the one with the same content.
    ///
    /// # Errors
    /// What the file system says.
    pub fn replace(&self, envelope: &[u8]) -> io::Result<()> {
        let id = id_of(envelope);
        files::write_atomic(&self.outbox.join(format!("{id}.envelope")), envelope)
    }

    /// Whether something with the content of this envelope is in it or was sent.
    #[must_use]
    pub fn holds(&self, envelope: &[u8]) -> bool {
        let name = format!("{}.envelope", id_of(envelope));
        [&self.outbox, &self.sent].iter().any(|folder| folder.join(&name).exists())
    }

    /// It was accepted: keeps the receipt, then lets go of it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn accepted(&self, id: &str, envelope: &[u8], receipt: &Receipt) -> io::Result<()> {
        write_receipt(&self.sent, id, envelope, receipt)?;
        files::write_atomic(&self.sent.join(format!("{id}.envelope")), envelope)?;
        self.forget(id)
    }

    /// It was refused: keeps why.
    ///
    /// # Errors
    /// What the file system says.
    pub fn refused(&self, id: &str, note: &RefusedNote) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(note).map_err(io::Error::other)?;
        files::write_atomic(&self.outbox.join(format!("{id}.refused.json")), &text)
    }

    /// Lets go of something, answered or given up by a person.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self, id: &str) -> io::Result<()> {
        for name in [format!("{id}.refused.json"), format!("{id}.envelope")] {
            let path = self.outbox.join(name);
            if path.exists() {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// What is in it, by id.
    ///
    /// # Errors
    /// What the file system says.
    pub fn list(&self) -> io::Result<Vec<Kept>> {
        let mut ids = BTreeSet::new();
        for entry in fs::read_dir(&self.outbox)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| {
                name.strip_suffix(".envelope").or_else(|| name.strip_suffix(".refused.json"))
            });
            ids.extend(id.map(str::to_owned));
        }
        let kept = |id: String| Kept { refused: self.refusal(&id), id };
        Ok(ids.into_iter().map(kept).collect())
    }

    /// Why something in it was refused; `None` if it was not answered yet.
    #[must_use]
    pub fn refusal(&self, id: &str) -> Option<RefusedNote> {
        let note = fs::read(self.outbox.join(format!("{id}.refused.json"))).ok()?;
        // A note that cannot be read still says that it was refused.
        Some(serde_json::from_slice(&note).unwrap_or_default())
    }

    /// The envelope of something in it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn envelope(&self, id: &str) -> io::Result<Vec<u8>> {
        fs::read(self.outbox.join(format!("{id}.envelope")))
    }
}

/// Writes a receipt as two files: the proof, and what opens its leaf.
///
/// # Errors
/// What the file system says.
pub fn write_receipt(
    folder: &Path,
    name: &str,
    envelope: &[u8],
    receipt: &Receipt,
) -> io::Result<()> {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let opening = serde_json::json!({
        "entry": receipt.entry,
        "envelope": base64(envelope),
        "leaf": base64(&receipt.leaf),
        "facts": base64(&receipt.facts),
        "facts_opening": base64(&receipt.facts_opening),
        "detail_opening": base64(&receipt.detail_opening),
    });
    let text = serde_json::to_vec(&opening).map_err(io::Error::other)?;
    files::write_atomic(&folder.join(format!("{name}.opening.json")), &text)?;
    files::write_atomic(&folder.join(format!("{name}.tlog-proof")), &receipt.tlog_proof)
}

/// The request id, and the start of a digest over what makes a statement the same.
fn id_of(envelope: &[u8]) -> String {
    let statement = proto::decode::<Envelope>(envelope)
        .and_then(|envelope| proto::decode::<Statement>(&envelope.statement))
        .unwrap_or_default();
    let request_id = statement.request_id.clone();
    let same = Statement { seal: None, flags: Vec::new(), ..statement };
    let digest = Sha256::digest(proto::encode(&same));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{}-{}", hex(&request_id), hex(&digest[..4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(reference: &str, nonce: u8) -> Vec<u8> {
        let concern = proto::Concern { reference: reference.into(), ..proto::Concern::default() };
        let statement = Statement {
            request_id: vec![7; 16],
            seal: Some(proto::Seal { body_sha256: vec![nonce; 32], ..proto::Seal::default() }),
            act: Some(proto::statement::Act::Concern(concern)),
            ..Statement::default()
        };
        proto::encode(&Envelope { statement: proto::encode(&statement), ..Envelope::default() })
    }

    fn note() -> RefusedNote {
        RefusedNote { code: "body_too_large".into(), ..RefusedNote::default() }
    }

    #[test]
    fn the_same_content_finds_its_envelope_until_it_is_replaced_and_after_it_was_sent() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::of(dir.path()).unwrap();
        let (first, again) = (envelope("R", 1), envelope("R", 2));
        assert!(!outbox.holds(&first));
        let (id, kept) = outbox.put(first.clone()).unwrap();
        assert_eq!((kept, outbox.holds(&again)), (first.clone(), true));
        assert_eq!(outbox.put(again.clone()).unwrap(), (id.clone(), first));
        outbox.replace(&again).unwrap();
        assert_eq!(outbox.envelope(&id).unwrap(), again);
        outbox.accepted(&id, &again, &Receipt::default()).unwrap();
        assert!(outbox.list().unwrap().is_empty() && outbox.holds(&again));
        assert_ne!(outbox.put(envelope("S", 1)).unwrap().0, id);
    }

    #[test]
    fn what_was_refused_is_listed_with_and_without_an_envelope_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::of(dir.path()).unwrap();
        let (id, _) = outbox.put(envelope("R", 1)).unwrap();
        outbox.refused(&id, &note()).unwrap();
        outbox.refused("never-sealed", &note()).unwrap();
        let listed = outbox.list().unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|kept| kept.refused == Some(note())));
        outbox.forget("never-sealed").unwrap();
        fs::write(dir.path().join(format!("outbox/{id}.refused.json")), "{").unwrap();
        assert_eq!(outbox.refusal(&id), Some(RefusedNote::default()));
        outbox.forget(&id).unwrap();
        assert!(outbox.list().unwrap().is_empty());
    }
}
