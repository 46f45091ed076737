//! A line of a concern document file: what is taken apart is put together again, and the body is
//! the same by every road.
#![no_main]

use std::collections::BTreeSet;

use cairn::domain::document::{Body, Document};
use cairn::limits::{CARRIED_BODY_BYTES_MAX, RECIPIENTS_MAX, TO_WRITTEN_MAX};
use libfuzzer_sys::fuzz_target;

/// No refusal needs more words than this, whatever the line says.
const MESSAGE_BYTES_MAX: usize = 400;

fuzz_target!(|data: &[u8]| {
    if let Ok(body) = Body::parse(data) {
        body_goes_round(&body);
    }
    let document = match Document::parse(data) {
        Ok(document) => document,
        Err(malformed) => return assert!(malformed.to_string().len() <= MESSAGE_BYTES_MAX),
    };
    let to: BTreeSet<_> = document.fields.to.iter().collect();
    assert!(!to.is_empty() && to.len() <= RECIPIENTS_MAX);
    assert!(document.fields.to.len() <= TO_WRITTEN_MAX);
    assert!(!document.fields.reference.trim().is_empty());
    for name in ["from", "reference", "to"] {
        assert!(!document.body.as_map().contains_key(name), "said twice");
    }
    let whole = serde_json::to_vec(&document.to_json()).expect("a JSON object");
    let again = Document::parse(&whole).expect("what was written is read");
    assert!(again == document, "another document");
    assert_eq!(again.flags(), document.flags());
    body_goes_round(&document.body);
});

fn body_goes_round(body: &Body) {
    let canonical = body.canonical();
    let again = Body::parse(&canonical).expect("the canonical form is read");
    assert!(again.canonical() == canonical, "the canonical form is not canonical");
    if body.is_too_large() {
        return;
    }
    let carried = body.carried();
    assert!(carried.len() <= CARRIED_BODY_BYTES_MAX);
    let again = Body::parse(&carried).expect("the carried form is read");
    assert!(again.canonical() == canonical, "the body that is carried is another");
}
