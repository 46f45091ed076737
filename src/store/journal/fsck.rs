//! Checking every byte of the journal, and saying all that is wrong with it.
//!
//! Takes a journal's folder; gives a report that names each problem by file, offset and entry. Reads
//! headers, batches, the zeros after them and the marks, changes nothing, and goes on after a
//! problem at the next frame that is whole. Checks that the journal is what was written; that the
//! entries are a ledger (roots, checkpoints) is checked by who knows the tree.
//! Holds: I3. Knows: files, disk.

use std::sync::Arc;

use super::error::{Damage, Fault, JournalError};
use super::frame::DetailState;
use super::marks::{self, CLEAN_STOP_FILE, PUBLISHED_FILE, Published};
use super::recovery::{must_join, nonzero_after, refuse_if_later_batch};
use super::segment::{self, LedgerId, Segment, path_of};
use super::spare::SPARE_FILE;
use super::walk::{Batch, Placed, Step, Walker, doubtful, find_frame};
use crate::store::disk::Dir;

/// How many problems are listed; the rest are only counted.
const PROBLEMS_MAX: usize = 1_000;

/// Whether a writer may be at work on the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Yes: what lies beyond the published size is still being written, and is not judged.
    Running,
    /// No: every byte is judged.
    Stopped,
}

/// What fsck found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The ledger's identity, if any file says it.
    pub ledger_id: Option<LedgerId>,
    /// The published size, if it can be read.
    pub published: Option<Published>,
    /// Whether a clean-stop mark is there.
    pub clean_stop: bool,
    /// Segments.
    pub segments: u64,
    /// The number after the last whole batch.
    pub size: u64,
    /// Entries whose kept part is whole.
    pub entries: u64,
    /// Entries whose detail is zeroed, and erased by a later entry.
    pub erased: u64,
    /// Bytes examined.
    pub bytes: u64,
    /// What is wrong, in the order of the files; at most 1,000.
    pub problems: Vec<Damage>,
    /// How many problems there are in all.
    pub problem_count: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }
}

/// Checks the journal in `dir`. `is_erased` says of an entry number whether a later entry erases it;
/// it is asked only about zeroed details. `progress` is given the bytes done and in all.
///
/// # Errors
/// Only where the folder or a file cannot be read at all; what is wrong in them is in the report.
pub fn fsck(
    dir: impl Into<Dir>,
    exchange: Exchange,
    is_erased: &mut dyn FnMut(u64) -> bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, JournalError> {
    let dir = &dir.into();
    if segment::names(dir)?.is_empty() {
        return Err(JournalError::NotThere(dir.path().to_owned()));
    }
    let mut check = Check {
        dir,
        exchange,
        is_erased,
        progress,
        total: 0,
        report: Report::default(),
        mark_fits: false,
        next: 0,
    };
    // The marks first: a running exchange only ever grows beyond them.
    let clean_stop = check.marks()?;
    check.segments()?;
    check.sizes(clean_stop)?;
    check.stray_files()?;
    Ok(check.report)
}

struct Check<'a> {
    dir: &'a Dir,
    exchange: Exchange,
    is_erased: &'a mut dyn FnMut(u64) -> bool,
    progress: &'a mut dyn FnMut(u64, u64),
    total: u64,
    report: Report,
    /// Whether a batch was seen that ends at the published size, with its root.
    mark_fits: bool,
    /// The entry number that should come next, damaged batches counted.
    next: u64,
}

impl Check<'_> {
    fn problem(&mut self, damage: Damage) {
        self.report.problem_count += 1;
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(damage);
        }
    }

    /// Takes what was read, or notes the damage that kept it from being read.
    fn note<T>(&mut self, read: Result<T, JournalError>) -> Result<Option<T>, JournalError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(JournalError::Damaged(damage)) => {
                self.problem(*damage);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn marks(&mut self) -> Result<Option<Published>, JournalError> {
        let Some(ledger_id) = self.first_readable_ledger_id()? else {
            // Every header is damaged; that is reported with the segments.
            return Ok(None);
        };
        self.report.ledger_id = Some(ledger_id);
        let published = marks::read_published(self.dir, &ledger_id);
        if let Some(read) = self.note(published)? {
            self.report.published = Some(read.newest);
            // Beside a running writer a slot may be seen half written.
            if let Some(damage) = read.doubtful
                && self.exchange == Exchange::Stopped
            {
                self.problem(damage);
            }
        }
        let clean_stop = marks::read_clean_stop(self.dir, &ledger_id);
        let clean_stop = self.note(clean_stop)?.flatten();
        self.report.clean_stop = clean_stop.is_some();
        Ok(clean_stop)
    }

    fn first_readable_ledger_id(&self) -> Result<Option<LedgerId>, JournalError> {
        for first in segment::list(self.dir)? {
            let (segment, damage) = Segment::open_anyway(self.dir, first)?;
            if damage.is_none() {
                return Ok(Some(segment.header.ledger_id));
            }
        }
        Ok(None)
    }

    fn segments(&mut self) -> Result<(), JournalError> {
        let firsts = segment::list(self.dir)?;
        let length_of = |&first| {
            let file = self.dir.disk().open(&path_of(self.dir, first), false);
            file.and_then(|file| file.length()).unwrap_or(0)
        };
        self.total = firsts.iter().map(length_of).sum();
        let last = firsts.last().copied();
        let mut previous = None;
        for first in firsts {
            let (segment, damage) = Segment::open_anyway(self.dir, first)?;
            self.report.segments += 1;
            let segment = Arc::new(segment);
            match damage {
                Some(damage) => self.problem(damage),
                None => self.joins(previous, &segment),
            }
            self.segment(&segment, last == Some(first))?;
            previous = Some(first);
            if self.is_far_enough() {
                break;
            }
        }
        Ok(())
    }

    fn joins(&mut self, previous: Option<u64>, segment: &Segment) {
        let header = &segment.header;
        if Some(header.ledger_id) != self.report.ledger_id {
            self.problem(Damage::new(&segment.path, 0, header.first, Fault::WrongLedger));
        }
        if let Err(damage) = must_join(self.dir, previous, segment) {
            self.problem(damage);
        } else if header.first != self.next {
            let fault = Fault::Gap { expected: self.next };
            self.problem(Damage::new(&segment.path, 0, header.first, fault));
        }
    }

    /// Whether all that a running exchange has published was seen.
    fn is_far_enough(&self) -> bool {
        let published = self.report.published.map_or(u64::MAX, |mark| mark.size);
        self.exchange == Exchange::Running && self.report.size >= published
    }

    fn segment(&mut self, segment: &Arc<Segment>, is_last: bool) -> Result<(), JournalError> {
        let mut walker = Walker::new(Arc::clone(segment));
        let begun_at = self.report.bytes;
        self.report.size = walker.next_entry();
        loop {
            if self.is_far_enough() {
                break;
            }
            let damage = match walker.step()? {
                Step::Batch(batch) => {
                    self.batch(segment, &batch);
                    self.report.bytes = begun_at + walker.offset();
                    (self.progress)(self.report.bytes, self.total);
                    continue;
                }
                Step::End(end) => nonzero_after(segment, end, walker.next_entry())?,
                Step::Bad(damage) => Some(damage),
            };
            let Some(damage) = damage else { break };
            self.details(segment, walker.seen());
            let resume_from = damage.offset + 1;
            let next = walker.next_entry();
            let damage = self.judged(segment, is_last, damage, walker.batch_first())?;
            self.problem(damage);
            match find_frame(segment, resume_from, |found| found.next >= next)? {
                Some(found) => walker = Walker::resume(Arc::clone(segment), &found),
                None => break,
            }
        }
        self.next = walker.next_entry();
        self.report.bytes = begun_at + segment.header.length;
        (self.progress)(self.report.bytes, self.total);
        Ok(())
    }

    fn batch(&mut self, segment: &Segment, batch: &Batch) {
        self.details(segment, &batch.entries);
        self.report.size = batch.trailer.size();
        if let Some(mark) = self.report.published {
            let fits = mark.size == batch.trailer.size() && mark.root == batch.trailer.root;
            self.mark_fits |= fits;
        }
    }

    fn details(&mut self, segment: &Segment, entries: &[Placed]) {
        self.report.entries += entries.len() as u64;
        for placed in doubtful(entries) {
            let fault = match placed.detail {
                DetailState::Erased if (self.is_erased)(placed.number) => {
                    self.report.erased += 1;
                    continue;
                }
                DetailState::Erased => Fault::DetailZeroed,
                _ => Fault::Detail,
            };
            self.problem(Damage::new(&segment.path, placed.offset, placed.number, fault));
        }
    }

    /// Tells an unfinished batch that recovery may cut from damage.
    fn judged(
        &mut self,
        segment: &Segment,
        is_last: bool,
        damage: Damage,
        size: u64,
    ) -> Result<Damage, JournalError> {
        let published = self.report.published.map_or(u64::MAX, |mark| mark.size);
        let may_be_torn = is_last && !self.report.clean_stop && published <= size;
        if !may_be_torn || refuse_if_later_batch(segment, &damage, size).is_err() {
            return Ok(damage);
        }
        Ok(Damage { fault: Fault::Torn(Box::new(damage.fault)), ..damage })
    }

    /// What the marks say against what the segments hold.
    fn sizes(&mut self, clean_stop: Option<Published>) -> Result<(), JournalError> {
        let size = self.report.size;
        if let Some(mark) = self.report.published {
            let path = self.dir.join(PUBLISHED_FILE);
            if mark.size > size {
                self.problem(Damage::new(&path, 0, size, Fault::Missing));
            } else if mark.size > 0 && !self.mark_fits {
                self.problem(Damage::new(&path, 0, mark.size, Fault::MarkContradicts));
            }
            let last = segment::list(self.dir)?.last().copied();
            if last.is_none_or(|last| last < mark.segment) {
                let path = path_of(self.dir, mark.segment);
                self.problem(Damage::new(&path, 0, mark.segment, Fault::MissingSegment));
            }
        }
        if let Some(mark) = clean_stop
            && (mark.size != size || Some(mark) != self.report.published)
            && self.exchange == Exchange::Stopped
        {
            let path = self.dir.join(CLEAN_STOP_FILE);
            self.problem(Damage::new(&path, 0, mark.size, Fault::MarkContradicts));
        }
        Ok(())
    }

    fn stray_files(&mut self) -> Result<(), JournalError> {
        let known = [PUBLISHED_FILE, CLEAN_STOP_FILE, SPARE_FILE];
        let mut names = segment::names(self.dir)?;
        names.sort();
        for name in names {
            let belongs = known.contains(&name.as_str())
                || segment::first_of(&name).is_some()
                || name.starts_with("cut-")
                || name.ends_with(crate::store::files::TEMPORARY);
            if !belongs {
                self.problem(Damage::new(&self.dir.join(name), 0, 0, Fault::StrayFile));
            }
        }
        Ok(())
    }
}
