//! Marked names and references go through all that a page has a word for, and are on no page.

use cairn::{
    clock::Clock,
    proto::{
        AgreementReview, Extension, Manifest, Person, RecordCallRequest, UrgencyChange,
        statement::Act,
    },
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{on_call, pages::every_page, world};
use crate::{
    escalation::{at_minute, delivery},
    process::fetch,
    raised::of_agency,
    support::{World, code, next, statements::*},
};

/// Of a child, of what was told, of the sender's own reference, and of a name for a code.
const MARKS: [&str; 5] =
    ["Zyxquillan", "Feathermarkle", "Narrquartzite", "Wibblestone", "Quagreason"];

/// A marked concern that is no exercise.
fn marked(from: &str, to: &str, reference: &str, changes: Value) -> Value {
    let marks = json!({
        "child": {"given_names": "Zyxquillan", "family_name": "Feathermarkle"},
        "concern": {"category": "neglect", "narrative": "Narrquartzite."},
        "urgency": "urgent", "exercise": false,
    });
    let reference = format!("REF/Wibblestone-{reference}");
    with(with(concern(from, &[to], &reference), marks), changes)
}

/// Read, taken, given more time, raised, left lying until its ladder is climbed, and rung about.
async fn is_left_lying(world: &World) -> u64 {
    let (police, school) = (world.agency("police"), world.agency("school"));
    let accepted = world.clock.now();
    let entry = sent(police, &marked("police", "school/duty", "77", json!({}))).await;
    next(school).await;
    let until = delivery(world, entry).await.decision_due + 3_600;
    let approver = Some(Person { name: "B. Senior".into(), ..person().unwrap() });
    let reason = "Quagreason".to_owned();
    let more = Extension {
        person: person(),
        approver,
        duty: "decide".into(),
        until,
        reason: reason.clone(),
    };
    let raise = UrgencyChange { person: person(), urgency: "immediate".into(), reason };
    let acts = [Act::Extension(more), Act::UrgencyChange(raise)];
    for act in [stored(), opened(), acknowledged()].into_iter().chain(acts) {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    at_minute(world, accepted, 45);
    world.climb().await;
    let somebody = |name: &str| Some(Person { name: name.into(), ..person().unwrap() });
    let call = RecordCallRequest {
        request_id: vec![7; 16],
        concern: entry,
        addressed: "school/duty".into(),
        by: somebody("N. Keeper"),
        told: somebody("H. Teacher"),
        number: "0131 496 0000".into(),
        at: world.clock.now().seconds(),
        read_back: true,
    };
    world.on_call.status().record_call(call).await.unwrap();
    entry
}

/// What no deadline shows: one that was refused, one that was lost, one that no agreement covers,
/// which its reviewer has looked at. That one.
async fn is_raised(world: &World) -> u64 {
    let (police, school) = (world.agency("police"), world.agency("school"));
    let nowhere = marked("police", "school/nobody", "78", json!({}));
    assert_eq!(code(send(police, &nowhere).await), "unknown_recipient");
    let request_ids = vec![b"Zyxquillan Feathermarkle".to_vec()];
    of_agency(police, Act::Manifest(Manifest { request_ids })).await.unwrap();
    let outside = marked("school", "police/duty", "79", json!({"agreement": null}));
    let entry = sent(school, &outside).await;
    let outcome = "sharing_was_right".into();
    let review = Act::AgreementReview(AgreementReview { person: person(), outcome });
    say(world.agency("social-work"), entry, "social-work/duty", review).await.unwrap();
    entry
}

/// I12: the mark of a child, and of the sender's own reference, are on no page and in no metric;
/// nor is a name that somebody wrote for a code, nor what was typed into the search.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_holds_a_name_of_a_child_or_a_senders_own_reference() {
    let mut world = world().await;
    world.stop().await;
    world.config.metrics = Some(([127, 0, 0, 1], 0).into());
    world.start().await;
    let raised = is_raised(&world).await;
    let lying = is_left_lying(&world).await;
    let mut okafor = on_call(&world).await;
    let mut seen = Vec::new();
    for path in every_page(lying).into_iter().chain([format!("/concerns/{raised}")]) {
        let page = okafor.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        seen.push((path, page.text));
    }
    let form = okafor.get("/find").await.hidden_after("/find", "form");
    let found =
        okafor.post("/find", &[("form", &form), ("what", "Zyxquillan Feathermarkle")]).await;
    assert_eq!(found.status, StatusCode::NOT_FOUND);
    seen.push(("/find, posted".into(), found.text));
    seen.push(("/metrics".into(), fetch(world.metrics().unwrap(), "/metrics")));
    for (path, words) in [
        (format!("/concerns/{lying}"), &["Given more time", "Urgency changed", "Nobody acted"][..]),
        (format!("/concerns/{lying}"), &["Told by telephone", "H. Teacher", "offered to"]),
        (format!("/concerns/{raised}"), &["Looked at, since no agreement covered it"]),
        ("/hand-over".into(), &["What was changed", "Given more time</strong>", "1 manifest</a>"]),
        ("/raised".into(), &["unknown_recipient", "1 statement of"]),
        ("/metrics".into(), &["cairn_concerns 2"]),
    ] {
        let (_, text) = seen.iter().find(|(seen, _)| *seen == path).unwrap();
        for word in words {
            assert!(text.contains(word), "{path} says {word}: {text}");
        }
    }
    for mark in MARKS {
        for (path, text) in &seen {
            assert!(!text.contains(mark), "{mark} on {path}");
        }
    }
    let number =
        okafor.post("/find", &[("form", &form), ("what", &format!("Concern {lying}"))]).await;
    assert_eq!(number.to(), Some(format!("/concerns/{lying}").as_str()));
    let agency = okafor.post("/find", &[("form", &form), ("what", "school")]).await;
    assert_eq!(agency.to(), Some("/agencies/school"));
    world.check().await;
}
