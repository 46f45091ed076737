//! The ways a delivery can go other than straight: passed on, not openable, taken
//! back.

use cairn::{
    proto::{
        self, CannotOpen, NotTaken, Redirection, Resealed, WithdrawalConfirmed, statement::Act,
    },
    wire::client::{Client, ClientError, compose::About, open::Opened},
};

use crate::support::{World, code, inbox_change, next, statements::*};

fn id() -> [u8; 16] {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    id
}

/// Passes a delivery on to another inbox, wrapping the body for it.
async fn pass_on(
    client: &Client,
    entry: u64,
    from: &str,
    next: &str,
    opened: &Opened,
    misdirected: bool,
) -> Result<proto::SubmitResponse, ClientError> {
    let about = About { entry, inbox: from.parse().unwrap() };
    let (key, digest) = opened.key.as_ref().expect("it was opened");
    let redirection = Redirection { person: person(), next: next.into(), misdirected };
    let envelope = client.compose(|composer| {
        let act = Act::Redirection(redirection);
        composer.step_with_wraps(&about, id(), &next.parse().unwrap(), (key, digest), act)
    });
    client.submit(&envelope).await
}

/// I6: a redirection names the next owner, who can open what was sent; the delivery
/// stays the same one.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_concern_is_opened_and_answered_by_its_next_owner() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let social_work = world.agency("social-work");
    let document = concern("police", &["school/duty"], "P-1");
    let entry = sent(police, &document).await;
    let incoming = next(school).await;
    let opened_there = open(school, &incoming);
    say(school, entry, "school/duty", stored()).await.unwrap();

    let nowhere = pass_on(school, entry, "school/duty", "school/duty", &opened_there, true).await;
    assert_eq!(code(nowhere), "next_owner_required");
    pass_on(school, entry, "school/duty", "social-work/duty", &opened_there, true).await.unwrap();

    let late = say(school, entry, "school/duty", acknowledged()).await;
    assert_eq!(code(late), "not_a_recipient", "it is another's now");
    let passed = next(social_work).await;
    assert_eq!((passed.entry, passed.inbox.as_str()), (entry, "social-work/duty"));
    let opened_here = open(social_work, &passed);
    let written = cairn::wire::client::open::written(&passed, &opened_here);
    assert_eq!(written["document"], document);
    for act in [stored(), acknowledged(), decided("assessment")] {
        say(social_work, entry, "social-work/duty", act).await.unwrap();
    }
    feedback(social_work, entry, "social-work/duty", "police/duty").await.unwrap();
    let answer = next(police).await;
    say(police, answer.entry, "police/duty", stored()).await.unwrap();
    let summary = world.summary().await;
    assert_eq!((summary.deliveries, summary.closed), (1, 1), "a redirect keeps the delivery");
    world.check().await;
}

/// I6: a deputy's wrap is withheld until a redirection releases it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_gets_nothing_until_it_is_the_owner() {
    let world = World::with_agencies().await;
    let inbox = "school/duty".parse().unwrap();
    let deputy = || inbox_change(&inbox, "social-work/duty");
    assert_eq!(code(world.apply(deputy()).await), "not_signed", "the school's to say");
    world.apply_signed(deputy(), "school").await.unwrap();
    world.refresh().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let entry = sent(police, &concern("police", &["school/duty"], "P-1")).await;
    let incoming = next(school).await;
    let wraps = &incoming.body.as_ref().unwrap().wraps;
    assert!(wraps.iter().all(|wrap| wrap.inbox == "school/duty"), "only its own wrap");
    let request = proto::ListDeliveriesRequest::default();
    let waiting = world.agency("social-work").exchange().list_deliveries(request).await.unwrap();
    assert!(waiting.into_inner().incoming.is_empty());
    let opened_there = open(school, &incoming);
    say(school, entry, "school/duty", stored()).await.unwrap();
    pass_on(school, entry, "school/duty", "social-work/duty", &opened_there, false).await.unwrap();
    let passed = next(world.agency("social-work")).await;
    let wraps = &passed.body.as_ref().unwrap().wraps;
    assert_eq!(wraps.len(), 1, "the wrap that the sender made for the deputy is released");
    open(world.agency("social-work"), &passed);
    world.check().await;
}

/// I6, I7: who cannot take it or cannot open it says so; delivery goes on, and the
/// sender owns the next action until it has sealed anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_is_the_senders_to_seal_anew() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let entry = sent(police, &concern("police", &["school/duty"], "P-1")).await;
    let full = Act::NotTaken(NotTaken { reason: "disk_full".into() });
    say(school, entry, "school/duty", full).await.unwrap();
    assert_eq!(next(school).await.entry, entry, "it is offered again");
    say(school, entry, "school/duty", stored()).await.unwrap();
    let lost = Act::CannotOpen(CannotOpen { reason: "key_lost".into() });
    say(school, entry, "school/duty", lost).await.unwrap();
    let delivery = delivery(&world, entry).await;
    assert_eq!(
        (delivery.responsible.as_str(), delivery.trouble.as_str()),
        ("sender", "cannot_open")
    );

    // The sender kept its document and seals it anew under a new content key? No: it
    // wraps the same key anew, so that what was sent stays what was sent.
    let sealed = envelope(police, &concern("police", &["school/duty"], "P-1"));
    let opened_by_sender = content_key(&world, &sealed);
    let about = About { entry, inbox: "school/duty".parse().unwrap() };
    let (key, digest) = &opened_by_sender;
    let resealed = police.compose(|composer| {
        let next = "school/duty".parse().unwrap();
        composer.step_with_wraps(&about, id(), &next, (key, digest), Act::Resealed(Resealed {}))
    });
    police.submit(&resealed).await.unwrap();
    let delivery = self::delivery(&world, entry).await;
    assert_eq!((delivery.responsible.as_str(), delivery.trouble.as_str()), ("school/duty", ""));
    let notice = next(school).await;
    assert_ne!(notice.entry, entry);
    say(school, notice.entry, "school/duty", stored()).await.unwrap();
    world.check().await;
}

/// A content key, from an envelope that the test sealed to the school.
fn content_key(world: &World, envelope: &[u8]) -> (cairn::crypto::ContentKey, Vec<u8>) {
    use cairn::crypto::{KeyId, seal};
    let envelope: proto::Envelope = proto::decode(envelope).unwrap();
    let statement: proto::Statement = proto::decode(&envelope.statement).unwrap();
    let bound = statement.seal.unwrap();
    let wraps = envelope.body.unwrap().wraps;
    let wrap = wraps.iter().find(|wrap| wrap.inbox == "school/duty").unwrap();
    let wrap = seal::Wrap {
        key_id: KeyId(wrap.key_id.as_slice().try_into().unwrap()),
        enc: wrap.enc.clone(),
        wrapped: wrap.wrapped.clone(),
    };
    let context = seal::SealContext {
        exchange: &statement.exchange,
        sender: &statement.from,
        request_id: &statement.request_id,
    };
    let keys = &world.agency("school").folder().sealing[&"school/duty".parse().unwrap()];
    let commitment = bound.key_commitment.as_slice().try_into().unwrap();
    let key = seal::unwrap_key(&commitment, &wrap, keys, &context, "school").unwrap();
    (key, bound.body_sha256)
}

async fn delivery(world: &World, entry: u64) -> proto::Delivery {
    let by = Some(proto::get_concern_request::By::Entry(entry));
    let request = proto::GetConcernRequest { by };
    let concern = world.on_call.exchange().get_concern(request).await.unwrap().into_inner();
    concern.deliveries.into_iter().next().unwrap()
}

/// I6: a withdrawal stops what was not stored yet; who already had it is told and
/// confirms.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_stops_release_and_tells_who_already_had_it() {
    let world = World::with_agencies().await;
    let (police, school) = (world.agency("police"), world.agency("school"));
    let both = ["school/duty", "social-work/duty"];
    let entry = sent(police, &concern("police", &both, "P-1")).await;
    say(school, entry, "school/duty", stored()).await.unwrap();
    let by_other = school.compose(|composer| composer.withdrawal(entry, id(), "sent_in_error"));
    assert_eq!(code(school.submit(&by_other).await), "unknown_statement");
    let withdrawal = police.compose(|composer| composer.withdrawal(entry, id(), "sent_in_error"));
    police.submit(&withdrawal).await.unwrap();

    let request = proto::ListDeliveriesRequest::default();
    let waiting = world.agency("social-work").exchange().list_deliveries(request).await.unwrap();
    assert!(waiting.into_inner().incoming.is_empty(), "release has stopped");
    let notice = next(school).await;
    let kind = cairn::wire::client::open::written(&notice, &open(school, &notice))["type"].clone();
    assert_eq!(kind, "withdrawal");
    let lost = Act::CannotOpen(CannotOpen { reason: "other".into() });
    assert_eq!(code(say(school, notice.entry, "school/duty", lost).await), "not_a_recipient");
    say(school, notice.entry, "school/duty", stored()).await.unwrap();
    let confirmed = Act::WithdrawalConfirmed(WithdrawalConfirmed { person: person() });
    say(school, entry, "school/duty", confirmed).await.unwrap();
    let summary = world.summary().await;
    assert_eq!((summary.deliveries, summary.open, summary.withdrawn), (1, 1, 1));
    world.check().await;
}

/// I6: an inbox retires only when nothing is open there.
#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_with_open_deliveries_does_not_retire() {
    let world = World::with_agencies().await;
    let entry = sent(world.agency("police"), &concern("police", &["school/duty"], "P-1")).await;
    let retire = || {
        proto::directory_change::Change::Inbox(proto::Inbox {
            id: "school/duty".into(),
            calendar: "24x7".into(),
            retired: true,
            ..Default::default()
        })
    };
    assert_eq!(code(world.apply_signed(retire(), "school").await), "inbox_has_open_deliveries");
    let withdrawal = |composer: &cairn::wire::client::compose::Composer<'_>| {
        composer.withdrawal(entry, id(), "sent_in_error")
    };
    let police = world.agency("police");
    police.submit(&police.compose(withdrawal)).await.unwrap();
    world.apply_signed(retire(), "school").await.unwrap();
    let refused = send(police, &concern("police", &["school/duty"], "P-2")).await;
    assert_eq!(code(refused), "unknown_recipient");
    world.check().await;
}
