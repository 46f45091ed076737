//! What on-call staff do about a delivery: each act an entry that names the person, none of them
//! an acknowledgement.

use std::process::Command;

use cairn::{
    clock::Clock,
    proto::{Person, PhoneConfirmed, RecordCallRequest, TakeCareRequest, statement::Act},
    wire::client::ClientError,
};
use tonic::Status;

use crate::{
    escalation::{at_minute, climbed, delivery, ladder, sent_to_school, waiting},
    support::{World, launch, senders::reason, statements::*},
};

fn somebody(name: &str, post: &str) -> Option<Person> {
    Some(Person { name: name.into(), post: post.into(), ..Person::default() })
}

fn call(world: &World, concern: u64) -> RecordCallRequest {
    RecordCallRequest {
        request_id: vec![7; 16],
        concern,
        addressed: "school/duty".into(),
        by: somebody("N. Keeper", "on call"),
        told: somebody("H. Teacher", "duty head"),
        number: "0131 496 0000".into(),
        at: world.clock.now().0 / 1_000_000_000,
        read_back: true,
    }
}

async fn record(world: &World, call: RecordCallRequest) -> Result<(u64, bool), Status> {
    let recorded = world.on_call.status().record_call(call).await?.into_inner();
    Ok((recorded.entry, recorded.duplicate))
}

/// I6, I8: a call is recorded once, owns nothing until the holder confirms it, stops no rung, and
/// both who has the concern and who sent it hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_once_and_owns_nothing_until_it_is_confirmed() {
    let world = ladder().await;
    let (school, police) = (world.agency("school"), world.agency("police"));
    let (entry, accepted) = sent_to_school(&world, "immediate", "T-1").await;
    let (recorded, before) = record(&world, call(&world, entry)).await.unwrap();
    assert!(!before);
    assert_eq!(record(&world, call(&world, entry)).await.unwrap(), (recorded, true), "once");
    let other = RecordCallRequest { number: "0131 496 0002".into(), ..call(&world, entry) };
    assert_eq!(reason(&record(&world, other).await.unwrap_err()), "REQUEST_ID_CONFLICT");

    let told = delivery(&world, entry).await;
    assert_eq!(
        (told.phone.as_str(), told.state().as_str_name()),
        ("told", "DELIVERY_STATE_QUEUED")
    );
    assert_eq!(told.responsible, "exchange");
    for client in [school, police] {
        let notice = waiting(client).await.into_iter().find(|it| it.entry == recorded).unwrap();
        let line = cairn::wire::client::open::written(&notice, &open(client, &notice));
        assert_eq!(
            (line["type"].as_str(), line["answers"].as_u64()),
            (Some("told_by_phone"), Some(entry))
        );
        assert!(!line.to_string().contains("Keeper"), "staff are named in details only");
        say(client, recorded, &notice.inbox, stored()).await.unwrap();
    }
    at_minute(&world, accepted, 5);
    climbed(&world, entry, 1).await;
    let confirmed = Act::PhoneConfirmed(PhoneConfirmed { person: person() });
    say(school, entry, "school/duty", confirmed).await.unwrap();
    assert_eq!(delivery(&world, entry).await.phone, "confirmed");
    world.check().await;
}

/// Who is dealing with it is seen by others on call, until when; rungs are climbed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_dealing_with_it_is_shown_and_silences_no_rung() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "immediate", "T-2").await;
    let until = accepted.0 / 1_000_000_000 + 1_800;
    let care = |until| TakeCareRequest {
        request_id: vec![9; 16],
        concern: entry,
        addressed: "school/duty".into(),
        by: somebody("N. Keeper", "on call"),
        until,
    };
    let said = world.on_call.status().take_care(care(until)).await.unwrap().into_inner();
    let cared = delivery(&world, entry).await;
    assert_eq!((cared.cared_for_until, cared.cared_for_by), (until, said.entry));
    for wrong in [0, until - 3_600, until + 12 * 3_600, u64::MAX / 1_000_000_000, u64::MAX] {
        let wrong = TakeCareRequest { request_id: vec![8; 16], ..care(wrong) };
        let refused = world.on_call.status().take_care(wrong).await.unwrap_err();
        assert_eq!(reason(&refused), "FIELD_INVALID");
    }
    at_minute(&world, accepted, 5);
    assert_eq!(climbed(&world, entry, 1).await.rung, "deputy");
    at_minute(&world, accepted, 31);
    let again = world.on_call.status().take_care(care(until)).await.unwrap().into_inner();
    assert_eq!((again.entry, again.duplicate), (said.entry, true), "also when its time is over");
    world.check().await;
}

/// I2, I11: on-call staff alone, about a delivery that there is, with all that is asked for; what
/// is refused is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_acts_of_others_and_acts_that_say_too_little() {
    let world = ladder().await;
    let (entry, _) = sent_to_school(&world, "urgent", "T-3").await;
    let before = world.summary().await.refusals;
    let by_agency = world.agency("police").status().record_call(call(&world, entry)).await;
    assert_eq!(reason(&by_agency.unwrap_err()), "NOT_PERMITTED");
    let good = call(&world, entry);
    let cases = [
        ("PERSON_REQUIRED", RecordCallRequest { by: None, ..good.clone() }),
        ("PERSON_REQUIRED", RecordCallRequest { told: somebody("H. Teacher", ""), ..good.clone() }),
        ("FIELD_INVALID", RecordCallRequest { number: " ".into(), ..good.clone() }),
        ("FIELD_INVALID", RecordCallRequest { number: "0".repeat(65), ..good.clone() }),
        ("FIELD_INVALID", RecordCallRequest { at: good.at + 301, ..good.clone() }),
        ("FIELD_INVALID", RecordCallRequest { request_id: vec![1; 15], ..good.clone() }),
        ("FIELD_INVALID", RecordCallRequest { addressed: "school".into(), ..good.clone() }),
        ("UNKNOWN_STATEMENT", RecordCallRequest { addressed: "night/duty".into(), ..good.clone() }),
        ("UNKNOWN_STATEMENT", RecordCallRequest { concern: u64::MAX, ..good.clone() }),
    ];
    for (expected, wrong) in cases {
        let refused = record(&world, wrong.clone()).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{wrong:?}");
    }
    assert!(world.summary().await.refusals > before);
    world.check().await;
}

/// The same by the command line, as staff would do it at night.
#[tokio::test(flavor = "multi_thread")]
async fn a_night_s_acts_by_the_command_line() {
    let world = ladder().await;
    let (entry, _) = sent_to_school(&world, "urgent", "T-4").await;
    let cairn = |system: &str, arguments: &[&str]| {
        let folder = world.folder.path().join("systems").join(system);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(arguments).args(["--name", "N. Keeper", "--post", "on call", "--system"]);
        let ran = launch::output(command.arg(folder)).unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        (ran.status.code(), said)
    };
    let number = entry.to_string();
    let (code, said) = cairn("operator/on-call", &["dealing", &number, "--for", "20m"]);
    assert_eq!(code, Some(0), "{said}");
    let told =
        ["--told-name", "H. Teacher", "--told-post", "duty head", "--number", "0131 496 0000"];
    let arguments = [&["called", number.as_str()][..], &told].concat();
    let (code, said) = cairn("operator/on-call", &arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("told by telephone"), "{said}");
    let (code, said) = cairn("police/system", &arguments);
    assert_eq!(code, Some(1), "{said}");
    say(world.agency("school"), entry, "school/duty", stored()).await.unwrap();
    let (code, said) = cairn("school/system", &["confirm-call", &number]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(delivery(&world, entry).await.phone, "confirmed");
    world.check().await;
}

/// A refusal that a client reads by its code.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_dealt_with_by_nobody() {
    let world = ladder().await;
    let (entry, accepted) = sent_to_school(&world, "urgent", "T-5").await;
    let document = cairn::proto::Withdrawal { reason: "sent_in_error".into() };
    let police = world.agency("police");
    let taken_back = say(police, entry, "police/duty", Act::Withdrawal(document)).await;
    assert!(!matches!(taken_back, Err(ClientError::Refused { .. })), "{taken_back:?}");
    let care = TakeCareRequest {
        request_id: vec![3; 16],
        concern: entry,
        addressed: "school/duty".into(),
        by: somebody("N. Keeper", "on call"),
        until: accepted.0 / 1_000_000_000 + 60,
    };
    let refused = world.on_call.status().take_care(care).await.unwrap_err();
    assert_eq!(reason(&refused), "OUT_OF_TURN");
    world.check().await;
}
