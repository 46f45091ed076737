//! `cairn witness serve` in a process of its own.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use cairn::{
    config::{WitnessKey, WitnessSettings},
    ledger::note::Vkey,
    witness::Asker,
};
use tempfile::TempDir;

use crate::{process::PATIENCE, support::launch};

/// A witness; killed when dropped.
pub struct WitnessProcess {
    name: String,
    folder: TempDir,
    address: SocketAddr,
    vkey: Vkey,
    child: Option<Child>,
}

impl WitnessProcess {
    /// Makes a witness and starts it.
    pub fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let mut init = cairn();
        init.args(["witness", "init"])
            .arg(&path)
            .arg("--name")
            .arg(format!("witness.example/{name}"));
        let made = launch::output(&mut init).unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let vkey = Vkey::parse(String::from_utf8_lossy(&made.stdout).trim()).unwrap();
        // Free now, and asked for by nobody else meanwhile: the system gives its own in turn.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut witness = Self { name: name.into(), folder, address, vkey, child: None };
        witness.again();
        witness
    }

    /// Starts it again where it was, and waits until it serves.
    pub fn again(&mut self) {
        self.again_under(&[]);
    }

    /// The same with another program in front, such as `strace`.
    pub fn again_under(&mut self, wrapper: &[String]) {
        drop(fs::remove_file(self.traces()));
        self.launch(wrapper);
        let bound = Instant::now() + PATIENCE;
        while !self.said().contains("witness serving") {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < bound, "it serves: {}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn launch(&mut self, wrapper: &[String]) {
        let program =
            [env!("CARGO_BIN_EXE_cairn"), "witness", "serve", "--folder"].map(str::to_owned);
        let words = [wrapper, &program].concat();
        let mut command = Command::new(&words[0]);
        let traces = File::options().create(true).append(true).open(self.traces()).unwrap();
        command.args(&words[1..]).arg(self.path()).args(["--listen", &self.address.to_string()]);
        command.env("NO_COLOR", "1").stdout(Stdio::null()).stderr(traces);
        self.child = Some(launch::spawn(&mut command).unwrap());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            child.wait().unwrap();
        }
    }

    /// Waits until it has ended by itself; how it ended.
    pub fn ended(&mut self) -> ExitStatus {
        let bound = Instant::now() + PATIENCE;
        let mut child = self.child.take().unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < bound, "it ends: {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Follows a ledger from now on.
    pub fn follow(&self, ledger: &Vkey) {
        let mut add = cairn();
        add.args(["witness", "add", &ledger.to_string(), "--folder"]).arg(self.path());
        let added = launch::output(&mut add).unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }

    /// What an exchange's settings say of it.
    pub fn settings(&self) -> WitnessSettings {
        WitnessSettings {
            name: self.name.parse().unwrap(),
            vkey: WitnessKey(self.vkey.clone()),
            url: format!("https://{}", self.address),
            ca: self.path().join("tls/ca.pem"),
        }
    }

    /// Asks it as an exchange does.
    pub fn asker(&self) -> Asker {
        Asker::new(&self.settings()).unwrap()
    }

    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("witness")
    }

    /// What it has said since its last start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.traces()).unwrap_or_default()
    }

    fn traces(&self) -> PathBuf {
        self.folder.path().join("traces")
    }
}

impl Drop for WitnessProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn cairn() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cairn"))
}
