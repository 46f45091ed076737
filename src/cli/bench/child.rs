//! Programs measured from outside: started, watched, and ended when dropped.
//!
//! What a process has used is read from `/proc`, so that the server's share and the client's can
//! be told apart although they run on the same cores.
//!
//! Knows: nothing.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

/// How long a program may take to answer for the first time.
const START_TIME_MAX: Duration = Duration::from_secs(900);
/// How long it may take to end in order.
const STOP_TIME_MAX: Duration = Duration::from_secs(120);
/// Between two looks at a program that is starting or ending.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// The unit in which Linux tells programs of processor time: `USER_HZ`, fixed by its interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// This program again, as another process.
pub(super) struct Child {
    process: std::process::Child,
    traces: PathBuf,
}

impl Child {
    /// Starts `cairn` with these words; what it traces goes to a file. Its standard input stays
    /// open for as long as we live.
    pub(super) fn start(words: &[&str], traces: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own file")?;
        let kept = File::options().create(true).append(true).open(traces)?;
        let process = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(kept)
            .spawn()
            .with_context(|| format!("cannot start cairn {}", words.join(" ")))?;
        Ok(Self { process, traces: traces.to_path_buf() })
    }

    /// Waits until it accepts connections at `address`; gives the connection.
    pub(super) fn listening(&mut self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        let bound = Instant::now() + START_TIME_MAX;
        loop {
            if let Ok(stream) = TcpStream::connect(address) {
                return Ok(stream);
            }
            self.must_run()?;
            ensure!(Instant::now() < bound, "it did not begin to listen on {address}");
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until it says at its operators' port that it is ready.
    pub(super) fn ready(&mut self, metrics: SocketAddr) -> anyhow::Result<()> {
        let stream = self.listening(metrics)?;
        let answer = ask(stream, "/readyz");
        self.must_run()?;
        let answer = answer.context("it did not say whether it is ready")?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "it is not ready: {answer}");
        Ok(())
    }

    /// Fails, with what it said last, if it has ended.
    pub(super) fn must_run(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.try_wait()? else { return Ok(()) };
        let said = fs::read_to_string(&self.traces).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        bail!("a measured program ended ({status}): {}", last.join(" | "))
    }

    /// What it uses now.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(&self.process.id().to_string())
    }

    /// Ends it in order.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.process.id().to_string();
        // The shell has it built in; no crate of ours sends signals.
        let told = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &pid]).status()?;
        ensure!(told.success(), "a measured program could not be told to stop");
        let bound = Instant::now() + STOP_TIME_MAX;
        loop {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "a measured program did not end in order: {status}");
                return Ok(());
            }
            ensure!(Instant::now() < bound, "a measured program did not stop");
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Ends it as a loss of power would.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Processor time since its start, all threads, seconds.
    pub(super) cpu: f64,
    /// Resident memory, bytes.
    pub(super) resident: u64,
    /// The most it was resident, bytes.
    pub(super) resident_most: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
}

impl Usage {
    /// Of this process.
    pub(super) fn own() -> anyhow::Result<Self> {
        Self::of("self")
    }

    fn of(pid: &str) -> anyhow::Result<Self> {
        let folder = Path::new("/proc").join(pid);
        let stat = fs::read_to_string(folder.join("stat")).context("/proc: is this Linux?")?;
        // The name before the last parenthesis may hold anything.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("/proc: an unknown form of stat")?;
        let status = fs::read_to_string(folder.join("status"))?;
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |name| kibibytes(name).map(|kib| kib * 1_024).context("/proc: no memory");
        Ok(Self {
            cpu: (user + system) / TICKS_PER_SECOND,
            resident: bytes("VmRSS")?,
            resident_most: bytes("VmHWM")?,
            descriptors: fs::read_dir(folder.join("fd"))?.count() as u64,
        })
    }
}

/// A counter or gauge of an exchange's `/metrics`.
pub(super) fn metric(metrics: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let stream = TcpStream::connect(metrics).with_context(|| metrics.to_string())?;
    let answer = ask(stream, "/metrics")?;
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.with_context(|| format!("{metrics}: /metrics does not have {name}"))
}

fn ask(mut stream: TcpStream, path: &str) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(START_TIME_MAX))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A port of loopback that nobody has now.
pub(super) fn free_port() -> anyhow::Result<SocketAddr> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port on loopback")?;
    Ok(socket.local_addr()?)
}
