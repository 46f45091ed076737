//! Auditors ask: each answer is what is so, proved, and its gaps show.

use cairn::{
    audit::{
        knew::{Knew, Place, knew},
        look::{self, Answer, Complete},
    },
    clock::{Clock, Moment},
    proto::{EntryType, Only, QueryRequest},
    wire::client::ClientError,
};
use serde_json::json;

use crate::{
    escalation::{at_minute, climbed, ladder, sent_to_school},
    raised::some_of_each,
    support::{World, code, statements::*},
};

async fn asked(world: &World, question: QueryRequest) -> Result<Answer, ClientError> {
    let question = QueryRequest { purpose: "inspection".into(), ..question };
    look::query(&world.auditor, &question, 1_000_000, &mut |_, _| {}).await
}

/// The entries of an answer, and how it is shown that none is missing.
async fn found(world: &World, question: QueryRequest) -> (Vec<u64>, Complete) {
    let answer = asked(world, question).await.unwrap();
    assert!(!answer.more);
    (answer.rows.iter().map(|row| row.entry).collect(), answer.complete)
}

/// I11: each part of a question narrows it to what is so; what was late, refused, escalated or
/// outside any agreement is found, late for good once it was.
#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_question_narrows_it_to_what_is_so() {
    let world = ladder().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    some_of_each(&world).await;
    let flagged = with(
        concern("police", &["social-work/duty"], "A-1"),
        json!({"purpose": null, "urgency": "routine"}),
    );
    let flagged = sent(police, &flagged).await;
    let (late, accepted) = sent_to_school(&world, "urgent", "A-2").await;
    for act in [stored(), acknowledged()] {
        say(school, late, "school/duty", act).await.unwrap();
    }
    // The decision is late, and is decided then.
    at_minute(&world, accepted, 241);
    climbed(&world, late, 3).await;
    world.climb().await;
    say(school, late, "school/duty", decided("assessment")).await.unwrap();

    let only = async |kinds: &[Only]| {
        let only = kinds.iter().map(|kind| *kind as i32).collect();
        found(&world, QueryRequest { only, ..QueryRequest::default() }).await.0
    };
    assert!(
        only(&[Only::Late]).await.contains(&late) && !only(&[Only::Late]).await.contains(&flagged)
    );
    assert!(only(&[Only::Escalated]).await.contains(&late));
    let (refused, outside) = (only(&[Only::Refused]).await, only(&[Only::OutsideAgreement]).await);
    assert_eq!((refused.len(), outside.len()), (1, 2));
    assert_eq!(only(&[Only::Refused, Only::OutsideAgreement]).await.len(), 3, "any of several");

    let all = QueryRequest::default();
    let decision = QueryRequest { outcome: "assessment".into(), ..all.clone() };
    assert_eq!(found(&world, decision).await.0.len(), 1);
    let flag = QueryRequest { flags: vec!["missing_purpose".into()], ..all.clone() };
    assert_eq!(found(&world, flag).await.0, [flagged]);
    let immediate = QueryRequest { urgency: "immediate".into(), ..all.clone() };
    let kinds = |types: &[EntryType]| types.iter().map(|kind| *kind as i32).collect::<Vec<_>>();
    let immediate = QueryRequest { types: kinds(&[EntryType::Concern]), ..immediate };
    assert_eq!(found(&world, immediate).await.0, outside);
    let agreement = QueryRequest { agreement: "all".into(), ..all.clone() };
    assert_eq!(found(&world, agreement).await.0, [flagged, late]);
    // The rungs of the school's delivery are about its inbox, though the exchange says them.
    let rungs = QueryRequest { inbox: "school/duty".into(), ..all.clone() };
    let rungs =
        QueryRequest { types: kinds(&[EntryType::Escalation]), concern: Some(late), ..rungs };
    assert!(found(&world, rungs).await.0.len() >= 3);
    for wrong in [
        QueryRequest { only: vec![99], ..all.clone() },
        QueryRequest { flags: vec!["x".into(); 17], ..all.clone() },
        QueryRequest { sender: "x".repeat(200), ..all },
    ] {
        assert_eq!(code(asked(&world, wrong).await), "field_invalid");
    }
    world.check().await;
}

/// Numbers without a gap show that nothing is missing: of one sender, of one inbox, of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_by_sender_inbox_or_time_shows_that_nothing_is_missing() {
    let world = ladder().await;
    let police = world.agency("police");
    let mut sent_there = Vec::new();
    for number in 0..40_u32 {
        let to = if number % 2 == 0 { "school/duty" } else { "social-work/duty" };
        let entry = sent(police, &concern("police", &[to], &format!("C-{number}"))).await;
        sent_there.extend((number % 2 == 0).then_some(entry));
    }
    let all = QueryRequest::default();
    let sender = QueryRequest { sender: "police".into(), ..all.clone() };
    let (entries, complete) = found(&world, sender.clone()).await;
    assert_eq!(complete, Complete::ByNumber { first: 1, last: 40 });
    let inbox = QueryRequest { inbox: "school/duty".into(), ..all.clone() };
    let (received, complete) = found(&world, inbox).await;
    assert_eq!((received, complete), (sent_there, Complete::ByNumber { first: 1, last: 20 }));
    assert_eq!(found(&world, all).await.1, Complete::ByEntry);
    let urgent = QueryRequest { urgency: "prompt".into(), ..sender };
    let (narrowed, complete) = found(&world, urgent).await;
    assert!(complete == Complete::NotProved && narrowed.iter().all(|it| entries.contains(it)));

    // Page by page it is the same, and a limit says how far was looked.
    let question = QueryRequest { sender: "police".into(), ..QueryRequest::default() };
    let question = QueryRequest { purpose: "inspection".into(), ..question };
    let few = look::query(&world.auditor, &question, 7, &mut |_, _| {}).await.unwrap();
    assert_eq!((few.rows.len(), few.more, few.searched_to), (7, true, few.rows[6].entry + 1));
    world.check().await;
}

/// What was known by a moment: a rung, a take-over and a decision are not there before they came.
#[tokio::test(flavor = "multi_thread")]
async fn who_knew_what_by_a_moment_is_told_from_the_thread() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "immediate", "K-1").await;
    at_minute(&world, accepted, 5);
    climbed(&world, entry, 1).await;
    let deputy = world.agency("social-work");
    for act in [stored(), acknowledged(), decided("assessment")] {
        say(deputy, entry, "social-work/duty", act).await.unwrap();
    }
    let thread = QueryRequest { concern: Some(entry), ..QueryRequest::default() };
    let rows = asked(&world, thread).await.unwrap().rows;
    let at = |by: Moment| {
        let known = knew(&rows, by).into_iter().filter(|((of, ..), _)| *of == entry);
        let row = |((_, _, inbox), it): (Place, Knew)| {
            (inbox, it.how, it.acknowledged.is_some(), it.decided.map(|(_, outcome)| outcome))
        };
        known.map(row).collect::<Vec<_>>()
    };
    assert!(at(Moment(accepted.0 - 1)).is_empty());
    let (school, deputy) = ("school/duty".to_owned(), "social-work/duty".to_owned());
    assert_eq!(at(accepted), [(school.clone(), "addressed", false, None)]);
    let outcome = Some("assessment".to_owned());
    let now = [(school, "addressed", false, None), (deputy, "offered", true, outcome)];
    assert_eq!(at(world.clock.now()), now);
    world.check().await;
}
