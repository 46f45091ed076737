//! More than the machine can take: idle streams by the thousand, readers that do not read, and a
//! flood from one agency. The others go on, memory is bounded, nothing accepted is lost.

mod flood;

use std::time::{Duration, Instant};

use cairn::{
    limits,
    proto::{ReceiveResponse, SubmitStreamRequest, receive_response::Item},
    wire::client::Client,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::Streaming;

use crate::{
    process::{PATIENCE, Process},
    support::{
        World,
        senders::{Load, Told, line, sized, submit},
        statements::*,
    },
};

/// Idle streams; `CAIRN_STREAMS` says otherwise.
const STREAMS: usize = 10_000;
/// What one may cost the server.
const KIBIBYTES_PER_STREAM_MAX: u64 = 32;
/// What one concern may take from its sender to its reader, whatever others do.
const THROUGH_MAX: Duration = Duration::from_secs(1);

async fn with_program() -> (World, Process) {
    let mut world = World::with_agencies().await;
    world.stop().await;
    let process = Process::serve(&world).await;
    (world, process)
}

/// The entry of the next statement on a stream.
async fn next_entry(stream: &mut Streaming<ReceiveResponse>) -> u64 {
    loop {
        if let Some(Item::Incoming(incoming)) = stream.next().await.unwrap().unwrap().item {
            return incoming.entry;
        }
    }
}

/// Opens this many streams on one connection and waits until each has said that it is alive.
async fn idle(client: Client, streams: usize) -> Vec<Streaming<ReceiveResponse>> {
    let mut open = Vec::new();
    for _ in 0..streams {
        let mut stream = client.receive(Vec::new()).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        assert!(matches!(first.item, Some(Item::Alive(_))), "{first:?}");
        open.push(stream);
    }
    open
}

/// I10: ten thousand idle streams cost little memory and hold up nobody, and when they go their
/// descriptors come back.
#[tokio::test(flavor = "multi_thread")]
async fn idle_streams_by_the_thousand_hold_up_nobody() {
    let streams = std::env::var("CAIRN_STREAMS").map_or(STREAMS, |count| count.parse().unwrap());
    let (mut world, process) = with_program().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let mut reader = school.receive(Vec::new()).await.unwrap();
    let (before, descriptors) = (process.resident_kibibytes(), process.descriptors());
    let mut opening = JoinSet::new();
    let each = limits::STREAMS_PER_CONNECTION_MAX as usize;
    for begin in (0..streams).step_by(each) {
        opening.spawn(idle(line(world.agency("social-work")), each.min(streams - begin)));
    }
    let mut open = Vec::new();
    while let Some(opened) = opening.join_next().await {
        open.extend(opened.unwrap());
    }
    assert_eq!(open.len(), streams);
    let cost = (process.resident_kibibytes() - before) * 1_024 / streams as u64;
    assert!(cost <= KIBIBYTES_PER_STREAM_MAX * 1_024, "{cost} bytes for each stream");
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let envelope = envelope(police, &sized(&["school/duty"], &format!("S-{number}"), 1_000));
        let begun = Instant::now();
        let receipt = submit(police, &envelope).await.unwrap();
        assert_eq!(next_entry(&mut reader).await, receipt.entry);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < THROUGH_MAX, "{slowest:?} with {streams} idle streams");
    println!("{streams} idle streams: {cost} bytes each; a concern goes through in {slowest:?}");
    drop(open);
    let bound = Instant::now() + PATIENCE;
    while process.descriptors() > descriptors + 2 {
        assert!(Instant::now() < bound, "descriptors come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(reader);
    process.stop();
    world.start().await;
    world.check().await;
}

/// I10: who does not read a Receive stream, or the answers of a bulk submission, holds up nobody
/// and costs no more than the bounds allow.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_holds_up_nobody() {
    const UNREAD: usize = 8;
    const BODY_BYTES: usize = 200_000;
    let (mut world, process) = with_program().await;
    let before = process.resident_kibibytes();
    let (police, school) = (world.agency("police").clone(), world.agency("school"));
    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        unread.push(school.receive(Vec::new()).await.unwrap());
    }
    let large = Load { senders: 4, each: 75, body_bytes: BODY_BYTES };
    let told = large.send(&world, "U").await;
    assert!(told.not.is_empty(), "{:?}", told.not);

    // Bulk, as long as it is taken, and no answer read.
    let (to, requests) = mpsc::channel(1);
    let answers = line(&police).exchange().submit_stream(ReceiverStream::new(requests)).await;
    let plain = envelope(&police, &concern("police", &["school/duty"], "bulk"));
    let mut taken = 0;
    loop {
        let envelope = flood::another(&police, &plain);
        let request = SubmitStreamRequest { number: taken, envelope };
        match timeout(Duration::from_secs(2), to.send(request)).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
        taken += 1;
        assert!(taken < 20_000, "it goes on taking what nobody reads the answers of");
    }
    let grown = process.resident_kibibytes() - before;
    // Each stream's window, twice over for what is on its way, and what is kept in any case.
    let windows = UNREAD * limits::STREAM_WINDOW * 2 * BODY_BYTES + (96 << 20);
    assert!(grown * 1_024 < windows as u64, "it holds {grown} KiB more");

    let (social, mut slowest) = (world.agency("social-work"), Duration::ZERO);
    let mut reader = police.receive(Vec::new()).await.unwrap();
    for number in 0..10 {
        let to = ["police/duty"];
        let document = concern("social-work", &to, &format!("R-{number}"));
        let begun = Instant::now();
        let entry = sent(social, &document).await;
        assert_eq!(next_entry(&mut reader).await, entry);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < THROUGH_MAX, "{slowest:?}");
    println!("unread: {grown} KiB more, {taken} of a bulk taken; others in {slowest:?}");
    drop((answers, unread, reader, to));
    let kept = Told { accepted: told.accepted, not: Vec::new() };
    assert_eq!(kept.try_kept(&world).await, Ok(()));
    process.stop();
    world.start().await;
    world.check().await;
}
