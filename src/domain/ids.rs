//! Names and numbers, as types that can be made only by parsing.
//!
//! Takes text or bytes from outside; gives a value whose shape is known, or an
//! error that says what is allowed and never repeats what was given.
//! Pure: no clock, no I/O.
//! Holds: I10, I12.
//! Knows: limits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{NAME_BYTES_MAX, REQUEST_ID_BYTES_MAX, REQUEST_ID_BYTES_MIN};

/// An agreement's id, in bytes.
pub const AGREEMENT_ID_BYTES_MAX: usize = 128;
/// An exchange's origin name, in bytes.
pub const EXCHANGE_NAME_BYTES_MAX: usize = 128;

const NAME_RULE: &str = "must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or a digit";
const AGREEMENT_RULE: &str = "must be 1 to 128 of A-Z a-z 0-9 . _ : / -";
const EXCHANGE_RULE: &str = "must be 1 to 128 of A-Z a-z 0-9 . - / _ (no space, no +)";
const INBOX_RULE: &str = "must be agency/role, such as sw-ardness/duty, each part 1 to 64 of \
     A-Z a-z 0-9 . _ - beginning with a letter or a digit";
const ENTRY_RULE: &str = "must be a whole number from 0 to 18446744073709551615, digits only";
const REQUEST_RULE: &str = "must be 16 to 64 bytes";

// The rules are text, so they cannot follow the bounds by themselves.
const _: () = assert!(NAME_BYTES_MAX == 64);
const _: () = assert!(REQUEST_ID_BYTES_MIN == 16 && REQUEST_ID_BYTES_MAX == 64);

/// A name that does not have the shape it must have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{what} {rule}")]
pub struct IdError {
    what: &'static str,
    rule: &'static str,
}

impl IdError {
    /// What was being read, such as "an inbox".
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// What is allowed, in words that follow a field's name.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

/// 1 to [`NAME_BYTES_MAX`] bytes of `[A-Za-z0-9._-]`, the first alphanumeric.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_inbox(text: &str) -> bool {
    text.split_once('/').is_some_and(|(agency, role)| is_name(agency) && is_name(role))
}

fn is_agreement(text: &str) -> bool {
    is_code_shaped(text, AGREEMENT_ID_BYTES_MAX)
}

fn is_exchange(text: &str) -> bool {
    (1..=EXCHANGE_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-/_".contains(&b))
}

/// Whether `text` could be a code of a list: 1 to `bytes_max` bytes of `[A-Za-z0-9._:/-]`.
#[must_use]
pub fn is_code_shaped(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $fits:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text, as it was parsed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if $fits(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { what: $what, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// An organisation, such as `sw-ardness`: 1 to 64 bytes of `[A-Za-z0-9._-]`, the first
    /// alphanumeric.
    AgencyId, "an agency id", is_name, NAME_RULE
);
text_id!(
    /// One of an agency's computers, with one client certificate and one signing key. Same shape
    /// as [`AgencyId`].
    SystemName, "a system name", is_name, NAME_RULE
);
text_id!(
    /// A duty role that receives, such as `duty`. Same shape as [`AgencyId`].
    RoleName, "a role", is_name, NAME_RULE
);
text_id!(
    /// An area, such as `ardness`. Same shape as [`AgencyId`].
    AreaId, "an area id", is_name, NAME_RULE
);
text_id!(
    /// A data-sharing agreement: 1 to 128 bytes of `[A-Za-z0-9._:/-]`.
    AgreementId, "an agreement id", is_agreement, AGREEMENT_RULE
);
text_id!(
    /// An exchange's origin name, such as `cairn.example/ardness`: 1 to 128 bytes of
    /// `[A-Za-z0-9./_-]`. Signed notes forbid spaces and `+` in a key name.
    ExchangeName, "an exchange name", is_exchange, EXCHANGE_RULE
);

text_id!(
    /// A duty role of an agency, written `agency/role`.
    InboxId, "an inbox", is_inbox, INBOX_RULE
);

impl InboxId {
    /// The inbox of a role of an agency.
    #[must_use]
    pub fn new(agency: &AgencyId, role: &RoleName) -> Self {
        Self(format!("{agency}/{role}"))
    }

    /// The inbox of the same role of another agency.
    #[must_use]
    pub fn at(&self, agency: &AgencyId) -> Self {
        Self(format!("{agency}/{}", self.role()))
    }

    /// The agency whose inbox it is.
    #[must_use]
    pub fn agency(&self) -> &str {
        self.parts().0
    }

    /// The duty role that receives.
    #[must_use]
    pub fn role(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }
}

/// The place of an entry in the ledger, counted from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EntryNumber(pub u64);

impl FromStr for EntryNumber {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = IdError { what: "an entry number", rule: ENTRY_RULE };
        // `u64::from_str` alone would let a leading + through.
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refused);
        }
        text.parse().map(Self).map_err(|_| refused)
    }
}

impl fmt::Display for EntryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The sender's name for one request (I8): 16 to 64 bytes. Shown as lower-case hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Vec<u8>);

impl RequestId {
    /// The bytes, as the sender gave them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for RequestId {
    type Error = IdError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, IdError> {
        if (REQUEST_ID_BYTES_MIN..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(IdError { what: "a request id", rule: REQUEST_RULE })
        }
    }
}

impl TryFrom<&[u8]> for RequestId {
    type Error = IdError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
        // The copy is bounded before it is made.
        let bounded = bytes.get(..=REQUEST_ID_BYTES_MAX).unwrap_or(bytes);
        bounded.to_vec().try_into()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_accepted_at_its_bound_and_refused_one_past() {
        assert!("a".repeat(64).parse::<AgencyId>().is_ok());
        assert!("a".repeat(65).parse::<AgencyId>().is_err());
        assert!("a".repeat(128).parse::<ExchangeName>().is_ok());
        assert!("a".repeat(129).parse::<ExchangeName>().is_err());
        assert!("a".repeat(128).parse::<AgreementId>().is_ok());
        assert!("a".repeat(129).parse::<AgreementId>().is_err());
        assert!(RequestId::try_from(vec![0; 16]).is_ok());
        assert!(RequestId::try_from(vec![0; 15]).is_err());
        assert!(RequestId::try_from(&[0; 64][..]).is_ok());
        assert!(RequestId::try_from(&[0; 65][..]).is_err());
    }

    #[test]
    fn a_hostile_name_is_refused_without_being_repeated() {
        for text in ["", ".", "-a", "_a", "a b", "a/b", "ä", "a\n", "a\0", "А-cyrillic", "a+b"] {
            let error = text.parse::<AgencyId>().unwrap_err();
            assert!(error.to_string().contains("1 to 64"), "{error}");
            assert!(text.len() < 2 || !error.to_string().contains(text));
        }
        for text in ["", "a b", "a+b", "é", "a\n"] {
            assert!(text.parse::<ExchangeName>().is_err(), "{text:?}");
        }
        assert!("cairn.example/ardness".parse::<ExchangeName>().is_ok());
    }

    #[test]
    fn an_inbox_is_an_agency_and_a_role() {
        let inbox: InboxId = "sw-ardness/duty".parse().unwrap();
        assert_eq!(inbox.agency(), "sw-ardness");
        assert_eq!(inbox.role(), "duty");
        assert_eq!(inbox.to_string(), "sw-ardness/duty");
        for text in ["", "/", "sw", "sw/", "/duty", "sw/duty/x", "sw /duty", "sw//duty"] {
            assert!(text.parse::<InboxId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn serde_goes_through_the_parser() {
        let inbox: InboxId = serde_json::from_str("\"sw-ardness/duty\"").unwrap();
        assert_eq!(serde_json::to_string(&inbox).unwrap(), "\"sw-ardness/duty\"");
        assert!(serde_json::from_str::<InboxId>("\"sw-ardness\"").is_err());
        assert!(serde_json::from_str::<AgencyId>("\"a b\"").is_err());
    }

    #[test]
    fn an_entry_number_is_digits_only() {
        assert_eq!("18446744073709551615".parse(), Ok(EntryNumber(u64::MAX)));
        for text in ["", "+1", "-1", "1.0", "18446744073709551616", " 1"] {
            assert!(text.parse::<EntryNumber>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_request_id_is_shown_as_hex() {
        let id = RequestId::try_from(vec![0xab; 16]).unwrap();
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.as_bytes(), [0xab; 16]);
    }
}
