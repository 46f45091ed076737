//! The real program in a process of its own, its traces kept, its end in our hands.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use cairn::proto::GetSummaryRequest;
use tokio::time::timeout;

use crate::support::{World, launch};

/// Far more than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `cairn serve` on a world's exchange; killed when dropped.
pub struct Process {
    child: Child,
    traces: PathBuf,
}

impl Process {
    /// Starts it and waits until it answers. The world's own server must be stopped.
    pub async fn serve(world: &World) -> Self {
        Self::serve_under(world, &[]).await
    }

    /// The same with another program in front, such as `strace`.
    pub async fn serve_under(world: &World, wrapper: &[String]) -> Self {
        let mut process = Self::start(world, wrapper);
        assert!(process.comes_up(world).await, "it ended: {}", process.traces());
        process
    }

    /// Starts it without waiting.
    pub fn start(world: &World, wrapper: &[String]) -> Self {
        let folder = world.folder.path();
        let config = folder.join("cairn.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("metrics = \"127.0.0.1:7480\"\n", "")).unwrap();
        let traces = folder.join("traces.jsonl");
        let kept = File::options().create(true).append(true).open(&traces).unwrap();
        let program = [env!("CARGO_BIN_EXE_cairn"), "serve", "--config"].map(str::to_owned);
        let words = [wrapper, &program].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(&config).stdout(Stdio::null()).stderr(kept);
        // Out of memory, a backtrace asks for more and waits for itself.
        command.env("RUST_BACKTRACE", "0");
        let child =
            launch::spawn(&mut command).unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        Self { child, traces }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.ended();
    }

    /// SIGTERM; waits for the orderly end.
    pub fn stop(mut self) {
        self.terminate();
        assert!(self.ended().success(), "it ends in order");
    }

    /// Waits until it has ended.
    fn ended(&mut self) -> ExitStatus {
        let bound = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < bound, "it ends: {}", self.traces());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, if it has not ended; how it ended then.
    pub async fn finish(mut self) -> ExitStatus {
        if self.runs() {
            self.terminate();
        }
        self.end().await
    }

    fn terminate(&self) {
        // It may end by itself meanwhile, so whether it was reached says nothing.
        let pid = self.child.id().to_string();
        drop(launch::output(Command::new("kill").args(["-TERM", &pid])).unwrap());
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it holds in memory, in KiB.
    pub fn resident_kibibytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Gives it a bound from now on, as `prlimit` has it.
    pub fn limit(&self, bound: &str) {
        let bound = [format!("--pid={}", self.id()), bound.to_owned()];
        let limited = launch::output(Command::new("prlimit").args(bound)).unwrap();
        assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stderr));
    }

    /// How long it has used a processor.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // After the name: state is the first field, user and system time the 12th and 13th.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11);
        let ticks: u64 = fields.take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// How many files and sockets it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// Waits until it ends by itself.
    pub async fn end(mut self) -> ExitStatus {
        let bound = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < bound, "it ends by itself: {}", self.traces());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// All that was traced so far, by this process and those before it.
    pub fn traces(&self) -> String {
        fs::read_to_string(&self.traces).unwrap()
    }

    /// Waits until it answers, or ends: whether it answers.
    pub async fn comes_up(&mut self, world: &World) -> bool {
        let up = async {
            while world.on_call.status().get_summary(GetSummaryRequest {}).await.is_err() {
                if !self.runs() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        };
        match timeout(PATIENCE, up).await {
            Ok(up) => up,
            Err(_) => panic!("it answers: {}", self.traces()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the operators' port answers.
pub fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
