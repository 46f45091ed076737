//! The product's sockets, as hosts of a simulated network have them, and its time.
//!
//! Simulated time stands still while a step runs and goes on between two steps. The committer is
//! a real thread that waits for a real disk; it asks for the time once for each batch, and there
//! it is held until the step is over. So what a step queues is committed between that step and
//! the next, however fast or slow the disk is, and answered in the next.

use std::{
    io,
    net::SocketAddr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use cairn::{
    clock::{Clock, Moment},
    identity::tls::Dial,
    listener::Acceptor,
};
use turmoil::net::{TcpListener, TcpStream};

/// The exchange's listening socket.
pub struct Door(pub TcpListener);

impl Acceptor for Door {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// How agencies reach it.
#[derive(Clone, Copy)]
pub struct Wire;

impl Dial for Wire {
    type Stream = TcpStream;

    async fn dial(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect((host, port)).await
    }
}

/// The time of every host, and the gate at which committers wait.
pub struct Time {
    begin: Moment,
    state: Mutex<State>,
    opened: Condvar,
}

struct State {
    elapsed: Duration,
    shut: bool,
}

impl Time {
    pub fn beginning(begin: Moment) -> Self {
        let state = State { elapsed: Duration::ZERO, shut: false };
        Self { begin, state: Mutex::new(state), opened: Condvar::new() }
    }

    /// How long the simulation has gone on.
    pub fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    /// Holds whoever commits.
    pub fn shut(&self) {
        self.lock().shut = true;
    }

    /// A step is over.
    pub fn set(&self, elapsed: Duration) {
        self.lock().elapsed = elapsed;
    }

    /// Lets them go on.
    pub fn open(&self) {
        self.lock().shut = false;
        self.opened.notify_all();
    }

    /// Ready once the simulation has gone on for this long.
    pub async fn until(&self, elapsed: Duration) {
        while let Some(left) = elapsed.checked_sub(self.elapsed()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Time {
    fn now(&self) -> Moment {
        let mut state = self.lock();
        if thread::current().name() == Some("committer") {
            state = self
                .opened
                .wait_while(state, |state| state.shut)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Moment(self.begin.0 + u64::try_from(state.elapsed.as_nanos()).unwrap())
    }
}
