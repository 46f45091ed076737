//! Over loopback, with real TLS. The client is bare h2, so that nothing hides what the door does.

mod world;

use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::clock::Moment;
use crate::identity::Validity;
use crate::identity::tls::{connect, provider};
use world::*;

#[tokio::test]
async fn a_request_arrives_with_its_peer_over_a_post_quantum_connection() {
    let world = World::open().await;
    let mut client = world.client().await;
    assert_eq!(client.ask().await, Ok(welcome()));
    let hybrid = [("X25519MLKEM768", 1), ("X25519", 0), ("other", 0)];
    assert_eq!(world.counters.groups(), hybrid);
    assert_eq!(world.count(|c| &c.open), 1);
    drop(client);
    world.wait_until(|c| c.open.load(Relaxed) == 0).await;
}

#[tokio::test]
async fn a_client_without_the_hybrid_is_served_over_x25519() {
    let world = World::open().await;
    let mut config = (*config(&world.ca, &world.issue())).clone();
    let mut classical = (*provider()).clone();
    classical.kx_groups.remove(0);
    let certificates = config.client_auth_cert_resolver.clone();
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(world.ca.certificate_pem().as_bytes());
    roots.add(root.unwrap()).unwrap();
    config = ClientConfig::builder_with_provider(Arc::new(classical))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = world.connect_with(Arc::new(config)).await.unwrap();
    assert_eq!(client.ask().await, Ok(welcome()));
    assert_eq!(world.count(|c| &c.group_x25519), 1);
}

#[tokio::test]
async fn refuses_certificates_of_others_expired_revoked_or_for_servers() {
    let world = World::open().await;
    let ended = Validity { not_after_unix: 1_500_000_000, ..VALIDITY };
    let revoked = world.issue();
    world.revoke(&revoked);
    let table = [
        ("another authority", issue(&ca(), EXCHANGE, VALIDITY)),
        ("expired", issue(&world.ca, EXCHANGE, ended)),
        ("revoked", revoked),
        ("a server's", world.ca.issue_server(&["localhost"], VALIDITY).unwrap()),
    ];
    let refused = table.len() as u64;
    for (what, issued) in table {
        assert!(world.connect(&issued).await.is_err(), "{what}");
    }
    assert_eq!(world.count(|c| &c.handshake_failures), refused);
    assert_eq!(world.count(|c| &c.open), 0);
    assert_eq!(world.client().await.ask().await, Ok(welcome()));
}

#[tokio::test]
async fn refuses_a_client_without_certificate_or_without_http_2() {
    let world = World::open().await;
    let good = config(&world.ca, &world.issue());
    let mut nobody = (*good).clone();
    nobody.client_auth_cert_resolver = Arc::new(Nobody);
    let mut http_1 = (*good).clone();
    http_1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut no_protocol = (*good).clone();
    no_protocol.alpn_protocols = vec![];
    for (count, config) in [nobody, http_1, no_protocol].into_iter().enumerate() {
        assert!(world.connect_with(Arc::new(config)).await.is_err());
        assert_eq!(world.count(|c| &c.handshake_failures), count as u64 + 1);
    }
    assert!(world.connect_with(good).await.is_ok());
}

#[tokio::test]
async fn refuses_tls_1_2_with_an_alert() {
    // A ClientHello of TLS 1.2 as RFC 5246 has it: ECDHE-ECDSA with P-256, and no
    // supported_versions, which is how a client says that it knows nothing newer.
    let extensions = [
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17][..], // supported_groups: secp256r1
        &[0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03],     // ecdsa_secp256r1_sha256
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],                 // uncompressed points
    ]
    .concat();
    let mut body = vec![0x03, 0x03];
    body.extend([0x5a; 32]); // random
    body.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00]); // session, suites, compression
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![0x01, 0x00];
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);

    let world = World::open().await;
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    patiently(stream.read_to_end(&mut answer)).await.unwrap();
    let protocol_version = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 70];
    assert_eq!(answer, protocol_version);
    assert_eq!(world.count(|c| &c.handshake_failures), 1);
}

#[tokio::test]
async fn closes_on_a_good_certificate_that_names_another_exchange() {
    let world = World::open().await;
    let stranger = issue(&world.ca, "cairn.example/elsewhere", VALIDITY);
    assert!(world.connect(&stranger).await.is_err());
    assert_eq!(world.count(|c| &c.no_identity), 1);
    assert_eq!(world.count(|c| &c.handshake_failures), 0);
}

#[tokio::test]
async fn a_reload_changes_the_certificate_and_drops_nobody() {
    let world = World::open().await;
    let mut before = world.client().await;
    write_server(world.folder.path(), &world.ca);
    world.trust.reload().unwrap();
    let mut after = world.client().await;
    assert_ne!(before.server_certificate, after.server_certificate);
    assert_eq!(before.ask().await, Ok(welcome()));
    assert_eq!(after.ask().await, Ok(welcome()));
    assert_eq!(world.count(|c| &c.revoked_cut), 0);
}

#[tokio::test]
async fn a_revocation_is_felt_by_an_open_connection_on_its_next_request() {
    let world = World::open().await;
    let (bad, good) = (world.issue(), world.issue());
    let mut revoked = world.connect(&bad).await.unwrap();
    let mut other = world.connect(&good).await.unwrap();
    assert_eq!(revoked.ask().await, Ok(welcome()));
    world.revoke(&bad);
    // Either it is told, or it was told to go before it could ask.
    if let Ok(answer) = revoked.ask().await {
        assert_eq!(answer.grpc_status.as_deref(), Some("16"));
    }
    let _ = patiently(revoked.connection).await.unwrap();
    assert_eq!(other.ask().await, Ok(welcome()));
    assert_eq!(world.count(|c| &c.revoked_cut), 1);
    assert!(world.connect(&bad).await.is_err());
}

#[tokio::test]
async fn a_revocation_cuts_requests_that_are_under_way() {
    let world = World::open().await;
    let bad = world.issue();
    let mut client = world.connect(&bad).await.unwrap();
    let held = send(&mut client.requests, "/held", "").await.unwrap();
    assert_eq!(client.ask().await, Ok(welcome()), "the held one has arrived");
    world.revoke(&bad);
    assert!(patiently(held).await.is_err());
    assert!(!world.release.is_cancelled());
    world.wait_until(|c| c.open.load(Relaxed) == 0).await;
}

#[tokio::test]
async fn an_expired_certificate_is_told_so_on_its_next_request_and_cut() {
    let world = World::open().await;
    let mut client = world.client().await;
    let last = VALIDITY.not_after_unix * 1_000_000_000;
    world.clock.set(Moment(last));
    assert_eq!(client.ask().await, Ok(welcome()));
    world.clock.set(Moment(last + 1_000_000_000));
    let answer = client.ask().await.unwrap();
    assert_eq!(answer.agency, None, "the service must not have been asked");
    assert_eq!(answer.grpc_status.as_deref(), Some("16"));
    assert_eq!(answer.body, "");
    let _ = patiently(client.connection).await.unwrap();
    assert_eq!(world.count(|c| &c.revoked_cut), 1);
}

#[tokio::test]
async fn a_connection_ends_by_itself_when_its_certificate_does() {
    let world = World::open().await;
    // Before the revocation list is out of date: by the same clock nobody is let in then.
    let validity = Validity { not_after_unix: VALIDITY.not_after_unix - 60, ..VALIDITY };
    let last = validity.not_after_unix * 1_000_000_000;
    world.clock.set(Moment(last));
    let client = world.connect(&issue(&world.ca, EXCHANGE, validity)).await.unwrap();
    world.clock.set(Moment(last + 1_000_000_000));
    let _ = patiently(client.connection).await.unwrap();
    assert_eq!(world.count(|c| &c.revoked_cut), 1);
}

#[tokio::test]
async fn drops_a_handshake_that_is_too_slow_at_any_point() {
    let world = World::open_with(ConnectionLimits {
        handshake_time_max: Duration::from_millis(500),
        ..ConnectionLimits::default()
    })
    .await;
    let mut answer = Vec::new();
    // Nothing at all, half a record, and a whole handshake with no HTTP/2 after it.
    let mut silent = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    patiently(silent.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(world.count(|c| &c.handshake_failures), 1);

    let mut halting = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    halting.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    let _ = patiently(halting.read_to_end(&mut answer)).await;
    assert_eq!(world.count(|c| &c.handshake_failures), 2);

    let (at, config) = (("127.0.0.1", world.port), config(&world.ca, &world.issue()));
    let name = ServerName::try_from("localhost").unwrap();
    let mut mute = connect(at, name, config, PATIENCE).await.unwrap();
    let _ = patiently(mute.read_to_end(&mut answer)).await;
    assert_eq!(world.count(|c| &c.handshake_failures), 3);
    assert_eq!(world.count(|c| &c.open), 0);
}

#[tokio::test]
async fn takes_as_many_connections_as_the_limits_say_and_not_one_more() {
    let one_address = ConnectionLimits { per_address_max: 2, ..ConnectionLimits::default() };
    let in_all = ConnectionLimits { connections_max: 2, ..ConnectionLimits::default() };
    for limits in [one_address, in_all] {
        let world = World::open_with(limits).await;
        let (first, mut second) = (world.client().await, world.client().await);
        assert!(world.connect(&world.issue()).await.is_err());
        assert_eq!(world.count(|c| &c.refused_by_limit), 1);
        assert_eq!(world.count(|c| &c.accepted), 3);
        assert_eq!(second.ask().await, Ok(welcome()));
        drop(first);
        world.wait_until(|c| c.open.load(Relaxed) == 1).await;
        assert_eq!(world.client().await.ask().await, Ok(welcome()));
    }
}

#[test]
fn counts_ipv6_by_64_and_mapped_ipv4_as_ipv4() {
    let table = [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("2001:db8:1:3::", "2001:db8:1:3::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
    ];
    for (address, counted) in table {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(counted_as(address), counted.parse::<IpAddr>().unwrap());
    }
}

#[test]
fn one_address_does_not_use_up_the_places_of_another() {
    let admission = Admission::new(&ConnectionLimits {
        connections_max: 3,
        per_address_max: 2,
        ..ConnectionLimits::default()
    });
    let place = |address: &str| admission.place(SocketAddr::new(address.parse().unwrap(), 1));
    let first = place("192.0.2.1").unwrap();
    let _second = place("192.0.2.1").unwrap();
    assert!(place("192.0.2.1").is_none());
    let third = place("192.0.2.2").unwrap();
    assert!(place("192.0.2.3").is_none(), "three in all");
    drop((first, third));
    assert!(place("192.0.2.1").is_some());
    let left = lock(&admission.by_address).len();
    assert_eq!(left, 1, "an address without connections is forgotten");
}

#[tokio::test]
async fn holds_http_2_to_its_bounds() {
    let world = World::open().await;
    let mut client = world.client().await;
    assert_eq!(client.requests.current_max_send_streams(), 128);
    let within = usize::try_from(limits::HEADER_LIST_BYTES_MAX).unwrap();
    for (length, status) in [(within / 2, 200), (within, 431)] {
        let request =
            Request::post("https://localhost/echo").header("padding", "x".repeat(length)).body(());
        let mut ready = client.requests.clone().ready().await.unwrap();
        let (answer, _) = ready.send_request(request.unwrap(), true).unwrap();
        assert_eq!(patiently(answer).await.unwrap().status(), status);
    }
    assert_eq!(client.ask().await, Ok(welcome()));
}

#[tokio::test]
async fn a_shutdown_lets_open_requests_finish_and_nobody_else_in() {
    let world = World::open().await;
    let mut client = world.client().await;
    let idle = world.client().await;
    let held = send(&mut client.requests, "/held", "hello").await.unwrap();
    assert_eq!(client.ask().await, Ok(welcome()), "the held one has arrived");
    world.shutdown.cancel();
    assert!(patiently(idle.connection).await.unwrap().is_ok());
    assert!(world.connect(&world.issue()).await.is_err());
    assert!(!world.serving.is_finished());
    world.release.cancel();
    assert_eq!(patiently(held).await, Ok(welcome()));
    patiently(world.serving).await.unwrap();
    assert_eq!(world.counters.open.load(Relaxed), 0);
}

#[tokio::test]
async fn a_shutdown_cuts_requests_that_do_not_finish_in_time() {
    let world = World::open_with(ConnectionLimits {
        drain_time_max: Duration::from_millis(50),
        ..ConnectionLimits::default()
    })
    .await;
    let mut client = world.client().await;
    let held = send(&mut client.requests, "/held", "hello").await.unwrap();
    assert_eq!(client.ask().await, Ok(welcome()), "the held one has arrived");
    world.shutdown.cancel();
    patiently(world.serving).await.unwrap();
    assert!(patiently(held).await.is_err());
    assert!(!world.release.is_cancelled());
}
