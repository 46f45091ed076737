//! The exchange's witnesses: what they have seen before it opens, and asked from then on.
//!
//! Holds: I4. Knows: witness, broker, config, clock.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::{
    broker::{Broker, recovery::DataFolder},
    clock::Clock,
    config::Config,
    witness::{self, Asker, Gathering},
};

/// The witnesses that the settings name.
pub(super) struct Witnessing {
    askers: Vec<Asker>,
    needed: usize,
}

impl Witnessing {
    /// Reads what is needed to ask them.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        let askers = config.witness.iter().map(Asker::new).collect::<Result<_, _>>()?;
        Ok(Self { askers, needed: config.witnesses_needed() })
    }

    /// How many entries of this ledger others have cosigned, by what they say now and by what was
    /// kept of it. Who does not answer is no obstacle.
    pub(super) async fn named(&self, folder: &DataFolder) -> Result<Option<u64>, StartError> {
        if self.askers.is_empty() {
            return Ok(None);
        }
        let policy = witness::policy(&folder.vkey()?, &self.askers, self.needed);
        let kept = match witness::kept(&folder.witnessed(), &policy) {
            Ok(kept) => kept.map(|(_, size)| size),
            Err(error) => {
                tracing::warn!(%error, "the cosigned checkpoint that is kept cannot be read");
                None
            }
        };
        let empty = folder.empty_checkpoint()?;
        let seen = witness::seen(&self.askers, &empty).await;
        let sizes = seen.into_iter().filter_map(|seen| match seen.size {
            Ok(size) => {
                tracing::info!(witness = seen.name, size, "a witness says what it has cosigned");
                Some(size)
            }
            Err(fault) => {
                tracing::warn!(
                    witness = seen.name,
                    fault,
                    "a witness does not say what it has seen"
                );
                None
            }
        });
        Ok(sizes.chain(kept).max())
    }

    /// Asks them from now on.
    pub(super) fn begin(
        self,
        broker: &Broker,
        clock: &Arc<dyn Clock>,
        folder: &DataFolder,
        ended: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        if self.askers.is_empty() {
            return None;
        }
        let path = folder.witnessed();
        let gathering = Gathering::new(broker, clock, &self.askers, self.needed, path);
        Some(gathering.run(self.askers, ended))
    }
}
