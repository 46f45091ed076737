//! What `--keep` leaves behind for others to check, beside the exchange's own
//! folders:
//!
//! ```text
//! log.vkey                                the ledger's verifier key
//! receipts/<agency>/<line>.tlog-proof     each accepted or repeated line's receipt
//! receipts/<agency>/<line>.opening.json   envelope, leaf, facts, openings; base64
//! received/<agency>/<role>.jsonl          each opened document, as received
//! keys/<agency>/<role>.key                the throw-away recipients' sealing keys
//! directory.json                          the signing keys, by key id
//! mirror/                                 the ledger in the C2SP static layout
//! summary.json                            the result
//! ```
//!
//! Knows: wire::client, crypto.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, json};

use super::{super::exchange::Exchange, sender::Fate, tally::Tally};
use crate::wire::client::outbox::write_receipt;

pub(super) fn write(folder: &Path, exchange: &Exchange, tally: &Tally) -> anyhow::Result<()> {
    fs::write(folder.join("log.vkey"), format!("{}\n", exchange.vkey))?;
    fs::write(folder.join("summary.json"), tally.json()? + "\n")?;
    for (number, fate) in &tally.fates {
        if let Fate::Accepted(kept) | Fate::Duplicate(kept) = fate {
            let receipts = folder.join("receipts").join(&kept.facts.sender);
            fs::create_dir_all(&receipts)?;
            write_receipt(&receipts, &number.to_string(), &kept.envelope, &kept.receipt)?;
        }
    }
    let mut signing_keys = Map::new();
    for (agency, client) in &exchange.agencies {
        let own = client.folder();
        let public = STANDARD.encode(own.signing.public().to_bytes());
        let entry = json!({"agency": agency, "public_key": public});
        signing_keys.insert(own.signing.key_id().to_string(), entry);
        let keys = folder.join("keys").join(agency);
        fs::create_dir_all(&keys)?;
        for inbox in own.sealing.keys() {
            let name = format!("{}.key", inbox.role());
            fs::copy(own.path().join("sealing").join(&name), keys.join(&name))?;
        }
    }
    let directory = serde_json::to_vec_pretty(&json!({"signing_keys": signing_keys}))?;
    Ok(fs::write(folder.join("directory.json"), directory)?)
}
