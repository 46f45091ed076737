//! One run of a mirror, up to one checkpoint: which files are wanted, what each must
//! hash to, and their fetching, several at a time.
//!
//! Holds: I4. Knows: ledger, store (durable files).

use std::{collections::HashMap, fs, path::Path};

use tokio::task::JoinSet;

use super::{MirrorError, Served};
use crate::{
    ledger::{
        self,
        checkpoint::Checkpoint,
        growth::Growth,
        merkle::{Frontier, Hash, leaf_hash},
        tiles::{TILE_WIDTH, TileId, TilePath, TileSource, decode_bundle, decode_tile},
    },
    store::files,
    wire::client::ClientError,
};

/// Tiles or bundles asked for at once.
const FETCHES_AT_ONCE: usize = 16;
/// Levels that a ledger can reach.
const LEVELS: u8 = 8;

/// One run up to one checkpoint.
pub(super) struct Run<'a, S> {
    served: &'a S,
    folder: &'a Path,
    new: &'a Checkpoint,
    old_size: u64,
    done: u64,
    total: u64,
    progress: &'a mut (dyn FnMut(u64, u64) + Send),
}

/// What the bytes of a file must hash to.
enum Expected {
    /// A full tile: the hash above it.
    Above(Hash),
    /// A bundle: the hashes of its leaves.
    Leaves(Vec<Hash>),
}

/// A file to fetch.
struct Wanted {
    what: TilePath,
    expected: Expected,
}

/// The partial tiles at the right edge.
struct Edges(HashMap<(u8, u64), Vec<Hash>>);

impl TileSource for Edges {
    type Error = ledger::Error;

    fn tile(&self, level: u8, index: u64, _: u16) -> Result<Vec<Hash>, ledger::Error> {
        self.0.get(&(level, index)).cloned().ok_or(ledger::Error::OutOfRange)
    }
}

impl<'a, S: Served> Run<'a, S> {
    pub(super) fn new(
        served: &'a S,
        folder: &'a Path,
        new: &'a Checkpoint,
        old_size: u64,
        progress: &'a mut (dyn FnMut(u64, u64) + Send),
    ) -> Self {
        let levels = (0..LEVELS).map(|level| tiles(new.size(), level));
        let total = levels.sum::<u64>() + tiles(new.size(), 0);
        Self { served, folder, new, old_size, done: 0, total, progress }
    }

    /// Fetches all that is not there, each file only after what it is checked against.
    pub(super) async fn fetch_all(&mut self) -> Result<(), MirrorError> {
        make_folder(self.folder)?;
        self.edges().await?;
        for level in (0..LEVELS).rev() {
            self.level(level).await?;
        }
        self.bundles().await
    }

    /// The partial tiles, which together give the root.
    async fn edges(&mut self) -> Result<(), MirrorError> {
        let mut edges = HashMap::new();
        let mut partial = Vec::new();
        for tile in edge_tiles(self.new.size()) {
            let what = TilePath::Hashes(tile);
            let bytes = self.served.fetch(what).await?;
            let hashes = decode_tile(&bytes, tile.width).map_err(|reason| suspect(what, reason))?;
            edges.insert((tile.level, tile.index), hashes);
            partial.push((what, bytes));
        }
        Growth::restore(&Edges(edges), self.new.size(), &self.new.root()).map_err(|reason| {
            MirrorError::Suspect { what: "tiles at the right edge".into(), reason }
        })?;
        for (what, bytes) in partial {
            write(self.folder, what, &bytes)?;
            self.step(1);
        }
        Ok(())
    }

    /// The full tiles of a level, those above it being there.
    async fn level(&mut self, level: u8) -> Result<(), MirrorError> {
        let hashes_above = self.new.size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let covered = self.old_size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let mut above: Option<(u64, Vec<Hash>)> = None;
        let mut wanted = Vec::new();
        for index in 0..hashes_above {
            let what = TilePath::Hashes(TileId { level, index, width: TILE_WIDTH });
            if index < covered && self.folder.join(what.to_string()).exists() {
                self.step(1);
                continue;
            }
            let (parent, offset) = (index / 256, (index % 256) as usize);
            let tile = match above.take() {
                Some((at, tile)) if at == parent => tile,
                _ => self.tile(level + 1, parent)?,
            };
            let expected = tile.get(offset).copied();
            above = Some((parent, tile));
            let expected = expected.ok_or_else(|| suspect(what, ledger::Error::OutOfRange))?;
            self.want(Wanted { what, expected: Expected::Above(expected) }, &mut wanted).await?;
        }
        self.fetch(wanted).await
    }

    /// The leaves, the tiles of their hashes being there.
    async fn bundles(&mut self) -> Result<(), MirrorError> {
        let mut wanted = Vec::new();
        for index in 0..tiles(self.new.size(), 0) {
            let width = width(self.new.size(), 0, index);
            let what = TilePath::Entries { index, width };
            let covered = index < self.old_size / 256;
            if covered && self.folder.join(what.to_string()).exists() {
                self.step(1);
                continue;
            }
            let expected = Expected::Leaves(self.tile(0, index)?);
            self.want(Wanted { what, expected }, &mut wanted).await?;
        }
        self.fetch(wanted).await
    }

    /// Puts a file on the list unless an interrupted run left it, and fetches the list
    /// once it is long enough.
    async fn want(&mut self, one: Wanted, wanted: &mut Vec<Wanted>) -> Result<(), MirrorError> {
        let left = fs::read(self.folder.join(one.what.to_string()));
        if left.is_ok_and(|bytes| fits(&one, &bytes).is_ok()) {
            self.step(1);
            return Ok(());
        }
        wanted.push(one);
        match wanted.len() < FETCHES_AT_ONCE {
            true => Ok(()),
            false => self.fetch(std::mem::take(wanted)).await,
        }
    }

    async fn fetch(&mut self, wanted: Vec<Wanted>) -> Result<(), MirrorError> {
        let mut fetches = JoinSet::new();
        for one in wanted {
            let (fetch, folder) = (self.served.fetch(one.what), self.folder.to_owned());
            fetches.spawn(async move {
                let bytes = fetch.await?;
                fits(&one, &bytes).map_err(|reason| suspect(one.what, reason))?;
                let writing = tokio::task::spawn_blocking(move || write(&folder, one.what, &bytes));
                writing.await.unwrap_or_else(|_| Err(cancelled()))
            });
        }
        while let Some(fetched) = fetches.join_next().await {
            fetched.unwrap_or_else(|_| Err(cancelled()))?;
            self.step(1);
        }
        Ok(())
    }

    /// A tile that this mirror has already.
    fn tile(&self, level: u8, index: u64) -> Result<Vec<Hash>, MirrorError> {
        let what = TileId { level, index, width: width(self.new.size(), level, index) };
        let path = self.folder.join(TilePath::Hashes(what).to_string());
        let bytes =
            fs::read(&path).map_err(|source| MirrorError::File { path: path.clone(), source })?;
        decode_tile(&bytes, what.width).map_err(|reason| MirrorError::Own { path, reason })
    }

    fn step(&mut self, files: u64) {
        self.done += files;
        (self.progress)(self.done, self.total);
    }

    /// Removes the partial tiles and bundles of the mirror's earlier edge.
    pub(super) fn clear(&self) {
        let bundle = |tile: &TileId| TilePath::Entries { index: tile.index, width: tile.width };
        let both =
            |tile: TileId| [Some(TilePath::Hashes(tile)), (tile.level == 0).then(|| bundle(&tile))];
        let now: Vec<_> = edge_tiles(self.new.size()).flat_map(both).flatten().collect();
        for old in edge_tiles(self.old_size).flat_map(both).flatten() {
            let path = self.folder.join(old.to_string());
            if !now.contains(&old) {
                // One that stays is superfluous, never wrong.
                drop(fs::remove_file(&path));
                drop(path.parent().map(fs::remove_dir));
            }
        }
    }
}

/// Whether bytes hash to what they must.
fn fits(wanted: &Wanted, bytes: &[u8]) -> Result<(), ledger::Error> {
    let good = match (&wanted.expected, wanted.what) {
        (Expected::Above(above), _) => {
            let mut subtree = Frontier::new();
            decode_tile(bytes, TILE_WIDTH)?.into_iter().for_each(|hash| subtree.push(hash));
            subtree.root() == *above
        }
        (Expected::Leaves(hashes), TilePath::Entries { width, .. }) => {
            let leaves = decode_bundle(bytes, width)?;
            leaves.into_iter().map(leaf_hash).eq(hashes.iter().copied())
        }
        (Expected::Leaves(_), TilePath::Hashes(_)) => false,
    };
    if good { Ok(()) } else { Err(ledger::Error::Diverged("its hash is not the one above it")) }
}

fn suspect(what: TilePath, reason: ledger::Error) -> MirrorError {
    MirrorError::Suspect { what: what.to_string(), reason }
}

fn cancelled() -> MirrorError {
    ClientError::Again("the run was cut short".into()).into()
}

/// How many tiles a level has, the partial one included.
fn tiles(size: u64, level: u8) -> u64 {
    (size >> (8 * level)).div_ceil(256)
}

/// How wide a tile is in a tree of this size.
fn width(size: u64, level: u8, index: u64) -> u16 {
    let hashes = (size >> (8 * level)).saturating_sub(index.saturating_mul(256));
    hashes.min(u64::from(TILE_WIDTH)) as u16
}

/// The partial tiles of a tree.
fn edge_tiles(size: u64) -> impl Iterator<Item = TileId> {
    (0..LEVELS).filter_map(move |level| {
        let index = tiles(size, level).checked_sub(1)?;
        let tile = TileId { level, index, width: width(size, level, index) };
        (!tile.is_full()).then_some(tile)
    })
}

fn write(folder: &Path, what: TilePath, bytes: &[u8]) -> Result<(), MirrorError> {
    let path = folder.join(what.to_string());
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    files::write_atomic(&path, bytes).map_err(|source| MirrorError::File { path, source })
}

/// Makes a folder and those above it that are not there.
fn make_folder(folder: &Path) -> Result<(), MirrorError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    files::create_dir(folder)
        .map_err(|source| MirrorError::File { path: folder.to_owned(), source })
}
