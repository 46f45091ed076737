//! *Log health*: whether the exchange itself is well, in words.
//!
//! Holds: I9, I12. Knows: broker, identity, policy, clock.

use std::sync::atomic::Ordering;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use maud::{Markup, html};

use crate::{
    clock::Moment,
    console::{
        answer::Page,
        frame::{self, About},
        site::Console,
        words,
    },
    ledger::checkpoint::Checkpoint,
    limits,
};

/// A certificate or list that ends within this is said to end soon.
const SOON_SECONDS: u64 = 30 * 24 * 3600;

const DAY_SECONDS: u64 = 24 * 3600;

/// One thing that can be well or not.
struct Line {
    well: bool,
    what: &'static str,
    text: String,
}

/// `GET /health`
pub(in crate::console) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Page, Page> {
    let visit = console.permitted(&headers, "StatusService/GetSummary").await?;
    let head = console.broker.tree().head();
    let summary = console.broker.summary();
    let counts = console.broker.counts();
    let main = html! {
        h1 { "Log health" }
        div data-live="health" {
            (lines(&lines_now(&console, visit.now)))
            h2 { "The ledger" }
            dl.facts {
                div { dt { "Entries" } dd { (words::grouped(head.growth.size())) } }
                div { dt { "Newest entry" } dd { (words::day_and_time(Moment(head.time))) } }
                div { dt { "Concerns accepted" } dd { (words::grouped(summary.concerns)) } }
                div { dt { "Refusals recorded" } dd { (words::grouped(summary.refusals)) } }
                div { dt { "Rungs climbed" } dd { (words::grouped(console.broker.count("escalations"))) } }
                div { dt { "Running since" } dd { (words::day_and_time(console.broker.started())) } }
                div { dt { "Written since" } dd { (words::grouped(counts.entries.load(Ordering::Relaxed))) " entries in "
                    (words::grouped(counts.batches.load(Ordering::Relaxed))) " batches" } }
                div { dt { "Witnesses" } dd {
                    @match console.broker.witnesses().asked().len() {
                        0 => "not configured",
                        count => (words::grouped(count as u64)),
                    }
                } }
            }
            (certificates(&console, visit.now))
            h2 { "Check it yourself" }
            p { "The key that signs this ledger's checkpoints. Compare it with the one you were given when you \
                joined: if it is another, stop and ask." }
            pre { (console.broker.vkey()) }
            p { "The newest checkpoint:" }
            pre { (String::from_utf8_lossy(&head.checkpoint)) }
        }
    };
    let about = About::at("/health", "Log health").live("/health");
    Ok(Page::new(StatusCode::OK, frame::page(Some(&visit), &about, main)))
}

/// The same in short, for the page of what needs somebody now.
pub(super) fn is_well(console: &Console, now: Moment) -> Markup {
    html! {
        section aria-labelledby="well" {
            h2 #well { "Is the exchange well?" }
            (lines(&lines_now(console, now)))
        }
    }
}

fn lines(all: &[Line]) -> Markup {
    html! {
        ul.health {
            @for line in all {
                li class=(if line.well { "well" } else { "ill" }) {
                    strong { (line.what) ": " (if line.well { "yes. " } else { "no. " }) } (line.text)
                }
            }
        }
    }
}

fn lines_now(console: &Console, now: Moment) -> Vec<Line> {
    let broker = &console.broker;
    let running = broker.is_running();
    let low = broker.is_low();
    let head = broker.tree().head();
    let signed = Checkpoint::open(&head.checkpoint, broker.vkey());
    let checked = signed.as_ref().is_ok_and(|signed| {
        signed.size() == head.growth.size() && signed.root() == head.growth.root()
    });
    let mut lines = vec![
        Line {
            well: running,
            what: "Accepting",
            text: match running {
                true => "What agencies send is taken, and is on disk before they have a receipt.".into(),
                false => "The ledger has stopped, so that nothing is lost: tell the operators now.".into(),
            },
        },
        Line {
            well: !low,
            what: "Room on disk",
            text: match low {
                false => "There is enough.".into(),
                true => "New concerns are put off; acknowledgements still go in. Tell the operators now.".into(),
            },
        },
        Line {
            well: checked,
            what: "Log checked",
            text: match checked {
                true => format!("Its newest checkpoint is signed, and is that of all {} entries.", words::grouped(head.growth.size())),
                false => "Its newest checkpoint does not fit its entries: tell the operators now.".into(),
            },
        },
        clock(console),
        certificate(console, now),
    ];
    lines.extend(witnessed(console, now));
    lines
}

/// Whether others have seen this history lately, where the settings name any.
fn witnessed(console: &Console, now: Moment) -> Option<Line> {
    let witnesses = console.broker.witnesses();
    if !witnesses.is_set_up() {
        return None;
    }
    let age = |at: Moment| now.seconds().saturating_sub(at.seconds());
    let cosigned = witnesses.cosigned();
    let disagreeing = witnesses.disagreeing();
    let fresh =
        cosigned.as_ref().is_some_and(|it| age(it.at) <= limits::WITNESSED_AGE_MAX.as_secs());
    let text = match (&cosigned, disagreeing) {
        (_, 1..) => {
            "A witness knows another history of this log: tell the operators and the auditors now."
                .into()
        }
        (None, _) => "Not enough witnesses have cosigned it since the start.".into(),
        (Some(cosigned), _) => format!(
            "{} entries, {} ago.",
            words::grouped(cosigned.size),
            words::span(age(cosigned.at)),
        ),
    };
    Some(Line { well: fresh && disagreeing == 0, what: "Witnessed", text })
}

fn clock(console: &Console) -> Line {
    let behind = console.broker.counts().clock_behind.load(Ordering::Relaxed) / 1_000_000_000;
    Line {
        well: behind < 2,
        what: "Clock right",
        text: match behind {
            0 | 1 => "It has not been behind the newest entry.".into(),
            behind => format!("It is {behind} seconds behind the newest entry; times wait for it."),
        },
    }
}

fn certificate(console: &Console, now: Moment) -> Line {
    let trust = &console.trust;
    let (nobody, replace) = ("nobody can connect by it", "its successor is due");
    let ends = [
        (trust.server_not_after_unix(), "The server's certificate", SOON_SECONDS, nobody),
        (trust.browsers_not_after_unix(), "This console's certificate", SOON_SECONDS, nobody),
        // TLS does not look at the end of what it trusts, but its holders' programs may.
        (
            trust.authorities_not_after_unix(),
            "An authority of callers' certificates",
            SOON_SECONDS,
            replace,
        ),
        // A list is renewed every few days as a rule.
        (
            trust.crl_next_update_unix().unwrap_or(u64::MAX),
            "The revocation list",
            DAY_SECONDS,
            nobody,
        ),
    ];
    let (first, what, soon, over) = ends.into_iter().min().unwrap_or((u64::MAX, "", 0, ""));
    let left = first.saturating_sub(now.seconds());
    Line {
        well: left > soon,
        what: "Certificates in date",
        text: match left {
            0 => format!("{what} is out of date: {over}."),
            left => format!("{what} is good for {} more.", words::span(left)),
        },
    }
}

/// When each of them ends, and how many systems have to renew theirs.
fn certificates(console: &Console, now: Moment) -> Markup {
    let trust = &console.trust;
    let day = |seconds: u64| words::day_and_time(Moment::of_seconds(seconds));
    let ending = console.broker.certificates_ending(now.after(limits::CERTIFICATE_ENDS_SOON));
    html! {
        h2 { "Certificates" }
        dl.facts {
            div { dt { "The server's ends" } dd { (day(trust.server_not_after_unix())) } }
            div { dt { "This console's ends" } dd { (day(trust.browsers_not_after_unix())) } }
            div { dt { "The first authority of callers' ends" } dd { (day(trust.authorities_not_after_unix())) } }
            @if let Some(next) = trust.crl_next_update_unix() {
                div { dt { "A new revocation list is due" } dd { (day(next)) } }
            }
            div { dt { "Systems' that end within 30 days" } dd {
                a href="/agencies" { (words::grouped(ending.len() as u64)) } } }
        }
    }
}
