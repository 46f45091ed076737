//! A statement: its bytes, and what the policy makes of it once it is signed and its body is the
//! one it speaks of. What is permitted is of its sender, of the directory, and fits its entry.
#![no_main]

use cairn::domain::{document::Flag, ids::InboxId};
use cairn::identity::authenticate::authenticate;
use cairn::policy::permit;
use cairn::proto::{self, EntryType, Statement};
use cairn_fuzz::{AGENCIES, EXCHANGE, NOW, SYSTEM, seal_of, world};
use libfuzzer_sys::fuzz_target;

/// Wraps that the target itself puts on the body; the directory bounds what a sender may name.
const WRAPS_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Ok(mut statement) = proto::decode::<Statement>(data) else { return };
    let bytes = proto::encode(&statement);
    let again: Statement = proto::decode(&bytes).expect("what was written is read");
    assert_eq!(again, statement);
    assert_eq!(proto::encode(&again), bytes);

    let by = usize::from(statement.from == AGENCIES[1]);
    statement.exchange = EXCHANGE.to_owned();
    statement.from = AGENCIES[by].to_owned();
    statement.system = SYSTEM.to_owned();
    let body = statement.seal.take().map(|_| body(&statement));
    statement.seal = body.as_ref().and_then(|body| seal_of(body, vec![0; 32]));
    let envelope = world().envelope(by, proto::encode(&statement), body);
    let peer = world().peers[by].clone();
    let Ok(authenticated) = authenticate(&world().directory, peer, envelope) else { return };
    let Ok(permitted) = permit(&world().directory, authenticated, NOW) else { return };
    holds(&statement, permitted.facts());
});

/// A body that nobody could open, with a wrap for whoever is named.
fn body(statement: &Statement) -> proto::SealedBody {
    let next = match &statement.act {
        Some(proto::statement::Act::Redirection(redirection)) => redirection.next.clone(),
        _ => statement.inbox.clone(),
    };
    let named = statement.to.iter().chain([&next]).take(WRAPS_MAX);
    let wrap = |inbox: &String| {
        let at = usize::from(inbox.starts_with(AGENCIES[1]));
        let key_id = world().sealing[at].key_id().0.to_vec();
        let (enc, wrapped) = (vec![1; 1_120], vec![2; 48]);
        proto::Wrap { inbox: inbox.clone(), agreement: String::new(), key_id, enc, wrapped }
    };
    proto::SealedBody {
        nonce: vec![0; 12],
        ciphertext: vec![0; 272],
        wraps: named.map(wrap).collect(),
    }
}

fn holds(statement: &Statement, facts: &proto::Facts) {
    assert_eq!(facts.sender, statement.from);
    assert_eq!(facts.answers, statement.answers);
    assert!(facts.flags.iter().all(|flag| Flag::parse(flag).is_some()));
    assert!(!matches!(
        facts.r#type(),
        EntryType::Unspecified | EntryType::Genesis | EntryType::Directory | EntryType::Refusal
    ));
    let known = |name: &String| {
        name.parse::<InboxId>().is_ok_and(|id| world().directory.inbox(&id).is_some())
    };
    if facts.r#type() == EntryType::Concern {
        assert!(!facts.inboxes.is_empty() && facts.inboxes.iter().all(known));
        assert!(facts.outside_agreement || !facts.agreement.is_empty());
        assert!(facts.reply_to.is_empty() || facts.reply_to.starts_with(&facts.sender));
    }
    let bytes = proto::encode(facts);
    assert_eq!(proto::decode::<proto::Facts>(&bytes).as_ref(), Ok(facts));
}
