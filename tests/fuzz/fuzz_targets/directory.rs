//! A change of the directory. The first byte says which agencies sign it. What an agency has not
//! signed brings it no key, no agreement and no deputy.
#![no_main]

use cairn::proto::{self, directory_change::Change};
use cairn_fuzz::{AGENCIES, EXCHANGE, NOW, inbox, world};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(signed) = proto::decode::<proto::SignedChange>(data) {
        judged(&signed, 0);
    }
    let Some((by, change)) = data.split_first() else { return };
    judged(&world().signed_change(change.to_vec(), *by), *by);
});

fn judged(signed: &proto::SignedChange, by: u8) {
    let before = &world().directory;
    let Ok(change) = before.judge(signed, NOW) else { return };
    assert_eq!(change.exchange, EXCHANGE);
    let signed_by = |agency: &str| {
        AGENCIES.iter().position(|known| *known == agency).is_none_or(|at| by >> at & 1 == 1)
    };
    match change.change.as_ref().expect("it says something") {
        Change::Agency(agency) => assert!(signed_by(&agency.id)),
        Change::Inbox(inbox) => assert!(signed_by(agency_of(&inbox.id))),
        Change::SigningKey(key) => assert!(signed_by(&key.agency)),
        Change::SealingKey(key) => assert!(signed_by(agency_of(&key.inbox))),
        Change::Agreement(agreement) => {
            assert!(agreement.parties.iter().all(|party| signed_by(party)));
        }
        Change::Area(area) => {
            let named = [&area.catch_all, &area.out_of_hours];
            assert!(named.iter().all(|name| name.is_empty() || signed_by(agency_of(name))));
        }
        Change::System(_) | Change::KeyRevocation(_) => {}
    }
    let mut after = before.clone();
    after.apply(before.as_of(), signed);
    assert_eq!(after.as_of(), before.as_of() + 1);
    for agency in AGENCIES {
        let id = inbox(agency).parse().expect("an inbox");
        assert!(after.stand_ins(std::slice::from_ref(&id)).iter().all(|other| *other != id));
        let kept = after.sealing_key(&id, NOW).map(|key| key.id);
        let new = kept != before.sealing_key(&id, NOW).map(|key| key.id);
        assert!(!new || signed_by(agency), "a sealing key that its agency did not sign");
    }
}

fn agency_of(inbox: &str) -> &str {
    inbox.split('/').next().unwrap_or_default()
}
