//! The rules of the house, as tests: one crate, one room; inside knows nothing
//! outside; every file says its room; every invariant is cited.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::repository;

/// Crates and the only places that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("tonic", &["wire/", "proto.rs"]),
    ("prost", &["wire/", "proto.rs"]),
    ("rustls", &["identity/", "listener", "wire/client/mod.rs", "server/founding.rs"]),
    ("ed25519_dalek", &["crypto/"]),
    ("hpke", &["crypto/"]),
    ("rustix", &["store/disk.rs", "listener/descriptors.rs"]),
    ("sled", &["store/index/shelf.rs"]),
    ("quick_cache", &["store/index/ways.rs"]),
    ("smallvec", &["store/index/"]),
    ("futures_util", &["wire/"]),
    ("hyper", &["console/", "listener", "notify/web.rs", "witness/", "cli/demo/night/pager.rs"]),
    ("axum", &["console/"]),
    ("maud", &["console/"]),
    ("lettre", &["notify/mail.rs"]),
    ("argon2", &["crypto/"]),
    ("opentelemetry", &["telemetry/"]),
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_otlp", &["telemetry/"]),
    ("tracing_opentelemetry", &["telemetry/"]),
    ("clap", &["cli/", "main.rs"]),
];

/// Rooms from the inside out; a room may name those before it and itself.
const RINGS: &[&[&str]] = &[
    &["limits", "clock"],
    &["crypto"],
    &["domain"],
    &["ledger", "proto"],
    &["store", "directory"],
    &["identity"],
    &["policy"],
    &["broker"],
    &["listener"],
    &["wire", "config", "telemetry"],
    &["audit", "console", "notify", "witness"],
    &["server"],
    &["cli"],
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|kind| kind == "rs") => found.push(path),
            false => {}
        }
    }
}

/// Every source file: its path below `src`, and its text without its tests.
fn files() -> Vec<(String, String)> {
    let root = repository("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 40, "the sources are where this test looks");
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn is_test(name: &str) -> bool {
    name.contains("test") || name.ends_with("vectors.rs") || name.ends_with("testbed.rs")
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn each_crate_has_one_room() {
    for (name, text) in files().iter().filter(|(name, _)| !is_test(name)) {
        for (krate, homes) in HOMES {
            let home = homes.iter().any(|home| name.starts_with(home));
            let path = format!("{krate}::");
            let named = code(text).any(|line| {
                line.match_indices(&path).any(|(at, _)| {
                    !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                })
            });
            assert!(home || !named, "{name} names {krate}, which lives in {homes:?}");
        }
    }
}

#[test]
fn inside_knows_nothing_outside() {
    let ring = |room: &str| RINGS.iter().position(|ring| ring.contains(&room));
    for (name, text) in files().iter().filter(|(name, _)| !is_test(name)) {
        let room = name.split(['/', '.']).next().unwrap();
        let Some(own) = ring(room) else { continue };
        for line in code(text) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let other: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if let Some(other_ring) = ring(&other) {
                    assert!(other_ring <= own, "{name}: {room} must not know {other}: {line}");
                }
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    for (name, text) in files() {
        let header = is_test(&name) || text.starts_with("//!");
        assert!(header, "{name} has no header");
        let lines = text.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines: it wants another room");
        if !is_test(&name) && name != "lib.rs" && name != "main.rs" {
            assert!(text.contains("Knows:"), "{name} does not say which rooms it knows");
        }
    }
}

#[test]
fn only_the_clock_asks_for_the_time() {
    for (name, text) in files().iter().filter(|(name, _)| name != "clock.rs" && !is_test(name)) {
        let asks = code(text).any(|line| line.contains("SystemTime::now"));
        assert!(!asks, "{name} asks the system for the time");
    }
}

#[test]
fn only_the_demonstration_of_a_night_moves_a_clock() {
    let may = |name: &str| name == "clock.rs" || name.starts_with("cli/demo/night/");
    for (name, text) in files().iter().filter(|(name, _)| !may(name) && !is_test(name)) {
        let moves = code(text).any(|line| line.contains("ManualClock"));
        assert!(!moves, "{name} names a clock that can be moved");
    }
}

#[test]
fn nothing_is_left_over() {
    let left = ["todo!(", "unimplemented!(", "dbg!(", "FIX\u{4d}E", "XX\u{58}", "#[ign\u{6f}re"];
    for (name, text) in files() {
        for word in left {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn every_invariant_is_cited_by_a_test() {
    let mut paths = Vec::new();
    sources(&repository("tests/suite"), &mut paths);
    sources(&repository("src"), &mut paths);
    let mut tests = String::new();
    for path in &paths {
        let name = path.display().to_string();
        if name.contains("test") {
            tests += &fs::read_to_string(path).unwrap();
        }
    }
    for number in 1..=14 {
        let cited = tests.lines().any(|line| {
            line.trim_start().starts_with("//")
                && line
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == format!("I{number}"))
        });
        assert!(cited, "no test cites I{number}");
    }
}
