//! What a witness is asked by others than an honest exchange: forks, old trees, forged and broken
//! requests, floods; and its own death between writing and answering.

use std::{fs, net::TcpStream, os::unix::process::ExitStatusExt, time::Duration};

use cairn::{
    crypto::SigningKey,
    ledger::{
        add_checkpoint::AddCheckpoint,
        checkpoint::Checkpoint,
        merkle::{Frontier, Hash, leaf_hash, node_hash},
        note::{KeyKind, Note, SignatureLine, Vkey},
    },
    limits,
};

use super::WitnessProcess;
use crate::{
    process::PATIENCE,
    support::strace::{Fault, fired},
};

const ORIGIN: &str = "log.example/test";

/// A ledger of `size` leaves whose key is at hand; `history` tells apart those from leaf 1 on.
#[derive(Clone, Copy)]
struct Log {
    size: u64,
    history: u8,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn vkey(origin: &str, seed: u8) -> Vkey {
    Vkey::new(origin, KeyKind::Ed25519, key(seed).public()).unwrap()
}

impl Log {
    fn of(size: u64, history: u8) -> Self {
        Self { size, history }
    }

    fn leaf(self, at: u64) -> Hash {
        leaf_hash(&[at as u8, if at == 0 { 0 } else { self.history }])
    }

    fn root(self) -> Hash {
        let mut tree = Frontier::new();
        (0..self.size).for_each(|at| tree.push(self.leaf(at)));
        tree.root()
    }

    fn signed(self) -> Vec<u8> {
        Checkpoint::new(ORIGIN, self.size, self.root()).unwrap().sign(&key(1))
    }

    /// A request from a size of 0, 2 or its own: all that these tests need.
    fn request(self, old: u64) -> Vec<u8> {
        let proof = match (old, self.size) {
            (0, _) => Vec::new(),
            (old, size) if old == size => Vec::new(),
            (2, 3) => vec![self.leaf(2)],
            (2, 4) => vec![node_hash(&self.leaf(2), &self.leaf(3))],
            other => panic!("no proof for {other:?}"),
        };
        AddCheckpoint { old, proof, checkpoint: self.signed() }.to_bytes()
    }
}

async fn post(witness: &WitnessProcess, body: Vec<u8>) -> (u16, String) {
    let (status, body) = witness.asker().post(body, PATIENCE).await.unwrap();
    (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

async fn status(witness: &WitnessProcess, body: Vec<u8>) -> u16 {
    post(witness, body).await.0
}

/// I4: another history is never cosigned, before a restart or after it, and both heads are kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_refused_for_ever() {
    let mut witness = WitnessProcess::start("one");
    witness.follow(&vkey(ORIGIN, 1));
    assert_eq!(status(&witness, Log::of(2, 0).request(0)).await, 200);
    for again in [false, true] {
        if again {
            // Each is told of once.
            assert!(
                witness.said().contains("a signed checkpoint is refused"),
                "{}",
                witness.said()
            );
            witness.kill();
            witness.again();
        }
        assert_eq!(status(&witness, Log::of(2, 1).request(2)).await, 422, "the same size");
        assert_eq!(status(&witness, Log::of(3, 1).request(2)).await, 422, "a longer one");
        assert_eq!(post(&witness, Log::of(2, 1).request(0)).await, (409, "2\n".into()));
        assert_eq!(post(&witness, Log::of(1, 0).request(0)).await, (409, "2\n".into()));
        assert_eq!(post(&witness, Log::of(3, 0).request(0)).await, (409, "2\n".into()));
        assert_eq!(status(&witness, Log::of(2, 0).request(2)).await, 200, "the same head again");
    }
    let kept: Vec<_> = fs::read_dir(witness.path().join("refused")).unwrap().collect();
    assert_eq!(kept.len(), 2, "both forks once, as they were signed");
    assert_eq!(status(&witness, Log::of(4, 0).request(2)).await, 200, "the true one goes on");
}

/// Statuses as tlog-witness has them, for requests that are broken or by nobody it knows.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_get_their_status_and_change_nothing() {
    let witness = WitnessProcess::start("one");
    witness.follow(&vkey(ORIGIN, 1));
    let good = Log::of(2, 0);
    let with = |old: u64, proof: Vec<Hash>, checkpoint: Vec<u8>| {
        AddCheckpoint { old, proof, checkpoint }.to_bytes()
    };
    let signed_by =
        |origin: &str, seed| Checkpoint::new(origin, 2, good.root()).unwrap().sign(&key(seed));
    let text = String::from_utf8(good.signed()).unwrap();
    let (head, _) = text.split_once("\n\n").unwrap();
    let extended = Note::sign(&format!("{head}\nextension\n"), ORIGIN, &key(1)).unwrap();
    let mut forged = good.signed();
    let at = forged.len() - 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let cosigned = {
        let note = Note::parse(&good.signed()).unwrap();
        let name = "witness.example/one";
        let line = SignatureLine::cosign(note.text(), name, &key(7), 1).unwrap();
        text.clone() + &line.to_text()
    };
    let requests = [
        (400, Vec::new()),
        (400, b"old 0\n".to_vec()),
        (400, vec![0xff; 200]),
        (400, with(3, Vec::new(), good.signed())),
        (400, with(0, Vec::new(), extended.to_bytes())),
        (400, with(0, vec![good.root(); 64], good.signed())),
        (404, with(0, Vec::new(), signed_by("log.example/other", 1))),
        (404, with(0, Vec::new(), signed_by("../../../etc/passwd", 1))),
        (403, with(0, Vec::new(), signed_by(ORIGIN, 2))),
        (403, with(0, Vec::new(), forged)),
        (422, with(0, vec![good.root()], good.signed())),
    ];
    for (expected, body) in requests {
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(status(&witness, body).await, expected, "{start}");
    }
    // Told, or cut while it still sends.
    let long = witness.asker().post(vec![b'a'; 64 * 1024], PATIENCE).await;
    assert!(long.as_ref().map_or(true, |(status, _)| status.as_u16() == 413), "{long:?}");
    // A line under its own name that it did not make is not taken over into what it keeps.
    assert_eq!(status(&witness, with(0, Vec::new(), cosigned.into_bytes())).await, 200);
    assert_eq!(status(&witness, Log::of(4, 0).request(2)).await, 200);
}

/// I1, I9: killed after what it cosigns is durable and before anybody has the cosignature: after
/// that it stands.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_its_sync_and_its_answer_its_size_stands() {
    let mut witness = WitnessProcess::start("one");
    witness.follow(&vkey(ORIGIN, 1));
    assert_eq!(status(&witness, Log::of(2, 0).request(0)).await, 200);
    witness.kill();
    let report = witness.path().join("report");
    // At the sync of the folder: the new file is synced and has its name.
    let fault = Fault { calls: "fsync", becomes: "signal=SIGKILL", when: 2 };
    witness.again_under(&fault.wrapper(&report, &[]));
    let answer = witness.asker().post(Log::of(4, 0).request(2), PATIENCE).await;
    assert!(answer.is_err(), "nobody has the cosignature: {answer:?}");
    assert_eq!(witness.ended().signal(), Some(9));
    witness.again();
    assert_eq!(post(&witness, Log::of(3, 1).request(2)).await, (409, "4\n".into()));
    assert_eq!(
        status(&witness, Log::of(4, 1).request(4)).await,
        422,
        "a fork of what it never said"
    );
    assert_eq!(status(&witness, Log::of(4, 0).request(4)).await, 200);
}

/// I9: a write that fails ends it, and nothing is cosigned on what may not be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_ends_it_without_a_cosignature() {
    let mut witness = WitnessProcess::start("one");
    witness.follow(&vkey(ORIGIN, 1));
    witness.kill();
    let report = witness.path().join("report");
    let fault = Fault { calls: "fsync", becomes: "error=EIO", when: 1 };
    witness.again_under(&fault.wrapper(&report, &[]));
    assert_eq!(status(&witness, Log::of(2, 0).request(0)).await, 500);
    assert_eq!((witness.ended().code(), fired(&report).len()), (Some(1), 1));
    assert!(witness.said().contains("the witness has stopped"), "{}", witness.said());
    witness.again();
    assert_eq!(status(&witness, Log::of(2, 0).request(0)).await, 200);
}

/// I10: one address cannot hold all places, and who says nothing is cut; a second process is kept
/// out.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_and_a_second_process_are_bounded() {
    let witness = WitnessProcess::start("one");
    witness.follow(&vkey(ORIGIN, 1));
    let most = limits::WITNESS_CONNECTIONS_PER_ADDRESS_MAX;
    let silent: Vec<_> =
        (0..most).map(|_| TcpStream::connect(witness.address()).unwrap()).collect();
    // The handshake's time bounds each of them, and then there is room again.
    let asker = witness.asker();
    let answered = async {
        loop {
            match asker.post(Log::of(2, 0).request(0), PATIENCE).await {
                Ok((status, _)) => return status.as_u16(),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, answered).await;
    assert_eq!(answered.expect("the silent are cut"), 200);
    drop(silent);
    let (code, said) = super::cairn(&[
        "witness",
        "serve",
        "--folder",
        witness.path().to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!((code, said.contains("in use by the process")), (1, true), "{said}");
}

/// Its key is its owner's alone, and a ledger is followed once.
#[test]
fn its_folder_is_made_once_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let witness = WitnessProcess::start("one");
    let path = witness.path();
    for key in ["witness.key", "tls/server.key"] {
        let mode = fs::metadata(path.join(key)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{key}");
    }
    let folder = path.to_str().unwrap();
    let (code, said) = super::cairn(&["witness", "init", folder, "--name", "witness.example/one"]);
    assert_eq!((code, said.contains("here already")), (1, true), "{said}");
    let log = vkey(ORIGIN, 1).to_string();
    let add = |key: &str| super::cairn(&["witness", "add", key, "--folder", folder]);
    assert_eq!(add(&log).0, 0);
    let (code, said) = add(&vkey(ORIGIN, 2).to_string());
    assert_eq!((code, said.contains(&log)), (1, true), "{said}");
    assert_eq!(add(&witness.vkey().to_string()).0, 1, "a witness is no ledger");
}
