use super::*;
use crate::identity::Peer;

const VALIDITY: Validity =
    Validity { not_before_unix: 1_700_000_000, not_after_unix: 1_800_000_000 };

fn exchange() -> ExchangeName {
    "cairn.example/ardness".parse().unwrap()
}

fn ca() -> DevelopmentCa {
    DevelopmentCa::create(&exchange(), VALIDITY).unwrap()
}

fn fault<T>(result: Result<T, Error>) -> String {
    result.err().expect("a fault").to_string()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn a_loaded_authority_issues_what_the_created_one_would() {
    let created = ca();
    let loaded = DevelopmentCa::load(created.certificate_pem(), &created.key_pem()).unwrap();
    assert_eq!(loaded.certificate_pem(), created.certificate_pem());
    let authority = der(created.certificate_pem());
    let (_, authority) = X509Certificate::from_der(&authority).unwrap();
    let (agency, system) = ("a".parse().unwrap(), "s".parse().unwrap());
    for ca in [&created, &loaded] {
        let issued = ca.issue_client(&exchange(), &agency, &system, VALIDITY);
        let issued = issued.unwrap();
        let certificate = der(&issued.certificate_pem);
        let (_, read) = X509Certificate::from_der(&certificate).unwrap();
        assert_eq!(read.issuer().as_raw(), authority.subject().as_raw());
        assert!(!read.is_ca() && authority.is_ca());
        let usage = read.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        let peer = Peer::from_certificate(&certificate, &exchange()).unwrap();
        assert_eq!((&peer.agency, &peer.system), (&agency, &system));
        assert_eq!(peer.serial, issued.serial);
        assert_eq!(peer.not_after_unix, VALIDITY.not_after_unix);
        assert!(issued.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}

#[test]
fn refuses_to_load_a_key_of_another_authority_or_an_authority_of_others() {
    let (one, other) = (ca(), ca());
    let swapped = DevelopmentCa::load(one.certificate_pem(), &other.key_pem());
    assert!(fault(swapped).contains("not the authority's"));

    let key = new_key().unwrap();
    let mut foreign = params(VALIDITY, &[1]).unwrap();
    for (kind, text) in [
        (DnType::CommonName, "somebody"),
        (DnType::OrganizationName, "else"),
        (DnType::CountryName, "GB"),
    ] {
        foreign.distinguished_name.push(kind, text);
    }
    let (_, pem) = sign_ca(foreign, &key).unwrap();
    let loaded = DevelopmentCa::load(&pem, &key.serialize_pem());
    assert!(fault(loaded).contains("not an authority that Cairn made"));

    for (certificate, key) in [("", &*one.key_pem()), (one.certificate_pem(), &String::new())] {
        let loaded = DevelopmentCa::load(certificate, key);
        assert!(fault(loaded).contains("cannot be read"));
    }
}

#[test]
fn no_two_authorities_have_a_name_and_no_two_certificates_a_number_in_common() {
    let names = [ca(), ca()].map(|ca| der(ca.certificate_pem()));
    let [one, other] = names.each_ref().map(|name| X509Certificate::from_der(name).unwrap().1);
    assert_ne!(one.subject().as_raw(), other.subject().as_raw());
    let serials: std::collections::HashSet<_> =
        (0..100).map(|_| random_serial().unwrap()).collect();
    assert_eq!(serials.len(), 100);
    assert!(serials.iter().all(|serial| (0x40..0x80).contains(&serial[0])));
}

#[test]
fn refuses_what_no_certificate_can_say() {
    let ca = ca();
    assert!(fault(ca.issue_server(&[], VALIDITY)).contains("needs a name"));
    assert!(ca.issue_server(&["straße.example"], VALIDITY).is_err());
    for serial in ["", "1", "0g", "+1", "é1"] {
        assert!(fault(ca.crl(&[serial], VALIDITY)).contains("hex"), "{serial}");
    }
    let until = |not_after_unix| Validity { not_after_unix, ..VALIDITY };
    assert!(ca.issue_server(&["a"], until(UNIX_SECONDS_MAX)).is_ok());
    let late = ca.issue_server(&["a"], until(UNIX_SECONDS_MAX + 1));
    assert!(fault(late).contains("9999"));
    assert!(fault(ca.crl(&[], until(u64::MAX))).contains("9999"));
}
