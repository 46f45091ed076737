//! The Rust client: one system of an agency, speaking to an exchange.
//!
//! It keeps its own fold of the directory and judges every change itself, so that
//! whoever runs the exchange cannot slip in a key or an agreement that its parties
//! have not signed.
//!
//! Knows: identity, crypto, domain, directory, ledger, proto, clock.

pub mod compose;
pub mod enrol;
pub mod folder;
pub mod open;
pub mod outbox;
mod proved;
pub mod simulated;

use std::sync::{Arc, RwLock};

use rustls_pki_types::ServerName;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint, Uri},
};
use tonic_types::StatusExt;

use crate::{
    clock::{Clock, Moment, SystemClock},
    directory::Directory,
    identity::{
        self, TlsConnector,
        tls::{self, Dial, Tcp},
    },
    limits,
    proto::{
        self, ApplyRequest, Facts, ListChangesRequest, ReceiveRequest, ReceiveResponse,
        RecordedChange, SignedChange, SubmitRequest, SubmitResponse,
        audit_service_client::AuditServiceClient, directory_service_client::DirectoryServiceClient,
        exchange_service_client::ExchangeServiceClient, status_service_client::StatusServiceClient,
    },
};
use compose::Composer;
use folder::{FolderError, SystemFolder};
use proved::{Proof, commits};

/// Why the exchange did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It said no; mend what the text says.
    #[error("{message}")]
    Refused {
        /// The stable code.
        code: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// It cannot be reached, is busy, or does not know: the same again, later.
    #[error("not answered yet: {0}")]
    Again(String),
    /// What it answered is not what it should be.
    #[error("the exchange answered what cannot be: {0}")]
    Suspect(String),
    /// The system's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Certificates or the connection.
    #[error(transparent)]
    Identity(#[from] identity::Error),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unavailable
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Unknown
            | Code::Internal => Self::Again(status.message().to_owned()),
            _ => {
                let info = status.get_details_error_info();
                let code = info.and_then(|info| info.metadata.get("code").cloned());
                let code = code.unwrap_or_else(|| format!("{:?}", status.code()));
                Self::Refused { code, message: status.message().to_owned() }
            }
        }
    }
}

/// The audit service of a connected client.
pub type AuditClient = AuditServiceClient<Channel>;

/// The exchange service of a connected client.
pub type ExchangeClient = ExchangeServiceClient<Channel>;

/// One system of an agency, connected.
#[derive(Clone)]
pub struct Client {
    folder: Arc<SystemFolder>,
    channel: Channel,
    directory: Arc<RwLock<Arc<Directory>>>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// Connects when it is first used, and again whenever it must.
    ///
    /// # Errors
    /// If certificates or the address cannot be used.
    pub fn new(folder: SystemFolder) -> Result<Self, ClientError> {
        Self::over(folder, Tcp, Arc::new(SystemClock))
    }

    /// The same by another clock than the machine's.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn by(folder: SystemFolder, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        Self::over(folder, Tcp, clock)
    }

    /// The same over another network than TCP, by another clock than the machine's.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn over(
        folder: SystemFolder,
        dial: impl Dial,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let settings = &folder.settings;
        let unusable = |reason: &dyn ToString| {
            ClientError::Again(format!("{}: {}", settings.server, reason.to_string()))
        };
        let name =
            ServerName::try_from(settings.server_name.clone()).map_err(|error| unusable(&error))?;
        let config =
            tls::client_config(&folder.ca(), &folder.certificate(), &folder.certificate_key())?;
        let config = tls::judged_by(config, Arc::clone(&clock));
        let connector = TlsConnector::new(config).over(dial).expecting(name);
        let uri: Uri =
            format!("http://{}", settings.server).parse().map_err(|error| unusable(&error))?;
        let channel = Endpoint::from(uri)
            .http2_keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEP_ALIVE_TIME_MAX)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .connect_with_connector_lazy(connector);
        let directory = Directory::of(settings.exchange.as_str());
        let directory = Arc::new(RwLock::new(Arc::new(directory)));
        Ok(Self { folder: Arc::new(folder), channel, directory, clock })
    }

    /// The system's folder.
    pub fn folder(&self) -> &SystemFolder {
        &self.folder
    }

    /// Who is who, as this client has checked it.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Fetches the directory's changes since the last time and judges each. A change
    /// that its parties have not signed stops the fold: nothing is sealed to it.
    ///
    /// # Errors
    /// [`ClientError::Suspect`] for such a change.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        let mut directory = self.directory();
        loop {
            let after = directory.as_of().checked_sub(1);
            let request = ListChangesRequest { after, page_size: 0 };
            let mut service = DirectoryServiceClient::new(self.channel.clone())
                .max_decoding_message_size(limits::DIRECTORY_PAGE_BYTES_MAX);
            let page = service.list_changes(request).await?.into_inner();
            for recorded in page.changes {
                let entry = recorded.entry;
                let (change, at) = self.proved(recorded)?;
                let directory = Arc::make_mut(&mut directory);
                directory.judge(&change, at).map_err(|refusal| {
                    ClientError::Suspect(format!("directory entry {entry}: {refusal}"))
                })?;
                directory.apply(entry, &change);
            }
            if !page.more {
                break;
            }
        }
        *self.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner) = directory;
        Ok(())
    }

    /// A directory change and its entry's time, if it is proved to be in the ledger: a
    /// directory made up for one client would have to be there for everyone to see.
    fn proved(&self, recorded: RecordedChange) -> Result<(SignedChange, Moment), ClientError> {
        let change = recorded.change.unwrap_or_default();
        let proof =
            Proof { entry: recorded.entry, tlog_proof: &recorded.tlog_proof, leaf: &recorded.leaf };
        let leaf = proof.verify(&self.folder.vkey).map_err(ClientError::Suspect)?;
        match commits(&leaf.detail, &proto::encode(&change), &recorded.detail_opening) {
            true => Ok((change, Moment(leaf.time_unix_ns))),
            false => Err(suspect(&"a directory change is not the one in the ledger")),
        }
    }

    /// Calls `make` with a composer of this moment.
    pub fn compose<T>(&self, make: impl FnOnce(&Composer<'_>) -> T) -> T {
        let directory = self.directory();
        make(&Composer::new(&self.folder, &directory, self.clock.now()))
    }

    /// Submits an envelope once, and verifies the receipt before it believes it.
    ///
    /// # Errors
    /// [`ClientError`]. On [`ClientError::Again`] send the very same envelope again.
    pub async fn submit(&self, envelope: &[u8]) -> Result<SubmitResponse, ClientError> {
        let request = SubmitRequest { envelope: envelope.to_vec(), validate_only: false };
        let response = self.exchange().submit(request).await?.into_inner();
        self.verify(envelope, &response)?;
        Ok(response)
    }

    /// Submits an envelope until it is accepted or refused, waiting longer each time,
    /// at most `limits::RETRY_DELAY_MAX` between two.
    ///
    /// # Errors
    /// [`ClientError::Refused`] or [`ClientError::Suspect`].
    pub async fn submit_until_answered(
        &self,
        envelope: &[u8],
    ) -> Result<SubmitResponse, ClientError> {
        let mut delay = limits::BUSY_DELAY;
        loop {
            match self.submit(envelope).await {
                Err(ClientError::Again(reason)) => {
                    tracing::info!(reason, "sending it again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(limits::RETRY_DELAY_MAX);
                }
                answered => return answered,
            }
        }
    }

    /// A receipt must prove, under the ledger's key that this folder has, that facts of
    /// our own and this very envelope are in the ledger. The receipt of a repeat proves
    /// the envelope that was accepted first, which may have been sealed otherwise.
    ///
    /// # Errors
    /// [`ClientError::Suspect`], which says what does not fit.
    pub fn verify(&self, envelope: &[u8], response: &SubmitResponse) -> Result<(), ClientError> {
        let receipt = response.receipt.as_ref().ok_or_else(|| suspect(&"there is no receipt"))?;
        let (entry, tlog_proof) = (receipt.entry, &receipt.tlog_proof);
        let proof = Proof { entry, tlog_proof, leaf: &receipt.leaf };
        let leaf = proof.verify(&self.folder.vkey).map_err(ClientError::Suspect)?;
        let facts: Facts = proto::decode(&receipt.facts).map_err(|error| suspect(&error))?;
        let own = facts.sender == self.folder.settings.agency.as_str()
            && commits(&leaf.facts, &receipt.facts, &receipt.facts_opening);
        let this = response.duplicate || commits(&leaf.detail, envelope, &receipt.detail_opening);
        match own && this {
            true => Ok(()),
            false => Err(suspect(&"the receipt is for something else")),
        }
    }

    /// Receives what waits and what comes.
    ///
    /// # Errors
    /// [`ClientError`]; call again to go on.
    pub async fn receive(
        &self,
        inboxes: Vec<String>,
    ) -> Result<Streaming<ReceiveResponse>, ClientError> {
        Ok(self.exchange().receive(ReceiveRequest { inboxes }).await?.into_inner())
    }

    /// Applies a change of the directory.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn apply(&self, signed: SignedChange) -> Result<u64, ClientError> {
        let SignedChange { change, signatures } = signed;
        let request = ApplyRequest { change, signatures };
        Ok(DirectoryServiceClient::new(self.channel.clone())
            .apply(request)
            .await?
            .into_inner()
            .entry)
    }

    /// The exchange service, for calls that have no method of their own here.
    pub fn exchange(&self) -> ExchangeClient {
        ExchangeServiceClient::new(self.channel.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// The directory service, for calls that have no method of their own here.
    pub fn directory_service(&self) -> DirectoryServiceClient<Channel> {
        DirectoryServiceClient::new(self.channel.clone())
            .max_decoding_message_size(limits::DIRECTORY_PAGE_BYTES_MAX)
    }

    /// The status service.
    pub fn status(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// The audit service.
    pub fn audit(&self) -> AuditClient {
        AuditServiceClient::new(self.channel.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }
}

fn suspect(error: &dyn ToString) -> ClientError {
    ClientError::Suspect(error.to_string())
}

/// Now, by this machine's clock.
pub fn now() -> Moment {
    SystemClock.now()
}
