//! What a round of sending used and did, of the server and of the client.
//!
//! Knows: nothing.

use super::{
    child::{Usage, metric},
    ground::Ground,
    report::Report,
    stats::Rounds,
};

/// What the rounds used.
#[derive(Default)]
pub(super) struct Used {
    server_cpu: Rounds,
    client_cpu: Rounds,
    /// Entries for each sync, if the exchange tells.
    pub(super) per_sync: Rounds,
}

impl Used {
    /// As figures of `of`.
    pub(super) fn tell(
        &self,
        of: &'static str,
        ground: &Ground,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if !self.per_sync.0.is_empty() {
            report.spread(of, "entries for each fdatasync", self.per_sync.spread(), "entries");
        }
        report.figure(of, "client, processor for 1,000", self.client_cpu.median(), "s");
        if let Some(server) = &ground.server {
            report.figure(of, "server, processor for 1,000", self.server_cpu.median(), "s");
            let usage = server.usage()?;
            report.figure(of, "server, resident afterwards", mebibytes(usage.resident), "MiB");
            report.figure(of, "server, resident at most", mebibytes(usage.resident_most), "MiB");
        }
        Ok(())
    }
}

/// What had been used and done before a round.
pub(super) struct Before {
    server: Option<Usage>,
    client: Usage,
    /// Entries and batches.
    ledger: Option<(u64, u64)>,
}

impl Before {
    pub(super) fn look(ground: &Ground) -> anyhow::Result<Self> {
        let ledger = ground.metrics.map(|metrics| {
            let entries = metric(metrics, "cairn_ledger_appended_total")?;
            anyhow::Ok((entries, metric(metrics, "cairn_ledger_batches_total")?))
        });
        let server = ground.server.as_ref().map(|server| server.usage());
        let (server, ledger) = (server.transpose()?, ledger.transpose()?);
        Ok(Self { server, client: Usage::own()?, ledger })
    }

    /// What a round of so many statements has used since.
    pub(super) fn compare(
        &self,
        ground: &Ground,
        count: usize,
        used: &mut Used,
    ) -> anyhow::Result<()> {
        let now = Self::look(ground)?;
        let thousands = count as f64 / 1_000.0;
        if let Some((before, now)) = self.server.zip(now.server) {
            used.server_cpu.0.push((now.cpu - before.cpu) / thousands);
        }
        used.client_cpu.0.push((now.client.cpu - self.client.cpu) / thousands);
        if let Some((before, now)) = self.ledger.zip(now.ledger) {
            let (entries, batches) = (now.0 - before.0, now.1 - before.1);
            used.per_sync.0.push(entries as f64 / batches.max(1) as f64);
        }
        Ok(())
    }
}

/// Bytes as operators count memory.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
