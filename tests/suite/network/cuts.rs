//! Connections that die without a word, and submissions that are cut in two.

use std::{collections::BTreeMap, time::Duration};

use cairn::clock::Clock;
use cairn::limits::{KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIME_MAX};

use super::{
    MINUTE, SECOND,
    agency::{Again, Planned},
    hosts::{Crash, EXCHANGE_HOST, Layout, Network},
};

/// What is noticed within keep-alive, with some steps more.
const NOTICED: Duration =
    KEEP_ALIVE_INTERVAL.saturating_add(KEEP_ALIVE_TIME_MAX).saturating_add(SECOND);

fn network(seed: u64, plan: Vec<Planned>) -> Network {
    let plans = BTreeMap::from([("police", plan), ("school", Vec::new())]);
    let (tick, latency_max) = (SECOND / 20, SECOND / 50);
    let mut network = Network::of(Layout { seed, tick, latency_max, plans, reluctant: false });
    network.until(MINUTE, "both are there", |network| network.open_connections() == 2);
    network
}

/// I7, I10: whichever direction is dead, both sides find out and let go in bounded time, and the
/// stream is open again once the link is.
#[test]
fn a_half_open_connection_is_noticed_by_both_sides_within_keep_alive() {
    let mut network = network(3, Vec::new());
    for (number, dead) in ["both", "towards", "from"].into_iter().enumerate() {
        let pause = network.dice.between(MINUTE, 2 * MINUTE);
        network.run(pause);
        let streams = network.agency("school").disk().streams;
        let ends = network.agency("school").disk().ends.len();
        let cut = network.time.elapsed();
        let (school, sim) = ("school", network.links());
        match dead {
            "both" => sim.partition(school, EXCHANGE_HOST),
            "towards" => sim.partition_oneway(school, EXCHANGE_HOST),
            _ => sim.partition_oneway(EXCHANGE_HOST, school),
        }
        let mut exchange_knew = None;
        network.until(2 * NOTICED, "both sides know", |network| {
            if network.open_connections() == 1 {
                exchange_knew.get_or_insert(network.time.elapsed());
            }
            exchange_knew.is_some() && network.agency("school").disk().ends.len() > ends
        });
        let (school_knew, _) = network.agency("school").disk().ends[ends].clone();
        let exchange_knew = exchange_knew.unwrap() - cut;
        let school_knew = school_knew - cut;
        eprintln!(
            "{dead} dead: the exchange knew after {exchange_knew:?}, the agency {school_knew:?}"
        );
        assert!(exchange_knew <= NOTICED, "{dead}: the exchange after {exchange_knew:?}");
        assert!(school_knew <= NOTICED, "{dead}: the agency after {school_knew:?}");

        network.links().repair(school, EXCHANGE_HOST);
        network.until(2 * MINUTE, "the stream is open again", |network| {
            network.agency("school").disk().streams > streams
        });
        assert_eq!(network.open_connections(), 2, "round {number}");
    }
    network.check();
}

/// I7: what is lost on its way to a recipient, or whose `stored` or its answer is lost on the way
/// back, is offered again, taken once, and then known by the exchange to be stored.
#[test]
fn redelivers_what_a_dead_connection_swallowed_and_it_is_taken_once() {
    let losses = ["offer", "stored", "answer to stored"];
    let at = |number: usize| 5 * MINUTE * (number as u32 + 1);
    let plan = losses.iter().enumerate().map(|(number, lost)| Planned {
        at: at(number),
        to: vec!["school/duty".into()],
        reference: (*lost).to_owned(),
        again: Again::Nothing,
    });
    let mut network = network(5, plan.collect());
    for (number, lost) in losses.into_iter().enumerate() {
        network.until(at(number), "its time comes", |network| {
            network.time.elapsed() >= at(number) - SECOND
        });
        let (size, before) = (network.size(), network.agency("school").disk().offers.len());
        let taken = |network: &Network| network.agency("school").disk().taken.len();
        match lost {
            "offer" => {
                network.links().partition_oneway(EXCHANGE_HOST, "school");
                network.until(5 * SECOND, "it is accepted", |network| network.size() > size);
            }
            "stored" => {
                network.until(5 * SECOND, "it is accepted", |network| network.size() > size);
                network.links().partition_oneway("school", EXCHANGE_HOST);
                network.until(5 * SECOND, "it is taken", |network| taken(network) > number);
            }
            _ => {
                network
                    .until(5 * SECOND, "stored is an entry", |network| network.size() > size + 1);
                network.links().partition_oneway(EXCHANGE_HOST, "school");
            }
        }
        network.run(NOTICED);
        assert_eq!(taken(&network) > number, lost != "offer", "{lost}");
        network.links().repair("school", EXCHANGE_HOST);
        network.until(2 * MINUTE, "nothing waits", |network| {
            let inbox = "school/duty".parse().unwrap();
            let waiting = network.broker().unwrap().waiting(&inbox, None).count();
            waiting == 0 && taken(network) > number
        });
        let offers = network.agency("school").disk().offers.len() - before;
        assert_eq!(offers, if lost == "stored" { 2 } else { 1 }, "{lost}: offers that arrived");
    }
    network.check();
}

/// I1, I8, I9: wherever a submission is cut, its sender does not know, asks again, and gets the one
/// receipt of the one entry.
#[test]
fn a_submission_cut_in_the_middle_is_unknown_and_then_brings_the_same_receipt() {
    let cuts = ["request lost", "answer lost", "crash before commit", "crash after commit"];
    let at = |number: usize| 5 * MINUTE * (number as u32 + 1);
    let plan = cuts.iter().enumerate().map(|(number, cut)| Planned {
        at: at(number),
        to: vec!["school/duty".into()],
        reference: (*cut).to_owned(),
        again: if number % 2 == 0 { Again::Same } else { Again::Resealed },
    });
    let mut network = network(4, plan.collect());
    for (number, cut) in cuts.into_iter().enumerate() {
        network.until(at(number), "its time comes", |network| {
            network.time.elapsed() >= at(number) - SECOND
        });
        let before = network.size();
        let durable = match cut {
            "request lost" => {
                network.links().partition_oneway("police", EXCHANGE_HOST);
                false
            }
            "answer lost" => {
                network.until(5 * SECOND, "it is durable", |network| network.size() > before);
                network.links().partition_oneway(EXCHANGE_HOST, "police");
                true
            }
            "crash before commit" => {
                network.crash_at_a_commit(5 * SECOND, Crash::BeforeCommit);
                false
            }
            _ => {
                network.crash_at_a_commit(5 * SECOND, Crash::AfterCommit);
                true
            }
        };
        let (begun, moment) = (network.time.elapsed(), network.time.now());
        network.until(NOTICED + SECOND, "its sender knows that it does not know", |network| {
            network.agency("police").disk().unknown.contains_key(cut)
        });
        eprintln!("{cut}: unknown after {:?}", network.time.elapsed() - begun);
        assert!(!network.agency("police").disk().receipts.contains_key(cut));
        match cut {
            "request lost" | "answer lost" => network.links().repair("police", EXCHANGE_HOST),
            _ => network.restart(),
        }
        network.until(2 * MINUTE, "it is answered, said again, and stored", |network| {
            let entry = network.agency("police").disk().receipts.get(cut).map(|r| r.entry);
            let repeated = network.agency("police").disk().repeated > number as u64;
            let stored = |entry| {
                let inbox = "school/duty".to_owned();
                network.agency("school").disk().stored.contains_key(&(entry, inbox))
            };
            repeated && entry.is_some_and(stored)
        });
        let entry = network.agency("police").disk().receipts[cut].entry;
        let offers = network.agency("school").disk().offers.clone();
        let accepted = offers.iter().find(|offer| offer.entry == entry).unwrap().accepted_at;
        assert_eq!(accepted <= moment, durable, "{cut}: accepted before it was cut, or after");
    }
    network.check();
}
