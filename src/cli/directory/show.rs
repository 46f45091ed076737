//! The directory as this client has judged it: every signature checked again here.
//!
//! Knows: directory, proto.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Speaker,
    known::{Known, day, fingerprint, id_text},
    print,
};
use crate::{
    cli::{Output, moment::until},
    clock::Moment,
    crypto::SealingPublicKey,
    proto::{self, SealingKey},
    wire::client,
};

/// Show the directory, judged change by change by this client
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn directory show -o json --system systems/school-a\n  \
    cairn directory show --at 2026-10-24 --system systems/school-a")]
pub(super) struct Show {
    #[command(flatten)]
    speaker: Speaker,
    /// As it was then: RFC 3339, or at the end of a day in Europe/London [default: now]
    #[arg(long, value_name = "TIME", value_parser = until)]
    at: Option<u64>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let at = self.at.map(Moment);
        let known = Known::read_until(&client, at).await?;
        let now = at.unwrap_or_else(client::now);
        match self.output {
            Output::Json => print::json(&as_json(&known, now))?,
            Output::Text => text(&known, now)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(known: &Known, now: Moment) -> anyhow::Result<()> {
    let (exchange, as_of) = (known.directory.exchange(), known.directory.as_of());
    print::line(format_args!("{exchange}, before entry {as_of}; every change judged here"))?;
    let areas = known.areas.values().map(|area| {
        let senior = format!("{} {}", area.senior_post, area.senior_phone);
        [&area.id, &area.catch_all, &area.out_of_hours, &senior].map(String::clone).to_vec()
    });
    print::table(&["area", "catch-all", "out of hours", "senior"], areas)?;
    let agencies = known.agencies.values().map(|agency| {
        [&agency.id, &agency.kind, &agency.name, &agency.area].map(String::clone).to_vec()
    });
    print::table(&["agency", "kind", "name", "area"], agencies)?;
    let inboxes = known.inboxes.values().map(|inbox| {
        let key = sealing_key(known, &inbox.id, now).unwrap_or_else(|| "none".into());
        let mut standing = Vec::new();
        if inbox.retired {
            standing.push("retired".to_owned());
        }
        if !inbox.closed_on.is_empty() {
            standing.push(format!("closed {}", inbox.closed_on.join(", ")));
        }
        standing.extend(inbox.own_times.iter().map(|own| {
            let proto::OwnTime { urgency, acknowledge_minutes, decide_minutes } = own;
            format!("{urgency}={acknowledge_minutes}/{decide_minutes} min")
        }));
        let row = [&inbox.id, &inbox.phone, &inbox.calendar, &inbox.deputy, &key];
        row.map(String::clone).into_iter().chain([standing.join("; ")]).collect()
    });
    print::table(&["inbox", "telephone", "calendar", "deputy", "sealing key", ""], inboxes)?;
    let systems = known.systems.values().map(|system| {
        let standing = if system.suspended { "suspended" } else { "" };
        let name = format!("{}/{}", system.agency, system.name);
        vec![name, system.roles.join(", "), standing.to_owned()]
    });
    print::table(&["system", "may do", ""], systems)?;
    let keys = known.signing_keys.iter().map(|(id, key)| {
        let name = format!("{}/{}", key.agency, key.system);
        let standing = known.standing(id, now).to_owned();
        vec![name, id.to_string(), day(key.valid_from), standing, fingerprint(&key.public_key)]
    });
    print::table(&["signing key of", "id", "from", "", "fingerprint (SHA-256)"], keys)?;
    let agreements = known.agreements.values().map(|agreement| {
        let dates = format!("{} to {}", agreement.valid_from, agreement.valid_to);
        let covers =
            format!("{}; {}", agreement.classes.join(", "), agreement.lawful_bases.join(", "));
        let profiles = agreement.profiles.join(", ");
        vec![agreement.id.clone(), dates, agreement.parties.join(", "), covers, profiles]
    });
    Ok(print::table(&["agreement", "valid", "parties", "covers", "profiles"], agreements)?)
}

fn own_times(inbox: &proto::Inbox) -> Value {
    let own = inbox.own_times.iter().map(|own| {
        json!({"urgency": own.urgency, "acknowledge_minutes": own.acknowledge_minutes,
            "decide_minutes": own.decide_minutes})
    });
    own.collect()
}

fn as_json(known: &Known, now: Moment) -> Value {
    let list = |rows: Vec<Value>| Value::Array(rows);
    let areas = known.areas.values().map(|area| {
        json!({"id": area.id, "catch_all": area.catch_all, "out_of_hours": area.out_of_hours,
            "reviewer": area.reviewer,
            "senior": {"post": area.senior_post, "phone": area.senior_phone}})
    });
    let agencies = known.agencies.values().map(|agency| {
        json!({"id": agency.id, "kind": agency.kind, "name": agency.name, "area": agency.area})
    });
    let inboxes = known.inboxes.values().map(|inbox| {
        json!({"id": inbox.id, "phone": inbox.phone, "calendar": inbox.calendar,
            "deputy": inbox.deputy, "retired": inbox.retired, "closed_on": inbox.closed_on,
            "own_times": own_times(inbox),
            "sealing_key": sealing_key(known, &inbox.id, now)})
    });
    let systems = known.systems.values().map(|system| {
        json!({"agency": system.agency, "name": system.name, "roles": system.roles,
            "suspended": system.suspended})
    });
    let signing_keys = known.signing_keys.iter().map(|(id, key)| {
        json!({"agency": key.agency, "system": key.system, "id": id.to_string(),
            "valid_from": key.valid_from, "valid_to": key.valid_to,
            "predecessor": id_text(&key.predecessor), "standing": known.standing(id, now),
            "fingerprint": fingerprint(&key.public_key)})
    });
    let sealing_keys = known.sealing_keys.iter().map(|key| {
        json!({"inbox": key.inbox, "id": sealing_id(key), "valid_from": key.valid_from,
            "valid_to": key.valid_to})
    });
    let agreements = known.agreements.values().map(|agreement| {
        json!({"id": agreement.id, "title": agreement.title, "parties": agreement.parties,
            "classes": agreement.classes, "lawful_bases": agreement.lawful_bases,
            "valid_from": agreement.valid_from, "valid_to": agreement.valid_to,
            "review_by": agreement.review_by, "has_review_key": !agreement.review_key.is_empty(),
            "no_review_key_reason": agreement.no_review_key_reason})
    });
    json!({
        "exchange": known.directory.exchange(),
        "as_of": known.directory.as_of(),
        "areas": list(areas.collect()),
        "agencies": list(agencies.collect()),
        "inboxes": list(inboxes.collect()),
        "systems": list(systems.collect()),
        "signing_keys": list(signing_keys.collect()),
        "sealing_keys": list(sealing_keys.collect()),
        "agreements": list(agreements.collect()),
    })
}

/// The id of the key that bodies for this inbox are sealed to now.
fn sealing_key(known: &Known, inbox: &str, now: Moment) -> Option<String> {
    known.directory.sealing_key(&inbox.parse().ok()?, now).map(|key| key.id.to_string())
}

fn sealing_id(key: &SealingKey) -> Option<String> {
    SealingPublicKey::from_bytes(&key.public_key).ok().map(|public| public.key_id().to_string())
}
