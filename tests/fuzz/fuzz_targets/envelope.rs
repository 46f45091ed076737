//! An envelope, as an agency's system sends it: as it came, and once more with a good signature, so
//! that what lies behind the signature is reached. What one signature stands for is one thing.
#![no_main]

use std::collections::BTreeSet;

use cairn::identity::authenticate::{Authenticated, authenticate};
use cairn::{limits, proto};
use cairn_fuzz::{AGENCIES, EXCHANGE, SYSTEM, harmed, world};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for by in 0..AGENCIES.len() {
        if let Some(accepted) = accepted(by, data.to_vec()) {
            holds(by, &accepted, data);
        }
    }
    let Ok(envelope) = proto::decode::<proto::Envelope>(data) else { return };
    let Ok(statement) = proto::decode::<proto::Statement>(&envelope.statement) else { return };
    let by = usize::from(statement.from == AGENCIES[1]);
    let signed = world().envelope(by, envelope.statement, envelope.body);
    let Some(good) = accepted(by, signed.clone()) else { return };
    holds(by, &good, &signed);
    assert!(accepted(1 - by, signed.clone()).is_none(), "said by another");
    let harmed = [harmed(&signed), recut(&signed)];
    for other in harmed.into_iter().flatten().filter_map(|harmed| accepted(by, harmed)) {
        assert!(other.statement() == good.statement(), "another statement under one signature");
        assert!(other.body() == good.body(), "another body under one signature");
    }
});

fn accepted(by: usize, envelope: Vec<u8>) -> Option<Authenticated> {
    authenticate(&world().directory, world().peers[by].clone(), envelope).ok()
}

fn holds(by: usize, accepted: &Authenticated, sent: &[u8]) {
    let statement = accepted.statement();
    assert_eq!(accepted.envelope(), sent);
    assert!(sent.len() <= limits::ENVELOPE_BYTES_MAX);
    assert_eq!(statement.exchange, EXCHANGE);
    assert_eq!((statement.from.as_str(), statement.system.as_str()), (AGENCIES[by], SYSTEM));
    assert_eq!(accepted.key(), world().signers[by].key_id());
    let ids = limits::REQUEST_ID_BYTES_MIN..=limits::REQUEST_ID_BYTES_MAX;
    assert!(ids.contains(&statement.request_id.len()));
    assert!(statement.to.iter().collect::<BTreeSet<_>>().len() <= limits::RECIPIENTS_MAX);
    assert!(statement.act.is_some());
    assert_eq!(statement.seal.is_some(), accepted.body().is_some());
    let Some((seal, body)) = statement.seal.as_ref().zip(accepted.body()) else { return };
    assert!(body.ciphertext.len() <= limits::SEALED_BODY_BYTES_MAX);
    assert!(body.wraps.len() == seal.wraps.len() && body.wraps.len() <= limits::WRAPS_MAX);
}

/// The same bytes of a wrap, cut elsewhere into its two parts.
fn recut(envelope: &[u8]) -> Option<Vec<u8>> {
    let mut envelope: proto::Envelope = proto::decode(envelope).ok()?;
    let wrap = envelope.body.as_mut()?.wraps.first_mut()?;
    wrap.wrapped.insert(0, wrap.enc.pop()?);
    Some(proto::encode(&envelope))
}
