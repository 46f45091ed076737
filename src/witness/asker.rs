//! The exchange's question to one witness: HTTPS, bounded, one at a time.
//!
//! Takes what the settings say of a witness; gives its answer to an add-checkpoint, the cosignature
//! only if it is good.
//!
//! Holds: I4, I10. Knows: identity, ledger, config, limits.

use std::sync::Arc;

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    task::JoinSet,
    time::{Duration, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    config::WitnessSettings,
    identity::{TlsClient, tls},
    ledger::{
        add_checkpoint::AddCheckpoint,
        note::{Note, SignatureLine, Vkey},
    },
    limits,
};

/// Why a witness cannot be asked as it is set up.
#[derive(Debug, thiserror::Error)]
#[error("witness `{name}`: {fault}")]
pub struct SetupError {
    /// The witness.
    pub name: String,
    /// What is wrong, for people.
    pub fault: String,
}

/// A witness to ask. Clones share it.
#[derive(Clone)]
pub struct Asker {
    name: String,
    vkey: Vkey,
    url: Uri,
    host: String,
    tls: Arc<TlsClient>,
}

/// What a witness answers.
#[derive(Debug)]
pub(super) enum Answered {
    /// Its line, which is good.
    Cosigned(SignatureLine),
    /// What it cosigned last has this size.
    Conflict(u64),
    /// It does not cosign: the status, and why.
    Refused(u16, String),
}

/// What a witness says at the start.
#[derive(Debug)]
pub struct Seen {
    /// The witness.
    pub name: String,
    /// How many entries it has cosigned; or why that is not known.
    pub size: Result<u64, String>,
}

impl Asker {
    /// The witness of these settings.
    ///
    /// # Errors
    /// [`SetupError`], which says what to mend.
    pub fn new(settings: &WitnessSettings) -> Result<Self, SetupError> {
        let fail = |fault: String| SetupError { name: settings.name.to_string(), fault };
        let url: Uri = settings.url.parse().map_err(|_| fail("url is no address".into()))?;
        let host = url.host().ok_or_else(|| fail("url names no host".into()))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let tls = tls::web_client(&settings.ca).map_err(|error| fail(error.to_string()))?;
        let vkey = settings.vkey.0.clone();
        Ok(Self { name: settings.name.to_string(), vkey, url, host, tls })
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its key.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// Asks it to cosign, in the time allowed.
    pub(super) async fn add(&self, request: &AddCheckpoint) -> Result<Answered, String> {
        let (status, body) = self.post(request.to_bytes(), limits::WITNESS_TIME_MAX).await?;
        let text = String::from_utf8_lossy(&body);
        match status {
            StatusCode::OK => self.good_line(request, &text).map(Answered::Cosigned),
            StatusCode::CONFLICT => match text.trim_end_matches('\n').parse() {
                Ok(size) => Ok(Answered::Conflict(size)),
                Err(_) => Err("it answers 409 without a size".into()),
            },
            status if status.is_client_error() => {
                let why = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
                Ok(Answered::Refused(status.as_u16(), why))
            }
            status => Err(format!("it answers {status}")),
        }
    }

    /// Posts a body to its add-checkpoint; gives the status and the answer.
    ///
    /// # Errors
    /// What stood in the way, for people.
    pub async fn post(
        &self,
        body: Vec<u8>,
        time_max: Duration,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let path = format!("{}/add-checkpoint", self.url.path().trim_end_matches('/'));
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let request = Request::post(path)
            .header(header::HOST, authority.rsplit('@').next().unwrap_or(authority))
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::USER_AGENT, concat!("cairn/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Full::new(bytes::Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        match timeout(time_max, self.exchange(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {} seconds", time_max.as_secs())),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<bytes::Bytes>>,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let to = (self.host.as_str(), self.url.port_u16().unwrap_or(443));
        let stream = self.tls.connect(to).await.map_err(|error| error.to_string())?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, limits::WITNESS_ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((parts.status, body.to_vec()))
    }

    /// The line of its key, if it is good for the checkpoint that was sent.
    fn good_line(&self, request: &AddCheckpoint, text: &str) -> Result<SignatureLine, String> {
        let mut note = Note::parse(&request.checkpoint).map_err(|error| error.to_string())?;
        let lines = text.lines().filter_map(|line| SignatureLine::parse(line).ok());
        for line in lines {
            if note.add(line.clone(), &self.vkey).is_ok() {
                return Ok(line);
            }
        }
        Err("its answer is not cosigned by its key".into())
    }
}

/// What each witness has seen, asked all at once with a checkpoint of the empty tree: that goes on
/// from nothing, so whoever has cosigned more answers with its size.
pub async fn seen(askers: &[Asker], empty: &[u8]) -> Vec<Seen> {
    let mut asking = JoinSet::new();
    for asker in askers.iter().cloned() {
        let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: empty.to_vec() };
        asking.spawn(async move {
            let answer = timeout(limits::WITNESS_START_TIME_MAX, asker.add(&request)).await;
            let size = match answer {
                Ok(Ok(Answered::Cosigned(_))) => Ok(0),
                Ok(Ok(Answered::Conflict(size))) => Ok(size),
                Ok(Ok(Answered::Refused(status, why))) => {
                    Err(format!("it answers {status}: {why}"))
                }
                Ok(Err(fault)) => Err(fault),
                Err(_) => Err("no answer in time".to_owned()),
            };
            Seen { name: asker.name, size }
        });
    }
    asking.join_all().await
}
