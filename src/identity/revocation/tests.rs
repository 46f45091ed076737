use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::identity::{DevelopmentCa, Issued, Validity};

const VALIDITY: Validity =
    Validity { not_before_unix: 1_000_000_000, not_after_unix: 4_000_000_000 };
const NOW: u64 = 2_000_000_000;

/// A folder of files for trust to be read from, and the authority behind them.
struct Files {
    ca: DevelopmentCa,
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let ca = DevelopmentCa::create(&exchange(), VALIDITY).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = Self { ca, folder };
        let server = files.ca.issue_server(&["localhost"], VALIDITY).unwrap();
        files.write("server.pem", &server.certificate_pem);
        files.write("server.key", &server.key_pem);
        files.write("ca.pem", files.ca.certificate_pem());
        files.write("crl.pem", &files.ca.crl(&[], VALIDITY).unwrap());
        files
    }

    fn settings(&self) -> TrustSettings {
        let path = |name| self.folder.path().join(name);
        TrustSettings {
            exchange: exchange(),
            cert: path("server.pem"),
            key: path("server.key"),
            client_ca: path("ca.pem"),
            crls: vec![path("crl.pem")],
            browsers: None,
        }
    }

    fn trust(&self) -> Trust {
        Trust::load(self.settings(), Arc::new(SystemClock)).unwrap()
    }

    fn write(&self, name: &str, pem: &str) {
        let path = self.folder.path().join(name);
        // A new file each time, as a careful program replaces one.
        let new = path.with_extension("new");
        fs::write(&new, pem).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, &path).unwrap();
    }

    fn client(&self) -> Issued {
        client(&self.ca)
    }

    fn fault(&self, name: &str) -> String {
        match Trust::load(self.settings(), Arc::new(SystemClock)).err().expect("a fault") {
            Error::File { path, fault } if path.ends_with(name) => fault,
            other => panic!("{other}"),
        }
    }
}

fn exchange() -> ExchangeName {
    "cairn.example/ardness".parse().unwrap()
}

fn client(ca: &DevelopmentCa) -> Issued {
    let (agency, system) = ("agency".parse().unwrap(), "system".parse().unwrap());
    ca.issue_client(&exchange(), &agency, &system, VALIDITY).unwrap()
}

fn der(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()
}

#[test]
fn a_certificate_holds_to_its_last_second_and_not_one_longer() {
    let files = Files::new();
    let trust = files.trust();
    let peer = trust.identify(&der(&files.client())).unwrap();
    let last = VALIDITY.not_after_unix;
    assert_eq!(peer.not_after_unix, last);
    assert_eq!(trust.still_valid(&peer, last), Ok(()));
    assert_eq!(trust.still_valid(&peer, last + 1), Err(Reason::Expired));
    let chain = [der(&files.client())];
    assert_eq!(trust.still_trusted(&chain, last), Ok(()));
    assert_eq!(trust.still_trusted(&chain, last + 1), Err(Reason::Expired));
}

#[test]
fn a_reload_makes_a_revocation_felt_by_that_certificate_only() {
    let files = Files::new();
    let trust = files.trust();
    let (bad, good) = (files.client(), files.client());
    let peers = [&bad, &good].map(|issued| trust.identify(&der(issued)).unwrap());
    let revoking = files.ca.crl(&[&bad.serial], VALIDITY).unwrap();
    files.write("crl.pem", &revoking);
    assert_eq!(trust.still_valid(&peers[0], NOW), Ok(()));
    assert_eq!(trust.reload().unwrap(), Changed::Replaced { generation: 1 });
    assert_eq!(trust.still_valid(&peers[0], NOW), Err(Reason::Revoked));
    assert_eq!(trust.still_trusted(&[der(&bad)], NOW), Err(Reason::Revoked));
    assert_eq!(trust.still_valid(&peers[1], NOW), Ok(()));
    assert_eq!(trust.still_trusted(&[der(&good)], NOW), Ok(()));
}

#[test]
fn a_serial_number_revoked_by_one_authority_is_not_revoked_at_another() {
    let files = Files::new();
    let other = DevelopmentCa::create(&exchange(), VALIDITY).unwrap();
    let both = format!("{}{}", files.ca.certificate_pem(), other.certificate_pem());
    let client = files.client();
    let lists =
        [files.ca.crl(&[], VALIDITY).unwrap(), other.crl(&[&client.serial], VALIDITY).unwrap()];
    files.write("ca.pem", &both);
    files.write("crl.pem", &lists.concat());
    let trust = files.trust();
    let peer = trust.identify(&der(&client)).unwrap();
    assert_eq!(trust.still_valid(&peer, NOW), Ok(()));
}

#[test]
fn an_authority_taken_out_is_trusted_no_longer_by_open_connections() {
    let files = Files::new();
    let trust = files.trust();
    let chain = [der(&files.client())];
    assert_eq!(trust.still_trusted(&chain, NOW), Ok(()));
    let other = DevelopmentCa::create(&exchange(), VALIDITY).unwrap();
    files.write("ca.pem", other.certificate_pem());
    files.write("crl.pem", &other.crl(&[], VALIDITY).unwrap());
    trust.reload().unwrap();
    let felt = trust.still_trusted(&chain, NOW);
    assert_eq!(felt, Err(Reason::NoLongerTrusted));
    assert_eq!(trust.still_trusted(&[], NOW), Err(Reason::NoLongerTrusted));
}

#[test]
fn a_list_out_of_date_ends_no_open_connection_and_its_date_can_be_watched() {
    let files = Files::new();
    let short = Validity { not_after_unix: NOW - 1, ..VALIDITY };
    files.write("crl.pem", &files.ca.crl(&[], short).unwrap());
    let trust = files.trust();
    assert_eq!(trust.crl_next_update_unix(), Some(NOW - 1));
    assert_eq!(trust.server_not_after_unix(), VALIDITY.not_after_unix);
    let chain = [der(&files.client())];
    let current = trust.current.load();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let handshake = current.verifier.verify_client_cert(&chain[0], &[], time);
    assert!(handshake.is_err(), "a new connection must be refused");
    assert_eq!(trust.still_trusted(&chain, NOW), Ok(()));
}

#[test]
fn a_bad_new_set_is_refused_and_the_old_one_kept() {
    let files = Files::new();
    let trust = files.trust();
    let (server, changes) = (trust.server_config(), trust.changes());
    let revoked = files.client();
    files.write("crl.pem", &files.ca.crl(&[&revoked.serial], VALIDITY).unwrap());
    trust.reload().unwrap();
    let peer = trust.identify(&der(&revoked)).unwrap();
    let kept = trust.server_config();
    assert!(!Arc::ptr_eq(&server, &kept));

    // The key of the new certificate has not arrived yet, and the list is empty.
    let half = files.ca.issue_server(&["localhost"], VALIDITY).unwrap();
    files.write("server.pem", &half.certificate_pem);
    files.write("crl.pem", &files.ca.crl(&[], VALIDITY).unwrap());
    assert!(trust.changed_on_disk());
    assert!(trust.reload().is_err());
    assert!(Arc::ptr_eq(&kept, &trust.server_config()));
    assert_eq!(trust.still_valid(&peer, NOW), Err(Reason::Revoked));
    assert_eq!(*changes.borrow(), 1);
    assert!(!trust.changed_on_disk(), "tried, so not to be tried again");

    files.write("server.key", &half.key_pem);
    assert!(trust.changed_on_disk());
    assert_eq!(trust.reload().unwrap(), Changed::Replaced { generation: 2 });
    assert_eq!(trust.still_valid(&peer, NOW), Ok(()));
}

#[test]
fn the_same_contents_in_new_files_change_nothing() {
    let files = Files::new();
    let trust = files.trust();
    assert!(!trust.changed_on_disk());
    files.write("ca.pem", files.ca.certificate_pem());
    assert!(trust.changed_on_disk());
    assert_eq!(trust.reload().unwrap(), Changed::Nothing);
    assert!(!trust.changed_on_disk());
    fs::remove_file(files.folder.path().join("crl.pem")).unwrap();
    assert!(trust.changed_on_disk());
    assert!(trust.reload().is_err());
}

#[test]
fn refuses_revocation_lists_that_would_protect_nobody() {
    let files = Files::new();
    let other = DevelopmentCa::create(&exchange(), VALIDITY).unwrap();

    files.write("crl.pem", "");
    assert!(files.fault("crl.pem").contains("no certificate revocation list"));
    files.write("crl.pem", files.ca.certificate_pem());
    assert!(files.fault("crl.pem").contains("no certificate revocation list"));
    files.write("crl.pem", &other.crl(&[], VALIDITY).unwrap());
    assert!(files.fault("crl.pem").contains("signed by no authority"));
    files.write("crl.pem", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
    assert!(files.fault("crl.pem").contains("cannot be read"));

    files.write("crl.pem", &files.ca.crl(&[], VALIDITY).unwrap());
    let both = format!("{}{}", files.ca.certificate_pem(), other.certificate_pem());
    files.write("ca.pem", &both);
    assert!(files.fault("ca.pem").contains("certificate 2 has no revocation list"));
}

#[test]
fn refuses_a_list_whose_signature_was_made_for_another() {
    let files = Files::new();
    let list = |serials: &[&str]| {
        let pem = files.ca.crl(serials, VALIDITY).unwrap();
        CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap()
    };
    let authority = CertificateDer::from_pem_slice(files.ca.certificate_pem().as_bytes()).unwrap();
    let good = list(&["0102"]);
    let (_, parsed) = CertificateRevocationList::from_der(&good).unwrap();
    assert!(signed(&authority, &parsed));
    // One digit of the one serial number, changed after signing.
    let at = good.windows(4).position(|w| w == [0x02, 0x02, 0x01, 0x02]);
    let mut forged = good.to_vec();
    forged[at.unwrap() + 3] ^= 1;
    let (_, parsed) = CertificateRevocationList::from_der(&forged).unwrap();
    assert!(!signed(&authority, &parsed));
}
