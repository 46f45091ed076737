//! One POST: signed, bounded, and following nothing.
//!
//! Signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`:
//! `v1,` and the base64 of HMAC-SHA-256 over id, timestamp and body, a full stop between them), so
//! that who takes it can tell it from a forgery and a repeat from a new one.
//!
//! Holds: I10, I12. Knows: crypto, identity, config, clock, limits.

use std::{fs, sync::Arc};

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Failure, is_here, notice::Notice, shapes};
use crate::{
    clock::Moment,
    config::{ChannelKind, ChannelSettings},
    crypto::tag::WebhookSecret,
    identity::{TlsClient, tls},
    limits,
};

/// Where to, and how.
pub(super) struct Web {
    kind: ChannelKind,
    url: Uri,
    host: String,
    port: u16,
    /// None: in the clear, on this machine.
    tls: Option<Arc<TlsClient>>,
    secret: WebhookSecret,
    routing_key: String,
}

impl Web {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, String> {
        let url: Uri = settings.url.parse().map_err(|_| "url is no address".to_owned())?;
        let host = url.host().ok_or("url names no host")?.trim_matches(['[', ']']).to_owned();
        let tls = match url.scheme_str() {
            Some("https") => {
                Some(tls::web_client(&settings.ca).map_err(|error| error.to_string())?)
            }
            Some("http") if is_here(&host) => None,
            _ => return Err("url must begin with https://, or http:// on this machine".into()),
        };
        let port = url.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let secret = secret(settings.secret.as_deref(), "secret")?;
        let secret = WebhookSecret::parse(&secret).ok_or(
            "secret must hold whsec_ and the base64 of 24 to 64 random bytes, in one line",
        )?;
        let routing_key = match settings.kind {
            ChannelKind::PagerDuty => self::secret(settings.routing_key.as_deref(), "routing_key")?,
            _ => String::new(),
        };
        Ok(Self { kind: settings.kind, url, host, port, tls, secret, routing_key })
    }

    /// Posts one notice; taken if the answer is a 2xx.
    pub(super) async fn tell(&self, notice: &Notice, now: Moment) -> Result<(), Failure> {
        let (content, body) = shapes::body(self.kind, notice, &self.routing_key);
        let id = notice.id();
        let timestamp = now.seconds().to_string();
        let signature = self.secret.sign(&id, &timestamp, &body);
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let request = Request::post(path)
            .header(header::HOST, authority.rsplit('@').next().unwrap_or(authority))
            .header(header::CONTENT_TYPE, content)
            .header(header::USER_AGENT, concat!("cairn/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", format!("v1,{signature}"))
            .body(Full::new(bytes::Bytes::from(body)))
            .map_err(|error| Failure::Channel(error.to_string()))?;
        let (status, to) = self.ask(request).await.map_err(Failure::Channel)?;
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(Failure::Redirect(to)),
            // Too many, or too slow, is about the channel; other refusals are about the notice.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Channel(format!("it answers {status}")))
            }
            status if status.is_client_error() => {
                Err(Failure::Notice(format!("it answers {status}")))
            }
            status => Err(Failure::Channel(format!("it answers {status}"))),
        }
    }

    /// The status of the answer, and where it would send us.
    async fn ask(
        &self,
        request: Request<Full<bytes::Bytes>>,
    ) -> Result<(StatusCode, String), String> {
        match &self.tls {
            Some(client) => {
                let to = (self.host.as_str(), self.port);
                let stream = client.connect(to).await.map_err(|error| error.to_string())?;
                exchange(stream, request).await
            }
            None => {
                let to = (self.host.as_str(), self.port);
                let stream = TcpStream::connect(to).await.map_err(|error| error.to_string())?;
                exchange(stream, request).await
            }
        }
    }
}

async fn exchange<T>(
    stream: T,
    request: Request<Full<bytes::Bytes>>,
) -> Result<(StatusCode, String), String>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = answer.into_parts();
    // Read to its end, so that a slow answer is one; more than that nobody wants to know.
    drop(Limited::new(body, limits::NOTIFY_ANSWER_BYTES_MAX).collect().await);
    let to = parts.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
    let host = to.and_then(|to| to.parse::<Uri>().ok()?.host().map(str::to_owned));
    Ok((parts.status, host.unwrap_or_default()))
}

/// A secret is in a file of its own, never in the settings.
fn secret(path: Option<&std::path::Path>, what: &str) -> Result<String, String> {
    let path = path.ok_or_else(|| format!("{what} must name a file"))?;
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim().to_owned())
}
