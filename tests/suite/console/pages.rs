//! What the pages say: numbers that lead to lists of that length, names that stay out, text that
//! stays text.

use std::time::Duration;

use cairn::{
    clock::Clock,
    proto::{self, EntryType, QueryRequest, directory_change::Change},
    wire::client::enrol,
};
use http::StatusCode;
use serde_json::json;

use super::{on_call, world};
use crate::{
    escalation::{at_minute, sent_to_school},
    raised::some_of_each,
    support::{EXCHANGE, World, agreement, next, statements::*},
};

/// Every page there is, for a concern.
pub fn every_page(concern: u64) -> Vec<String> {
    let mut pages: Vec<String> =
        ["/", "/raised", "/find", "/agencies", "/agencies/school", "/health"]
            .into_iter()
            .chain(["/hand-over", "/help", "/deliveries?show=all", "/deliveries?show=overdue"])
            .map(str::to_owned)
            .collect();
    pages.push(format!("/concerns/{concern}"));
    pages
}

/// Sends a concern of the police that is no exercise; its entry.
pub async fn live(world: &World, to: &str, urgency: &str, reference: &str) -> u64 {
    let changes = json!({"urgency": urgency, "exercise": false});
    sent(world.agency("police"), &with(concern("police", &[to], reference), changes)).await
}

/// Concerns in every state that a list tells apart: two overdue, one due soon, one on time, one
/// read, and an exercise. The first of them.
pub async fn busy(world: &World) -> u64 {
    let accepted = world.clock.now();
    let first = live(world, "school/duty", "immediate", "B-1").await;
    live(world, "school/duty", "immediate", "B-2").await;
    live(world, "school/duty", "urgent", "B-3").await;
    live(world, "school/duty", "prompt", "B-4").await;
    let told = live(world, "social-work/duty", "information", "B-5").await;
    let social = world.agency("social-work");
    assert_eq!(next(social).await.entry, told);
    say(social, told, "social-work/duty", stored()).await.unwrap();
    say(social, told, "social-work/duty", opened()).await.unwrap();
    sent_to_school(world, "immediate", "B-6").await;
    at_minute(world, accepted, 45);
    world.climb().await;
    first
}

/// I6: the sentence, the four numbers and the sum; each number leads to a list of that length.
#[tokio::test(flavor = "multi_thread")]
async fn each_number_leads_to_a_list_of_exactly_that_length() {
    let world = world().await;
    let first = busy(&world).await;
    let mut okafor = on_call(&world).await;
    let page = okafor.get("/").await;
    assert!(page.text.contains("<title>2 overdue – Cairn</title>"), "{}", page.text);
    assert!(page.text.contains("2 deliveries have waited too long."));
    assert!(page.text.contains(&format!("<a href=\"/concerns/{first}\">concern {first}</a>")));
    assert!(page.text.contains("Time to ring the senior post"), "the highest rung is said");
    let mut live = 0;
    for (show, number) in [
        ("overdue", 2),
        ("due_soon", 1),
        ("on_time", 1),
        ("nothing_due", 1),
        ("undelivered", 4),
        ("exercises", 1),
        ("all", 6),
    ] {
        let at = page.text.find(&format!("/deliveries?show={show}\">")).expect("it is linked");
        let shown = page.text[at..].split("</a>").next().unwrap();
        let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits, number.to_string(), "{show}: {shown}");
        let list = okafor.get(&format!("/deliveries?show={show}")).await;
        assert_eq!((list.status, list.rows()), (StatusCode::OK, number), "{show}");
        live += if matches!(show, "undelivered" | "all") { 0 } else { number };
    }
    assert_eq!(live, 6, "each delivery is in one list");
    assert!(page.text.contains("6 deliveries made = 0 closed + 0 taken back in time + 6 open"));
    for link in okafor.get("/agencies").await.links() {
        assert_eq!(okafor.get(&link).await.status, StatusCode::OK, "{link}");
    }
    let overdue = proto::Agreement {
        review_by: "2026-01-31".into(),
        ..agreement("all", &["police", "school", "social-work"])
    };
    let signers = ["police", "school", "social-work"].map(|agency| world.agency(agency).folder());
    let change = enrol::signed(EXCHANGE, Change::Agreement(overdue), &signers);
    world.admin.apply(change).await.unwrap();
    let agencies = okafor.get("/agencies").await;
    assert!(agencies.text.contains("to be reviewed by 2026-01-31"));
    let at_school = okafor.get("/deliveries?show=all&at=school/duty").await;
    assert_eq!(at_school.rows(), 5);
    assert_eq!(okafor.get("/deliveries?show=nonsense").await.status, StatusCode::NOT_FOUND);
    assert_eq!(okafor.get("/concerns/0").await.status, StatusCode::NOT_FOUND, "no concern");
    assert_eq!(okafor.get("/concerns/999999").await.status, StatusCode::NOT_FOUND);
    world.check().await;
}

/// I6, I12: what no deadline shows is said on the first page, each number a link to as many lines,
/// with whom to ring; what has been seen to goes away by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_deadline_shows_is_said_and_goes_away_once_it_is_seen_to() {
    let world = world().await;
    let mut okafor = on_call(&world).await;
    assert!(!okafor.get("/").await.text.contains("Also to look at"), "nothing is raised");
    some_of_each(&world).await;
    let now = okafor.get("/").await.text;
    for said in
        ["1 urgent concern</a>", "1 manifest</a>", "2 statements,", "2 concerns</a> outside any"]
    {
        assert!(now.contains(said), "{said}: {now}");
    }
    assert!(now.contains("<title>1 urgent concern refused – Cairn</title>"), "{now}");
    assert!(
        now.contains("was refused, and its sender may not know.") && now.contains("\"lead ill\"")
    );
    let hand_over = okafor.get("/hand-over").await.text;
    assert!(
        hand_over.contains("something else to look at") && hand_over.contains("1 manifest</a>")
    );
    let page = okafor.get("/raised").await.text;
    assert!(page.contains("data-live-page=\"/raised\"") && page.contains("data-live=\"raised\""));
    let lines = |id: &str| {
        let section = page.split(&format!("id=\"{id}\"")).nth(1).unwrap();
        section.split("</section>").next().unwrap().matches("<li").count()
    };
    assert_eq!(["refused", "missing", "reviews", "quiet"].map(lines), [1, 1, 2, 0]);
    assert!(
        page.contains("Its area names no reviewer") && page.contains("social-work/duty has until")
    );
    assert!(page.contains("unknown_recipient") && page.contains("tel:0131"));
    assert!(!page.contains("S-1") && !page.contains("Quillfeather"));
    let entry = page.split("(entry ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
    let (by, reason, request_id) = (person(), "told_by_phone".into(), vec![1; 16]);
    let settled = proto::SettleRequest { request_id, entry, by, reason };
    world.on_call.status().settle(settled).await.unwrap();
    let now = okafor.get("/").await.text;
    assert!(!now.contains("urgent concern</a>") && now.contains("lead well"), "it is seen to");
    world.check().await;
}

/// At 3 am one button says who has it, on the very page that says what needs somebody.
#[tokio::test(flavor = "multi_thread")]
async fn one_button_says_who_is_dealing_with_it() {
    let world = world().await;
    let first = busy(&world).await;
    let mut okafor = on_call(&world).await;
    let page = okafor.get("/").await;
    assert_eq!(page.text.matches("class=\"quick\"").count(), 3, "two overdue and one due soon");
    let field = |name| page.hidden_after("class=\"quick\"", name);
    let fields = ["form", "request", "addressed", "minutes"].map(|name| (name, field(name)));
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let done = okafor.post(&format!("/concerns/{first}/dealing"), &fields).await;
    assert!(done.to().is_some_and(|to| to.starts_with(&format!("/concerns/{first}?done="))));
    let page = okafor.get("/").await;
    assert!(page.text.contains("R. Okafor, duty manager is dealing with it until"));
    assert_eq!(page.text.matches("class=\"quick\"").count(), 2, "the others still need somebody");
    world.check().await;
}

/// A long list is cut into pages that say so, and together are all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_has_pages() {
    let world = world().await;
    for number in 0..61 {
        live(&world, "school/duty", "urgent", &format!("L-{number}")).await;
    }
    let mut okafor = on_call(&world).await;
    let first = okafor.get("/deliveries?show=on_time").await;
    let second = okafor.get("/deliveries?show=on_time&page=2").await;
    assert_eq!((first.rows(), second.rows()), (50, 11));
    assert!(first.text.contains("61 deliveries.") && first.text.contains("page 1 of 2"));
    assert!(second.text.contains("51 to 61 of 61"));
    assert_eq!(okafor.get("/deliveries?show=on_time&page=99").await.rows(), 11);
    world.check().await;
}

/// I11: a look at a concern is an entry that names who looked; the same look again is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_concern_leaves_a_trace() {
    let world = world().await;
    let (entry, _) = sent_to_school(&world, "urgent", "T-1").await;
    let mut okafor = on_call(&world).await;
    let looks = async || {
        let request = QueryRequest {
            concern: Some(entry),
            purpose: "a test".into(),
            ..QueryRequest::default()
        };
        let rows = world.auditor.audit().query(request).await.unwrap().into_inner().rows;
        let facts = rows.iter().map(|row| proto::decode::<proto::Facts>(&row.facts).unwrap());
        let looks = facts.filter(|facts| facts.r#type() == EntryType::Query);
        looks.filter(|facts| facts.code == "concern_page").count()
    };
    let page = format!("/concerns/{entry}");
    okafor.get(&page).await;
    okafor.get(&page).await;
    assert_eq!(looks().await, 1);
    world.clock.set(world.clock.now().after(Duration::from_secs(16 * 60)));
    okafor.get(&page).await;
    assert_eq!(looks().await, 2);
    for live in ["/", "/agencies", "/deliveries?show=all", "/help"] {
        okafor.get(live).await;
    }
    assert_eq!(looks().await, 2, "live boards are not recorded");
    world.check().await;
}

/// What others wrote stays text, on every page.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_stays_text() {
    let world = world().await;
    let hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    world
        .apply_signed(
            Change::Agency(proto::Agency {
                id: "school".into(),
                kind: "school".into(),
                name: hostile.into(),
                area: "here".into(),
            }),
            "school",
        )
        .await
        .unwrap();
    let (entry, _) = sent_to_school(&world, "immediate", hostile).await;
    let school = world.agency("school");
    next(school).await;
    say(school, entry, "school/duty", stored()).await.unwrap();
    let named = proto::Person { name: hostile.into(), post: hostile.into(), ..Default::default() };
    let act =
        proto::statement::Act::Acknowledgement(proto::Acknowledgement { person: Some(named) });
    say(school, entry, "school/duty", act).await.unwrap();
    let mut okafor = on_call(&world).await;
    for path in every_page(entry) {
        let page = okafor.get(&path).await;
        assert!(!page.text.contains("<script>") && !page.text.contains("<img"), "{path}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}");
        assert_eq!(page.headers["cache-control"], "no-store");
    }
    let page = okafor.get(&format!("/concerns/{entry}")).await;
    assert!(page.text.contains("&lt;script&gt;alert(1)"), "and it is there, as text");
    world.check().await;
}

/// The console over TLS, as it is served to others than this machine.
#[tokio::test(flavor = "multi_thread")]
async fn to_others_the_console_speaks_tls_alone() {
    let mut world = world().await;
    world.stop().await;
    let console = world.config.console.as_mut().unwrap();
    (console.in_the_clear, console.url) = (false, "https://localhost:0".into());
    world.start().await;
    let address = world.console().unwrap().replace("https://localhost", "127.0.0.1");
    let ca = world.folder.path().join("ca/ca.pem");
    let page = format!("https://localhost:{}/sign-in", address.rsplit(':').next().unwrap());
    let fetched = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "20", "--cacert"])
        .arg(ca)
        .arg(&page)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&fetched.stdout);
    assert!(text.contains("200") && text.contains("strict-transport-security: max-age="), "{text}");
    assert!(text.contains("Sign in"));
    let plain = std::process::Command::new("curl")
        .args(["--silent", "--max-time", "20", &page.replace("https", "http")])
        .output()
        .unwrap();
    assert!(!plain.status.success(), "nothing is said in the clear");
    world.check().await;
}
