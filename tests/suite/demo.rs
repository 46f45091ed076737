//! The demonstration, by its own program, and the same pack sent again to the exchange
//! that it kept.

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Arc};

use cairn::{
    clock::SystemClock,
    config::Config,
    domain::document::Document,
    proto::GetSummaryRequest,
    server::Server,
    wire::client::{Client, folder::SystemFolder},
};
use serde_json::Value;

use crate::support::{launch, repository};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn client(kept: &Path, agency: &str, system: &str) -> Client {
    let folder = kept.join("systems").join(agency).join(system);
    Client::new(SystemFolder::open(&folder).unwrap()).unwrap()
}

/// I6, I8, I13: every count of the pilot pack is right, and sending all of it again adds
/// no concern and brings every receipt back byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn the_pilot_pack_counts_right_and_sent_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let pack = repository("tests/packs/pilot");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_cairn"));
    demo.args(["demo", "-o", "json", "--keep"]).arg(&kept).arg("--pack").arg(&pack);
    let output = launch::output(&mut demo).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counted: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json(&pack.join("expected.json"));
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&counted[key], value, "{key}");
    }
    assert_eq!(counted["receipts_verified"], counted["accepted"]);
    assert_eq!(counted["ledger"]["verified"], true);
    assert_eq!(counted["ledger"]["origin"], "cairn.example/ardness");
    let size = counted["ledger"]["size"].as_u64().unwrap();
    assert!(size > 5 * 1_112, "{size} entries hold every step of every delivery");

    let config = Config { metrics: None, ..Config::read(&kept.join("cairn.toml")).unwrap() };
    let server = Server::start(&config, Arc::new(SystemClock)).await.unwrap();
    let on_call = client(&kept, "operator", "on-call");
    let before = on_call.status().get_summary(GetSummaryRequest {}).await.unwrap().into_inner();
    let repeats = send_again(&kept, &pack).await;
    assert_eq!(repeats, 571 + 19, "every accepted and repeated line");
    let after = on_call.status().get_summary(GetSummaryRequest {}).await.unwrap().into_inner();
    assert_eq!((after.concerns, after.deliveries), (before.concerns, before.deliveries));
    assert_eq!(after.size, before.size, "repeats append nothing");
    server.stop().await;
}

/// Sends every line that has a receipt again, sealed anew; gives how many.
async fn send_again(kept: &Path, pack: &Path) -> usize {
    let text = fs::read(pack.join("concerns.jsonl")).unwrap();
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let mut repeats = 0;
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let Ok(document) = Document::parse(line) else { continue };
        let from = document.fields.from.to_string();
        let proof = kept.join("receipts").join(&from).join(format!("{number}.tlog-proof"));
        let Ok(original) = fs::read(&proof) else { continue };
        if !clients.contains_key(&from) {
            let client = client(kept, &from, "case-management");
            client.refresh().await.unwrap();
            clients.insert(from.clone(), client);
        }
        let client = &clients[&from];
        let envelope = client.compose(|composer| composer.concern(&document)).unwrap();
        let response = client.submit(&envelope).await.unwrap();
        assert!(response.duplicate, "line {number}");
        assert_eq!(response.receipt.unwrap().tlog_proof, original, "line {number}");
        repeats += 1;
    }
    repeats
}
