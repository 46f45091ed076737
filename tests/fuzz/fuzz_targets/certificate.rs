//! A certificate, DER: it names one system of this exchange in full, or nobody.
#![no_main]

use cairn::identity::{NoIdentity, Peer};
use cairn_fuzz::{EXCHANGE, peer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(named) = peer(data) else { return };
    assert_eq!(named.exchange.as_str(), EXCHANGE);
    let uri = format!("cairn://{EXCHANGE}/{}/{}", named.agency, named.system);
    assert!(data.windows(uri.len()).any(|part| part == uri.as_bytes()), "nowhere in it");
    assert!(!named.serial.starts_with("00"));
    let elsewhere = "cairn.example/elsewhere".parse().expect("a name");
    assert_eq!(Peer::from_certificate(data, &elsewhere), Err(NoIdentity::AnotherExchange));
    let longer = [data, &[0]].concat();
    assert_eq!(peer(&longer), Err(NoIdentity::Unreadable));
});
