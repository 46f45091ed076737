//! When a moment of a night is over: every rung that is due is climbed, every system that is there
//! has stored what came for it, and every webhook that answers was told what there is to tell.
//!
//! Knows: broker, domain, proto, clock.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{super::STALLED, pager::Pager, stage::Stage};
use crate::{
    broker::{Broker, records},
    clock::{Clock, Moment},
    domain::{deadline::Duty, ids::InboxId},
    proto::{self, EntryType, Facts},
};

/// How often it is looked whether all have done their part.
const LOOK: Duration = Duration::from_millis(10);

/// A rung that was climbed.
struct Rung {
    entry: u64,
    concern: u64,
    addressed: InboxId,
    duty: Duty,
}

/// What is known of the ledger so far.
#[derive(Default)]
pub(super) struct Settling {
    /// Everything before was looked at.
    next: u64,
    rungs: Vec<Rung>,
}

impl Settling {
    /// Lets the time come, rung by rung; what is due while the exchange is down waits until it is
    /// up.
    pub(super) async fn come(
        &mut self,
        stage: &Stage,
        to: Moment,
        pace: Option<Duration>,
    ) -> anyhow::Result<()> {
        loop {
            let now = stage.clock.now();
            let rung = stage.broker().and_then(Broker::next_rung_at);
            let next = rung.filter(|rung| *rung > now && *rung < to).unwrap_or(to);
            stage.clock.move_to(next, pace).await;
            self.settle(stage).await?;
            if next == to {
                return Ok(());
            }
        }
    }

    /// Waits until the moment is over.
    pub(super) async fn settle(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let Some(broker) = stage.broker() else { return Ok(()) };
        broker.climb_all().await.context("climbing what is due")?;
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            self.look(broker)?;
            let Some(waits_for) = self.waits_for(stage, broker)? else { return Ok(()) };
            ensure!(broker.is_running(), "the ledger has stopped");
            ensure!(began.elapsed() < STALLED, "nothing has moved for a minute: {waits_for}");
        }
    }

    /// Takes up the rungs that are new in the ledger.
    fn look(&mut self, broker: &Broker) -> anyhow::Result<()> {
        let size = broker.tree().head().growth.size();
        while self.next < size {
            let entry = self.next;
            self.next += 1;
            let meta = records::meta(broker.index(), entry);
            if meta.is_none_or(|meta| records::kind_of(&meta) != EntryType::Escalation) {
                continue;
            }
            let facts: Facts = proto::decode(&broker.record(entry)?.facts)?;
            self.rungs.push(Rung {
                entry,
                concern: facts.answers.unwrap_or_default(),
                addressed: facts.inbox.parse()?,
                duty: Duty::parse(&facts.subject).context("a rung without a duty")?,
            });
        }
        Ok(())
    }

    /// What is still to come, in words.
    fn waits_for(&self, stage: &Stage, broker: &Broker) -> anyhow::Result<Option<String>> {
        for inbox in stage.inboxes_there()? {
            if broker.waiting(&inbox, None).next().is_some() {
                return Ok(Some(format!("{inbox} has not stored what came")));
            }
        }
        let pagers = stage.pagers.iter().filter(|pager| pager.answers());
        let waiting = pagers.filter(|pager| !self.was_told(pager, broker));
        Ok(waiting.map(|pager| format!("{} was not told", pager.name)).next())
    }

    /// Whether a webhook knows of every rung whose duty is not done, and of the end of every
    /// incident that it knows.
    fn was_told(&self, pager: &Pager, broker: &Broker) -> bool {
        let told = pager.told();
        let is_undone = |concern: u64, addressed: &str, duty: &str| {
            let all = broker.deliveries(concern).into_iter();
            all.filter(|record| record.delivery.addressed.as_str() == addressed)
                .any(|record| record.duties().iter().any(|owed| owed.as_str() == duty))
        };
        let begun = self.rungs.iter().all(|rung| {
            told.iter().any(|told| told.what == "begun" && told.entry == rung.entry)
                || !is_undone(rung.concern, rung.addressed.as_str(), rung.duty.as_str())
        });
        let over = told.iter().filter(|told| told.what == "begun").all(|begun| {
            told.iter().any(|told| told.what == "over" && told.is_of(begun))
                || is_undone(begun.concern, &begun.addressed, &begun.not_done)
        });
        begun && over
    }
}
