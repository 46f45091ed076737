//! The people of the console, of `DirectoryService`: invited, listed, shown out.
//!
//! Each is an entry; the file of people changes before it, so that an entry never tells of access
//! that somebody did not get.
//!
//! Holds: I2, I11. Knows: identity, broker, directory, proto, limits.

use std::sync::Arc;

use tonic::{Request, Status};

use super::{ConsoleDoor, Services, failed};
use crate::{
    clock::Moment,
    directory::Role,
    domain::refusal::Refusal,
    identity::{
        Peer,
        people::{Fault, Person},
    },
    limits, policy,
    proto::{
        ConsoleAccess, EndPersonAccessRequest, EndPersonAccessResponse, InvitePersonRequest,
        InvitePersonResponse, KnownPerson, ListPeopleResponse,
    },
};

impl Services {
    pub(super) async fn invite(
        &self,
        request: Request<InvitePersonRequest>,
    ) -> Result<InvitePersonResponse, Status> {
        let peer = self.caller(&request, "DirectoryService/InvitePerson").await?;
        let access = request.into_inner().access.unwrap_or_default();
        let now = self.broker.now();
        let invited = match (self.door(), self.invitee(&access, now)) {
            (Ok(door), Ok(person)) => Ok((door, person)),
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
        };
        let (door, person) = match invited {
            Ok(invited) => invited,
            Err(refusal) => return Err(self.refused(&peer, refusal).await),
        };
        let people = Arc::clone(&door.people);
        let link = self.changed(&peer, move || people.invite(&person, now)).await?;
        let entry = self.broker.record_access(&peer, "invited", &access).await.map_err(failed)?;
        Ok(InvitePersonResponse {
            link: format!("{}/join/{}", door.url, link.as_str()),
            link_until: now.after(limits::LINK_TIME_MAX).seconds(),
            entry,
        })
    }

    pub(super) async fn end_access(
        &self,
        request: Request<EndPersonAccessRequest>,
    ) -> Result<EndPersonAccessResponse, Status> {
        let peer = self.caller(&request, "DirectoryService/EndPersonAccess").await?;
        let name = request.into_inner().sign_in.parse();
        let asked = self
            .door()
            .and_then(|door| Ok((door, name.map_err(|error| Refusal::field("sign_in", error))?)));
        let (door, name) = match asked {
            Ok(asked) => asked,
            Err(refusal) => return Err(self.refused(&peer, refusal).await),
        };
        let (people, now) = (Arc::clone(&door.people), self.broker.now());
        let person = self.changed(&peer, move || people.end(&name, now)).await?;
        let access = person.access();
        let entry = self.broker.record_access(&peer, "ended", &access).await.map_err(failed)?;
        Ok(EndPersonAccessResponse { entry })
    }

    pub(super) async fn people<T>(
        &self,
        request: Request<T>,
    ) -> Result<ListPeopleResponse, Status> {
        let peer = self.caller(&request, "DirectoryService/ListPeople").await?;
        let all = self.door().map(|door| door.people.all());
        let all = match all {
            Ok(all) => all,
            Err(refusal) => return Err(self.refused(&peer, refusal).await),
        };
        self.broker.record_look(&peer, "people", None, Vec::new()).await.map_err(failed)?;
        let people = all
            .into_iter()
            .map(|(person, joined)| KnownPerson { access: Some(person.access()), joined })
            .collect();
        Ok(ListPeopleResponse { people })
    }

    fn door(&self) -> Result<&ConsoleDoor, Refusal> {
        let rule = "is not there: this exchange serves no console; its settings need [console]";
        self.console.as_ref().ok_or(Refusal::FieldInvalid { field: "console", rule })
    }

    /// The person of a request, if there is such a system to speak for.
    fn invitee(&self, access: &ConsoleAccess, now: Moment) -> Result<Person, Refusal> {
        let invalid = |field, rule| Refusal::FieldInvalid { field, rule };
        policy::named(access.person.as_ref())?;
        let who = access.person.clone().unwrap_or_default();
        if who.name.trim().is_empty() {
            return Err(Refusal::PersonRequired);
        }
        let last = now.after(limits::ACCESS_TIME_MAX).seconds();
        if access.until <= now.seconds() || access.until > last {
            return Err(invalid("until", "must be a time to come, at most 400 days from now"));
        }
        let directory = self.broker.directory();
        let (agency, system) = (&access.agency, &access.system);
        let roles = [Role::OnCall, Role::Auditor];
        if !roles.into_iter().any(|role| directory.has_role(agency, system, role)) {
            let rule = "must be one of the agency's, with the role on_call or auditor";
            return Err(invalid("system", rule));
        }
        Ok(Person {
            sign_in: access.sign_in.parse().map_err(|error| Refusal::field("sign_in", error))?,
            agency: agency.parse().map_err(|error| Refusal::field("agency", error))?,
            system: system.parse().map_err(|error| Refusal::field("system", error))?,
            name: who.name,
            post: who.post,
            staff_id: who.staff_id,
            until: access.until,
        })
    }

    /// Changes the file of people, on a thread that may wait for a disk.
    async fn changed<T: Send + 'static>(
        &self,
        peer: &Peer,
        change: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Status> {
        let changed = tokio::task::spawn_blocking(change).await;
        let refusal =
            match changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
                Ok(given) => return Ok(given),
                Err(Fault::Taken) => Refusal::FieldInvalid {
                    field: "sign_in",
                    rule: "must be another: somebody who speaks for another system has this one",
                },
                Err(Fault::Nobody) => Refusal::FieldInvalid {
                    field: "sign_in",
                    rule: "must be somebody's who was invited",
                },
                Err(Fault::Full) => Refusal::FieldInvalid {
                    field: "access",
                    rule: "cannot be given to more than 2,000 people",
                },
                Err(fault) => return Err(failed(crate::broker::Error::Broken(fault.to_string()))),
            };
        Err(self.refused(peer, refusal).await)
    }
}
