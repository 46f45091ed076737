//! The alert rules, by the operators' own tool: sound, tested, explained, and about metrics that
//! a live exchange has.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use cairn::clock::Moment;
use serde_json::json;

use crate::{
    escalation::ladder,
    process::fetch,
    support::{World, launch, repository, statements::*},
};

const RULES: &str = "deploy/alerts.yaml";
const TESTS: &str = "tests/alerts/alerts.test.yaml";

fn promtool(arguments: &[&str], file: &Path) {
    let ran = launch::output(Command::new("promtool").args(arguments).arg(file));
    let ran = ran.expect("promtool of Debian's package `prometheus` is there");
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// The names after a word at the beginning of a line.
fn after<'a>(text: &'a str, word: &str) -> BTreeSet<&'a str> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(word)).map(str::trim).collect()
}

#[test]
fn every_alert_is_tested_firing_and_quiet_and_has_its_entry_in_the_runbook() {
    promtool(&["check", "rules"], &repository(RULES));
    promtool(&["test", "rules"], &repository(TESTS));
    let (rules, tests, runbook) = (read(RULES), read(TESTS), read("deploy/RUNBOOK.md"));
    let alerts = after(&rules, "alert:");
    assert!(alerts.len() > 5);
    assert_eq!(alerts, after(&runbook, "### "), "one entry each");
    for alert in alerts {
        let cases: Vec<&str> = tests.split(&format!("alertname: {alert}\n")).skip(1).collect();
        let quiet = cases.iter().filter(|case| case.trim_start().starts_with("exp_alerts: []"));
        assert_eq!((quiet.count(), cases.len() >= 2), (1, true), "{alert}");
        let link = format!("runbook_url: deploy/RUNBOOK.md#{}", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} links its entry");
    }
}

/// What the rules ask for is what an exchange says, and how it says it suits Prometheus.
#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_that_alerts_ask_for_are_there_and_count_what_waits() {
    let mut world = ladder().await;
    world.stop().await;
    world.config.metrics = Some("127.0.0.1:0".parse().unwrap());
    world.start().await;
    let live = json!({"urgency": "immediate", "exercise": null});
    let document = with(concern("police", &["school/duty"], "M-1"), live);
    let entry = sent(world.agency("police"), &document).await;
    let exercise = json!({"urgency": "immediate"});
    let rehearsed = with(concern("police", &["school/duty"], "M-2"), exercise);
    sent(world.agency("police"), &rehearsed).await;

    let page = page(&world);
    let file = world.folder.path().join("metrics");
    fs::write(&file, &page).unwrap();
    // It reads its standard input.
    let mut check = Command::new("sh");
    check.arg("-c").arg("promtool check metrics < \"$0\"").arg(&file);
    let checked = launch::output(&mut check).unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&said));
    let shown = dashboard();
    assert!(shown.len() > 15);
    for name in asked(&read(RULES)).into_iter().chain(shown) {
        assert!(page.contains(&format!("# TYPE {name} ")), "{name} is nowhere on the page");
    }
    let waiting = |page: &str, state| count(page, "cairn_deliveries_waiting", "immediate", state);
    assert_eq!((waiting(&page, "on_time"), waiting(&page, "overdue")), (1, 0), "no exercises");
    assert_eq!(count(&page, "cairn_reconciliation_gap", "", ""), 0);

    let now = world.clock.as_ref();
    let later = cairn::clock::Clock::now(now).0 + 16 * 60 * 1_000_000_000;
    world.clock.set(Moment(later));
    assert_eq!(waiting(&self::page(&world), "overdue"), 1);
    let climbed = async {
        while count(&self::page(&world), "cairn_deliveries_escalated", "immediate", "senior") == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::process::PATIENCE, climbed).await.expect("the ladder is climbed");
    assert_eq!(count(&self::page(&world), "cairn_reconciliation_gap", "", ""), 0);
    let school = world.agency("school");
    for act in [stored(), acknowledged()] {
        say(school, entry, "school/duty", act).await.unwrap();
    }
    let nobody = count(&self::page(&world), "cairn_deliveries_escalated", "immediate", "senior");
    assert_eq!(nobody, 0, "somebody has acted, and the decision is not late");
    world.check().await;
}

fn page(world: &World) -> String {
    let answer = fetch(world.metrics().unwrap(), "/metrics");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The metrics that Grafana's dashboard asks for.
fn dashboard() -> BTreeSet<String> {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.map(|target| format!("expr: {}", target["expr"].as_str().unwrap()));
    asked(&expressions.collect::<Vec<_>>().join("\n"))
}

/// The metrics of our own that rules name.
fn asked(rules: &str) -> BTreeSet<String> {
    let expressions = rules.lines().filter(|line| line.trim_start().starts_with("expr:"));
    let words = expressions.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter(|word| word.starts_with("cairn_")).map(str::to_owned).collect()
}

/// The value of a metric, with these among its labels.
fn count(page: &str, name: &str, urgency: &str, code: &str) -> i64 {
    let is_it = |line: &&str| {
        let labelled = urgency.is_empty() || line.contains(&format!("urgency=\"{urgency}\""));
        let coded = code.is_empty() || line.contains(&format!("=\"{code}\""));
        line.starts_with(name) && labelled && coded
    };
    page.lines().find(is_it).expect(name).rsplit(' ').next().unwrap().parse().unwrap()
}
