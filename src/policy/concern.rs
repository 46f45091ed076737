//! What a concern must say: recipients whom the directory knows and who can open it, and an
//! agreement that covers it, unless it cannot wait.
//!
//! Pure. Holds: I2, I13. Knows: proto, identity, directory, domain, clock, limits.

use jiff::civil::Date;

use super::{code, must_wrap_for};
use crate::{
    clock::Moment,
    directory::{self, Directory},
    domain::{
        ids::InboxId,
        refusal::{Condition, Refusal},
        vocabulary::{self, Urgency},
    },
    identity::authenticate::Authenticated,
    proto::{self, EntryType, Facts, Statement},
};

/// The facts of a concern.
pub(super) fn concern_facts(
    directory: &Directory,
    authenticated: &Authenticated,
    concern: &proto::Concern,
    now: Moment,
    facts: &mut Facts,
) -> Result<(), Refusal> {
    let statement = authenticated.statement();
    for (field, text) in [
        ("kind", &concern.kind),
        ("urgency", &concern.urgency),
        ("class", &concern.class),
        ("lawful_basis", &concern.lawful_basis),
        ("occurred_at", &concern.occurred_at),
    ] {
        code(field, text)?;
    }
    if concern.reference.len() > crate::limits::REFERENCE_BYTES_MAX {
        return Err(Refusal::FieldInvalid { field: "reference", rule: "at most 512 bytes" });
    }
    let recipients = recipients(directory, &statement.to)?;
    for inbox in &recipients {
        must_wrap_for(authenticated, inbox)?;
        must_be_current(directory, authenticated, inbox)?;
    }
    let urgency = urgency(concern);
    facts.set_type(EntryType::Concern);
    facts.inboxes = recipients.iter().map(ToString::to_string).collect();
    facts.urgency = urgency.as_str().to_owned();
    facts.reply_to =
        reply_to(directory, statement).map(|inbox| inbox.to_string()).unwrap_or_default();
    if vocabulary::CLASSES.contains(&concern.class) {
        facts.class = concern.class.clone();
    }
    match covers(directory, statement, concern, &recipients, now.london_date()) {
        Ok(()) => facts.agreement = concern.agreement.clone(),
        Err(_) if urgency.cannot_wait() => {
            facts.outside_agreement = true;
        }
        Err(condition) => return Err(Refusal::NoAgreement { condition }),
    }
    Ok(())
}

/// The urgency that a concern runs as.
pub(super) fn urgency(concern: &proto::Concern) -> Urgency {
    Urgency::effective(Some(concern.urgency.as_str()).filter(|text| !text.is_empty())).0
}

/// Each recipient once, in the order given, and each of them known.
fn recipients(directory: &Directory, to: &[String]) -> Result<Vec<InboxId>, Refusal> {
    let mut recipients: Vec<InboxId> = Vec::new();
    let mut strange: Vec<&str> = Vec::new();
    for name in to {
        match name.parse::<InboxId>() {
            Ok(inbox) if recipients.contains(&inbox) => {}
            Ok(inbox) => recipients.push(inbox),
            Err(_) => strange.push(name),
        }
    }
    if recipients.is_empty() && strange.is_empty() {
        return Err(Refusal::FieldInvalid { field: "to", rule: "must name at least one inbox" });
    }
    must_exist(directory, &recipients, &strange)?;
    let names: usize = recipients.iter().map(|inbox| inbox.to_string().len()).sum();
    match names <= crate::limits::RECIPIENT_NAMES_BYTES_MAX {
        true => Ok(recipients),
        false => Err(Refusal::TooManyRecipients),
    }
}

pub(super) fn must_exist(
    directory: &Directory,
    to: &[InboxId],
    strange: &[&str],
) -> Result<(), Refusal> {
    let takes = |inbox: &InboxId| directory.inbox(inbox).is_some_and(|known| !known.retired);
    let absent: Vec<&InboxId> = to.iter().filter(|inbox| !takes(inbox)).collect();
    if absent.is_empty() && strange.is_empty() {
        return Ok(());
    }
    let valid =
        absent.iter().flat_map(|inbox| directory.inboxes_of(inbox.agency())).cloned().collect();
    let absent: Vec<String> = absent.iter().map(ToString::to_string).collect();
    let written = absent.iter().map(String::as_str).chain(strange.iter().copied());
    Err(Refusal::unknown_recipient(written, valid))
}

/// The sender's own inbox for feedback: the one it names, else its first.
pub(super) fn reply_to(directory: &Directory, statement: &Statement) -> Option<InboxId> {
    let own =
        |inbox: &InboxId| inbox.agency() == statement.from && directory.inbox(inbox).is_some();
    let named = statement.reply_to.parse::<InboxId>().ok().filter(own);
    named.or_else(|| directory.inboxes_of(&statement.from).next().cloned())
}

/// Whether the named agreement covers the concern on this day.
fn covers(
    directory: &Directory,
    statement: &Statement,
    concern: &proto::Concern,
    recipients: &[InboxId],
    today: Date,
) -> Result<(), Condition> {
    if concern.agreement.is_empty() {
        return Err(Condition::Missing);
    }
    let agreement = directory.agreement(&concern.agreement).ok_or(Condition::Unknown)?;
    let is_party = |agency: &str| agreement.parties.iter().any(|party| party == agency);
    if !is_party(&statement.from) {
        return Err(Condition::Sender);
    }
    if let Some(inbox) = recipients.iter().find(|inbox| !is_party(inbox.agency())) {
        return Err(Condition::Recipient(inbox.clone()));
    }
    if !agreement.classes.contains(&concern.class) {
        return Err(Condition::Class);
    }
    if !agreement.lawful_bases.contains(&concern.lawful_basis) {
        return Err(Condition::LawfulBasis);
    }
    let day = |text: &str| text.parse::<Date>().ok();
    if day(&agreement.valid_from).is_none_or(|from| today < from) {
        return Err(Condition::NotYetValid);
    }
    if day(&agreement.valid_to).is_none_or(|to| to < today) {
        return Err(Condition::Ended);
    }
    Ok(())
}

/// A wrap must be for a key that the inbox has, or nobody could open it.
fn must_be_current(
    directory: &Directory,
    authenticated: &Authenticated,
    inbox: &InboxId,
) -> Result<(), Refusal> {
    let name = inbox.to_string();
    let wraps = authenticated.body().map_or(&[][..], |body| &body.wraps);
    let mut for_inbox = wraps.iter().filter(|wrap| wrap.inbox == name);
    let known = for_inbox.any(|wrap| {
        directory::key_id(&wrap.key_id).is_ok_and(|id| directory.is_sealing_key(inbox, &id))
    });
    if known { Ok(()) } else { Err(Refusal::MissingWrap { inbox: inbox.clone() }) }
}
