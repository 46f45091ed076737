//! The measurement: so many connections, so many messages in flight on each, and what came of it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::time::timeout;

use crate::link::{self, Link};
use crate::{nats::Nats, postgres::Postgres, rabbitmq::RabbitMq, redis::Redis};

const POOL_BYTES: usize = 1 << 20;
/// No answer for so long is a failure, not a slow server.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, ValueEnum)]
pub enum Peer {
    Nats,
    Postgres,
    Rabbitmq,
    Redis,
}

#[derive(Args)]
pub struct Load {
    peer: Peer,
    /// The server's port on the loopback address.
    #[arg(long)]
    port: u16,
    /// A folder of certificates: TLS.
    #[arg(long)]
    tls: Option<PathBuf>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Messages in flight on each connection.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// A message, in bytes.
    #[arg(long, default_value_t = 4_096)]
    bytes: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// What the row is called.
    #[arg(long)]
    name: String,
}

/// One server's protocol. Requests go into a buffer; answers come out of the link.
pub trait Protocol: Send {
    /// Puts one message into `out`.
    fn put(&mut self, message: &[u8], out: &mut Vec<u8>);
    /// Takes whole answers from the link; gives how many messages the server now says it has. What
    /// it must say in turn goes into `out`.
    fn acknowledged(&mut self, link: &mut Link, out: &mut Vec<u8>) -> Result<usize>;
}

/// What one measurement gave.
#[derive(Serialize)]
pub struct Measured {
    name: String,
    tls: bool,
    connections: usize,
    in_flight: usize,
    message_bytes: usize,
    seconds: f64,
    /// Messages acknowledged in those seconds.
    acknowledged: usize,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of the machine's cores, what the client used.
    client_cores: f64,
}

struct Run {
    /// Answers count from here…
    from: Instant,
    /// …to here.
    until: Instant,
    stop: AtomicBool,
    pool: Vec<u8>,
    bytes: usize,
    window: usize,
}

impl Load {
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let measured = runtime.block_on(self.measure())?;
        println!("{}", serde_json::to_string(&measured)?);
        Ok(())
    }

    async fn measure(self) -> Result<Measured> {
        let tls = self.tls.as_deref().map(link::tls).transpose()?;
        let mut links = Vec::new();
        for number in 0..self.connections {
            let link = Link::open(self.port, tls.clone()).await?;
            links.push(timeout(SILENCE_MAX, open(self.peer, link, number)).await??);
        }
        let from = Instant::now() + Duration::from_secs_f64(self.warm_up);
        let until = from + Duration::from_secs_f64(self.seconds);
        let (bytes, window) = (self.bytes, self.window);
        let stop = AtomicBool::new(false);
        let run = Arc::new(Run { from, until, stop, pool: pool(), bytes, window });
        let tasks: Vec<_> = links
            .into_iter()
            .map(|(link, protocol)| tokio::spawn(connection(link, protocol, run.clone())))
            .collect();
        tokio::time::sleep_until(from.into()).await;
        let cpu_before = cpu()?;
        tokio::time::sleep_until(until.into()).await;
        let cpu = cpu()? - cpu_before;
        run.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            times.get(place.min(times.len().saturating_sub(1))).map_or(0.0, |time| ms(*time))
        };
        Ok(Measured {
            name: self.name,
            tls: self.tls.is_some(),
            connections: self.connections,
            in_flight: self.connections * self.window,
            message_bytes: self.bytes,
            seconds: self.seconds,
            acknowledged: times.len(),
            per_second: times.len() as f64 / self.seconds,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            client_cores: cpu / self.seconds,
        })
    }
}

async fn open(peer: Peer, link: Link, number: usize) -> Result<(Link, Box<dyn Protocol>)> {
    Ok(match peer {
        Peer::Nats => boxed(Nats::open(link, number).await?),
        Peer::Postgres => boxed(Postgres::open(link, number).await?),
        Peer::Rabbitmq => boxed(RabbitMq::open(link).await?),
        Peer::Redis => boxed(Redis::open(link).await?),
    })
}

fn boxed<P: Protocol + 'static>((link, protocol): (Link, P)) -> (Link, Box<dyn Protocol>) {
    (link, Box::new(protocol))
}

/// Keeps the window full until it is told to stop, then waits for what is under way.
async fn connection(
    mut link: Link,
    mut protocol: Box<dyn Protocol>,
    run: Arc<Run>,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut sent: VecDeque<Instant> = VecDeque::new();
    let mut out = Vec::new();
    let mut number = 0usize;
    loop {
        let stopping = run.stop.load(Ordering::Relaxed);
        if stopping && sent.is_empty() {
            return Ok(times);
        }
        while !stopping && sent.len() < run.window {
            // No two messages alike, so that nothing can be gained by compressing.
            let at = number.wrapping_mul(4_099) % (POOL_BYTES - run.bytes);
            protocol.put(&run.pool[at..at + run.bytes], &mut out);
            sent.push_back(Instant::now());
            number += 1;
        }
        if !out.is_empty() {
            link.send(&out).await?;
            out.clear();
        }
        let acknowledged = protocol.acknowledged(&mut link, &mut out)?;
        if acknowledged == 0 && out.is_empty() {
            timeout(SILENCE_MAX, link.more()).await.context("the server fell silent")??;
        }
        let now = Instant::now();
        for _ in 0..acknowledged {
            let begun = sent.pop_front().context("more answers than messages")?;
            if (run.from..run.until).contains(&now) {
                times.push(now - begun);
            }
        }
    }
}

/// Bytes that look like chance.
fn pool() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..POOL_BYTES / 8).flat_map(|_| next()).collect()
}

/// Processor seconds that this program has used, as Linux counts them: in hundredths.
fn cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold spaces; user and system time are the 12th and 13th after it.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
