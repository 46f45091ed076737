//! A directory change with its signatures, as a file that travels between agencies.
//!
//! Takes and gives JSON. The bytes that were signed are in it as they are, so that
//! nobody signs or applies a second encoding.
//!
//! Knows: proto, wire::client.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::known;
use crate::{
    proto::{self, Signature},
    wire::client::{enrol, folder::SystemFolder},
};

/// A change, and who has signed it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedFile {
    /// What it is about, for people. Nothing reads it.
    about: String,
    /// The serialised change, base64.
    change: String,
    signatures: Vec<SignatureLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureLine {
    /// Who says to have signed, for people.
    by: String,
    /// Of the signing key, hexadecimal.
    key_id: String,
    /// 64 bytes, base64.
    signature: String,
}

impl SignedFile {
    /// A change that nobody has signed yet.
    pub(super) fn unsigned(change: &[u8]) -> anyhow::Result<Self> {
        let about = super::about(&known::decoded(change)?);
        Ok(Self { about, change: STANDARD.encode(change), signatures: Vec::new() })
    }

    /// A change with the signatures it has.
    pub(super) fn of(signed: &proto::SignedChange, by: &str) -> anyhow::Result<Self> {
        let mut file = Self::unsigned(&signed.change)?;
        file.signatures.extend(signed.signatures.iter().map(|signature| line(by, signature)));
        Ok(file)
    }

    /// Adds a system's signature.
    pub(super) fn sign(&mut self, folder: &SystemFolder) -> anyhow::Result<()> {
        let by = format!("{}/{}", folder.settings.agency, folder.settings.system);
        let signature = line(&by, &enrol::signature(folder, &self.bytes()?));
        self.signatures.retain(|known| known.key_id != signature.key_id);
        self.signatures.push(signature);
        Ok(())
    }

    /// Takes over another file's signatures, if they are over the same bytes.
    pub(super) fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        ensure!(
            self.change == other.change,
            "not the same change was signed: {} and {}. Let everyone sign the file that the \
             first has signed",
            self.about,
            other.about
        );
        for signature in other.signatures {
            if !self.signatures.iter().any(|known| known.key_id == signature.key_id) {
                self.signatures.push(signature);
            }
        }
        Ok(())
    }

    /// The bytes that are signed.
    pub(super) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        STANDARD.decode(&self.change).context("`change` is not base64")
    }

    /// As the exchange takes it.
    pub(super) fn signed_change(&self) -> anyhow::Result<proto::SignedChange> {
        let signature = |line: &SignatureLine| -> anyhow::Result<Signature> {
            let Ok(key_id) = known::key_id(&line.key_id) else { bail!("`key_id` is no key id") };
            let signature = STANDARD.decode(&line.signature).context("`signature`: not base64")?;
            Ok(Signature { key_id: key_id.0.to_vec(), signature })
        };
        let signatures = self.signatures.iter().map(signature).collect::<Result<_, _>>()?;
        Ok(proto::SignedChange { change: self.bytes()?, signatures })
    }

    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{}: not a signed change", path.display()))
    }
}

fn line(by: &str, signature: &Signature) -> SignatureLine {
    SignatureLine {
        by: by.to_owned(),
        key_id: known::id_text(&signature.key_id),
        signature: STANDARD.encode(&signature.signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{DirectoryChange, SignedChange, directory_change::Change};

    fn signed(agreement: &str, key: u8) -> SignedFile {
        let agreement = proto::Agreement { id: agreement.into(), ..proto::Agreement::default() };
        let change = Change::Agreement(agreement);
        let change = DirectoryChange { exchange: "cairn.example/x".into(), change: Some(change) };
        let signature = Signature { key_id: vec![key; 8], signature: vec![key; 64] };
        let signed = SignedChange { change: proto::encode(&change), signatures: vec![signature] };
        SignedFile::of(&signed, "school-a/mis").unwrap()
    }

    #[test]
    fn signatures_of_the_same_change_come_together_once_each() {
        let mut file = signed("isp", 1);
        file.merge(signed("isp", 2)).unwrap();
        file.merge(signed("isp", 2)).unwrap();
        let text = serde_json::to_string(&file).unwrap();
        let again: SignedFile = serde_json::from_str(&text).unwrap();
        assert_eq!(again, file);
        assert_eq!(again.signed_change().unwrap().signatures.len(), 2);
        assert_eq!(file.about, "agreement isp");
    }

    #[test]
    fn signatures_of_another_change_are_refused() {
        assert!(signed("isp", 1).merge(signed("other", 2)).is_err());
    }

    #[test]
    fn what_is_no_signed_change_is_refused() {
        for text in ["", "{}", r#"{"about":"","change":"","signatures":[],"more":1}"#] {
            assert!(serde_json::from_str::<SignedFile>(text).is_err(), "{text}");
        }
        let unreadable = r#"{"about":"","change":"*","signatures":[]}"#;
        let file: SignedFile = serde_json::from_str(unreadable).unwrap();
        assert!(file.signed_change().is_err());
    }
}
