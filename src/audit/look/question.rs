//! Questions to a served ledger, and what of an answer is proved.
//!
//! Each row is proved to be in the ledger with its facts, and to be one that was asked for. That no
//! row is missing is proved where numbers without a gap say so:
//!
//! - a question by time alone: its entries follow one another;
//! - a question by one sender, or by one inbox, and nothing else but the time: each statement of that
//!   sender, or each entry addressed to that inbox, has its next number. They begin at 1, so nothing
//!   is missing before the first either, if no time is given to begin at.
//!
//! For any other question it rests on the exchange, or on asking one of these and looking through
//! the answer oneself.
//!
//! Holds: I11. Knows: broker, ledger, proto, wire's client.

use super::super::{mirror::hashes, verify::commits};
use crate::{
    broker::find::fits,
    ledger::{
        checkpoint::Checkpoint,
        leaf::Leaf,
        merkle::leaf_hash,
        proof::{verify_consistency, verify_inclusion},
    },
    proto::{self, AuditRow, Facts, GetConsistencyProofRequest, QueryRequest},
    wire::client::{Client, ClientError},
};

/// Entries of one page.
const PAGE_ENTRIES: u32 = 1_000;

/// One entry of an answer, proved to be in the ledger with these facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The entry number.
    pub entry: u64,
    /// Its entry id, time and commitments.
    pub leaf: Leaf,
    /// Its facts.
    pub facts: Facts,
    /// Whether the exchange says that its key was later revoked, as suspected from
    /// before this entry on. [`super::must_be_signed`] tells it from the envelope itself.
    pub suspected: bool,
}

/// What shows that no row is missing, between the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// The entry numbers.
    ByEntry,
    /// The numbers of what the sender said, or of what was addressed to the inbox. What else the
    /// answer holds (looks, refusals, what is about a delivery there) has no such number.
    ByNumber {
        /// Of the first row; 1 if nothing can be missing before it.
        first: u64,
        /// Of the last row.
        last: u64,
    },
    /// Nothing but the exchange's word.
    NotProved,
}

/// An answer, verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// In the order of their numbers.
    pub rows: Vec<Row>,
    /// The checkpoint that it covers: each row is in its tree.
    pub checkpoint: Checkpoint,
    /// Whether there may be more entries than were asked for.
    pub more: bool,
    /// All entries below this number were looked at, as the exchange says.
    pub searched_to: u64,
    /// What shows that no row is missing among these.
    pub complete: Complete,
}

/// Asks, page by page, up to `limit` entries. Each page is recorded in the ledger.
/// `question.page_size` and `question.page_token` are not used. `seen` is told how far it is.
///
/// # Errors
/// [`ClientError`]; [`ClientError::Suspect`] if any part of the answer does not verify.
pub async fn query(
    client: &Client,
    question: &QueryRequest,
    limit: u64,
    seen: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Answer, ClientError> {
    let mut rows: Vec<Row> = Vec::new();
    let (mut page_token, mut before): (String, Option<Checkpoint>) = Default::default();
    loop {
        let left = limit.saturating_sub(rows.len() as u64);
        let page_size = u32::try_from(left).unwrap_or(u32::MAX).clamp(1, PAGE_ENTRIES);
        let request = QueryRequest { page_size, page_token, ..question.clone() };
        let page = client.audit().query(request).await?.into_inner();
        let checkpoint = Checkpoint::open(&page.checkpoint, &client.folder().vkey)
            .map_err(|error| suspect(format!("the checkpoint of its answer: {error}")))?;
        if let Some(before) = &before {
            must_extend(client, before, &checkpoint).await?;
        }
        for row in &page.rows {
            let row = opened(row, &checkpoint)?;
            must_follow(question, rows.last(), &row)?;
            rows.push(row);
        }
        seen(page.searched_to, checkpoint.size());
        page_token = page.next_page_token;
        let more = !page_token.is_empty();
        if !more || rows.len() as u64 >= limit {
            let complete = completeness(question, &rows)?;
            let searched_to = page.searched_to;
            return Ok(Answer { rows, checkpoint, more, searched_to, complete });
        }
        before = Some(checkpoint);
    }
}

/// A row that is in the tree of the checkpoint, and whose leaf commits to its facts.
fn opened(row: &AuditRow, under: &Checkpoint) -> Result<Row, ClientError> {
    let entry = row.entry;
    let wrong = |what: &str| suspect(format!("entry {entry}: {what}"));
    let leaf = Leaf::decode(&row.leaf).map_err(|error| wrong(&error.to_string()))?;
    if !commits(&leaf.facts, &row.facts, &row.facts_opening) {
        return Err(wrong("its facts are not those that its leaf commits to"));
    }
    if row.at != leaf.time_unix_ns {
        return Err(wrong("its time is not the one in its leaf"));
    }
    let (hash, proof) = (leaf_hash(&leaf.encode()), hashes(&row.inclusion)?);
    verify_inclusion(&hash, entry, under.size(), &proof, &under.root())
        .map_err(|error| wrong(&error.to_string()))?;
    let facts = proto::decode(&row.facts).map_err(|error| wrong(&error.to_string()))?;
    Ok(Row { entry, leaf, facts, suspected: row.suspected })
}

/// A row must be one that was asked for, in order.
fn must_follow(
    question: &QueryRequest,
    before: Option<&Row>,
    row: &Row,
) -> Result<(), ClientError> {
    let wrong = |what: &str| Err(suspect(format!("entry {}: {what}", row.entry)));
    let at = row.leaf.time_unix_ns;
    if at < question.from_time || (question.until_time != 0 && at >= question.until_time) {
        return wrong("its time is not one that was asked for");
    }
    if !fits(question, &row.facts) {
        return wrong("it is none that was asked for");
    }
    match before {
        Some(before) if row.entry <= before.entry => wrong("it is out of order"),
        _ => Ok(()),
    }
}

/// The tree of a later page must extend that of the page before.
async fn must_extend(
    client: &Client,
    before: &Checkpoint,
    now: &Checkpoint,
) -> Result<(), ClientError> {
    let wrong = |what: String| suspect(format!("the checkpoint of a later page: {what}"));
    if now.size() < before.size() {
        return Err(wrong("it is smaller than that of the page before".into()));
    }
    let request = GetConsistencyProofRequest { old_size: before.size(), new_size: now.size() };
    let proof = client.audit().get_consistency_proof(request).await?.into_inner();
    let proof = hashes(&proof.hashes)?;
    verify_consistency(before.size(), now.size(), &before.root(), &now.root(), &proof)
        .map_err(|error| wrong(error.to_string()))
}

/// By which numbers the rows of a question must follow one another.
enum Numbers<'q> {
    Entries,
    Sender,
    Inbox(&'q str),
}

impl<'q> Numbers<'q> {
    fn of(question: &'q QueryRequest) -> Option<Self> {
        let QueryRequest { sender, inbox, from_time, until_time, .. } = question;
        let timed = QueryRequest {
            from_time: *from_time,
            until_time: *until_time,
            purpose: question.purpose.clone(),
            ..QueryRequest::default()
        };
        let by_sender = QueryRequest { sender: sender.clone(), ..timed.clone() };
        let by_inbox = QueryRequest { inbox: inbox.clone(), ..timed.clone() };
        match question {
            alone if *alone == timed => Some(Self::Entries),
            alone if *alone == by_sender => Some(Self::Sender),
            alone if *alone == by_inbox => Some(Self::Inbox(inbox)),
            _ => None,
        }
    }

    /// The number of a row, if it has one.
    fn number(&self, row: &Row) -> Option<u64> {
        match self {
            Self::Entries => Some(row.entry),
            Self::Sender => Some(row.facts.sender_number).filter(|number| *number > 0),
            Self::Inbox(inbox) => {
                let mut inboxes = row.facts.inboxes.iter().zip(&row.facts.inbox_numbers);
                inboxes.find(|(known, _)| known == inbox).map(|(_, number)| *number)
            }
        }
    }
}

/// What shows that no row is missing among these.
fn completeness(question: &QueryRequest, rows: &[Row]) -> Result<Complete, ClientError> {
    let question = QueryRequest { page_size: 0, page_token: String::new(), ..question.clone() };
    let Some(numbers) = Numbers::of(&question) else { return Ok(Complete::NotProved) };
    let mut known = rows.iter().filter_map(|row| Some((row.entry, numbers.number(row)?)));
    let Some((_, first)) = known.next() else { return Ok(Complete::NotProved) };
    let mut last = first;
    for (entry, number) in known {
        if number != last + 1 {
            let what = format!("entry {entry}: entries before it were left out");
            return Err(suspect(what));
        }
        last = number;
    }
    let begins = !matches!(numbers, Numbers::Entries) && question.from_time == 0;
    match numbers {
        // Numbers of senders and inboxes begin at 1.
        _ if begins && first != 1 => {
            Err(suspect(format!("its first row has number {first}: those before it were left out")))
        }
        Numbers::Entries => Ok(Complete::ByEntry),
        Numbers::Sender | Numbers::Inbox(_) => Ok(Complete::ByNumber { first, last }),
    }
}

fn suspect(what: String) -> ClientError {
    ClientError::Suspect(what)
}

#[cfg(test)]
mod tests;
