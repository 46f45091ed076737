//! Deadlines: set when a concern is accepted, by each recipient's own calendar, and there to stay.

use cairn::{
    clock::{Clock, Moment},
    domain::{
        calendar::Calendar,
        deadline::{Deadline, Duty},
        ids::InboxId,
        vocabulary::Urgency,
    },
    proto::{self, Facts, GetConcernRequest, directory_change::Change, get_concern_request::By},
    wire::client::Client,
};
use serde_json::json;

use crate::support::{World, code, inbox_change, statements::*};

/// What the sender sees of a concern: its entry's facts, when it was accepted, its deliveries.
async fn seen(client: &Client, entry: u64) -> (Facts, Moment, Vec<proto::Delivery>) {
    let request = GetConcernRequest { by: Some(By::Entry(entry)) };
    let found = client.exchange().get_concern(request).await.unwrap().into_inner();
    let facts = cairn::proto::decode(&found.facts).unwrap();
    (facts, Moment(found.accepted_at), found.deliveries)
}

/// Gives an inbox another calendar.
async fn works_by(world: &World, inbox: &str, calendar: &str) {
    let inbox: InboxId = inbox.parse().unwrap();
    let Change::Inbox(change) = inbox_change(&inbox, "") else { panic!("of an inbox") };
    let change = proto::Inbox { calendar: calendar.into(), ..change };
    world.apply_signed(Change::Inbox(change), inbox.agency()).await.unwrap();
}

fn seconds(moment: Moment) -> u64 {
    moment.0 / 1_000_000_000
}

/// I14: each inbox has the deadlines of its own calendar as it was at acceptance, and no later
/// change of calendar moves them.
#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_the_deadlines_of_its_own_calendar_and_keeps_them() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    works_by(&world, "school/duty", "scotland-school-days").await;
    works_by(&world, "social-work/duty", "a name that nobody knows").await;
    let both = ["school/duty", "social-work/duty"];
    let document = with(concern("police", &both, "D-1"), json!({"urgency": "prompt"}));
    let entry = sent(police, &document).await;
    let (facts, accepted, before) = seen(police, entry).await;
    let calendars = [Calendar::named("scotland-school-days").unwrap(), Calendar::Always];
    let due = |duty| {
        calendars
            .each_ref()
            .map(|by| seconds(Deadline::of(duty, Urgency::Prompt, by, &[], accepted).unwrap().due))
    };
    assert_eq!(facts.acknowledgement_due, due(Duty::Acknowledge));
    assert_eq!(facts.decision_due, due(Duty::Decide));
    for (delivery, number) in before.iter().zip(0..) {
        assert_eq!(delivery.addressed, both[number]);
        assert_eq!(delivery.acknowledgement_due, facts.acknowledgement_due[number]);
        assert_eq!(delivery.next_due, delivery.acknowledgement_due);
    }
    works_by(&world, "school/duty", "24x7").await;
    assert_eq!(seen(police, entry).await.2, before, "what was set stands");
    world.check().await;
}

/// I14: an inbox's own days off count, from when the directory has them, and what is no day is
/// refused: a deadline must not hang on a guess.
#[tokio::test(flavor = "multi_thread")]
async fn days_off_of_an_inbox_count_and_what_is_no_day_is_refused() {
    let world = World::with_agencies().await;
    let inbox: InboxId = "school/duty".parse().unwrap();
    let closed_on = async |days: &[&str]| {
        let Change::Inbox(change) = inbox_change(&inbox, "") else { panic!("of an inbox") };
        let closed_on = days.iter().map(ToString::to_string).collect();
        let calendar = "scotland-working-hours".into();
        let change = proto::Inbox { calendar, closed_on, ..change };
        world.apply_signed(Change::Inbox(change), "school").await
    };
    let from = world.clock.now().in_london().date();
    let later = |days: i64| from.checked_add(jiff::Span::new().days(days)).unwrap();
    let break_of_a_fortnight = format!("{from}/{}", later(14));
    closed_on(&[&break_of_a_fortnight]).await.unwrap();
    let both = ["school/duty", "social-work/duty"];
    let document = with(concern("police", &both, "D-9"), json!({"urgency": "routine"}));
    let (facts, accepted, _) =
        seen(world.agency("police"), sent(world.agency("police"), &document).await).await;
    let closed = Calendar::named("scotland-working-hours").unwrap();
    let closed = closed.closed_on_days(&[break_of_a_fortnight]);
    let due = |by: &Calendar| {
        seconds(Deadline::of(Duty::Acknowledge, Urgency::Routine, by, &[], accepted).unwrap().due)
    };
    assert_eq!(facts.acknowledgement_due, [due(&closed), due(&Calendar::Always)]);
    assert!(facts.acknowledgement_due[0] > accepted.0 / 1_000_000_000 + 14 * 86_400);

    let sixty = format!("{from}/{}", later(60));
    let backwards = format!("{}/{from}", later(1));
    for wrong in [
        "",
        "tomorrow",
        "2026-02-30",
        "2026-10-12T00:00:00",
        "2026-1-2",
        "20261012",
        "2026-10-12/",
        "/2026-10-12",
        "2026-10-12/2026-10-13/2026-10-14",
        &sixty,
        &backwards,
    ] {
        assert_eq!(code(closed_on(&[wrong]).await), "field_invalid", "{wrong:?}");
    }
    assert_eq!(code(closed_on(&["2026-10-12"; 65]).await), "field_invalid");
    closed_on(&["2026-10-12"; 64]).await.unwrap();
    world.check().await;
}

/// The deadline that runs is the one of what is to be done next; being stored stops none.
#[tokio::test(flavor = "multi_thread")]
async fn one_deadline_runs_at_a_time_until_the_sender_was_told() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let document = concern("police", &["school/duty"], "D-2");
    let entry = sent(police, &with(document, json!({"urgency": "immediate"}))).await;
    let now = async || {
        let (_, accepted, deliveries) = seen(police, entry).await;
        (seconds(accepted), deliveries[0].clone())
    };
    let (accepted, queued) = now().await;
    assert_eq!(queued.next_due, accepted + 15 * 60);
    say(school, entry, "school/duty", stored()).await.unwrap();
    assert_eq!(now().await.1.next_due, queued.next_due);
    say(school, entry, "school/duty", acknowledged()).await.unwrap();
    assert_eq!(now().await.1.next_due, accepted + 60 * 60);
    say(school, entry, "school/duty", decided("assessment")).await.unwrap();
    let (_, decided) = now().await;
    assert_eq!(decided.next_due, decided.feedback_due);
    assert!(decided.feedback_due > accepted);
    feedback(school, entry, "school/duty", "police/duty").await.unwrap();
    assert_eq!(now().await.1.next_due, 0, "it is the sender's now");
    world.check().await;
}

/// What is for information is due to be read, and then nothing more is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_information_is_due_to_be_read_and_no_more() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let document = concern("police", &["school/duty"], "D-3");
    let entry = sent(police, &with(document, json!({"urgency": "information"}))).await;
    say(school, entry, "school/duty", stored()).await.unwrap();
    let (facts, _, deliveries) = seen(police, entry).await;
    assert!(facts.decision_due.is_empty() && deliveries[0].decision_due == 0);
    assert!(deliveries[0].next_due > 0);
    say(school, entry, "school/duty", opened()).await.unwrap();
    assert_eq!(seen(police, entry).await.2[0].next_due, 0);
    world.check().await;
}

/// I2: what is on its way when the directory changes is judged again by the directory as it is
/// then, and goes in once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statements_on_their_way_while_the_directory_changes_go_in_once() {
    let world = World::with_agencies().await;
    let police = world.agency("police").clone();
    let mut sending = tokio::task::JoinSet::new();
    for lane in 0..8 {
        let police = police.clone();
        sending.spawn(async move {
            for number in 0..12 {
                let reference = format!("M-{lane}-{number}");
                sent(&police, &concern("police", &["school/duty"], &reference)).await;
            }
        });
    }
    let mut changes = 0;
    while !sending.is_empty() {
        works_by(&world, "social-work/duty", ["24x7", "england-working-hours"][changes % 2]).await;
        changes += 1;
        while let Some(done) = sending.try_join_next() {
            done.unwrap();
        }
    }
    assert!(changes > 1);
    assert_eq!(world.summary().await.deliveries, 96);
    world.check().await;
}
