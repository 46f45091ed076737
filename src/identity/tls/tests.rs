use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::identity::{DevelopmentCa, Issued, Validity};

const VALIDITY: Validity = Validity { not_before_unix: 0, not_after_unix: 4_000_000_000 };

fn ca() -> DevelopmentCa {
    DevelopmentCa::create(&"cairn.example".parse().unwrap(), VALIDITY).unwrap()
}

fn server() -> Issued {
    ca().issue_server(&["localhost"], VALIDITY).unwrap()
}

fn key_file(folder: &Path, mode: u32, pem: &str) -> PathBuf {
    let path = folder.join("key.pem");
    let _ = fs::remove_file(&path);
    fs::write(&path, pem).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// The fault's text, which must name the file.
fn fault<T>(result: Result<T, Error>, path: &Path) -> String {
    match result.err().expect("a fault") {
        Error::File { path: named, fault } if named == path => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn refuses_key_files_that_others_can_reach() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o604, 0o640, 0o660, 0o644, 0o777, 0o610, 0o601, 0o602] {
        let path = key_file(folder.path(), mode, "secret");
        let text = fault(read_secret(&path), &path);
        assert!(text.contains(&format!("{mode:04o}")), "{text}");
        assert!(!text.contains("secret"));
    }
    for mode in [0o600, 0o400] {
        let path = key_file(folder.path(), mode, "secret");
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"secret");
    }
}

#[test]
fn refuses_a_file_one_byte_over_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.pem");
    let file = fs::File::create(&path).unwrap();
    file.set_len(TRUST_FILE_BYTES_MAX).unwrap();
    assert_eq!(read(&path).unwrap().len() as u64, TRUST_FILE_BYTES_MAX);
    file.set_len(TRUST_FILE_BYTES_MAX + 1).unwrap();
    assert!(fault(read(&path), &path).contains("more than"));
}

#[test]
fn says_of_a_certificate_file_what_is_wrong_with_it() {
    let path = Path::new("server.pem");
    let server = server();
    let good = &server.certificate_pem;
    let cut = &good[..good.len() / 2];
    let table = [
        (String::new(), "no certificate in it"),
        ("hello".to_owned(), "no certificate in it"),
        (server.key_pem.to_string(), "no certificate in it"),
        (cut.to_owned(), "not readable as PEM"),
        (format!("{good}{}", *server.key_pem), "1 of its 2 sections"),
        (
            format!("{good}{}", good.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            "1 of its 2 sections",
        ),
    ];
    for (pem, expected) in table {
        let text = fault(certificates(path, pem.as_bytes()), path);
        assert!(text.contains(expected), "{text}");
    }
    let two = format!("a comment\r\n{good}{good}").replace('\n', "\r\n");
    assert_eq!(certificates(path, two.as_bytes()).unwrap().len(), 2);
}

#[test]
fn says_of_a_key_file_what_is_wrong_with_it_and_nothing_of_what_is_in_it() {
    let path = Path::new("key.pem");
    let pem = server().key_pem;
    let secret = pem.lines().nth(1).unwrap();
    let table = [
        (String::new(), "no private key"),
        (pem.replace("PRIVATE", "ENCRYPTED PRIVATE"), "no private key"),
        (pem.replace("PRIVATE", "EC PRIVATE"), "not PKCS#8"),
        (pem.replace("PRIVATE", "RSA PRIVATE"), "not PKCS#8"),
        (format!("{}{}", *pem, *pem), "more than one"),
        (pem.replace("-----END", "-----NED"), "not readable as PEM"),
        (pem.replace(secret, &format!("{secret}!")), "not readable as PEM"),
    ];
    for (pem, expected) in table {
        let text = fault(private_key(path, pem.as_bytes()), path);
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains(&secret[..16]), "{text}");
    }
    assert!(private_key(path, pem.as_bytes()).is_ok());
}

#[test]
fn names_the_root_that_cannot_be_used() {
    let path = Path::new("ca.pem");
    let ca = ca();
    let pem = ca.certificate_pem().as_bytes();
    let mut roots = certificates(path, pem).unwrap();
    assert_eq!(super::roots(path, &roots).unwrap().len(), 1);
    roots.push(CertificateDer::from(vec![0x30, 0x00]));
    let text = fault(super::roots(path, &roots), path);
    assert!(text.contains("certificate 2 is no authority"), "{text}");
}

#[test]
fn refuses_an_ed25519_server_and_a_key_of_another_certificate() {
    let path = Path::new("server.pem");
    let ca = ca();
    let authorities = certificates(path, ca.certificate_pem().as_bytes()).unwrap();
    let clients = client_verifier(roots(path, &authorities).unwrap(), vec![]).unwrap();
    let (one, other) = (server(), server());
    let chain = certificates(path, one.certificate_pem.as_bytes()).unwrap();
    let key = |pem: &str| private_key(path, pem.as_bytes()).unwrap();
    let good = server_config(chain.clone(), key(&one.key_pem), clients.clone(), &[]);
    assert!(good.is_ok());
    let mixed = server_config(chain, key(&other.key_pem), clients.clone(), &[]);
    assert!(mixed.unwrap_err().to_lowercase().contains("key"));

    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let chain = vec![params.self_signed(&ed25519).unwrap().der().clone()];
    let refused = server_config(chain, key(&ed25519.serialize_pem()), clients, &[]);
    assert!(refused.unwrap_err().contains("ECDSA P-256"));
}

#[test]
fn prefers_the_post_quantum_hybrid_and_allows_no_other_curve_after_x25519() {
    let provider = provider();
    let names = provider.kx_groups.iter().map(|group| group.name());
    assert!(names.eq([rustls::NamedGroup::X25519MLKEM768, rustls::NamedGroup::X25519]));
}

#[test]
fn resumes_nothing_and_speaks_only_http_2() {
    let path = Path::new("ca.pem");
    let ca = ca();
    let authorities = certificates(path, ca.certificate_pem().as_bytes()).unwrap();
    let clients = client_verifier(roots(path, &authorities).unwrap(), vec![]).unwrap();
    let server = server();
    let chain = certificates(path, server.certificate_pem.as_bytes()).unwrap();
    let key = private_key(path, server.key_pem.as_bytes()).unwrap();
    let config = server_config(chain, key, clients, &[HTTP_2]).unwrap();
    assert_eq!(config.send_tls13_tickets, 0);
    assert!(!config.session_storage.can_cache());
    assert_eq!(config.max_early_data_size, 0);
    assert_eq!(config.alpn_protocols, [HTTP_2]);
}

#[tokio::test]
async fn a_connector_says_which_uri_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        fs::write(&path, pem).unwrap();
        path
    };
    let names = ["cairn.example".parse().unwrap()];
    let client =
        ca.issue_client(&names[0], &"a".parse().unwrap(), &"s".parse().unwrap(), VALIDITY).unwrap();
    let (roots, chain) =
        (file("ca.pem", ca.certificate_pem()), file("client.pem", &client.certificate_pem));
    let key = key_file(folder.path(), 0o600, &client.key_pem);
    let config = client_config(&roots, &chain, &key).unwrap();
    let connector = TlsConnector::new(config);
    for (uri, expected) in [
        ("/path", "no host"),
        ("http://localhost", "no port"),
        ("http://a_b!:1", "neither a DNS name nor an address"),
    ] {
        let refused = connector.clone().open(uri.parse().unwrap()).await;
        let text = refused.expect_err("a fault").to_string();
        assert!(text.contains(expected), "{text}");
    }
}
