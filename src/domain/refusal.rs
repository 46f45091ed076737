//! Every way the exchange says no.
//!
//! Gives a stable code, a kind by which the wire chooses its status, a sentence, and what to do.
//! All of it is safe to tell, to count and to trace: variants hold numbers, fixed texts and names
//! of agencies and inboxes, never a word that someone wrote.
//!
//! | code | kind | when |
//! |---|---|---|
//! | `body_too_large` | invalid | a body longer than the bound in its canonical form |
//! | `field_invalid` | invalid | a field does not have the shape it must have |
//! | `forged_signature` | unauthenticated | the signature does not fit the statement's bytes |
//! | `inbox_has_open_deliveries` | out of turn | an inbox would retire without a successor |
//! | `key_not_permitted` | denied | the key may not say this kind, or not for this inbox |
//! | `key_not_valid` | unauthenticated | the key is outside its dates, or revoked |
//! | `link_expired` | denied | an invitation's link was used after its time |
//! | `malformed` | invalid | it cannot be read at all |
//! | `missing_wrap` | invalid | the body is not sealed to an inbox that must be able to open it |
//! | `next_owner_required` | invalid | a redirection names no other inbox |
//! | `no_agreement` | denied | no agreement covers it |
//! | `not_a_recipient` | denied | the delivery is held by another inbox |
//! | `not_from_our_page` | denied | a form that no page of the session made |
//! | `not_permitted` | denied | the caller's role may not do this |
//! | `not_signed` | out of turn | a key or agreement that its parties have not all signed |
//! | `out_of_turn` | out of turn | the delivery's state, or one's part in it, does not allow it |
//! | `outcome_not_allowed` | invalid | a known outcome that does not fit the concern |
//! | `person_required` | invalid | no person, post and inbox is named |
//! | `reason_required` | invalid | this cannot be said without a reason |
//! | `request_id_conflict` | conflict | the request id was used for other content |
//! | `seal_mismatch` | invalid | sealed body or wraps differ from what was signed |
//! | `statement_too_large` | invalid | the signed part is longer than the bound |
//! | `too_many_recipients` | invalid | more recipients than the bound |
//! | `unknown_key` | unauthenticated | the directory does not have the key |
//! | `unknown_outcome` | invalid | an outcome that the vocabulary does not have |
//! | `unknown_recipient` | not found | an inbox that the directory does not have |
//! | `unknown_statement` | not found | nothing under that entry for this caller |
//! | `weak_key` | invalid | a public key that proves nothing |
//! | `wrong_exchange` | invalid | the statement names another exchange |
//! | `wrong_system` | unauthenticated | the key belongs to another system |
//!
//! Holds: I2, I8, I12, I13.
//! Knows: limits.

use thiserror::Error;

use super::document::Malformed;
use super::ids::{IdError, InboxId};
use super::lifecycle::State;
use crate::limits::{BODY_BYTES_MAX, RECIPIENTS_MAX, STATEMENT_BYTES_MAX};

/// Inboxes named in one sentence; the rest are counted.
const NAMED_MAX: usize = 8;

/// What the wire makes its status of. Each row names the gRPC status that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The same name was used for something else. `ALREADY_EXISTS`.
    Conflict,
    /// Known caller, not allowed. `PERMISSION_DENIED`.
    Denied,
    /// It cannot be carried as it is. `INVALID_ARGUMENT`.
    Invalid,
    /// No such thing for this caller. `NOT_FOUND`.
    NotFound,
    /// Not now. `FAILED_PRECONDITION`.
    OutOfTurn,
    /// It is not proved who speaks. `UNAUTHENTICATED`.
    Unauthenticated,
}

/// Which condition of an agreement failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It does not cover the statement's class.
    Class,
    /// Its last day has passed.
    Ended,
    /// It does not cover the lawful basis.
    LawfulBasis,
    /// The statement names none.
    Missing,
    /// Its first day has not come.
    NotYetValid,
    /// This recipient is not a party.
    Recipient(InboxId),
    /// The sender is not a party.
    Sender,
    /// The directory does not have it.
    Unknown,
}

/// The exchange said no. Alphabetical by code, which the header explains.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the header's table says what each code means")]
pub enum Refusal {
    #[error("the body is longer than {BODY_BYTES_MAX} bytes in its canonical form (RFC 8785)")]
    BodyTooLarge,
    #[error("the field `{field}` {rule}")]
    FieldInvalid { field: &'static str, rule: &'static str },
    #[error("the signature does not fit the statement's bytes")]
    ForgedSignature,
    #[error("inbox {inbox} still has {open} open deliveries")]
    InboxHasOpenDeliveries { inbox: InboxId, open: u64 },
    #[error("the signing key may not say this kind of statement, or not for this inbox")]
    KeyNotPermitted,
    #[error("the signing key is outside its dates or was revoked")]
    KeyNotValid,
    #[error("the invitation's link has expired")]
    LinkExpired,
    #[error("what was sent cannot be read: it {what}")]
    Malformed { what: &'static str },
    #[error("the body is not sealed to {inbox}, which must be able to open it")]
    MissingWrap { inbox: InboxId },
    #[error("it does not name another inbox as the next owner")]
    NextOwnerRequired,
    #[error("no agreement covers this: {}", condition_words(.condition))]
    NoAgreement { condition: Condition },
    #[error("this delivery is held by another inbox")]
    NotARecipient,
    #[error("the form did not come from a page of this session")]
    NotFromOurPage,
    #[error("the caller's role may not do this")]
    NotPermitted,
    #[error("the {what} is not signed by every party that must sign it")]
    NotSigned { what: &'static str },
    #[error("the delivery is {state}; `{wanted}` cannot be said of it now, or not by this party")]
    OutOfTurn { state: State, wanted: &'static str },
    #[error(
        "this outcome does not fit the concern: `noted_for_information` is for urgency `information` only"
    )]
    OutcomeNotAllowed,
    #[error("no person is named, or not with a post and an inbox")]
    PersonRequired,
    #[error("`{what}` cannot be said without a reason")]
    ReasonRequired { what: &'static str },
    #[error("this request id was accepted before with other content")]
    RequestIdConflict,
    #[error("the sealed body or its wraps differ from the digests that were signed")]
    SealMismatch,
    #[error("the signed part is longer than {STATEMENT_BYTES_MAX} bytes")]
    StatementTooLarge,
    #[error("it names more than {RECIPIENTS_MAX} recipients")]
    TooManyRecipients,
    #[error("the directory does not have the signing key")]
    UnknownKey,
    #[error("the outcome is not in the vocabulary")]
    UnknownOutcome,
    #[error("{}", unknown_recipient_words(.named, *.unreadable, .valid))]
    UnknownRecipient {
        /// Those that have the form of an inbox's name.
        named: Vec<InboxId>,
        /// How many others there are. Their text is not kept: it could be anything.
        unreadable: usize,
        /// The inboxes of the agencies named.
        valid: Vec<InboxId>,
    },
    #[error("there is nothing under that number or reference for this caller")]
    UnknownStatement,
    #[error("the public key is weak: a signature by it proves nothing")]
    WeakKey,
    #[error("the statement names another exchange")]
    WrongExchange,
    #[error("the signing key belongs to another system than the certificate")]
    WrongSystem,
}

fn condition_words(condition: &Condition) -> String {
    let words = match condition {
        Condition::Class => "the agreement does not cover this class",
        Condition::Ended => "the agreement has ended",
        Condition::LawfulBasis => "the agreement does not cover this lawful basis",
        Condition::Missing => "the statement names no agreement",
        Condition::NotYetValid => "the agreement is not valid yet",
        Condition::Recipient(inbox) => {
            return format!("the agency of {inbox} is not a party to the agreement");
        }
        Condition::Sender => "the sender is not a party to the agreement",
        Condition::Unknown => "the directory does not have the agreement",
    };
    words.to_owned()
}

fn unknown_recipient_words(named: &[InboxId], unreadable: usize, valid: &[InboxId]) -> String {
    let mut words = String::from("the directory does not have ");
    match (named.is_empty(), unreadable) {
        (false, 0) => words.push_str(&listed(named)),
        (false, others) => {
            words.push_str(&format!("{}, nor {others} not of the form agency/role", listed(named)));
        }
        (true, others) => {
            words.push_str(&format!("{others} of the recipients, not of the form agency/role"));
        }
    }
    if valid.is_empty() {
        words.push_str("; no inbox of that agency is known");
    } else {
        words.push_str(&format!("; valid there: {}", listed(valid)));
    }
    words
}

fn listed(inboxes: &[InboxId]) -> String {
    let mut words: Vec<String> = inboxes.iter().take(NAMED_MAX).map(InboxId::to_string).collect();
    if inboxes.len() > NAMED_MAX {
        words.push(format!("and {} more", inboxes.len() - NAMED_MAX));
    }
    words.join(", ")
}

impl Refusal {
    /// The refusal of recipients that the directory does not have, as they were written. What is
    /// not an inbox's name is only counted, since it could be anything.
    #[must_use]
    pub fn unknown_recipient<'w>(
        written: impl IntoIterator<Item = &'w str>,
        valid: Vec<InboxId>,
    ) -> Self {
        let (mut named, mut unreadable) = (Vec::new(), 0);
        for recipient in written {
            match recipient.parse() {
                Ok(inbox) => named.push(inbox),
                Err(_) => unreadable += 1,
            }
        }
        Self::UnknownRecipient { named, unreadable, valid }
    }

    /// The refusal of a field whose text is not the name it should be.
    #[must_use]
    pub fn field(field: &'static str, error: IdError) -> Self {
        Self::FieldInvalid { field, rule: error.rule() }
    }

    /// The stable code, the same in metrics, entries, pages and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => "body_too_large",
            Self::FieldInvalid { .. } => "field_invalid",
            Self::ForgedSignature => "forged_signature",
            Self::InboxHasOpenDeliveries { .. } => "inbox_has_open_deliveries",
            Self::KeyNotPermitted => "key_not_permitted",
            Self::KeyNotValid => "key_not_valid",
            Self::LinkExpired => "link_expired",
            Self::Malformed { .. } => "malformed",
            Self::MissingWrap { .. } => "missing_wrap",
            Self::NextOwnerRequired => "next_owner_required",
            Self::NoAgreement { .. } => "no_agreement",
            Self::NotARecipient => "not_a_recipient",
            Self::NotFromOurPage => "not_from_our_page",
            Self::NotPermitted => "not_permitted",
            Self::NotSigned { .. } => "not_signed",
            Self::OutOfTurn { .. } => "out_of_turn",
            Self::OutcomeNotAllowed => "outcome_not_allowed",
            Self::PersonRequired => "person_required",
            Self::ReasonRequired { .. } => "reason_required",
            Self::RequestIdConflict => "request_id_conflict",
            Self::SealMismatch => "seal_mismatch",
            Self::StatementTooLarge => "statement_too_large",
            Self::TooManyRecipients => "too_many_recipients",
            Self::UnknownKey => "unknown_key",
            Self::UnknownOutcome => "unknown_outcome",
            Self::UnknownRecipient { .. } => "unknown_recipient",
            Self::UnknownStatement => "unknown_statement",
            Self::WeakKey => "weak_key",
            Self::WrongExchange => "wrong_exchange",
            Self::WrongSystem => "wrong_system",
        }
    }

    /// What the wire makes its status of.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::RequestIdConflict => RefusalKind::Conflict,
            Self::KeyNotPermitted
            | Self::LinkExpired
            | Self::NoAgreement { .. }
            | Self::NotARecipient
            | Self::NotFromOurPage
            | Self::NotPermitted => RefusalKind::Denied,
            Self::BodyTooLarge
            | Self::FieldInvalid { .. }
            | Self::Malformed { .. }
            | Self::MissingWrap { .. }
            | Self::NextOwnerRequired
            | Self::OutcomeNotAllowed
            | Self::PersonRequired
            | Self::ReasonRequired { .. }
            | Self::SealMismatch
            | Self::StatementTooLarge
            | Self::TooManyRecipients
            | Self::UnknownOutcome
            | Self::WeakKey
            | Self::WrongExchange => RefusalKind::Invalid,
            Self::UnknownRecipient { .. } | Self::UnknownStatement => RefusalKind::NotFound,
            Self::InboxHasOpenDeliveries { .. }
            | Self::NotSigned { .. }
            | Self::OutOfTurn { .. } => RefusalKind::OutOfTurn,
            Self::ForgedSignature | Self::KeyNotValid | Self::UnknownKey | Self::WrongSystem => {
                RefusalKind::Unauthenticated
            }
        }
    }

    /// What is wrong, in one sentence without a full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.to_string()
    }

    /// What the caller should do about it. The concern is the sender's until it is accepted.
    #[must_use]
    pub const fn what_to_do(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => {
                "Shorten the body, or send it in parts, each with its own reference."
            }
            Self::FieldInvalid { .. } => "Correct the field and send it again.",
            Self::ForgedSignature => {
                "Sign the exact bytes that are sent, with the system's own key, and send again."
            }
            Self::InboxHasOpenDeliveries { .. } => {
                "Name a successor inbox, which takes over what is open."
            }
            Self::KeyNotPermitted => {
                "Sign with a key that may say this, or ask the directory's administrator to permit it."
            }
            Self::KeyNotValid => {
                "Sign with the system's current key, or register a new one signed by its predecessor."
            }
            Self::LinkExpired => "Ask whoever invited you for a new link.",
            Self::Malformed { .. } => {
                "Correct it and send it again; the other lines are not held up."
            }
            Self::MissingWrap { .. } => {
                "Read the directory again, seal the body to every inbox it names, and send again."
            }
            Self::NextOwnerRequired => {
                "Name the inbox that shall own it next, other than the one that holds it."
            }
            Self::NoAgreement { condition } => agreement_advice(condition),
            Self::NotARecipient => {
                "Leave it to the inbox that holds it now; the delivery's status names it."
            }
            Self::NotFromOurPage => "Load the page again, and repeat what you did.",
            Self::NotPermitted => {
                "Use a certificate whose role may do this, or ask the directory's administrator."
            }
            Self::NotSigned { .. } => "Have the remaining parties sign it, then send again.",
            Self::OutOfTurn { .. } => {
                "Read the delivery's status, and say what comes next from there."
            }
            Self::OutcomeNotAllowed => "Choose an outcome that says what will be done.",
            Self::PersonRequired => {
                "Name the person (staff id or name), their post and their inbox."
            }
            Self::ReasonRequired { .. } => "Give the reason and send it again.",
            Self::RequestIdConflict => {
                "Send what is new as `additional_information`, with a reference of its own."
            }
            Self::SealMismatch => {
                "Seal and sign anew, and send the sealed body and wraps that were signed."
            }
            Self::StatementTooLarge => {
                "Move text into the body, or name fewer recipients, and send again."
            }
            Self::TooManyRecipients => "Send it in parts, each with its own reference.",
            Self::UnknownKey => {
                "Register the system's signing key with the directory, then send again."
            }
            Self::UnknownOutcome => "Choose an outcome of the vocabulary.",
            Self::UnknownRecipient { .. } => {
                "Correct the inbox and send it again under the same reference; nobody has received it."
            }
            Self::UnknownStatement => {
                "Check the number or reference; it may also be one that is not yours to see."
            }
            Self::WeakKey => "Make a new Ed25519 key pair and register that one.",
            Self::WrongExchange => {
                "Send it to the exchange that it names, or sign it anew for this one."
            }
            Self::WrongSystem => {
                "Sign with the key of the system whose certificate makes the connection."
            }
        }
    }
}

const fn agreement_advice(condition: &Condition) -> &'static str {
    match condition {
        Condition::Class | Condition::LawfulBasis => {
            "Name an agreement that covers it, correct it, or, if a child is at risk, send it as `urgent`."
        }
        Condition::Ended | Condition::NotYetValid => {
            "Name an agreement that is valid today, or, if a child is at risk, send it as `urgent`."
        }
        Condition::Missing | Condition::Unknown => {
            "Name an agreement that the directory has, or, if a child is at risk, send it as `urgent`."
        }
        Condition::Recipient(_) | Condition::Sender => {
            "Name an agreement to which sender and recipients are parties, or, if a child is at risk, send it as `urgent`."
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed { what: malformed.fault.sentence() }
    }
}

#[cfg(test)]
mod tests;
