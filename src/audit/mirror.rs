//! Mirrors: a ledger's leaves and hashes, copied by someone who will notice if they
//! ever change.
//!
//! Takes a served ledger and a folder; gives the standard static layout (C2SP
//! tlog-tiles), which any static server can serve and tools we did not write can read:
//!
//! ```text
//! checkpoint                    the signed head, written last
//! cosigned                      the newest head that witnesses have cosigned, if there is one
//! tile/<level>/<index>          256 hashes; the newest at the right edge `<index>.p/<width>`
//! tile/entries/<index>          256 leaves; likewise
//! conflict-<size>/              evidence, if the ledger ever shows two histories
//! ```
//!
//! Nothing is written that does not follow from the signed root: edges are checked
//! against the root, a full tile against the hash above it, leaves against their tile.
//! What is there and covered by the mirror's own checkpoint is not fetched again.
//!
//! Holds: I4, I11. Knows: ledger, proto, wire's client, store (durable files).

mod run;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    ledger::{
        self,
        checkpoint::Checkpoint,
        merkle::Hash,
        note::Vkey,
        proof,
        tiles::{TileId, TilePath},
    },
    proto::{
        BeginMirrorRequest, GetCheckpointRequest, GetConsistencyProofRequest,
        GetEntryBundleRequest, GetTileRequest,
    },
    store::files,
    wire::client::{AuditClient, Client, ClientError},
};
use run::Run;

/// The file that says how far a mirror goes.
pub const CHECKPOINT_FILE: &str = "checkpoint";

/// The file with the newest checkpoint that witnesses have cosigned. Not of the standard layout:
/// the newest checkpoint of all covers the record of the run itself, and nobody has seen it yet.
pub const COSIGNED_FILE: &str = "cosigned";

/// A mirror that has reached a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The key that signed for it.
    pub vkey: Vkey,
    /// The signed checkpoint, as it was served.
    pub checkpoint: Vec<u8>,
}

/// Why a mirror was not brought up to date. What it held before stays whole.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The exchange did not answer, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The new checkpoint is signed, and does not extend the mirror's own: the ledger
    /// has shown two histories. The evidence is kept.
    #[error(
        "the ledger's checkpoint of {new} entries does not extend this mirror's of {old}: {reason}; \
         both checkpoints and the proof are in {}", .evidence.display()
    )]
    Conflict {
        /// The size of the mirror's own checkpoint.
        old: u64,
        /// The size of the checkpoint that was served.
        new: u64,
        /// What does not fit.
        reason: String,
        /// The folder with both checkpoints and the proof.
        evidence: PathBuf,
    },
    /// The mirror's own checkpoint cannot be believed.
    #[error("{}: {reason}; mirror into another folder", .path.display())]
    Own {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ledger::Error,
    },
    /// What was served does not follow from the checkpoint that was served.
    #[error("the exchange served {what} that does not follow from its checkpoint: {reason}")]
    Suspect {
        /// What it was.
        what: String,
        /// What does not fit.
        reason: ledger::Error,
    },
    /// The file system refused.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Brings the mirror in `folder` up to the ledger's newest checkpoint; makes it if it
/// is not there. The run is recorded in the ledger under `purpose`, and the checkpoint
/// covers that record. `progress` is given the files done and in all.
///
/// # Errors
/// [`MirrorError`]. Interrupted or refused, the mirror is as it was; call again to go on.
pub async fn mirror(
    client: &Client,
    folder: &Path,
    purpose: &str,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Mirrored, MirrorError> {
    let vkey = client.folder().vkey.clone();
    // Looked at first: a folder that is no mirror of this ledger is not worth a record.
    held(folder, &vkey)?;
    let mut service = client.audit();
    // Before, so that what is mirrored then goes at least as far.
    let known = service.get_checkpoint(GetCheckpointRequest {}).await.map_err(ClientError::from)?;
    let cosigned = known.into_inner().cosigned;
    let request = BeginMirrorRequest { purpose: purpose.to_owned() };
    let begun = service.begin_mirror(request).await.map_err(ClientError::from)?.into_inner();
    let served = Remote(service);
    let mirrored = follow(&served, folder, &vkey, begun.checkpoint, progress).await?;
    keep_cosigned(&served, folder, cosigned, &mirrored).await?;
    Ok(mirrored)
}

/// Keeps the checkpoint that witnesses have cosigned, if the mirror goes on from it. Who they are
/// is for a policy to judge.
async fn keep_cosigned<S: Served>(
    served: &S,
    folder: &Path,
    note: Vec<u8>,
    mirrored: &Mirrored,
) -> Result<(), MirrorError> {
    if note.is_empty() {
        return Ok(());
    }
    let suspect = |reason| MirrorError::Suspect { what: "a cosigned checkpoint".into(), reason };
    let cosigned = Checkpoint::open(&note, &mirrored.vkey).map_err(suspect)?;
    let head = Checkpoint::open(&mirrored.checkpoint, &mirrored.vkey).map_err(suspect)?;
    must_extend(served, folder, &(note.clone(), cosigned), (&mirrored.checkpoint, &head)).await?;
    let path = folder.join(COSIGNED_FILE);
    files::write_atomic(&path, &note).map_err(|source| MirrorError::File { path, source })
}

/// Where a mirror is copied from.
pub(super) trait Served: Clone + Send + 'static {
    /// A tile or a bundle.
    fn fetch(
        &self,
        what: TilePath,
    ) -> impl Future<Output = Result<Vec<u8>, ClientError>> + Send + 'static;

    /// The proof that the tree of `new` extends the tree of `old`.
    fn consistency(
        &self,
        old: u64,
        new: u64,
    ) -> impl Future<Output = Result<Vec<Hash>, ClientError>> + Send;
}

/// A ledger behind its audit service.
#[derive(Clone)]
struct Remote(AuditClient);

impl Served for Remote {
    fn fetch(
        &self,
        what: TilePath,
    ) -> impl Future<Output = Result<Vec<u8>, ClientError>> + Send + 'static {
        let mut service = self.0.clone();
        async move {
            match what {
                TilePath::Entries { index, width } => {
                    let request = GetEntryBundleRequest { index, width: width.into() };
                    Ok(service.get_entry_bundle(request).await?.into_inner().bundle)
                }
                TilePath::Hashes(TileId { level, index, width }) => {
                    let (level, width) = (level.into(), width.into());
                    let request = GetTileRequest { level, index, width };
                    Ok(service.get_tile(request).await?.into_inner().tile)
                }
            }
        }
    }

    async fn consistency(&self, old_size: u64, new_size: u64) -> Result<Vec<Hash>, ClientError> {
        let request = GetConsistencyProofRequest { old_size, new_size };
        let answer = self.0.clone().get_consistency_proof(request).await?.into_inner();
        hashes(&answer.hashes)
    }
}

/// The hashes of a proof as it is served.
///
/// # Errors
/// [`ClientError::Suspect`] if one is not 32 bytes long.
pub fn hashes(served: &[Vec<u8>]) -> Result<Vec<Hash>, ClientError> {
    let hash = |bytes: &Vec<u8>| <[u8; 32]>::try_from(bytes.as_slice()).map(Hash::from_bytes);
    served
        .iter()
        .map(hash)
        .collect::<Result<_, _>>()
        .map_err(|_| ClientError::Suspect("a hash of a proof is not 32 bytes long".into()))
}

/// Brings a mirror up to a checkpoint that was served.
pub(super) async fn follow<S: Served>(
    served: &S,
    folder: &Path,
    vkey: &Vkey,
    note: Vec<u8>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Mirrored, MirrorError> {
    let suspect = |reason| MirrorError::Suspect { what: "a checkpoint".into(), reason };
    let new = Checkpoint::open(&note, vkey).map_err(suspect)?;
    let old = held(folder, vkey)?;
    if let Some(old) = &old {
        must_extend(served, folder, old, (&note, &new)).await?;
    }
    let old_size = old.map_or(0, |(_, old)| old.size());
    let mut run = Run::new(served, folder, &new, old_size, progress);
    run.fetch_all().await?;
    let path = folder.join(CHECKPOINT_FILE);
    files::write_atomic(&path, &note).map_err(|source| MirrorError::File { path, source })?;
    run.clear();
    Ok(Mirrored { size: new.size(), root: new.root(), vkey: vkey.clone(), checkpoint: note })
}

/// The mirror's own checkpoint, if it has one.
fn held(folder: &Path, vkey: &Vkey) -> Result<Option<(Vec<u8>, Checkpoint)>, MirrorError> {
    let path = folder.join(CHECKPOINT_FILE);
    let note = match fs::read(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(MirrorError::File { path, source }),
    };
    match Checkpoint::open(&note, vkey) {
        Ok(checkpoint) => Ok(Some((note, checkpoint))),
        Err(reason) => Err(MirrorError::Own { path, reason }),
    }
}

/// The new checkpoint must extend the mirror's own; where it does not, both are kept.
async fn must_extend<S: Served>(
    served: &S,
    folder: &Path,
    (old_note, old): &(Vec<u8>, Checkpoint),
    (new_note, new): (&[u8], &Checkpoint),
) -> Result<(), MirrorError> {
    let conflict = |reason: String, path: &[Hash]| {
        let evidence = keep_evidence(folder, new.size(), old_note, new_note, path)?;
        Err(MirrorError::Conflict { old: old.size(), new: new.size(), reason, evidence })
    };
    if new.size() < old.size() {
        return conflict("the ledger has become shorter".into(), &[]);
    }
    let path = match served.consistency(old.size(), new.size()).await {
        Ok(path) => path,
        Err(ClientError::Refused { message, .. }) => {
            return conflict(format!("no proof is given: {message}"), &[]);
        }
        Err(error) => return Err(error.into()),
    };
    match proof::verify_consistency(old.size(), new.size(), &old.root(), &new.root(), &path) {
        Ok(()) => Ok(()),
        Err(error) => conflict(error.to_string(), &path),
    }
}

/// Both checkpoints and the proof, each run that finds a conflict in a folder of its own.
fn keep_evidence(
    folder: &Path,
    size: u64,
    old: &[u8],
    new: &[u8],
    path: &[Hash],
) -> Result<PathBuf, MirrorError> {
    let mut evidence = folder.join(format!("conflict-{size}"));
    for again in 2_u32.. {
        if !evidence.exists() {
            break;
        }
        evidence = folder.join(format!("conflict-{size}-{again}"));
    }
    let proof: String = path.iter().map(|hash| STANDARD.encode(hash.as_bytes()) + "\n").collect();
    let write = || {
        files::create_dir(&evidence)?;
        files::write_atomic(&evidence.join("checkpoint-held"), old)?;
        files::write_atomic(&evidence.join("checkpoint-served"), new)?;
        files::write_atomic(&evidence.join("consistency-proof"), proof.as_bytes())
    };
    match write() {
        Ok(()) => Ok(evidence),
        Err(source) => Err(MirrorError::File { path: evidence, source }),
    }
}

#[cfg(test)]
mod tests;
