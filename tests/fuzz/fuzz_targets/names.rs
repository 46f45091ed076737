//! Names and numbers from outside: ids, inboxes, key ids, page tokens. One spelling each.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use cairn::crypto::KeyId;
use cairn::domain::ids::{
    AgencyId, AgreementId, EntryNumber, ExchangeName, InboxId, RequestId, SystemName,
};
use cairn::wire::paging;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(id) = RequestId::try_from(data) {
        assert_eq!(id.as_bytes(), data);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    spelled_once::<AgencyId>(text);
    spelled_once::<AgreementId>(text);
    spelled_once::<ExchangeName>(text);
    spelled_once::<InboxId>(text);
    spelled_once::<KeyId>(text);
    spelled_once::<SystemName>(text);
    if let Ok(number) = text.parse::<EntryNumber>() {
        assert_eq!(number.to_string().parse(), Ok(number));
    }
    if let Ok(Some(key)) = paging::after(text) {
        assert_eq!(paging::token(&key), text);
    }
    let _ = paging::after_entry(text);
});

fn spelled_once<T: FromStr + Display>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert_eq!(id.to_string(), text);
    }
}
