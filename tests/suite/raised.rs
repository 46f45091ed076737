//! What else somebody should look at: more time, a profile's clock, an urgent concern that was
//! refused, a manifest that counts more than came, what no agreement covers, a feed gone quiet.

use std::time::Duration;

use cairn::{
    clock::{Clock, Moment},
    domain::{
        calendar::{Calendar, Clock as Time},
        document::Document,
        ids::InboxId,
    },
    proto::{
        self, AgreementReview, Extension, Facts, Incoming, Manifest, Person, SettleRequest,
        SubmitResponse, directory_change::Change, statement::Act,
    },
    wire::client::{Client, ClientError, enrol, open::written},
};
use jiff::{Span, civil::Date};
use serde_json::{Value, json};

use crate::{
    escalation::{at_minute, climbed, delivery, ladder, sent_to_school, waiting},
    support::{EXCHANGE, World, agreement, code, inbox_change, statements::*},
};

const HOUR: u64 = 3_600;

/// More time for a duty, agreed by this person.
pub fn more_time(duty: &str, until: u64, approver: &str) -> Act {
    let approver =
        Some(Person { name: approver.into(), post: "service manager".into(), ..person().unwrap() });
    let (duty, reason) = (duty.to_owned(), "awaiting_medical".to_owned());
    Act::Extension(Extension { person: person(), approver, duty, until, reason })
}

/// What an agency says of no entry.
pub async fn of_agency(client: &Client, act: Act) -> Result<SubmitResponse, ClientError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    client.submit(&client.compose(|composer| composer.of_agency(id, act))).await
}

/// What came, as a receiving system writes it.
fn line(client: &Client, incoming: &Incoming) -> Value {
    written(incoming, &open(client, incoming))
}

fn facts(said: SubmitResponse) -> Facts {
    proto::decode(&said.receipt.unwrap().facts).unwrap()
}

/// Raises something of each kind that a moment can raise: one urgent concern refused, two statements
/// missing by one manifest, and two concerns outside any agreement, one with a reviewer.
pub async fn some_of_each(world: &World) {
    let (police, school) = (world.agency("police"), world.agency("school"));
    let urgent = json!({"urgency": "immediate", "exercise": false, "agreement": null});
    let nowhere = with(concern("police", &["school/night"], "S-1"), urgent.clone());
    assert_eq!(code(send(police, &nowhere).await), "unknown_recipient");
    let request_ids = vec![vec![1; 16], vec![2; 16]];
    of_agency(police, Act::Manifest(Manifest { request_ids })).await.unwrap();
    sent(police, &with(concern("police", &["school/duty"], "S-2"), urgent.clone())).await;
    sent(school, &with(concern("school", &["police/duty"], "S-3"), urgent)).await;
}

/// I6, I14: a decision is given more time by a recorded extension alone; the sender hears of it, and
/// the ladder is climbed anew.
#[tokio::test(flavor = "multi_thread")]
async fn more_time_is_a_statement_that_somebody_senior_agreed_to_and_brings_its_own_ladder() {
    let world = ladder().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let (entry, accepted) = sent_to_school(&world, "urgent", "E-1").await;
    let before = delivery(&world, entry).await;
    let until = before.decision_due + 6 * HOUR;
    let ask = async |act| say(school, entry, "school/duty", act).await;
    assert_eq!(code(ask(more_time("decide", until, "B. Senior")).await), "out_of_turn");
    say(school, entry, "school/duty", stored()).await.unwrap();
    say(school, entry, "school/duty", acknowledged()).await.unwrap();
    // Near its end two rungs of the decision's own ladder are climbed.
    at_minute(&world, accepted, 170);
    climbed(&world, entry, 2).await;
    for act in [
        more_time("acknowledge", until, "B. Senior"),
        more_time("decide", before.decision_due - 1, "B. Senior"),
        more_time("decide", before.decision_due + 29 * 24 * HOUR, "B. Senior"),
        more_time("decide", until, "a.tester"),
    ] {
        assert_eq!(code(ask(act).await), "field_invalid");
    }
    assert_eq!(code(ask(more_time("decide", until, "")).await), "person_required");
    assert_eq!(code(ask(more_time("feedback", until, "B. Senior")).await), "out_of_turn");
    assert_eq!(delivery(&world, entry).await.decision_due, before.decision_due, "it stands");

    let said = facts(ask(more_time("decide", until, "B. Senior")).await.unwrap());
    assert_eq!((said.subject.as_str(), &said.decision_due[..]), ("decide", &[until][..]));
    let after = delivery(&world, entry).await;
    assert_eq!((after.decision_due, after.rung.as_str()), (until, ""));
    assert_eq!(after.acknowledgement_due, before.acknowledgement_due);
    let told = waiting(police).await.pop().expect("the sender hears of it");
    let told = line(police, &told);
    assert_eq!(
        (told["type"].as_str(), told["not_done"].as_str()),
        (Some("extension"), Some("decide"))
    );
    assert_eq!(told["asked_by"], json!({"name": "A. Tester", "post": "duty officer"}));
    assert_eq!(told["agreed_by"], json!({"name": "B. Senior", "post": "service manager"}));
    // A third of the new time later its own deputy's rung is climbed.
    world.clock.set(Moment::of_seconds(after.next_rung_at));
    let anew = climbed(&world, entry, 3).await;
    assert_eq!(anew.rung, "deputy");
    assert!(anew.next_rung_at > after.next_rung_at);
    world.check().await;
}

/// I14: an agreement's profile makes a deadline sooner, by the recipient's own calendar; one that
/// nobody knows is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_an_agreement_tightens_and_one_that_nobody_knows_is_refused() {
    let world = World::with_agencies().await;
    let inbox: InboxId = "school/duty".parse().unwrap();
    let Change::Inbox(change) = inbox_change(&inbox, "") else { panic!("of an inbox") };
    let change = proto::Inbox { calendar: "scotland-school-days".into(), ..change };
    world.apply_signed(Change::Inbox(change), "school").await.unwrap();
    let parties = ["police", "school"];
    let signers = parties.map(|agency| world.agency(agency).folder());
    let agree = async |id: &str, profile: &str| {
        let profiles = vec![profile.to_owned()];
        let change = Change::Agreement(proto::Agreement { profiles, ..agreement(id, &parties) });
        world.admin.apply(enrol::signed(EXCHANGE, change, &signers)).await
    };
    assert_eq!(code(agree("a", "encompas").await), "field_invalid");
    agree("encompass", "encompass").await.unwrap();
    world.refresh().await;
    let police = world.agency("police");
    let due = async |agreement: &str| {
        let document = concern("police", &["school/duty"], agreement);
        let document = with(document, json!({"agreement": agreement, "urgency": "routine"}));
        let delivery = delivery(&world, sent(police, &document).await).await;
        (delivery.acknowledgement_due, Moment(delivery.accepted_at))
    };
    let calendar = Calendar::named("scotland-school-days").unwrap();
    let (sooner, accepted) = due("encompass").await;
    assert_eq!(sooner, calendar.due(Time::NextSchoolDay, accepted).seconds());
    let (own, accepted) = due("all").await;
    assert_eq!(own, calendar.due(Time::WorkingDays(1), accepted).seconds());
    assert!(sooner < own);
    world.check().await;
}

/// I14: an inbox can give itself less time than the urgency, never more.
#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_can_be_stricter_with_itself_and_never_looser() {
    let world = World::with_agencies().await;
    let inbox: InboxId = "school/duty".parse().unwrap();
    let own_times = async |times: &[(&str, u32, u32)]| {
        let Change::Inbox(change) = inbox_change(&inbox, "") else { panic!("of an inbox") };
        let own =
            times.iter().map(|(urgency, acknowledge_minutes, decide_minutes)| proto::OwnTime {
                urgency: (*urgency).into(),
                acknowledge_minutes: *acknowledge_minutes,
                decide_minutes: *decide_minutes,
            });
        let change = proto::Inbox { own_times: own.collect(), ..change };
        world.apply_signed(Change::Inbox(change), "school").await
    };
    for wrong in [
        &[("immediate", 100_001, 0)][..],
        &[("urgently", 1, 0)],
        &[("urgent", 30, 0), ("urgent", 20, 0)],
        &[("urgent", 0, 0)],
        &[("urgent", 60, 0)],
        &[("urgent", 30, 240)],
        &[("information", 60, 60)],
    ] {
        assert_eq!(code(own_times(wrong).await), "field_invalid");
    }
    own_times(&[("immediate", 6, 0), ("urgent", 0, 30)]).await.unwrap();
    let due = async |urgency: &str| {
        let (entry, accepted) = sent_to_school(&world, urgency, urgency).await;
        let delivery = delivery(&world, entry).await;
        let minutes = |due: u64| (due - accepted.seconds()) / 60;
        let rung = delivery.next_rung_at - accepted.seconds();
        (minutes(delivery.acknowledgement_due), minutes(delivery.decision_due), rung)
    };
    assert_eq!(due("immediate").await, (6, 60, 2 * 60), "with its ladder");
    assert_eq!(due("urgent").await, (60, 30, 10 * 60));
    world.check().await;
}

/// I6, I11: an urgent concern that was refused is told to its sender's inbox, once, whether it was
/// proved who sent it or not; once it is stored there, or sent again, nobody need look any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_concern_that_is_refused_is_told_to_its_senders_inbox() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let urgent = |reference: &str, to: &str, exercise: bool| {
        let changes = json!({"urgency": "immediate", "exercise": exercise});
        with(concern("police", &[to], reference), changes)
    };
    let nowhere = urgent("R-1", "school/night", false);
    for _ in 0..2 {
        assert_eq!(code(send(police, &nowhere).await), "unknown_recipient");
    }
    assert_eq!(code(send(police, &urgent("R-2", "school/night", true)).await), "unknown_recipient");
    let routine = with(nowhere.clone(), json!({"urgency": "routine", "reference": "R-3"}));
    assert_eq!(code(send(police, &routine).await), "unknown_recipient");
    let mut forged: proto::Envelope =
        proto::decode(&envelope(police, &urgent("R-4", "school/duty", false))).unwrap();
    forged.signature.as_mut().unwrap().signature[0] ^= 1;
    assert_eq!(code(police.submit(&proto::encode(&forged)).await), "forged_signature");

    let told = waiting(police).await;
    let codes: Vec<_> = told.iter().map(|it| line(police, it)["code"].clone()).collect();
    assert_eq!(codes, ["unknown_recipient", "forged_signature"], "each once, no exercise");
    assert_eq!(told[0].inbox, "police/duty");
    let id = |document: &Value| {
        let document = Document::parse(document.to_string().as_bytes()).unwrap();
        police.compose(|composer| composer.request_id(&document)).to_vec()
    };
    assert_eq!(told[0].refused_request_id, id(&nowhere), "its sender can tell which it was");
    let refused = async || world.summary().await.refused_urgent;
    assert_eq!(refused().await, 2);
    say(police, told[1].entry, "police/duty", stored()).await.unwrap();
    assert_eq!(refused().await, 2, "a program that has the notice is nobody who has seen to it");
    assert!(waiting(world.agency("school")).await.is_empty(), "nobody else is told");
    sent(police, &with(nowhere, json!({"to": ["school/duty"]}))).await;
    assert_eq!(refused().await, 1, "it was said again and accepted");
    assert_eq!(code(settle(&world, told[1].entry, "").await), "field_invalid");
    settle(&world, told[1].entry, "told_by_phone").await.unwrap();
    settle(&world, told[1].entry, "told_by_phone").await.unwrap();
    assert_eq!(refused().await, 0, "somebody on call has seen to it");
    assert_eq!(code(settle(&world, told[1].entry, "once_more").await), "unknown_statement");
    assert_eq!(code(settle(&world, 0, "no_refusal").await), "unknown_statement");
    world.check().await;
}

/// Somebody on call has seen to what an entry raises.
async fn settle(world: &World, entry: u64, reason: &str) -> Result<u64, ClientError> {
    let by = person();
    let request_id = format!("settles {entry:>10} {reason}").into_bytes();
    let request = SettleRequest { request_id, entry, by, reason: reason.into() };
    let said = world.on_call.status().settle(request).await.map_err(ClientError::from)?;
    Ok(said.into_inner().entry)
}

/// I6: nothing said before keeps an urgent refusal from being raised: not a routine one of the same
/// reference, not one with the same bad key; nor that its sender has no inbox to be told.
#[tokio::test(flavor = "multi_thread")]
async fn no_earlier_refusal_and_no_missing_inbox_keeps_an_urgent_one_from_being_raised() {
    let mut world = World::with_agencies().await;
    world.enrol("desk", &[]).await;
    let police = world.agency("police");
    let to_nowhere = |from: &str, reference: &str, urgency: &str| {
        let changes = json!({"urgency": urgency, "exercise": false});
        with(concern(from, &["school/night"], reference), changes)
    };
    let refused = async || world.summary().await.refused_urgent;
    assert_eq!(
        code(send(police, &to_nowhere("police", "N-1", "routine")).await),
        "unknown_recipient"
    );
    assert_eq!(refused().await, 0);
    assert_eq!(
        code(send(police, &to_nowhere("police", "N-1", "immediate")).await),
        "unknown_recipient"
    );
    assert_eq!(refused().await, 1);
    let forged = async |reference: &str, urgency: &str| {
        let bytes = envelope(police, &to_nowhere("police", reference, urgency));
        let mut forged: proto::Envelope = proto::decode(&bytes).unwrap();
        forged.signature.as_mut().unwrap().signature[0] ^= 1;
        code(police.submit(&proto::encode(&forged)).await)
    };
    for (reference, urgency) in [("N-2", "routine"), ("N-3", "immediate"), ("N-4", "urgent")] {
        assert_eq!(forged(reference, urgency).await, "forged_signature");
    }
    assert_eq!(refused().await, 3, "each of them");
    let desk = world.agency("desk");
    assert_eq!(code(send(desk, &to_nowhere("desk", "N-5", "urgent")).await), "unknown_recipient");
    assert_eq!(refused().await, 4, "though nobody there can be told");
    world.check().await;
}

/// I6: a manifest that counts what never came says which, tells the agency's own inbox, and is
/// looked at until it has come.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_finds_what_was_lost_before_it_came_and_is_over_once_it_has() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let documents = ["M-1", "M-2", "M-3"].map(|name| concern("police", &["school/duty"], name));
    let id = |document: &Value| {
        let document = Document::parse(document.to_string().as_bytes()).unwrap();
        police.compose(|composer| composer.request_id(&document)).to_vec()
    };
    sent(police, &documents[0]).await;
    sent(police, &documents[2]).await;
    let ids: Vec<_> = documents.iter().map(id).collect();
    let manifest =
        |request_ids: &[Vec<u8>]| Act::Manifest(Manifest { request_ids: request_ids.to_vec() });
    let said = facts(of_agency(police, manifest(&ids)).await.unwrap());
    assert_eq!((said.count, &said.missing[..]), (3, &[1][..]));
    assert_eq!(world.summary().await.missing, 1);
    let told = waiting(police).await.pop().expect("its own inbox is told");
    let hex: String = ids[1].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(line(police, &told)["missing"], json!([hex]));
    say(police, told.entry, "police/duty", stored()).await.unwrap();
    assert_eq!(world.summary().await.missing, 1, "to know of it is not to have sent it");

    of_agency(police, manifest(&ids[..2])).await.unwrap();
    assert_eq!(world.summary().await.missing, 1, "what is counted twice is lost once");

    // Another agency's ids are other statements.
    let school = world.agency("school");
    let other = facts(of_agency(school, manifest(&ids[..1])).await.unwrap());
    assert_eq!(other.missing, [0]);
    assert_eq!(world.summary().await.missing, 2);
    sent(police, &documents[1]).await;
    assert_eq!(world.summary().await.missing, 1);
    assert!(facts(of_agency(police, manifest(&ids)).await.unwrap()).missing.is_empty());

    // What was counted wrongly is settled by somebody on call.
    let wrong = of_agency(police, manifest(&[vec![7; 16]])).await.unwrap().receipt.unwrap().entry;
    let missing = async || world.summary().await.missing;
    assert_eq!(missing().await, 2);
    settle(&world, wrong, "counted_wrongly").await.unwrap();
    assert_eq!(missing().await, 1);

    let many: Vec<_> = (0..201_u32).map(|at| [at.to_be_bytes(); 4].concat()).collect();
    for ids in [&[][..], &many, &[vec![0; 15]], &[vec![0; 65]], &[many[0].clone(), many[0].clone()]]
    {
        assert_eq!(code(of_agency(police, manifest(ids)).await), "field_invalid");
    }
    let said = facts(of_agency(police, manifest(&many[..200])).await.unwrap());
    assert_eq!(said.missing.len(), 200, "as many as fit, all of them missing");
    world.check().await;
}

/// I6: what was too urgent for an agreement has a reviewer and a working day; only the reviewer can
/// say what came of it, and is told no more than that there is something to look at.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_agreement_covers_has_a_reviewer_a_working_day_and_an_outcome() {
    let world = ladder().await;
    let (school, reviewer) = (world.agency("school"), world.agency("social-work"));
    let changes = json!({"urgency": "urgent", "agreement": null, "exercise": false});
    let document = with(concern("school", &["police/duty"], "O-1"), changes.clone());
    let entry = sent(school, &document).await;
    let exercise = with(document.clone(), json!({"exercise": true, "reference": "O-2"}));
    sent(school, &exercise).await;
    let summary = world.summary().await;
    assert_eq!((summary.reviews, summary.reviews_late), (1, 0), "an exercise asks nobody");

    let asked = waiting(reviewer).await.pop().expect("the reviewer is asked");
    assert!(asked.statement.is_empty() && asked.body.is_none(), "and told nothing of what it says");
    let told = line(reviewer, &asked);
    assert_eq!((&told["type"], &told["answers"]), (&json!("review_asked"), &json!(entry)));
    assert_eq!((&told["from"], &told["urgency"]), (&json!("school"), &json!("urgent")));
    let accepted = Moment(asked.accepted_at);
    let due = Calendar::Always.due(Time::WorkingDays(1), accepted);
    assert_eq!(told["due"], Moment::of_seconds(due.seconds()).rfc3339());
    say(reviewer, asked.entry, "social-work/duty", stored()).await.unwrap();
    world.clock.set(due);
    assert_eq!(world.summary().await.reviews_late, 1);

    let review = |outcome: &str| {
        Act::AgreementReview(AgreementReview { person: person(), outcome: outcome.into() })
    };
    let right = || review("sharing_was_right");
    assert_eq!(
        code(say(world.agency("police"), entry, "police/duty", right()).await),
        "unknown_statement"
    );
    let found = say(reviewer, entry, "social-work/duty", review("fine")).await;
    assert_eq!(code(found), "unknown_outcome");
    say(reviewer, entry, "social-work/duty", right()).await.unwrap();
    assert_eq!(world.summary().await.reviews, 0);
    assert_eq!(code(say(reviewer, entry, "social-work/duty", right()).await), "unknown_statement");

    // An agency of no area has nobody to look: that is shown all the same.
    let police = world.agency("police");
    let nobodys = sent(police, &with(concern("police", &["school/duty"], "O-3"), changes)).await;
    assert_eq!(world.summary().await.reviews, 1);
    settle(&world, nobodys, "sharing_was_right").await.unwrap();
    assert_eq!(world.summary().await.reviews, 0);
    world.check().await;
}

/// Noon of a day on which offices are open, and on the day before, for as many weeks.
fn plain_day(from: Moment, weeks: i64) -> Moment {
    let calendar = Calendar::named("scotland-working-hours").unwrap();
    let open = |day: Date| {
        (0..weeks)
            .all(|week| calendar.is_open_on(day.checked_add(Span::new().weeks(week)).unwrap()))
    };
    let tomorrow = from.london_date().tomorrow().unwrap();
    let mut days = tomorrow.series(Span::new().days(1));
    let day = days.find(|day| open(*day) && open(day.yesterday().unwrap())).unwrap();
    Moment::of(&day.at(12, 0, 0, 0).in_tz("Europe/London").unwrap())
}

/// I6: an agency that sent something at this time of each of the last weeks, and today nothing, is
/// shown; a day off explains it.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_usually_speaks_and_has_gone_quiet_is_shown() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let first = plain_day(world.clock.now(), 6);
    let week = |number: u32| first.after(Duration::from_secs(7 * 24 * HOUR) * number);
    let hour_later = |at: Moment| at.after(Duration::from_secs(HOUR));
    let speaks = async |number: u32| {
        let reference = format!("Q-{number}");
        sent(police, &concern("police", &["school/duty"], &reference)).await
    };
    let quiet = async || {
        world.look_for_quiet();
        world.summary().await.quiet_agencies
    };
    for number in 0..4 {
        world.clock.set(week(number));
        speaks(number).await;
        assert_eq!(quiet().await, 0, "it has spoken, or not often enough before");
    }
    world.clock.set(hour_later(week(4)));
    assert_eq!(quiet().await, 1);
    speaks(4).await;
    assert_eq!(quiet().await, 0, "it has spoken");
    world.clock.set(hour_later(week(5)).after(Duration::from_secs(HOUR)));
    assert_eq!(quiet().await, 1);

    let inbox: InboxId = "police/duty".parse().unwrap();
    let Change::Inbox(change) = inbox_change(&inbox, "") else { panic!("of an inbox") };
    let closed_on = vec![week(5).london_date().to_string()];
    let change = proto::Inbox { calendar: "scotland-working-hours".into(), closed_on, ..change };
    world.apply_signed(Change::Inbox(change), "police").await.unwrap();
    assert_eq!(quiet().await, 0, "a day off explains it");
    world.check().await;
}
