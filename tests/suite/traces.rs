//! Traces: spans of the real program, taken by a real collector.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use cairn::proto::SubmitRequest;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    process::{PATIENCE, Process},
    support::{World, next, statements::*},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// In the sender's reference, the child's name, and what a caller says of its trace.
const MARKS: [&str; 3] = ["Refmarkle", "Zyxquillan", "Statequartz"];

/// All that a collector was given.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = format!("{:?}", request.metadata());
        assert!(!MARKS.iter().any(|mark| headers.contains(mark)), "{headers}");
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn listening() -> (Self, SocketAddr) {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(socket)));
        (collector, address)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().iter().flat_map(Message::encode_to_vec).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap().clone();
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|spans| {
            let who = texts(&spans.resource.unwrap().attributes);
            let version = env!("CARGO_PKG_VERSION").to_owned();
            assert_eq!(
                who,
                [("service.name", "cairn".to_owned()), ("service.version", version)]
                    .map(|(key, value)| (key.to_owned(), value))
            );
            spans.scope_spans
        });
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let mut texts: Vec<_> = attributes
        .iter()
        .map(|it| match it.value.clone().unwrap().value.unwrap() {
            Value::StringValue(text) => (it.key.clone(), text),
            other => panic!("{}: {other:?}", it.key),
        })
        .collect();
    texts.sort();
    texts
}

/// A world whose program sends its spans there, this share of them.
async fn traced(to: SocketAddr, sample: f64) -> (World, Process) {
    let mut world = World::with_agencies().await;
    world.stop().await;
    let process = traced_again(&world, to, sample).await;
    (world, process)
}

async fn traced_again(world: &World, to: SocketAddr, sample: f64) -> Process {
    let config = world.folder.path().join("cairn.toml");
    let text = fs::read_to_string(&config).unwrap();
    let before = text.split("[traces]").next().unwrap();
    let table = format!("[traces]\nendpoint = \"http://{to}\"\nsample = {sample:?}\n");
    fs::write(&config, format!("{before}{table}")).unwrap();
    Process::serve(world).await
}

/// Sends a marked concern to the school, in the trace that these headers name; its entry.
async fn submits(world: &World, number: u32, headers: &[(&'static str, String)]) -> u64 {
    let police = world.agency("police");
    let child = json!({"given_names": MARKS[1], "family_name": MARKS[1]});
    let document = concern("police", &["school/duty"], &format!("{}-{number}", MARKS[0]));
    let envelope = envelope(police, &with(document, json!({"child": child})));
    let mut request = Request::new(SubmitRequest { envelope, validate_only: false });
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    police.exchange().submit(request).await.unwrap().into_inner().receipt.unwrap().entry
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// I12: a call is a span in its caller's trace, with what it waited for; and nothing that is
/// exported holds anything of what was said, or of who said it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_in_its_callers_trace_and_tells_nothing_of_what_was_said() {
    let (collector, address) = Collector::listening().await;
    let (world, process) = traced(address, 1.0).await;
    let caller = format!("00-{TRACE}-{PARENT}-01");
    let state = ("tracestate", format!("who={}", MARKS[2]));
    let entry = submits(&world, 1, &[("traceparent", caller.clone()), state]).await;
    submits(&world, 2, &[("traceparent", format!("00-{}-{PARENT}-01", MARKS[2]))]).await;
    let school = world.agency("school");
    assert_eq!(next(school).await.entry, entry);
    for act in [stored(), acknowledged()] {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    let refused = say(world.agency("social-work"), entry, "social-work/duty", stored()).await;
    assert_eq!(crate::support::code(refused), "unknown_statement");
    // What waits is sent before it ends.
    process.stop();

    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let submits = named("cairn.v1.ExchangeService/Submit");
    let of_caller: Vec<_> = submits.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    assert_eq!((submits.len(), of_caller.len()), (5, 1), "each call, and whose it is");
    let call = of_caller[0];
    assert_eq!((hex(&call.parent_span_id).as_str(), call.kind), (PARENT, 2));
    let said = [
        ("rpc.method", "cairn.v1.ExchangeService/Submit"),
        ("rpc.response.status_code", "OK"),
        ("rpc.system.name", "grpc"),
    ];
    let said: Vec<_> = said.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(texts(&call.attributes), said);
    for part in ["judge", "commit"] {
        let of_call = |span: &&&Span| span.parent_span_id == call.span_id;
        let part: Vec<_> = named(part).into_iter().filter(|span| of_call(&span)).collect();
        assert_eq!((part.len(), part[0].trace_id == call.trace_id), (1, true), "{}", part[0].name);
        assert!(texts(&part[0].attributes).is_empty());
    }
    let codes: Vec<_> = submits.iter().flat_map(|span| texts(&span.attributes)).collect();
    assert!(codes.contains(&("rpc.response.status_code".into(), "NOT_FOUND".into())), "{codes:?}");
    assert_eq!(named("cairn.v1.ExchangeService/Receive").len(), 1, "a stream, when it has ended");

    let keys = ["rpc.method", "rpc.response.status_code", "rpc.system.name"];
    for span in &spans {
        let quiet = span.events.is_empty() && span.links.is_empty() && span.trace_state.is_empty();
        let known = span.attributes.iter().all(|it| keys.contains(&it.key.as_str()));
        assert!(quiet && known, "{span:?}");
    }
    let bytes = collector.bytes();
    let has = |mark: &str| bytes.windows(mark.len()).any(|at| at == mark.as_bytes());
    assert!(has("service.version"), "it is these bytes that were looked at");
    for mark in MARKS.into_iter().chain(["police", "school", "duty", "Tester"]) {
        assert!(!has(mark), "{mark} is exported");
    }
    let lines = fs::read_to_string(world.folder.path().join("traces.jsonl")).unwrap();
    assert!(!lines.contains("rpc.method"), "a span is no line");

    // Whoever calls decides; of the others a share.
    let taken = spans.len();
    let process = traced_again(&world, address, 0.0).await;
    submits_with(&world, &caller).await;
    process.stop();
    let more = collector.spans().split_off(taken);
    let calls: Vec<_> = more.iter().filter(|span| span.kind == 2).collect();
    assert_eq!((calls.len(), hex(&calls[0].trace_id)), (1, TRACE.to_owned()));
    world.is_sound();
}

async fn submits_with(world: &World, caller: &str) {
    submits(world, 3, &[("traceparent", caller.to_owned())]).await;
    submits(world, 4, &[]).await;
}

/// I10: a collector that takes connections and answers nothing slows nothing and stops nothing,
/// and is named in a line.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_slows_nothing() {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (world, process) = traced(socket.local_addr().unwrap(), 1.0).await;
    let submitted = async {
        for number in 0..100 {
            submits(&world, number, &[]).await;
        }
    };
    timeout(PATIENCE, submitted).await.expect("each is answered");
    let said = async {
        while !process.traces().contains("the collector of traces does not take spans") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, said).await.expect("it is said");
    assert!(!process.traces().contains('\u{1b}'), "in a file no colours stand between the words");
    submits(&world, 100, &[]).await;
    process.stop();
    world.is_sound();
}
