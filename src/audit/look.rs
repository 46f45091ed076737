//! Looks at a served ledger: questions, and entries whole. Every answer is verified
//! before it is given: signed checkpoint, inclusion of each entry, openings.
//!
//! What an exchange cannot be made to prove is that it left no entry out of an answer
//! to a question by agency or concern: for that, the gapless numbers in the facts of
//! each sender and inbox are there, and a question by time alone, whose entries must
//! follow one another.
//!
//! Holds: I11. Knows: crypto, directory, ledger, proto, wire's client.

use std::collections::VecDeque;

use tokio::task::JoinSet;

use super::{
    mirror::hashes,
    verify::{Opening, Proved, commits, verify_receipt},
};
use crate::{
    clock::Moment,
    crypto::sign::{STATEMENT_TYPE, verify_dsse},
    directory::{self, Directory},
    ledger::{
        checkpoint::Checkpoint,
        leaf::Leaf,
        merkle::{Hash, leaf_hash},
        proof::verify_inclusion,
    },
    proto::{
        self, AuditRow, Envelope, Facts, GetEntryRequest, GetInclusionProofRequest, QueryRequest,
        Statement,
    },
    wire::client::{Client, ClientError},
};

/// Entries of one page.
const PAGE_ENTRIES: u32 = 1_000;
/// Proofs asked for at once.
const PROOFS_AT_ONCE: usize = 16;

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
    /// before this entry on. [`must_be_signed`] tells it from the envelope itself.
    pub suspected: bool,
}

/// An answer, verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// In the order of their numbers.
    pub rows: Vec<Row>,
    /// The checkpoint that every row was proved under.
    pub checkpoint: Checkpoint,
    /// Whether there are more entries than were asked for.
    pub more: bool,
}

/// Asks, page by page, up to `limit` entries. Each page is recorded in the ledger.
/// `question.page_size` and `question.page_token` are not used.
///
/// # Errors
/// [`ClientError`]; [`ClientError::Suspect`] if any part of the answer does not verify.
pub async fn query(
    client: &Client,
    question: &QueryRequest,
    limit: u64,
) -> Result<Answer, ClientError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut page_token = String::new();
    loop {
        let left = limit.saturating_sub(rows.len() as u64);
        let page_size = u32::try_from(left).unwrap_or(u32::MAX).clamp(1, PAGE_ENTRIES);
        let request = QueryRequest { page_size, page_token, ..question.clone() };
        let page = client.audit().query(request).await?.into_inner();
        let checkpoint = Checkpoint::open(&page.checkpoint, &client.folder().vkey)
            .map_err(|error| suspect(format!("the checkpoint of its answer: {error}")))?;
        for row in &page.rows {
            let row = opened(row)?;
            must_follow(question, rows.last(), &row)?;
            rows.push(row);
        }
        page_token = page.next_page_token;
        let more = !page_token.is_empty();
        if !more || rows.len() as u64 >= limit || page.rows.is_empty() {
            prove(client, &rows, &checkpoint).await?;
            return Ok(Answer { rows, checkpoint, more });
        }
    }
}

/// A row whose leaf commits to its facts.
fn opened(row: &AuditRow) -> Result<Row, ClientError> {
    let entry = row.entry;
    let wrong = |what: &str| suspect(format!("entry {entry}: {what}"));
    let leaf = Leaf::decode(&row.leaf).map_err(|error| wrong(&error.to_string()))?;
    if !commits(&leaf.facts, &row.facts, &row.facts_opening) {
        return Err(wrong("its facts are not those that its leaf commits to"));
    }
    if row.at != leaf.time_unix_ns {
        return Err(wrong("its time is not the one in its leaf"));
    }
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
    let Some(before) = before else { return Ok(()) };
    let all = question.agency.is_empty() && question.concern.is_none();
    match row.entry.checked_sub(before.entry) {
        Some(1) => Ok(()),
        Some(2..) if !all => Ok(()),
        Some(2..) => wrong("entries before it were left out"),
        _ => wrong("it is out of order"),
    }
}

/// Proves each row under one checkpoint.
async fn prove(client: &Client, rows: &[Row], under: &Checkpoint) -> Result<(), ClientError> {
    let (size, root) = (under.size(), under.root());
    let mut waiting: VecDeque<(u64, Hash)> =
        rows.iter().map(|row| (row.entry, leaf_hash(&row.leaf.encode()))).collect();
    let mut proofs = JoinSet::new();
    loop {
        while proofs.len() < PROOFS_AT_ONCE
            && let Some((entry, leaf)) = waiting.pop_front()
        {
            let mut service = client.audit();
            proofs.spawn(async move {
                let request = GetInclusionProofRequest { entry, size };
                let proof = service.get_inclusion_proof(request).await?.into_inner();
                verify_inclusion(&leaf, entry, size, &hashes(&proof.hashes)?, &root)
                    .map_err(|error| suspect(format!("entry {entry}: {error}")))
            });
        }
        match proofs.join_next().await {
            Some(Ok(proved)) => proved?,
            Some(Err(_)) => return Err(ClientError::Again("a proof was cut short".into())),
            None => return Ok(()),
        }
    }
}

/// An entry whole, verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What its receipt proves.
    pub proved: Proved,
    /// The receipt itself, a `.tlog-proof`.
    pub tlog_proof: Vec<u8>,
    /// What opens its leaf.
    pub opening: Opening,
    /// Whether its detail is erased.
    pub erased: bool,
}

/// Looks at one entry; with its detail if asked for. Recorded in the ledger.
///
/// # Errors
/// [`ClientError`]; [`ClientError::Suspect`] if its receipt or an opening does not verify.
pub async fn entry(
    client: &Client,
    entry: u64,
    purpose: &str,
    with_detail: bool,
) -> Result<Shown, ClientError> {
    let request = GetEntryRequest { entry, purpose: purpose.to_owned(), with_detail };
    let answer = client.audit().get_entry(request).await?.into_inner();
    let receipt = answer.receipt.ok_or_else(|| suspect("there is no receipt".into()))?;
    let erased = receipt.erased;
    let shown = with_detail && !erased;
    let opening = Opening {
        entry,
        leaf: receipt.leaf,
        facts: receipt.facts,
        facts_opening: receipt.facts_opening,
        detail: answer.detail,
        detail_opening: if shown { receipt.detail_opening } else { Vec::new() },
    };
    let vkeys = [client.folder().vkey.clone()];
    let proved = verify_receipt(&receipt.tlog_proof, &opening, &vkeys)
        .map_err(|error| suspect(error.to_string()))?;
    if shown && !proved.detail {
        return Err(suspect(format!("entry {entry}: its detail came without its opening")));
    }
    Ok(Shown { proved, tlog_proof: receipt.tlog_proof, opening, erased })
}

fn suspect(what: String) -> ClientError {
    ClientError::Suspect(what)
}

/// Whether an entry is a statement of an agency, whose detail is an envelope.
pub fn is_statement(facts: &Facts) -> bool {
    facts.r#type().is_statement()
}

/// The envelope of a statement must be signed by a key that the directory has, or once
/// had, for the system that it names. Gives whether that key was revoked as suspected
/// from before `at`, the time of the entry.
///
/// # Errors
/// [`ClientError::Suspect`].
pub fn must_be_signed(
    directory: &Directory,
    envelope: &[u8],
    at: Moment,
) -> Result<bool, ClientError> {
    let wrong = |what: &str| suspect(format!("its envelope: {what}"));
    let envelope: Envelope = proto::decode(envelope).map_err(|error| wrong(&error.to_string()))?;
    let statement: Statement =
        proto::decode(&envelope.statement).map_err(|error| wrong(&error.to_string()))?;
    let signature = envelope.signature.unwrap_or_default();
    let known = directory::key_id(&signature.key_id).ok().and_then(|id| directory.key(&id));
    let known = known
        .filter(|key| key.record.agency == statement.from && key.record.system == statement.system)
        .ok_or_else(|| wrong("it is signed with a key that its sender does not have"))?;
    let signed = signature.signature.as_slice().try_into().is_ok_and(|signature| {
        verify_dsse(&known.public, STATEMENT_TYPE, &envelope.statement, signature).is_ok()
    });
    match signed {
        true => Ok(known.revoked.is_some_and(|since| since > 0 && since <= at.unix_seconds())),
        false => Err(wrong("its signature does not fit")),
    }
}

#[cfg(test)]
mod tests;
