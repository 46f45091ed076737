//! Keys: their windows, their succession, what they may say, and the review key.

use cairn::{
    crypto::{
        SealingKeyPair,
        seal::{self, SealContext},
        sign::{DIRECTORY_TYPE, SigningKey, sign_dsse},
    },
    proto::{self, Envelope, Signature, SignedChange, Statement, directory_change::Change},
    wire::client::{Client, enrol, folder::SystemFolder},
};

use crate::support::{EXCHANGE, World, agreement, code, statements::*};

/// A registration of the school's next key, signed by these keys.
fn next_key(new: &SigningKey, record: proto::SigningKey, by: &[&SigningKey]) -> SignedChange {
    let record = proto::SigningKey {
        agency: "school".into(),
        system: "system".into(),
        public_key: new.public().to_bytes().to_vec(),
        ..record
    };
    let mut signed = enrol::unsigned(EXCHANGE, Change::SigningKey(record));
    signed.signatures = by
        .iter()
        .map(|key| Signature {
            key_id: key.key_id().0.to_vec(),
            signature: sign_dsse(key, DIRECTORY_TYPE, &signed.change).to_vec(),
        })
        .collect();
    signed
}

/// The school's client, signing with another key.
fn with_key(client: &Client, key: SigningKey) -> Client {
    let mut folder = SystemFolder::open(client.folder().path()).unwrap();
    folder.signing = key;
    Client::new(folder).unwrap()
}

/// I2: a key is followed only by one that it has signed, and each is good from its day
/// to its day.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_succeeded_by_one_it_has_signed_and_ends_on_its_day() {
    let world = World::with_agencies().await;
    let school = world.agency("school");
    let now = cairn::clock::Clock::now(&*world.clock).unix_seconds();
    let (first, second) = (&school.folder().signing, SigningKey::from_seed(&[5; 32]));
    let record = || proto::SigningKey {
        predecessor: first.key_id().0.to_vec(),
        valid_from: now + 60,
        valid_to: now + 3_600,
        ..Default::default()
    };
    let alone = next_key(&second, record(), &[&second]);
    assert_eq!(code(world.admin.apply(alone).await), "not_signed");
    let unproved = next_key(&second, record(), &[first]);
    assert_eq!(code(world.admin.apply(unproved).await), "not_signed", "it must sign too");
    world.admin.apply(next_key(&second, record(), &[first, &second])).await.unwrap();

    let renewed = with_key(school, SigningKey::from_seed(&[5; 32]));
    renewed.refresh().await.unwrap();
    let document = |reference| concern("school", &["police/duty"], reference);
    assert_eq!(code(send(&renewed, &document("S-1")).await), "key_not_valid", "not yet");
    let later = |seconds: i64| cairn::clock::Moment((now + seconds) as u64 * 1_000_000_000);
    world.clock.set(later(61));
    send(&renewed, &document("S-1")).await.unwrap();
    world.clock.set(later(3_600));
    assert_eq!(code(send(&renewed, &document("S-2")).await), "key_not_valid", "not any more");
    send(school, &document("S-2")).await.unwrap();
    world.check().await;
}

/// I2: a receiving program's key can store and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_says_only_what_it_was_registered_for() {
    let world = World::with_agencies().await;
    let school = world.agency("school");
    let (first, second) = (&school.folder().signing, SigningKey::from_seed(&[6; 32]));
    let record = proto::SigningKey {
        predecessor: first.key_id().0.to_vec(),
        kinds: vec!["stored".into()],
        inboxes: vec!["school/duty".into()],
        ..Default::default()
    };
    world.admin.apply(next_key(&second, record, &[first, &second])).await.unwrap();
    let program = with_key(school, SigningKey::from_seed(&[6; 32]));
    program.refresh().await.unwrap();
    let entry = sent(world.agency("police"), &concern("police", &["school/duty"], "P-1")).await;
    say(&program, entry, "school/duty", stored()).await.unwrap();
    let taken = say(&program, entry, "school/duty", acknowledged()).await;
    assert_eq!(code(taken), "key_not_permitted");
    let sent = send(&program, &concern("school", &["police/duty"], "S-1")).await;
    assert_eq!(code(sent), "key_not_permitted");
    // Nor bring in a key that may say more, nor sign for the agency.
    let (own, more) = (SigningKey::from_seed(&[6; 32]), SigningKey::from_seed(&[8; 32]));
    let record = proto::SigningKey { predecessor: own.key_id().0.to_vec(), ..Default::default() };
    let unconfined = next_key(&more, record, &[&own, &more]);
    assert_eq!(code(world.admin.apply(unconfined).await), "not_signed");
    let planted = Change::SealingKey(proto::SealingKey {
        inbox: "school/duty".into(),
        public_key: SealingKeyPair::generate().unwrap().public().to_bytes(),
        ..Default::default()
    });
    let planted = enrol::signed(EXCHANGE, planted, &[program.folder()]);
    assert_eq!(code(world.admin.apply(planted).await), "not_signed");
    say(school, entry, "school/duty", acknowledged()).await.unwrap();
    world.check().await;
}

/// An agreement's review key opens what was shared under it, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_key_opens_what_was_shared_under_its_agreement() {
    let world = World::with_agencies().await;
    let review = SealingKeyPair::generate().unwrap();
    let reviewed = proto::Agreement {
        review_key: review.public().to_bytes(),
        no_review_key_reason: String::new(),
        ..agreement("reviewed", &["police", "school"])
    };
    let signers = [world.agency("police").folder(), world.agency("school").folder()];
    let change = enrol::signed(EXCHANGE, Change::Agreement(reviewed), &signers);
    world.admin.apply(change).await.unwrap();
    world.refresh().await;

    let document = with(
        concern("police", &["school/duty"], "P-1"),
        serde_json::json!({"agreement": "reviewed"}),
    );
    let bytes = envelope(world.agency("police"), &document);
    world.agency("police").submit(&bytes).await.unwrap();
    let sealed: Envelope = proto::decode(&bytes).unwrap();
    let statement: Statement = proto::decode(&sealed.statement).unwrap();
    let body = sealed.body.unwrap();
    let wrap = body.wraps.iter().find(|wrap| wrap.agreement == "reviewed").unwrap();
    let wrap = seal::Wrap {
        key_id: review.key_id(),
        enc: wrap.enc.clone(),
        wrapped: wrap.wrapped.clone(),
    };
    let context =
        SealContext { exchange: EXCHANGE, sender: "police", request_id: &statement.request_id };
    let commitment: [u8; 32] = statement.seal.unwrap().key_commitment.try_into().unwrap();
    let nonce: [u8; 12] = body.nonce.try_into().unwrap();
    let parts = seal::SealedBody {
        nonce: &nonce,
        ciphertext: &body.ciphertext,
        key_commitment: &commitment,
    };
    let opened = seal::open(&parts, &wrap, &review, &context, "reviewed").unwrap();
    assert!(String::from_utf8_lossy(&opened).contains("Quillfeather"));

    let other = envelope(world.agency("police"), &concern("police", &["school/duty"], "P-2"));
    let other: Envelope = proto::decode(&other).unwrap();
    assert!(other.body.unwrap().wraps.iter().all(|wrap| wrap.agreement.is_empty()));
    world.check().await;
}
