//! A service that does nothing: it takes what `Submit` takes and answers what it was told to.
//!
//! What is left when everything of the exchange is taken away but TLS and gRPC; the measure
//! beside which an exchange's speed means something.
//!
//! Knows: proto, limits.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::{
    limits,
    proto::{
        GetConcernRequest, GetConcernResponse, ListDeliveriesRequest, ListDeliveriesResponse,
        Receipt, ReceiveRequest, ReceiveResponse, SubmitRequest, SubmitResponse,
        SubmitStreamRequest, SubmitStreamResponse,
        exchange_service_server::{ExchangeService, ExchangeServiceServer},
        submit_stream_response,
    },
};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers each submission with the same bytes, and knows no other call.
#[derive(Clone)]
pub struct Echo {
    answer: SubmitResponse,
}

impl Echo {
    /// One whose answers hold a receipt of about so many bytes.
    pub fn answering(receipt_bytes: usize) -> Self {
        let receipt = Receipt { tlog_proof: vec![0; receipt_bytes], ..Receipt::default() };
        Self { answer: SubmitResponse { receipt: Some(receipt), ..SubmitResponse::default() } }
    }

    /// It as a service.
    pub fn routes(self) -> Routes {
        let most = limits::MESSAGE_BYTES_MAX;
        let service = ExchangeServiceServer::new(self)
            .max_decoding_message_size(most)
            .max_encoding_message_size(most);
        Routes::new(service)
    }
}

#[tonic::async_trait]
impl ExchangeService for Echo {
    type SubmitStreamStream = Answers<SubmitStreamResponse>;
    type ReceiveStream = Answers<ReceiveResponse>;

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Ok(Response::new(self.answer.clone()))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let answer = self.answer.clone();
        let answers = request.into_inner().map(move |item| {
            let result = Some(submit_stream_response::Result::Accepted(answer.clone()));
            Ok(SubmitStreamResponse { number: item?.number, result })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn receive(
        &self,
        _: Request<ReceiveRequest>,
    ) -> Result<Response<Self::ReceiveStream>, Status> {
        Err(nothing_else())
    }

    async fn list_deliveries(
        &self,
        _: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        Err(nothing_else())
    }

    async fn get_concern(
        &self,
        _: Request<GetConcernRequest>,
    ) -> Result<Response<GetConcernResponse>, Status> {
        Err(nothing_else())
    }
}

fn nothing_else() -> Status {
    Status::unimplemented("this is no exchange: it only echoes submissions")
}
