//! `DirectoryService`: who is who, and for which keys to seal.
//!
//! Knows: broker, directory, proto.

use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, failed};
use crate::{
    clock::Moment,
    crypto::seal::SealingPublicKey,
    directory::Directory,
    domain::{ids::InboxId, refusal::Refusal},
    limits,
    proto::{
        ApplyRequest, ApplyResponse, EndPersonAccessRequest, EndPersonAccessResponse,
        InvitePersonRequest, InvitePersonResponse, ListChangesRequest, ListChangesResponse,
        ListPeopleRequest, ListPeopleResponse, RecipientKey, ResolveRecipientsRequest,
        ResolveRecipientsResponse, SignedChange, directory_service_server::DirectoryService,
    },
    wire::paging,
};

#[tonic::async_trait]
impl DirectoryService for Services {
    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<ApplyResponse>, Status> {
        let peer = self.caller(&request, "DirectoryService/Apply").await?;
        let ApplyRequest { change, signatures } = request.into_inner();
        let entry =
            self.broker.change(&peer, SignedChange { change, signatures }).await.map_err(failed)?;
        Ok(Response::new(ApplyResponse { entry }))
    }

    async fn list_changes(
        &self,
        request: Request<ListChangesRequest>,
    ) -> Result<Response<ListChangesResponse>, Status> {
        self.caller(&request, "DirectoryService/ListChanges").await?;
        let request = request.into_inner();
        let most = paging::size(request.page_size, 500, 1_000);
        let mut response = ListChangesResponse::default();
        let mut bytes = 0;
        for recorded in self.broker.changes(request.after, most + 1).map_err(failed)? {
            if response.changes.len() == most || bytes > limits::PAGE_BYTES {
                response.more = true;
                break;
            }
            bytes += recorded.encoded_len();
            response.changes.push(recorded);
        }
        Ok(Response::new(response))
    }

    async fn resolve_recipients(
        &self,
        request: Request<ResolveRecipientsRequest>,
    ) -> Result<Response<ResolveRecipientsResponse>, Status> {
        let peer = self.caller(&request, "DirectoryService/ResolveRecipients").await?;
        let request = request.into_inner();
        if request.to.len() > limits::RECIPIENTS_MAX {
            return Err(self.refused(&peer, Refusal::TooManyRecipients).await);
        }
        let directory = self.broker.directory();
        let now = self.broker.now();
        let mut response = ResolveRecipientsResponse::default();
        let mut to: Vec<InboxId> = Vec::new();
        for name in &request.to {
            let known = name
                .parse::<InboxId>()
                .ok()
                .filter(|inbox| directory.inbox(inbox).is_some_and(|known| !known.retired));
            match known {
                Some(inbox) if to.contains(&inbox) => {}
                Some(inbox) => to.push(inbox),
                None => response.unknown.push(name.clone()),
            }
        }
        let named = to.iter().filter_map(|inbox| recipient_key(&directory, inbox, now, false));
        response.keys.extend(named);
        let stand_ins = directory.stand_ins(&to);
        let deputies =
            stand_ins.iter().filter_map(|inbox| recipient_key(&directory, inbox, now, true));
        response.keys.extend(deputies);
        response.keys.extend(review_key(&directory, &request.agreement));
        Ok(Response::new(response))
    }

    async fn invite_person(
        &self,
        request: Request<InvitePersonRequest>,
    ) -> Result<Response<InvitePersonResponse>, Status> {
        self.invite(request).await.map(Response::new)
    }

    async fn end_person_access(
        &self,
        request: Request<EndPersonAccessRequest>,
    ) -> Result<Response<EndPersonAccessResponse>, Status> {
        self.end_access(request).await.map(Response::new)
    }

    async fn list_people(
        &self,
        request: Request<ListPeopleRequest>,
    ) -> Result<Response<ListPeopleResponse>, Status> {
        self.people(request).await.map(Response::new)
    }
}

fn recipient_key(
    directory: &Directory,
    inbox: &InboxId,
    now: Moment,
    deputy: bool,
) -> Option<RecipientKey> {
    let key = directory.sealing_key(inbox, now)?;
    Some(RecipientKey {
        inbox: inbox.to_string(),
        agreement: String::new(),
        key_id: key.id.0.to_vec(),
        public_key: key.record.public_key.clone(),
        deputy,
        registered: Some(key.registered.clone()),
    })
}

fn review_key(directory: &Directory, agreement: &str) -> Option<RecipientKey> {
    let known = directory.agreement(agreement)?;
    let public = SealingPublicKey::from_bytes(&known.review_key).ok()?;
    Some(RecipientKey {
        inbox: String::new(),
        agreement: agreement.to_owned(),
        key_id: public.key_id().0.to_vec(),
        public_key: known.review_key.clone(),
        deputy: false,
        registered: directory.agreement_as_signed(agreement).cloned(),
    })
}
