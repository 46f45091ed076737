//! `cairn console`: who may sign in at the console.
//!
//! Knows: wire::client, domain, proto.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde_json::json;

use super::{
    Output, print,
    speaker::{Speaker, answered},
};
use crate::{
    clock::Moment,
    domain::ids::SystemName,
    proto::{
        ConsoleAccess, EndPersonAccessRequest, InvitePersonRequest, KnownPerson, ListPeopleRequest,
        Person,
    },
    wire::client::{self, Client},
};

/// Let people in at the console, and out again
///
/// With the credentials of a directory administrator.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cairn console invite okafor --name \"R. Okafor\" --post \"duty manager\" --until 2027-03-31 \\\n    \
    --system x/systems/operator/admin\n  \
    cairn console list --system x/systems/operator/admin\n  \
    cairn console end okafor --system x/systems/operator/admin")]
pub(crate) struct Console {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Invite(Invite),
    List(List),
    End(End),
}

impl Console {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Invite(invite) => invite.run().await,
            What::List(list) => list.run().await,
            What::End(end) => end.run().await,
        }
    }
}

/// Make a one-time link for a person
///
/// Whoever has the link can choose the passphrase: give it to that person alone. It is good once,
/// for 24 hours. The same name again makes a new link, for who has forgotten the passphrase.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cairn console invite okafor --name \"R. Okafor\" --post \"duty manager\" --until 2027-03-31 \\\n    \
    --system x/systems/operator/admin")]
pub(super) struct Invite {
    /// What the person will type to sign in
    sign_in: SystemName,
    /// The person's name
    #[arg(long)]
    name: String,
    /// The person's post
    #[arg(long)]
    post: String,
    /// The person's staff number
    #[arg(long, default_value = "")]
    staff_id: String,
    /// The last day on which the person may sign in
    #[arg(long, value_name = "DAY")]
    until: Date,
    /// The system whose roles the person has
    #[arg(long = "as", value_name = "AGENCY/SYSTEM", default_value = "operator/on-call")]
    speaks_for: String,
    #[command(flatten)]
    speaker: Speaker,
    /// How to print the link
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl Invite {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let (agency, system) =
            self.speaks_for.split_once('/').context("--as takes agency/system")?;
        let end = self.until.tomorrow()?.to_zoned(Moment(0).in_london().time_zone().clone())?;
        let access = ConsoleAccess {
            sign_in: self.sign_in.to_string(),
            person: Some(Person {
                name: self.name.clone(),
                post: self.post.clone(),
                staff_id: self.staff_id.clone(),
                simulated: false,
            }),
            agency: agency.to_owned(),
            system: system.to_owned(),
            until: Moment::of(&end).seconds(),
        };
        let made = invite(&client, access).await?;
        if self.output == Output::Json {
            let until = Moment::of_seconds(made.link_until).rfc3339();
            print::line(json!({"link": made.link, "good_until": until, "entry": made.entry}))?;
            return Ok(ExitCode::SUCCESS);
        }
        let until = print::moment(Moment::of_seconds(made.link_until).0);
        print::line(format_args!("{}", made.link))?;
        eprintln!(
            "For {} alone; good once, until {until}. Entry {} records it.",
            self.name, made.entry
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks the exchange for a link.
pub(super) async fn invite(
    client: &Client,
    access: ConsoleAccess,
) -> anyhow::Result<crate::proto::InvitePersonResponse> {
    let request = InvitePersonRequest { access: Some(access) };
    Ok(answered(client.directory_service().invite_person(request)).await?.into_inner())
}

/// Show everybody who may sign in
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn console list --system x/systems/operator/admin")]
pub(super) struct List {
    #[command(flatten)]
    speaker: Speaker,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

impl List {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let mut asked = client.directory_service();
        let people = answered(asked.list_people(ListPeopleRequest {})).await?.into_inner().people;
        let now = client::now();
        let standing = |known: &KnownPerson, access: &ConsoleAccess| match known.joined {
            _ if access.until <= now.seconds() => "ended",
            true => "joined",
            false => "invited",
        };
        let all = people.iter().filter_map(|known| Some((known, known.access.as_ref()?)));
        if self.output == Output::Json {
            let all: Vec<_> = all
                .map(|(known, access)| {
                    let person = access.person.clone().unwrap_or_default();
                    json!({
                        "sign_in": access.sign_in,
                        "name": person.name,
                        "post": person.post,
                        "staff_id": person.staff_id,
                        "as": format!("{}/{}", access.agency, access.system),
                        "until": Moment::of_seconds(access.until).rfc3339(),
                        "standing": standing(known, access),
                    })
                })
                .collect();
            print::line(json!(all))?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = all.map(|(known, access)| {
            let person = access.person.clone().unwrap_or_default();
            vec![
                access.sign_in.clone(),
                person.name,
                person.post,
                format!("{}/{}", access.agency, access.system),
                print::moment(Moment::of_seconds(access.until).0),
                standing(known, access).to_owned(),
            ]
        });
        print::table(&["signs in as", "name", "post", "speaks for", "until", ""], rows)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// End a person's access now
///
/// All of that person's sessions end with it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn console end okafor --system x/systems/operator/admin")]
pub(super) struct End {
    /// What the person types to sign in
    sign_in: SystemName,
    #[command(flatten)]
    speaker: Speaker,
}

impl End {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.speaker.client()?;
        let request = EndPersonAccessRequest { sign_in: self.sign_in.to_string() };
        let mut asked = client.directory_service();
        let ended = answered(asked.end_person_access(request)).await?.into_inner();
        print::line(format_args!("{} can no longer sign in: entry {}", self.sign_in, ended.entry))?;
        Ok(ExitCode::SUCCESS)
    }
}
