//! The operators' measurements, as small as they go: that every bar is measured and that what
//! was sent is what the ledger grew by. How fast it is, no test says.

use std::process::Command;

use serde_json::Value;

use crate::support::launch;

/// The bars of the design, by name.
const BARS: [&str; 11] = [
    "submit",
    "entries_per_fsync",
    "stream",
    "one_at_a_time",
    "delivery",
    "append",
    "query_concern",
    "query_agency",
    "start",
    "rebuild",
    "memory",
];

fn bench(words: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    let output = launch::output(command.arg("bench").args(words)).unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// I1: among the rest, that each receipt of a sample proves its statement, and that the ledger
/// grew by the statements that were answered; the program says so by its exit code.
#[test]
fn bench_measures_every_bar_and_adds_up() {
    let report = bench(&["all", "--quick", "-o", "json"]).unwrap();
    let bars = report["bars"].as_array().unwrap();
    let names: Vec<&str> = bars.iter().map(|bar| bar["name"].as_str().unwrap()).collect();
    assert_eq!(names, BARS);
    for bar in bars {
        let number = |key: &str| bar[key].as_f64();
        let measured = number("measured").unwrap();
        assert!(measured > 0.0 && measured.is_finite(), "{bar}");
        assert!(number("least").unwrap() <= measured, "{bar}");
        assert!(measured <= number("most").unwrap(), "{bar}");
        let met = match (number("at_least"), number("at_most")) {
            (Some(target), None) => measured >= target,
            (None, Some(target)) => measured <= target,
            _ => panic!("one target: {bar}"),
        };
        assert_eq!(bar["met"].as_bool().unwrap(), met, "{bar}");
    }
    let figure = |of: &str, what: &str| report["figures"][of][what]["value"].as_f64().unwrap();
    let size = figure("submit", "envelope, mean");
    assert!((3_800.0..4_400.0).contains(&size), "a concern of about 4 KiB: {size}");
    assert!(figure("ledger", "entries") >= 1_500.0);
    assert_eq!(report["optimised"], !cfg!(debug_assertions));
    let machine = report["machine"].as_object().unwrap();
    assert!(machine.values().all(|value| !value.as_str().unwrap().is_empty()), "{machine:?}");
}

/// A ledger that was left is measured again and not grown anew.
#[test]
fn a_kept_ledger_is_measured_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let kept = kept.to_str().unwrap();
    let concerns = ["ledger", "--quick", "--concerns-only", "--folder", kept, "-o", "json"];
    let built = bench(&concerns).unwrap();
    let again = bench(&["ledger", "--quick", "--measure", kept, "-o", "json"]).unwrap();
    let entries = |report: &Value| report["figures"]["ledger"]["entries"]["value"].clone();
    assert_eq!(entries(&built), entries(&again));
    assert!(again["bars"].as_array().unwrap().iter().all(|bar| bar["name"] != "append"));
    let refused = bench(&concerns).unwrap_err();
    assert!(refused.contains("not empty"), "{refused}");
}

/// A soak sees every concern stored, looks at the server on the way, and draws what it saw.
#[test]
fn a_soak_stores_all_that_it_offers_and_draws_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("soak.svg");
    let report =
        bench(&["soak", "--quick", "--chart", chart.to_str().unwrap(), "-o", "json"]).unwrap();
    let names: Vec<&str> =
        report["bars"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["soak_memory", "soak_descriptors"]);
    let figure = |what: &str| report["figures"]["soak"][what]["value"].as_f64().unwrap();
    assert!(figure("stored by recipients") >= 2.0);
    assert!(figure("server, resident, most") > 1.0);
    let drawn = std::fs::read_to_string(chart).unwrap();
    assert_eq!(drawn.matches("<polyline").count(), 3);
}
