//! The keys of the index: a letter, then what it is about.
//!
//! Pure. Holds: I5. Knows: domain, store.

use crate::{
    domain::ids::InboxId,
    store::{Changes, Key},
};

/// Of the 32 bytes of a request key so many are in the index: enough that no two are alike. If
/// they were, the second would be refused as a conflict and nothing lost.
pub const REQUEST_KEY_BYTES: usize = 16;

/// A key of letter, parts.
fn key(letter: u8, parts: &[&[u8]]) -> Key {
    let mut key = Key::new();
    key.push(letter);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// `a`: everything an agency said, was addressed by or has to do with.
pub fn agency_key(agency: &str, entry: u64) -> Key {
    key(b'a', &[agency.as_bytes(), &[0], &entry.to_be_bytes()])
}

/// `c`: a count.
pub fn count_key(name: &str) -> Key {
    key(b'c', &[name.as_bytes()])
}

/// `d`: a delivery.
pub fn delivery_key(concern: u64, addressed: &InboxId) -> Key {
    key(b'd', &[&concern.to_be_bytes(), addressed.as_str().as_bytes()])
}

/// `d`: all deliveries of a concern.
pub fn deliveries_prefix(concern: u64) -> Key {
    key(b'd', &[&concern.to_be_bytes()])
}

/// `e`: an entry.
pub fn entry_key(entry: u64) -> Key {
    key(b'e', &[&entry.to_be_bytes()])
}

/// `f`: a kind of refusal that is recorded already.
pub fn refusal_key(digest: &[u8; 32]) -> Key {
    key(b'f', &[digest])
}

/// `g`: a directory change.
pub fn directory_key(entry: u64) -> Key {
    key(b'g', &[&entry.to_be_bytes()])
}

/// `h`: a member of a thread, but for the entry that began it.
pub fn thread_key(thread: u64, entry: u64) -> Key {
    key(b'h', &[&thread.to_be_bytes(), &entry.to_be_bytes()])
}

/// `n`: an inbox's gapless number.
pub fn inbox_number_key(inbox: &InboxId) -> Key {
    key(b'n', &[inbox.as_str().as_bytes()])
}

/// `o`: an open delivery, oldest concern first.
pub fn open_key(concern: u64, addressed: &InboxId) -> Key {
    key(b'o', &[&concern.to_be_bytes(), addressed.as_str().as_bytes()])
}

/// `q`: an entry waiting to be stored by an inbox.
pub fn queue_key(inbox: &InboxId, entry: u64) -> Key {
    key(b'q', &[inbox.as_str().as_bytes(), &[0], &entry.to_be_bytes()])
}

/// What changes make wait of the entries before one, and for whom.
pub fn queued_before(changes: &Changes, first: u64) -> Vec<(InboxId, u64)> {
    let queues = changes.range(key(b'q', &[])..key(b'r', &[]));
    let put = queues.filter(|(_, value)| value.is_some()).map(|(key, _)| key);
    put.filter_map(|key| {
        let entry = entry_of(key).filter(|entry| *entry < first)?;
        let inbox = key.get(1..key.len().checked_sub(9)?)?;
        Some((std::str::from_utf8(inbox).ok()?.parse().ok()?, entry))
    })
    .collect()
}

/// `r`: a request id that was accepted.
pub fn request_key(request: &[u8]) -> Key {
    key(b'r', &[&request[..request.len().min(REQUEST_KEY_BYTES)]])
}

/// `s`: a sender's gapless number.
pub fn sender_number_key(agency: &str) -> Key {
    key(b's', &[agency.as_bytes()])
}

/// `t`: a full tile.
pub fn tile_key(level: u8, index: u64) -> Key {
    key(b't', &[&[level], &index.to_be_bytes()])
}

/// `v`: a concern that is to be looked at, since it came outside any agreement.
pub fn review_key(concern: u64) -> Key {
    key(b'v', &[&concern.to_be_bytes()])
}

/// `w`: a delivery whose next rung is climbed then.
pub fn wake_key(seconds: u64, concern: u64, addressed: &InboxId) -> Key {
    let (seconds, concern) = (seconds.to_be_bytes(), concern.to_be_bytes());
    key(b'w', &[&seconds, &concern, addressed.as_str().as_bytes()])
}

/// `w`: the first key of a second, and so the end of all before it.
pub fn wakes_from(seconds: u64) -> Key {
    key(b'w', &[&seconds.to_be_bytes()])
}

/// What a [`wake_key`] says.
pub fn wake_of(key: &[u8]) -> Option<(u64, u64, InboxId)> {
    let (seconds, rest) = key.get(1..)?.split_first_chunk()?;
    let (concern, addressed) = rest.split_first_chunk()?;
    let addressed = std::str::from_utf8(addressed).ok()?.parse().ok()?;
    Some((u64::from_be_bytes(*seconds), u64::from_be_bytes(*concern), addressed))
}

/// `x`: a statement that should have been accepted and was not.
pub fn awaited_key(request: &[u8]) -> Key {
    key(b'x', &[&request[..request.len().min(REQUEST_KEY_BYTES)]])
}

/// The entry number at the end of a key.
pub fn entry_of(key: &[u8]) -> Option<u64> {
    key.len().checked_sub(8).and_then(|at| key[at..].try_into().ok()).map(u64::from_be_bytes)
}
