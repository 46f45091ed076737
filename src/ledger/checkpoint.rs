//! Checkpoints: the signed head of the ledger (C2SP tlog-checkpoint).
//!
//! Takes an origin, a size and a root; gives the signed note that says so, and reads it back only
//! through the keys it is expected to be signed with.
//!
//! Holds: I4. Knows: crypto, limits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::{Hash, LEDGER_SIZE_MAX, empty_root};
use super::note::{KEY_NAME_BYTES_MAX, KeyKind, Note, Vkey, check_name};
use super::{Error, parse_decimal, parse_hash};
use crate::crypto::sign::SigningKey;
use crate::limits::CHECKPOINT_BYTES_MAX;

const _: () = assert!(2 * KEY_NAME_BYTES_MAX + 512 < CHECKPOINT_BYTES_MAX, "a checkpoint fits");

/// The rule that a checkpoint breaks which gives an empty tree another root.
pub const EMPTY_TREE_RULE: &str = "the empty tree has the empty root";

/// What a ledger says of itself: so many leaves, and this root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// A checkpoint to be signed.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the origin cannot be a key name, or an empty tree has leaves in its
    /// root; [`Error::OutOfRange`] past [`LEDGER_SIZE_MAX`].
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, Error> {
        check_name(origin)?;
        if size > LEDGER_SIZE_MAX {
            return Err(Error::OutOfRange);
        }
        if size == 0 && root != empty_root() {
            return Err(Error::Malformed(EMPTY_TREE_RULE));
        }
        let origin = origin.to_owned();
        Ok(Self { origin, size, root })
    }

    /// The ledger it is of; also the name of the key that signs it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The text that is signed: origin, size and root, a line each.
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads the text of a checkpoint. Strict: three lines, since nothing can audit an extension.
    /// What it says may be believed only if it came through [`Checkpoint::open`].
    ///
    /// # Errors
    /// As [`Checkpoint::new`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed("a checkpoint is three lines");
        let mut lines = text.strip_suffix('\n').ok_or(MALFORMED)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(MALFORMED);
        };
        Self::new(origin, parse_decimal(size)?, parse_hash(root)?)
    }

    /// Signs the checkpoint under its origin's name; gives the bytes of the note. Whoever calls this
    /// holds an [`super::extension::Extension`] with this size and root.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        Note::sign(&self.text(), &self.origin, key)
            .expect("invariant: an origin is a key name, and a checkpoint fits in a note")
            .to_bytes()
    }

    /// Opens a signed checkpoint of the ledger that this key signs for.
    ///
    /// # Errors
    /// As [`Checkpoint::open_any`].
    pub fn open(note: &[u8], vkey: &Vkey) -> Result<Self, Error> {
        Self::open_any(note, std::slice::from_ref(vkey))
    }

    /// Opens a signed checkpoint of a ledger that has had several keys. Keys of witnesses may be
    /// among them, and their lines must be good, but a cosignature alone is not enough.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::BadSignature`] if a line of any of these keys is not good;
    /// [`Error::NoKnownSignature`]; [`Error::WrongOrigin`] if only keys of another ledger signed.
    pub fn open_any(note: &[u8], vkeys: &[Vkey]) -> Result<Self, Error> {
        let note = Note::parse(note)?;
        let mut signed = note.verify(vkeys)?;
        signed.retain(|by| by.kind == KeyKind::Ed25519);
        if signed.is_empty() {
            return Err(Error::NoKnownSignature);
        }
        let checkpoint = Self::parse(note.text())?;
        if signed.iter().all(|by| by.name != checkpoint.origin) {
            return Err(Error::WrongOrigin);
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
