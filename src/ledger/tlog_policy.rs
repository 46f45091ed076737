//! Whose word is enough: which ledgers, which witnesses, how many of them (C2SP tlog-policy).
//!
//! Takes the text of a policy, or the keys that an exchange is set up with; says of a signed
//! checkpoint who cosigned it and whether that is enough.
//!
//! Holds: I4, I10. Knows: crypto.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::checkpoint::Checkpoint;
use super::note::{KeyKind, Note, Signed, Vkey};

/// The text of a policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 262_144;

/// The name that asks for no cosignature.
const NONE: &[u8] = b"none";

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct PolicyError {
    /// The line, from 1; 0 for what no line says.
    pub line: usize,
    /// The rule that it breaks.
    pub rule: String,
}

/// A trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogPolicy {
    logs: Vec<Vkey>,
    witnesses: Vec<Vkey>,
    /// In the order of their lines; each names only earlier ones.
    rules: Vec<Rule>,
    /// None: no cosignature is needed.
    quorum: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// This one of the witnesses has cosigned.
    Witness(usize),
    /// So many of these rules hold.
    Group { needed: usize, members: Vec<usize> },
}

/// A checkpoint that a ledger of the policy signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses of the policy that cosigned it, each once.
    pub cosigned: Vec<Signed>,
    /// Whether the policy asks for no more.
    pub enough: bool,
}

impl Judged {
    /// When the cosignature was made of which only `needed` − 1 are younger, in POSIX seconds.
    pub fn time(&self, needed: usize) -> Option<u64> {
        let mut times: Vec<u64> = self.cosigned.iter().filter_map(|by| by.time).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        times.get(needed.checked_sub(1)?).copied()
    }
}

impl TlogPolicy {
    /// So many of these witnesses, for one ledger.
    pub fn of(log: Vkey, witnesses: Vec<Vkey>, needed: usize) -> Self {
        let mut rules: Vec<_> = (0..witnesses.len()).map(Rule::Witness).collect();
        rules.push(Rule::Group { needed, members: (0..witnesses.len()).collect() });
        let quorum = Some(witnesses.len());
        Self { logs: vec![log], witnesses, rules, quorum }
    }

    /// The same policy, for these ledgers as well.
    #[must_use]
    pub fn with_logs(mut self, logs: &[Vkey]) -> Self {
        let new = logs.iter().filter(|vkey| !self.logs.contains(vkey)).cloned();
        let new: Vec<_> = new.collect();
        self.logs.extend(new);
        self
    }

    /// The keys of the ledgers.
    pub fn logs(&self) -> &[Vkey] {
        &self.logs
    }

    /// Reads the text of a policy. A key of a type that is not known here is refused: it could not
    /// be counted.
    ///
    /// # Errors
    /// [`PolicyError`], which says the line and the rule.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let refuse = |line: usize, rule: &str| PolicyError { line, rule: rule.to_owned() };
        if text.len() > POLICY_BYTES_MAX {
            return Err(refuse(0, "a policy is at most 262,144 bytes"));
        }
        let mut reading = Reading::default();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
                return Err(refuse(number, "no control characters but tab and newline"));
            }
            let items = line.split(|byte| matches!(byte, b' ' | b'\t'));
            let items: Vec<&[u8]> = items.filter(|item| !item.is_empty()).collect();
            if items.first().is_some_and(|first| !first.starts_with(b"#")) {
                reading.line(&items).map_err(|rule| PolicyError { line: number, rule })?;
            }
        }
        let Reading { logs, witnesses, rules, quorum, .. } = reading;
        let quorum = quorum.ok_or_else(|| refuse(0, "there must be a line `quorum`"))?;
        Ok(Self { logs, witnesses, rules, quorum })
    }

    /// Judges a signed checkpoint. Lines of the policy's keys must all be good; one by a ledger is
    /// needed in any case.
    ///
    /// # Errors
    /// As [`Checkpoint::open_any`].
    pub fn judge(&self, note: &[u8]) -> Result<Judged, Error> {
        let known: Vec<Vkey> = self.logs.iter().chain(&self.witnesses).cloned().collect();
        let checkpoint = Checkpoint::open_any(note, &known)?;
        let mut cosigned = Note::parse(note)?.verify(&known)?;
        cosigned.retain(|by| by.kind == KeyKind::Cosignature);
        let enough = self.is_enough(&cosigned);
        Ok(Judged { checkpoint, cosigned, enough })
    }

    fn is_enough(&self, cosigned: &[Signed]) -> bool {
        let Some(quorum) = self.quorum else { return true };
        let mut holds: Vec<bool> = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            holds.push(match rule {
                Rule::Witness(at) => {
                    let vkey = &self.witnesses[*at];
                    cosigned.iter().any(|by| by.id == vkey.id() && by.name == vkey.name())
                }
                Rule::Group { needed, members } => {
                    members.iter().filter(|member| holds[**member]).count() >= *needed
                }
            });
        }
        holds[quorum]
    }
}

/// What the lines have said so far.
#[derive(Default)]
struct Reading {
    logs: Vec<Vkey>,
    witnesses: Vec<Vkey>,
    rules: Vec<Rule>,
    names: BTreeMap<Vec<u8>, usize>,
    /// Rules that are members of a group.
    taken: BTreeSet<usize>,
    quorum: Option<Option<usize>>,
}

impl Reading {
    fn line(&mut self, items: &[&[u8]]) -> Result<(), String> {
        match items {
            [b"log", vkey] | [b"log", vkey, _] => {
                let vkey = key(vkey, KeyKind::Ed25519)?;
                add(&mut self.logs, vkey)
            }
            [b"witness", name, vkey] | [b"witness", name, vkey, _] => {
                let vkey = key(vkey, KeyKind::Cosignature)?;
                self.name(name, Rule::Witness(self.witnesses.len()))?;
                add(&mut self.witnesses, vkey)
            }
            [b"group", name, needed, members @ ..] if !members.is_empty() => {
                self.group(name, needed, members)
            }
            [b"quorum", name] => {
                let rule = match *name {
                    NONE => None,
                    name => Some(self.named(name)?),
                };
                match self.quorum.replace(rule) {
                    None => Ok(()),
                    Some(_) => Err("there is one line `quorum`".into()),
                }
            }
            _ => Err("neither log, witness, group nor quorum with what belongs to it".into()),
        }
    }

    fn group(&mut self, name: &[u8], needed: &[u8], members: &[&[u8]]) -> Result<(), String> {
        let count = members.len();
        let needed = match needed {
            b"all" => count,
            b"any" => 1,
            number => std::str::from_utf8(number)
                .ok()
                .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|number| number.parse().ok())
                .filter(|needed| (1..=count).contains(needed))
                .ok_or_else(|| format!("a group needs all, any, or 1 to {count} of its members"))?,
        };
        let mut rules = Vec::with_capacity(count);
        for member in members {
            let rule = self.named(member)?;
            // Else one witness could count twice.
            if !self.taken.insert(rule) {
                return Err("a name is a member once".into());
            }
            rules.push(rule);
        }
        self.name(name, Rule::Group { needed, members: rules })
    }

    fn named(&self, name: &[u8]) -> Result<usize, String> {
        let unknown = || format!("no line before this one defines {}", name.escape_ascii());
        self.names.get(name).copied().ok_or_else(unknown)
    }

    fn name(&mut self, name: &[u8], rule: Rule) -> Result<(), String> {
        if name == NONE || self.names.insert(name.to_vec(), self.rules.len()).is_some() {
            return Err("a name is defined once, and is not `none`".into());
        }
        self.rules.push(rule);
        Ok(())
    }
}

fn key(text: &[u8], kind: KeyKind) -> Result<Vkey, String> {
    let text = std::str::from_utf8(text).map_err(|_| "a vkey is UTF-8".to_owned())?;
    let vkey = Vkey::parse(text).map_err(|error| error.to_string())?;
    match vkey.kind() == kind {
        true => Ok(vkey),
        false => Err("a key of the wrong kind: a log signs, a witness cosigns".into()),
    }
}

/// One key has one vote, whatever it is called.
fn add(keys: &mut Vec<Vkey>, vkey: Vkey) -> Result<(), String> {
    if keys.iter().any(|known| known.public() == vkey.public()) {
        return Err("this key was there before".into());
    }
    keys.push(vkey);
    Ok(())
}

#[cfg(test)]
#[path = "tlog_policy_tests.rs"]
mod tests;
