//! Signed notes: a text, and the lines of those who signed it (C2SP signed-note).
//!
//! Takes bytes or a text and a key; gives a [`Note`], of which nothing may be believed until
//! [`Note::verify`] says who signed it. Lines of unknown keys are ignored, one bad signature of a
//! known key refuses the whole note.
//!
//! Holds: I4, I10. Knows: crypto, limits.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{Error, parse_base64};
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::limits::CHECKPOINT_BYTES_MAX;

/// Signature lines of one note.
pub const SIGNATURES_MAX: usize = 100;
/// The name of a key, in bytes of UTF-8: what a one-byte length prefix can hold, since ML-DSA
/// cosignatures have one.
pub const KEY_NAME_BYTES_MAX: usize = 255;

/// What a signature is made with and over: the type byte of its key. 0x06, ML-DSA-44, is the next
/// to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 0x04: Ed25519 of a witness, over a time and the text (C2SP tlog-cosignature, v1).
    Cosignature,
    /// 0x01: Ed25519 over the text.
    Ed25519,
}

impl KeyKind {
    /// The type byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Cosignature => 0x04,
            Self::Ed25519 => 0x01,
        }
    }

    fn from_byte(byte: u8) -> Result<Self, Error> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::Cosignature),
            _ => Err(Error::Malformed("a key of a type that is not known here")),
        }
    }
}

/// The key id: the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key).
pub fn key_id(name: &str, kind: KeyKind, key: &[u8]) -> [u8; 4] {
    let mut sha = Sha256::new();
    sha.update(name);
    sha.update([b'\n', kind.byte()]);
    sha.update(key);
    let hash: [u8; 32] = sha.finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A key whose signatures are believed: `<name>+<8 hex key id>+<base64(type ‖ public key)>`.
/// `Display` and [`Vkey::parse`] are each other's inverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    kind: KeyKind,
    id: [u8; 4],
    key: PublicKey,
}

impl Vkey {
    /// Names a key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the name is empty, longer than [`KEY_NAME_BYTES_MAX`], or holds
    /// white space, a control character or a plus.
    pub fn new(name: &str, kind: KeyKind, key: PublicKey) -> Result<Self, Error> {
        check_name(name)?;
        let id = key_id(name, kind, &key.to_bytes());
        let name = name.to_owned();
        Ok(Self { name, kind, id, key })
    }

    /// Reads a vkey.
    ///
    /// # Errors
    /// [`Error::Malformed`], also for a key id that is not that of the key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed("a vkey is name+id+key");
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(MALFORMED);
        };
        let key = parse_base64(key)?;
        let (kind, key) = key.split_first().ok_or(MALFORMED)?;
        let kind = KeyKind::from_byte(*kind)?;
        let key = key.try_into().map_err(|_| MALFORMED)?;
        let key = PublicKey::from_bytes(key)
            .map_err(|_| Error::Malformed("the key of a vkey is a strong Ed25519 key"))?;
        let vkey = Self::new(name, kind, key)?;
        if id != hex_id(vkey.id) {
            return Err(Error::Malformed("the id of a vkey is that of its key"));
        }
        Ok(vkey)
    }

    /// The name of the key: for a ledger, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key id, which together with the name tells whose line a line is.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The public key itself.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }

    fn made(&self, line: &SignatureLine) -> bool {
        line.id == self.id && line.name == self.name
    }

    fn verify(&self, text: &str, line: &SignatureLine) -> Result<Signed, Error> {
        let (message, signature, time) = match self.kind {
            KeyKind::Ed25519 => (Cow::Borrowed(text), line.signature.as_slice(), None),
            KeyKind::Cosignature => {
                let (time, signature) =
                    line.signature.split_first_chunk::<8>().ok_or(Error::BadSignature)?;
                let time = u64::from_be_bytes(*time);
                if i64::try_from(time).is_err() {
                    return Err(Error::BadSignature);
                }
                (Cow::Owned(cosigned_message(text, time)), signature, Some(time))
            }
        };
        let signature = signature.try_into().map_err(|_| Error::BadSignature)?;
        self.key.verify(message.as_bytes(), signature).map_err(|_| Error::BadSignature)?;
        Ok(Signed { name: self.name.clone(), id: self.id, kind: self.kind, time })
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = [0; 33];
        key[0] = self.kind.byte();
        key[1..].copy_from_slice(&self.key.to_bytes());
        let key = STANDARD.encode(key);
        write!(f, "{}+{}+{key}", self.name, hex_id(self.id))
    }
}

fn hex_id(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// What a witness signs: the time in POSIX seconds, and the whole text.
fn cosigned_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A known key whose signature on a note is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The name of the key.
    pub name: String,
    /// The key id.
    pub id: [u8; 4],
    /// What the key signs.
    pub kind: KeyKind,
    /// For a cosignature, when the witness made it, in POSIX seconds.
    pub time: Option<u64>,
}

/// One line `— <name> <base64(key id ‖ signature)>`; whether it is good only [`Note::verify`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl SignatureLine {
    /// Reads a line, without the newline at its end.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(line: &str) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed("a signature line is a dash, a name and base64");
        let line = line.strip_prefix("\u{2014} ").ok_or(MALFORMED)?;
        let (name, signature) = line.split_once(' ').ok_or(MALFORMED)?;
        check_name(name)?;
        let signature = parse_base64(signature)?;
        let (id, signature) = signature.split_first_chunk::<4>().ok_or(MALFORMED)?;
        if signature.is_empty() {
            return Err(MALFORMED);
        }
        Ok(Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
    }

    /// The line by which a witness cosigns a text at a time, in POSIX seconds (C2SP
    /// tlog-cosignature, v1, Ed25519).
    ///
    /// # Errors
    /// [`Error::Malformed`] if the text cannot be that of a note, the name is no key name, or the
    /// time is not after 1970.
    pub fn cosign(text: &str, name: &str, key: &SigningKey, time: u64) -> Result<Self, Error> {
        check_text(text)?;
        check_name(name)?;
        if time == 0 || i64::try_from(time).is_err() {
            return Err(Error::Malformed("a cosignature is made after 1970"));
        }
        let mut signature = time.to_be_bytes().to_vec();
        signature.extend_from_slice(&key.sign(cosigned_message(text, time).as_bytes()));
        let id = key_id(name, KeyKind::Cosignature, &key.public().to_bytes());
        Ok(Self { name: name.to_owned(), id, signature })
    }

    /// The line with its newline, as it stands in a note.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        let mut signature = self.id.to_vec();
        signature.extend_from_slice(&self.signature);
        let signature = STANDARD.encode(signature);
        writeln!(out, "\u{2014} {} {signature}", self.name)
            .expect("invariant: writing to a string cannot fail");
    }
}

/// A text and the lines of those who say they signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    lines: Vec<SignatureLine>,
}

impl Note {
    /// A note signed by an Ed25519 key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the text is empty, does not end in a newline or holds another control
    /// character, or if the name is not a key name; and when the note would pass
    /// [`CHECKPOINT_BYTES_MAX`].
    pub fn sign(text: &str, name: &str, key: &SigningKey) -> Result<Self, Error> {
        check_text(text)?;
        check_name(name)?;
        let line = SignatureLine {
            name: name.to_owned(),
            id: key_id(name, KeyKind::Ed25519, &key.public().to_bytes()),
            signature: key.sign(text.as_bytes()).to_vec(),
        };
        let note = Self { text: text.to_owned(), lines: vec![line] };
        note.within_bounds()
    }

    /// Reads a note. What it says may not be used before [`Note::verify`].
    ///
    /// # Errors
    /// [`Error::Malformed`], also past [`CHECKPOINT_BYTES_MAX`] and [`SIGNATURES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > CHECKPOINT_BYTES_MAX {
            return Err(Error::Malformed("a note is at most 16,384 bytes"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("a note is UTF-8"))?;
        let split =
            note.rfind("\n\n").ok_or(Error::Malformed("a blank line ends the text of a note"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let lines =
            lines.strip_suffix('\n').ok_or(Error::Malformed("a note ends in a signature line"))?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(TOO_MANY_SIGNATURES);
        }
        let lines = lines.split('\n').map(SignatureLine::parse);
        Ok(Self { text: text.to_owned(), lines: lines.collect::<Result<_, _>>()? })
    }

    /// The note as bytes: for a parsed note, those it was parsed from.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut note = self.text.clone();
        note.push('\n');
        for line in &self.lines {
            line.write(&mut note);
        }
        note.into_bytes()
    }

    /// The text, its last newline included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same text with the lines of this key alone.
    pub fn of(&self, vkey: &Vkey) -> Self {
        let lines = self.lines.iter().filter(|line| vkey.made(line)).cloned().collect();
        Self { text: self.text.clone(), lines }
    }

    /// Says which of the known keys signed the note: in the order of the lines, each key once.
    ///
    /// # Errors
    /// [`Error::BadSignature`] if any line of a known key is not good,
    /// [`Error::NoKnownSignature`] if there is no line of a known key.
    pub fn verify(&self, known: &[Vkey]) -> Result<Vec<Signed>, Error> {
        let mut signed: Vec<Signed> = Vec::new();
        for line in &self.lines {
            for vkey in known.iter().filter(|vkey| vkey.made(line)) {
                let good = vkey.verify(&self.text, line)?;
                if !signed.iter().any(|by| (&by.name, by.id) == (&good.name, good.id)) {
                    signed.push(good);
                }
            }
        }
        if signed.is_empty() {
            return Err(Error::NoKnownSignature);
        }
        Ok(signed)
    }

    /// Adds the line of another signer, a witness for one, if it is good: a line that nobody checked
    /// could later stand in the way of a good one.
    ///
    /// # Errors
    /// [`Error::NoKnownSignature`] if the line is not of this key, [`Error::BadSignature`] if it is
    /// not good, [`Error::Malformed`] if the note would pass its bounds. The note is as before.
    pub fn add(&mut self, line: SignatureLine, vkey: &Vkey) -> Result<Signed, Error> {
        if !vkey.made(&line) {
            return Err(Error::NoKnownSignature);
        }
        let signed = vkey.verify(&self.text, &line)?;
        let mut longer = self.clone();
        longer.lines.push(line);
        *self = longer.within_bounds()?;
        Ok(signed)
    }

    fn within_bounds(self) -> Result<Self, Error> {
        if self.lines.len() > SIGNATURES_MAX {
            return Err(TOO_MANY_SIGNATURES);
        }
        if self.to_bytes().len() > CHECKPOINT_BYTES_MAX {
            return Err(Error::Malformed("a note is at most 16,384 bytes"));
        }
        Ok(self)
    }
}

const TOO_MANY_SIGNATURES: Error = Error::Malformed("a note has at most 100 signatures");

fn check_text(text: &str) -> Result<(), Error> {
    if !text.ends_with('\n') {
        return Err(Error::Malformed("the text of a note ends in a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(Error::Malformed("a note has no control character but newline"));
    }
    Ok(())
}

/// Whether this may be the name of a key, and so the origin of a ledger.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let ends_name = |c: char| c.is_whitespace() || c < ' ' || c == '+';
    if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX || name.contains(ends_name) {
        return Err(Error::Malformed(
            "a key name is 1 to 255 bytes without white space, control character or plus",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
