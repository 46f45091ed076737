//! May they: default deny, by one table of calls and one pure function.
//!
//! [`may_call`] walks the table of who may call what. [`permit`] judges one
//! authenticated statement against the directory and the day, names the agreement
//! it used, and is the only place that makes a [`Permitted`].
//!
//! ```text
//! says        what each kind of statement must say, and its facts
//! concern     who gets a concern, and under which agreement
//! ```
//!
//! Holds: I2. Knows: proto, identity, directory, domain, clock, limits.

mod concern;
mod says;

use self::{concern::reply_to, says::facts};
use crate::{
    clock::Moment,
    directory::{Directory, Role},
    domain::{ids::InboxId, refusal::Refusal, vocabulary::Urgency},
    identity::{Peer, authenticate::Authenticated},
    proto::{self, EntryType, Facts, Person, Statement, statement::Act},
};

/// Who may call what. A call that is not here may be made by nobody.
pub const CALLS: &[(&str, &[Role])] = &[
    ("ExchangeService/Submit", &[Role::Agency]),
    ("ExchangeService/SubmitStream", &[Role::Agency]),
    ("ExchangeService/Receive", &[Role::Agency]),
    ("ExchangeService/ListDeliveries", &[Role::Agency]),
    ("ExchangeService/GetConcern", &[Role::Agency, Role::OnCall]),
    ("StatusService/ListWaiting", &[Role::Agency, Role::OnCall]),
    ("StatusService/RecordCall", &[Role::OnCall]),
    ("StatusService/TakeCare", &[Role::OnCall]),
    ("StatusService/Settle", &[Role::OnCall]),
    ("StatusService/GetSummary", &[Role::Agency, Role::OnCall, Role::Auditor]),
    ("AuditService/Query", &[Role::Auditor]),
    ("AuditService/GetEntry", &[Role::Auditor]),
    ("AuditService/GetCheckpoint", EVERYONE),
    ("AuditService/GetInclusionProof", EVERYONE),
    ("AuditService/GetConsistencyProof", EVERYONE),
    ("AuditService/BeginMirror", &[Role::Auditor, Role::Witness]),
    ("AuditService/GetTile", &[Role::Auditor, Role::Witness]),
    ("AuditService/GetEntryBundle", &[Role::Auditor, Role::Witness]),
    ("DirectoryService/Apply", &[Role::DirectoryAdmin]),
    ("DirectoryService/EndPersonAccess", &[Role::DirectoryAdmin]),
    ("DirectoryService/InvitePerson", &[Role::DirectoryAdmin]),
    ("DirectoryService/ListChanges", EVERYONE),
    ("DirectoryService/ListPeople", &[Role::DirectoryAdmin]),
    ("DirectoryService/ResolveRecipients", EVERYONE),
];

const EVERYONE: &[Role] =
    &[Role::Agency, Role::Auditor, Role::DirectoryAdmin, Role::OnCall, Role::Witness];

/// Whether a system of the directory may make a call ("Service/Method").
///
/// # Errors
/// [`Refusal::NotPermitted`], whatever the reason.
pub fn may_call(directory: &Directory, peer: &Peer, call: &str) -> Result<(), Refusal> {
    let roles = CALLS.iter().find(|(name, _)| *name == call).map_or(&[][..], |(_, roles)| roles);
    let permitted = roles
        .iter()
        .any(|role| directory.has_role(peer.agency.as_str(), peer.system.as_str(), *role));
    if permitted { Ok(()) } else { Err(Refusal::NotPermitted) }
}

/// A statement that may be appended, if it still fits when its turn comes: while the directory is
/// the one it was judged by. Of what it said only the facts are left, beside its very bytes.
#[derive(Debug, Clone)]
pub struct Permitted {
    envelope: Vec<u8>,
    facts: Facts,
    judged_as_of: u64,
}

impl Permitted {
    /// The envelope's bytes, exactly as sent.
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Its facts, but for numbers, deadlines and request key, which the committer gives.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The directory it was judged by ([`Directory::as_of`]).
    pub fn judged_as_of(&self) -> u64 {
        self.judged_as_of
    }

    /// Envelope and facts.
    pub fn into_parts(self) -> (Vec<u8>, Facts) {
        (self.envelope, self.facts)
    }
}

/// Judges a statement by the directory as it stands at `now`.
///
/// # Errors
/// The refusal, which says what to do.
pub fn permit(
    directory: &Directory,
    authenticated: Authenticated,
    now: Moment,
) -> Result<Permitted, Refusal> {
    // Asked of each statement: a stream of them outlives the call that opened it.
    may_call(directory, authenticated.peer(), "ExchangeService/Submit")?;
    let statement = authenticated.statement();
    let known = directory.key(&authenticated.key()).ok_or(Refusal::UnknownKey)?;
    if !known.valid_at(now) {
        return Err(Refusal::KeyNotValid);
    }
    may_say(&known.record, statement)?;
    let facts = facts(directory, &authenticated, statement, now)?;
    let envelope = authenticated.into_envelope();
    Ok(Permitted { envelope, facts, judged_as_of: directory.as_of() })
}

/// An immediate or urgent concern, and the inbox of its sender that must know if it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urgently {
    /// The urgency that it would run as.
    pub urgency: Urgency,
    /// Where its sender wants to hear of it; `None` for one without an inbox.
    pub inbox: Option<InboxId>,
}

impl Urgently {
    /// Of a statement that was not accepted, proved or not; `None` if it can wait or is an exercise.
    pub fn said(directory: &Directory, statement: &Statement) -> Option<Self> {
        let Some(Act::Concern(concern)) = &statement.act else { return None };
        if statement.exercise.unwrap_or(false) {
            return None; // it wakes nobody
        }
        let urgency = concern::urgency(concern);
        urgency.cannot_wait().then(|| Self { urgency, inbox: reply_to(directory, statement) })
    }

    /// Of a statement that was permitted, and refused in its turn.
    pub fn of(facts: &Facts) -> Option<Self> {
        let (urgency, _) = Urgency::effective(Some(&facts.urgency));
        let live = facts.r#type() == EntryType::Concern && !facts.exercise;
        let concern = live && urgency.cannot_wait();
        concern.then(|| Self { urgency, inbox: facts.reply_to.parse().ok() })
    }
}

/// A key may be confined to kinds of statement and to inboxes.
fn may_say(key: &proto::SigningKey, statement: &Statement) -> Result<(), Refusal> {
    let kind = statement.act.as_ref().map_or("", kind_of);
    let kinds = key.kinds.is_empty() || key.kinds.iter().any(|known| known == kind);
    let about = statement.inbox.is_empty()
        || key.inboxes.is_empty()
        || key.inboxes.contains(&statement.inbox);
    if kinds && about { Ok(()) } else { Err(Refusal::KeyNotPermitted) }
}

/// The name of what a statement says, as the API has it.
fn kind_of(act: &Act) -> &'static str {
    match act {
        Act::Concern(_) => "concern",
        Act::Stored(_) => "stored",
        Act::NotTaken(_) => "not_taken",
        Act::CannotOpen(_) => "cannot_open",
        Act::Opened(_) => "opened",
        Act::Acknowledgement(_) => "acknowledgement",
        Act::Decision(_) => "decision",
        Act::Feedback(_) => "feedback",
        Act::Redirection(_) => "redirection",
        Act::Resealed(_) => "resealed",
        Act::Withdrawal(_) => "withdrawal",
        Act::WithdrawalConfirmed(_) => "withdrawal_confirmed",
        Act::PhoneConfirmed(_) => "phone_confirmed",
        Act::UrgencyChange(_) => "urgency_change",
        Act::Extension(_) => "extension",
        Act::AgreementReview(_) => "agreement_review",
        Act::Manifest(_) => "manifest",
    }
}

fn must_wrap_for(authenticated: &Authenticated, inbox: &InboxId) -> Result<(), Refusal> {
    let name = inbox.to_string();
    let wraps = authenticated.body().map_or(&[][..], |body| &body.wraps);
    match wraps.iter().any(|wrap| wrap.inbox == name) {
        true => Ok(()),
        false => Err(Refusal::MissingWrap { inbox: inbox.clone() }),
    }
}

/// A person is named: by a name or a staff number, and a post; each at most 128 bytes.
///
/// # Errors
/// [`Refusal::PersonRequired`].
pub fn named(person: Option<&Person>) -> Result<(), Refusal> {
    let person = person.ok_or(Refusal::PersonRequired)?;
    let said = |text: &str| !text.trim().is_empty() && text.len() <= 128;
    let short = [&person.name, &person.staff_id, &person.post].iter().all(|text| text.len() <= 128);
    match short && said(&person.post) && (said(&person.name) || said(&person.staff_id)) {
        true => Ok(()),
        false => Err(Refusal::PersonRequired),
    }
}

fn parse_inbox(field: &'static str, text: &str) -> Result<InboxId, Refusal> {
    text.parse().map_err(|_| Refusal::FieldInvalid { field, rule: "must be agency/role" })
}

fn code(field: &'static str, text: &str) -> Result<(), Refusal> {
    match text.len() <= crate::limits::CODE_BYTES_MAX {
        true => Ok(()),
        false => Err(Refusal::FieldInvalid { field, rule: "at most 64 bytes" }),
    }
}
