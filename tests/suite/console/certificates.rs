//! Whose certificate ends soon, as the people see it who must have it renewed.

use std::{fs, time::Duration};

use cairn::{
    clock::Clock,
    identity::Validity,
    proto::{self, GetSummaryRequest, directory_change::Change},
    server::founding::validity,
    wire::client::{Client, folder::SystemFolder},
};
use tonic::{Code, Status};

use super::{on_call, world};
use crate::{
    process::fetch,
    support::{EXCHANGE, World},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An agency's system renews its certificate, for so many days from now, and connects.
async fn connects_for(world: &World, agency: &str, days: u32) {
    shows(world, agency, "system", days).await.unwrap();
}

/// A connection with a certificate of this system, and what its first call is answered.
async fn shows(world: &World, agency: &str, system: &str, days: u32) -> Result<(), Status> {
    let folder = world.agency(agency).folder().path();
    let (from, system) = (agency.parse().unwrap(), system.parse().unwrap());
    let now = world.clock.now();
    let end = now.after(DAY * days).seconds();
    let valid = Validity { not_after_unix: end, ..validity(now) };
    let issued = world.ca.issue_client(&EXCHANGE.parse().unwrap(), &from, &system, valid).unwrap();
    fs::write(folder.join("tls.pem"), &issued.certificate_pem).unwrap();
    fs::write(folder.join("tls.key"), issued.key_pem.as_bytes()).unwrap();
    let client = Client::new(SystemFolder::open(folder).unwrap()).unwrap();
    client.status().get_summary(GetSummaryRequest {}).await.map(drop)
}

/// What a page says of a system after its name.
fn said(page: &str, name: &str) -> Option<String> {
    let at = page.find(&format!("{name}</a>: ")).or_else(|| page.find(&format!("<li>{name}: ")))?;
    Some(page[at..].split("</li>").next().unwrap().to_owned())
}

fn ending(world: &World) -> String {
    let page = fetch(world.metrics().unwrap(), "/metrics");
    let line = page.lines().find(|line| line.starts_with("cairn_client_certificates_ending "));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

/// I10, I12: who connects with a certificate that ends within thirty days is named, within
/// fourteen with a warning; once renewed, or suspended, no more. Metrics name nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_soon_is_named_in_time() {
    let mut world = world().await;
    world.stop().await;
    world.config.metrics = Some("127.0.0.1:0".parse().unwrap());
    world.start().await;
    let mut okafor = on_call(&world).await;
    connects_for(&world, "school", 365).await;
    let page = okafor.get("/agencies").await.text;
    assert!(!page.contains("Certificates that end soon"), "a year is long");
    let own = okafor.get("/agencies/night").await.text;
    assert!(
        said(&own, "system").unwrap().contains("not connected since this exchange was started")
    );

    let stranger = shows(&world, "police", "nobody", 5).await;
    assert_eq!(stranger.unwrap_err().code(), Code::PermissionDenied);
    connects_for(&world, "police", 10).await;
    connects_for(&world, "social-work", 20).await;
    let page = okafor.get("/agencies").await.text;
    let police = said(&page, "police/system").unwrap();
    assert!(police.contains("<strong class=\"ill\">ends ") && police.contains("in 10 days"));
    let social = said(&page, "social-work/system").unwrap();
    assert!(social.contains("in 20 days") && !social.contains("ill"), "{social}");
    assert!(page.find("police/system") < page.find("social-work/system"), "the first first");
    assert!(said(&page, "school/system").is_none());
    assert!(!page.contains("nobody"), "strangers are not remembered");
    let own = okafor.get("/agencies/police").await.text;
    assert!(said(&own, "system").unwrap().contains("in 10 days"));
    let own = okafor.get("/agencies/school").await.text;
    assert!(said(&own, "system").unwrap().contains("valid until "));
    let health = okafor.get("/health").await.text;
    assert!(health.contains("<dt>The first authority of callers' ends</dt>"), "{health}");
    assert_eq!(ending(&world), "1");

    world.clock.set(world.clock.now().after(DAY * 11));
    let mut okafor = on_call(&world).await;
    let page = okafor.get("/agencies").await.text;
    assert!(said(&page, "police/system").unwrap().contains("<strong class=\"ill\">ended "));
    assert!(said(&page, "social-work/system").unwrap().contains("<strong class=\"ill\">ends "));
    assert_eq!(ending(&world), "2");
    connects_for(&world, "police", 365).await;
    let (agency, name, roles) = ("social-work".into(), "system".into(), vec!["agency".into()]);
    let suspended = Change::System(proto::System { agency, name, roles, suspended: true });
    world.apply(suspended).await.unwrap();
    let page = okafor.get("/agencies").await.text;
    assert!(!page.contains("Certificates that end soon"), "one renewed it, one is gone");
    assert_eq!(ending(&world), "0");
    world.check().await;
}
