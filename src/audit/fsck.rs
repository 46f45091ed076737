//! Checking that a journal is a ledger: every leaf, every root, every signature.
//!
//! Takes a journal whose bytes are sound (`store::journal::fsck` says so) and the
//! verifier key; gives a report that names each problem by entry, segment and offset.
//! Believes nothing that is stored beside the entries: it recomputes the tree, opens
//! every commitment and counts every gapless number again.
//!
//! Holds: I3, I4, I14. Knows: ledger, proto, store (reading).

use std::{collections::HashMap, fmt, path::Path};

use super::verify::commits;
use crate::{
    ledger::{
        checkpoint::Checkpoint,
        growth::Growth,
        leaf::Leaf,
        merkle::{Hash, leaf_hash},
        note::Vkey,
    },
    proto::{self, EntryType, Facts},
    store::{
        JournalError, JournalReader, Location,
        journal::{Detail, Scanned, Stored, Trailer},
    },
};

/// How many problems are listed; the rest are only counted.
const PROBLEMS_MAX: usize = 1_000;

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry; for a batch, the entry after it.
    pub entry: u64,
    /// Where it lies: the first entry of the segment, and the byte in its file.
    pub at: Option<(u64, u64)>,
    /// What does not add up.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((segment, offset)) = self.at {
            write!(f, "{segment:020}.seg at byte {offset}, ")?;
        }
        write!(f, "entry {}: {}", self.entry, self.reason)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Entries checked: up to the published size.
    pub size: u64,
    /// The root over them, recomputed.
    pub root: Hash,
    /// Batches, each with its signed checkpoint.
    pub batches: u64,
    /// Entries whose detail is there and opens its commitment.
    pub details: u64,
    /// What does not add up, in the order of the entries; at most 1,000.
    pub problems: Vec<Problem>,
    /// How many problems there are in all.
    pub problem_count: u64,
}

impl Report {
    /// Whether everything adds up.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }
}

/// Checks the ledger in a journal's folder up to its published size. An exchange may be
/// running on it. `progress` is given the entries done and in all.
///
/// # Errors
/// Only where the journal cannot be opened or read at all; what does not add up, a
/// damaged place included, is in the report.
pub fn check_ledger(
    journal: &Path,
    vkey: &Vkey,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, JournalError> {
    let reader = JournalReader::open_read_only(journal)?;
    let published = reader.published()?;
    let mut check = Check::new(vkey);
    for scanned in reader.scan(0, published.size) {
        match scanned {
            Ok(Scanned::Entry { index, location, record }) => {
                check.entry(index, location, &record);
            }
            Ok(Scanned::Batch { trailer, location }) => {
                check.batch(&trailer, location);
                progress(check.growth.size(), published.size);
            }
            Err(JournalError::Damaged(damage)) => {
                check.problem(damage.entry, None, damage.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let size = check.growth.size();
    let agrees = size == published.size && *check.growth.root().as_bytes() == published.root;
    if size > 0 && !agrees && !check.diverged {
        check.problem(size, None, "the published size and root are of another tree".into());
    }
    Ok(check.report())
}

struct Check<'a> {
    vkey: &'a Vkey,
    growth: Growth,
    time: u64,
    batches: u64,
    details: u64,
    /// Once one root is wrong all later ones are: it is said once.
    diverged: bool,
    /// The newest number of each sender and inbox.
    numbers: HashMap<String, u64>,
    problems: Vec<Problem>,
    problem_count: u64,
}

impl<'a> Check<'a> {
    fn new(vkey: &'a Vkey) -> Self {
        Self {
            vkey,
            growth: Growth::new(),
            time: 0,
            batches: 0,
            details: 0,
            diverged: false,
            numbers: HashMap::new(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    fn report(self) -> Report {
        Report {
            size: self.growth.size(),
            root: self.growth.root(),
            batches: self.batches,
            details: self.details,
            problems: self.problems,
            problem_count: self.problem_count,
        }
    }

    fn problem(&mut self, entry: u64, at: Option<Location>, reason: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            let at = at.map(|at| (at.segment, at.offset));
            self.problems.push(Problem { entry, at, reason });
        }
    }

    fn entry(&mut self, entry: u64, at: Location, record: &Stored) {
        self.growth.push(leaf_hash(&record.leaf), &mut Vec::new());
        let leaf = match Leaf::decode(&record.leaf) {
            Ok(leaf) => leaf,
            Err(error) => return self.problem(entry, Some(at), error.to_string()),
        };
        if leaf.time_unix_ns < self.time {
            self.problem(entry, Some(at), "its time is before the entry's before it".into());
        }
        self.time = self.time.max(leaf.time_unix_ns);
        self.detail(entry, at, &leaf, &record.detail);
        if !commits(&leaf.facts, &record.facts, &record.facts_opening) {
            let reason = "its facts are not those that its leaf commits to";
            return self.problem(entry, Some(at), reason.into());
        }
        match proto::decode::<Facts>(&record.facts) {
            Ok(facts) => self.facts(entry, at, &facts),
            Err(error) => self.problem(entry, Some(at), format!("its facts: {error}")),
        }
    }

    fn detail(&mut self, entry: u64, at: Location, leaf: &Leaf, detail: &Detail) {
        let reason = match detail {
            Detail::Present { opening, content } if commits(&leaf.detail, content, opening) => {
                self.details += 1;
                return;
            }
            Detail::Present { .. } => "its detail is not the one that its leaf commits to",
            Detail::Erased => "its detail is zeroed, and no later entry erases it",
            Detail::Damaged => "its detail is damaged",
        };
        self.problem(entry, Some(at), reason.into());
    }

    fn facts(&mut self, entry: u64, at: Location, facts: &Facts) {
        let (kind, genesis) = (facts.r#type(), EntryType::Genesis);
        if (entry == 0) != (kind == genesis) {
            self.problem(entry, Some(at), "a ledger has its genesis first, and once".into());
        } else if kind == genesis && facts.subject != self.vkey.to_string() {
            let reason = format!("the ledger began with the key {}", facts.subject);
            self.problem(entry, Some(at), reason);
        }
        if kind == EntryType::Unspecified {
            self.problem(entry, Some(at), "it is of a type that is not known here".into());
        }
        // Statements are numbered; the exchange's own records are not.
        if kind.is_statement() || facts.sender_number > 0 {
            let sender = format!("sender {}", facts.sender);
            self.number(entry, at, sender, facts.sender_number);
        }
        if facts.inboxes.len() != facts.inbox_numbers.len() {
            self.problem(entry, Some(at), "it does not number each of its inboxes".into());
        }
        for (inbox, number) in facts.inboxes.iter().zip(&facts.inbox_numbers) {
            self.number(entry, at, format!("inbox {inbox}"), *number);
        }
    }

    /// Numbers are gapless from 1. After a gap counting goes on from what is there, so
    /// that one gap is one problem.
    fn number(&mut self, entry: u64, at: Location, whose: String, found: u64) {
        let newest = self.numbers.entry(whose.clone()).or_insert(0);
        let expected = newest.saturating_add(1);
        *newest = found;
        if found != expected {
            let reason = format!("{whose} has the number {found} here, expected is {expected}");
            self.problem(entry, Some(at), reason);
        }
    }

    fn batch(&mut self, trailer: &Trailer, at: Location) {
        self.batches += 1;
        let (size, root) = (self.growth.size(), self.growth.root());
        if *root.as_bytes() != trailer.root && !self.diverged {
            self.diverged = true;
            let reason = "the entries up to here have another root than their batch says";
            self.problem(size, Some(at), reason.into());
        }
        let reason = match Checkpoint::open(&trailer.checkpoint, self.vkey) {
            Err(error) => format!("the checkpoint of its batch: {error}"),
            Ok(signed) if signed.size() != trailer.size() => {
                format!("the checkpoint of its batch is of {} entries", signed.size())
            }
            Ok(signed) if *signed.root().as_bytes() != trailer.root => {
                "the checkpoint of its batch is of another root than its batch says".into()
            }
            Ok(_) => return,
        };
        self.problem(size, Some(at), reason);
    }
}

#[cfg(test)]
mod tests;
