//! `cairn demo --night`: the weekend of 23 to 26 October 2026 on call, on a clock that can be
//! moved. The clocks go back on the 25th.
//!
//! ```text
//! script     the pack: who does what, when
//! clock      the time, which only a demonstration and tests can move
//! stage      the exchange, the agencies' systems, the webhooks
//! pager      a webhook: a real HTTP server, or a port on which nobody answers
//! settle     when a moment is over
//! play       plays the script
//! account    who was told what, and when, read back from the ledger
//! tally      what it comes to, held against what the pack expects
//! ```
//!
//! Nothing waits for time to pass: the clock goes from what happens to what happens next. Its
//! concerns are live within the throw-away exchange, since an exercise wakes nobody.
//!
//! Holds: I14. Knows: server, wire::client, audit, domain.

mod account;
mod clock;
mod pager;
mod play;
mod script;
mod settle;
mod stage;
mod tally;

use std::{collections::BTreeMap, fs, process::ExitCode, time::Instant};

use anyhow::{Context, anyhow};

use self::{
    account::Account,
    play::Play,
    script::NightPack,
    stage::Stage,
    tally::{NightTally, Parts, Standing},
};
use super::{
    super::{progress::Progress, scratch::Scratch},
    Demo,
    sender::Kept,
    tally::Ledger,
    verified, visitor,
};
use crate::proto::{GetConcernRequest, GetSummaryRequest, get_concern_request::By};

/// The whole weekend, and what it comes to.
pub(super) async fn run(demo: &Demo) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let pack = NightPack::read(demo.pack.as_deref())?;
    let scratch = Scratch::new("night", demo.keep.as_deref())?;
    let progress = Progress::new();
    progress.say(&format!("making exchange {}", pack.parties.exchange));
    let loading = |what: &str| progress.say(&format!("directory: {what}"));
    let mut stage = Stage::open(&scratch.folder, &pack, &mut { loading }).await?;
    if demo.serve {
        visitor::show_console(&stage.exchange).await?;
        eprintln!("It goes by the night's clock: after 12 of its hours it asks who you are again.");
        let on_call = stage.exchange.on_call.folder().path().display();
        eprintln!("The board:\n  cairn status --watch --system {on_call}\n");
    }
    let mut play = Play::on(&mut stage);
    let played = tokio::select! {
        played = play.run(&pack.script, demo.pace, &progress) => played,
        _ = tokio::signal::ctrl_c() => Err(anyhow!("stopped before the night was over")),
    };
    let (concerns, happenings) = (play.concerns, play.happenings);
    if let Err(error) = played {
        // It may be down as the script has it; else it goes down in order, before its folder goes.
        drop(stage.stop().await);
        return Err(error);
    }
    stage.switch_off().await?;
    progress.say("mirroring and verifying the ledger from outside");
    let account = Account::read(&stage, &concerns, &happenings).await?;
    let mut faults = Vec::new();
    let (standing, summary) = (standing(&stage, &concerns).await?, summary(&stage).await?);
    let verified = verified(&stage.exchange, &scratch.folder).await?;
    let origin = pack.parties.exchange.as_str();
    let ledger = Ledger::of(origin, summary.size, verified, &mut faults);
    let parts = Parts {
        account,
        standing,
        summary,
        concerns: concerns.len(),
        receipts_verified: concerns.values().filter(|kept| kept.verified).count(),
        ledger,
        faults,
        took: started.elapsed(),
    };
    let tally = NightTally::new(parts, &pack.expected)?;
    fs::write(scratch.folder.join("summary.json"), tally.json()? + "\n")?;
    progress.end();
    tally.print(demo.output)?;
    if let Some(server) = stage.server().filter(|_| demo.serve) {
        stage.clock.go_on();
        visitor::welcome(&stage.exchange, server, &pack.parties).await?;
        eprintln!("\nIts clock goes on from the night's end.");
        visitor::stay(server).await?;
    }
    stage.stop().await?;
    Ok(if tally.adds_up() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every delivery, as its sender sees it.
async fn standing(
    stage: &Stage,
    concerns: &BTreeMap<String, Kept>,
) -> anyhow::Result<Vec<Standing>> {
    let mut standing = Vec::new();
    for (reference, kept) in concerns {
        let sender = stage.exchange.agencies.get(&kept.facts.sender).context("no such sender")?;
        let request = GetConcernRequest { by: Some(By::Entry(kept.receipt.entry)) };
        let found = sender.exchange().get_concern(request).await?.into_inner();
        standing.extend(found.deliveries.iter().map(|found| Standing::of(reference, found)));
    }
    Ok(standing)
}

async fn summary(stage: &Stage) -> anyhow::Result<crate::proto::GetSummaryResponse> {
    let asked = stage.exchange.on_call.status().get_summary(GetSummaryRequest {}).await;
    Ok(asked?.into_inner())
}
