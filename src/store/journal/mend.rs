//! Carrying out what recovery found: keeping the cut aside, rewriting the tail, clearing leftovers.
//!
//! Takes a plan that `recovery` made and nothing else; each step is durable before the next, and an
//! interruption at any point leaves a journal that recovers to the same state.
//! Holds: I1, I9. Knows: files, disk.

use std::io;
use std::path::PathBuf;

use super::error::{JournalError, broken};
use super::recovery::{Cut, Plan};
use super::segment::{self, path_of};
use crate::store::disk::{BoxFile, Dir};
use crate::store::files::{self, Durable};

/// How often the same label may name a cut of the same size.
const SAME_CUTS_MAX: u32 = 100;

/// What carrying out a plan leaves: the last segment open for writing.
pub(super) struct Mended {
    pub(super) active: BoxFile,
    pub(super) cut: Option<Cut>,
    pub(super) tail_rewritten: bool,
}

/// Makes the journal fit to be appended to. `label` goes into the name of what is kept aside.
pub(super) fn carry_out(dir: &Dir, plan: &Plan, label: &str) -> Result<Mended, JournalError> {
    let disk = dir.disk();
    // First, since on a full disk the last run's spare is the room that the rewriting needs.
    for name in segment::names(dir)? {
        if name.ends_with(files::TEMPORARY) {
            let path = dir.join(name);
            disk.remove_durably(&path).map_err(broken("remove", &path))?;
        }
    }
    let cut = match plan.cut_to {
        Some(cut_to) => Some(keep_aside(dir, plan, cut_to, label)?),
        None => None,
    };
    let active = if plan.clean {
        disk.open(&plan.last.path, true).map_err(broken("open", &plan.last.path))?
    } else {
        rewrite(dir, plan)?
    };
    if let Some(first) = plan.half_created {
        let path = path_of(dir, first);
        disk.remove_durably(&path).map_err(broken("remove", &path))?;
    }
    Ok(Mended { active, cut, tail_rewritten: !plan.clean })
}

/// Copies the valid part of the last segment to a fresh file that takes its place. What the page
/// cache shows of the old file may never have reached the disk; of the new one all has. On a full
/// disk it is written again where it is.
fn rewrite(dir: &Dir, plan: &Plan) -> Result<BoxFile, JournalError> {
    let (disk, last) = (dir.disk(), &plan.last);
    if disk.must_have_room(dir.path(), last.header.length).is_err() {
        let cut = plan.end..plan.cut_to.unwrap_or(plan.end);
        return disk
            .open(&last.path, true)
            .and_then(|file| {
                files::rewrite_in_place(file.as_ref(), 0..plan.end, cut).map(|()| file)
            })
            .map_err(broken("rewrite", &last.path));
    }
    let temporary = files::temporary_for(&last.path);
    disk.copy_zeroed(last.file.as_ref(), &temporary, 0..plan.end, last.header.length)
        .and_then(|file| disk.rename_durably(&temporary, &last.path).map(|()| file))
        .map_err(broken("rewrite", &last.path))
}

fn keep_aside(dir: &Dir, plan: &Plan, to: u64, label: &str) -> Result<Cut, JournalError> {
    let path = free_name(dir, plan.size, label)?;
    let temporary = files::temporary_for(&path);
    let bytes = to - plan.end;
    let disk = dir.disk();
    disk.copy_zeroed(plan.last.file.as_ref(), &temporary, plan.end..to, bytes)
        .and_then(|_| disk.rename_durably(&temporary, &path))
        .map_err(broken("keep aside", &path))?;
    Ok(Cut { bytes, kept_at: path, from_size: plan.size })
}

fn free_name(dir: &Dir, size: u64, label: &str) -> Result<PathBuf, JournalError> {
    let base = format!("cut-{label}-{size:020}");
    (1..=SAME_CUTS_MAX)
        .map(|n| match n {
            1 => dir.join(&base),
            n => dir.join(format!("{base}-{n}")),
        })
        .find(|path| !dir.disk().exists(path))
        .ok_or_else(|| broken("keep aside", &dir.join(&base))(io::ErrorKind::AlreadyExists.into()))
}
