//! What a receiving system keeps of each concern, sealed as it came, so that a person can
//! still pass it on: `kept/<entry>.<role>.incoming`.
//!
//! Knows: wire::client, domain, proto, store (durable files).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{
    crypto::ContentKey,
    domain::ids::InboxId,
    proto::{self, Incoming, Statement, statement::Act},
    store::files,
    wire::client::{Client, open},
};

/// Makes the place for it in a system's folder.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    files::create_dir(&folder.join("kept"))
}

/// Keeps what came, for as long as the folder lives. Durable on return.
pub(crate) fn keep(folder: &Path, incoming: &Incoming) -> io::Result<()> {
    let inbox: InboxId = incoming.inbox.parse().map_err(io::Error::other)?;
    let path = place(folder, incoming.entry, &inbox);
    let bytes = proto::encode(&Incoming { attempt: 0, ..incoming.clone() });
    if fs::read(&path).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    files::write_atomic(&path, &bytes)
}

/// The content key of a concern that this system has received, and the digest of the body
/// that it opens.
pub(crate) fn content_key(
    client: &Client,
    entry: u64,
    inbox: &InboxId,
) -> anyhow::Result<(ContentKey, Vec<u8>)> {
    let folder = client.folder();
    let path = place(folder.path(), entry, inbox);
    let bytes = fs::read(&path).with_context(|| {
        format!(
            "{}: this system has not received entry {entry} for {inbox}; pass it on with the \
             system that has",
            path.display()
        )
    })?;
    let incoming: Incoming =
        proto::decode(&bytes).with_context(|| format!("{}: damaged", path.display()))?;
    let opened = open::open(folder, &client.directory(), &incoming)
        .with_context(|| format!("{}: cannot be opened any more", path.display()))?;
    opened.key.ok_or_else(|| anyhow!("entry {entry} has no body to pass on"))
}

/// The redirection that brought a statement to its inbox, if one did.
pub(crate) fn redirected_by(incoming: &Incoming) -> Option<u64> {
    let mut newest_first = incoming.rewraps.iter().rev();
    let redirection = newest_first.find(|rewrap| {
        let statement = proto::decode::<Statement>(&rewrap.statement).unwrap_or_default();
        matches!(statement.act, Some(Act::Redirection(_)))
    });
    redirection.map(|rewrap| rewrap.entry)
}

fn place(folder: &Path, entry: u64, inbox: &InboxId) -> PathBuf {
    folder.join("kept").join(format!("{entry}.{}.incoming", inbox.role()))
}
