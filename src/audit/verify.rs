//! Verification without a network and without trust in anyone but the holders of the
//! keys that are named.
//!
//! Takes a mirror's folder, a receipt or an old checkpoint, and verifier keys; gives
//! what is thereby proved, or the first file and entry that does not fit.
//!
//! A mirror is recomputed from its leaves alone: leaf hashes, each tile, the root. The
//! tiles that came with it are believed in nothing; they are compared.
//!
//! Holds: I3, I4. Knows: ledger, proto.

mod receipt;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use receipt::{Opening, Proved, commits, verify_receipt};

use super::mirror::CHECKPOINT_FILE;
use crate::{
    ledger::{
        self,
        checkpoint::Checkpoint,
        growth::Growth,
        leaf::{LEAF_BYTES, Leaf},
        merkle::{Frontier, Hash, leaf_hash},
        note::Vkey,
        tiles::{TILE_WIDTH, TilePath, decode_bundle, encode_tile, tile_path},
    },
    limits,
};

/// A file that a verification reads whole, in bytes at most: an opening holds an
/// envelope in base64.
const FILE_BYTES_MAX: u64 = 4 * limits::ENVELOPE_BYTES_MAX as u64;

/// A tree that was recomputed from its leaves and has a signed root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The ledger.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why something does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file of a mirror is not what the signed root covers.
    #[error("{}: entry {entry}: {reason}", .file.display())]
    Altered {
        /// The first such file.
        file: PathBuf,
        /// The first entry concerned.
        entry: u64,
        /// What does not fit.
        reason: String,
    },
    /// A checkpoint is not signed by a key that is believed, or is no checkpoint.
    #[error("{}: {reason}", .file.display())]
    Checkpoint {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: ledger::Error,
    },
    /// A mirror does not continue the tree of an older checkpoint: history was
    /// rewritten between the two, or these are two ledgers.
    #[error("the ledger was rewritten: {0}")]
    Rewritten(String),
    /// A receipt proves nothing, or not what its opening says.
    #[error("the receipt: {0}")]
    Receipt(String),
    /// A file is absent or cannot be read.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Recomputes a mirror from its leaves and compares everything else with that: each
/// tile, the root, the signed checkpoint.
///
/// # Errors
/// [`VerifyError`], naming the first file and entry that does not fit.
pub fn verify_mirror(folder: &Path, vkeys: &[Vkey]) -> Result<Verified, VerifyError> {
    verify_mirror_with(folder, vkeys, &mut |_, _| {})
}

/// [`verify_mirror`], with `progress` given the entries done and in all.
///
/// # Errors
/// As [`verify_mirror`].
pub fn verify_mirror_with(
    folder: &Path,
    vkeys: &[Vkey],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let checkpoint = checkpoint(&folder.join(CHECKPOINT_FILE), vkeys)?;
    let size = checkpoint.size();
    let mut recomputed = Recomputed::of(folder);
    let mut first = 0;
    while first < size {
        first = recomputed.bundle(first, size)?;
        progress(first, size);
    }
    recomputed.edges()?;
    let root = recomputed.growth.root();
    match (recomputed.differs, root == checkpoint.root()) {
        (None, true) => Ok(Verified { origin: checkpoint.origin().to_owned(), size, root }),
        (Some(tile), true) => Err(tile.altered()),
        (Some(tile), false) => Err(tile.leaf_altered(folder, size)),
        (None, false) => Err(of_another_tree(folder.join(CHECKPOINT_FILE))),
    }
}

/// Whether the mirror in `folder` continues the tree of an older checkpoint, which may
/// be anyone's: an operator's, a witness's, one from a receipt. Gives the older one.
/// The leaves must make both roots; the tiles are [`verify_mirror`]'s to compare.
///
/// # Errors
/// [`VerifyError::Rewritten`] if it does not.
pub fn verify_extends(
    folder: &Path,
    old_checkpoint: &[u8],
    vkeys: &[Vkey],
) -> Result<Verified, VerifyError> {
    let new_file = folder.join(CHECKPOINT_FILE);
    let new = checkpoint(&new_file, vkeys)?;
    let old = Checkpoint::open_any(old_checkpoint, vkeys).map_err(|reason| {
        VerifyError::Checkpoint { file: "the older checkpoint".into(), reason }
    })?;
    if old.origin() != new.origin() {
        let (old, new) = (old.origin(), new.origin());
        return Err(VerifyError::Rewritten(format!("one checkpoint is of {old}, one of {new}")));
    }
    let (size, root) = (old.size(), old.root());
    if size > new.size() {
        let new = new.size();
        let reason = format!("it had {size} entries, and this mirror has only {new}");
        return Err(VerifyError::Rewritten(reason));
    }
    let mut tree = Frontier::new();
    let mut continues = size == 0;
    while tree.size() < new.size() {
        let (path, bytes) = bundle_at(folder, tree.size(), new.size())?;
        for leaf in leaves(&path, tree.size(), &bytes)? {
            tree.push(leaf_hash(leaf));
            continues |= tree.size() == size && tree.root() == root;
        }
    }
    if tree.root() != new.root() {
        return Err(of_another_tree(new_file));
    }
    match continues {
        true => Ok(Verified { origin: old.origin().to_owned(), size, root }),
        false => Err(VerifyError::Rewritten(format!(
            "the first {size} entries of this mirror are not those that the older checkpoint \
             was signed for; both are signed, keep both"
        ))),
    }
}

/// A checkpoint that other leaves were signed with.
fn of_another_tree(file: PathBuf) -> VerifyError {
    let reason = ledger::Error::Diverged("it is of another tree than these leaves make");
    VerifyError::Checkpoint { file, reason }
}

/// Opens the checkpoint in a file.
fn checkpoint(file: &Path, vkeys: &[Vkey]) -> Result<Checkpoint, VerifyError> {
    let bytes = read(file)?;
    Checkpoint::open_any(&bytes, vkeys)
        .map_err(|reason| VerifyError::Checkpoint { file: file.to_owned(), reason })
}

/// Reads a file of bounded length.
///
/// # Errors
/// [`VerifyError::File`].
pub fn read(file: &Path) -> Result<Vec<u8>, VerifyError> {
    let refused = |source| VerifyError::File { file: file.to_owned(), source };
    let length = fs::metadata(file).map_err(refused)?.len();
    if length > FILE_BYTES_MAX {
        return Err(refused(io::Error::other("the file is longer than any such file can be")));
    }
    fs::read(file).map_err(refused)
}

/// Reads a file that a mirror must have.
fn mirrored(file: &Path, entry: u64) -> Result<Vec<u8>, VerifyError> {
    read(file).map_err(|error| match error {
        VerifyError::File { file, source } if source.kind() == io::ErrorKind::NotFound => {
            VerifyError::Altered { file, entry, reason: "the file is missing".into() }
        }
        other => other,
    })
}

/// The bundle that begins with entry `first` in a tree of `size`, and its path.
fn bundle_at(folder: &Path, first: u64, size: u64) -> Result<(PathBuf, Vec<u8>), VerifyError> {
    let width = (size - first).min(u64::from(TILE_WIDTH)) as u16;
    let what = TilePath::Entries { index: first / u64::from(TILE_WIDTH), width };
    let path = folder.join(what.to_string());
    let bytes = mirrored(&path, first)?;
    match bytes.len() == usize::from(width) * (2 + LEAF_BYTES) {
        true => Ok((path, bytes)),
        false => {
            let whole = bytes.len().min(usize::from(width) * (2 + LEAF_BYTES)) / (2 + LEAF_BYTES);
            let (entry, reason) = (first + whole as u64, format!("not {width} leaves"));
            Err(VerifyError::Altered { file: path, entry, reason })
        }
    }
}

/// The leaves of a bundle of the right length, each of them a leaf.
fn leaves<'a>(path: &Path, first: u64, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, VerifyError> {
    let altered = |entry, reason: ledger::Error| VerifyError::Altered {
        file: path.to_owned(),
        entry,
        reason: reason.to_string(),
    };
    for (entry, framed) in (first..).zip(bytes.chunks(2 + LEAF_BYTES)) {
        let one = decode_bundle(framed, 1).map_err(|reason| altered(entry, reason))?;
        let leaf = one.first().copied().unwrap_or_default();
        Leaf::decode(leaf).map_err(|reason| altered(entry, reason))?;
    }
    let width = u16::try_from(bytes.len() / (2 + LEAF_BYTES)).unwrap_or(u16::MAX);
    decode_bundle(bytes, width).map_err(|reason| altered(first, reason))
}

/// A tree as its leaves make it, compared on the way with the tiles beside them.
struct Recomputed<'a> {
    folder: &'a Path,
    growth: Growth,
    /// The first tile that differs from what the leaves make.
    differs: Option<Differs>,
}

/// A tile that differs from what the leaves make.
struct Differs {
    file: PathBuf,
    level: u8,
    /// The first entry below the first hash that differs.
    entry: u64,
    reason: String,
}

impl<'a> Recomputed<'a> {
    fn of(folder: &'a Path) -> Self {
        Self { folder, growth: Growth::new(), differs: None }
    }

    /// Adds the bundle that begins with entry `first`; gives the entry after it.
    fn bundle(&mut self, first: u64, size: u64) -> Result<u64, VerifyError> {
        let (path, bytes) = bundle_at(self.folder, first, size)?;
        let leaves = leaves(&path, first, &bytes)?;
        let mut full = Vec::new();
        for leaf in &leaves {
            self.growth.push(leaf_hash(leaf), &mut full);
        }
        for tile in &full {
            self.compare(tile.level, tile.index, &tile.hashes)?;
        }
        Ok(first + leaves.len() as u64)
    }

    /// Compares the partial tiles, once all leaves are in.
    fn edges(&mut self) -> Result<(), VerifyError> {
        let growth = std::mem::take(&mut self.growth);
        for (tile, hashes) in growth.partial_tiles() {
            self.compare(tile.level, tile.index, hashes)?;
        }
        self.growth = growth;
        Ok(())
    }

    fn compare(&mut self, level: u8, index: u64, hashes: &[Hash]) -> Result<(), VerifyError> {
        if self.differs.is_some() {
            return Ok(());
        }
        let file = self.folder.join(tile_path(level, index, hashes.len() as u16));
        let stored = mirrored(&file, (index * 256) << (8 * level))?;
        let made = encode_tile(hashes);
        if stored == made {
            return Ok(());
        }
        let same = stored.iter().zip(&made).take_while(|(one, other)| one == other).count();
        let at = (index * 256 + (same / 32) as u64).min(index * 256 + hashes.len() as u64 - 1);
        let reason = match stored.len() == made.len() {
            true => "its hash here is not what the leaves make",
            false => "not as long as a tile of its width",
        };
        let entry = at << (8 * level);
        self.differs = Some(Differs { file, level, entry, reason: reason.to_owned() });
        Ok(())
    }
}

impl Differs {
    /// The leaves make the signed root: so it is the tile that was changed.
    fn altered(self) -> VerifyError {
        VerifyError::Altered { file: self.file, entry: self.entry, reason: self.reason }
    }

    /// The leaves do not make the signed root: so a leaf was changed, below this tile.
    fn leaf_altered(self, folder: &Path, size: u64) -> VerifyError {
        let first = self.entry - self.entry % 256;
        let width = (size - first).min(u64::from(TILE_WIDTH)) as u16;
        let bundle = TilePath::Entries { index: first / 256, width };
        let reason = match self.level {
            0 => "the leaf here is not the one that was signed for".to_owned(),
            _ => format!(
                "a leaf from here on is not the one that was signed for, and {} was changed with it",
                tile_path(0, first / 256, width)
            ),
        };
        VerifyError::Altered { file: folder.join(bundle.to_string()), entry: self.entry, reason }
    }
}

#[cfg(test)]
mod tests;
