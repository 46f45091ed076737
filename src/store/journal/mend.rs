//! Carrying out what recovery found: keeping the cut aside, rewriting the tail, clearing leftovers.
//!
//! Takes a plan that `recovery` made and nothing else; each step is durable before the next, and an
//! interruption at any point leaves a journal that recovers to the same state.
//! Holds: I1, I9. Knows: files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{JournalError, broken};
use super::recovery::{Cut, Plan};
use super::segment::{self, path_of};
use crate::store::files;

/// How often the same label may name a cut of the same size.
const SAME_CUTS_MAX: u32 = 100;

/// What carrying out a plan leaves: the last segment open for writing.
pub(super) struct Mended {
    pub(super) active: File,
    pub(super) cut: Option<Cut>,
    pub(super) tail_rewritten: bool,
}

/// Makes the journal fit to be appended to. `label` goes into the name of what is kept aside.
pub(super) fn carry_out(dir: &Path, plan: &Plan, label: &str) -> Result<Mended, JournalError> {
    // First, since on a full disk the last run's spare is the room that the rewriting needs.
    for name in segment::names(dir)? {
        if name.ends_with(files::TEMPORARY) {
            let path = dir.join(name);
            files::remove(&path).map_err(broken("remove", &path))?;
        }
    }
    let cut = match plan.cut_to {
        Some(cut_to) => Some(keep_aside(dir, plan, cut_to, label)?),
        None => None,
    };
    let active = if plan.clean {
        files::open_existing(&plan.last.path).map_err(broken("open", &plan.last.path))?
    } else {
        rewrite(dir, plan)?
    };
    if let Some(first) = plan.half_created {
        let path = path_of(dir, first);
        files::remove(&path).map_err(broken("remove", &path))?;
    }
    Ok(Mended { active, cut, tail_rewritten: !plan.clean })
}

/// Copies the valid part of the last segment to a fresh file that takes its place. What the page
/// cache shows of the old file may never have reached the disk; of the new one all has. On a full
/// disk it is written again where it is.
fn rewrite(dir: &Path, plan: &Plan) -> Result<File, JournalError> {
    let last = &plan.last;
    if files::must_have_room(dir, last.header.length).is_err() {
        let cut = plan.end..plan.cut_to.unwrap_or(plan.end);
        return files::open_existing(&last.path)
            .and_then(|file| files::rewrite_in_place(&file, 0..plan.end, cut).map(|()| file))
            .map_err(broken("rewrite", &last.path));
    }
    let temporary = files::temporary_for(&last.path);
    files::copy_zeroed(&last.file, &temporary, 0..plan.end, last.header.length)
        .and_then(|file| files::rename(&temporary, &last.path).map(|()| file))
        .map_err(broken("rewrite", &last.path))
}

fn keep_aside(dir: &Path, plan: &Plan, to: u64, label: &str) -> Result<Cut, JournalError> {
    let path = free_name(dir, plan.size, label)?;
    let temporary = files::temporary_for(&path);
    let bytes = to - plan.end;
    files::copy_zeroed(&plan.last.file, &temporary, plan.end..to, bytes)
        .and_then(|_| files::rename(&temporary, &path))
        .map_err(broken("keep aside", &path))?;
    Ok(Cut { bytes, kept_at: path, from_size: plan.size })
}

fn free_name(dir: &Path, size: u64, label: &str) -> Result<PathBuf, JournalError> {
    let base = format!("cut-{label}-{size:020}");
    (1..=SAME_CUTS_MAX)
        .map(|n| match n {
            1 => dir.join(&base),
            n => dir.join(format!("{base}-{n}")),
        })
        .find(|path| !path.exists())
        .ok_or_else(|| broken("keep aside", &dir.join(&base))(io::ErrorKind::AlreadyExists.into()))
}
