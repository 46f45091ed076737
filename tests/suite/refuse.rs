//! Every way the exchange says no: the code, and nothing appended but the refusal's
//! own record.
//!
//! Holds the exchange to I2 and I11.

use cairn::{
    crypto::sign::{STATEMENT_TYPE, SigningKey, sign_dsse},
    proto::{self, Envelope, Signature, Statement, directory_change::Change, statement::Act},
    wire::client::{Client, enrol},
};
use serde_json::json;

use crate::support::{EXCHANGE, World, agreement, code, next, statements::*};

/// Submits bytes that must be refused with a code, and checks that the ledger grew by
/// that refusal's record alone, and not at all when they come again.
async fn refused(world: &World, client: &Client, envelope: &[u8], expected: &str) {
    let size = world.size().await;
    assert_eq!(code(client.submit(envelope).await), expected);
    assert_eq!(world.size().await, size + 1, "{expected}: its own record and nothing else");
    assert_eq!(code(client.submit(envelope).await), expected);
    assert_eq!(world.size().await, size + 1, "{expected}: an identical refusal is only counted");
}

fn opened_envelope(bytes: &[u8]) -> Envelope {
    proto::decode(bytes).unwrap()
}

/// I2: a signature that does not fit, of another key, of another system.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_forged_signatures_and_strange_keys() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let good = envelope(police, &concern("police", &["school/duty"], "P-1"));

    let mut forged = opened_envelope(&good);
    forged.signature.as_mut().unwrap().signature[10] ^= 1;
    refused(&world, police, &proto::encode(&forged), "forged_signature").await;

    let mut altered = opened_envelope(&good);
    let mut statement: Statement = proto::decode(&altered.statement).unwrap();
    statement.to = vec!["social-work/duty".into()];
    altered.statement = proto::encode(&statement);
    let size = world.size().await;
    assert_eq!(code(police.submit(&proto::encode(&altered)).await), "forged_signature");
    assert!(world.size().await <= size + 1);

    let strange = SigningKey::from_seed(&[9; 32]);
    let mut unknown = opened_envelope(&good);
    unknown.signature = Some(Signature {
        key_id: strange.key_id().0.to_vec(),
        signature: sign_dsse(&strange, STATEMENT_TYPE, &unknown.statement).to_vec(),
    });
    refused(&world, police, &proto::encode(&unknown), "unknown_key").await;

    // The school's own good envelope, over the police's connection.
    let others = envelope(world.agency("school"), &concern("school", &["police/duty"], "S-1"));
    refused(&world, police, &others, "wrong_system").await;
    world.check().await;
}

/// I2, I10: what is signed for must be what came, for this exchange, within its bounds.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_swapped_bodies_wraps_and_exchanges() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let good = envelope(police, &concern("police", &["school/duty"], "P-1"));
    let other = envelope(police, &concern("police", &["school/duty"], "P-2"));

    let mut swapped = opened_envelope(&good);
    swapped.body = opened_envelope(&other).body;
    refused(&world, police, &proto::encode(&swapped), "seal_mismatch").await;

    // A body left out on the way: the statement must not count as said without it.
    let mut stripped = opened_envelope(&good);
    let body = stripped.body.as_mut().unwrap();
    (body.nonce, body.ciphertext) = (Vec::new(), Vec::new());
    let size = world.size().await;
    assert_eq!(code(police.submit(&proto::encode(&stripped)).await), "seal_mismatch");
    assert!(world.size().await <= size + 1);

    let mut rewrapped = opened_envelope(&good);
    rewrapped.body.as_mut().unwrap().wraps[0].inbox = "social-work/duty".into();
    let size = world.size().await;
    assert_eq!(code(police.submit(&proto::encode(&rewrapped)).await), "seal_mismatch");
    assert!(world.size().await <= size + 1);

    // The same bytes under the same digest, parted elsewhere: nobody could open them.
    let mut recut = opened_envelope(&good);
    let wrap = &mut recut.body.as_mut().unwrap().wraps[0];
    wrap.wrapped.insert(0, wrap.enc.pop().unwrap());
    let size = world.size().await;
    assert_eq!(code(police.submit(&proto::encode(&recut)).await), "seal_mismatch");
    assert!(world.size().await <= size + 1);

    let elsewhere =
        resigned(police, &good, |statement| statement.exchange = "other.example/x".into());
    refused(&world, police, &elsewhere, "wrong_exchange").await;

    let mut unwrapped = opened_envelope(&good);
    unwrapped.body.as_mut().unwrap().wraps.clear();
    let unwrapped = resigned(police, &proto::encode(&unwrapped), |statement| {
        statement.seal.as_mut().unwrap().wraps.clear();
    });
    refused(&world, police, &unwrapped, "missing_wrap").await;

    let short = resigned(police, &good, |statement| statement.request_id = vec![1; 15]);
    refused(&world, police, &short, "field_invalid").await;
    refused(&world, police, b"\xff\xff", "malformed").await;
    refused(&world, police, &vec![0; cairn::limits::ENVELOPE_BYTES_MAX + 1], "field_invalid").await;
    world.check().await;
}

/// I13: the exact order of what refuses, and that nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_unknown_recipients_and_uncovered_concerns_and_nothing_for_its_content() {
    let world = World::with_agencies().await;
    let police = world.agency("police").clone();
    let base = concern("police", &["school/duty"], "P-1");

    let nowhere = with(base.clone(), json!({"to": ["school/duty", "school/nobody"]}));
    let error = send(&police, &nowhere).await.unwrap_err().to_string();
    assert!(error.contains("school/nobody") && error.contains("school/duty"), "{error}");

    for (change, condition) in [
        (json!({"agreement": null}), "none is named"),
        (json!({"agreement": "no-such"}), ""),
        (json!({"class": "notification"}), ""),
        (json!({"lawful_basis": "consent"}), ""),
    ] {
        let error = send(&police, &with(base.clone(), change.clone())).await;
        assert_eq!(code(error), "no_agreement", "{change} {condition}");
    }
    // A refused line does not use up its reference.
    let urgent = with(base.clone(), json!({"class": "notification", "urgency": "immediate"}));
    let response = send(&police, &urgent).await.unwrap();
    assert!(response.outside_agreement && !response.duplicate);

    let odd = with(
        concern("police", &["school/duty"], "P-2"),
        json!({"urgency": "soonish", "purpose": 7, "concern": null, "child": [], "kind": "new-kind"}),
    );
    let receipt = send(&police, &odd).await.unwrap().receipt.unwrap();
    let facts: proto::Facts = proto::decode(&receipt.facts).unwrap();
    assert_eq!(facts.urgency, "urgent");
    assert_eq!(facts.flags, ["missing_child_identity", "missing_purpose", "unknown_code"]);
    world.check().await;
}

/// I6: who may say which step, when, and in whose name.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_steps_by_others_out_of_turn_or_without_a_person() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let social_work = world.agency("social-work");
    let entry = sent(police, &concern("police", &["school/duty"], "P-1")).await;

    let by_other = say(social_work, entry, "social-work/duty", acknowledged()).await;
    assert_eq!(code(by_other), "unknown_statement", "as if there were none");
    let in_other_name = say(social_work, entry, "school/duty", acknowledged()).await;
    assert_eq!(code(in_other_name), "not_a_recipient");
    assert_eq!(code(say(school, entry, "school/duty", acknowledged()).await), "out_of_turn");
    say(school, entry, "school/duty", stored()).await.unwrap();
    let nobody = Act::Acknowledgement(proto::Acknowledgement { person: None });
    assert_eq!(code(say(school, entry, "school/duty", nobody).await), "person_required");
    let no_post = proto::Person { name: "A. Tester".into(), ..Default::default() };
    let nameless = Act::Acknowledgement(proto::Acknowledgement { person: Some(no_post) });
    assert_eq!(code(say(school, entry, "school/duty", nameless).await), "person_required");
    assert_eq!(code(say(school, entry, "school/duty", decided("assessment")).await), "out_of_turn");
    say(school, entry, "school/duty", acknowledged()).await.unwrap();
    assert_eq!(
        code(say(school, entry, "school/duty", decided("made_up")).await),
        "unknown_outcome"
    );
    let noted = say(school, entry, "school/duty", decided("noted_for_information")).await;
    assert_eq!(code(noted), "outcome_not_allowed");
    assert_eq!(code(say(school, 9_999, "school/duty", stored()).await), "unknown_statement");
    assert_eq!(code(feedback(school, entry, "school/duty", "police/duty").await), "out_of_turn");
    world.check().await;
}

/// I2: keys and agreements that their parties have not signed do not come in.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_keys_and_agreements_that_their_parties_have_not_signed() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let parties = ["police", "school"];

    let half = Change::Agreement(agreement("half", &parties));
    let half = enrol::signed(EXCHANGE, half, &[police.folder()]);
    assert_eq!(code(world.admin.apply(half).await), "not_signed");

    // The operator's own sealing key for the school's inbox.
    let ours = cairn::crypto::SealingKeyPair::generate().unwrap();
    let planted = Change::SealingKey(proto::SealingKey {
        inbox: "school/duty".into(),
        public_key: ours.public().to_bytes(),
        valid_from: 0,
        valid_to: 0,
    });
    let planted = enrol::signed(EXCHANGE, planted, &[world.admin.folder()]);
    assert_eq!(code(world.admin.apply(planted).await), "not_signed");

    // A second "first" signing key for the school.
    let mine = SigningKey::from_seed(&[7; 32]);
    let second = Change::SigningKey(proto::SigningKey {
        agency: "school".into(),
        system: "system".into(),
        public_key: mine.public().to_bytes().to_vec(),
        ..Default::default()
    });
    let mut second = enrol::unsigned(EXCHANGE, second);
    second.signatures.push(Signature {
        key_id: mine.key_id().0.to_vec(),
        signature: sign_dsse(&mine, cairn::crypto::sign::DIRECTORY_TYPE, &second.change).to_vec(),
    });
    assert_eq!(code(world.admin.apply(second).await), "not_signed");

    let weak = Change::SigningKey(proto::SigningKey {
        agency: "school".into(),
        system: "system".into(),
        public_key: [&[1][..], &[0; 31]].concat(),
        predecessor: school.folder().signing.key_id().0.to_vec(),
        ..Default::default()
    });
    let weak = enrol::signed(EXCHANGE, weak, &[school.folder()]);
    assert_eq!(code(world.admin.apply(weak).await), "weak_key");
    world.check().await;
}

/// I8: a repeat brings the receipt back although the agreement and the key have ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_succeeds_after_its_agreement_and_key_have_ended() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let document = concern("police", &["school/duty"], "P-1");
    let first = send(police, &document).await.unwrap();

    let mut ended = agreement("all", &["police", "school", "social-work"]);
    ended.valid_to = "2026-01-02".into();
    let signers: Vec<_> = world.agencies.values().map(Client::folder).collect();
    let ended = enrol::signed(EXCHANGE, Change::Agreement(ended), &signers);
    world.admin.apply(ended).await.unwrap();
    let again = send(police, &document).await.unwrap();
    assert_eq!(again.receipt, first.receipt);
    let other = send(police, &concern("police", &["school/duty"], "P-2")).await;
    assert_eq!(code(other), "no_agreement");

    let key_id = police.folder().signing.key_id().0.to_vec();
    let revoked = Change::KeyRevocation(proto::KeyRevocation { key_id, suspected_since: 0 });
    world.apply(revoked).await.unwrap();
    let again = send(police, &document).await.unwrap();
    assert_eq!(again.receipt, first.receipt);
    let urgent = with(concern("police", &["school/duty"], "P-3"), json!({"urgency": "urgent"}));
    assert_eq!(code(send(police, &urgent).await), "key_not_valid");
    world.check().await;
}

/// I2: the table of calls, walked: who has no role for a call is refused.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_calls_that_the_role_does_not_have() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let agency = Change::Agency(proto::Agency { id: "new".into(), ..Default::default() });
    let by_police = police.apply(enrol::unsigned(EXCHANGE, agency)).await;
    assert_eq!(code(by_police), "not_permitted");
    let query = proto::QueryRequest { purpose: "curiosity".into(), ..Default::default() };
    let queried = police.audit().query(query).await.map_err(Into::into);
    assert_eq!(code(queried), "not_permitted");
    let submitted = world.auditor.submit(b"").await;
    assert_eq!(code(submitted), "not_permitted");
    let entry = sent(police, &concern("police", &["school/duty"], "P-1")).await;
    let by = Some(proto::get_concern_request::By::Entry(entry));
    let request = proto::GetConcernRequest { by };
    let stranger = world.agency("social-work").exchange().get_concern(request.clone()).await;
    assert_eq!(code(stranger.map_err(Into::into)), "unknown_statement");
    let missing =
        proto::GetConcernRequest { by: Some(proto::get_concern_request::By::Entry(9_999)) };
    let absent = world.agency("social-work").exchange().get_concern(missing).await;
    assert_eq!(code(absent.map_err(Into::into)), "unknown_statement", "both look the same");
    assert!(police.exchange().get_concern(request).await.is_ok());
    world.check().await;
}

/// I14: entry times never decrease, whatever the clock does.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_does_not_turn_entry_times_back() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    sent(police, &concern("police", &["school/duty"], "P-1")).await;
    let before = next(world.agency("school")).await.accepted_at;
    let now = cairn::clock::Clock::now(&*world.clock);
    world.clock.set(cairn::clock::Moment(now.0 - 3_600_000_000_000));
    let entry = sent(police, &concern("police", &["social-work/duty"], "P-2")).await;
    let after = next(world.agency("social-work")).await;
    assert_eq!(after.entry, entry);
    assert!(after.accepted_at >= before);
    world.check().await;
}

/// I10, I11: what is too long for an entry is refused by itself, and nobody else's
/// statement suffers.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_no_entry_can_hold_without_harm_to_others() {
    let mut world = World::with_agencies().await;
    let long = "l".repeat(cairn::limits::NAME_BYTES_MAX);
    let roles: Vec<String> = (0..50).map(|n| format!("{n:02}{}", &long[2..])).collect();
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    world.enrol(&long, &roles).await;
    world.agree("long", &["police", &long]).await;
    world.refresh().await;
    let inboxes: Vec<String> = roles.iter().map(|role| format!("{long}/{role}")).collect();
    let inboxes: Vec<&str> = inboxes.iter().map(String::as_str).collect();
    let police = world.agency("police");
    let to_many = with(concern("police", &inboxes, "P-1"), json!({"agreement": "long"}));
    let bytes = envelope(police, &to_many);
    let both = tokio::join!(police.submit(&bytes), police.submit(&bytes));
    assert_eq!(code(both.0), "too_many_recipients");
    assert_eq!(code(both.1), "too_many_recipients");

    let query = proto::QueryRequest {
        agency: "a".repeat(1_100_000),
        purpose: "learning_review".into(),
        ..Default::default()
    };
    let asked = world.auditor.audit().query(query).await.map_err(Into::into);
    assert_eq!(code(asked), "field_invalid");
    sent(police, &concern("police", &["school/duty"], "P-2")).await;
    world.check().await;
}
