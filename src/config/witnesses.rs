//! Of the settings: the witnesses of the ledger, and how many of them are enough.
//!
//! Knows: domain, ledger, limits.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;

use super::{Config, authorities};
use crate::{
    domain::ids::SystemName,
    ledger::note::{KeyKind, Vkey},
    limits,
};

/// Somebody else's witness, which is asked to cosign this ledger's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessSettings {
    /// Its name, in metrics and traces.
    pub name: SystemName,
    /// Its key.
    pub vkey: WitnessKey,
    /// Where its add-checkpoint is: https.
    pub url: String,
    /// The authorities that its server's certificate may be of, PEM.
    #[serde(default = "authorities")]
    pub ca: PathBuf,
}

/// What is asked of all witnesses together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessPolicy {
    /// How many of them are enough.
    pub needed: usize,
}

/// The key of a witness, as it prints it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WitnessKey(pub Vkey);

impl TryFrom<String> for WitnessKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let vkey = Vkey::parse(&text).map_err(|error| format!("vkey: {error}"))?;
        match vkey.kind() {
            KeyKind::Cosignature => Ok(Self(vkey)),
            KeyKind::Ed25519 => Err("vkey is the key of a ledger, not of a witness".into()),
        }
    }
}

impl Config {
    /// How many witnesses must have cosigned a checkpoint: all, unless the settings say less.
    pub fn witnesses_needed(&self) -> usize {
        self.witnesses.as_ref().map_or(self.witness.len(), |policy| policy.needed)
    }

    /// Why these witnesses cannot be.
    pub(super) fn witnesses_fault(&self) -> Option<String> {
        let count = self.witness.len();
        if count > limits::WITNESSES_MAX {
            return Some(format!("there may be at most {} of [[witness]]", limits::WITNESSES_MAX));
        }
        if self.witnesses.is_some() && !(1..=count).contains(&self.witnesses_needed()) {
            return Some(format!(
                "witnesses.needed must be from 1 to {count}, as many as there are"
            ));
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for witness in &self.witness {
            let name = &witness.name;
            if !names.insert(name) {
                return Some(format!("two of [[witness]] are called {name}"));
            }
            if !keys.insert(witness.vkey.0.public()) {
                return Some(format!("witness {name} has the key of another one"));
            }
            if !witness.url.starts_with("https://") {
                return Some(format!("url of witness {name} must begin with https://"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::SigningKey;

    fn config(witnesses: &str) -> Result<Config, String> {
        let key = |kind, seed| {
            let public = SigningKey::from_seed(&[seed; 32]).public();
            Vkey::new("witness.example/w", kind, public).unwrap().to_string()
        };
        let text = witnesses
            .replace("W1", &key(KeyKind::Cosignature, 1))
            .replace("W2", &key(KeyKind::Cosignature, 2))
            .replace("LOG", &key(KeyKind::Ed25519, 3));
        let text = format!(
            "data='d'\nlisten='127.0.0.1:1'\n{text}\n[tls]\ncertificate='c'\nkey='k'\nclient_ca='a'"
        );
        let config: Config = toml::from_str(&text).map_err(|error| error.to_string())?;
        config.witnesses_fault().map_or(Ok(config), Err)
    }

    #[test]
    fn all_witnesses_are_needed_unless_fewer_are_asked_for() {
        let two = "[[witness]]\nname='one'\nvkey='W1'\nurl='https://w'\n\
                   [[witness]]\nname='two'\nvkey='W2'\nurl='https://x'\n";
        assert_eq!(config(two).unwrap().witnesses_needed(), 2);
        let one = format!("{two}[witnesses]\nneeded=1");
        assert_eq!(config(&one).unwrap().witnesses_needed(), 1);
        assert_eq!(config("").unwrap().witnesses_needed(), 0);
    }

    #[test]
    fn witnesses_that_would_not_count_are_refused() {
        let one = "[[witness]]\nname='one'\nvkey='W1'\nurl='https://w'\n";
        for (settings, why) in [
            (format!("{one}[witnesses]\nneeded=2"), "from 1 to 1"),
            (format!("{one}[witnesses]\nneeded=0"), "from 1 to 1"),
            ("[witnesses]\nneeded=1".to_owned(), "from 1 to 0"),
            (format!("{one}{one}"), "two of [[witness]]"),
            (format!("{one}{}", one.replace("one", "two")), "key of another"),
            (one.replace("https", "http"), "https"),
            (one.replace("W1", "LOG"), "key of a ledger"),
            (one.replace("W1", "nonsense"), "vkey"),
        ] {
            let fault = config(&settings).unwrap_err();
            assert!(fault.contains(why), "{settings}: {fault}");
        }
    }
}
