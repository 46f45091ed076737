//! Why a line is not a concern document.
//!
//! Gives stable codes and sentences that say what to do. Nothing here can hold a word of the line.
//! Holds: I12.
//! Knows: limits.

use thiserror::Error;

use crate::limits::{
    DOCUMENT_DEPTH_MAX, DOCUMENT_LINE_BYTES_MAX, RECIPIENTS_MAX, REFERENCE_BYTES_MAX,
};

/// What can be wrong with a line. Alphabetical by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The line begins with a byte order mark.
    ByteOrderMark,
    /// A key is given twice in one object, however it is escaped.
    DuplicateKey,
    /// Longer than [`DOCUMENT_LINE_BYTES_MAX`].
    LineTooLong,
    /// No usable `from`.
    NoFrom,
    /// No usable `reference`.
    NoReference,
    /// No usable, non-empty `to`.
    NoTo,
    /// JSON, but not an object (an empty line, too).
    NotAnObject,
    /// Not JSON: bad syntax, cut short, or an escape that is half of a surrogate pair.
    NotJson,
    /// Not UTF-8.
    NotUtf8,
    /// A number beyond the range of a double, which the canonical form cannot say.
    NumberTooLarge,
    /// Nested deeper than [`DOCUMENT_DEPTH_MAX`].
    TooDeep,
    /// More than [`RECIPIENTS_MAX`] distinct recipients.
    TooManyRecipients,
    /// Something follows the object.
    TrailingText,
}

impl Fault {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte_order_mark",
            Self::DuplicateKey => "duplicate_key",
            Self::LineTooLong => "line_too_long",
            Self::NoFrom => "no_from",
            Self::NoReference => "no_reference",
            Self::NoTo => "no_to",
            Self::NotAnObject => "not_an_object",
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::NumberTooLarge => "number_too_large",
            Self::TooDeep => "too_deep",
            Self::TooManyRecipients => "too_many_recipients",
            Self::TrailingText => "trailing_text",
        }
    }

    /// What is wrong and what to do about it, without a word of the line.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ByteOrderMark => {
                "begins with a byte order mark: save the file as UTF-8 without one"
            }
            Self::DuplicateKey => "gives a key twice in one object: keep one of the two",
            Self::LineTooLong => {
                "is longer than 16 MiB: shorten it, or send attachments another way"
            }
            Self::NoFrom => "has no usable `from`: give your agency's id as a string",
            Self::NoReference => {
                "has no usable `reference`: give a string of 1 to 512 bytes, not blank"
            }
            Self::NoTo => {
                "has no usable `to`: give a list of at least one inbox, each a string agency/role"
            }
            Self::NotAnObject => "is not a JSON object: write one object { … } on the line",
            Self::NotJson => {
                "is not valid JSON: check for a missing quote, bracket or value, or a line cut short"
            }
            Self::NotUtf8 => "is not UTF-8: save the file as UTF-8",
            Self::NumberTooLarge => "has a number too large to carry: write it as a string",
            Self::TooDeep => "nests deeper than 100 levels: flatten it",
            Self::TooManyRecipients => {
                "names more than 64 recipients: send it in parts, each with its own reference"
            }
            Self::TrailingText => {
                "has something after the object: put each object on a line of its own"
            }
        }
    }
}

// The sentences are text, so they cannot follow the bounds by themselves.
const _: () = assert!(DOCUMENT_LINE_BYTES_MAX == 16 << 20 && REFERENCE_BYTES_MAX == 512);
const _: () = assert!(DOCUMENT_DEPTH_MAX == 100 && RECIPIENTS_MAX == 64);

/// A line that is not a concern document.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{}{}", .fault.sentence(), column_words(*.column))]
pub struct Malformed {
    /// What is wrong.
    pub fault: Fault,
    /// Where it was noticed: a byte of the line, counted from 1. `None` when it is about the
    /// line as a whole.
    pub column: Option<usize>,
}

fn column_words(column: Option<usize>) -> String {
    column.map(|column| format!(" (at byte {column} of the line)")).unwrap_or_default()
}

impl Malformed {
    pub(super) fn whole(fault: Fault) -> Self {
        Self { fault, column: None }
    }

    pub(super) fn at(fault: Fault, column: usize) -> Self {
        Self { fault, column: Some(column) }
    }

    /// The fault's stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }
}
