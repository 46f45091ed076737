//! The doors: of the gRPC port, where systems come, and of the console, where browsers do.
//! Accepts, bounds, identifies and, when it must, cuts connections.
//!
//! Takes a bound socket, or another [`Acceptor`], the trust in force and an HTTP service; each
//! request of a system reaches the service with its `Arc<Peer>` in the extensions, and only while
//! the peer's certificate holds.
//! Holds: I2, I10, I12. Knows: identity, clock, limits.

mod browser;
mod connection;
mod descriptors;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use rustls::NamedGroup;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::clock::Clock;
use crate::identity::{Peer, Trust};
use crate::limits;
use connection::Connection;
pub use descriptors::within_descriptors;

/// What a service may fail with; hyper resets the stream then.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What answers the requests of a connection: any such service.
pub trait HttpService:
    Service<Request<Incoming>, Response = Response<Self::Said>, Error: Into<BoxError>, Future: Send>
    + Clone
    + Send
    + 'static
{
    /// The body of an answer.
    type Said: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Said = B;
}

/// The bounds of one listener that differ between machines and tests; the rest is in `limits`.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open connections, handshakes included.
    pub connections_max: usize,
    /// Open connections from one IPv4 address or one IPv6 /64.
    pub per_address_max: usize,
    /// From accepting a connection to its first byte of HTTP/2.
    pub handshake_time_max: Duration,
    /// How long open requests may go on after the shutdown.
    pub drain_time_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            handshake_time_max: limits::HANDSHAKE_TIME_MAX,
            drain_time_max: limits::DRAIN_TIME_MAX,
        }
    }
}

/// What has happened at the door since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted from the operating system, those refused at once included.
    pub accepted: AtomicU64,
    /// Connections refused because there were too many.
    pub refused_by_limit: AtomicU64,
    /// Handshakes that failed, came too late, or did not lead to HTTP/2.
    pub handshake_failures: AtomicU64,
    /// Connections with a good certificate that names no system of this exchange.
    pub no_identity: AtomicU64,
    /// Connections ended because their certificate no longer held.
    pub revoked_cut: AtomicU64,
    /// Connections open now, after their handshake.
    pub open: AtomicU64,
    /// Handshakes that agreed on the post-quantum hybrid X25519MLKEM768.
    pub group_x25519mlkem768: AtomicU64,
    /// Handshakes that agreed on X25519.
    pub group_x25519: AtomicU64,
    /// Handshakes that agreed on another group.
    pub group_other: AtomicU64,
}

impl Counters {
    /// Handshakes by the name of the group they agreed on.
    pub fn groups(&self) -> [(&'static str, u64); 3] {
        [
            ("X25519MLKEM768", self.group_x25519mlkem768.load(Relaxed)),
            ("X25519", self.group_x25519.load(Relaxed)),
            ("other", self.group_other.load(Relaxed)),
        ]
    }

    fn count_group<T>(&self, stream: &TlsStream<T>) {
        let group = stream.get_ref().1.negotiated_key_exchange_group();
        match group.map(|group| group.name()) {
            Some(NamedGroup::X25519MLKEM768) => &self.group_x25519mlkem768,
            Some(NamedGroup::X25519) => &self.group_x25519,
            _ => &self.group_other,
        }
        .fetch_add(1, Relaxed);
    }
}

/// Where connections come from: a TCP socket, or what stands for one in a simulated network.
pub trait Acceptor: Send + Sync + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, and where it comes from. Small writes on it must not be kept back.
    ///
    /// # Errors
    /// What the system says; it is then asked again.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Acceptor for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Who comes to a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comers {
    /// Systems, with client certificates, over HTTP/2.
    Systems,
    /// Browsers, without, over HTTP/2 or 1.1.
    Browsers,
    /// Browsers, without TLS: from this very machine.
    BrowsersInTheClear,
}

/// Who is told of each system that comes in.
pub type Greeter = Arc<dyn Fn(&Peer) + Send + Sync>;

/// A door that is set up but not yet open.
#[derive(Clone)]
pub struct Listener {
    /// Who comes.
    pub comers: Comers,
    /// Whom to trust; looked at again for each connection and request.
    pub trust: Arc<Trust>,
    /// How much to take.
    pub limits: ConnectionLimits,
    /// Where to count.
    pub counters: Arc<Counters>,
    /// The clock, for the end of certificates.
    pub clock: Arc<dyn Clock>,
    /// Who is told that a system has come in, if anybody.
    pub greeter: Option<Greeter>,
}

impl Listener {
    /// Serves every connection to `socket` with a clone of `service`, until `shutdown`.
    ///
    /// Then it accepts no more, tells every peer to go (GOAWAY), lets open requests finish for
    /// `drain_time_max`, cuts what is left, and returns. Dropped, it cuts everything at once.
    pub async fn serve<A, S>(self, socket: A, service: S, shutdown: CancellationToken)
    where
        A: Acceptor,
        S: HttpService,
    {
        let cut = CancellationToken::new();
        let _cut_when_dropped = cut.clone().drop_guard();
        let admission = Admission::new(&self.limits);
        let connections = TaskTracker::new();
        while let Some((stream, address)) = next(&socket, &shutdown).await {
            self.counters.accepted.fetch_add(1, Relaxed);
            let Some(place) = admission.place(address) else {
                self.counters.refused_by_limit.fetch_add(1, Relaxed);
                continue;
            };
            let connection = Connection { door: self.clone(), shutdown: shutdown.clone() };
            let (service, cut) = (service.clone(), cut.clone());
            connections.spawn(async move {
                let _place = place;
                let serving = async {
                    match connection.door.comers {
                        Comers::Systems => connection.serve(stream, service).await,
                        Comers::Browsers => connection.serve_browser(stream, service).await,
                        Comers::BrowsersInTheClear => connection.speak_http(stream, service).await,
                    }
                };
                cut.run_until_cancelled_owned(serving).await;
            });
        }
        drop(socket);
        connections.close();
        if timeout(self.limits.drain_time_max, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "cutting connections that did not finish");
            cut.cancel();
            connections.wait().await;
        }
    }

    fn now_unix(&self) -> u64 {
        u64::try_from(self.clock.now().unix_seconds()).unwrap_or(0)
    }
}

/// The next connection; none once `shutdown` is cancelled.
async fn next<A: Acceptor>(
    socket: &A,
    shutdown: &CancellationToken,
) -> Option<(A::Stream, SocketAddr)> {
    loop {
        let error = match shutdown.run_until_cancelled(socket.accept()).await? {
            Ok(accepted) => return Some(accepted),
            Err(error) => error,
        };
        // The first two are about a connection that went away; the rest are about us, and asking
        // again at once (no descriptors left, say) would only burn the processor.
        use io::ErrorKind::{ConnectionAborted, ConnectionReset};
        if !matches!(error.kind(), ConnectionAborted | ConnectionReset) {
            tracing::warn!(%error, "cannot accept connections");
            shutdown.run_until_cancelled(sleep(limits::ACCEPT_PAUSE)).await?;
        }
    }
}

/// Who may come in, by number.
pub struct Admission {
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// A connection's place, given back when dropped.
pub struct Place {
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Admission {
    /// As many as the bounds say.
    pub fn new(limits: &ConnectionLimits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections_max)),
            by_address: Arc::default(),
            per_address_max: limits.per_address_max,
        }
    }

    /// A place for a connection from this address, if there is one.
    pub fn place(&self, from: SocketAddr) -> Option<Place> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let address = counted_as(from.ip());
        let mut by_address = lock(&self.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        Some(Place { by_address: self.by_address.clone(), address, _place: place })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = lock(&self.by_address);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Counts are right whatever a panicking thread left: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One IPv6 host has a whole /64 to choose its addresses from.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests;
