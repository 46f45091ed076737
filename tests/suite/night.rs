//! A weekend on call, by its own program: on a clock that is moved, every rung comes when it is due,
//! through the hour that comes twice, a restart, and a webhook that is dead until Saturday.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::support::{launch, repository};

const PAEDIATRICS: &str = "nhs-paediatrics/on-call";
const TEAM: &str = "sw-ardness-ooh/duty";

/// The elements of a list whose fields are these.
fn having<'v>(list: &'v Value, fields: &Value) -> Vec<&'v Value> {
    let fields = fields.as_object().unwrap();
    let has = |it: &&Value| fields.iter().all(|(name, value)| it[name] == *value);
    list.as_array().unwrap().iter().filter(has).collect()
}

/// What lists say under a name, in their order.
fn each<'v>(list: &[&'v Value], name: &str) -> Vec<&'v str> {
    list.iter().map(|it| it[name].as_str().unwrap_or_default()).collect()
}

/// The whole night, as JSON.
fn night(pack: Option<&std::path::Path>) -> (Value, bool) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_cairn"));
    demo.args(["demo", "--night", "-o", "json"]);
    if let Some(pack) = pack {
        demo.arg("--pack").arg(pack);
    }
    let output = launch::output(&mut demo).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    (found, output.status.success())
}

/// I6, I7, I14: who was told what and when, over the weekend in which the clocks go back.
#[tokio::test(flavor = "multi_thread")]
async fn the_weekend_adds_up_and_everybody_was_told_when_it_was_due() {
    let (found, well) = tokio::task::block_in_place(|| night(None));
    assert!(well && found["faults"] == json!([]), "{}", found["faults"]);

    // 01:48 in the first of the two hours after one o'clock: 15 and 60 real minutes.
    let rungs = having(&found["rungs"], &json!({"concern": "N-15"}));
    let times = ["2026-10-25T01:53:00+01:00", "2026-10-25T01:58:00+01:00"];
    let later = ["2026-10-25T01:03:00+00:00", "2026-10-25T01:08:00+00:00"];
    assert_eq!(each(&rungs, "at"), [times, later].concat());
    assert_eq!(each(&rungs, "told"), ["deputy", "out_of_hours", "senior", "deputy"]);
    assert_eq!(each(&rungs, "offered_to"), ["nhs-upland/duty", TEAM, "", ""]);
    let standing = having(&found["standing"], &json!({"concern": "N-15"}))[0];
    assert_eq!(standing["acknowledge_by"], "2026-10-25T01:03:00+00:00");
    assert_eq!(standing["decide_by"], "2026-10-25T01:48:00+00:00");
    assert_eq!(standing["addressed"], PAEDIATRICS);
    assert_eq!((&standing["inbox"], &standing["state"]), (&json!(TEAM), &json!("closed")));
    let told = having(&found["told"], &json!({"concern": "N-15"}));
    let last: Vec<_> =
        each(&told, "what").into_iter().filter(|it| !it.contains("notice")).collect();
    assert_eq!(last[4], "rung on 0131 496 0715 by the manager on call; the number was read back");
    assert_eq!(last[5], "acknowledged it");
    assert_eq!(last[7], "decided: emergency action");
    assert!(last[8].starts_with("told what was decided by out-of-hours social worker"));

    // Calendars: the surgery opens on Monday, the school on Tuesday, after an in-service day.
    let due = |concern: &str, addressed: &str| {
        let found =
            having(&found["standing"], &json!({"concern": concern, "addressed": addressed}));
        found[0]["acknowledge_by"].as_str().unwrap().to_owned()
    };
    assert_eq!(due("N-05", "gp-ardness/duty"), "2026-10-27T09:00:00+00:00");
    assert_eq!(due("N-04", "hv-ardness/named-person"), "2026-10-26T13:00:00+00:00");
    assert_eq!(due("N-01", "school-ardness/named-person"), "2026-10-27T15:10:00+00:00");
    assert_eq!(due("N-16", "school-ardness/named-person"), "2026-10-27T13:00:00+00:00");

    // Down from 23:20 to 23:28: what fell due meanwhile is climbed then, what was sent is accepted.
    let down = json!({"at": "2026-10-23T23:28:00+01:00"});
    let climbed = having(&found["rungs"], &down);
    assert_eq!(each(&climbed, "concern"), ["N-11", "N-06"], "the longest overdue first");
    let sent = having(&found["standing"], &json!({"concern": "N-12"}))[0];
    assert_eq!(sent["accepted"], "2026-10-23T23:28:00+01:00");

    // The dead webhook is told on Saturday of what is undone still, in order; the other was at once.
    let pager = having(&found["notices"]["pager"], &json!({"at": "2026-10-24T08:05:00+01:00"}));
    assert_eq!(each(&pager, "concern"), ["N-06", "N-07", "N-06", "N-07", "N-06", "N-07"]);
    let rung = ["deputy", "deputy", "out_of_hours", "out_of_hours", "senior", "senior"];
    assert_eq!(each(&pager, "rung"), rung);
    let (rungs, notices) = (&found["rungs"], &found["notices"]["duty-phone"]);
    let times = |list: &Value| list.as_array().unwrap().iter().map(|it| it["at"].clone()).collect();
    let (rungs, notices): (Vec<Value>, Vec<Value>) = (times(rungs), times(notices));
    assert_eq!(rungs, notices, "each rung, when it was climbed");

    assert_eq!(found["deliveries"], 19);
    assert_eq!((&found["closed"], &found["open"]), (&json!(16), &json!(3)));
    assert_eq!(found["receipts_verified"], found["concerns"]);
    assert_eq!(found["ledger"]["verified"], true);
}

/// A night that does not come to what its pack says is not well, and says in what.
#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_is_not_as_expected_does_not_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let pack = repository("tests/packs/night");
    fs::copy(pack.join("agencies.json"), folder.path().join("agencies.json")).unwrap();
    let script = fs::read_to_string(pack.join("night.jsonl")).unwrap();
    // The begin, the first concern, and the end.
    let mut lines: Vec<_> = script.lines().collect();
    let few = [lines[0], lines[1], lines.pop().unwrap()].join("\n");
    fs::write(folder.path().join("night.jsonl"), few).unwrap();
    let expected = json!({"exactly": {"closed": 1, "open": 0}});
    fs::write(folder.path().join("expected.json"), expected.to_string()).unwrap();
    let (found, well) = tokio::task::block_in_place(|| night(Some(folder.path())));
    assert!(!well);
    assert_eq!(found["faults"], json!(["closed: 0, not 1", "open: 1, not 0"]));
    assert_eq!(found["rungs"], json!([]), "it is due on Tuesday at ten past three");
}
