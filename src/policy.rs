//! May they: default deny, by one table of calls and one pure function.
//!
//! [`may_call`] walks the table of who may call what. [`permit`] judges one
//! authenticated statement against the directory and the day, names the agreement
//! it used, and is the only place that makes a [`Permitted`].
//!
//! Holds: I2. Knows: proto, identity, directory, domain, clock, limits.

use jiff::civil::Date;

use crate::{
    clock::Moment,
    directory::{self, Directory, Role},
    domain::{
        document::Flag,
        ids::InboxId,
        refusal::{Condition, Refusal},
        vocabulary::{self, Urgency},
    },
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
    }
}

fn facts(
    directory: &Directory,
    authenticated: &Authenticated,
    statement: &Statement,
    now: Moment,
) -> Result<Facts, Refusal> {
    let mut facts = Facts {
        sender: statement.from.clone(),
        answers: statement.answers,
        exercise: statement.exercise.unwrap_or(false),
        // What no list has could be anything, and facts are for ever.
        flags: statement.flags.iter().filter(|flag| Flag::parse(flag).is_some()).cloned().collect(),
        ..Facts::default()
    };
    let Some(act) = &statement.act else {
        return Err(Refusal::Malformed { what: "says nothing that belongs here" });
    };
    match act {
        Act::Concern(concern) => {
            concern_facts(directory, authenticated, concern, now, &mut facts)?;
        }
        Act::Withdrawal(withdrawal) => {
            code("reason", &withdrawal.reason)?;
            facts.set_type(EntryType::Withdrawal);
        }
        Act::UrgencyChange(change) => {
            named(change.person.as_ref())?;
            code("reason", &change.reason)?;
            if change.reason.trim().is_empty() {
                let rule = "must say why, as a code such as new_information";
                return Err(Refusal::FieldInvalid { field: "reason", rule });
            }
            let Some(urgency) = Urgency::parse(&change.urgency) else {
                let rule = "must be immediate, urgent, prompt, routine or information";
                return Err(Refusal::FieldInvalid { field: "urgency", rule });
            };
            // The sender speaks of the concern, whoever has it of its own delivery.
            if !statement.inbox.is_empty() {
                facts.inbox = own_inbox(statement)?.to_string();
            }
            facts.urgency = urgency.as_str().to_owned();
            facts.set_type(EntryType::UrgencyChange);
        }
        // The sender names the recipient's inbox that could not open.
        Act::Resealed(_) => {
            facts.set_type(EntryType::Resealed);
            let inbox = parse_inbox("inbox", &statement.inbox)?;
            facts.inbox = inbox.to_string();
            must_wrap_for(authenticated, &inbox)?;
        }
        _ => {
            facts.inbox = own_inbox(statement)?.to_string();
            step_facts(directory, authenticated, act, &mut facts)?;
        }
    }
    Ok(facts)
}

/// Steps of a recipient; `facts.inbox` is its own.
fn step_facts(
    directory: &Directory,
    authenticated: &Authenticated,
    act: &Act,
    facts: &mut Facts,
) -> Result<(), Refusal> {
    let kind = match act {
        Act::Stored(_) => EntryType::Stored,
        Act::NotTaken(reason) => {
            code("reason", &reason.reason)?;
            EntryType::NotTaken
        }
        Act::CannotOpen(reason) => {
            code("reason", &reason.reason)?;
            EntryType::CannotOpen
        }
        Act::Opened(opened) => {
            named(opened.person.as_ref())?;
            EntryType::Opened
        }
        Act::Acknowledgement(acknowledgement) => {
            named(acknowledgement.person.as_ref())?;
            EntryType::Acknowledgement
        }
        Act::Decision(decision) => {
            named(decision.person.as_ref())?;
            outcome_is_known(decision)?;
            facts.outcome = decision.outcome.clone();
            EntryType::Decision
        }
        Act::Feedback(_) => {
            for inbox in &authenticated.statement().to {
                must_wrap_for(authenticated, &parse_inbox("to", inbox)?)?;
            }
            facts.inboxes = authenticated.statement().to.clone();
            EntryType::Feedback
        }
        Act::Redirection(redirection) => {
            named(redirection.person.as_ref())?;
            let next =
                parse_inbox("next", &redirection.next).map_err(|_| Refusal::NextOwnerRequired)?;
            must_exist(directory, std::slice::from_ref(&next), &[])?;
            must_wrap_for(authenticated, &next)?;
            facts.next_inbox = redirection.next.clone();
            if redirection.misdirected { EntryType::Misdirection } else { EntryType::Redirection }
        }
        Act::WithdrawalConfirmed(confirmed) => {
            named(confirmed.person.as_ref())?;
            EntryType::WithdrawalConfirmed
        }
        Act::PhoneConfirmed(confirmed) => {
            named(confirmed.person.as_ref())?;
            EntryType::PhoneConfirmed
        }
        Act::Concern(_) | Act::Withdrawal(_) | Act::Resealed(_) | Act::UrgencyChange(_) => {
            return Err(Refusal::Malformed { what: "says nothing that belongs here" });
        }
    };
    facts.set_type(kind);
    Ok(())
}

fn concern_facts(
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
    let (urgency, _) =
        Urgency::effective(Some(concern.urgency.as_str()).filter(|text| !text.is_empty()));
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
        Err(_) if matches!(urgency, Urgency::Immediate | Urgency::Urgent) => {
            facts.outside_agreement = true;
        }
        Err(condition) => return Err(Refusal::NoAgreement { condition }),
    }
    Ok(())
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

fn must_exist(directory: &Directory, to: &[InboxId], strange: &[&str]) -> Result<(), Refusal> {
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
fn reply_to(directory: &Directory, statement: &Statement) -> Option<InboxId> {
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

fn must_wrap_for(authenticated: &Authenticated, inbox: &InboxId) -> Result<(), Refusal> {
    let name = inbox.to_string();
    let wraps = authenticated.body().map_or(&[][..], |body| &body.wraps);
    match wraps.iter().any(|wrap| wrap.inbox == name) {
        true => Ok(()),
        false => Err(Refusal::MissingWrap { inbox: inbox.clone() }),
    }
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

fn own_inbox(statement: &Statement) -> Result<InboxId, Refusal> {
    let inbox = statement.inbox.parse::<InboxId>().map_err(|_| Refusal::NotARecipient)?;
    match inbox.agency() == statement.from {
        true => Ok(inbox),
        false => Err(Refusal::NotARecipient),
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

fn outcome_is_known(decision: &proto::Decision) -> Result<(), Refusal> {
    if !vocabulary::OUTCOMES.contains(&decision.outcome) {
        return Err(Refusal::UnknownOutcome);
    }
    let needs_reason = decision.outcome == "no_further_action";
    let reason_known = vocabulary::NO_FURTHER_ACTION_REASONS.contains(&decision.reason);
    match needs_reason && !reason_known {
        true => Err(Refusal::FieldInvalid {
            field: "reason",
            rule: "no_further_action needs a reason of the code list `no_further_action_reason`",
        }),
        false => Ok(()),
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
