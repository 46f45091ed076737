//! Page tokens: opaque to callers, and good for nothing but going on.
//!
//! Knows: nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::refusal::Refusal;

/// A token for the key after which the next page begins.
pub fn token(after: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(after)
}

/// The key of a token; `None` for the first page.
///
/// # Errors
/// [`Refusal::FieldInvalid`] for anything this server did not give out.
pub fn after(token: &str) -> Result<Option<Vec<u8>>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let rule = "must be the next_page_token of an earlier answer";
    let key = (token.len() <= 1_024).then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten();
    key.map(Some).ok_or(Refusal::FieldInvalid { field: "page_token", rule })
}

/// An entry number from a token.
///
/// # Errors
/// As [`after`].
pub fn after_entry(token: &str) -> Result<Option<u64>, Refusal> {
    let rule = "must be the next_page_token of an earlier answer";
    after(token)?
        .map(|key| <[u8; 8]>::try_from(key).map(u64::from_be_bytes))
        .transpose()
        .map_err(|_| Refusal::FieldInvalid { field: "page_token", rule })
}

/// How many rows a page has: `asked`, or `default` for 0, at most `most`.
pub fn size(asked: u32, default: usize, most: usize) -> usize {
    match asked {
        0 => default,
        asked => (asked as usize).min(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_round_and_a_made_up_one_is_refused() {
        assert_eq!(after(&token(b"q\0x")).unwrap(), Some(b"q\0x".to_vec()));
        assert_eq!(after_entry(&token(&7u64.to_be_bytes())).unwrap(), Some(7));
        assert!(after("not a token!").is_err());
        assert!(after_entry("AAAA").is_err());
        assert!(after(&"A".repeat(2_000)).is_err());
    }

    #[test]
    fn a_page_has_its_bounds() {
        assert_eq!((size(0, 20, 100), size(7, 20, 100), size(u32::MAX, 20, 100)), (20, 7, 100));
    }
}
