//! Recipients that are away, and certificates that end meanwhile.

use std::{collections::BTreeMap, fs, time::Duration};

use cairn::{clock::Clock, identity::Validity, server::founding::validity};

use super::{
    HOUR, MINUTE, SECOND,
    agency::{Again, Planned},
    hosts::{Layout, Network},
    storm::Dice,
};
use crate::support::EXCHANGE;

fn concerns(from: &str, to: &str, count: usize, span: Duration, dice: &mut Dice) -> Vec<Planned> {
    let mut plan: Vec<Planned> = (0..count)
        .map(|number| Planned {
            at: dice.between(HOUR, span),
            to: vec![to.to_owned()],
            reference: format!("{from}-{number}"),
            again: Again::Nothing,
        })
        .collect();
    plan.sort_by_key(|planned| planned.at);
    plan
}

/// I7: a recipient that was away from Friday to Monday gets all that came meanwhile, in order and
/// without a gap, each by itself and once.
#[test]
fn a_recipient_back_after_a_silent_weekend_drains_its_inbox_in_order() {
    const EACH: usize = 60;
    let weekend = 64 * HOUR;
    let mut dice = Dice::of(1);
    let mut plan = |name| concerns(name, "social-work/duty", EACH, weekend, &mut dice);
    let plans = BTreeMap::from([
        ("police", plan("police")),
        ("school", plan("school")),
        ("social-work", Vec::new()),
    ]);
    let tick = SECOND;
    let mut network =
        Network::of(Layout { seed: 1, tick, latency_max: SECOND / 10, plans, reluctant: false });
    network.run(MINUTE);
    assert_eq!(network.open_connections(), 3, "they are all there on Friday");
    network.links().crash("social-work");
    network.run(weekend);
    let accepted = |name: &str| network.agency(name).disk().receipts.len();
    assert_eq!((accepted("police"), accepted("school")), (EACH, EACH));
    assert!(network.agency("social-work").disk().offers.is_empty());

    network.links().bounce("social-work");
    network.until(HOUR, "all is stored", |network| {
        network.agency("social-work").disk().stored.len() == 2 * EACH
    });
    {
        let disk = network.agency("social-work").disk();
        let mut first = Vec::new();
        for offer in &disk.offers {
            if !first.iter().any(|(entry, _)| *entry == offer.entry) {
                first.push((offer.entry, offer.inbox_number));
            }
        }
        assert!(first.is_sorted(), "the oldest first: {first:?}");
        let numbers = first.iter().map(|(_, number)| *number);
        assert!(numbers.eq(1..=2 * EACH as u64), "without a gap: {first:?}");
        assert_eq!(disk.taken.len(), 2 * EACH);
    }
    network.check();
}

/// I2, I14: by the exchange's own time a certificate ends, its open connection with it, and one
/// that begins later is good from then on; clients judge the exchange's in the same way.
#[test]
fn certificates_end_and_begin_by_the_time_of_the_exchange() {
    let day = 24 * HOUR;
    let mut dice = Dice::of(2);
    let plans = BTreeMap::from([
        ("police", concerns("police", "school/duty", 10, 3 * day, &mut dice)),
        ("school", Vec::new()),
    ]);
    let tick = SECOND;
    let mut network =
        Network::of(Layout { seed: 2, tick, latency_max: SECOND / 10, plans, reluctant: false });
    let begin = u64::try_from(network.time.now().unix_seconds()).unwrap();
    let (tomorrow, good) = (begin + day.as_secs(), validity(network.time.now()));
    let show = |network: &Network, validity| {
        let (agency, system) = ("school".parse().unwrap(), "system".parse().unwrap());
        let ca = &network.world().ca;
        let exchange = EXCHANGE.parse().unwrap();
        let issued = ca.issue_client(&exchange, &agency, &system, validity).unwrap();
        let folder = &network.agency("school").folder;
        fs::write(folder.join("tls.pem"), issued.certificate_pem).unwrap();
        fs::write(folder.join("tls.key"), issued.key_pem.as_bytes()).unwrap();
    };
    // Both begin in what is the future for this machine.
    show(&network, Validity { not_after_unix: tomorrow, ..good });
    let later = Validity { not_before_unix: tomorrow, not_after_unix: tomorrow + 10 * 86_400 };

    network.links().bounce("school");
    network.run(day - MINUTE);
    assert_eq!(network.open_connections(), 2);
    network.run(2 * MINUTE);
    assert_eq!(network.open_connections(), 1, "the certificate has ended");
    network.run(day);
    assert_eq!(network.open_connections(), 1, "and lets nobody in again");

    show(&network, later);
    let server = network.world().ca.issue_server(&["localhost"], later).unwrap();
    let tls = network.world().folder.path().join("tls");
    fs::write(tls.join("server.pem"), server.certificate_pem).unwrap();
    fs::write(tls.join("server.key"), server.key_pem.as_bytes()).unwrap();
    network.run(MINUTE);
    network.links().crash("school");
    network.links().bounce("school");
    network.until(2 * day, "all is stored", |network| {
        network.agency("school").disk().stored.len() == 10
    });
    assert_eq!(network.open_connections(), 2);
}
