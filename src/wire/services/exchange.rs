//! `ExchangeService`: statements in and out.
//!
//! Knows: broker, domain, proto, limits.

use std::pin::Pin;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Services, bulk, failed};
use crate::{
    broker::{ask, receive::Offered, records},
    directory::Role,
    domain::{ids::InboxId, refusal::Refusal},
    identity::Peer,
    limits, policy,
    proto::{
        self, Alive, Facts, GetConcernRequest, GetConcernResponse, ListDeliveriesRequest,
        ListDeliveriesResponse, ReceiveRequest, ReceiveResponse, SubmitRequest, SubmitResponse,
        SubmitStreamRequest, SubmitStreamResponse, exchange_service_server::ExchangeService,
        get_concern_request::By, receive_response::Item,
    },
    wire::paging,
};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ExchangeService for Services {
    type SubmitStreamStream = Answers<SubmitStreamResponse>;
    type ReceiveStream = Answers<ReceiveResponse>;

    async fn submit(
        &self,
        request: Request<SubmitRequest>,
    ) -> Result<Response<SubmitResponse>, Status> {
        let peer = self.caller(&request, "ExchangeService/Submit").await?;
        let request = request.into_inner();
        if request.validate_only {
            let facts = self.broker.would_submit(&peer, request.envelope).map_err(failed)?;
            let outside_agreement = facts.outside_agreement;
            return Ok(Response::new(SubmitResponse { outside_agreement, ..Default::default() }));
        }
        let accepted = self.broker.submit(peer, request.envelope).await.map_err(failed)?;
        Ok(Response::new(bulk::answer(accepted)))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let peer = self.caller(&request, "ExchangeService/SubmitStream").await?;
        let (to, answers) = mpsc::channel(limits::STREAM_WINDOW);
        tokio::spawn(bulk::submit_all(self.broker.clone(), peer, request.into_inner(), to));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn receive(
        &self,
        request: Request<ReceiveRequest>,
    ) -> Result<Response<Self::ReceiveStream>, Status> {
        let peer = self.caller(&request, "ExchangeService/Receive").await?;
        let inboxes = match self.own_inboxes(&peer, &request.get_ref().inboxes) {
            Ok(inboxes) => inboxes,
            Err(refusal) => return Err(self.refused(&peer, refusal).await),
        };
        let broker = self.broker.clone();
        let allowed =
            move || policy::may_call(&broker.directory(), &peer, "ExchangeService/Receive").is_ok();
        let offered = self.broker.receive(inboxes, allowed, self.ended.clone());
        let items = ReceiverStream::new(offered).map(|offered| {
            let item = match offered.map_err(failed)? {
                Offered::Incoming(incoming) => Item::Incoming(*incoming),
                Offered::Alive(size) => Item::Alive(Alive { size }),
            };
            Ok(ReceiveResponse { item: Some(item) })
        });
        Ok(Response::new(Box::pin(items)))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let peer = self.caller(&request, "ExchangeService/ListDeliveries").await?;
        let request = request.into_inner();
        let most = paging::size(request.page_size, 20, 100);
        let asked = self
            .own_inboxes(&peer, &request.inboxes)
            .and_then(|inboxes| Ok((inboxes, place(&request.page_token)?)));
        let (inboxes, after) = match asked {
            Ok(asked) => asked,
            Err(refusal) => return Err(self.refused(&peer, refusal).await),
        };
        inboxes.iter().for_each(|inbox| self.broker.asked_for(inbox));
        let mut response = ListDeliveriesResponse::default();
        let (mut bytes, mut last) = (0, None);
        for inbox in inboxes {
            let from = match &after {
                Some((at, _)) if inbox < *at => continue,
                Some((at, entry)) if inbox == *at => Some(*entry),
                _ => None,
            };
            for entry in self.broker.waiting(&inbox, from) {
                if response.incoming.len() == most || bytes > limits::PAGE_BYTES {
                    response.next_page_token = last.map(|at| token(&at)).unwrap_or_default();
                    return Ok(Response::new(response));
                }
                if let Some(incoming) = self.broker.readable(&inbox, entry) {
                    bytes += incoming.encoded_len();
                    response.incoming.push(incoming);
                    last = Some((inbox.clone(), entry));
                }
            }
        }
        Ok(Response::new(response))
    }

    async fn get_concern(
        &self,
        request: Request<GetConcernRequest>,
    ) -> Result<Response<GetConcernResponse>, Status> {
        let peer = self.caller(&request, "ExchangeService/GetConcern").await?;
        let found = match request.into_inner().by {
            Some(By::Entry(entry)) => Some(entry),
            Some(By::RequestId(id)) => self.broker.entry_of_request(peer.agency.as_str(), &id),
            None => {
                let rule = "must name the concern by entry or by request_id";
                return Err(self.refused(&peer, Refusal::FieldInvalid { field: "by", rule }).await);
            }
        };
        let seen = found.and_then(|entry| {
            let (meta, facts) = self.broker.concern(entry)?;
            let deliveries = self.visible(&peer, &facts, entry)?;
            Some((entry, meta, facts, deliveries))
        });
        let Some((entry, meta, facts, deliveries)) = seen else {
            return Err(self.refused(&peer, Refusal::UnknownStatement).await);
        };
        let thread = self.thread_for(&peer, &facts, meta.thread);
        Ok(Response::new(GetConcernResponse {
            entry,
            facts,
            accepted_at: meta.time,
            deliveries,
            thread,
            at: self.broker.now().0,
        }))
    }
}

impl Services {
    /// The inboxes asked for, or all of the caller's; none of anybody else's.
    fn own_inboxes(&self, peer: &Peer, asked: &[String]) -> Result<Vec<InboxId>, Refusal> {
        let directory = self.broker.directory();
        let mut own: Vec<InboxId> = directory.inboxes_of(peer.agency.as_str()).cloned().collect();
        own.sort_unstable(); // pages go on by name
        if asked.is_empty() {
            return Ok(own);
        }
        let mut inboxes: Vec<InboxId> = asked
            .iter()
            .map(|name| name.parse().ok().filter(|inbox| own.contains(inbox)))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                let rule = "must be inboxes of your own agency";
                Refusal::FieldInvalid { field: "inboxes", rule }
            })?;
        inboxes.sort_unstable();
        inboxes.dedup();
        Ok(inboxes)
    }

    /// The steps of a thread that a caller may see: all for the sender and for on-call
    /// staff, its own for a recipient.
    fn thread_for(&self, peer: &Peer, facts: &[u8], thread: u64) -> Vec<proto::ThreadEntry> {
        let agency = peer.agency.as_str();
        let all = proto::decode::<Facts>(facts).is_ok_and(|facts| facts.sender == agency)
            || self.broker.directory().has_role(agency, peer.system.as_str(), Role::OnCall);
        let about = |inbox: &str| inbox.split('/').next() == Some(agency);
        let mut steps = self.broker.thread(thread);
        steps.retain(|step| {
            let own = step.sender == agency || about(&step.inbox) || step.entry == thread;
            all || own
        });
        steps
    }

    /// The deliveries of a concern that a caller may see; `None` if it may see none.
    fn visible(&self, peer: &Peer, facts: &[u8], entry: u64) -> Option<Vec<proto::Delivery>> {
        let agency = peer.agency.as_str();
        let facts: Facts = proto::decode(facts).ok()?;
        let all = facts.sender == agency
            || self.broker.directory().has_role(agency, peer.system.as_str(), Role::OnCall);
        let own = |record: &records::DeliveryRecord| all || record.came_to(agency);
        let visible: Vec<_> = self
            .broker
            .deliveries(entry)
            .iter()
            .filter(|record| own(record))
            .map(ask::delivery)
            .collect();
        (all || !visible.is_empty()).then_some(visible)
    }
}

fn token((inbox, entry): &(InboxId, u64)) -> String {
    let mut key = entry.to_be_bytes().to_vec();
    key.extend_from_slice(inbox.to_string().as_bytes());
    paging::token(&key)
}

fn place(token: &str) -> Result<Option<(InboxId, u64)>, Refusal> {
    let Some(key) = paging::after(token)? else { return Ok(None) };
    let read = || {
        let (entry, inbox) = key.split_first_chunk::<8>()?;
        let inbox = std::str::from_utf8(inbox).ok()?.parse().ok()?;
        Some((inbox, u64::from_be_bytes(*entry)))
    };
    let rule = "must be the next_page_token of an earlier answer";
    read().map(Some).ok_or(Refusal::FieldInvalid { field: "page_token", rule })
}
