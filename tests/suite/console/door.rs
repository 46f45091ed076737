//! Who gets in, and who does not.

use std::time::Duration;

use cairn::{
    clock::{Clock, Moment},
    limits,
    proto::{self, EndPersonAccessRequest, EntryType, Facts, directory_change::Change},
    store::journal::{JournalReader, Scanned},
};
use http::{Method, StatusCode};

use super::{PASSPHRASE, access, invite, on_call, person::Person, world};
use crate::{
    escalation::sent_to_school,
    support::{World, code},
};

/// The facts of all entries of a kind.
fn recorded(world: &World, kind: EntryType) -> Vec<Facts> {
    let reader = JournalReader::open_read_only(&world.data().journal()).unwrap();
    let size = reader.published().unwrap().size;
    let facts = reader.scan(0, size).filter_map(|scanned| match scanned.unwrap() {
        Scanned::Entry { record, .. } => Some(proto::decode::<Facts>(&record.facts).unwrap()),
        Scanned::Batch { .. } => None,
    });
    facts.filter(|facts| facts.r#type() == kind).collect()
}

fn codes(world: &World, kind: EntryType) -> Vec<String> {
    recorded(world, kind).into_iter().map(|facts| facts.code).collect()
}

/// I2, I11: by invitation alone, once; and each step is an entry. A restart signs nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_comes_in_and_stays_in_over_a_restart() {
    let mut world = world().await;
    let link = invite(&world, access(&world, "okafor", "on-call")).await.unwrap();
    let mut okafor = Person::at(world.console().unwrap());
    let page = okafor.get("/concerns/7").await;
    assert_eq!(page.to(), Some("/sign-in?to=/concerns/7"), "a stranger is asked to sign in");
    okafor.join(&link).await;
    assert_eq!(okafor.get("/").await.status, StatusCode::OK);

    let mut second = Person::at(world.console().unwrap());
    let path = link.strip_prefix(&second.base).unwrap().to_owned();
    assert_eq!(second.get(&path).await.status, StatusCode::GONE, "a link is good once");
    let page =
        second.post("/sign-in", &[("name", "okafor"), ("passphrase", "a wrong one, long")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text.contains("The name or the passphrase is wrong."));
    let right = [("name", "okafor"), ("passphrase", PASSPHRASE), ("to", "/concerns/7")];
    assert_eq!(second.post("/sign-in", &right).await.to(), Some("/concerns/7"));
    let elsewhere = [("name", "okafor"), ("passphrase", PASSPHRASE), ("to", "//evil.example/")];
    assert_eq!(second.clone().post("/sign-in", &elsewhere).await.to(), Some("/"));

    world.stop().await;
    world.start().await;
    okafor.base = world.console().unwrap().to_owned();
    let page = okafor.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    let form = page.hidden_after("/sign-out", "form");
    assert_eq!(okafor.post("/sign-out", &[("form", &form)]).await.to(), Some("/sign-in"));
    assert_eq!(okafor.get("/").await.to(), Some("/sign-in"));
    let steps = codes(&world, EntryType::ConsoleAccess);
    assert_eq!(steps, ["invited", "joined", "signed_in", "signed_in", "signed_out"]);
    world.check().await;
}

/// I2: nobody is invited to what is not there, nor by whom may not.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_names_a_system_that_may_look_and_an_end() {
    let world = world().await;
    let with = |change: fn(&mut proto::ConsoleAccess)| {
        let mut access = access(&world, "okafor", "on-call");
        change(&mut access);
        access
    };
    for wrong in [
        with(|access| access.system = "admin".into()),
        with(|access| access.system = "nobody".into()),
        with(|access| access.until = 1),
        with(|access| access.until += 500 * 24 * 3600),
        with(|access| access.sign_in = "R. Okafor".into()),
    ] {
        assert_eq!(code(invite(&world, wrong).await), "field_invalid");
    }
    let nameless = with(|access| access.person = None);
    assert_eq!(code(invite(&world, nameless).await), "person_required");
    let request = proto::InvitePersonRequest { access: Some(access(&world, "x", "on-call")) };
    let asked = world.on_call.directory_service().invite_person(request).await;
    assert_eq!(code(asked.map_err(Into::into)), "not_permitted");
    world.check().await;
}

/// I2, I11: an expired link, a person whose time is over or was ended, a system whose role went.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_no_longer_come_in_is_refused_and_that_is_recorded() {
    let world = world().await;
    let late = invite(&world, access(&world, "late", "on-call")).await.unwrap();
    let mut okafor = on_call(&world).await;
    world.clock.set(world.clock.now().after(limits::LINK_TIME_MAX));
    let mut stranger = Person::at(world.console().unwrap());
    let page = stranger.get(late.strip_prefix(&stranger.base).unwrap()).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.text.contains("The link has expired."));
    assert_eq!(codes(&world, EntryType::Refusal), ["link_expired"]);
    assert_eq!(okafor.get("/").await.to(), Some("/sign-in"), "a session of twelve hours is over");
    let right = [("name", "okafor"), ("passphrase", PASSPHRASE)];
    assert_eq!(okafor.post("/sign-in", &right).await.to(), Some("/"));

    // A role that goes takes everybody with it who spoke for the system.
    let system = |roles: &[&str]| {
        Change::System(proto::System {
            agency: "operator".into(),
            name: "on-call".into(),
            roles: roles.iter().map(ToString::to_string).collect(),
            suspended: false,
        })
    };
    world.apply(system(&["auditor"])).await.unwrap();
    assert_eq!(okafor.get("/find").await.status, StatusCode::NOT_FOUND);
    world.apply(system(&["on_call"])).await.unwrap();
    assert_eq!(okafor.get("/").await.status, StatusCode::OK);

    let request = EndPersonAccessRequest { sign_in: "okafor".into() };
    world.admin.directory_service().end_person_access(request).await.unwrap();
    assert_eq!(okafor.get("/").await.to(), Some("/sign-in"));
    assert_eq!(okafor.post("/sign-in", &right).await.status, StatusCode::FORBIDDEN);
    assert_eq!(codes(&world, EntryType::Refusal), ["link_expired", "not_permitted"]);
    world.check().await;
}

/// I2, I11: a cookie of another role, a form of another site, of another session, or of nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_cookie_and_a_form_that_is_not_ours_do_nothing_and_are_recorded() {
    let world = world().await;
    let (entry, _) = sent_to_school(&world, "immediate", "X-1").await;
    let mut okafor = on_call(&world).await;
    let link = invite(&world, access(&world, "reviewer", "auditor")).await.unwrap();
    let mut reviewer = Person::at(world.console().unwrap());
    reviewer.join(&link).await;

    let concern = format!("/concerns/{entry}");
    let dealing = format!("/concerns/{entry}/dealing");
    let page = okafor.get(&concern).await;
    let field = |name| page.hidden_after("/dealing", name);
    let (form, request) = (field("form"), field("request"));
    let posted = |form: &str| {
        [("form", form), ("request", &*request), ("addressed", "school/duty"), ("minutes", "30")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let size = world.size().await;
    let attempt = async |who: &mut Person, headers: &[(&str, &str)], form: &str| {
        let fields = posted(form);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        who.ask(Method::POST, &dealing, headers, Some(&fields)).await.status
    };
    let ours = [("sec-fetch-site", "same-origin")];
    // A reviewer's cookie, with the form of the page or without: as if there were nothing there.
    assert_eq!(attempt(&mut reviewer, &ours, &form).await, StatusCode::NOT_FOUND);
    assert_eq!(reviewer.get(&concern).await.status, StatusCode::NOT_FOUND);
    assert_eq!(reviewer.get("/").await.to(), Some("/health"), "a reviewer begins elsewhere");
    assert_eq!(reviewer.get("/health").await.status, StatusCode::OK);
    // Another site's form with the right cookie; a form of another session; an old browser's.
    let forbidden = StatusCode::FORBIDDEN;
    assert_eq!(attempt(&mut okafor, &[("sec-fetch-site", "cross-site")], &form).await, forbidden);
    assert_eq!(attempt(&mut okafor, &[("sec-fetch-site", "same-site")], &form).await, forbidden);
    assert_eq!(attempt(&mut okafor, &[("origin", "http://evil.example")], &form).await, forbidden);
    assert_eq!(attempt(&mut okafor, &ours, "another").await, forbidden);
    assert_eq!(attempt(&mut okafor, &ours, "").await, forbidden);
    // Nobody's.
    let mut nobody = Person::at(world.console().unwrap());
    assert_eq!(attempt(&mut nobody, &ours, &form).await, StatusCode::SEE_OTHER);
    let mut refused = codes(&world, EntryType::Refusal);
    refused.sort();
    assert_eq!(refused, ["not_from_our_page", "not_permitted"], "identical ones of a person once");
    assert_eq!(world.size().await, size + 2, "and nothing else was recorded");
    // Another person's is another.
    let link = invite(&world, access(&world, "second", "on-call")).await.unwrap();
    let mut second = Person::at(world.console().unwrap());
    second.join(&link).await;
    assert_eq!(attempt(&mut second, &ours, &form).await, forbidden);
    assert_eq!(codes(&world, EntryType::Refusal).len(), 3);
    assert!(codes(&world, EntryType::TakenCareOf).is_empty());

    // The right one is done, and pressed again, or replayed, done once.
    assert_eq!(attempt(&mut okafor, &ours, &form).await, StatusCode::SEE_OTHER);
    assert_eq!(attempt(&mut okafor, &ours, &form).await, StatusCode::SEE_OTHER);
    assert_eq!(recorded(&world, EntryType::TakenCareOf).len(), 1);
    // For another time, it is another deed.
    let other =
        [("form", &*form), ("request", &*request), ("addressed", "school/duty"), ("minutes", "60")];
    assert_eq!(okafor.post(&dealing, &other).await.status, StatusCode::SEE_OTHER);
    assert_eq!(recorded(&world, EntryType::TakenCareOf).len(), 2);
    world.check().await;
}

/// I2: looking goes on for twelve hours, acting for one; then the passphrase is asked for once
/// more, and nothing that was filled in is lost.
#[tokio::test(flavor = "multi_thread")]
async fn acting_takes_a_passphrase_of_the_last_hour_and_loses_nothing() {
    let world = world().await;
    let (entry, _) = sent_to_school(&world, "urgent", "X-2").await;
    let mut okafor = on_call(&world).await;
    let page = okafor.get(&format!("/concerns/{entry}")).await;
    let (form, request) =
        (page.hidden_after("/called", "form"), page.hidden_after("/called", "request"));
    world.clock.set(world.clock.now().after(Duration::from_secs(2 * 3600)));
    let called = format!("/concerns/{entry}/called");
    let mut fields = vec![
        ("form", form.as_str()),
        ("request", request.as_str()),
        ("addressed", "school/duty"),
        ("told_name", "M. <b>Bright</b> & \"Co\""),
        ("told_post", "head teacher"),
        ("number", "0131 496 0123"),
        ("at", ""),
        ("read_back", "yes"),
    ];
    let page = okafor.post(&called, &fields).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Confirm that it is you"));
    assert_eq!(
        page.hidden_after("/called", "told_name"),
        "M. &lt;b&gt;Bright&lt;/b&gt; &amp; &quot;Co&quot;"
    );
    assert_eq!(page.hidden_after("/called", "read_back"), "yes");
    assert!(recorded(&world, EntryType::ToldByPhone).is_empty());

    fields.push(("passphrase", "not the right one"));
    assert_eq!(okafor.post(&called, &fields).await.status, StatusCode::FORBIDDEN);
    fields.pop();
    fields.push(("passphrase", PASSPHRASE));
    let page = okafor.post(&called, &fields).await;
    let after = page.to().unwrap().to_owned();
    assert!(after.starts_with(&format!("/concerns/{entry}?done=")), "{after}");
    assert_eq!(recorded(&world, EntryType::ToldByPhone).len(), 1);
    let page = okafor.get(&after).await;
    assert!(page.text.contains("Recorded: they were told by telephone."));
    let page = okafor.get(&format!("/concerns/{entry}?done=1")).await;
    assert!(!page.text.contains("Recorded:"), "only what was done is said to be");
    let page = okafor.get(&after).await;
    assert!(page.text.contains("M. &lt;b&gt;Bright&lt;/b&gt; &amp; &quot;Co&quot;, head teacher"));

    // What is missing or wrong is said, beside what was filled in.
    let page = okafor.get(&format!("/concerns/{entry}")).await;
    let fresh = page.hidden_after("/called", "request");
    let wrong = [
        ("form", form.as_str()),
        ("request", &fresh),
        ("addressed", "school/duty"),
        ("told_name", " "),
        ("told_post", "janitor"),
        ("number", "0131 496 0123"),
        ("at", ""),
    ];
    let page = okafor.post(&called, &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("Give the name and the post of whoever you told."));
    assert!(page.text.contains("value=\"janitor\""));
    assert!(page.text.contains("<title>Error: Concern"));
    let future = Moment::of_seconds(world.clock.now().seconds() + 86_400);
    let future = future.in_london().strftime("%Y-%m-%dT%H:%M").to_string();
    let mut late = wrong;
    (late[3].1, late[6].1) = ("M. Bright", &future);
    let page = okafor.post(&called, &late).await;
    assert!(page.text.contains("The call cannot be in the future."));
    assert_eq!(recorded(&world, EntryType::ToldByPhone).len(), 1);
    world.check().await;
}

/// I10: guessing waits, and a form that is too large or a page too many are refused.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_has_to_wait_and_large_forms_are_refused() {
    let world = world().await;
    on_call(&world).await;
    let mut guesser = Person::at(world.console().unwrap());
    let wrong = [("name", "okafor"), ("passphrase", "guess")];
    for _ in 0..limits::WRONG_PASSPHRASES_MAX {
        assert_eq!(guesser.post("/sign-in", &wrong).await.status, StatusCode::FORBIDDEN);
    }
    let page = guesser.post("/sign-in", &wrong).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.text.contains("Wait 31 seconds"), "{}", page.text);
    let large = "x".repeat(limits::FORM_BYTES_MAX);
    let page = guesser.post("/sign-in", &[("name", &large), ("passphrase", "x")]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(page.text.contains("This was not understood"));
    let cross = guesser
        .ask(Method::POST, "/sign-in", &[("sec-fetch-site", "cross-site")], Some(&wrong))
        .await;
    assert_eq!(cross.status, StatusCode::FORBIDDEN, "nobody is signed in by another site");
    world.check().await;
}
