//! Too few descriptors: more connections than there are.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use super::{Attacked, Before};
use crate::{
    process::{PATIENCE, Process},
    support::{
        World,
        senders::{Told, line, sized, submit},
        statements::envelope,
    },
};

/// What a server has, and a crowd wants.
const DESCRIPTORS: usize = 200;
/// How long it is watched for spinning, and how much of a processor it may use meanwhile.
const WATCHED: Duration = Duration::from_secs(2);
const PROCESSOR_TIME_MAX: Duration = Duration::from_millis(500);

/// Connections that say nothing, from hosts of their own: fewer from each than the bound for one.
async fn silent(to: SocketAddr, hosts: u8, each: usize) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for host in 2..2 + hosts {
        for _ in 0..each {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
            // One that is refused makes no difference.
            connections.extend(socket.connect(to).await);
        }
    }
    connections
}

fn address(world: &World) -> SocketAddr {
    world.agency("police").folder().settings.server.parse().unwrap()
}

/// I10: with no descriptor left it accepts nobody new and does not spin; who is connected goes on,
/// receipts and all, and when the others go all is as before.
#[tokio::test(flavor = "multi_thread")]
async fn goes_on_with_those_it_has_when_descriptors_run_out() {
    let mut world = World::with_agencies().await;
    world.stop().await;
    let mut process = Process::serve(&world).await;
    let police = world.agency("police").clone();
    let said = |number| envelope(&police, &sized(&["school/duty"], &format!("N-{number}"), 100));
    let mut told = Told::default();
    let first = said(0);
    told.accepted.push((first.clone(), submit(&police, &first).await.unwrap()));

    let few = process.descriptors() + 10;
    process.limit(&format!("--nofile={few}:{few}"));
    let others = silent(address(&world), 1, 100).await;
    let bound = Instant::now() + PATIENCE;
    while !process.traces().contains("cannot accept connections") {
        assert!(Instant::now() < bound, "descriptors run out");
        sleep(Duration::from_millis(10)).await;
    }
    let before = process.processor_time();
    sleep(WATCHED).await;
    let used = process.processor_time() - before;
    assert!(used < PROCESSOR_TIME_MAX, "it spins: {used:?} of {WATCHED:?}");
    for number in 1..20 {
        let envelope = said(number);
        let receipt = submit(&police, &envelope).await.expect("who is connected goes on");
        told.accepted.push((envelope, receipt));
    }
    drop(others);

    let newcomer = line(&police);
    let bound = Instant::now() + PATIENCE;
    while let Err(status) = submit(&newcomer, &first).await {
        assert!(Instant::now() < bound, "newcomers are let in again: {status:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(process.runs(), "without a restart");
    told.is_kept(&world).await;
    println!("without descriptors it used {used:?} in {WATCHED:?}");
    process.stop();
    world.start().await;
    world.check().await;
}

/// I1, I10: connections never take the descriptors that the ledger needs: with more of them than
/// there are descriptors it goes on into the next segment all the same.
#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_the_ledger_its_descriptors() {
    let attacked = Attacked::new().await;
    attacked.lay(Before::NearlyFull);
    let world = &attacked.world;
    let wrapper = ["prlimit".to_owned(), format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}")];
    let mut process = Process::serve_under(world, &wrapper).await;
    let police = world.agency("police");
    let said = |number| envelope(police, &sized(&["school/duty"], &format!("M-{number}"), 4_000));
    let mut told = Told::default();
    let first = said(0);
    let receipt = submit(police, &first).await.unwrap();
    told.accepted.push((first, receipt));
    let crowd = silent(address(world), 2, DESCRIPTORS / 2).await;
    let bound = Instant::now() + PATIENCE;
    while process.descriptors() < DESCRIPTORS / 3 {
        assert!(Instant::now() < bound, "the crowd is let in");
        sleep(Duration::from_millis(1)).await;
    }
    for number in 1..10 {
        let envelope = said(number);
        let receipt = submit(police, &envelope).await.expect("the ledger goes on");
        told.accepted.push((envelope, receipt));
    }
    drop(crowd);
    assert!(process.runs(), "{}", process.traces());
    process.stop();
    let segments = fs::read_dir(attacked.data().join("journal")).unwrap();
    let named = |name: &OsStr| name.as_encoded_bytes().ends_with(b".seg");
    let segments = segments.filter(|entry| named(&entry.as_ref().unwrap().file_name())).count();
    assert_eq!(segments, 2, "it went on into the next segment");
    attacked.settles(told).await;
}
