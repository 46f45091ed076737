//! The manifest: which runs there are, newest first, and how far they follow the ledger.
//!
//! One value on the shelf, replaced whole when all that it names is on the disk. What it does not name
//! is nobody's.
//!
//! ```text
//! 0 checksum 4 (CRC32C of the rest) · 4 version 1 · watermark and runs (postcard)
//! ```
//!
//! Holds: I5, I9. Knows: nothing.

use serde::{Deserialize, Serialize};

use super::{IndexError, Watermark, run::RunMeta, shelf::Shelf};

const MANIFEST: &[u8] = b"m";
/// Goes up whenever page, run or manifest are laid out otherwise, or the fold means other keys or
/// values.
const VERSION: u8 = 7;

/// Which runs there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// How far the runs follow the ledger. No further than what was durable in the journal when
    /// it was written, so a start may take it as evidence of entries.
    pub(super) watermark: Option<Watermark>,
    /// Newest first.
    pub(super) runs: Vec<RunMeta>,
}

impl Manifest {
    /// The manifest of a shelf; of an empty one, a new one.
    pub(super) fn read(shelf: &Shelf) -> Result<Self, IndexError> {
        let Some(bytes) = shelf.get(MANIFEST)? else {
            return match shelf.is_empty()? {
                true => Self::default().put(shelf),
                false => Err(IndexError::Damaged("it has no manifest".into())),
            };
        };
        let wrong = || IndexError::Damaged("its manifest is not what was written".into());
        let (checksum, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        if u32::from_le_bytes(*checksum) != crc32c::crc32c(rest) {
            return Err(wrong());
        }
        match rest.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| wrong()),
            _ => Err(IndexError::Damaged("it is of another version".into())),
        }
    }

    /// Puts it in the place of the one before.
    pub(super) fn put(self, shelf: &Shelf) -> Result<Self, IndexError> {
        let mut bytes = vec![0, 0, 0, 0, VERSION];
        let packed =
            postcard::to_allocvec(&self).map_err(|error| IndexError::Damaged(error.to_string()))?;
        bytes.extend_from_slice(&packed);
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        shelf.put(MANIFEST, bytes)?;
        Ok(self)
    }
}
