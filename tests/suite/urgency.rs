//! How urgent a concern is, said anew: raised by whoever has to do with it, lowered by its sender.

use cairn::{
    domain::ids::InboxId,
    proto::{UrgencyChange, statement::Act},
    wire::client::{Client, ClientError},
};
use serde_json::json;

use crate::{
    escalation::{at_minute, climbed, delivery, ladder, sent_to_school, waiting},
    support::{code, statements::*},
};

const SECOND: u64 = 1_000_000_000;

fn to(urgency: &str) -> Act {
    let reason = "new_information".to_owned();
    Act::UrgencyChange(UrgencyChange { person: person(), urgency: urgency.into(), reason })
}

/// What the sender says of its concern.
async fn by_sender(client: &Client, entry: u64, act: Act) -> Result<u64, ClientError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    let envelope = client.compose(|composer| composer.of_sender(entry, id, act));
    Ok(client.submit(&envelope).await?.receipt.unwrap().entry)
}

/// I14: raised, it is due sooner and the ladder is climbed from now on; lowered by its sender, what
/// is due stays due.
#[tokio::test(flavor = "multi_thread")]
async fn raised_it_is_due_sooner_and_lowered_nothing_is_due_later() {
    let world = ladder().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let (entry, accepted) = sent_to_school(&world, "routine", "U-1").await;
    let routine = delivery(&world, entry).await;
    say(school, entry, "school/duty", stored()).await.unwrap();
    at_minute(&world, accepted, 10);
    say(school, entry, "school/duty", to("immediate")).await.unwrap();
    let raised = delivery(&world, entry).await;
    let seconds = accepted.0 / SECOND;
    assert_eq!((raised.urgency.as_str(), raised.state), ("immediate", 2));
    assert_eq!(raised.acknowledgement_due, seconds + 25 * 60, "15 minutes from when it was raised");
    assert_eq!(raised.decision_due, seconds + 70 * 60);
    assert!(raised.acknowledgement_due < routine.acknowledgement_due);
    assert_eq!(raised.next_rung_at, seconds + 15 * 60);
    let told = waiting(police).await.pop().expect("the sender hears of it");
    let line = cairn::wire::client::open::written(&told, &open(police, &told));
    assert_eq!(
        (line["type"].as_str(), line["urgency"].as_str()),
        (Some("urgency_change"), Some("immediate"))
    );

    at_minute(&world, accepted, 15);
    climbed(&world, entry, 1).await;
    by_sender(police, entry, to("routine")).await.unwrap();
    let lowered = delivery(&world, entry).await;
    assert_eq!(lowered.urgency, "routine");
    assert_eq!(lowered.acknowledgement_due, raised.acknowledgement_due, "deadlines stand");
    assert_eq!(lowered.decision_due, raised.decision_due);
    at_minute(&world, accepted, 25);
    climbed(&world, entry, 3).await;
    assert!(waiting(school).await.iter().any(|notice| notice.entry > entry), "who has it is told");
    world.check().await;
}

/// A rung of the old ladder that is behind it does not keep the deputy from being told now.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_routine_concern_that_is_raised_still_reaches_the_deputy() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "routine", "U-2").await;
    let due = delivery(&world, entry).await.acknowledgement_due;
    let minutes = (due - accepted.0 / SECOND) / 60 + 1;
    at_minute(&world, accepted, minutes);
    assert_eq!(climbed(&world, entry, 1).await.rung, "manager");
    assert!(waiting(world.agency("social-work")).await.is_empty());
    by_sender(world.agency("police"), entry, to("urgent")).await.unwrap();
    at_minute(&world, accepted, minutes + 20);
    let told = climbed(&world, entry, 2).await;
    assert_eq!(told.stand_ins, ["social-work/duty"]);
    assert_eq!(waiting(world.agency("social-work")).await.len(), 1);
    world.check().await;
}

/// I2: only who has to do with it, only the sender downwards, only with a person and a reason.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_changes_by_others_downwards_by_recipients_and_without_a_reason() {
    let world = ladder().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let (entry, _) = sent_to_school(&world, "prompt", "U-3").await;
    let by_school = async |act| code(say(school, entry, "school/duty", act).await);
    assert_eq!(by_school(to("routine")).await, "field_invalid", "lowered by its sender alone");
    assert_eq!(by_school(to("prompt")).await, "field_invalid", "it is that already");
    assert_eq!(by_school(to("at once")).await, "field_invalid");
    let silent = UrgencyChange { person: person(), urgency: "urgent".into(), reason: " ".into() };
    assert_eq!(by_school(Act::UrgencyChange(silent.clone())).await, "field_invalid");
    let nobody = UrgencyChange { person: None, ..silent };
    assert_eq!(by_school(Act::UrgencyChange(nobody)).await, "person_required");
    let night = world.agency("night");
    assert_eq!(code(say(night, entry, "night/duty", to("urgent")).await), "unknown_statement");
    assert_eq!(code(by_sender(night, entry, to("urgent")).await), "unknown_statement");
    by_sender(police, entry, to("urgent")).await.unwrap();
    assert_eq!(delivery(&world, entry).await.urgency, "urgent");
    world.check().await;
}

/// What one recipient raises, all have sooner; who has decided is asked for nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn raised_by_one_it_is_raised_for_all_who_have_not_decided() {
    let world = ladder().await;
    let both = ["school/duty", "social-work/duty"];
    let document = with(concern("police", &both, "U-4"), json!({"urgency": "prompt"}));
    let entry = sent(world.agency("police"), &document).await;
    let school = world.agency("school");
    for act in [stored(), acknowledged(), decided("assessment")] {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    let social_work = world.agency("social-work");
    let inbox: InboxId = "social-work/duty".parse().unwrap();
    say(social_work, entry, inbox.as_str(), to("immediate")).await.unwrap();
    let request = cairn::proto::GetConcernRequest {
        by: Some(cairn::proto::get_concern_request::By::Entry(entry)),
    };
    let found = world.agency("police").exchange().get_concern(request).await.unwrap();
    let urgencies: Vec<_> =
        found.into_inner().deliveries.into_iter().map(|it| (it.addressed, it.urgency)).collect();
    let expected = [("school/duty", "prompt"), ("social-work/duty", "immediate")];
    assert_eq!(urgencies, expected.map(|(inbox, urgency)| (inbox.to_owned(), urgency.to_owned())));
    world.check().await;
}

/// I6, I14: raised after its whole ladder was climbed, it has a ladder again: the deputy and the
/// out-of-hours team are offered it, the sender hears, and what is overdue stays overdue.
#[tokio::test(flavor = "multi_thread")]
async fn raised_after_its_ladder_was_climbed_it_is_climbed_anew_to_its_end() {
    let world = ladder().await;
    let (police, night) = (world.agency("police"), world.agency("night"));
    let (entry, accepted) = sent_to_school(&world, "prompt", "U-9").await;
    at_minute(&world, accepted, 241);
    climbed(&world, entry, 3).await;
    let overdue = delivery(&world, entry).await;
    assert!(waiting(night).await.is_empty(), "of prompt the manager is told, nobody out of hours");
    by_sender(police, entry, to("immediate")).await.unwrap();
    let raised = delivery(&world, entry).await;
    assert_eq!(raised.acknowledgement_due, overdue.acknowledgement_due, "it never comes later");
    assert!(raised.next_rung_at > 0);
    at_minute(&world, accepted, 241 + 6);
    assert_eq!(climbed(&world, entry, 4).await.rung, "deputy");
    at_minute(&world, accepted, 241 + 11);
    assert_eq!(climbed(&world, entry, 5).await.rung, "out_of_hours");
    assert!(waiting(night).await.iter().any(|it| it.entry == entry), "offered there now");
    at_minute(&world, accepted, 241 + 16);
    assert_eq!(climbed(&world, entry, 6).await.rung, "senior");
    world.check().await;
}
