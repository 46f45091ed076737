//! One agency sends as fast as it can, on many connections, and heeds no delay.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use cairn::wire::client::Client;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{THROUGH_MAX, next_entry, with_program};
use crate::support::{
    World,
    senders::{Told, line, puts_off, reason, submit},
    statements::*,
};

/// How long it lasts; `CAIRN_FLOOD_SECONDS` says otherwise.
const SECONDS: u64 = 6;
const CONNECTIONS: usize = 12;
/// On each connection: all together beyond what one agency may have under way.
const IN_FLIGHT: usize = 96;
/// A call that waits so long, many times as long as on an idle machine, waits for others.
const HELD_BACK: Duration = Duration::from_millis(50);
/// After it all is as before within this.
const NORMAL_WITHIN: Duration = Duration::from_secs(5);
const NORMAL: Duration = Duration::from_millis(250);
/// Receipts of the flood that are asked for again.
const ASKED_AGAIN: usize = 200;

/// The same concern under another request id, signed anew: quickly made, and new to the exchange.
pub fn another(client: &Client, envelope: &[u8]) -> Vec<u8> {
    resigned(client, envelope, |statement| {
        statement.request_id = vec![0; 16];
        getrandom::fill(&mut statement.request_id).unwrap();
    })
}

/// The flood, on threads of its own, so that only the exchange is shared with the others.
struct Flood {
    stop: Arc<AtomicBool>,
    at_work: JoinHandle<Told>,
}

impl Flood {
    fn start(world: &World) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let police = world.agency("police").clone();
        let plain = envelope(&police, &concern("police", &["school/duty"], "flood"));
        let stopped = Arc::clone(&stop);
        let at_work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(pour(police, plain, stopped))
        });
        Self { stop, at_work }
    }

    fn stop(self) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        self.at_work.join().unwrap()
    }
}

async fn pour(police: Client, plain: Vec<u8>, stop: Arc<AtomicBool>) -> Told {
    let told = Arc::new(Mutex::new(Told::default()));
    let mut at_work = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let line = line(&police);
        for _ in 0..IN_FLIGHT {
            let (line, plain) = (line.clone(), plain.clone());
            let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
            at_work.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let envelope = another(&line, &plain);
                    let answer = submit(&line, &envelope).await;
                    let mut told = told.lock().unwrap();
                    match answer {
                        Ok(receipt) => told.accepted.push((envelope, receipt)),
                        Err(status) => told.not.push((envelope, status)),
                    }
                }
            });
        }
    }
    while let Some(ended) = at_work.join_next().await {
        ended.unwrap();
    }
    Arc::into_inner(told).unwrap().into_inner().unwrap()
}

/// Sends again after each delay until it is accepted; a person acts so too.
async fn insist(client: &Client, envelope: &[u8]) -> u64 {
    loop {
        match submit(client, envelope).await {
            Ok(receipt) => return receipt.entry,
            Err(status) if puts_off(&status) => sleep(Duration::from_millis(50)).await,
            Err(status) => panic!("{status:?}"),
        }
    }
}

/// One concern from social work to the school and its acknowledgement: how long each took.
async fn one(world: &World, number: u64) -> (Duration, Duration) {
    let (social, school) = (world.agency("social-work"), world.agency("school"));
    let document = concern("social-work", &["school/duty"], &format!("small-{number}"));
    let envelope = envelope(social, &document);
    let begun = Instant::now();
    let entry = insist(social, &envelope).await;
    let sent = begun.elapsed();
    let about =
        cairn::wire::client::compose::About { entry, inbox: "school/duty".parse().unwrap() };
    let acknowledge = |act, id: [u8; 16]| school.compose(|composer| composer.step(&about, id, act));
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    insist(school, &acknowledge(stored(), id)).await;
    getrandom::fill(&mut id).unwrap();
    let envelope = acknowledge(acknowledged(), id);
    let begun = Instant::now();
    insist(school, &envelope).await;
    (sent, begun.elapsed())
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// I8, I10: while one agency floods the exchange, another sends one concern a second and a third
/// acknowledges it, each within a second; the flood is put off with a delay and loses nothing that
/// was accepted; after it all is as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_agency_leaves_the_others_their_share() {
    let seconds =
        std::env::var("CAIRN_FLOOD_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let (mut world, mut process) = with_program().await;
    one(&world, 0).await;
    let before = process.resident_kibibytes();
    let flood = Flood::start(&world);
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sent, mut acknowledged) = (Vec::new(), Vec::new());
    for number in 1..=seconds {
        tick.tick().await;
        let (one_sent, one_acknowledged) = one(&world, number).await;
        sent.push(one_sent);
        acknowledged.push(one_acknowledged);
    }
    let grown = process.resident_kibibytes().saturating_sub(before);
    let told = flood.stop();
    let ended = Instant::now();
    let mut number = seconds;
    loop {
        number += 1;
        let (sent, acknowledged) = one(&world, number).await;
        if sent.max(acknowledged) <= NORMAL {
            break;
        }
        assert!(ended.elapsed() < NORMAL_WITHIN, "as before: {sent:?}, {acknowledged:?}");
    }
    let (sent, acknowledged) = (p99(&mut sent), p99(&mut acknowledged));
    println!(
        "flood of {seconds} s: {} accepted, {} put off, {grown} KiB more; p99 of others: sent \
         {sent:?}, acknowledged {acknowledged:?}; as before after {:?}",
        told.accepted.len(),
        told.not.len(),
        ended.elapsed(),
    );
    assert!(sent <= THROUGH_MAX && acknowledged <= THROUGH_MAX, "{sent:?}, {acknowledged:?}");
    let odd = told.not.iter().find(|(_, status)| !puts_off(status));
    assert!(odd.is_none(), "{:?}", odd.map(|(_, status)| (reason(status), status.clone())));
    // Put off, or held back: by Little's law each of the flood's calls waited so long.
    let waited = Duration::from_secs(seconds) * (CONNECTIONS * IN_FLIGHT) as u32
        / u32::try_from(told.accepted.len().max(1)).unwrap();
    assert!(!told.not.is_empty() || waited >= HELD_BACK, "it is a flood: {waited:?}");
    assert_eq!(world.summary().await.concerns, told.accepted.len() as u64 + number + 1);
    let every = told.accepted.len().div_ceil(ASKED_AGAIN);
    let some = told.accepted.into_iter().step_by(every).collect();
    assert_eq!(Told { accepted: some, not: Vec::new() }.try_kept(&world).await, Ok(()));

    // The school's queue is as long as the flood; a stream shows its oldest first.
    let mut stream = world.agency("school").receive(Vec::new()).await.unwrap();
    timeout(THROUGH_MAX, next_entry(&mut stream)).await.expect("the first of many");
    drop(stream);
    assert!(process.runs());
    process.stop();
    world.start().await;
    world.check().await;
}
