//! Facts: messages, each behind its length as u16 big-endian, folded one after the other. What the
//! fold judges to fit, it records; and its counts are always those of the deliveries it holds.
#![no_main]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cairn::broker::{projection, records};
use cairn::domain::lifecycle::State;
use cairn::limits::RECIPIENTS_MAX;
use cairn::proto::{self, Facts};
use cairn::store::{Index, Overlay, View};
use cairn_fuzz::{Choices, scratch};
use libfuzzer_sys::fuzz_target;

const ENTRIES_MAX: u64 = 32;
const DELIVERIES_MAX: usize = 4_096;

fuzz_target!(|data: &[u8]| {
    let mut overlay = Overlay::over(empty());
    let mut choices = Choices(data);
    for entry in 0..ENTRIES_MAX {
        let length = choices.take(2);
        let Ok(length) = <[u8; 2]>::try_from(length).map(u16::from_be_bytes) else { break };
        let Ok(mut facts) = proto::decode::<Facts>(choices.take(length.into())) else { continue };
        let again: Facts = proto::decode(&proto::encode(&facts)).expect("what was written is read");
        assert_eq!(again, facts);
        // As the policy leaves them: each recipient once, and not too many.
        let distinct: BTreeSet<&String> = facts.inboxes.iter().collect();
        if distinct.len() < facts.inboxes.len() || distinct.len() > RECIPIENTS_MAX {
            continue;
        }
        projection::address(&overlay, &mut facts);
        if let Ok(effect) = projection::judge(&overlay, entry, entry, &facts) {
            projection::apply(&mut overlay, entry, entry, &facts, effect);
        }
        counts_are_of_deliveries(&overlay);
    }
});

fn empty() -> &'static Index {
    static INDEX: OnceLock<(tempfile::TempDir, Index)> = OnceLock::new();
    let (_, index) = INDEX.get_or_init(|| {
        let folder = scratch();
        let index = Index::open(&folder.path().join("index")).expect("an index");
        (folder, index)
    });
    index
}

/// I6: each delivery is counted once, where it stands; open ones are listed, and held by one inbox.
fn counts_are_of_deliveries(view: &Overlay<'_>) {
    let deliveries: Vec<records::DeliveryRecord> = view
        .under(b"d", DELIVERIES_MAX)
        .iter()
        .map(|(key, value)| records::DeliveryRecord::unpack(key, value).expect("a delivery"))
        .collect();
    let count = |name: &str| records::unpack::<u64>(view, &records::count_key(name)).unwrap_or(0);
    for state in State::ALL {
        let there = deliveries.iter().filter(|record| record.delivery.state == state).count();
        assert_eq!(count(state.as_str()), there as u64, "{state:?}");
    }
    let open: Vec<_> = deliveries.iter().filter(|record| record.delivery.is_open()).collect();
    assert_eq!(view.under(b"o", DELIVERIES_MAX).len(), open.len());
    for record in &open {
        let holder = &record.delivery.holder;
        let held = open.iter().filter(|other| other.delivery.holder == *holder).count();
        assert_eq!(count(&projection::held_count(holder)), held as u64, "{holder}");
        let waits = record.delivery.state == State::Queued;
        let listed = view.value(&records::queue_key(holder, record.concern)).is_some();
        assert!(!waits || listed, "queued, and not in the queue");
    }
}
