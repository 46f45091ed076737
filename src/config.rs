//! The server's settings: `cairn.toml` → [`Config`]. An unknown key refuses, and
//! paths are taken from the file's own folder.
//!
//! Knows: domain, ledger, clock, limits.

mod traces;
mod witnesses;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use jiff::civil::Time;
use serde::Deserialize;

pub use self::{
    traces::{Share, TraceSettings},
    witnesses::{WitnessKey, WitnessPolicy, WitnessSettings},
};
use crate::{clock::Moment, domain::ids::SystemName, limits};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and where.
    pub reason: String,
}

/// The server's settings. `deploy/cairn.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The exchange's folder, made by `cairn init`.
    pub data: PathBuf,
    /// Where gRPC listens.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/livez` and `/readyz` listen, in the clear: loopback or a
    /// network of the operators' own. Absent: nowhere.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Whether gRPC reflection is served.
    #[serde(default = "yes")]
    pub reflection: bool,
    /// Certificates.
    pub tls: TlsFiles,
    /// The console for people. Absent: none is served.
    #[serde(default)]
    pub console: Option<ConsoleSettings>,
    /// The synthetic concern. Absent: none is sent.
    #[serde(default)]
    pub probe: Option<ProbeSettings>,
    /// Ways to tell people, at most [`limits::CHANNELS_MAX`].
    #[serde(default)]
    pub notify: Vec<ChannelSettings>,
    /// Others' witnesses of the ledger, at most [`limits::WITNESSES_MAX`].
    #[serde(default)]
    pub witness: Vec<WitnessSettings>,
    /// How many of them are enough. Absent: all.
    #[serde(default)]
    pub witnesses: Option<WitnessPolicy>,
    /// Lines on standard error.
    #[serde(default)]
    pub log: Log,
    /// Spans of calls, for a collector. Absent: none is made.
    #[serde(default)]
    pub traces: Option<TraceSettings>,
}

/// Where certificates, keys and revocation lists are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate and what chains it to an authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    pub key: PathBuf,
    /// Every authority that signs callers' certificates, PEM.
    pub client_ca: PathBuf,
    /// Revocation lists, PEM: one for each authority, or none.
    #[serde(default)]
    pub crls: Vec<PathBuf>,
}

/// Where people find the console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How people reach it, such as `https://cairn.example:7444`: what links begin with.
    pub url: String,
    /// A certificate that browsers trust, with what chains it to an authority, PEM. Absent: the
    /// server's own.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its private key, PKCS#8 PEM, mode 0600.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Without TLS, on loopback alone: for a reverse proxy on this machine, which has its own.
    #[serde(default)]
    pub in_the_clear: bool,
}

impl ConsoleSettings {
    /// What browsers are shown, where it is not the server's certificate.
    pub fn own_certificate(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.clone().zip(self.key.clone())
    }

    /// Why it cannot be so.
    fn fault(&self) -> Option<&'static str> {
        let scheme = if self.in_the_clear { ["http://", "https://"] } else { ["https://"; 2] };
        if self.in_the_clear && !self.listen.ip().is_loopback() {
            return Some("console.in_the_clear is for loopback alone: passphrases would be read");
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Some("console.certificate and console.key go together");
        }
        if !scheme.iter().any(|scheme| self.url.starts_with(scheme)) || self.url.ends_with('/') {
            return Some("console.url must begin with https:// and not end with a slash");
        }
        None
    }
}

/// As whom the synthetic concern is sent, each minute, to itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSettings {
    /// The folder of a system with the role `agency`, whose agency has an inbox.
    pub system: PathBuf,
    /// An agreement that its agency is party to, for the class `wellbeing` and the lawful basis
    /// `public_task`.
    pub agreement: String,
}

/// One way to tell people that nobody has acted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    /// Its name, in metrics and traces.
    pub name: SystemName,
    /// What it speaks.
    pub kind: ChannelKind,
    /// Of a webhook: where it is.
    #[serde(default)]
    pub url: String,
    /// Of a webhook: the file with the secret that notices are signed with.
    #[serde(default)]
    pub secret: Option<PathBuf>,
    /// Of PagerDuty: the file with the integration's key.
    #[serde(default)]
    pub routing_key: Option<PathBuf>,
    /// The authorities that its server's certificate may be of, PEM.
    #[serde(default = "authorities")]
    pub ca: PathBuf,
    /// Of e-mail: to whom; one address, so that a closed one keeps no other from being told.
    #[serde(default)]
    pub to: String,
    /// Of e-mail: from whom.
    #[serde(default)]
    pub from: String,
    /// Of e-mail: the server, host:port.
    #[serde(default)]
    pub server: String,
    /// Of e-mail: how the connection is made safe.
    #[serde(default)]
    pub mail_tls: MailTls,
    /// Of e-mail: as whom to sign in there, if at all.
    #[serde(default)]
    pub username: String,
    /// Of e-mail: the file with the password.
    #[serde(default)]
    pub password: Option<PathBuf>,
    /// Hours in which only what is immediate or urgent is told, such as "20:00-07:00".
    #[serde(default)]
    pub quiet: Option<Hours>,
}

/// What a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// Alertmanager's webhook, version 4.
    Alertmanager,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// CloudEvents 1.0 as JSON.
    CloudEvents,
    /// E-mail by SMTP.
    Email,
}

/// How the connection to a mail server is made safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS begun on a plain connection, or nothing is sent.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// In the clear, to a server on this machine.
    None,
}

/// Hours of a day on a clock in the United Kingdom, over midnight too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hours {
    from: Time,
    to: Time,
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let hours = text
            .split_once('-')
            .and_then(|(from, to)| Some(Self { from: time(from)?, to: time(to)? }));
        hours.ok_or_else(|| format!("{text:?} is not two times such as \"20:00-07:00\""))
    }
}

impl Hours {
    fn has(self, time: Time) -> bool {
        match self.from <= self.to {
            true => self.from <= time && time < self.to,
            false => self.from <= time || time < self.to,
        }
    }
}

impl ChannelSettings {
    /// Whether only what is immediate or urgent is told now.
    pub fn is_quiet(&self, now: Moment) -> bool {
        self.quiet.is_some_and(|quiet| quiet.has(now.in_london().time()))
    }
}

fn authorities() -> PathBuf {
    "/etc/ssl/certs/ca-certificates.crt".into()
}

/// Why these channels cannot be.
fn channels_fault(channels: &[ChannelSettings]) -> Option<String> {
    if channels.len() > limits::CHANNELS_MAX {
        return Some(format!("there may be at most {} of [[notify]]", limits::CHANNELS_MAX));
    }
    let mut names = BTreeSet::new();
    let twice = channels.iter().find(|channel| !names.insert(&channel.name))?;
    Some(format!("two of [[notify]] are called {}", twice.name))
}

/// What is traced, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// In the form of `RUST_LOG`.
    #[serde(default = "info")]
    pub filter: String,
    /// One JSON object a line, else plain text.
    #[serde(default = "yes")]
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: info(), json: true }
    }
}

fn yes() -> bool {
    true
}

fn info() -> String {
    "info".to_owned()
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], which says what is wrong and where.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let fail = |reason: String| ConfigError { path: path.to_path_buf(), reason };
        let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        if let Some(fault) = config.console.as_ref().and_then(ConsoleSettings::fault) {
            return Err(fail(fault.to_owned()));
        }
        if let Some(fault) = config.traces.as_ref().and_then(TraceSettings::fault) {
            return Err(fail(fault.to_owned()));
        }
        if let Some(fault) = channels_fault(&config.notify).or_else(|| config.witnesses_fault()) {
            return Err(fail(fault));
        }
        Ok(config.relative_to(path.parent().unwrap_or(Path::new("."))))
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        let tls = &mut self.tls;
        let paths = [&mut self.data, &mut tls.certificate, &mut tls.key, &mut tls.client_ca];
        let console = self.console.iter_mut();
        let shown = console.flat_map(|console| [&mut console.certificate, &mut console.key]);
        for path in paths.into_iter().chain(&mut tls.crls).chain(shown.flatten()) {
            *path = folder.join(&path);
        }
        if let Some(probe) = &mut self.probe {
            probe.system = folder.join(&probe.system);
        }
        for witness in &mut self.witness {
            witness.ca = folder.join(&witness.ca);
        }
        for channel in &mut self.notify {
            let files = [&mut channel.secret, &mut channel.routing_key, &mut channel.password];
            for path in files.into_iter().flatten().chain([&mut channel.ca]) {
                *path = folder.join(&path);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_config() {
        let sample = include_str!("../deploy/cairn.toml");
        let config: Config = toml::from_str(sample).unwrap();
        assert!(config.reflection);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = "data='d'\nlisten='127.0.0.1:1'\nlisen='x'\n[tls]\ncertificate='c'\nkey='k'\nclient_ca='a'";
        let error = toml::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains("lisen"), "{error}");
    }

    #[test]
    fn quiet_hours_go_over_midnight() {
        let hours = |text: &str| Hours::try_from(text.to_owned());
        let time = |text: &str| Time::strptime("%H:%M", text).unwrap();
        let night = hours("20:00-07:00").unwrap();
        assert!(night.has(time("20:00")) && night.has(time("03:00")) && !night.has(time("07:00")));
        let day = hours("09:00 - 17:00").unwrap();
        assert!(day.has(time("12:00")) && !day.has(time("17:00")) && !day.has(time("08:59")));
        assert!(hours("night").is_err() && hours("25:00-07:00").is_err());
    }

    #[test]
    fn a_console_in_the_clear_stays_on_this_machine() {
        let settings = |listen: &str, url: &str, in_the_clear| ConsoleSettings {
            listen: listen.parse().unwrap(),
            url: url.to_owned(),
            certificate: None,
            key: None,
            in_the_clear,
        };
        assert!(settings("0.0.0.0:1", "http://x", true).fault().unwrap().contains("loopback"));
        assert!(settings("0.0.0.0:1", "http://x", false).fault().unwrap().contains("https"));
        assert!(settings("0.0.0.0:1", "https://x/", false).fault().unwrap().contains("slash"));
        assert_eq!(settings("127.0.0.1:1", "http://x", true).fault(), None);
        assert_eq!(settings("0.0.0.0:1", "https://x", false).fault(), None);
    }
}
