use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType, SerialNumber};

use super::*;

const EXCHANGE: &str = "cairn.example/ardness";

fn exchange() -> ExchangeName {
    EXCHANGE.parse().unwrap()
}

/// A certificate of nobody's, as hostile as its names.
fn certificate(names: &[SanType], shape: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    shape(&mut params);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

fn identify(names: &[SanType]) -> Result<Peer, NoIdentity> {
    Peer::from_certificate(&certificate(names, |_| {}), &exchange())
}

#[test]
fn reads_the_one_identity_of_a_certificate() {
    let der = certificate(
        &[
            SanType::DnsName("push.sw-ardness.example".try_into().unwrap()),
            uri("spiffe://elsewhere.example/workload"),
            uri("cairn://cairn.example/ardness/sw-ardness/push.1_a"),
        ],
        |params| params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0x8f, 0x01])),
    );
    let peer = Peer::from_certificate(&der, &exchange()).unwrap();
    assert_eq!(peer.exchange.as_str(), EXCHANGE);
    assert_eq!(peer.agency.as_str(), "sw-ardness");
    assert_eq!(peer.system.as_str(), "push.1_a");
    assert_eq!(peer.serial, "8f01");
    assert_eq!(peer.not_after_unix, 1_893_456_000);
    let sha256: [u8; 32] = Sha256::digest(&der).into();
    assert_eq!(peer.certificate_sha256, sha256);
}

#[test]
fn refuses_every_other_way_to_write_an_identity() {
    use NoIdentity::{AnotherExchange, BadShape};
    let long = "a".repeat(65);
    let table = [
        ("cairn://cairn.example/ardness2/a/s", AnotherExchange),
        ("cairn://cairn.example/Ardness/a/s", AnotherExchange),
        ("cairn://cairn.example/a/s", AnotherExchange),
        ("cairn://cairn.example/ardness/2/a/s", AnotherExchange),
        ("cairn://x/cairn.example/ardness/a/s", AnotherExchange),
        ("cairn:///cairn.example/ardness/a/s", AnotherExchange),
        ("CAIRN://cairn.example/ardness/a/s", BadShape),
        ("Cairn://cairn.example/ardness/a/s", BadShape),
        ("cairn:cairn.example/ardness/a/s", BadShape),
        ("cairn:/cairn.example/ardness/a/s", BadShape),
        ("cairn:", BadShape),
        ("cairn://", BadShape),
        ("cairn:////", BadShape),
        ("cairn://a/s", BadShape),
        ("cairn:///a/s", BadShape),
        ("cairn://cairn.example/ardness/a/", BadShape),
        ("cairn://cairn.example/ardness//s", BadShape),
        ("cairn://cairn.example/ardness/a/s/", BadShape),
        ("cairn://cairn.example/ardness/a/s?x=1", BadShape),
        ("cairn://cairn.example/ardness/a/s#x", BadShape),
        ("cairn://cairn.example/ardness/a/s ", BadShape),
        (" cairn://cairn.example/ardness/a/s", NoIdentity::None),
        ("cairn://cairn.example/ardness/%61/s", BadShape),
        ("cairn://cairn.example%2Fardness/a/s", BadShape),
        ("cairn://cairn.example/ardness/a%2Fb/s", BadShape),
        ("cairn://cairn.example/ardness/a\0/s", BadShape),
        ("cairn://user@cairn.example/ardness/a/s", BadShape),
        ("cairn://cairn.example:443/ardness/a/s", BadShape),
        ("cairn://cairn.example/ardness/../s", BadShape),
        ("cairn://cairn.example/ardness/-a/s", BadShape),
        ("cairn://cairn.example/ardness/a/.s", BadShape),
        ("https://cairn.example/ardness/a/s", NoIdentity::None),
        ("cairnx://cairn.example/ardness/a/s", NoIdentity::None),
    ];
    for (text, reason) in table {
        assert_eq!(identify(&[uri(text)]), Err(reason), "{text:?}");
    }
    let too_long = format!("cairn://{EXCHANGE}/{long}/s");
    assert_eq!(identify(&[uri(&too_long)]), Err(BadShape));
    let just_right = format!("cairn://{EXCHANGE}/{}/{}", &long[1..], &long[1..]);
    assert!(identify(&[uri(&just_right)]).is_ok());
}

#[test]
fn refuses_two_identities_even_if_one_is_wrong_or_both_are_the_same() {
    let good = "cairn://cairn.example/ardness/a/s";
    for second in [good, "cairn://cairn.example/ardness/b/s", "cairn://elsewhere/b/s", "CAIRN:"] {
        for names in [[uri(good), uri(second)], [uri(second), uri(good)]] {
            assert_eq!(identify(&names), Err(NoIdentity::MoreThanOne), "{second}");
        }
    }
}

#[test]
fn takes_no_identity_from_the_common_name_or_other_kinds_of_name() {
    let identity = "cairn://cairn.example/ardness/a/s";
    let in_subject = certificate(&[], |params| {
        params.distinguished_name.push(DnType::CommonName, identity);
    });
    let in_dns_and_mail = certificate(
        &[
            SanType::DnsName(identity.try_into().unwrap()),
            SanType::Rfc822Name(identity.try_into().unwrap()),
        ],
        |_| {},
    );
    for der in [in_subject, in_dns_and_mail] {
        let read = Peer::from_certificate(&der, &exchange());
        assert_eq!(read, Err(NoIdentity::None));
    }
    assert_eq!(identify(&[]), Err(NoIdentity::None));
}

#[test]
fn refuses_a_certificate_with_two_lists_of_names_or_one_that_is_not_text() {
    // GeneralNames of one URI, first byte 0x80 instead of text.
    let not_text = vec![0x30, 0x04, 0x86, 0x02, 0x80, 0x3a];
    let san = [2, 5, 29, 17];
    let twice = certificate(&[uri("cairn://cairn.example/ardness/a/s")], |params| {
        let second = vec![0x30, 0x08, 0x86, 0x06, b'c', b'a', b'i', b'r', b'n', b':'];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&san, second)];
    });
    let garbled = certificate(&[], |params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&san, not_text)];
    });
    for der in [twice, garbled] {
        let read = Peer::from_certificate(&der, &exchange());
        assert_eq!(read, Err(NoIdentity::Unreadable));
    }
}

#[test]
fn refuses_bytes_after_the_certificate_and_every_cut_of_it() {
    let mut der = certificate(&[uri("cairn://cairn.example/ardness/a/s")], |_| {});
    for length in 0..der.len() {
        let read = Peer::from_certificate(&der[..length], &exchange());
        assert_eq!(read, Err(NoIdentity::Unreadable), "{length}");
    }
    assert!(Peer::from_certificate(&der, &exchange()).is_ok());
    der.push(0);
    let read = Peer::from_certificate(&der, &exchange());
    assert_eq!(read, Err(NoIdentity::Unreadable));
}

proptest! {
    #[test]
    fn any_damage_gives_an_answer_and_never_a_wrong_name(at in any::<prop::sample::Index>(), byte: u8) {
        static GOOD: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| certificate(&[uri("cairn://cairn.example/ardness/a/s")], |_| {}));
        let mut der = GOOD.clone();
        let at = at.index(der.len());
        der[at] = byte;
        if let Ok(peer) = Peer::from_certificate(&der, &exchange()) {
            prop_assert_eq!(peer.exchange.as_str(), EXCHANGE);
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(
        exchange in "[a-z0-9.]{1,20}(/[a-z0-9]{1,8}){0,2}",
        agency in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        system in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    ) {
        let exchange: ExchangeName = exchange.parse().unwrap();
        let (agency, system) = (agency.parse().unwrap(), system.parse().unwrap());
        let written = identity_uri(&exchange, &agency, &system);
        prop_assert_eq!(parts(&written, &exchange), Ok((agency, system)));
    }
}
