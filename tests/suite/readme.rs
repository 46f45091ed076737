//! The README's first exchange, run as it stands.

use std::{fs, net::TcpListener, path::Path, process::Command};

use crate::support::{launch, repository};

/// The shell blocks of a section, in order.
fn blocks(text: &str, section: &str) -> Vec<String> {
    let from = text.find(section).expect("the section is there") + section.len();
    let section = &text[from..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// The blocks as one script: a free port, the server in the background until it answers,
/// and stopped at the end.
fn script(blocks: &[String]) -> String {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let serve = "cairn serve --config exchange/cairn.toml";
    let mut text = format!("set -euo pipefail\nPORT={port}\n");
    for block in blocks {
        let block = block
            .replace("cairn init exchange ", "cairn init exchange --listen 127.0.0.1:$PORT ")
            .replace(
                serve,
                &format!(
                    "sed -i '/^metrics/d' exchange/cairn.toml\n{serve} 2>server.txt &\nSERVER=$!\n\
                     trap 'kill $SERVER; wait $SERVER || true' EXIT\n\
                     for _ in $(seq 100); do grep -q serving server.txt && break; sleep 0.1; done"
                ),
            )
            .replace("RECEIPT.tlog-proof", "\"$(basename school-a/sent/*.tlog-proof)\"");
        text += &block;
        text.push('\n');
    }
    text
}

fn run(script: &str, folder: &Path) -> (bool, String) {
    fs::write(folder.join("script.sh"), script).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cairn")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.arg("script.sh").current_dir(folder).env("PATH", path).env_remove("CAIRN_SYSTEM");
    let output = launch::output(&mut bash).unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

/// I6: two agencies, from `init` to a closed delivery and a verified ledger, by the
/// commands that a newcomer reads.
#[test]
fn the_first_exchange_between_two_agencies_goes_as_it_is_written() {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let blocks = blocks(&readme, "## A first exchange between two agencies");
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    assert!(blocks[0].contains("cargo build"), "the first block builds the program");
    let folder = tempfile::tempdir().unwrap();
    let (done, said) = run(&script(&blocks[1..]), folder.path());
    assert!(done, "{said}");
    for expected in ["accepted", "closed", "Verified", "A made-up concern."] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
