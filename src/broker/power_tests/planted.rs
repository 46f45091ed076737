//! Every planted bug is caught, and the table that says by which tier and after how many seeds.

use super::{no_panic, redelivered, run};
use crate::{
    planted::{self, Bug},
    store::journal::power_tests as journal,
};

/// At most this many seeds of a tier for one bug.
const JOURNAL_SEEDS: u64 = 300;
const LEDGER_SEEDS: u64 = 12;

/// A tier: its name, its seeds, and one run.
type Tier = (&'static str, u64, fn(u64) -> Result<(), String>);

const TIERS: [Tier; 3] = [
    ("journal", JOURNAL_SEEDS, |seed| journal::run(seed).map(drop)),
    ("ledger", LEDGER_SEEDS, |seed| run(seed).map(drop)),
    ("delivery", 1, |_| no_panic(redelivered)),
];

/// How many seeds it took until a tier failed, and how.
fn caught(bug: Option<Bug>, (_, seeds, run): &Tier) -> Option<(u64, String)> {
    let _planted = planted::plant(bug);
    (0..*seeds).find_map(|seed| run(seed).err().map(|failure| (seed + 1, failure)))
}

/// I1, I3, I4, I7, I8, I9: each promise, broken on purpose, is seen to be broken.
#[test]
fn every_planted_bug_is_caught() {
    super::template::template(); // made without any bug
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A panic of a planted bug is counted, not shown.
        if planted::here().is_none() {
            shown(panic);
        }
    }));
    let rows: Vec<_> = Bug::ALL
        .into_iter()
        .map(|bug| (bug, TIERS.each_ref().map(|tier| caught(Some(bug), tier))))
        .collect();
    let cell = |caught: &Option<(u64, String)>| match caught {
        Some((seeds, _)) => format!("seed {seeds}"),
        None => "-".to_owned(),
    };
    println!(
        "| planted bug | journal | ledger | delivery | first seen as |\n|---|---|---|---|---|"
    );
    for (bug, tiers) in &rows {
        let seen = tiers.iter().flatten().next().map_or("NOTHING", |(_, failure)| failure);
        let seen: String = seen.lines().next().unwrap_or_default().chars().take(90).collect();
        let [journal, ledger, delivery] = tiers.each_ref().map(cell);
        println!("| {} | {journal} | {ledger} | {delivery} | {seen} |", bug.name());
    }
    for (bug, tiers) in &rows {
        assert!(tiers.iter().any(Option::is_some), "nothing catches: {}", bug.name());
    }
    for tier in &TIERS {
        let failure = caught(None, tier);
        assert!(failure.is_none(), "{} fails with no bug planted: {failure:?}", tier.0);
    }
}
