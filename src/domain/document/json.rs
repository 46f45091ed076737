//! Strict JSON: one object, each key once, bounded in length and depth.
//!
//! Takes the bytes of a line or of an opened body; gives the object, numbers with every digit as
//! written, or says where it went wrong. A key twice is refused because two readers may keep
//! different ones of the two, and then they would not have read the same concern.
//! Holds: I10, I12.
//! Knows: limits.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::malformed::{Fault, Malformed};
use crate::limits::{DOCUMENT_DEPTH_MAX, DOCUMENT_LINE_BYTES_MAX};

// serde_json stops by itself at 128, with an error that could not be told from bad syntax.
const _: () = assert!(DOCUMENT_DEPTH_MAX < 127);

/// Reads one JSON object and nothing else.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, Malformed> {
    if bytes.len() > DOCUMENT_LINE_BYTES_MAX {
        return Err(Malformed::whole(Fault::LineTooLong));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Malformed::at(Fault::ByteOrderMark, 1));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Malformed::at(Fault::NotUtf8, error.valid_up_to() + 1))?;
    let start = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if !start.starts_with('{') {
        return Err(Malformed::at(Fault::NotAnObject, text.len() - start.len() + 1));
    }
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value =
        Strict { depth: 0, fault: &fault }.deserialize(&mut deserializer).map_err(|error| {
            Malformed::at(fault.get().unwrap_or(Fault::NotJson), column(text, &error))
        })?;
    deserializer.end().map_err(|error| Malformed::at(Fault::TrailingText, column(text, &error)))?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Malformed::at(Fault::NotAnObject, 1)),
    }
}

/// The byte of the whole text, counted from 1, at which serde_json stopped. It counts lines, and
/// a line feed between two values is legal JSON.
fn column(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let bytes_before: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (bytes_before + error.column()).clamp(1, text.len().max(1))
}

/// Reads a value, refusing what serde_json would let pass: equal keys, great depth, and numbers
/// that no double can hold. `fault` says which of these it was.
#[derive(Clone, Copy)]
struct Strict<'f> {
    /// Arrays and objects around the value.
    depth: usize,
    fault: &'f Cell<Option<Fault>>,
}

impl Strict<'_> {
    fn refuse<E: de::Error>(&self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom(fault.code())
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DOCUMENT_DEPTH_MAX {
            return Err(self.refuse(Fault::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn number<E: de::Error>(&self, digits: &str) -> Result<Value, E> {
        if !digits.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.refuse(Fault::NumberTooLarge));
        }
        digits.parse::<Number>().map(Value::Number).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(deeper)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut next = entries.next_key_seed(Key)?;
        if let Some(None) = next {
            return self.number(&entries.next_value::<String>()?);
        }
        let deeper = self.deeper()?;
        let mut map = Map::new();
        while let Some(Some(key)) = next {
            if map.contains_key(&key) {
                return Err(self.refuse(Fault::DuplicateKey));
            }
            map.insert(key, entries.next_value_seed(deeper)?);
            next = entries.next_key_seed(Key)?;
        }
        Ok(Value::Object(map))
    }
}

/// A key of an object; `None` for the stand-in under which serde_json hands over a number.
///
/// With `arbitrary_precision` a number that is no 64-bit integer arrives as a map whose only key is
/// a private name, and a real object may use that name too. They are told apart by asking for an
/// optional key: a real key is "some", the stand-in is text at once.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<String>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_some<D: de::Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        de::Deserialize::deserialize(key).map(Some)
    }

    fn visit_str<E>(self, _stand_in: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}
