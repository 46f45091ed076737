//! The synthetic concern: it goes the whole way, wakes nobody, and its absence is seen.

use std::time::Duration;

use cairn::config::ProbeSettings;
use tokio::time::{sleep, timeout};

use crate::{
    process::{PATIENCE, fetch},
    support::World,
};

/// A world in which agency `probe` sends to itself.
async fn world(agreement: &str) -> World {
    let mut world = World::new().await;
    world.enrol("probe", &["duty"]).await;
    world.agree("probe", &["probe"]).await;
    world.stop().await;
    let system = world.agency("probe").folder().path().to_owned();
    world.config.probe = Some(ProbeSettings { system, agreement: agreement.into() });
    world.config.metrics = Some("127.0.0.1:0".parse().unwrap());
    world.start().await;
    world
}

fn metric(world: &World, name: &str) -> f64 {
    let page = fetch(world.metrics().unwrap(), "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("it is there").parse().unwrap()
}

async fn until(holds: impl Fn() -> bool) {
    let holding = async {
        while !holds() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, holding).await.expect("it comes to hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synthetic_concern_goes_the_whole_way() {
    let world = world("probe").await;
    until(|| metric(&world, "cairn_probe_duration_seconds") > 0.0).await;
    assert_eq!(metric(&world, "cairn_probe_failed_total"), 0.0);
    let summary = world.summary().await;
    assert_eq!((summary.concerns, summary.closed, summary.open), (1, 1, 0));
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_is_counted_and_its_age_shows() {
    let world = world("of-nobody").await;
    until(|| metric(&world, "cairn_probe_failed_total") > 0.0).await;
    let age = metric(&world, "cairn_probe_age_seconds");
    let later = cairn::clock::Clock::now(world.clock.as_ref()).after(Duration::from_secs(300));
    world.clock.set(later);
    assert_eq!(metric(&world, "cairn_probe_age_seconds"), age + 300.0);
    assert_eq!(metric(&world, "cairn_probe_duration_seconds"), 0.0);
    world.check().await;
}
