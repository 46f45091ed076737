//! The services: convert, ask the table of calls, call the broker, convert back.
//!
//! Knows: broker, policy, identity, proto, limits.

mod audit;
mod bulk;
mod directory;
mod exchange;
mod people;
mod status_service;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, service::Routes};

use super::status;
use crate::{
    broker::{Broker, Error},
    domain::refusal::Refusal,
    identity::{Peer, People},
    limits, policy,
    proto::{
        self, audit_service_server::AuditServiceServer,
        directory_service_server::DirectoryServiceServer,
        exchange_service_server::ExchangeServiceServer, status_service_server::StatusServiceServer,
    },
};

/// What every service needs.
#[derive(Clone)]
pub struct Services {
    broker: Broker,
    console: Option<ConsoleDoor>,
    ended: CancellationToken,
}

/// Who may sign in at the console, and where it is.
#[derive(Clone)]
pub struct ConsoleDoor {
    /// Everybody.
    pub people: Arc<People>,
    /// The beginning of its addresses, such as `https://cairn.example:7443`; no slash at the end.
    pub url: String,
}

impl Services {
    /// The services of a broker, and of its console if it has one; streams end when `ended` says
    /// so.
    pub fn new(broker: Broker, console: Option<ConsoleDoor>, ended: CancellationToken) -> Self {
        Self { broker, console, ended }
    }

    /// The caller of a request, if its system may make this call. A refusal of a
    /// known system is recorded.
    async fn caller<T>(&self, request: &Request<T>, call: &str) -> Result<Arc<Peer>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let Some(peer) = peer else { return Err(status::refusal(Refusal::NotPermitted)) };
        match policy::may_call(&self.broker.directory(), &peer, call) {
            Ok(()) => Ok(peer),
            Err(refusal) => Err(self.refused(&peer, refusal).await),
        }
    }

    /// A refusal of a known caller: recorded, then answered.
    async fn refused(&self, peer: &Peer, refusal: Refusal) -> Status {
        status::status(&self.broker.refuse(peer, refusal, Vec::new()).await)
    }

    /// All services, with health and reflection of both versions.
    ///
    /// # Errors
    /// If the compiled descriptors cannot be read.
    pub async fn routes(
        &self,
        reflection: bool,
    ) -> Result<Routes, tonic_reflection::server::Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<ExchangeServiceServer<Self>>().await;
        reporter.set_serving::<StatusServiceServer<Self>>().await;
        reporter.set_serving::<AuditServiceServer<Self>>().await;
        reporter.set_serving::<DirectoryServiceServer<Self>>().await;
        let most = limits::MESSAGE_BYTES_MAX;
        let mut routes = Routes::new(health)
            .add_service(
                ExchangeServiceServer::new(self.clone())
                    .max_decoding_message_size(most)
                    .max_encoding_message_size(most),
            )
            .add_service(
                StatusServiceServer::new(self.clone())
                    .max_decoding_message_size(most)
                    .max_encoding_message_size(most),
            )
            .add_service(
                AuditServiceServer::new(self.clone())
                    .max_decoding_message_size(most)
                    .max_encoding_message_size(most),
            )
            .add_service(
                DirectoryServiceServer::new(self.clone())
                    .max_decoding_message_size(most)
                    .max_encoding_message_size(most),
            );
        if reflection {
            let descriptors = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            routes = routes
                .add_service(descriptors().build_v1()?)
                .add_service(descriptors().build_v1alpha()?);
        }
        let ended = self.ended.clone();
        tokio::spawn(async move {
            ended.cancelled().await;
            reporter.set_not_serving::<ExchangeServiceServer<Self>>().await;
            reporter.set_not_serving::<StatusServiceServer<Self>>().await;
            reporter.set_not_serving::<AuditServiceServer<Self>>().await;
            reporter.set_not_serving::<DirectoryServiceServer<Self>>().await;
        });
        Ok(routes)
    }
}

fn failed(error: Error) -> Status {
    status::status(&error)
}
