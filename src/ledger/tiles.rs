//! The static form of the tree: tiles of 256 hashes, entry bundles, and the paths of both.
//!
//! Takes and gives hashes, entries and paths as C2SP tlog-tiles lays them out. [`TileSource`] is
//! how proofs read the hashes of a stored tree.
//!
//! Holds: I10. Knows: nothing.

use std::fmt;

use super::merkle::{Hash, LEDGER_SIZE_MAX, node_hash};
use super::{Error, parse_decimal};

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// The highest level a tile path may name.
pub const TILE_LEVEL_MAX: u8 = 63;
/// The longest entry a bundle can hold, in bytes.
pub const BUNDLE_ENTRY_BYTES_MAX: usize = u16::MAX as usize;

const MALFORMED_PATH: Error = Error::Malformed("not a tile path");

/// One tile of hashes. Hash `i` of tile `index` at `level` is the root of the perfect subtree over
/// the 256^level leaves from `(index * 256 + i) * 256^level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaf hashes, at most [`TILE_LEVEL_MAX`].
    pub level: u8,
    /// Counted from the left of the level, from 0.
    pub index: u64,
    /// How many hashes, 1 to [`TILE_WIDTH`].
    pub width: u16,
}

impl TileId {
    /// Whether the tile is full, and so will never change again.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }
}

/// A path below the root of a static ledger. `Display` and [`TilePath::parse`] are each other's
/// inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TilePath {
    /// `tile/entries/<index>[.p/<width>]`
    Entries {
        /// Counted from 0.
        index: u64,
        /// How many entries, 1 to [`TILE_WIDTH`].
        width: u16,
    },
    /// `tile/<level>/<index>[.p/<width>]`
    Hashes(TileId),
}

impl TilePath {
    /// Reads a path. Strict: there is one spelling for each tile.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::OutOfRange`].
    pub fn parse(path: &str) -> Result<Self, Error> {
        let rest = path.strip_prefix("tile/").ok_or(MALFORMED_PATH)?;
        let (kind, rest) = rest.split_once('/').ok_or(MALFORMED_PATH)?;
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => (index, parse_partial_width(width)?),
        };
        let index = parse_index(index)?;
        if kind == "entries" {
            return Ok(Self::Entries { index, width });
        }
        let level = u8::try_from(parse_decimal(kind)?).map_err(|_| Error::OutOfRange)?;
        if level > TILE_LEVEL_MAX {
            return Err(Error::OutOfRange);
        }
        Ok(Self::Hashes(TileId { level, index, width }))
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match *self {
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (index, width)
            }
            Self::Hashes(tile) => {
                write!(f, "tile/{}/", tile.level)?;
                (tile.index, tile.width)
            }
        };
        let mut unit = 1;
        while index / unit >= 1_000 {
            unit *= 1_000;
        }
        while unit > 1 {
            write!(f, "x{:03}/", index / unit % 1_000)?;
            unit /= 1_000;
        }
        write!(f, "{:03}", index % 1_000)?;
        if width < TILE_WIDTH {
            write!(f, ".p/{width}")?;
        }
        Ok(())
    }
}

/// The path of a tile of hashes.
pub fn tile_path(level: u8, index: u64, width: u16) -> String {
    TilePath::Hashes(TileId { level, index, width }).to_string()
}

/// The path of an entry bundle.
pub fn entries_path(index: u64, width: u16) -> String {
    TilePath::Entries { index, width }.to_string()
}

fn parse_partial_width(text: &str) -> Result<u16, Error> {
    match parse_decimal(text)? {
        width @ 1..=255 => Ok(width as u16),
        _ => Err(Error::OutOfRange),
    }
}

fn parse_index(text: &str) -> Result<u64, Error> {
    let mut index: u64 = 0;
    let mut groups = text.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = match groups.peek() {
            None => group,
            Some(_) => group.strip_prefix('x').ok_or(MALFORMED_PATH)?,
        };
        if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(MALFORMED_PATH);
        }
        if index == 0 && group == "x000" {
            return Err(MALFORMED_PATH);
        }
        let group: u64 = digits.parse().map_err(|_| MALFORMED_PATH)?;
        index = index
            .checked_mul(1_000)
            .and_then(|index| index.checked_add(group))
            .filter(|index| *index <= LEDGER_SIZE_MAX)
            .ok_or(Error::OutOfRange)?;
    }
    Ok(index)
}

/// The tiles of hashes a tree of this size has: level 0 first, each level from the left, the
/// partial one last. Level 0 doubles as the list of entry bundles.
pub fn tiles_of(size: u64) -> impl Iterator<Item = TileId> {
    (0..8u8).map(move |level| (level, size >> (8 * level))).flat_map(|(level, hashes)| {
        (0..hashes.div_ceil(256)).map(move |index| TileId {
            level,
            index,
            width: (hashes - index * 256).min(256) as u16,
        })
    })
}

/// Where proofs read the hashes of a stored tree.
pub trait TileSource {
    /// What the source says when it cannot answer; also carries the ledger's own refusals.
    type Error: From<Error>;

    /// The first `width` hashes (1 to 256) of a tile. More may be given, since a tile that was
    /// partial may be full by now; fewer are refused.
    ///
    /// # Errors
    /// When the source cannot read the tile.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Self::Error>;
}

/// Computes the first `width` hashes of a tile above level 0 from the full tiles below it, for a
/// source that keeps full tiles only. At level 0 there is nothing below: refused.
///
/// # Errors
/// What the source says, or [`Error::OutOfRange`].
pub fn tile_from_below<S: TileSource>(
    source: &S,
    level: u8,
    index: u64,
    width: u16,
) -> Result<Vec<Hash>, S::Error> {
    let below = level.checked_sub(1).ok_or(Error::OutOfRange)?;
    let first = index.checked_mul(256).ok_or(Error::OutOfRange)?;
    (0..u64::from(width))
        .map(|offset| {
            let child = first.checked_add(offset).ok_or(Error::OutOfRange)?;
            let tile = read_tile(source, below, child, TILE_WIDTH)?;
            Ok(perfect_root(&tile[..usize::from(TILE_WIDTH)]))
        })
        .collect()
}

/// Reads a tile and holds the source to its promise.
pub(super) fn read_tile<S: TileSource>(
    source: &S,
    level: u8,
    index: u64,
    width: u16,
) -> Result<Vec<Hash>, S::Error> {
    let tile = source.tile(level, index, width)?;
    if tile.len() < usize::from(width) {
        return Err(Error::Malformed("a tile has as many hashes as its width says").into());
    }
    Ok(tile)
}

/// The root of the perfect subtree over these hashes: a power of two of them, at most 256.
pub(super) fn perfect_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two() && hashes.len() <= 256);
    if let [only] = hashes {
        return *only;
    }
    let mut row = [Hash::from_bytes([0; 32]); 128];
    let mut width = hashes.len() / 2;
    for i in 0..width {
        row[i] = node_hash(&hashes[2 * i], &hashes[2 * i + 1]);
    }
    while width > 1 {
        width /= 2;
        for i in 0..width {
            row[i] = node_hash(&row[2 * i], &row[2 * i + 1]);
        }
    }
    row[0]
}

/// The bytes of a tile: its hashes, one after the other.
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32 * hashes.len());
    for hash in hashes {
        bytes.extend_from_slice(hash.as_bytes());
    }
    bytes
}

/// Reads the bytes of a tile of exactly `width` hashes.
///
/// # Errors
/// [`Error::Malformed`] when the length is not 32 bytes for each hash, [`Error::OutOfRange`] when
/// there is no such width.
pub fn decode_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, Error> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    check_width(width)?;
    if !rest.is_empty() || hashes.len() != usize::from(width) {
        return Err(Error::Malformed("a tile has as many hashes as its width says"));
    }
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

/// The bytes of an entry bundle: for each entry its length as u16 big-endian, then the entry.
///
/// # Errors
/// [`Error::Malformed`] when an entry is longer than [`BUNDLE_ENTRY_BYTES_MAX`], or when there are
/// none or more than [`TILE_WIDTH`] of them.
pub fn encode_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut count = 0;
    for entry in entries {
        let length = u16::try_from(entry.len())
            .map_err(|_| Error::Malformed("an entry of a bundle is at most 65,535 bytes"))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
        count += 1;
        if count > TILE_WIDTH {
            return Err(Error::Malformed("a bundle has at most 256 entries"));
        }
    }
    if count == 0 {
        return Err(Error::Malformed("there are no empty bundles"));
    }
    Ok(bytes)
}

/// Reads an entry bundle of exactly `width` entries.
///
/// # Errors
/// [`Error::Malformed`] when the bytes end inside an entry or go on after the last,
/// [`Error::OutOfRange`] when there is no such width.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, Error> {
    const CUT: Error = Error::Malformed("a bundle ends inside an entry");
    check_width(width)?;
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(usize::from(width));
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(CUT)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(CUT)?;
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Error::Malformed("a bundle goes on after its last entry"));
    }
    Ok(entries)
}

fn check_width(width: u16) -> Result<(), Error> {
    match width {
        1..=TILE_WIDTH => Ok(()),
        _ => Err(Error::OutOfRange),
    }
}

#[cfg(test)]
#[path = "tiles_tests.rs"]
mod tests;
