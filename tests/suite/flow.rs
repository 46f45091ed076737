//! A concern travels from its sender to recipients and back.

use crate::support::{World, next, statements::*};

/// I1, I6: from the sender to a recipient, through every state, to closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_concern_goes_out_and_its_answer_comes_back() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let document = concern("police", &["school/duty", "social-work/duty"], "P-1");
    let entry = sent(police, &document).await;

    let incoming = next(school).await;
    assert_eq!((incoming.entry, incoming.inbox.as_str()), (entry, "school/duty"));
    let opened_concern = open(school, &incoming);
    let written = cairn::wire::client::open::written(&incoming, &opened_concern);
    assert_eq!(written["document"], document, "field by field as it was sent");

    let mut stripped = incoming.clone();
    stripped.body.as_mut().unwrap().ciphertext.clear();
    let mut bodiless = incoming.clone();
    bodiless.body = None;
    for altered in [stripped, bodiless] {
        let opened =
            cairn::wire::client::open::open(school.folder(), &school.directory(), &altered);
        assert!(opened.is_err(), "a concern without its body is not believed");
    }

    for act in [stored(), opened(), acknowledged(), decided("assessment")] {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    feedback(school, entry, "school/duty", "police/duty").await.unwrap();
    let answer = next(police).await;
    let opened_answer = open(police, &answer);
    let body = opened_answer.body.expect("feedback has a body");
    assert_eq!(body.as_map()["outcome"], "assessment");
    say(police, answer.entry, "police/duty", stored()).await.unwrap();

    let summary = world.summary().await;
    assert_eq!((summary.deliveries, summary.closed, summary.open), (2, 1, 1));
    world.check().await;
}

/// I7: offered again on every stream until it is stored, across a restart.
#[tokio::test(flavor = "multi_thread")]
async fn redelivers_until_stored() {
    let mut world = World::with_agencies().await;
    let entry = sent(world.agency("police"), &concern("police", &["school/duty"], "P-1")).await;
    for _ in 0..3 {
        assert_eq!(next(world.agency("school")).await.entry, entry);
    }
    world.stop().await;
    world.start().await;
    let again = next(world.agency("school")).await;
    assert_eq!(again.entry, entry);
    say(world.agency("school"), entry, "school/duty", stored()).await.unwrap();
    let second = sent(world.agency("police"), &concern("police", &["school/duty"], "P-2")).await;
    assert_eq!(next(world.agency("school")).await.entry, second, "the first is not offered again");
    world.check().await;
}

/// I8: the same request id with the same content brings the original receipt back.
#[tokio::test(flavor = "multi_thread")]
async fn saying_it_twice_counts_once_and_saying_something_else_is_refused() {
    let mut world = World::with_agencies().await;
    let document = concern("police", &["school/duty"], "P-1");
    let police = world.agency("police").clone();
    let first = send(&police, &document).await.unwrap();
    let size = world.size().await;
    // Sealed anew, so that only the content tag can tell.
    let again = send(&police, &document).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.receipt, first.receipt, "byte for byte");
    assert_eq!(world.size().await, size, "nothing was appended");
    let other = with(document.clone(), serde_json::json!({"purpose": "another one"}));
    assert_eq!(crate::support::code(send(&police, &other).await), "request_id_conflict");
    assert_eq!(world.size().await, size + 1, "but the refusal's own record");
    world.stop().await;
    world.start().await;
    let after = send(&police, &document).await.unwrap();
    assert_eq!(after.receipt, first.receipt, "for ever");
    world.check().await;
}
