//! `AuditService`: questions, and the means to check the answers.
//!
//! Each query, opened entry and mirror run is an entry before its answer leaves.
//!
//! Holds: I11. Knows: broker, ledger, proto.

use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, failed};
use crate::{
    broker::{Error, ask::Question, receipt::Stored},
    clock::Moment,
    domain::refusal::Refusal,
    identity::Peer,
    ledger::{
        self,
        leaf::Leaf,
        merkle::Hash,
        tiles::{TILE_WIDTH, encode_bundle, encode_tile},
    },
    limits,
    proto::{
        AuditRow, BeginMirrorRequest, BeginMirrorResponse, GetCheckpointRequest,
        GetCheckpointResponse, GetConsistencyProofRequest, GetConsistencyProofResponse,
        GetEntryBundleRequest, GetEntryBundleResponse, GetEntryRequest, GetEntryResponse,
        GetInclusionProofRequest, GetInclusionProofResponse, GetTileRequest, GetTileResponse,
        QueryRequest, QueryResponse, audit_service_server::AuditService,
    },
    store::Record,
    wire::{paging, status},
};

#[tonic::async_trait]
impl AuditService for Services {
    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResponse>, Status> {
        let peer = self.caller(&request, "AuditService/Query").await?;
        let request = request.into_inner();
        if request.agency.len() > limits::NAME_BYTES_MAX || request.page_token.len() > 64 {
            let rule = "must be an agency's id, and the page_token that of an earlier answer";
            return Err(self.refused(&peer, Refusal::FieldInvalid { field: "agency", rule }).await);
        }
        self.look(&peer, "query", request.concern, &request.purpose, &request).await?;
        let most = paging::size(request.page_size, 100, 1_000);
        let after = paging::after_entry(&request.page_token).map_err(status::refusal)?;
        let question = Question {
            from_time: request.from_time,
            until_time: request.until_time,
            agency: Some(request.agency).filter(|agency| !agency.is_empty()),
            concern: request.concern,
        };
        let mut found = self.broker.find(&question, after, most + 1);
        let more = found.len() > most;
        found.truncate(most);
        let next_page_token = match (more, found.last()) {
            (true, Some(last)) => paging::token(&last.to_be_bytes()),
            _ => String::new(),
        };
        let rows = found
            .into_iter()
            .map(|entry| {
                self.broker.record(entry).map(|record| self.row(entry, record)).map_err(failed)
            })
            .collect::<Result<_, _>>()?;
        let checkpoint = self.broker.tree().head().checkpoint.clone();
        Ok(Response::new(QueryResponse { rows, next_page_token, checkpoint }))
    }

    async fn get_entry(
        &self,
        request: Request<GetEntryRequest>,
    ) -> Result<Response<GetEntryResponse>, Status> {
        let peer = self.caller(&request, "AuditService/GetEntry").await?;
        let request = request.into_inner();
        let kind = if request.with_detail { "detail" } else { "entry" };
        // Looked up first: a question about nothing is refused, not recorded as a look.
        let stored = self.broker.entry(request.entry).map_err(failed)?;
        self.look(&peer, kind, Some(request.entry), &request.purpose, &request).await?;
        let Stored { record, mut receipt, .. } = stored;
        let mut detail = Vec::new();
        match request.with_detail {
            true => detail = record.detail,
            false => receipt.detail_opening.clear(),
        }
        Ok(Response::new(GetEntryResponse { receipt: Some(receipt), detail }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        self.caller(&request, "AuditService/GetCheckpoint").await?;
        let checkpoint = self.broker.tree().head().checkpoint.clone();
        let vkey = self.broker.vkey().to_string();
        Ok(Response::new(GetCheckpointResponse { checkpoint, vkey }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        self.caller(&request, "AuditService/GetInclusionProof").await?;
        let request = request.into_inner();
        let size = self.size_or_newest(request.size);
        let hashes = self.broker.tree().inclusion(request.entry, size).map_err(beyond)?;
        Ok(Response::new(GetInclusionProofResponse { hashes: bytes(hashes), size }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        self.caller(&request, "AuditService/GetConsistencyProof").await?;
        let request = request.into_inner();
        let new_size = self.size_or_newest(request.new_size);
        let hashes = self.broker.tree().consistency(request.old_size, new_size).map_err(beyond)?;
        Ok(Response::new(GetConsistencyProofResponse { hashes: bytes(hashes), new_size }))
    }

    async fn begin_mirror(
        &self,
        request: Request<BeginMirrorRequest>,
    ) -> Result<Response<BeginMirrorResponse>, Status> {
        let peer = self.caller(&request, "AuditService/BeginMirror").await?;
        let request = request.into_inner();
        self.look(&peer, "mirror", None, &request.purpose, &request).await?;
        let checkpoint = self.broker.tree().head().checkpoint.clone();
        let vkey = self.broker.vkey().to_string();
        Ok(Response::new(BeginMirrorResponse { checkpoint, vkey }))
    }

    async fn get_tile(
        &self,
        request: Request<GetTileRequest>,
    ) -> Result<Response<GetTileResponse>, Status> {
        self.caller(&request, "AuditService/GetTile").await?;
        let request = request.into_inner();
        let width = width(request.width)?;
        let level = u8::try_from(request.level).map_err(|_| beyond(ledger::Error::OutOfRange))?;
        let hashes = self.broker.tree().tile(level, request.index, width).map_err(beyond)?;
        match hashes.len() == usize::from(width) {
            true => Ok(Response::new(GetTileResponse { tile: encode_tile(&hashes) })),
            false => Err(beyond(ledger::Error::OutOfRange)),
        }
    }

    async fn get_entry_bundle(
        &self,
        request: Request<GetEntryBundleRequest>,
    ) -> Result<Response<GetEntryBundleResponse>, Status> {
        self.caller(&request, "AuditService/GetEntryBundle").await?;
        let request = request.into_inner();
        let width = u64::from(width(request.width)?);
        let first = request.index.checked_mul(u64::from(TILE_WIDTH));
        let size = self.broker.tree().head().growth.size();
        let first = first.filter(|first| first.checked_add(width).is_some_and(|end| end <= size));
        let first = first.ok_or_else(|| beyond(ledger::Error::OutOfRange))?;
        let leaves = (first..first + width)
            .map(|entry| self.broker.leaf(entry).map_err(failed))
            .collect::<Result<Vec<_>, _>>()?;
        let bundle = encode_bundle(leaves.iter().map(|leaf| &leaf[..]))
            .map_err(|error| failed(Error::Broken(error.to_string())))?;
        Ok(Response::new(GetEntryBundleResponse { bundle }))
    }
}

impl Services {
    /// Records a look before its answer leaves. A look without a purpose is refused.
    async fn look(
        &self,
        peer: &Peer,
        kind: &'static str,
        about: Option<u64>,
        purpose: &str,
        question: &impl Message,
    ) -> Result<(), Status> {
        if purpose.trim().is_empty() || purpose.len() > limits::CODE_BYTES_MAX {
            let rule =
                "must say why you ask, as a code of at most 64 bytes such as learning_review";
            let refusal = Refusal::FieldInvalid { field: "purpose", rule };
            return Err(failed(self.broker.refuse(peer, refusal, Vec::new()).await));
        }
        self.broker
            .record_look(peer, kind, about, question.encode_to_vec())
            .await
            .map(drop)
            .map_err(failed)
    }

    fn row(&self, entry: u64, record: Record) -> AuditRow {
        let at = Leaf::decode(&record.leaf).map_or(0, |leaf| leaf.time_unix_ns);
        AuditRow {
            entry,
            at,
            suspected: self.broker.is_suspected(&record.detail, Moment(at)),
            facts: record.facts,
            leaf: record.leaf.to_vec(),
            facts_opening: record.facts_opening.to_vec(),
        }
    }

    fn size_or_newest(&self, size: u64) -> u64 {
        match size {
            0 => self.broker.tree().head().growth.size(),
            size => size,
        }
    }
}

fn bytes(hashes: Vec<Hash>) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect()
}

fn width(asked: u32) -> Result<u16, Status> {
    u16::try_from(asked)
        .ok()
        .filter(|width| (1..=TILE_WIDTH).contains(width))
        .ok_or_else(|| beyond(ledger::Error::OutOfRange))
}

fn beyond(_: ledger::Error) -> Status {
    let rule = "entry, tile or size must lie within the ledger (the checkpoint says how far it \
                goes), and the older size must not be the greater";
    status::refusal(Refusal::FieldInvalid { field: "size", rule })
}
