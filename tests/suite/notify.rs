//! Telling people: webhooks and e-mail, through real servers, until somebody takes it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use cairn::{
    clock::{Clock, Moment},
    config::{ChannelKind, ChannelSettings},
    proto::{EntryType, Person, QueryRequest, TakeCareRequest},
};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

use crate::{
    escalation::{at_minute, delivery, ladder},
    process::PATIENCE,
    raised::more_time,
    support::{World, next, statements::*},
};

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// What a webhook was sent.
struct Posted {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Posted {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A webhook on loopback that answers what it is told to, and then 202.
struct Webhook {
    url: String,
    posted: mpsc::UnboundedReceiver<Posted>,
    answers: Arc<Mutex<Vec<Response<()>>>>,
}

impl Webhook {
    async fn new() -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook?x=1", socket.local_addr().unwrap());
        let (to, posted) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<Vec<Response<()>>>> = Arc::default();
        let scripted = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (to, scripted) = (to.clone(), Arc::clone(&scripted));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (to, scripted) = (to.clone(), Arc::clone(&scripted));
                    async move {
                        assert_eq!(request.uri(), "/hook?x=1");
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes().to_vec();
                        let _ = to.send(Posted { headers: parts.headers, body });
                        let scripted = scripted.lock().unwrap().pop();
                        let accepted = || Response::builder().status(202).body(()).unwrap();
                        let answer = scripted.unwrap_or_else(accepted);
                        Ok::<_, hyper::Error>(answer.map(|()| Empty::<bytes::Bytes>::new()))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, posted, answers }
    }

    fn answers(&self, status: StatusCode, to: &str) {
        let answer = Response::builder().status(status).header("location", to).body(()).unwrap();
        self.answers.lock().unwrap().push(answer);
    }

    async fn next(&mut self) -> Posted {
        timeout(PATIENCE, self.posted.recv()).await.expect("a notice comes").unwrap()
    }
}

fn channel(world: &World, kind: ChannelKind, url: &str) -> ChannelSettings {
    let file = |name: &str, text: String| -> Option<PathBuf> {
        let path = world.folder.path().join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    };
    ChannelSettings {
        name: "pager".parse().unwrap(),
        kind,
        url: url.into(),
        secret: file("hook.secret", format!("whsec_{}\n", STANDARD.encode(SECRET))),
        routing_key: file("hook.key", "routing-key-of-a-test\n".into()),
        ca: world.folder.path().join("ca/ca.pem"),
        to: String::new(),
        from: String::new(),
        server: String::new(),
        mail_tls: Default::default(),
        username: String::new(),
        password: None,
        quiet: None,
    }
}

/// [`ladder`], with this channel.
async fn world(with: impl AsyncFnOnce(&World) -> ChannelSettings) -> World {
    let mut world = ladder().await;
    let channel = with(&world).await;
    world.stop().await;
    world.config.notify = vec![channel];
    world.start().await;
    world
}

async fn send(world: &World, urgency: &str, changes: Value) -> (u64, Moment) {
    let accepted = world.clock.now();
    let reference = format!("REF/Wibblestone/{urgency}/{changes}");
    let document = with(concern("police", &["school/duty"], &reference), changes);
    let document = with(document, json!({"urgency": urgency}));
    (sent(world.agency("police"), &document).await, accepted)
}

/// I7, I12: tried again until it is taken, over a restart too; signed; one incident from its
/// beginning to its end; with no name in it.
#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_until_it_is_taken_and_when_it_is_over() {
    let mut webhook = Webhook::new().await;
    let url = webhook.url.clone();
    let mut world = world(async |world| channel(world, ChannelKind::PagerDuty, &url)).await;
    let marked = json!({
        "exercise": false,
        "child": {"given_names": "Zyxquillan", "family_name": "Feathermarkle"},
    });
    webhook.answers(StatusCode::SERVICE_UNAVAILABLE, "");
    let (entry, accepted) = send(&world, "immediate", marked).await;
    at_minute(&world, accepted, 5);
    let refused = webhook.next().await;
    // The exchange goes down before it is taken, and tells it when it is back.
    world.stop().await;
    world.start().await;
    let told = webhook.next().await;
    assert_eq!(told.header("webhook-id"), refused.header("webhook-id"), "a repeat is known as one");
    let begun = told.json();
    assert_eq!(
        (&begun["event_action"], &begun["routing_key"]),
        (&json!("trigger"), &json!("routing-key-of-a-test"))
    );
    let summary = begun["payload"]["summary"].as_str().unwrap();
    assert_eq!(
        summary,
        format!(
            "Concern {entry} for school/duty (immediate): nobody has acknowledged it; it was offered to social-work/duty too"
        )
    );
    assert_eq!(begun["payload"]["severity"], "critical");
    assert!(
        begun["payload"]["custom_details"]["what_to_do"]
            .as_str()
            .unwrap()
            .contains("0131 496 0000")
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    for part in [told.header("webhook-id"), ".", told.header("webhook-timestamp"), "."] {
        mac.update(part.as_bytes());
    }
    mac.update(&told.body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(told.header("webhook-signature"), signature);

    at_minute(&world, accepted, 10);
    assert_eq!(webhook.next().await.json()["dedup_key"], begun["dedup_key"], "one incident");
    let care = TakeCareRequest {
        request_id: vec![7; 32],
        concern: entry,
        addressed: "school/duty".into(),
        by: Some(Person { name: "R. Okafor".into(), post: "on call".into(), ..Person::default() }),
        until: world.clock.now().seconds() + 600,
    };
    world.on_call.status().take_care(care).await.unwrap();
    let cared = webhook.next().await.json();
    assert_eq!(
        (&cared["event_action"], &cared["dedup_key"]),
        (&json!("acknowledge"), &begun["dedup_key"])
    );
    assert!(!cared.to_string().contains("Okafor"), "a tool outside learns of no person");

    let school = world.agency("school").clone();
    next(&school).await;
    say(&school, entry, "school/duty", stored()).await.unwrap();
    say(&school, entry, "school/duty", acknowledged()).await.unwrap();
    let over = webhook.next().await;
    assert_eq!(
        (&over.json()["event_action"], &over.json()["dedup_key"]),
        (&json!("resolve"), &begun["dedup_key"])
    );
    for posted in [&refused, &told, &over] {
        let text = String::from_utf8_lossy(&posted.body).into_owned();
        for mark in ["Zyxquillan", "Feathermarkle", "Wibblestone"] {
            assert!(!text.contains(mark));
        }
    }
    world.check().await;
}

/// Somebody reads it, and it goes on ringing; the sender takes it back, and it stops. Whoever says
/// to be dealing with it is left alone for as long, and if it is still undone, it rings anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_ends_when_what_was_to_be_done_is_and_no_sooner() {
    let mut webhook = Webhook::new().await;
    let url = webhook.url.clone();
    let world = world(async |world| channel(world, ChannelKind::PagerDuty, &url)).await;
    let (entry, accepted) = send(&world, "immediate", json!({"exercise": false})).await;
    at_minute(&world, accepted, 5);
    let begun = webhook.next().await.json();
    let school = world.agency("school").clone();
    next(&school).await;
    say(&school, entry, "school/duty", stored()).await.unwrap();
    say(&school, entry, "school/duty", opened()).await.unwrap();
    let care = TakeCareRequest {
        request_id: vec![8; 32],
        concern: entry,
        addressed: "school/duty".into(),
        by: Some(Person { name: "R. Okafor".into(), post: "on call".into(), ..Person::default() }),
        until: world.clock.now().seconds() + 120,
    };
    world.on_call.status().take_care(care).await.unwrap();
    // Had the reading ended it, that would have come first.
    assert_eq!(webhook.next().await.json()["event_action"], "acknowledge");
    at_minute(&world, accepted, 8);
    let lapsed = webhook.next().await.json();
    assert_eq!(
        (&lapsed["event_action"], &lapsed["dedup_key"]),
        (&json!("resolve"), &begun["dedup_key"])
    );
    let anew = webhook.next().await.json();
    assert_eq!(anew["event_action"], "trigger");
    assert_ne!(
        anew["dedup_key"], begun["dedup_key"],
        "tools ring nobody for one that was acknowledged"
    );
    for act in [acknowledged(), decided("assessment")] {
        say(&school, entry, "school/duty", act).await.unwrap();
    }
    let over = webhook.next().await.json();
    assert_eq!(
        (&over["event_action"], &over["dedup_key"]),
        (&json!("resolve"), &anew["dedup_key"])
    );

    let (entry, accepted) = send(&world, "urgent", json!({"exercise": false})).await;
    at_minute(&world, accepted, 20);
    let begun = webhook.next().await.json();
    let police = world.agency("police");
    let envelope = police.compose(|composer| composer.withdrawal(entry, [9; 16], "sent_in_error"));
    police.submit(&envelope).await.unwrap();
    let over = webhook.next().await.json();
    assert_eq!(
        (&over["event_action"], &over["dedup_key"]),
        (&json!("resolve"), &begun["dedup_key"])
    );
    world.check().await;
}

/// More time ends an incident: nobody is to be woken for what is not due yet. Once its new ladder is
/// climbed, it rings again.
#[tokio::test(flavor = "multi_thread")]
async fn more_time_ends_an_incident_until_the_new_ladder_is_climbed() {
    let mut webhook = Webhook::new().await;
    let url = webhook.url.clone();
    let world = world(async |world| channel(world, ChannelKind::PagerDuty, &url)).await;
    let (entry, accepted) = send(&world, "urgent", json!({"exercise": false})).await;
    let school = world.agency("school").clone();
    for act in [stored(), acknowledged()] {
        say(&school, entry, "school/duty", act).await.unwrap();
    }
    // A third of the four hours to decide.
    at_minute(&world, accepted, 81);
    let begun = webhook.next().await.json();
    assert_eq!(begun["event_action"], "trigger");
    let before = delivery(&world, entry).await.decision_due;
    let until = before + 3 * 3_600;
    say(&school, entry, "school/duty", more_time("decide", until, "B. Senior")).await.unwrap();
    let over = webhook.next().await.json();
    assert_eq!(
        (&over["event_action"], &over["dedup_key"]),
        (&json!("resolve"), &begun["dedup_key"])
    );
    world.clock.set(Moment::of_seconds(delivery(&world, entry).await.next_rung_at));
    let anew = webhook.next().await.json();
    assert_eq!(anew["event_action"], "trigger");
    assert!(anew["payload"]["summary"].as_str().unwrap().contains("nobody has decided"));
    world.check().await;
}

/// Nobody is woken for an exercise, or at night for what can wait.
#[tokio::test(flavor = "multi_thread")]
async fn what_wakes_nobody_is_not_told() {
    let mut webhook = Webhook::new().await;
    let url = webhook.url.clone();
    let world = world(async |world| {
        // Two hours from now on, in which nobody wants to hear of what can wait.
        let now = world.clock.now().in_london();
        let until = now.saturating_add(jiff::SignedDuration::from_hours(2));
        let quiet = format!("{}-{}", now.strftime("%H:%M"), until.strftime("%H:%M"));
        let quiet = Some(cairn::config::Hours::try_from(quiet).unwrap());
        ChannelSettings { quiet, ..channel(world, ChannelKind::Alertmanager, &url) }
    })
    .await;
    let live = json!({"exercise": false});
    let (routine, accepted) = send(&world, "routine", live.clone()).await;
    // A fortnight later, at the same hour of the clock: all its rungs are due.
    let later = accepted.in_london().saturating_add(jiff::Span::new().days(14));
    let later = Moment::of(&later).after(Duration::from_secs(60));
    world.clock.set(later);
    world.climb().await;
    send(&world, "immediate", json!({"exercise": true})).await;
    let (pressing, _) = send(&world, "immediate", live).await;
    at_minute(&world, later, 6);
    world.climb().await;
    let first = webhook.next().await.json();
    let alert = &first["alerts"][0];
    assert_eq!(
        alert["labels"]["concern"],
        pressing.to_string(),
        "no exercise, and nothing that can wait"
    );
    assert_eq!(
        (&first["status"], &alert["labels"]["urgency"]),
        (&json!("firing"), &json!("immediate"))
    );
    world.clock.set(later.after(Duration::from_secs(3 * 3600)));
    let at_last = async {
        let wanted = json!(routine.to_string());
        while webhook.next().await.json()["alerts"][0]["labels"]["concern"] != wanted {}
    };
    timeout(PATIENCE, at_last).await.expect("it is told when the quiet hours are over");
    world.check().await;
}

/// I11: a webhook that points elsewhere is not followed there, and that is an entry.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_is_recorded() {
    let mut webhook = Webhook::new().await;
    let mut inside = Webhook::new().await;
    let url = webhook.url.clone();
    webhook.answers(StatusCode::TEMPORARY_REDIRECT, &inside.url);
    let world = world(async |world| channel(world, ChannelKind::CloudEvents, &url)).await;
    let (_, accepted) = send(&world, "immediate", json!({"exercise": false})).await;
    at_minute(&world, accepted, 5);
    webhook.next().await;
    let recorded = async {
        loop {
            let request = QueryRequest { purpose: "a test".into(), ..QueryRequest::default() };
            let rows = world.auditor.audit().query(request).await.unwrap().into_inner().rows;
            let facts = rows
                .iter()
                .map(|row| cairn::proto::decode::<cairn::proto::Facts>(&row.facts).unwrap());
            let refused = |facts: &cairn::proto::Facts| {
                facts.r#type() == EntryType::Refusal && facts.code == "redirect_not_followed"
            };
            if let Some(facts) = facts.into_iter().find(refused) {
                return facts.subject;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert_eq!(timeout(PATIENCE, recorded).await.expect("it is recorded"), "pager");
    // It is tried again where it was to go, and taken there.
    let again = webhook.next().await.json();
    assert_eq!(
        (&again["specversion"], &again["type"]),
        (&json!("1.0"), &json!("cairn.v1.escalated"))
    );
    assert!(inside.posted.try_recv().is_err(), "nobody went there");
    world.check().await;
}

/// A program of Python's, and its lines.
fn python(
    script: &str,
    arguments: &[&Path],
) -> (Child, tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-u", "-c", script])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn line(lines: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) -> String {
    timeout(PATIENCE, lines.next_line()).await.expect("a line comes").unwrap().expect("it runs")
}

const SMTP: &str = r#"
import asyncio, json
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps([envelope.mail_from, envelope.rcpt_tos, envelope.content.decode()]))
        return "250 taken"
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), loop=loop), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1])
    await server.serve_forever()
asyncio.run(main())
"#;

/// By e-mail, to a real SMTP server.
#[tokio::test(flavor = "multi_thread")]
async fn a_duty_address_gets_an_e_mail() {
    let (_server, mut lines) = python(SMTP, &[]);
    let port = line(&mut lines).await;
    let world = world(async |world| ChannelSettings {
        to: "Duty <duty@council.example>".into(),
        from: "Cairn <cairn@exchange.example>".into(),
        server: format!("127.0.0.1:{port}"),
        mail_tls: cairn::config::MailTls::None,
        ..channel(world, ChannelKind::Email, "")
    })
    .await;
    let (entry, accepted) = send(&world, "immediate", json!({"exercise": false})).await;
    at_minute(&world, accepted, 5);
    let mail: Value = serde_json::from_str(&line(&mut lines).await).unwrap();
    assert_eq!(mail[0], "cairn@exchange.example");
    assert_eq!(mail[1], json!(["duty@council.example"]));
    let text = mail[2].as_str().unwrap().replace("=\r\n", "").replace("\r\n ", " ");
    assert!(
        text.contains(&format!("Subject: Concern {entry} for school/duty (immediate): nobody has")),
        "{text}"
    );
    assert!(
        text.contains("Ring school/duty on 0131 496 0000.") && !text.contains("Wibblestone"),
        "{text}"
    );
    world.check().await;
}

const HTTPS: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.end_headers()
        print(self.headers["content-type"], body.decode())
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[1], sys.argv[2])
print(server.server_port)
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// Over TLS, to a server of an authority that is trusted; to one of another, nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_reached_over_tls_if_its_authority_is_trusted() {
    let mut ports = None;
    let mut servers = Vec::new();
    let world = world(async |world| {
        let file = |name: &str| world.folder.path().join("tls").join(name);
        let (server, mut lines) = python(HTTPS, &[&file("server.pem"), &file("server.key")]);
        let url = format!("https://localhost:{}/", line(&mut lines).await);
        servers.push(server);
        ports = Some(lines);
        channel(world, ChannelKind::CloudEvents, &url)
    })
    .await;
    let mut lines = ports.unwrap();
    let (entry, accepted) = send(&world, "immediate", json!({"exercise": false})).await;
    at_minute(&world, accepted, 5);
    let said = line(&mut lines).await;
    let event: Value =
        serde_json::from_str(said.strip_prefix("application/cloudevents+json ").unwrap()).unwrap();
    assert_eq!(event["data"]["concern"], entry);
    world.check().await;
}

/// A channel that is set up wrong keeps the exchange from starting, in words, and harms nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_set_up_wrong_is_said_at_the_start() {
    let mut world = ladder().await;
    let right = channel(&world, ChannelKind::PagerDuty, "https://events.example/");
    world.stop().await;
    let missing = Some(world.folder.path().join("nowhere"));
    let clear = world.folder.path().join("short");
    fs::write(&clear, "whsec_short").unwrap();
    for (wrong, says) in [
        (ChannelSettings { url: "http://events.example/".into(), ..right.clone() }, "https://"),
        (ChannelSettings { url: "nonsense".into(), ..right.clone() }, "https://"),
        (ChannelSettings { secret: None, ..right.clone() }, "secret must name a file"),
        (ChannelSettings { secret: Some(clear), ..right.clone() }, "whsec_"),
        (ChannelSettings { routing_key: missing, ..right.clone() }, "nowhere"),
        (ChannelSettings { kind: ChannelKind::Email, ..right.clone() }, "from must be an address"),
    ] {
        world.config.notify = vec![wrong];
        let error = world.try_start().await.err().expect("it does not start").to_string();
        assert!(error.contains("pager") && error.contains(says), "{error}");
    }
    world.config.notify = Vec::new();
    world.start().await;
    world.check().await;
}
