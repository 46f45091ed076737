//! The console, through its own door: who gets in, what they see, what they do.

mod browser;
mod certificates;
mod door;
mod marks;
mod pages;
mod person;

use std::time::Duration;

use cairn::{
    clock::Clock,
    config::ConsoleSettings,
    proto::{ConsoleAccess, InvitePersonRequest, Person as Named},
    wire::client::ClientError,
};

use crate::{escalation::ladder, support::World};

/// What everybody here has chosen.
pub const PASSPHRASE: &str = "heather granite lapwing";

/// [`ladder`], with a console.
pub async fn world() -> World {
    let mut world = ladder().await;
    world.stop().await;
    world.config.console = Some(settings());
    world.start().await;
    world
}

/// A console on a free port of loopback, in the clear.
fn settings() -> ConsoleSettings {
    ConsoleSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        url: "http://127.0.0.1:0".into(),
        certificate: None,
        key: None,
        in_the_clear: true,
    }
}

/// Who may look for the operators, for a month.
pub fn access(world: &World, sign_in: &str, system: &str) -> ConsoleAccess {
    let until = world.clock.now().after(Duration::from_secs(30 * 24 * 3600));
    ConsoleAccess {
        sign_in: sign_in.into(),
        person: Some(Named {
            name: "R. Okafor".into(),
            post: "duty manager".into(),
            ..Named::default()
        }),
        agency: "operator".into(),
        system: system.into(),
        until: until.seconds(),
    }
}

/// Invites somebody: the link.
pub async fn invite(world: &World, access: ConsoleAccess) -> Result<String, ClientError> {
    let request = InvitePersonRequest { access: Some(access) };
    let answer = world.admin.directory_service().invite_person(request).await;
    Ok(answer.map_err(ClientError::from)?.into_inner().link)
}

/// Somebody on call, signed in.
pub async fn on_call(world: &World) -> person::Person {
    let link = invite(world, access(world, "okafor", "on-call")).await.unwrap();
    let mut person = person::Person::at(world.console().unwrap());
    person.join(&link).await;
    person
}
