//! What a person does about a delivery: says to be dealing with it, records a telephone call.
//!
//! Each is an entry that names the person, says its effect beforehand, and counts once however
//! often it is pressed: the form carries its request id. None acknowledges, decides or stops a
//! clock. It takes a passphrase of the last hour; asked for it, nothing that was filled in is lost.
//!
//! Holds: I2, I6, I8, I11. Knows: broker, identity, policy, proto, clock.

use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::civil::DateTime;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    answer::Page,
    door,
    forms::{Called, Filled},
    frame::anchor,
    pages::concern,
    site::{Console, tick},
    visit::Visit,
    words,
};
use crate::{
    broker::Error,
    clock::Moment,
    domain::refusal::Refusal,
    identity::people::{Fault, People},
    proto::{self, Person, RecordCallRequest, TakeCareRequest},
};

/// "I'm dealing with this".
#[derive(Deserialize)]
pub(super) struct Dealing {
    form: String,
    request: String,
    addressed: String,
    minutes: u64,
    #[serde(default)]
    passphrase: Option<String>,
}

/// `POST /concerns/{entry}/dealing`
pub(super) async fn dealing(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(entry): Path<u64>,
    Form(dealing): Form<Dealing>,
) -> Result<Page, Page> {
    let visit = console.posted(&headers, &dealing.form, "StatusService/TakeCare").await?;
    let minutes = dealing.minutes.to_string();
    let kept = [
        ("form", dealing.form.as_str()),
        ("request", dealing.request.as_str()),
        ("addressed", dealing.addressed.as_str()),
        ("minutes", minutes.as_str()),
    ];
    let action = format!("/concerns/{entry}/dealing");
    prove(&console, &visit, &action, &kept, dealing.passphrase.as_deref()).await?;
    let request_id = request_id(&dealing.request, &kept)?;
    // Pressed twice, it says what it said the first time.
    let said = console.said_before(&visit, &request_id);
    let said = said.and_then(|said| proto::decode::<TakeCareRequest>(&said).ok());
    let until = visit.now.seconds().saturating_add(dealing.minutes.saturating_mul(60));
    let care = TakeCareRequest {
        until: said.map_or(until, |said| said.until),
        request_id,
        concern: entry,
        addressed: dealing.addressed.clone(),
        by: Some(visit.session.person.named()),
    };
    let recorded = console.broker.take_care(&visit.session.peer, care).await;
    answered(&console, &visit, entry, recorded, Filled::default()).await
}

/// `POST /concerns/{entry}/called`
pub(super) async fn called(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(entry): Path<u64>,
    Form(call): Form<Called>,
) -> Result<Page, Page> {
    let visit = console.posted(&headers, &call.form, "StatusService/RecordCall").await?;
    let read_back = if call.read_back.is_some() { "yes" } else { "" };
    let mut kept = vec![
        ("form", call.form.as_str()),
        ("request", call.request.as_str()),
        ("addressed", call.addressed.as_str()),
        ("told_name", call.told_name.as_str()),
        ("told_post", call.told_post.as_str()),
        ("number", call.number.as_str()),
        ("at", call.at.as_str()),
    ];
    kept.extend((!read_back.is_empty()).then_some(("read_back", read_back)));
    let action = format!("/concerns/{entry}/called");
    prove(&console, &visit, &action, &kept, call.passphrase.as_deref()).await?;
    let request_id = request_id(&call.request, &kept)?;
    let said = console.said_before(&visit, &request_id);
    let said = said.and_then(|said| proto::decode::<RecordCallRequest>(&said).ok());
    let at = match call.at.trim() {
        "" => Ok(said.map_or(visit.now.seconds(), |said| said.at)),
        text => clock_time(text).ok_or("Type when it was as on a clock, such as 2026-10-24T02:10."),
    };
    let at = match at {
        Ok(at) => at,
        Err(problem) => {
            let field = format!("#{}-at", anchor(&call.addressed));
            let filled =
                Filled { problem: Some(problem.into()), field, done: None, call: Some(call) };
            let bad = StatusCode::UNPROCESSABLE_ENTITY;
            return concern::shown(&console, &visit, entry, bad, &filled).await;
        }
    };
    let told = Person {
        name: call.told_name.trim().to_owned(),
        post: call.told_post.trim().to_owned(),
        ..Person::default()
    };
    let record = RecordCallRequest {
        request_id,
        concern: entry,
        addressed: call.addressed.clone(),
        by: Some(visit.session.person.named()),
        told: Some(told),
        number: call.number.trim().to_owned(),
        at,
        read_back: call.read_back.is_some(),
    };
    let recorded = console.broker.record_call(&visit.session.peer, record).await;
    let filled = Filled { call: Some(call), ..Filled::default() };
    answered(&console, &visit, entry, recorded, filled).await
}

/// Whether the person may act now. If not, the page that asks for the passphrase stands in the
/// place of the answer, with all that was filled in.
async fn prove(
    console: &Console,
    visit: &Visit,
    action: &str,
    kept: &[(&str, &str)],
    passphrase: Option<&str>,
) -> Result<(), Page> {
    if visit.session.may_act(visit.now) {
        return Ok(());
    }
    let Some(passphrase) = passphrase else {
        return Err(door::again_page(visit, action, kept, None));
    };
    let (session, typed, now) = (visit.session.clone(), passphrase.to_owned(), visit.now);
    let acting = console.clone();
    // To its end, also if the person hangs up: what changed is recorded.
    let proved = door::to_its_end(async move {
        let proving = {
            let session = session.clone();
            move |people: &People| people.sign_in_again(&session, &typed, now)
        };
        acting.stretched(&acting.signed_in, proving).await?;
        let (peer, access) = (&session.peer, session.person.access());
        Ok(acting.broker.record_access(peer, "signed_in_again", &access).await.map(|_| ()))
    })
    .await;
    let problem = match proved {
        Ok(recorded) => return recorded.map_err(|error| Page::trouble(&error)),
        Err(Fault::Wrong) => {
            tick(&console.tally.wrong);
            console.refused(&visit.session, Refusal::NotPermitted).await;
            "The passphrase is wrong.".to_owned()
        }
        Err(Fault::Wait(time)) => {
            let wait = words::wait(time);
            format!("There were too many wrong passphrases. Wait {wait}, then try again.")
        }
        Err(fault) => return Err(Page::trouble(&Error::Broken(fault.to_string()))),
    };
    Err(door::again_page(visit, action, kept, Some(&problem)))
}

/// The page after a deed: what was done, or what is wrong.
async fn answered(
    console: &Console,
    visit: &Visit,
    entry: u64,
    recorded: Result<(u64, bool), Error>,
    filled: Filled,
) -> Result<Page, Page> {
    match recorded {
        Ok((deed, _)) => Ok(Page::to(&format!("/concerns/{entry}?done={deed}"))),
        Err(Error::Refused(refusal)) => {
            let call = filled.call.as_ref();
            let field = call.map_or_else(
                || "#main".to_owned(),
                |call| format!("#{}-{}", anchor(&call.addressed), field_of(&refusal)),
            );
            let filled = Filled { problem: Some(in_words(&refusal)), field, done: None, ..filled };
            let bad = StatusCode::UNPROCESSABLE_ENTITY;
            concern::shown(console, visit, entry, bad, &filled).await
        }
        Err(error) => Err(Page::trouble(&error)),
    }
}

/// Which field of the form a refusal is about.
fn field_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::FieldInvalid { field: "number", .. } => "number",
        Refusal::FieldInvalid { field: "at", .. } => "at",
        _ => "told-name",
    }
}

/// A refusal as a person at the console should read it.
fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::PersonRequired => "Give the name and the post of whoever you told.".to_owned(),
        Refusal::FieldInvalid { field: "number", .. } => {
            "Give the number that you rang.".to_owned()
        }
        Refusal::FieldInvalid { field: "at", .. } => "The call cannot be in the future.".to_owned(),
        Refusal::FieldInvalid { field: "until", .. } => {
            "Say for how long: at most 12 hours.".to_owned()
        }
        refusal => format!("{}. {}", refusal.sentence(), refusal.what_to_do()),
    }
}

/// The request id of a deed: the chance that its form was given, and all that was filled in. The
/// same once more is the same deed; anything else is another.
fn request_id(chance: &str, kept: &[(&str, &str)]) -> Result<Vec<u8>, Page> {
    if URL_SAFE_NO_PAD.decode(chance).is_ok_and(|bytes| bytes.len() == 32) {
        let mut digest = Sha256::new().chain_update("cairn/deed/v1");
        for (name, value) in kept {
            for part in [name, value] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        return Ok(digest.finalize().to_vec());
    }
    Err(Page::trouble(&Error::Refused(Box::new(Refusal::NotFromOurPage))))
}

impl Console {
    /// What this person's agency said under a request id before.
    fn said_before(&self, visit: &Visit, request_id: &[u8]) -> Option<Vec<u8>> {
        let agency = visit.session.person.agency.as_str();
        let entry = self.broker.entry_of_request(agency, request_id)?;
        Some(self.broker.record(entry).ok()?.detail)
    }
}

/// A time on a clock in the United Kingdom; of the hour that comes twice, the first.
fn clock_time(text: &str) -> Option<u64> {
    let local: DateTime = text.parse().ok()?;
    let zoned = Moment(0).in_london().time_zone().to_ambiguous_zoned(local).compatible().ok()?;
    u64::try_from(zoned.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_the_clock_is_read_as_in_the_united_kingdom() {
        assert_eq!(clock_time("2026-10-24T02:10"), Some(1_792_804_200));
        assert_eq!(clock_time("2026-12-24T02:10"), Some(1_798_078_200));
        assert_eq!(clock_time("yesterday"), None);
    }

    #[test]
    fn the_same_form_filled_in_alike_is_the_same_deed() {
        let chance = "A".repeat(43);
        let id = |chance: &str, minutes| request_id(chance, &[("minutes", minutes)]).ok();
        assert_eq!(id(&chance, "30"), id(&chance, "30"));
        assert_ne!(id(&chance, "30"), id(&chance, "60"));
        assert!(id("short", "30").is_none() && id("", "30").is_none());
    }
}
