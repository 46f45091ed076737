//! Connections: who is let in, how much each may ask, what becomes of a statement whose sender
//! has gone, and what clients that know nothing of us can find out.

mod calls;

use std::{fs, process::Command};

use cairn::{
    identity::{DevelopmentCa, Issued, Validity},
    proto::{
        self, GetSummaryRequest, SubmitStreamRequest, directory_change::Change,
        submit_stream_response::Result as Outcome,
    },
    server::founding::validity,
    wire::client::{Client, folder::SystemFolder, now},
};
use prost::Message;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    process::{PATIENCE, fetch},
    support::{EXCHANGE, World, code, launch, statements::*},
};

/// A world whose listener's counts can be read.
async fn counted() -> World {
    let mut world = World::with_agencies().await;
    world.stop().await;
    world.config.metrics = Some("127.0.0.1:0".parse().unwrap());
    world.start().await;
    world
}

/// A count of the operators' port.
fn count(world: &World, name: &str) -> u64 {
    let text = fetch(world.metrics().unwrap(), "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.expect(name).parse().unwrap()
}

/// The police's system with another certificate.
fn showing(world: &World, issued: &Issued) -> Client {
    let from = world.agency("police").folder().path();
    let to = world.folder.path().join(format!("showing-{}", issued.serial));
    let copied = launch::output(Command::new("cp").arg("-a").args([from, &to])).unwrap();
    assert!(copied.status.success());
    fs::write(to.join("tls.pem"), &issued.certificate_pem).unwrap();
    fs::write(to.join("tls.key"), issued.key_pem.as_bytes()).unwrap();
    Client::new(SystemFolder::open(&to).unwrap()).unwrap()
}

fn issue(ca: &DevelopmentCa, exchange: &str, system: &str, validity: Validity) -> Issued {
    let (agency, system) = ("police".parse().unwrap(), system.parse().unwrap());
    ca.issue_client(&exchange.parse().unwrap(), &agency, &system, validity).unwrap()
}

/// A client certificate of our authority that says nothing in its subject alternative name.
fn without_san(ca: &DevelopmentCa) -> Issued {
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
    let der = CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap();
    let (_, authority) = x509_parser::parse_x509_certificate(&der).unwrap();
    let subject = authority.subject();
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    let names = [
        (DnType::OrganizationName, subject.iter_organization().next()),
        (DnType::CommonName, subject.iter_common_name().next()),
    ];
    for (kind, name) in names {
        issuer.distinguished_name.push(kind, name.unwrap().as_str().unwrap());
    }
    let issuer = Issuer::new(issuer, KeyPair::from_pem(&ca.key_pem()).unwrap());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "police");
    params.distinguished_name.push(DnType::CommonName, "system");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Issued {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem().into(),
        serial: "without-san".into(),
    }
}

/// A client that is not let in sees a connection that comes to nothing, sooner or later.
async fn is_not_let_in(client: &Client, what: &str) {
    let status = summary(client).await.expect_err(what);
    let broken = [Code::Unavailable, Code::Cancelled, Code::Unknown].contains(&status.code());
    assert!(broken && status.details().is_empty(), "{what}: {status:?}");
}

async fn summary(client: &Client) -> Result<(), Status> {
    client.status().get_summary(GetSummaryRequest {}).await.map(drop)
}

/// The reason of the one `ErrorInfo` that a status carries.
fn reason(status: &Status) -> String {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap().details;
    let url = "type.googleapis.com/google.rpc.ErrorInfo";
    let infos = details.iter().filter(|detail| detail.type_url == url).count();
    assert_eq!(infos, 1, "exactly one ErrorInfo: {status:?}");
    let info = status.get_details_error_info().unwrap();
    assert!(!info.domain.is_empty() && !info.reason.is_empty(), "{info:?}");
    info.reason
}

/// I2: a certificate that is not good, or is another's, lets nobody in and leaves no entry.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_certificates_that_prove_nobody_here() {
    let world = counted().await;
    let good = validity(now());
    let now_unix = u64::try_from(now().unix_seconds()).unwrap();
    let ended = Validity { not_before_unix: 1_000_000_000, not_after_unix: now_unix - 60 };
    let later = Validity { not_before_unix: now_unix + 3_600, ..good };
    let other_ca = DevelopmentCa::create(&EXCHANGE.parse().unwrap(), good).unwrap();
    let (failed, strangers) = ("cairn_handshakes_failed_total", "cairn_strangers_total");
    let size = world.size().await;
    for (what, issued, counted_as) in [
        ("another authority's", issue(&other_ca, EXCHANGE, "system", good), failed),
        ("expired", issue(&world.ca, EXCHANGE, "system", ended), failed),
        ("not yet valid", issue(&world.ca, EXCHANGE, "system", later), failed),
        ("a server's", world.ca.issue_server(&["localhost"], good).unwrap(), failed),
        ("without a name", without_san(&world.ca), strangers),
        ("another exchange's", issue(&world.ca, "cairn.example/x", "system", good), strangers),
    ] {
        let before = count(&world, counted_as);
        let client = showing(&world, &issued);
        is_not_let_in(&client, what).await;
        assert!(count(&world, counted_as) > before, "{what} is counted in {counted_as}");
    }
    assert_eq!(world.size().await, size, "strangers are only counted");
    let again = showing(&world, &issue(&world.ca, EXCHANGE, "system", good));
    summary(&again).await.expect("a good one");
    world.check().await;
}

/// I2, I11: a good certificate of a system that the directory does not have, or has suspended,
/// or gave another role, may ask nothing of it; only who is known leaves an entry, once.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_systems_that_are_unknown_suspended_or_of_another_role() {
    let world = counted().await;
    let police = world.agency("police").clone();
    let written = envelope(&police, &concern("police", &["school/duty"], "C-1"));
    let size = world.size().await;
    let nobody = showing(&world, &issue(&world.ca, EXCHANGE, "nobody", validity(now())));
    let refused = |client: Client| {
        let written = written.clone();
        async move { code(client.submit(&written).await) }
    };
    assert_eq!(refused(nobody.clone()).await, "not_permitted");
    assert_eq!(reason(&summary(&nobody).await.unwrap_err()), "NOT_PERMITTED");
    assert_eq!(world.size().await, size, "strangers are only counted");

    for (number, client) in [&world.admin, &world.on_call, &world.auditor].into_iter().enumerate() {
        assert_eq!(refused(client.clone()).await, "not_permitted");
        assert_eq!(refused(client.clone()).await, "not_permitted");
        let most = size + 1 + number as u64;
        assert!(world.size().await <= most, "an identical refusal is recorded once");
    }

    summary(&police).await.unwrap();
    let suspended = |suspended| {
        let (agency, name, roles) = ("police".into(), "system".into(), vec!["agency".into()]);
        Change::System(proto::System { agency, name, roles, suspended })
    };
    world.apply(suspended(true)).await.unwrap();
    assert_eq!(refused(police.clone()).await, "not_permitted", "felt by an open connection");
    world.apply(suspended(false)).await.unwrap();
    police.submit(&written).await.expect("it is let in again");
    world.check().await;
}

/// I2: a bulk submission that was open when its system was suspended brings in nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_is_felt_by_an_open_bulk_submission() {
    let world = counted().await;
    let police = world.agency("police").clone();
    let (items, requests) = mpsc::channel(4);
    let say = async |number: u64| {
        let reference = format!("B-{number}");
        let envelope = envelope(&police, &concern("police", &["school/duty"], &reference));
        items.send(SubmitStreamRequest { number, envelope }).await.unwrap();
    };
    say(1).await;
    let mut service = police.exchange();
    let answers = service.submit_stream(ReceiverStream::new(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut next = async || answers.next().await.unwrap().unwrap().result.unwrap();
    assert!(matches!(next().await, Outcome::Accepted(_)));
    let system = |suspended| {
        let (agency, name, roles) = ("police".into(), "system".into(), vec!["agency".into()]);
        Change::System(proto::System { agency, name, roles, suspended })
    };
    world.apply(system(true)).await.unwrap();
    say(2).await;
    let Outcome::Problem(problem) = next().await else { panic!("it was let in") };
    assert_eq!(problem.reason, "not_permitted");
    world.apply(system(false)).await.unwrap();
    say(3).await;
    assert!(matches!(next().await, Outcome::Accepted(_)));
    world.check().await;
}

/// I2: a revocation is picked up from the disk without a restart and felt by an open
/// connection, with a stream on it; others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_on_disk_ends_an_open_connection_without_a_restart() {
    let world = counted().await;
    let good = validity(now());
    let bad = issue(&world.ca, EXCHANGE, "system", good);
    let client = showing(&world, &bad);
    let mut stream = client.receive(Vec::new()).await.unwrap();
    stream.next().await.unwrap().expect("it is open");
    let mut other = world.agency("police").receive(Vec::new()).await.unwrap();
    other.next().await.unwrap().expect("so is the other");
    let crl = world.ca.crl(&[&bad.serial], good).unwrap();
    fs::write(world.folder.path().join("ca/ca.crl"), crl).unwrap();
    let ended = timeout(PATIENCE, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    ended.expect("the open stream ends");
    assert!(count(&world, "cairn_revoked_cut_total") >= 1);
    is_not_let_in(&client, "revoked").await;
    assert!(count(&world, "cairn_handshakes_failed_total") >= 1);

    let entry = sent(world.agency("school"), &concern("school", &["police/duty"], "C-1")).await;
    let item = timeout(PATIENCE, async {
        loop {
            match other.next().await.unwrap().unwrap().item {
                Some(proto::receive_response::Item::Incoming(incoming)) => return incoming.entry,
                _ => continue,
            }
        }
    });
    assert_eq!(item.await.expect("the other stream goes on"), entry);
    drop(other);
    world.check().await;
}

/// I2: a certificate that ends while its connection is open ends its requests, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_is_felt_by_an_open_connection_and_told() {
    let world = World::with_agencies().await;
    let now_unix = u64::try_from(now().unix_seconds()).unwrap();
    let short = Validity { not_after_unix: now_unix + 3_600, ..validity(now()) };
    let client = showing(&world, &issue(&world.ca, EXCHANGE, "system", short));
    summary(&client).await.unwrap();
    let now = cairn::clock::Clock::now(&*world.clock);
    world.clock.set(cairn::clock::Moment(now.0 + 2 * 3_600_000_000_000));
    let status = summary(&client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason(&status), "CERTIFICATE_NOT_VALID");
    summary(&world.on_call).await.expect("another's is still good");
    world.check().await;
}
