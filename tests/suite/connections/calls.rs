//! Calls: their bounds, their errors, clients that go away, health and reflection.

use std::time::Instant;

use bytes::Bytes;
use cairn::{
    identity::{TlsConnector, tls},
    proto::{
        GetConcernRequest, GetTileRequest, SubmitRequest, SubmitStreamRequest,
        exchange_service_client::ExchangeServiceClient, get_concern_request::By,
    },
    wire::client::{Client, folder::SystemFolder},
};
use h2::client::SendRequest;
use prost::Message;
use rustls_pki_types::ServerName;
use tokio::{task::JoinHandle, time::timeout};
use tokio_stream::StreamExt;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{count, counted, reason, summary};
use crate::{
    process::PATIENCE,
    support::{World, statements::*},
};

/// A channel of a system, for services that our client has no method for.
fn channel(client: &Client) -> Channel {
    let folder = client.folder();
    let config =
        tls::client_config(&folder.ca(), &folder.certificate(), &folder.certificate_key()).unwrap();
    let name = ServerName::try_from(folder.settings.server_name.clone()).unwrap();
    Endpoint::from_shared(format!("http://{}", folder.settings.server))
        .unwrap()
        .connect_with_connector_lazy(TlsConnector::new(config).expecting(name))
}

/// The services that a version of reflection lists, and the files of the signed statement.
macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let ask = |message| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let requests = tokio_stream::iter([
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("cairn.v1.Statement".into())),
        ]);
        let mut client = ServerReflectionClient::new($channel);
        let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
        let (mut listed, mut files): (Vec<String>, Vec<Vec<u8>>) = <_>::default();
        while let Some(answer) = answers.next().await {
            match answer.unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    listed.extend(list.service.into_iter().map(|service| service.name));
                }
                MessageResponse::FileDescriptorResponse(found) => {
                    files.extend(found.file_descriptor_proto);
                }
                other => panic!("{other:?}"),
            }
        }
        (listed, files)
    }};
}

/// I10: a message past its bound is refused with what the bound is, the second like the
/// first, and its connection goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_too_large_message_is_refused_as_often_as_it_comes_and_others_go_on() {
    let world = counted().await;
    let police = world.agency("police");
    let mut service = ExchangeServiceClient::new(channel(police));
    let good = envelope(police, &concern("police", &["school/duty"], "C-1"));
    let submit = |envelope: Vec<u8>| SubmitRequest { envelope, validate_only: false };
    service.submit(submit(good.clone())).await.expect("one that is not too large");
    let (size, connections) =
        (world.size().await, count(&world, "cairn_connections_accepted_total"));
    for _ in 0..2 {
        let too_large = submit(vec![7; cairn::limits::MESSAGE_BYTES_MAX + 1]);
        let status = service.submit(too_large).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
        assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
        let again = service.submit(submit(good.clone())).await.expect("others go on");
        assert!(again.into_inner().duplicate);
    }
    assert_eq!(count(&world, "cairn_connections_accepted_total"), connections, "over the same one");
    assert_eq!(world.size().await, size);
    world.check().await;
}

/// I10: in a bulk submission too what cannot be read is told, and what came before is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_too_large_item_of_a_bulk_submission_is_told() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let envelope = envelope(police, &concern("police", &["school/duty"], "C-1"));
    let items = [
        SubmitStreamRequest { number: 1, envelope },
        SubmitStreamRequest { number: 2, envelope: vec![7; cairn::limits::MESSAGE_BYTES_MAX + 1] },
    ];
    let mut service = ExchangeServiceClient::new(channel(police));
    let answers = service.submit_stream(tokio_stream::iter(items)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.collect().await;
    assert!(answers.iter().flatten().any(|answer| answer.number == 1), "{answers:?}");
    let status = answers.last().unwrap().as_ref().expect_err("the second is told");
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(reason(status), "MESSAGE_TOO_LARGE");
    world.check().await;
}

/// I10: the 129th request on one connection waits for one of the others; connections beside
/// it are not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_too_many_on_one_connection_waits_and_others_go_on() {
    let world = World::with_agencies().await;
    let folder = SystemFolder::open(world.agency("police").folder().path()).unwrap();
    let client = Client::new(folder).unwrap();
    let mut streams = Vec::new();
    for _ in 0..cairn::limits::STREAMS_PER_CONNECTION_MAX {
        let mut stream = client.receive(Vec::new()).await.unwrap();
        stream.next().await.unwrap().expect("it is open");
        streams.push(stream);
    }
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { summary(&client).await }
    });
    // While it waits, a hundred calls beside it are answered.
    for _ in 0..100 {
        summary(world.agency("school")).await.expect("others go on");
    }
    assert!(!waiting.is_finished(), "it waits");
    drop(streams.pop());
    timeout(PATIENCE, waiting).await.expect("it is its turn").unwrap().expect("it is answered");
    drop(streams);
    world.check().await;
}

/// A bare HTTP/2 connection of a system.
struct Bare {
    requests: SendRequest<Bytes>,
    ping: h2::PingPong,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Bare {
    async fn of(client: &Client) -> Self {
        let folder = client.folder();
        let (ca, certificate) = (folder.ca(), folder.certificate());
        let config = tls::client_config(&ca, &certificate, &folder.certificate_key()).unwrap();
        let name = ServerName::try_from(folder.settings.server_name.clone()).unwrap();
        let (host, port) = folder.settings.server.rsplit_once(':').unwrap();
        let at = (host, port.parse().unwrap());
        let stream = tls::connect(at, name, config, PATIENCE).await.unwrap();
        let (requests, mut connection) = h2::client::handshake(stream).await.unwrap();
        let ping = connection.ping_pong().unwrap();
        Self { requests, ping, connection: tokio::spawn(connection) }
    }

    /// Sends a whole request with one gRPC message.
    async fn send(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        message: &[u8],
    ) -> h2::client::ResponseFuture {
        let mut request = http::Request::post(format!("https://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut framed = vec![u8::from(headers.iter().any(|(name, _)| *name == "grpc-encoding"))];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend(message);
        let mut ready = self.requests.clone().ready().await.unwrap();
        let (answer, mut body) = ready.send_request(request.body(()).unwrap(), false).unwrap();
        // The answer may come, and end the request, before its body has gone.
        drop(body.send_data(framed.into(), true));
        answer
    }

    /// The status of an answer that is an error.
    async fn told(&mut self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Status {
        let answer = self.send(path, headers, message).await;
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        Status::from_header_map(answer.headers()).expect("an error has its status in front")
    }
}

/// I1, I8: a client that has gone before its answer changes nothing: what was under way is
/// committed, a repeat returns the receipt as a duplicate, and nothing counts twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_gone_in_mid_commit_finds_its_statement_committed_once() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let mut duplicates = 0;
    for number in 0..20 {
        let document = concern("police", &["school/duty"], &format!("C-{number}"));
        let envelope = envelope(police, &document);
        let mut bare = Bare::of(police).await;
        let message = SubmitRequest { envelope: envelope.clone(), validate_only: false };
        let path = "/cairn.v1.ExchangeService/Submit";
        let answer = bare.send(path, &[], &message.encode_to_vec()).await;
        if number % 2 == 0 {
            // Once a ping is answered the server has read all that was sent before it.
            timeout(PATIENCE, bare.ping.ping(h2::Ping::opaque())).await.unwrap().unwrap();
        } else {
            let bound = Instant::now() + PATIENCE;
            while world.summary().await.concerns <= number {
                assert!(Instant::now() < bound, "it is committed though nobody hears the answer");
            }
        }
        drop(answer);
        bare.connection.abort();
        let again = police.submit(&envelope).await.unwrap();
        assert!(again.duplicate || number % 2 == 0, "it was committed");
        duplicates += u64::from(again.duplicate);
        let third = police.submit(&envelope).await.unwrap();
        assert_eq!((third.duplicate, third.receipt), (true, again.receipt));
        assert_eq!(world.summary().await.concerns, number + 1, "it counts once");
    }
    assert!(duplicates > 10, "some that went before the commit are committed all the same");
    world.check().await;
}

/// Health and reflection answer clients that know nothing but gRPC.
#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_say_what_is_here() {
    let mut world = World::with_agencies().await;
    let channel = channel(world.agency("police"));
    let services = ["ExchangeService", "StatusService", "AuditService", "DirectoryService"];
    let services = services.map(|name| format!("cairn.v1.{name}"));
    let mut health = HealthClient::new(channel.clone());
    let asked = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in services.iter().map(String::as_str).chain([""]) {
        let answer = health.check(asked(service)).await.unwrap().into_inner();
        assert_eq!(answer.status().as_str_name(), "SERVING", "{service}");
    }
    let unknown = health.check(asked("cairn.v1.Nothing")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    reason(&unknown);

    let both = [reflected!(v1, channel.clone()), reflected!(v1alpha, channel.clone())];
    for (listed, files) in both {
        assert!(services.iter().all(|service| listed.contains(service)), "{listed:?}");
        let files = files.iter().map(|file| prost_types::FileDescriptorProto::decode(&file[..]));
        let messages: Vec<_> = files.flat_map(|file| file.unwrap().message_type).collect();
        let statement = messages.iter().find(|message| message.name() == "Statement");
        let fields = &statement.expect("the signed part is there").field;
        assert!(fields.iter().any(|field| field.name() == "request_id"));
    }

    let mut watched = health.watch(asked(&services[0])).await.unwrap().into_inner();
    let first = watched.next().await.unwrap().unwrap();
    assert_eq!(first.status().as_str_name(), "SERVING");
    let told = tokio::spawn(async move { timeout(PATIENCE, watched.next()).await });
    world.stop().await;
    let last = told.await.unwrap().expect("it is told before the end").unwrap().unwrap();
    assert_eq!(last.status().as_str_name(), "NOT_SERVING");
    world.start().await;
    world.check().await;
}

/// I2, I10: whatever is wrong with a call, the error says so in exactly one `ErrorInfo`.
#[tokio::test(flavor = "multi_thread")]
async fn every_error_carries_exactly_one_error_info_with_a_reason() {
    let world = World::with_agencies().await;
    let police = world.agency("police");
    let submit = "/cairn.v1.ExchangeService/Submit";
    let wrong_type = GetTileRequest { level: 7, index: 7, width: 7 }.encode_to_vec();
    let mut bare = Bare::of(police).await;
    for (what, status) in [
        ("an unknown call", bare.told("/cairn.v1.ExchangeService/Nothing", &[], b"").await),
        ("an unknown service", bare.told("/cairn.v1.Nothing/Submit", &[], b"").await),
        ("no path of a call", bare.told("/", &[], b"").await),
        ("another type", bare.told(submit, &[], &wrong_type).await),
        ("no protobuf", bare.told(submit, &[], b"\xff\xff\xff").await),
        ("a deadline", bare.told(submit, &[("grpc-timeout", "1n")], b"").await),
        ("compression", bare.told(submit, &[("grpc-encoding", "gzip")], b"abc").await),
        ("another compression", bare.told(submit, &[("grpc-encoding", "rot13")], b"abc").await),
    ] {
        assert_ne!(status.code(), Code::Ok, "{what}");
        reason(&status);
    }
    let submitted = |envelope: Vec<u8>| {
        let mut service = police.exchange();
        async move { service.submit(SubmitRequest { envelope, validate_only: false }).await }
    };
    let malformed = submitted(b"\xff\xff".to_vec()).await.unwrap_err();
    assert_eq!((malformed.code(), reason(&malformed)), (Code::InvalidArgument, "MALFORMED".into()));
    let by = Some(By::Entry(9_999));
    let absent = police.exchange().get_concern(GetConcernRequest { by }).await.unwrap_err();
    assert_eq!((absent.code(), reason(&absent)), (Code::NotFound, "UNKNOWN_STATEMENT".into()));
    let none = GetConcernRequest { by: None };
    let invalid = police.exchange().get_concern(none.clone()).await.unwrap_err();
    assert_eq!((invalid.code(), reason(&invalid)), (Code::InvalidArgument, "FIELD_INVALID".into()));
    let permitted = world.auditor.exchange().get_concern(none).await.unwrap_err();
    assert_eq!(permitted.code(), Code::PermissionDenied);
    assert_eq!(reason(&permitted), "NOT_PERMITTED");
    world.check().await;
}
