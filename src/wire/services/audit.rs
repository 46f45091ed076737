//! `AuditService`: questions, and the means to check the answers.
//!
//! Each query, opened entry and mirror run is an entry before its answer leaves.
//!
//! Holds: I11. Knows: broker, ledger, proto.

use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, failed};
use crate::{
    broker::{Error, find::Found, receipt::Stored},
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
        GetInclusionProofRequest, GetInclusionProofResponse, GetTileRequest, GetTileResponse, Only,
        QueryRequest, QueryResponse, audit_service_server::AuditService,
    },
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
        if let Err(refusal) = in_bounds(&request) {
            return Err(self.refused(&peer, refusal).await);
        }
        self.look(&peer, "query", request.concern, &request.purpose, &request).await?;
        let most = paging::size(request.page_size, 100, 1_000);
        let after = paging::after_entry(&request.page_token).map_err(status::refusal)?;
        let head = self.broker.tree().head();
        let size = head.growth.size();
        let broker = self.broker.clone();
        // It can read thousands of entries: not for an async thread.
        let found = tokio::task::spawn_blocking(move || broker.find(&request, (after, size), most));
        let found = found.await.map_err(|error| failed(Error::Broken(error.to_string())))?;
        let Found { entries, searched_to, more } = found.map_err(failed)?;
        let rows = entries.into_iter().map(|entry| self.row(entry, size));
        let rows = rows.collect::<Result<_, _>>()?;
        let next_page_token = match more {
            true => paging::token(&searched_to.saturating_sub(1).to_be_bytes()),
            false => String::new(),
        };
        let checkpoint = head.checkpoint.clone();
        Ok(Response::new(QueryResponse { rows, next_page_token, checkpoint, searched_to }))
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
        let cosigned = self.broker.witnesses().cosigned();
        let cosigned = cosigned.map(|cosigned| cosigned.checkpoint.clone()).unwrap_or_default();
        Ok(Response::new(GetCheckpointResponse { checkpoint, vkey, cosigned }))
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

    fn row(&self, entry: u64, size: u64) -> Result<AuditRow, Status> {
        let record = self.broker.record(entry).map_err(failed)?;
        let inclusion = self.broker.tree().inclusion(entry, size).map_err(beyond)?;
        let at = Leaf::decode(&record.leaf).map_or(0, |leaf| leaf.time_unix_ns);
        Ok(AuditRow {
            entry,
            at,
            suspected: self.broker.is_suspected(&record.detail, Moment(at)),
            facts: record.facts,
            leaf: record.leaf.to_vec(),
            facts_opening: record.facts_opening.to_vec(),
            inclusion: bytes(inclusion),
        })
    }

    fn size_or_newest(&self, size: u64) -> u64 {
        match size {
            0 => self.broker.tree().head().growth.size(),
            size => size,
        }
    }
}

/// A question can be written down whole: it becomes an entry.
fn in_bounds(question: &QueryRequest) -> Result<(), Refusal> {
    let QueryRequest { agency, sender, inbox, outcome, urgency, agreement, page_token, .. } =
        question;
    let names = [agency, sender, inbox, agreement];
    let codes = [outcome, urgency].into_iter().chain(&question.flags);
    let short = names.into_iter().all(|name| name.len() <= 2 * limits::NAME_BYTES_MAX + 1)
        && codes.into_iter().all(|code| code.len() <= limits::CODE_BYTES_MAX)
        && page_token.len() <= 64;
    let few = question.flags.len() <= 16 && question.types.len() <= 64 && question.only.len() <= 8;
    let known =
        question.only.iter().all(|only| Only::try_from(*only).is_ok_and(|it| it as i32 > 0));
    match short && few && known {
        true => Ok(()),
        false => {
            let rule = "must be of ids and codes as the API has them: at most 16 flags, 64 types, 8 \
                        kinds of `only`, and the page_token of an earlier answer";
            Err(Refusal::FieldInvalid { field: "question", rule })
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
