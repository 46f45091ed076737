//! A trust policy: a checkpoint that nobody cosigned is enough only where it says `none`, and for
//! no ledger that it does not name.
#![no_main]

use cairn::ledger::tlog_policy::{POLICY_BYTES_MAX, TlogPolicy};
use cairn_fuzz::entries::{ENTRIES, checkpoint};
use cairn_fuzz::vkey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(policy) = TlogPolicy::parse(data) else { return };
    assert!(data.len() <= POLICY_BYTES_MAX);
    let none = data.windows(4).any(|word| word == b"none");
    let named = policy.logs().contains(&vkey());
    let note = checkpoint(ENTRIES);
    assert_eq!(policy.judge(&note).is_ok(), named, "of a ledger that is named");
    let judged = policy.with_logs(&[vkey()]).judge(&note).expect("its key is known now");
    assert!(judged.cosigned.is_empty());
    assert!(!judged.enough || none, "without a cosignature");
});
