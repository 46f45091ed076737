//! The real program in a process of its own, its traces kept, its end in our hands.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use cairn::{proto::GetSummaryRequest, wire::client::Client};

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
    pub async fn serve_under(world: &World, wrapper: &[&str]) -> Self {
        let mut process = Self::start(world, wrapper);
        process.answers(&world.on_call).await;
        process
    }

    /// Starts it without waiting.
    pub fn start(world: &World, wrapper: &[&str]) -> Self {
        let folder = world.folder.path();
        let config = folder.join("cairn.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("metrics = \"127.0.0.1:7480\"\n", "")).unwrap();
        let traces = folder.join("traces.jsonl");
        let kept = File::options().create(true).append(true).open(&traces).unwrap();
        let words = [wrapper, &[env!("CARGO_BIN_EXE_cairn"), "serve", "--config"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&config).stdout(Stdio::null()).stderr(kept);
        let child =
            launch::spawn(&mut command).unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        Self { child, traces }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; waits for the orderly end.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let signalled = launch::output(Command::new("kill").args(["-TERM", &pid])).unwrap();
        assert!(signalled.status.success());
        assert!(self.child.wait().unwrap().success(), "it ends in order");
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

    async fn answers(&mut self, probe: &Client) {
        let bound = Instant::now() + PATIENCE;
        while let Err(error) = probe.status().get_summary(GetSummaryRequest {}).await {
            assert!(self.runs(), "it ended: {}", self.traces());
            assert!(Instant::now() < bound, "it answers: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
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
