//! `--serve`: a spare agency, and a way into the console, for whoever wants to try the exchange.
//!
//! Knows: server, wire::client.

use std::time::Duration;

use super::super::{
    exchange::{
        Exchange,
        parties::{Agency, Agreement, Behaviour, Inbox, Parties},
    },
    people,
};
use crate::{
    proto::{ConsoleAccess, Person},
    server::{Server, founding},
};

/// For how long a visitor may use the console.
const ACCESS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Enrols a spare agency, and says how to use it.
pub(super) async fn welcome(
    exchange: &Exchange,
    server: &Server,
    parties: &Parties,
) -> anyhow::Result<()> {
    let taken = |id: &str| exchange.agencies.contains_key(id);
    let id = (0..)
        .map(|n| if n == 0 { "visitor".to_owned() } else { format!("visitor-{n}") })
        .find(|id| !taken(id))
        .unwrap_or_default();
    let agency = Agency {
        id: id.parse()?,
        kind: "other".into(),
        name: "Spare agency for trying things".into(),
        area: parties.areas.first().map(|area| area.id.clone()).unwrap_or_default(),
        inboxes: vec![Inbox {
            role: "duty".parse()?,
            phone: "0131 496 0999".into(),
            calendar: "24x7".into(),
            closed_on: Vec::new(),
            deputy: None,
        }],
        behaviour: Behaviour::Acknowledges,
    };
    let client = exchange.enrol(&agency).await?;
    let folder = client.folder().path().to_path_buf();
    let mut with_visitor = exchange.agencies.clone();
    with_visitor.insert(id.clone(), client);
    let agreement = Agreement {
        id: format!("{id}-agreement"),
        title: "Trying things".into(),
        parties: with_visitor.keys().cloned().collect(),
        classes: vec!["child_protection".into(), "wellbeing".into()],
        lawful_bases: vec!["public_task".into(), "vital_interests".into()],
        valid_from: "2026-01-01".into(),
        valid_to: "2099-12-31".into(),
        review_by: String::new(),
        profiles: Vec::new(),
    };
    exchange.agree_among(&agreement, &with_visitor).await?;
    print((exchange, server), &id, &folder, &agreement.id);
    Ok(())
}

/// Says where the console is, with a link to sign in by.
pub(super) async fn show_console(exchange: &Exchange) -> anyhow::Result<()> {
    eprintln!("\nThe console, for a made-up person on call (the link is good once):");
    eprintln!("  {}", invitation(exchange).await?);
    Ok(())
}

/// Waits to be told to stop.
pub(super) async fn stay(server: &Server) -> anyhow::Result<()> {
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
        () = server.failed() => anyhow::bail!("the ledger has stopped"),
    }
}

/// A link to the console.
async fn invitation(exchange: &Exchange) -> anyhow::Result<String> {
    let until = exchange.now().after(ACCESS).seconds();
    let access = ConsoleAccess {
        sign_in: "okafor".into(),
        person: Some(Person {
            name: "R. Okafor".into(),
            post: "duty manager".into(),
            ..Person::default()
        }),
        agency: founding::OPERATOR.into(),
        system: "on-call".into(),
        until,
    };
    Ok(people::invite(&exchange.admin, access).await?.link)
}

fn print(
    (exchange, server): (&Exchange, &Server),
    id: &str,
    folder: &std::path::Path,
    agreement: &str,
) {
    let (address, folder) = (server.address, folder.display());
    eprintln!("\nThe exchange {} stays up at {address}. Ctrl-C ends it.\n", exchange.name);
    eprintln!("A spare agency `{id}` with inbox `{id}/duty`, agreement `{agreement}`:");
    eprintln!("  credentials   {folder}");
    eprintln!("  auditor       {}", exchange.auditor.folder().path().display());
    eprintln!("  on call       {}\n", exchange.on_call.folder().path().display());
    eprintln!("With cairn:");
    eprintln!(
        "  echo '{{\"kind\":\"concern\",\"reference\":\"TRY-1\",\"from\":\"{id}\",\"to\":[\"{id}/duty\"],\
         \"urgency\":\"routine\",\"class\":\"wellbeing\",\"agreement\":\"{agreement}\",\
         \"lawful_basis\":\"public_task\",\"purpose\":\"to try it\",\"action_requested\":\"none\",\
         \"concern\":{{\"category\":\"other\",\"narrative\":\"A made-up concern.\"}},\"exercise\":true}}' \\"
    );
    eprintln!("    | cairn send --system {folder} --file -");
    eprintln!("  cairn receive --system {folder} --to received --once");
    eprintln!("  cairn status --system {folder} --waiting\n");
    eprintln!("With Python (grpcio, cryptography), from a checkout:");
    eprintln!("  python tests/interop/python/client.py receive {folder} --one");
}
