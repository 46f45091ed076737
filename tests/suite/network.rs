//! Days of bad network in seconds: one exchange and its agencies on simulated links (turmoil),
//! with the real listener, the real services, the real client and a real ledger on a real disk.
//!
//! Deterministic for a seed: what is planned, what breaks and when, who is cut from whom, how
//! long each message takes, and that what a step queues is committed before the next
//! ([`wires`]). Not deterministic: keys, nonces and handshakes, how a step's statements share
//! out into batches, which branch of a `select!` goes first, and how many steps an exchange takes
//! to write its first entries after a crash; so a seed repeats the trouble, not every byte. turmoil has no retransmission: what a cut drops is lost to its connection
//! for ever, which then hangs until one end notices. A connection attempt into a cut is refused
//! at once, and an accepted one is answered even through a cut of that direction.
//!
//! `CAIRN_SEEDS` says how many seeds each storm is run with, `CAIRN_SEED` which one alone.

mod agency;
mod away;
mod cuts;
mod hosts;
mod storm;
mod wires;

use std::{collections::BTreeMap, time::Duration};

use self::{
    agency::{Again, Agency, Planned},
    hosts::{Layout, Network},
    storm::{Dice, Storm, Weather},
};

/// The exchange's port.
const PORT: u16 = 7443;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

const AGENCIES: [&str; 4] = ["health", "police", "school", "social-work"];

/// How many concerns each agency sends during a storm.
const EACH: usize = 60;

/// What is sent during a storm, to one or two others, some of it said again.
fn plans(seed: u64, length: Duration) -> BTreeMap<&'static str, Vec<Planned>> {
    let mut dice = Dice::of(seed ^ 0x7374_6f72_6d00_0000);
    let mut plan = |from: &str| {
        let mut plan: Vec<Planned> = (0..EACH)
            .map(|number| {
                let others: Vec<&str> = AGENCIES.into_iter().filter(|name| *name != from).collect();
                let first = dice.roll(3) as usize;
                let count = 1 + dice.roll(2) as usize;
                let to = (first..first + count).map(|at| format!("{}/duty", others[at % 3]));
                let again = match dice.roll(3) {
                    0 => Again::Nothing,
                    1 => Again::Same,
                    _ => Again::Resealed,
                };
                let at = dice.between(Duration::ZERO, length);
                Planned { at, to: to.collect(), reference: format!("{from}-{number}"), again }
            })
            .collect();
        plan.sort_by_key(|planned| planned.at);
        plan
    };
    AGENCIES.into_iter().map(|name| (name, plan(name))).collect()
}

/// Whether every concern has its receipt, was taken wherever it was to go under that very entry,
/// and is known by the exchange to be stored there: a recipient that did not hear the answer to
/// its `stored` need not know.
fn all_stored(network: &Network) -> bool {
    let Some(broker) = network.broker() else { return false };
    let empty = |name: &str| {
        let inbox = format!("{name}/duty").parse().unwrap();
        broker.waiting(&inbox, None).next().is_none()
    };
    let taken = |to: &str, reference: &str, entry: u64| {
        let holder = to.split('/').next().unwrap();
        let disk = network.agency(holder).disk();
        disk.taken.get(&(reference.to_owned(), to.to_owned())) == Some(&entry)
    };
    let done = |agency: &Agency, planned: &Planned| {
        let entry = agency.disk().receipts.get(&planned.reference).map(|receipt| receipt.entry);
        let everywhere = |entry| planned.to.iter().all(|to| taken(to, &planned.reference, entry));
        entry.is_some_and(everywhere)
    };
    AGENCIES.into_iter().all(empty)
        && network.agencies.values().all(|agency| agency.plan.iter().all(|p| done(agency, p)))
}

/// One storm, the calm after it, and a look at everything.
fn ride_out(seed: u64, tick: Duration, length: Duration, weather: Weather) {
    let begun = std::time::Instant::now();
    let latency_max = weather.calm_latency;
    let plans = plans(seed, length);
    let mut network = Network::of(Layout { seed, tick, latency_max, plans, reluctant: true });
    let mut storm = Storm::of(weather);
    storm.rage(&mut network, length);
    network.until(30 * MINUTE, "every accepted concern ends stored", all_stored);
    let sum = |count: fn(&agency::Disk) -> usize| -> usize {
        network.agencies.values().map(|agency| count(&agency.disk())).sum()
    };
    let (unknown, repeated) = (sum(|disk| disk.unknown.len()), sum(|disk| disk.repeated as usize));
    let (taken, offers) = (sum(|disk| disk.taken.len()), sum(|disk| disk.offers.len()));
    let (crashes, troubles, days) = (storm.crashes, storm.troubles, network.time.elapsed());
    network.check();
    println!(
        "seed {seed}: {days:?} simulated in {:.1?}; {troubles} troubles, {crashes} restarts; {unknown} \
         unknown at first, {repeated} said again; {taken} taken, offered {offers} times",
        begun.elapsed()
    );
}

/// The seeds to run from `first` on: one, unless the environment says otherwise.
fn seeds(first: u64) -> std::ops::Range<u64> {
    let said = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    match said("CAIRN_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + said("CAIRN_SEEDS").unwrap_or(1),
    }
}

/// I1, I6, I7, I8: through a day of cuts, half-open links, delays, agencies that go away and an
/// exchange that crashes, every accepted concern ends stored, under one entry each, and its sender
/// has one receipt.
#[test]
fn every_accepted_concern_ends_stored_through_a_day_of_storm() {
    let weather = Weather {
        mean: 10 * MINUTE,
        longest: 20 * MINUTE,
        calm_latency: SECOND / 5,
        slow_latency: 3 * SECOND,
    };
    for seed in seeds(0) {
        ride_out(seed, SECOND / 2, 24 * HOUR, weather);
    }
}

/// I1, I6, I7, I8: the same through gusts, one upon the other, in the middle of everything.
#[test]
fn every_accepted_concern_ends_stored_through_gusts() {
    let weather = Weather {
        mean: 3 * SECOND,
        longest: 20 * SECOND,
        calm_latency: SECOND / 10,
        slow_latency: SECOND,
    };
    for seed in seeds(1_000) {
        ride_out(seed, SECOND / 40, 5 * MINUTE, weather);
    }
}
