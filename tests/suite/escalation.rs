//! The ladder: while nobody acts, one party after another is told, and can act.

use std::time::Duration;

use cairn::{
    clock::{Clock, Moment},
    domain::ids::InboxId,
    limits,
    proto::{
        self, Delivery, EntryType, Facts, GetConcernRequest, Incoming, ListDeliveriesRequest,
        directory_change::Change, get_concern_request::By, receive_response::Item,
    },
    wire::client::{Client, enrol},
};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;

use crate::{
    process::PATIENCE,
    support::{EXCHANGE, World, code, inbox_change, next, statements::*},
};

const SECOND: u64 = 1_000_000_000;

/// A world in which social work stands in for the school, and `night` answers out of hours.
pub async fn ladder() -> World {
    ladder_in(World::new().await).await
}

/// The same in a world without agencies.
pub async fn ladder_in(mut world: World) -> World {
    for agency in ["police", "school", "social-work", "night"] {
        world.enrol(agency, &["duty"]).await;
    }
    world.agree("all", &["police", "school", "social-work"]).await;
    let area = proto::Area {
        id: "here".into(),
        catch_all: "social-work/duty".into(),
        out_of_hours: "night/duty".into(),
        senior_post: "head of service".into(),
        senior_phone: "0131 496 0001".into(),
        reviewer: String::new(),
    };
    let signers = ["social-work", "night"].map(|agency| world.agency(agency).folder());
    let area = enrol::signed(EXCHANGE, Change::Area(area), &signers);
    world.admin.apply(area).await.unwrap();
    let (id, kind, name) = ("school".into(), "school".into(), "school".into());
    let school = proto::Agency { id, kind, name, area: "here".into() };
    world.apply_signed(Change::Agency(school), "school").await.unwrap();
    let inbox: InboxId = "school/duty".parse().unwrap();
    world.apply_signed(inbox_change(&inbox, "social-work/duty"), "school").await.unwrap();
    world.refresh().await;
    world
}

/// Sends a concern to the school; its entry and when it was accepted.
pub async fn sent_to_school(world: &World, urgency: &str, reference: &str) -> (u64, Moment) {
    let document = concern("police", &["school/duty"], reference);
    let entry = sent(world.agency("police"), &with(document, json!({"urgency": urgency}))).await;
    let delivery = delivery(world, entry).await;
    (entry, Moment(delivery.accepted_at))
}

pub async fn delivery(world: &World, entry: u64) -> Delivery {
    let request = GetConcernRequest { by: Some(By::Entry(entry)) };
    let found = world.agency("police").exchange().get_concern(request).await.unwrap();
    found.into_inner().deliveries.remove(0)
}

/// Moves the clock to so many minutes after a moment.
pub fn at_minute(world: &World, from: Moment, minutes: u64) {
    world.clock.set(Moment(from.0 + minutes * 60 * SECOND));
}

/// Waits until a rung after this many entries is climbed, and gives the delivery then.
pub async fn climbed(world: &World, entry: u64, rungs: usize) -> Delivery {
    let climbed = async {
        while escalations(world, entry).await.len() < rungs {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, climbed).await.expect("the rung is climbed");
    assert_eq!(escalations(world, entry).await.len(), rungs);
    delivery(world, entry).await
}

/// The entries of a concern's thread that are rungs.
async fn escalations(world: &World, entry: u64) -> Vec<u64> {
    let request = GetConcernRequest { by: Some(By::Entry(entry)) };
    let found = world.agency("police").exchange().get_concern(request).await.unwrap();
    let thread = found.into_inner().thread.into_iter();
    thread.filter(|it| it.r#type() == EntryType::Escalation).map(|it| it.entry).collect()
}

pub async fn waiting(client: &Client) -> Vec<Incoming> {
    let request = ListDeliveriesRequest::default();
    client.exchange().list_deliveries(request).await.unwrap().into_inner().incoming
}

/// What a notice of a rung says: what was not done, who was told, to whom it was offered.
fn said(client: &Client, notice: &Incoming) -> [String; 3] {
    let opened = open(client, notice);
    let line = cairn::wire::client::open::written(notice, &opened);
    assert_eq!(
        (line["type"].as_str(), line["about"].as_str()),
        (Some("escalation"), Some("school/duty"))
    );
    ["not_done", "told", "offered_to"]
        .map(|name| line[name].as_str().unwrap_or_default().to_owned())
}

/// I5, I6, I14: rung after rung, each once, also over a restart; the deputy and the out-of-hours
/// team can open it with their own keys, and could not before; the sender hears of each.
#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_answers_each_rung_is_climbed_once_and_opens_the_body_to_who_is_told() {
    let mut world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "immediate", "L-1").await;
    let (police, deputy, night) = (
        world.agency("police").clone(),
        world.agency("social-work").clone(),
        world.agency("night").clone(),
    );
    let before = delivery(&world, entry).await;
    assert_eq!(before.next_rung_at * SECOND / SECOND, accepted.0 / SECOND + 5 * 60);
    assert!(waiting(&deputy).await.is_empty() && waiting(&night).await.is_empty());

    at_minute(&world, accepted, 5);
    let told = climbed(&world, entry, 1).await;
    assert_eq!(
        (told.rung.as_str(), &told.stand_ins[..]),
        ("deputy", &["social-work/duty".to_owned()][..])
    );
    assert_eq!((told.inbox.as_str(), told.responsible.as_str()), ("school/duty", "exchange"));
    let offered = next(&deputy).await;
    assert_eq!((offered.entry, offered.inbox.as_str()), (entry, "social-work/duty"));
    let wraps = &offered.body.as_ref().unwrap().wraps;
    assert!(wraps.len() == 1 && wraps[0].inbox == "social-work/duty", "only its own wrap");
    assert!(open(&deputy, &offered).body.is_some(), "opened with the deputy's own key");
    assert!(waiting(&night).await.is_empty(), "nobody is told before its time");
    let notice = next(&police).await;
    assert_eq!(said(&police, &notice), ["acknowledge", "deputy", "social-work/duty"]);
    say(&police, notice.entry, "police/duty", stored()).await.unwrap();
    assert!(waiting(&police).await.is_empty(), "a notice is delivered until it is stored");

    world.stop().await;
    world.start().await;
    at_minute(&world, accepted, 10);
    assert_eq!(climbed(&world, entry, 2).await.rung, "out_of_hours");
    assert!(open(&night, &next(&night).await).body.is_some());
    at_minute(&world, accepted, 15);
    assert_eq!(climbed(&world, entry, 3).await.rung, "senior");

    // The decision's own ladder goes on: 20, 40 and 60 minutes.
    at_minute(&world, accepted, 60);
    let last = climbed(&world, entry, 6).await;
    assert_eq!(last.next_rung_at, 0);
    let told: Vec<_> = waiting(&police).await.iter().map(|notice| said(&police, notice)).collect();
    let words: Vec<_> = told.iter().map(|[duty, rung, _]| (duty.as_str(), rung.as_str())).collect();
    let expected = [
        ("acknowledge", "out_of_hours"),
        ("acknowledge", "senior"),
        ("decide", "deputy"),
        ("decide", "out_of_hours"),
        ("decide", "senior"),
    ];
    assert_eq!(words, expected);
    at_minute(&world, accepted, 24 * 60);
    world.stop().await;
    world.start().await;
    world.climb().await;
    assert_eq!(escalations(&world, entry).await.len(), 6, "no rung is climbed twice");
    world.check().await;
}

/// I6: who stands in and acknowledges has it from then on; nobody else is told for that, and whom
/// it was taken over from still gets it and can take it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_that_acknowledges_has_it_from_then_on() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "immediate", "L-2").await;
    let (school, deputy) = (world.agency("school"), world.agency("social-work"));
    let early = say(deputy, entry, "social-work/duty", acknowledged()).await;
    assert_eq!(code(early), "unknown_statement", "nothing was offered to it yet");

    at_minute(&world, accepted, 5);
    climbed(&world, entry, 1).await;
    let night = say(world.agency("night"), entry, "night/duty", acknowledged()).await;
    assert_eq!(code(night), "unknown_statement", "nor to others");
    for act in [stored(), opened()] {
        say(deputy, entry, "social-work/duty", act).await.unwrap();
    }
    assert!(waiting(deputy).await.is_empty());
    assert_eq!(
        delivery(&world, entry).await.responsible,
        "exchange",
        "the school's is still to come"
    );
    say(deputy, entry, "social-work/duty", acknowledged()).await.unwrap();
    let taken = delivery(&world, entry).await;
    assert_eq!(
        (taken.inbox.as_str(), taken.responsible.as_str()),
        ("social-work/duty", "social-work/duty")
    );
    assert_eq!(taken.stand_ins, ["school/duty"]);

    at_minute(&world, accepted, 15);
    let offered = next(school).await;
    assert_eq!(offered.entry, entry, "the school has it too, when its system is there again");
    say(school, entry, "school/duty", stored()).await.unwrap();
    let decided_early = say(school, entry, "school/duty", decided("assessment")).await;
    assert_eq!(code(decided_early), "not_a_recipient", "it is the deputy's to decide");
    say(school, entry, "school/duty", acknowledged()).await.unwrap();
    assert_eq!(delivery(&world, entry).await.inbox, "school/duty", "taken back");
    say(deputy, entry, "social-work/duty", acknowledged()).await.unwrap();
    say(deputy, entry, "social-work/duty", decided("assessment")).await.unwrap();
    feedback(deputy, entry, "social-work/duty", "police/duty").await.unwrap();
    at_minute(&world, accepted, 60);
    let police = world.agency("police");
    let last = waiting(police).await.pop().unwrap();
    say(police, last.entry, "police/duty", stored()).await.unwrap();
    let end = delivery(&world, entry).await;
    assert_eq!((end.responsible.as_str(), end.next_rung_at), ("nobody", 0));
    assert_eq!(escalations(&world, entry).await.len(), 1, "acknowledged and decided in time");
    world.check().await;
}

/// I12: who acknowledges in time keeps it to itself: what was offered and not yet stored is not
/// offered any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_nobody_needs_any_more_is_taken_back() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "immediate", "L-3").await;
    let (school, deputy) = (world.agency("school"), world.agency("social-work"));
    at_minute(&world, accepted, 5);
    climbed(&world, entry, 1).await;
    assert_eq!(waiting(deputy).await.len(), 1);
    for act in [stored(), acknowledged()] {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    assert!(waiting(deputy).await.is_empty());
    // The decision is late: it is offered again, for that.
    at_minute(&world, accepted, 20);
    climbed(&world, entry, 2).await;
    assert_eq!(waiting(deputy).await.len(), 1);
    assert_eq!(delivery(&world, entry).await.next_rung_at, accepted.0 / SECOND + 40 * 60);
    world.check().await;
}

/// I11: a rung is an entry of the exchange's own: whose, what for, who was told, and nothing that
/// names a child or the sender's reference.
#[tokio::test(flavor = "multi_thread")]
async fn a_rung_says_what_was_not_done_and_names_nobody() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "urgent", "L-4-Quillfeather").await;
    at_minute(&world, accepted, 20);
    climbed(&world, entry, 1).await;
    let notice = next(world.agency("police")).await;
    let facts: Facts = proto::decode(&notice.facts).unwrap();
    assert!(notice.statement.is_empty() && notice.body.is_none());
    assert_eq!(facts.inboxes, ["social-work/duty", "police/duty"]);
    assert_eq!((facts.answers, facts.sender.as_str()), (Some(entry), ""));
    assert_eq!((facts.subject.as_str(), facts.code.as_str()), ("acknowledge", "deputy"));
    assert_eq!((facts.sender_number, facts.inbox_numbers.len()), (0, 2));
    assert!(!String::from_utf8_lossy(&notice.facts).contains("Quillfeather"));
    world.check().await;
}

/// I14: deciding anew puts off nobody's being told, and what is told anew is asked for anew.
#[tokio::test(flavor = "multi_thread")]
async fn deciding_anew_puts_no_feedback_off() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "prompt", "L-7").await;
    let school = world.agency("school");
    for act in [stored(), acknowledged(), decided("assessment")] {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    let due = delivery(&world, entry).await.feedback_due;
    let minutes = (due - accepted.0 / SECOND) / 60 + 1;
    at_minute(&world, accepted, minutes);
    assert_eq!(climbed(&world, entry, 1).await.rung, "manager");
    say(school, entry, "school/duty", decided("strategy_or_ird")).await.unwrap();
    assert_eq!(delivery(&world, entry).await.feedback_due, due, "it is as late as before");
    at_minute(&world, accepted, 2 * minutes + 24 * 60);
    assert_eq!(climbed(&world, entry, 2).await.rung, "senior");
    feedback(school, entry, "school/duty", "police/duty").await.unwrap();
    say(school, entry, "school/duty", decided("assessment")).await.unwrap();
    assert!(delivery(&world, entry).await.feedback_due > due, "this is to be told too");
    at_minute(&world, accepted, 4 * minutes + 4 * 24 * 60);
    climbed(&world, entry, 4).await;
    world.check().await;
}

/// I6: one team that stands in for two recipients has the offer of the second when the first has
/// acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn who_stands_in_for_two_keeps_the_offer_of_the_second() {
    let mut world = ladder().await;
    world.enrol("nursery", &["duty"]).await;
    let (id, kind, name) = ("nursery".into(), "early_years".into(), "nursery".into());
    let nursery = proto::Agency { id, kind, name, area: "here".into() };
    world.apply_signed(Change::Agency(nursery), "nursery").await.unwrap();
    world.refresh().await;
    let both = ["nursery/duty", "school/duty"];
    let document = with(concern("police", &both, "L-8"), json!({"urgency": "immediate"}));
    let entry = sent(world.agency("police"), &document).await;
    let accepted = Moment(delivery(&world, entry).await.accepted_at);
    at_minute(&world, accepted, 10);
    // Two rungs of each delivery.
    climbed(&world, entry, 4).await;
    for act in [stored(), acknowledged()] {
        say(world.agency("nursery"), entry, "nursery/duty", act).await.unwrap();
    }
    let night = world.agency("night");
    assert_eq!(waiting(night).await.len(), 1, "the school has not answered");
    for act in [stored(), acknowledged()] {
        say(night, entry, "night/duty", act).await.unwrap();
    }
    let request = GetConcernRequest { by: Some(By::Entry(entry)) };
    let found = world.agency("police").exchange().get_concern(request).await.unwrap();
    let holders: Vec<_> = found.into_inner().deliveries.into_iter().map(|it| it.inbox).collect();
    assert_eq!(holders, ["nursery/duty", "night/duty"]);
    world.check().await;
}

/// I14: what waits for working hours wakes nobody at night, and no clock set back climbs twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_climbs_nothing_twice() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "immediate", "L-5").await;
    at_minute(&world, accepted, 10);
    climbed(&world, entry, 2).await;
    at_minute(&world, accepted, 0);
    assert_eq!(world.clock.now(), accepted);
    world.climb().await;
    assert_eq!(escalations(&world, entry).await.len(), 2, "nothing is climbed twice");
    at_minute(&world, accepted, 10);
    let (other, _) = sent_to_school(&world, "routine", "L-6").await;
    assert!(delivery(&world, other).await.next_rung_at >= accepted.0 / SECOND + 24 * 3600);
    at_minute(&world, accepted, 15);
    climbed(&world, entry, 3).await;
    world.check().await;
}

/// I7: who is offered an older concern has it at once, and not when everything is offered again,
/// although its stream is past it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_back_for_an_older_concern_that_a_rung_offers() {
    let world = ladder().await;
    let deputy = world.agency("social-work").clone();
    let mut stream = deputy.receive(Vec::new()).await.unwrap();
    let (older, accepted) = sent_to_school(&world, "urgent", "L-9").await;
    let newer = concern("police", &["social-work/duty"], "L-10");
    let newer = sent(world.agency("police"), &newer).await;
    let mut offered = async || loop {
        let item = stream.next().await.expect("the stream goes on").unwrap().item;
        if let Some(Item::Incoming(incoming)) = item {
            return incoming.entry;
        }
    };
    assert_eq!(offered().await, newer);
    at_minute(&world, accepted, 20);
    climbed(&world, older, 1).await;
    let at_once = limits::REDELIVERY_INTERVAL / 2;
    assert_eq!(timeout(at_once, offered()).await.expect("it is offered at once"), older);
    world.check().await;
}
