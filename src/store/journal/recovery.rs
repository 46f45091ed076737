//! Recovery: what the disk truly holds, and how little of it may be cut.
//!
//! First everything is examined and nothing modified; any damage ends there, named by file, offset
//! and entry. Only then is the plan carried out. Examined are the names and headers of all
//! segments and every byte of the last one (and of the one before, where the last holds no batch);
//! earlier segments are fully read by fsck, so that opening takes the same time at any size.
//!
//! **What may be cut** is what follows the last whole batch of the last segment: one batch that was
//! being written when the power went. And only if nobody named it: not the index, not the published
//! size, not the clean-stop mark, not a witness; and if no later batch follows, for a later batch
//! was written only after this one was durable. What is cut is kept aside first.
//!
//! **A last batch with a zeroed detail** is not whole. Its erasure would stand in a later batch, so
//! the zeros are pages that a torn write never filled.
//!
//! **After an unclean stop** the last segment is rewritten to a fresh file and synced: the page
//! cache may show batches that a failed sync never brought to the disk.
//! Holds: I1, I3, I9. Knows: files, disk.

use std::path::PathBuf;
use std::sync::Arc;

use super::Location;
use super::error::{Damage, Fault, JournalError, Source, broken};
use super::frame::{DetailState, Trailer};
use super::marks::{self, CLEAN_STOP_FILE, PUBLISHED_FILE, Published, PublishedRead};
use super::segment::{self, LedgerId, Segment, name_of, path_of};
use super::walk::{Batch, Placed, Step, Walker, find_frame};
#[cfg(test)]
use crate::planted::{self, Bug};
use crate::store::disk::Dir;
use crate::store::files;

/// Sizes that other sources name: nothing up to them may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many entries the index has applied.
    pub index_watermark: Option<u64>,
    /// The size of the newest checkpoint that a witness cosigned.
    pub witnessed: Option<u64>,
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many entries the ledger has.
    pub size: u64,
    /// The last batch's trailer; `None` while there is no entry.
    pub last_trailer: Option<Trailer>,
    /// Whether the journal had been closed in order.
    pub clean: bool,
    /// What was cut and kept aside.
    pub cut: Option<Cut>,
    /// Whether the last segment was rewritten to a fresh file.
    pub tail_rewritten: bool,
    /// A segment that had been created and never written to, and was removed.
    pub half_created: Option<u64>,
    /// Entries of the last segment whose detail is zeroed or damaged. Each must be erased by a
    /// later entry, which only the caller can see; a damaged one is an erasure to finish.
    pub doubtful: Vec<Doubtful>,
}

/// An unfinished batch that was cut from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes.
    pub bytes: u64,
    /// The file that keeps them.
    pub kept_at: PathBuf,
    /// The entry number that the cut batch would have begun with: the size that remains.
    pub from_size: u64,
}

/// An entry whose detail is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubtful {
    /// The entry's number.
    pub number: u64,
    /// Where it lies.
    pub location: Location,
    /// Zeroed, or damaged.
    pub state: DetailState,
}

/// What was found and is to be done, once everything has been examined.
pub(super) struct Plan {
    pub(super) ledger_id: LedgerId,
    /// The segment to go on with, and where its next batch begins.
    pub(super) last: Arc<Segment>,
    pub(super) end: u64,
    pub(super) size: u64,
    /// The last batch and the segment it lies in.
    pub(super) last_batch: Option<(u64, Batch)>,
    pub(super) clean: bool,
    pub(super) half_created: Option<u64>,
    pub(super) doubtful: Vec<Doubtful>,
    /// Where the bytes end that must be cut from `end` on.
    pub(super) cut_to: Option<u64>,
}

/// Examines the journal; modifies nothing.
pub(super) fn examine(
    dir: &Dir,
    expected: Option<LedgerId>,
    evidence: &Evidence,
) -> Result<Plan, JournalError> {
    let chain = Chain::read(dir, expected)?;
    let named = Named {
        published: marks::read_published(dir, &chain.ledger_id)?,
        clean_stop: marks::read_clean_stop(dir, &chain.ledger_id)?,
        evidence: *evidence,
    };
    let published = &named.published.newest;
    chain.must_reach(published.segment)?;

    let tail = Tail::read(&chain.last, published)?;
    let cut_to = match &tail.torn {
        Some(torn) => {
            named.must_allow_cut(tail.size, torn)?;
            refuse_if_later_batch(&chain.last, torn, tail.size)?;
            Some(written_end(&chain.last, tail.end)?)
        }
        None => {
            let end = Damage::new(&chain.last.path, tail.end, tail.size, Fault::Missing);
            named.must_not_name_more(tail.size, &end)?;
            None
        }
    };
    chain.must_end_at(tail.size)?;
    let last_batch = match (tail.last, &chain.before) {
        (Some(batch), _) => Some((chain.last.header.first, batch)),
        (None, Some(before)) => {
            let batch = last_batch_of_full(before, tail.size, published)?;
            Some((before.header.first, batch))
        }
        (None, None) => None,
    };
    named.must_agree(dir, tail.size, last_batch.as_ref().map(|(_, batch)| batch))?;
    Ok(Plan {
        ledger_id: chain.ledger_id,
        last: chain.last,
        end: tail.end,
        size: tail.size,
        last_batch,
        clean: named.clean_stop.is_some(),
        half_created: chain.half_created,
        doubtful: tail.doubtful,
        cut_to,
    })
}

/// The segments by name and header: each joins the one before.
struct Chain {
    ledger_id: LedgerId,
    last: Arc<Segment>,
    before: Option<Arc<Segment>>,
    half_created: Option<u64>,
}

impl Chain {
    fn read(dir: &Dir, expected: Option<LedgerId>) -> Result<Chain, JournalError> {
        let mut firsts = segment::list(dir)?;
        let half_created = pop_half_created(dir, &mut firsts)?;
        let mut ledger_id = expected;
        let mut before: Option<Arc<Segment>> = None;
        let mut last: Option<Arc<Segment>> = None;
        for &first in &firsts {
            let segment = Segment::open(dir, first)?;
            let found = segment.header.ledger_id;
            if *ledger_id.get_or_insert(found) != found {
                return Err(Damage::new(&segment.path, 0, first, Fault::WrongLedger).into());
            }
            must_join(dir, last.as_ref().map(|s| s.header.first), &segment)?;
            before = last.replace(Arc::new(segment));
        }
        match (ledger_id, last) {
            (Some(ledger_id), Some(last)) => Ok(Chain { ledger_id, last, before, half_created }),
            // A journal gets its folder's name only when it is whole, so an empty folder is none.
            _ if segment::names(dir)?.is_empty() => {
                Err(JournalError::NotThere(dir.path().to_owned()))
            }
            _ => Err(Damage::new(&path_of(dir, 0), 0, 0, Fault::MissingSegment).into()),
        }
    }

    /// The published-size file names the segment that was the last one: it must be there.
    fn must_reach(&self, first: u64) -> Result<(), JournalError> {
        if first <= self.last.header.first {
            return Ok(());
        }
        let path = self.last.path.with_file_name(name_of(first));
        Err(Damage::new(&path, 0, first, Fault::MissingSegment).into())
    }

    /// A half-created segment must bear the number that comes next.
    fn must_end_at(&self, size: u64) -> Result<(), JournalError> {
        match self.half_created.filter(|&first| first != size) {
            None => Ok(()),
            Some(first) => {
                let path = self.last.path.with_file_name(name_of(first));
                Err(Damage::new(&path, 0, first, Fault::Gap { expected: size }).into())
            }
        }
    }
}

/// A segment's header names the segment before it: that one must be there, and none in between.
pub(super) fn must_join(dir: &Dir, previous: Option<u64>, segment: &Segment) -> Result<(), Damage> {
    let header = &segment.header;
    let begins_well = previous.is_some() || header.first == 0;
    if header.previous == previous && begins_well {
        return Ok(());
    }
    let missing = header.previous.filter(|&named| previous.is_none_or(|p| p < named));
    Err(match missing {
        Some(first) => Damage::new(&path_of(dir, first), 0, first, Fault::MissingSegment),
        None => {
            let expected = previous.unwrap_or(0);
            let fault = Fault::Gap { expected };
            Damage::new(&segment.path, 0, header.first, fault)
        }
    })
}

/// Takes a last segment off the list that was created and never written to. The first segment is
/// never taken for one: the folder got its name only when its header was durable.
fn pop_half_created(dir: &Dir, firsts: &mut Vec<u64>) -> Result<Option<u64>, JournalError> {
    let Some(&last) = firsts.last().filter(|_| firsts.len() > 1) else {
        return Ok(None);
    };
    let (segment, damage) = Segment::open_anyway(dir, last)?;
    if damage.is_none() || !segment.is_blank()? {
        return Ok(None);
    }
    firsts.pop();
    Ok(Some(last))
}

/// All that is said about the size from outside the segments.
struct Named {
    published: PublishedRead,
    clean_stop: Option<Published>,
    evidence: Evidence,
}

impl Named {
    /// Something must be cut: nobody may have named it, and no mark may be doubtful.
    fn must_allow_cut(&self, size: u64, torn: &Damage) -> Result<(), JournalError> {
        #[cfg(test)]
        if planted::is(Bug::RecoveryCutsAcknowledged) {
            return Ok(());
        }
        self.must_not_name_more(size, torn)?;
        if let Some(clean_stop) = &self.clean_stop {
            // An orderly close leaves nothing unfinished behind.
            return Err(acknowledged(torn, Source::CleanStop, clean_stop.size));
        }
        match &self.published.doubtful {
            // The unreadable slot may have named what would be cut.
            Some(doubtful) => Err(doubtful.clone().into()),
            None => Ok(()),
        }
    }

    fn must_not_name_more(&self, size: u64, damage: &Damage) -> Result<(), JournalError> {
        let sources = [
            (Source::PublishedSize, Some(self.published.newest.size)),
            (Source::CleanStop, self.clean_stop.map(|mark| mark.size)),
            (Source::IndexWatermark, self.evidence.index_watermark),
            (Source::Witness, self.evidence.witnessed),
        ];
        for (by, named) in sources {
            if let Some(named) = named.filter(|&named| named > size) {
                return Err(acknowledged(damage, by, named));
            }
        }
        Ok(())
    }

    /// The marks must give the last batch's size the last batch's root.
    fn must_agree(&self, dir: &Dir, size: u64, last: Option<&Batch>) -> Result<(), JournalError> {
        let contradicts = |mark: &Published| {
            mark.size == size && last.is_some_and(|batch| batch.trailer.root != mark.root)
        };
        let damage = |name: &str, mark: &Published| {
            Err(Damage::new(&dir.join(name), 0, mark.size, Fault::MarkContradicts).into())
        };
        if let Some(mark) = &self.clean_stop {
            if mark.size != size || contradicts(mark) {
                return damage(CLEAN_STOP_FILE, mark);
            }
            if let Some(doubtful) = &self.published.doubtful {
                // The orderly close synced it: this is no torn write.
                return Err(doubtful.clone().into());
            }
        }
        if contradicts(&self.published.newest) {
            return damage(PUBLISHED_FILE, &self.published.newest);
        }
        Ok(())
    }
}

fn acknowledged(damage: &Damage, by: Source, named: u64) -> JournalError {
    let what = Box::new(damage.fault.clone());
    let fault = Fault::Acknowledged { by, named, what };
    Damage::new(&damage.file, damage.offset, damage.entry, fault).into()
}

/// What the last segment holds.
struct Tail {
    /// Where the written part ends, and the ledger's size there.
    end: u64,
    size: u64,
    last: Option<Batch>,
    doubtful: Vec<Doubtful>,
    /// The first wrong place after the end, if there is one.
    torn: Option<Damage>,
}

impl Tail {
    fn read(segment: &Arc<Segment>, published: &Published) -> Result<Tail, JournalError> {
        let mut walker = Walker::new(Arc::clone(segment));
        let mut before = None;
        let mut last: Option<Batch> = None;
        let mut doubtful = Vec::new();
        let mut torn = loop {
            match walker.step()? {
                Step::Batch(batch) => {
                    must_fit(segment, &batch, published)?;
                    doubtful.extend(batch.doubtful().map(|p| Doubtful::of(segment, p)));
                    before = last.replace(batch);
                }
                Step::Bad(damage) => break Some(damage),
                Step::End(end) => break nonzero_after(segment, end, walker.next_entry())?,
            }
        };
        let (mut end, mut size) = (walker.batch_start(), walker.batch_first());
        #[cfg(test)]
        if planted::is(Bug::RecoveryCutsAcknowledged)
            && let Some(batch) = last.take()
        {
            torn = torn.or_else(|| Some(detail_damage(segment, &batch)));
            (end, size, last) = (batch.start, batch.trailer.first, before.take());
        }
        if torn.is_none()
            && let Some(batch) = last.take_if(|batch| !batch.is_pristine())
        {
            torn = Some(detail_damage(segment, &batch));
            (end, size) = (batch.start, batch.trailer.first);
            doubtful.retain(|entry| entry.number < size);
            last = before;
        }
        // What erased it would stand in a later batch, and that would have been durable.
        if let Some(batch) = last.as_ref().filter(|batch| !batch.is_pristine()) {
            return Err(detail_damage(segment, batch).into());
        }
        Ok(Tail { end, size, last, doubtful, torn })
    }
}

impl Doubtful {
    fn of(segment: &Segment, placed: &Placed) -> Doubtful {
        Doubtful {
            number: placed.number,
            location: placed.location(segment.header.first),
            state: placed.detail,
        }
    }
}

/// The published size must be one that a batch ends at, with that batch's root.
fn must_fit(segment: &Segment, batch: &Batch, published: &Published) -> Result<(), JournalError> {
    let trailer = &batch.trailer;
    let within = trailer.first < published.size && published.size < trailer.size();
    let other_root = published.size == trailer.size() && published.root != trailer.root;
    if !within && !other_root {
        return Ok(());
    }
    let path = segment.path.with_file_name(PUBLISHED_FILE);
    Err(Damage::new(&path, 0, published.size, Fault::MarkContradicts).into())
}

pub(super) fn detail_damage(segment: &Segment, batch: &Batch) -> Damage {
    let (offset, entry, fault) = match batch.doubtful().next() {
        Some(placed) if placed.detail == DetailState::Erased => {
            (placed.offset, placed.number, Fault::DetailZeroed)
        }
        Some(placed) => (placed.offset, placed.number, Fault::Detail),
        None => (batch.start, batch.trailer.first, Fault::Detail),
    };
    Damage::new(&segment.path, offset, entry, fault)
}

/// Bytes that are not zero where nothing was written.
pub(super) fn nonzero_after(
    segment: &Segment,
    end: u64,
    entry: u64,
) -> Result<Option<Damage>, JournalError> {
    let found = files::first_nonzero(segment.file.as_ref(), end, segment.header.length)
        .map_err(broken("read", &segment.path))?;
    Ok(found.map(|at| Damage::new(&segment.path, at, entry, Fault::NotZero)))
}

/// A batch after the damaged one was written only after the damaged one was durable, so that one is
/// no torn write: whether the later one is whole, or only begun behind the damaged one's trailer.
pub(super) fn refuse_if_later_batch(
    segment: &Segment,
    torn: &Damage,
    size: u64,
) -> Result<(), JournalError> {
    let mut end_of_torn = None;
    let later = find_frame(segment, torn.offset, |found| match found.batch_first {
        Some(first) if first == size => {
            end_of_torn = Some(found.next);
            false
        }
        Some(first) => first > size,
        None => end_of_torn == Some(found.next),
    })?;
    match later {
        Some(_) => Err(torn.clone().into()),
        None => Ok(()),
    }
}

fn written_end(segment: &Segment, from: u64) -> Result<u64, JournalError> {
    let last = files::last_nonzero(segment.file.as_ref(), from, segment.header.length)
        .map_err(broken("read", &segment.path))?;
    Ok(last.map_or(from, |at| at + 1))
}

/// The last batch of a segment that is not the last one: it must be whole, to its end.
fn last_batch_of_full(
    segment: &Arc<Segment>,
    size: u64,
    published: &Published,
) -> Result<Batch, JournalError> {
    let mut walker = Walker::new(Arc::clone(segment));
    let mut last = None;
    loop {
        match walker.step()? {
            Step::Batch(batch) => {
                must_fit(segment, &batch, published)?;
                last = Some(batch);
            }
            Step::Bad(damage) => return Err(damage.into()),
            Step::End(end) => {
                if let Some(damage) = nonzero_after(segment, end, walker.next_entry())? {
                    return Err(damage.into());
                }
                break;
            }
        }
    }
    match last {
        Some(batch) if batch.trailer.size() != size => {
            let missing = batch.trailer.size();
            Err(Damage::new(&segment.path, walker.offset(), missing, Fault::Missing).into())
        }
        Some(batch) if !batch.is_pristine() => Err(detail_damage(segment, &batch).into()),
        Some(batch) => Ok(batch),
        None => {
            let first = segment.header.first;
            Err(Damage::new(&segment.path, walker.offset(), first, Fault::Missing).into())
        }
    }
}
