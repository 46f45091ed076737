//! The whole directory, as this client has judged it change by change.
//!
//! The client's own fold answers the questions that sealing asks; this one keeps every
//! record, so that people can see them all and change one field of one.
//!
//! Knows: directory, domain, proto, wire::client.

use std::collections::BTreeMap;

use anyhow::bail;

use super::answered;
use crate::{
    clock::Moment,
    crypto::{KeyId, PublicKey},
    directory::{self, Directory},
    proto::{
        self, Agency, Agreement, Area, Inbox, ListChangesRequest, SealingKey, SigningKey, System,
        directory_change::Change,
    },
    wire::client::Client,
};

/// Every record, the newest of each.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The same changes, folded as the exchange folds them.
    pub(super) directory: Directory,
    pub(super) areas: BTreeMap<String, Area>,
    pub(super) agencies: BTreeMap<String, Agency>,
    pub(super) systems: BTreeMap<(String, String), System>,
    pub(super) inboxes: BTreeMap<String, Inbox>,
    /// In the order of their registration.
    pub(super) signing_keys: Vec<(KeyId, SigningKey)>,
    pub(super) sealing_keys: Vec<SealingKey>,
    pub(super) agreements: BTreeMap<String, Agreement>,
}

impl Known {
    /// Reads every change and judges it: signatures, order, names.
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        Self::read_until(client, None).await
    }

    /// The same as it was at a moment, if one is given.
    pub(super) async fn read_until(client: &Client, until: Option<Moment>) -> anyhow::Result<Self> {
        let exchange = client.folder().settings.exchange.as_str();
        let mut known = Self { directory: Directory::of(exchange), ..Self::default() };
        loop {
            let after = known.directory.as_of().checked_sub(1);
            let request = ListChangesRequest { after, page_size: 0 };
            let mut service = client.directory_service();
            let page = answered(service.list_changes(request)).await?.into_inner();
            for recorded in page.changes {
                if until.is_some_and(|until| until < Moment(recorded.at)) {
                    return Ok(known);
                }
                let (entry, signed) = (recorded.entry, recorded.change.unwrap_or_default());
                match known.directory.judge(&signed, Moment(recorded.at)) {
                    Ok(change) => known.take(change.change),
                    Err(refusal) => bail!(
                        "directory entry {entry} should not be there: {refusal}. Do not trust \
                         this exchange until its operators have explained it"
                    ),
                }
                known.directory.apply(entry, &signed);
            }
            if !page.more {
                return Ok(known);
            }
        }
    }

    fn take(&mut self, change: Option<Change>) {
        match change {
            Some(Change::Area(area)) => drop(self.areas.insert(area.id.clone(), area)),
            Some(Change::Agency(agency)) => {
                self.agencies.insert(agency.id.clone(), agency);
            }
            Some(Change::System(system)) => {
                self.systems.insert((system.agency.clone(), system.name.clone()), system);
            }
            Some(Change::Inbox(inbox)) => drop(self.inboxes.insert(inbox.id.clone(), inbox)),
            Some(Change::SigningKey(key)) => {
                let bytes = <&[u8; 32]>::try_from(key.public_key.as_slice());
                let public = bytes.ok().and_then(|bytes| PublicKey::from_bytes(bytes).ok());
                self.signing_keys.extend(public.map(|public| (public.key_id(), key)));
            }
            Some(Change::SealingKey(key)) => self.sealing_keys.push(key),
            Some(Change::Agreement(agreement)) => {
                self.agreements.insert(agreement.id.clone(), agreement);
            }
            Some(Change::KeyRevocation(_)) | None => {}
        }
    }

    /// Whether a signing key of the directory may sign now; if not, why.
    pub(super) fn standing(&self, id: &KeyId, now: Moment) -> &'static str {
        match self.directory.key(id) {
            Some(known) if known.revoked.is_some() => "revoked",
            Some(known) if known.valid_at(now) => "valid",
            Some(_) => "outside its dates",
            None => "unknown",
        }
    }
}

/// A key id as people write it: 16 hexadecimal digits.
pub(super) fn key_id(text: &str) -> Result<KeyId, String> {
    let unreadable = || "a key id is 16 hexadecimal digits; `cairn directory show` lists them";
    let digits = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    number.map(|number| KeyId(number.to_be_bytes())).ok_or_else(|| unreadable().to_owned())
}

/// The id of a key on the wire, for people.
pub(super) fn id_text(bytes: &[u8]) -> String {
    directory::key_id(bytes).map(|id| id.to_string()).unwrap_or_default()
}

/// Where a delivery state or kind would be printed: dates of keys, from Unix seconds.
pub(super) fn day(seconds: i64) -> String {
    let nanos = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    Moment(nanos).rfc3339().chars().take(10).collect()
}

/// The public key's fingerprint, which people compare by another way before they trust
/// a first key: SHA-256, in groups of four digits.
pub(super) fn fingerprint(public_key: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(public_key);
    let groups = digest.chunks(2).map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect());
    groups.collect::<Vec<String>>().join(" ")
}

/// The record as a change, to compare with what a command would say.
pub(super) fn as_change<T: Clone>(record: Option<&T>, make: fn(T) -> Change) -> Option<Change> {
    record.cloned().map(make)
}

/// A change's bytes as a message; the exchange would refuse anything else too.
pub(super) fn decoded(change: &[u8]) -> anyhow::Result<proto::DirectoryChange> {
    match proto::decode(change) {
        Ok(change) => Ok(change),
        Err(_) => bail!("what was signed is no change of a directory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_goes_round_and_anything_else_is_refused() {
        let id = KeyId([0, 1, 2, 3, 0xab, 0xcd, 0xef, 0xff]);
        assert_eq!(key_id(&id.to_string()).unwrap(), id);
        for wrong in ["", "0001020", "00010203abcdefff0", "+0010203abcdefff", "xyz10203abcdefff"] {
            assert!(key_id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_sha_256_in_groups() {
        let text = fingerprint(b"abc");
        assert!(text.starts_with("ba78 16bf 8f01 cfea"), "{text}");
        assert_eq!(text.split(' ').count(), 16);
    }
}
