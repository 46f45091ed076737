//! `StatusService`: what is not getting through, and what on-call staff do about it. No personal
//! data of families, so looking is not recorded; every act is.
//!
//! Holds: I6, I12. Knows: broker, proto.

use tonic::{Request, Response, Status};

use super::{Services, failed};
use crate::{
    broker::{Error, ask},
    directory::Role,
    identity::Peer,
    proto::{
        GetSummaryRequest, GetSummaryResponse, ListWaitingRequest, ListWaitingResponse,
        RecordCallRequest, RecordCallResponse, SettleRequest, SettleResponse, StateCount,
        TakeCareRequest, TakeCareResponse, status_service_server::StatusService,
    },
    wire::{paging, status},
};

#[tonic::async_trait]
impl StatusService for Services {
    async fn list_waiting(
        &self,
        request: Request<ListWaitingRequest>,
    ) -> Result<Response<ListWaitingResponse>, Status> {
        let peer = self.caller(&request, "StatusService/ListWaiting").await?;
        let request = request.into_inner();
        let most = paging::size(request.page_size, 100, 1_000);
        let after = paging::after(&request.page_token).map_err(status::refusal)?;
        let after = after.filter(|key| key.first() == Some(&b'o'));
        let own = self.own_only(&peer);
        let mut found = self.broker.open_deliveries(after).filter(|(_, record)| {
            let delivery = &record.delivery;
            let mut here = [&delivery.holder].into_iter().chain(&delivery.stand_ins);
            own.as_ref().is_none_or(|agency| record.sender == *agency || record.came_to(agency))
                && (request.inbox.is_empty() || here.any(|inbox| inbox.as_str() == request.inbox))
        });
        let at = self.broker.now().0;
        let mut response = ListWaitingResponse { at, ..ListWaitingResponse::default() };
        let mut last = Vec::new();
        for (key, record) in found.by_ref().take(most) {
            response.deliveries.push(ask::delivery(&record));
            last = key;
        }
        if found.next().is_some() {
            response.next_page_token = paging::token(&last);
        }
        Ok(Response::new(response))
    }

    async fn get_summary(
        &self,
        request: Request<GetSummaryRequest>,
    ) -> Result<Response<GetSummaryResponse>, Status> {
        let peer = self.caller(&request, "StatusService/GetSummary").await?;
        let mut summary = self.broker.summary();
        if let Some(agency) = self.own_only(&peer) {
            // An agency sees its own open deliveries; the rest is not its business.
            let mut counts = std::collections::BTreeMap::<i32, u64>::new();
            for (_, record) in self.broker.open_deliveries(None) {
                if record.sender == agency || record.came_to(&agency) {
                    *counts
                        .entry(ask::delivery_state(record.delivery.state).into())
                        .or_default() += 1;
                }
            }
            let open = counts.values().sum();
            let states =
                counts.into_iter().map(|(state, count)| StateCount { state, count }).collect();
            summary = GetSummaryResponse { open, states, size: summary.size, ..Default::default() };
        } else {
            let broker = self.broker.clone();
            // It walks: not for an async thread.
            let raised = tokio::task::spawn_blocking(move || broker.raised()).await;
            let raised = raised.map_err(|error| failed(Error::Broken(error.to_string())))?;
            summary.refused_urgent = raised.refused_count;
            summary.missing = raised.missing_count;
            summary.reviews = raised.reviews_count;
            summary.reviews_late = raised.reviews_late(self.broker.now());
            summary.quiet_agencies = raised.quiet.len() as u64;
        }
        Ok(Response::new(summary))
    }

    async fn record_call(
        &self,
        request: Request<RecordCallRequest>,
    ) -> Result<Response<RecordCallResponse>, Status> {
        let peer = self.caller(&request, "StatusService/RecordCall").await?;
        let recorded = self.broker.record_call(&peer, request.into_inner()).await;
        let (entry, duplicate) = recorded.map_err(|error| status::status(&error))?;
        Ok(Response::new(RecordCallResponse { entry, duplicate }))
    }

    async fn settle(
        &self,
        request: Request<SettleRequest>,
    ) -> Result<Response<SettleResponse>, Status> {
        let peer = self.caller(&request, "StatusService/Settle").await?;
        let recorded = self.broker.settle(&peer, request.into_inner()).await;
        let (entry, duplicate) = recorded.map_err(|error| status::status(&error))?;
        Ok(Response::new(SettleResponse { entry, duplicate }))
    }

    async fn take_care(
        &self,
        request: Request<TakeCareRequest>,
    ) -> Result<Response<TakeCareResponse>, Status> {
        let peer = self.caller(&request, "StatusService/TakeCare").await?;
        let recorded = self.broker.take_care(&peer, request.into_inner()).await;
        let (entry, duplicate) = recorded.map_err(|error| status::status(&error))?;
        Ok(Response::new(TakeCareResponse { entry, duplicate }))
    }
}

impl Services {
    /// The agency to whose own things a caller is confined; `None` for on-call staff
    /// and auditors.
    fn own_only(&self, peer: &Peer) -> Option<String> {
        let directory = self.broker.directory();
        let (agency, system) = (peer.agency.as_str(), peer.system.as_str());
        let sees_all = [Role::OnCall, Role::Auditor]
            .into_iter()
            .any(|role| directory.has_role(agency, system, role));
        (!sees_all).then(|| agency.to_owned())
    }
}
