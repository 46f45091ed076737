//! Witnesses: real ones, in processes of their own, over HTTPS, beside a real exchange.

mod hostile;
mod process;

use std::{fs, path::Path, time::Duration};

use cairn::{
    audit::{
        mirror,
        witnessed::{self, Witnessed},
    },
    config::WitnessPolicy,
    ledger::{checkpoint::Checkpoint, tlog_policy::TlogPolicy, tlog_proof::TlogProof},
    proto::GetCheckpointRequest,
    server::StartError,
};
use serde_json::json;
use tokio::time::{sleep, timeout};

use self::process::WitnessProcess;
use crate::{
    process::{PATIENCE, fetch},
    support::{World, launch, statements::*},
};

/// A world whose exchange asks these witnesses, of which so many are enough.
async fn world(witnesses: &[&WitnessProcess], needed: usize) -> World {
    let mut world = World::with_agencies().await;
    world.stop().await;
    witnesses.iter().for_each(|witness| witness.follow(&world.vkey));
    world.config.witness = witnesses.iter().map(|witness| witness.settings()).collect();
    world.config.witnesses = Some(WitnessPolicy { needed });
    world.config.metrics = Some("127.0.0.1:0".parse().unwrap());
    world.start().await;
    world
}

fn metric(world: &World, name: &str) -> u64 {
    let page = fetch(world.metrics().unwrap(), "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is there")).parse().unwrap()
}

/// Asks the witnesses again and again until it holds.
async fn until(world: &World, holds: impl Fn() -> bool) {
    let holding = async {
        while !holds() {
            world.ask_witnesses();
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, holding).await.expect("it comes to hold");
}

/// Waits until all entries there are now are witnessed; gives how many.
async fn witnessed(world: &World) -> u64 {
    let size = world.size().await;
    until(world, || metric(world, "cairn_witnessed_entries") >= size).await;
    size
}

/// The program's own verification: its exit code, and what it says.
fn verify(arguments: &[&str]) -> (i32, String) {
    cairn(&[&["audit", "verify"], arguments].concat())
}

fn cairn(arguments: &[&str]) -> (i32, String) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_cairn"));
    let output = launch::output(program.args(arguments)).unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said.into_owned())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// I4: the whole way: two witnesses, a policy of two of two, the second receipt of an entry, and
/// what `audit verify` says before and after.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_logged_then_witnessed_and_an_offline_verifier_can_tell() {
    let (one, two) = (WitnessProcess::start("one"), WitnessProcess::start("two"));
    let world = world(&[&one, &two], 2).await;
    let police = world.agency("police");
    let document = concern("police", &["school/duty"], "W-1");
    let entry = sent(police, &document).await;
    let folder = police.folder().path();
    let policy = world.folder.path().join("policy");
    let text = format!(
        "log {}\nwitness one {}\nwitness two {}\ngroup both all one two\nquorum both\n",
        world.vkey,
        one.vkey(),
        two.vkey()
    );
    fs::write(&policy, &text).unwrap();
    let receipt = kept_receipt(&world, entry).await;
    let (code, said) = verify(&["--receipt", path(&receipt), "--policy", path(&policy)]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("logged, not yet witnessed"), "{said}");

    witnessed(&world).await;
    let proof = ["audit", "proof", "--receipt", path(&receipt), "--system", path(folder)];
    let (code, said) = cairn(&proof);
    assert_eq!(code, 0, "{said}");
    let second = receipt.with_extension("witnessed.tlog-proof");
    let (code, said) = verify(&["--receipt", path(&second), "--policy", path(&policy)]);
    assert_eq!((code, said.contains("Witnessed: entry")), (0, true), "{said}");
    // The first receipt's checkpoint was never cosigned, and stays as it is.
    let (code, _) = verify(&["--receipt", path(&receipt), "--policy", path(&policy)]);
    assert_eq!(code, 4);
    // Nor does it pass by a policy with another witness.
    fs::write(&policy, text.replace(&two.vkey().to_string(), &stranger())).unwrap();
    let (code, _) = verify(&["--receipt", path(&second), "--policy", path(&policy)]);
    assert_eq!(code, 4);

    // The mirror brings the cosigned checkpoint, and both together say that the entry is witnessed.
    fs::write(&policy, &text).unwrap();
    let mirrored = world.folder.path().join("mirrored");
    mirror::mirror(&world.auditor, &mirrored, "test", &mut |_, _| {}).await.unwrap();
    let together =
        ["--mirror", path(&mirrored), "--receipt", path(&receipt), "--policy", path(&policy)];
    let (code, said) = verify(&together);
    assert_eq!((code, said.contains("Witnessed: entry")), (0, true), "{said}");
    fs::remove_file(mirrored.join("cosigned")).unwrap();
    let (code, said) = verify(&["--mirror", path(&mirrored), "--policy", path(&policy)]);
    assert_eq!((code, said.contains("not yet witnessed")), (4, true), "{said}");
    world.check().await;
}

/// The receipt of an entry as a client keeps it: the proof, and its opening beside it.
async fn kept_receipt(world: &World, entry: u64) -> std::path::PathBuf {
    let request =
        cairn::proto::GetEntryRequest { entry, purpose: "test".into(), with_detail: false };
    let answer = world.auditor.audit().get_entry(request).await.unwrap().into_inner();
    let receipt = answer.receipt.unwrap();
    let file = world.folder.path().join("first.tlog-proof");
    fs::write(&file, &receipt.tlog_proof).unwrap();
    use base64::{Engine, engine::general_purpose::STANDARD};
    let opening = json!({
        "entry": entry,
        "leaf": STANDARD.encode(&receipt.leaf),
        "facts": STANDARD.encode(&receipt.facts),
        "facts_opening": STANDARD.encode(&receipt.facts_opening),
    });
    fs::write(file.with_extension("opening.json"), opening.to_string()).unwrap();
    file
}

/// The key of a witness that nobody runs.
fn stranger() -> String {
    use cairn::{
        crypto::SigningKey,
        ledger::note::{KeyKind, Vkey},
    };
    let public = SigningKey::from_seed(&[9; 32]).public();
    Vkey::new("witness.example/nobody", KeyKind::Cosignature, public).unwrap().to_string()
}

/// One of two is away: with both needed the age climbs, with one needed it does not. When it is
/// back, it is asked on from where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_away_shows_by_age_and_is_taken_up_again() {
    let (one, mut two) = (WitnessProcess::start("one"), WitnessProcess::start("two"));
    let mut world = world(&[&one, &two], 2).await;
    let before = witnessed(&world).await;
    two.kill();
    let document = concern("police", &["school/duty"], "W-2");
    sent(world.agency("police"), &document).await;
    until(&world, || metric(&world, "cairn_witness_failed_total{witness=\"two\"}") > 0).await;
    assert_eq!(metric(&world, "cairn_witnessed_entries"), before);
    let later = cairn::clock::Clock::now(world.clock.as_ref()).after(Duration::from_secs(601));
    world.clock.set(later);
    until(&world, || metric(&world, "cairn_witness_age_seconds{witness=\"one\"}") == 0).await;
    assert!(metric(&world, "cairn_witnessed_age_seconds") >= 601);
    assert!(metric(&world, "cairn_witness_age_seconds{witness=\"two\"}") >= 601);

    // What is kept of it lives through a restart, and one of two is enough from now on.
    world.stop().await;
    world.config.witnesses = Some(WitnessPolicy { needed: 1 });
    world.start().await;
    assert!(metric(&world, "cairn_witnessed_entries") >= before);
    witnessed(&world).await;
    world.stop().await;
    world.config.witnesses = Some(WitnessPolicy { needed: 2 });
    two.again();
    world.start().await;
    witnessed(&world).await;
    assert_eq!(metric(&world, "cairn_witnesses_disagreeing"), 0);
    world.check().await;
}

/// I4: a data folder that was put back to an earlier day is not served once a witness has seen a
/// later one.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_folder_is_refused_at_the_start() {
    let mut one = WitnessProcess::start("one");
    let mut world = world(&[&one], 1).await;
    witnessed(&world).await;
    world.stop().await;
    let (data, copy) = (world.config.data.clone(), world.folder.path().join("copy"));
    copied(&data, &copy);
    world.start().await;
    let document = concern("police", &["school/duty"], "W-3");
    sent(world.agency("police"), &document).await;
    let size = witnessed(&world).await;
    world.stop().await;
    let newest = world.folder.path().join("newest");
    fs::rename(&data, &newest).unwrap();
    copied(&copy, &data);

    let refused = match world.try_start().await {
        Err(error @ StartError::Open(_)) => error.to_string(),
        Err(error) => panic!("another refusal: {error}"),
        Ok(_) => panic!("an older copy is served"),
    };
    let named = format!("a witness names {size} entries");
    for said in [named.as_str(), "older copy", "second history"] {
        assert!(refused.contains(said), "{said}: {refused}");
    }
    // Nor when the witness is away, by the cosigned checkpoint that was kept.
    one.kill();
    fs::copy(newest.join("witnessed"), data.join("witnessed")).unwrap();
    let refused = world.try_start().await.err().expect("it is refused").to_string();
    assert!(refused.contains(&named), "{refused}");
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&newest, &data).unwrap();
    world.start().await;
    world.check().await;
}

/// I4: an older copy that goes on while no witness is there to be asked is another history. Once
/// the witness is back it says so, whether the copy has fewer entries by then or more, and cosigns
/// none of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_history_is_told_of_and_never_cosigned() {
    let mut one = WitnessProcess::start("one");
    let mut world = world(&[&one], 1).await;
    world.stop().await;
    let (data, copy) = (world.config.data.clone(), world.folder.path().join("copy"));
    copied(&data, &copy);
    world.start().await;
    for reference in ["F-1", "F-2", "F-3"] {
        sent(world.agency("police"), &concern("police", &["school/duty"], reference)).await;
    }
    let size = witnessed(&world).await;
    world.stop().await;
    one.kill();
    fs::remove_dir_all(&data).unwrap();
    copied(&copy, &data);
    world.start().await;
    sent(world.agency("police"), &concern("police", &["school/duty"], "F-4")).await;
    assert!(world.size().await < size);
    one.again();
    until(&world, || metric(&world, "cairn_witnesses_disagreeing") == 1).await;
    while world.size().await <= size {
        let reference = format!("F-{}", world.size().await);
        sent(world.agency("police"), &concern("police", &["school/duty"], &reference)).await;
    }
    until(&world, || one.said().contains("a signed checkpoint is refused")).await;
    assert_eq!(metric(&world, "cairn_witnesses_disagreeing"), 1);
    assert_eq!(metric(&world, "cairn_witnessed_entries"), 0);
    let cosigned = world.agency("police").audit().get_checkpoint(GetCheckpointRequest {}).await;
    assert!(cosigned.unwrap().into_inner().cosigned.is_empty());
    world.check().await;
}

/// What people on call see of it.
#[tokio::test(flavor = "multi_thread")]
async fn log_health_says_whether_it_is_witnessed() {
    let one = WitnessProcess::start("one");
    let mut world = crate::console::world().await;
    let mut okafor = crate::console::on_call(&world).await;
    let page = okafor.get("/health").await.text;
    assert!(page.contains("<dt>Witnesses</dt><dd>not configured</dd>"), "{page}");
    assert!(!page.contains("Witnessed: "), "{page}");
    world.stop().await;
    one.follow(&world.vkey);
    world.config.witness = vec![one.settings()];
    world.config.metrics = Some("127.0.0.1:0".parse().unwrap());
    world.start().await;
    witnessed(&world).await;
    let mut okafor = crate::console::on_call(&world).await;
    let page = okafor.get("/health").await.text;
    assert!(page.contains("Witnessed: yes. "), "{page}");
    world.clock.set(cairn::clock::Clock::now(world.clock.as_ref()).after(Duration::from_secs(601)));
    drop(one);
    let page = okafor.get("/health").await.text;
    assert!(page.contains("Witnessed: no. ") && page.contains(" ago."), "{page}");
    world.check().await;
}

/// Nobody answers: the exchange serves all the same, and says so by the age.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_never_answers_keeps_nobody_waiting() {
    let (mut one, mut two) = (WitnessProcess::start("one"), WitnessProcess::start("two"));
    one.kill();
    two.kill();
    // There, and silent.
    let _silent = std::net::TcpListener::bind(two.address()).unwrap();
    let world = world(&[&one, &two], 1).await;
    let document = concern("police", &["school/duty"], "W-4");
    let entry = sent(world.agency("police"), &document).await;
    until(&world, || metric(&world, "cairn_witness_failed_total{witness=\"one\"}") > 0).await;
    let not_yet = witnessed::receipt(world.agency("police"), entry, None).await.unwrap();
    assert!(matches!(not_yet, Witnessed::NotYet(0)));
    let later = cairn::clock::Clock::now(world.clock.as_ref()).after(Duration::from_secs(700));
    world.clock.set(later);
    assert!(metric(&world, "cairn_witnessed_age_seconds") >= 700);
    world.check().await;
}

/// The newest cosigned checkpoint is a note with a line of each; every entry has a receipt under it.
#[tokio::test(flavor = "multi_thread")]
async fn every_entry_has_a_receipt_under_the_cosigned_checkpoint() {
    let (one, two) = (WitnessProcess::start("one"), WitnessProcess::start("two"));
    let world = world(&[&one, &two], 2).await;
    let size = witnessed(&world).await;
    let police = world.agency("police");
    let answer = police.audit().get_checkpoint(GetCheckpointRequest {}).await.unwrap().into_inner();
    let witnesses = vec![one.vkey().clone(), two.vkey().clone()];
    let policy = TlogPolicy::of(world.vkey.clone(), witnesses, 2);
    let judged = policy.judge(&answer.cosigned).unwrap();
    assert!(judged.enough && judged.checkpoint.size() >= size);
    Checkpoint::open(&answer.cosigned, &world.vkey).unwrap();
    for entry in 0..size {
        let leaf = world.auditor.audit();
        let request =
            cairn::proto::GetEntryRequest { entry, purpose: "test".into(), with_detail: false };
        let leaf =
            leaf.clone().get_entry(request).await.unwrap().into_inner().receipt.unwrap().leaf;
        let found = witnessed::receipt(police, entry, Some(&leaf)).await.unwrap();
        let Witnessed::Yes { receipt, verified: true, .. } = found else { panic!("{entry}") };
        let file = TlogProof::parse(receipt.to_text().as_bytes()).unwrap();
        assert!(policy.judge(file.checkpoint()).unwrap().enough);
    }
    world.check().await;
}

/// Copies a folder whole, modes included.
fn copied(from: &Path, to: &Path) {
    let mut copy = std::process::Command::new("cp");
    let done = launch::output(copy.args(["-a", path(from), path(to)])).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
