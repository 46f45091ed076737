//! The fold: entries in, index changes out. Live commits and rebuilds run the
//! same code.
//!
//! Reads leaf and facts only, never a detail. [`judge()`] says whether a statement
//! fits where things stand; [`apply`] records it. Pure: no clock, no I/O.
//!
//! Holds: I5, I6. Knows: domain, proto, store.

mod judge;
pub mod raised;
mod time;
mod told;

use sha2::{Digest, Sha256};

pub use self::judge::{address, judge};
use super::records::{self, DeliveryRecord, EntryMeta, pack, unpack};
use crate::{
    domain::{ids::InboxId, lifecycle::State},
    proto::{EntryType, Facts},
    store::Overlay,
};

/// A delivery before and after a step. `before` is absent for a new one.
struct Move {
    before: Option<DeliveryRecord>,
    after: DeliveryRecord,
}

/// What one entry does; from [`judge()`].
#[derive(Default)]
pub struct Effect {
    moves: Vec<Move>,
    /// Statements that now wait to be stored, beside deliveries themselves.
    queued: Vec<(InboxId, u64)>,
    /// Statements that no longer wait.
    unqueued: Vec<(InboxId, u64)>,
    /// The delivery that this entry is feedback for.
    feedback_for: Option<(u64, InboxId)>,
}

/// Records an entry and what it does: its effect as [`judge()`] gave it for this view, number and
/// time.
pub fn apply(overlay: &mut Overlay<'_>, entry: u64, time: u64, facts: &Facts, effect: Effect) {
    let concern = facts.answers.filter(|_| facts.r#type() != EntryType::Genesis);
    let thread = concern
        .and_then(|answered| records::meta(overlay, answered))
        .map_or(entry, |answered| answered.thread);
    let meta = EntryMeta {
        kind: facts.r#type,
        time,
        sender: facts.sender.clone(),
        inbox: facts.inbox.clone(),
        thread,
        delivery: effect.feedback_for,
    };
    overlay.put(records::entry_key(entry), pack(&meta));
    if thread != entry {
        overlay.put(records::thread_key(thread, entry), Vec::new());
    }
    for delivery in effect.moves {
        record_move(overlay, delivery);
    }
    for (inbox, waiting) in effect.queued {
        overlay.put(records::queue_key(&inbox, waiting), Vec::new());
    }
    for (inbox, stored) in effect.unqueued {
        overlay.remove(records::queue_key(&inbox, stored));
    }
    record_parties(overlay, entry, facts);
    record_kind(overlay, entry, facts);
    raised::record(overlay, entry, time, facts);
}

/// Who said it, who is addressed and whom it is about; their gapless numbers.
fn record_parties(overlay: &mut Overlay<'_>, entry: u64, facts: &Facts) {
    if !facts.sender.is_empty() {
        overlay.put(records::agency_key(&facts.sender, entry), Vec::new());
    }
    // What the exchange says of a delivery is about whoever has it.
    if let Ok(inbox) = facts.inbox.parse::<InboxId>() {
        overlay.put(records::agency_key(inbox.agency(), entry), Vec::new());
    }
    if facts.sender_number > 0 {
        overlay.put(records::sender_number_key(&facts.sender), pack(&facts.sender_number));
    }
    for (inbox, number) in facts.inboxes.iter().zip(&facts.inbox_numbers) {
        if let Ok(inbox) = inbox.parse::<InboxId>() {
            overlay.put(records::agency_key(inbox.agency(), entry), Vec::new());
            overlay.put(records::inbox_number_key(&inbox), pack(number));
        }
    }
    if !facts.request_key.is_empty() && facts.r#type() != EntryType::Refusal {
        overlay.put(records::request_key(&facts.request_key), pack(&entry));
    }
}

fn record_kind(overlay: &mut Overlay<'_>, entry: u64, facts: &Facts) {
    match facts.r#type() {
        EntryType::Concern => add_to_count(overlay, "concerns", 1),
        EntryType::Escalation => add_to_count(overlay, "escalations", 1),
        EntryType::Directory => overlay.put(records::directory_key(entry), Vec::new()),
        EntryType::Refusal => {
            overlay.put(records::refusal_key(&refusal_digest(facts)), Vec::new());
            add_to_count(overlay, "refusals", 1);
        }
        _ => {}
    }
}

/// Two refusals are the same if caller, code, field, request and what is raised by them are.
pub fn refusal_digest(facts: &Facts) -> [u8; 32] {
    let mut hash = Sha256::new();
    let Facts { sender, code, subject, urgency, request_key, .. } = facts;
    let parts = [sender, code, subject, urgency].map(String::as_bytes);
    for part in parts.into_iter().chain([&request_key[..]]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Keeps the delivery, its queue place, the open list and the counts in step.
fn record_move(overlay: &mut Overlay<'_>, Move { before, after }: Move) {
    let addressed = after.delivery.addressed.clone();
    let concern = after.concern;
    if let Some(before) = &before {
        add_to_count(overlay, before.delivery.state.as_str(), -1);
        if before.delivery.state == State::Queued {
            overlay.remove(records::queue_key(&before.delivery.holder, concern));
        }
        if before.delivery.is_open() {
            add_to_count(overlay, &held_count(&before.delivery.holder), -1);
        }
    } else {
        add_to_count(overlay, "deliveries", 1);
    }
    add_to_count(overlay, after.delivery.state.as_str(), 1);
    if after.delivery.state == State::Queued {
        overlay.put(records::queue_key(&after.delivery.holder, concern), Vec::new());
    }
    if after.delivery.is_open() {
        add_to_count(overlay, &held_count(&after.delivery.holder), 1);
        overlay.put(records::open_key(concern, &addressed), Vec::new());
    } else {
        overlay.remove(records::open_key(concern, &addressed));
    }
    // Most steps leave it where it is.
    let wake = |record: &DeliveryRecord| record.next_step().map(|step| step.at);
    let (was, is) = (before.as_ref().and_then(wake), wake(&after));
    if was != is {
        let key = |at: u64| records::wake_key(at, concern, &addressed);
        was.into_iter().for_each(|at| overlay.remove(key(at)));
        is.into_iter().for_each(|at| overlay.put(key(at), Vec::new()));
    }
    overlay.put(records::delivery_key(concern, &addressed), after.pack());
}

/// The name of the count of open deliveries that an inbox has.
pub fn held_count(inbox: &InboxId) -> String {
    format!("held {inbox}")
}

fn add_to_count(overlay: &mut Overlay<'_>, name: &str, by: i64) {
    let key = records::count_key(name);
    let count = unpack::<u64>(overlay, &key).unwrap_or(0).saturating_add_signed(by);
    match count {
        0 => overlay.remove(key),
        _ => overlay.put(key, pack(&count)),
    }
}

#[cfg(test)]
mod tests;
