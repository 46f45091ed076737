//! The folder that one run of a command works in.
//!
//! Knows: nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

/// The folder of one run, removed at the end unless it is to be kept.
pub(crate) struct Scratch {
    pub(crate) folder: PathBuf,
    temporary: bool,
}

impl Scratch {
    /// The folder `keep`, which must not exist or be empty and stays; or one of its own among
    /// the temporary files, named after `purpose`.
    pub(crate) fn new(purpose: &str, keep: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(folder) = keep {
            let used = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
            ensure!(!used, "{}: the folder is not empty; name another one", folder.display());
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            return Ok(Self { folder: folder.to_path_buf(), temporary: false });
        }
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let name = format!("cairn-{purpose}-{:016x}", u64::from_be_bytes(chance));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder, temporary: true })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}
