//! Key files: what is written, and what is refused.

use super::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A private file with this text, and its folder, which goes when dropped.
fn file_with(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    (folder, path)
}

#[test]
fn reads_what_it_wrote_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let signing = SigningKey::generate().unwrap();
    write_signing_key(&path("a"), &signing).unwrap();
    let read = read_signing_key(&path("a")).unwrap();
    assert_eq!(read.public(), signing.public());
    let sealing = SealingKeyPair::generate().unwrap();
    write_sealing_key(&path("b"), &sealing).unwrap();
    assert_eq!(read_sealing_key(&path("b")).unwrap().seed(), sealing.seed());
    let agency = AgencySecret::generate().unwrap();
    write_agency_secret(&path("c"), &agency).unwrap();
    let read = read_agency_secret(&path("c")).unwrap();
    assert_eq!(read.as_bytes(), agency.as_bytes());
    let exchange = ExchangeSecret::generate().unwrap();
    write_exchange_secret(&path("d"), &exchange).unwrap();
    let read = read_exchange_secret(&path("d")).unwrap();
    assert_eq!(read.as_bytes(), exchange.as_bytes());
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 4);
    for file in files {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}

#[test]
fn writes_the_form_that_openssl_reads() {
    // PKCS#8 version 1 (02 01 00): the key "Alice" of RFC 8410, 10.3.
    let seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    let key = SigningKey::from_seed(&crate::crypto::vectors::bytes(seed));
    write_signing_key(&path, &key).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("-----BEGIN") && lines[2].starts_with("-----END"));
    let der =
        crate::crypto::vectors::bytes::<48>(&format!("302e020100300506032b657004220420{seed}"));
    assert_eq!((lines.len(), STANDARD.decode(lines[1]).unwrap()), (3, der.to_vec()));
}

#[test]
fn never_writes_over_a_file() {
    let (folder, path) = file_with(b"kept");
    let refused = write_signing_key(&path, &SigningKey::generate().unwrap());
    assert!(matches!(refused, Err(KeyFileError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"kept");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("missing/some.key");
    let refused = write_signing_key(&nowhere, &SigningKey::generate().unwrap());
    assert!(matches!(refused, Err(KeyFileError::Write { .. })));
}

#[test]
fn refuses_a_file_that_others_can_read_or_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    write_agency_secret(&path, &AgencySecret::generate().unwrap()).unwrap();
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666] {
        set_mode(&path, mode);
        let refused = read_agency_secret(&path).unwrap_err();
        assert!(matches!(refused, KeyFileError::Open { .. }));
        let advice = format!("chmod 600 {}", path.display());
        assert!(refused.to_string().ends_with(&advice));
    }
    for mode in [0o600, 0o400] {
        set_mode(&path, mode);
        assert!(read_agency_secret(&path).is_ok());
    }
}

#[test]
fn refuses_what_is_no_key_and_tells_nothing_of_it() {
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
    let pem = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    for text in [
        String::new(),
        secret.to_owned(),
        "\u{feff}".to_owned(),
        pem(EXCHANGE_LABEL, secret),
        pem(AGENCY_LABEL, ""),
        pem(AGENCY_LABEL, &secret.replace("c2VjcmV0c2V", "c2VjcmV0\nc2V")),
        pem(AGENCY_LABEL, secret) + &pem(AGENCY_LABEL, secret),
        pem(AGENCY_LABEL, "c2VjcmV0"),
        pem(AGENCY_LABEL, &secret.replace("2U=", "2Vj")),
        pem(AGENCY_LABEL, &secret.replace("2U=", "2V=")),
        pem("PRIVATE KEY", secret),
        pem("PRIVATE KEY", "MC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"),
    ] {
        let (_folder, path) = file_with(text.as_bytes());
        for refused in [
            read_agency_secret(&path).map(|_| ()),
            read_sealing_key(&path).map(|_| ()),
            read_signing_key(&path).map(|_| ()),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, KeyFileError::NotAKey { .. }));
            let said = format!("{refused} {refused:?}");
            assert!(said.contains("some.key") && !said.contains("c2Vj"));
        }
    }
}

#[test]
fn reads_a_file_at_the_bound_and_refuses_one_past() {
    let key = "-----BEGIN CAIRN AGENCY SECRET-----\n\
               c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=\n\
               -----END CAIRN AGENCY SECRET-----\n";
    let spaced = |bytes: usize| "\n".repeat(bytes - key.len()) + key;
    let (_folder, path) = file_with(spaced(KEY_FILE_BYTES_MAX).as_bytes());
    assert!(read_agency_secret(&path).is_ok());
    let (_folder, path) = file_with(spaced(KEY_FILE_BYTES_MAX + 1).as_bytes());
    let refused = read_agency_secret(&path);
    assert!(matches!(refused, Err(KeyFileError::Read { .. })));
    let missing = read_agency_secret(&path.with_file_name("none"));
    assert!(matches!(missing, Err(KeyFileError::Read { .. })));
}
