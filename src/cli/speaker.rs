//! `--system FOLDER`: as whom a command speaks, and how long it waits for an answer.
//!
//! Knows: wire::client.

use std::{
    fs::{File, TryLockError},
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;

use crate::wire::client::{Client, ClientError, folder::SystemFolder};

/// A question that has no answer after this long has none.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// As whom a command speaks
#[derive(Debug, Args)]
pub(crate) struct Speaker {
    /// The folder of the system to speak as
    #[arg(long = "system", value_name = "FOLDER", env = "CAIRN_SYSTEM")]
    pub(crate) folder: PathBuf,
}

impl Speaker {
    /// The system, connected when it is first used.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let folder = SystemFolder::open(&self.folder)
            .with_context(|| format!("cannot speak as {}", self.folder.display()))?;
        Ok(Client::new(folder)?)
    }

    /// The same, with the directory read and judged.
    pub(crate) async fn ready(&self) -> anyhow::Result<Client> {
        let client = self.client()?;
        answered(client.refresh()).await.context("cannot read the directory")?;
        Ok(client)
    }
}

/// Holds the lock of this name in a system's folder, so that no two commands do the same
/// work for one system at once. Let go when dropped.
///
/// # Errors
/// [`ClientError::Again`] with `otherwise` while another command holds it.
pub(crate) fn alone(folder: &Path, name: &str, otherwise: &str) -> anyhow::Result<File> {
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClientError::Again(otherwise.to_owned()).into()),
        Err(TryLockError::Error(error)) => bail!("{}: cannot be locked: {error}", path.display()),
    }
}

/// What a call answers within [`ANSWER_TIME_MAX`].
pub(crate) async fn answered<T, E: Into<ClientError>>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(ANSWER_TIME_MAX, call).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => {
            let seconds = ANSWER_TIME_MAX.as_secs();
            Err(ClientError::Again(format!("the exchange said nothing for {seconds} seconds")))
        }
    }
}
