//! One line of a concern document file.
//!
//! Takes the bytes of a line; gives a [`Document`], parted into what the statement says outside
//! and the body that will be sealed, or says why it is [`Malformed`]. Content never refuses: any
//! JSON type may stand in any place, and what the statement cannot use stays in the body.
//! No error and no `Debug` here repeats a word of the line.
//! Pure: no clock, no I/O.
//! Holds: I10, I12, I13.
//! Knows: limits.

mod json;
mod malformed;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::identifiers::chi_check;
use super::ids::{AgencyId, AgreementId, InboxId, is_code_shaped};
use super::vocabulary::{CATEGORIES, Urgency};
use crate::limits::{
    BODY_BYTES_MAX, CARRIED_BODY_BYTES_MAX, CODE_BYTES_MAX, RECIPIENTS_MAX, REFERENCE_BYTES_MAX,
    TO_WRITTEN_MAX,
};

use json::parse_object;
pub use malformed::{Fault, Malformed};

/// `created_at` and `occurred_at`, in bytes.
pub const TIMESTAMP_BYTES_MAX: usize = 64;

/// What a document says outside its body, in the statement. `None` is "not said, or not usable".
#[derive(Clone, PartialEq, Eq)]
pub struct StatementFields {
    /// The kind of document, known to the vocabulary or not.
    pub kind: Option<String>,
    /// The sender's own reference: not blank, at most [`REFERENCE_BYTES_MAX`] bytes. It may hold
    /// initials, so it never goes into a trace, a URL or a notice.
    pub reference: String,
    /// The sending agency.
    pub from: AgencyId,
    /// The recipients as they were written, repeats and all: at most [`RECIPIENTS_MAX`] different
    /// ones. One that is not an inbox's name is an unknown recipient.
    pub to: Vec<String>,
    /// Where feedback shall go.
    pub reply_to: Option<InboxId>,
    /// The urgency as stated, known or not; [`Urgency::effective`] says what it runs as.
    pub urgency: Option<String>,
    /// The class, known or not.
    pub class: Option<String>,
    /// The agreement that it is said to fall under.
    pub agreement: Option<AgreementId>,
    /// The lawful basis, known or not.
    pub lawful_basis: Option<String>,
    /// When it was written, in the characters of RFC 3339; not checked further.
    pub created_at: Option<String>,
    /// When it happened, in the characters of RFC 3339; not checked further.
    pub occurred_at: Option<String>,
    /// Whether it is an exercise.
    pub exercise: Option<bool>,
}

impl fmt::Debug for StatementFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementFields").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The personal part of a document: every field that the statement does not say outside.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Map<String, Value>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(..)")
    }
}

impl Body {
    /// Reads a body that was opened, under the same rules as a line. (serde_json alone would take
    /// the last of two equal keys.)
    ///
    /// # Errors
    /// [`Malformed`], with a fault of syntax or size.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        parse_object(bytes).map(Self)
    }

    /// The fields.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The canonical form (RFC 8785), whose length is the body's size and whose equality is
    /// sameness. Numbers become doubles in it.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(&self.0)
            .expect("invariant: keys are text and every number was checked to be a finite double")
    }

    /// The form that is sealed: compact JSON with every digit as it was written (an exponent's
    /// sign is spelled out), or the canonical form where that one would be longer than
    /// [`CARRIED_BODY_BYTES_MAX`].
    #[must_use]
    pub fn carried(&self) -> Vec<u8> {
        let carried = serde_json::to_vec(&self.0)
            .expect("invariant: a map of JSON values with text for keys is writable");
        if carried.len() > CARRIED_BODY_BYTES_MAX { self.canonical() } else { carried }
    }

    /// Whether it is too large to carry: its canonical form is longer than [`BODY_BYTES_MAX`],
    /// not counting statement fields that could not be used outside and travel inside, or
    /// longer than [`CARRIED_BODY_BYTES_MAX`] with them.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        let canonical = self.canonical().len();
        if canonical <= BODY_BYTES_MAX {
            return false;
        }
        let mut own = self.0.clone();
        own.retain(|name, _| !STATEMENT_FIELDS.contains(&name.as_str()));
        canonical > CARRIED_BODY_BYTES_MAX || Self(own).canonical().len() > BODY_BYTES_MAX
    }
}

/// The fields of a concern document that are said in the statement.
const STATEMENT_FIELDS: [&str; 12] = [
    "kind",
    "reference",
    "from",
    "to",
    "reply_to",
    "urgency",
    "class",
    "agreement",
    "lawful_basis",
    "created_at",
    "occurred_at",
    "exercise",
];

/// A concern document: what is said outside, and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What the statement says.
    pub fields: StatementFields,
    /// What is sealed.
    pub body: Body,
}

impl Document {
    /// Reads one line, with or without its line end.
    ///
    /// # Errors
    /// [`Malformed`]: not one UTF-8 JSON object, a key given twice, or no usable `from`,
    /// `reference` or `to`.
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let mut body = parse_object(line)?;
        let from = take(&mut body, "from", |value| value.as_str()?.parse().ok())
            .ok_or(Malformed::whole(Fault::NoFrom))?;
        let reference = take(&mut body, "reference", usable_reference)
            .ok_or(Malformed::whole(Fault::NoReference))?;
        let to = take(&mut body, "to", usable_recipients).ok_or(Malformed::whole(Fault::NoTo))?;
        let distinct: BTreeSet<&String> = to.iter().collect();
        if to.len() > TO_WRITTEN_MAX || distinct.len() > RECIPIENTS_MAX {
            return Err(Malformed::whole(Fault::TooManyRecipients));
        }
        let fields = StatementFields {
            kind: take(&mut body, "kind", usable_code),
            reference,
            from,
            to,
            reply_to: take(&mut body, "reply_to", |value| value.as_str()?.parse().ok()),
            urgency: take(&mut body, "urgency", usable_code),
            class: take(&mut body, "class", usable_code),
            agreement: take(&mut body, "agreement", |value| value.as_str()?.parse().ok()),
            lawful_basis: take(&mut body, "lawful_basis", usable_code),
            created_at: take(&mut body, "created_at", usable_time),
            occurred_at: take(&mut body, "occurred_at", usable_time),
            exercise: take(&mut body, "exercise", Value::as_bool),
        };
        Ok(Self { fields, body: Body(body) })
    }

    /// The document as one object again; see [`reassemble`].
    #[must_use]
    pub fn to_json(&self) -> Value {
        reassemble(&self.fields, &self.body)
    }

    /// What a reader should look at twice. None of it refuses (I13).
    #[must_use]
    pub fn flags(&self) -> Flags {
        let body = &self.body.0;
        let (urgency, urgency_known) = Urgency::effective(self.fields.urgency.as_deref());
        let category = at(body, "concern", "category").and_then(Value::as_str);
        let category_known = category.is_some_and(|category| CATEGORIES.contains(category));
        let identifiers = at(body, "child", "identifiers").and_then(Value::as_array);
        let identifiers = identifiers.map_or(&[][..], Vec::as_slice);
        let named = ["given_names", "family_name"].iter().any(|name| says(at(body, "child", name)));
        [
            (Flag::IdentifierCheckFailed, identifiers.iter().any(check_failed)),
            (
                Flag::MissingAction,
                urgency != Urgency::Information && !says(body.get("action_requested")),
            ),
            (Flag::MissingChildIdentity, !named && !identifiers.iter().any(identifies)),
            (Flag::MissingPurpose, !says(body.get("purpose"))),
            (Flag::UnknownCode, !urgency_known || !category_known),
        ]
        .into_iter()
        .filter_map(|(flag, raised)| raised.then_some(flag))
        .collect()
    }
}

/// The object that was parted, field for field; only repeats in `to` are gone.
///
/// Should a body hold a field that the statement says too (no honest sender makes one), the
/// statement's is shown, since that is what the exchange and the agreement were judged by.
#[must_use]
pub fn reassemble(fields: &StatementFields, body: &Body) -> Value {
    let mut whole = body.0.clone();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            whole.insert(name.to_owned(), value);
        }
    };
    let text = |field: &Option<String>| field.clone().map(Value::from);
    put("kind", text(&fields.kind));
    put("reference", Some(Value::from(fields.reference.as_str())));
    put("from", Some(Value::from(fields.from.as_str())));
    put("to", Some(Value::from(fields.to.as_slice())));
    put("reply_to", fields.reply_to.as_ref().map(|inbox| Value::from(inbox.to_string())));
    put("urgency", text(&fields.urgency));
    put("class", text(&fields.class));
    put("agreement", fields.agreement.as_ref().map(|agreement| Value::from(agreement.as_str())));
    put("lawful_basis", text(&fields.lawful_basis));
    put("created_at", text(&fields.created_at));
    put("occurred_at", text(&fields.occurred_at));
    put("exercise", fields.exercise.map(Value::from));
    Value::Object(whole)
}

/// Something about an accepted document that a reader should look at twice. Ordered by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// A `chi-synthetic` identifier whose check digit is wrong by both rules.
    IdentifierCheckFailed,
    /// No action is asked for, and it is not for information only.
    MissingAction,
    /// Neither an identifier nor a name of the child.
    MissingChildIdentity,
    /// No purpose is given.
    MissingPurpose,
    /// The category or the urgency is not in the vocabulary.
    UnknownCode,
}

/// The flags of a statement, in the order of their codes.
pub type Flags = BTreeSet<Flag>;

impl Flag {
    /// Every flag, in the order of their codes.
    pub const ALL: [Self; 5] = [
        Self::IdentifierCheckFailed,
        Self::MissingAction,
        Self::MissingChildIdentity,
        Self::MissingPurpose,
        Self::UnknownCode,
    ];

    /// The stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdentifierCheckFailed => "identifier_check_failed",
            Self::MissingAction => "missing_action",
            Self::MissingChildIdentity => "missing_child_identity",
            Self::MissingPurpose => "missing_purpose",
            Self::UnknownCode => "unknown_code",
        }
    }

    /// The flag of a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.as_str() == code)
    }
}

// --- what is usable outside, and what is said inside ---

/// Moves a field out of the body if it is usable; leaves it there, unchanged, if not.
fn take<T>(
    body: &mut Map<String, Value>,
    name: &str,
    usable: impl FnOnce(&Value) -> Option<T>,
) -> Option<T> {
    let taken = usable(body.get(name)?)?;
    body.remove(name);
    Some(taken)
}

fn usable_reference(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (text.len() <= REFERENCE_BYTES_MAX && !is_blank(text)).then(|| text.to_owned())
}

/// As written, repeats and all; one past the bound is enough to know there are too many.
fn usable_recipients(value: &Value) -> Option<Vec<String>> {
    let written = value.as_array()?.iter().take(TO_WRITTEN_MAX + 1);
    let recipients: Vec<String> =
        written.map(|recipient| recipient.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    (!recipients.is_empty()).then_some(recipients)
}

fn usable_code(value: &Value) -> Option<String> {
    value.as_str().filter(|text| is_code_shaped(text, CODE_BYTES_MAX)).map(str::to_owned)
}

fn usable_time(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let shaped = (1..=TIMESTAMP_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || b"TtZz:+.-".contains(&b));
    shaped.then(|| text.to_owned())
}

fn at<'b>(body: &'b Map<String, Value>, part: &str, name: &str) -> Option<&'b Value> {
    body.get(part)?.as_object()?.get(name)
}

fn says(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !is_blank(text))
}

/// Empty or only white space. The four information separators count as white space, as they do
/// for Python and Java though not for Unicode, so that all of us count alike.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn check_failed(identifier: &Value) -> bool {
    identifier.get("scheme").and_then(Value::as_str) == Some("chi-synthetic")
        && !identifier.get("value").and_then(Value::as_str).is_some_and(chi_check)
}

fn identifies(identifier: &Value) -> bool {
    // Written as a number it has lost its leading zeros, and still points at someone.
    identifier.get("value").is_some_and(|value| value.is_number() || says(Some(value)))
}

#[cfg(test)]
mod tests;
