//! Telling people: notices that leave the exchange, by webhook and by e-mail.
//!
//! ```text
//! notice    what a rung means for people: what is wrong, who, since when, what to do
//! outbox    what a channel has yet to tell: the ledger is the queue, this is the place in it
//! shapes    the same notice for Alertmanager, PagerDuty and CloudEvents
//! web       one POST, signed, following nothing
//! mail      one message by SMTP
//! ```
//!
//! Each channel reads the ledger's rungs from where it stopped, and tries again without end. An
//! incident is written down before it is told and struck out once it is over, so a crash repeats a
//! notice, never loses one, and leaves none standing. What somebody has done meanwhile wakes
//! nobody; nor, for as long as it lasts, what somebody on call is dealing with. No notice holds a
//! child's name, a word of a concern or a sender's own reference.
//!
//! Holds: I7, I10, I12. Knows: broker, directory, domain, identity, proto, config, clock, limits.

mod mail;
mod notice;
mod outbox;
mod shapes;
mod web;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    mail::Mail,
    notice::{Key, Notice, Stands, What},
    outbox::{Incident, Outbox},
    web::Web,
};
use crate::{
    broker::{
        Broker,
        records::{self, DeliveryRecord},
    },
    clock::Clock,
    config::{ChannelKind, ChannelSettings},
    limits,
};

/// Why a channel cannot be used as it is set up.
#[derive(Debug, thiserror::Error)]
#[error("channel `{name}`: {fault}")]
pub struct SetupError {
    /// The channel.
    pub name: String,
    /// What is wrong, for people.
    pub fault: String,
}

/// Why a notice was not taken.
#[derive(Debug)]
enum Failure {
    /// Nobody is there, or nobody can take anything now: all notices wait.
    Channel(String),
    /// This notice was refused: the others do not wait for it.
    Notice(String),
    /// It was sent elsewhere, and nobody follows.
    Redirect(String),
}

/// How one channel does.
#[derive(Debug, Default)]
pub struct ChannelCounts {
    /// Notices taken since the start.
    pub told: AtomicU64,
    /// Attempts that failed since the start.
    pub failed: AtomicU64,
    /// Notices waiting.
    pub waiting: AtomicU64,
    /// When the oldest of them was to be told first, Unix seconds; 0 if none waits.
    pub oldest: AtomicU64,
}

/// A way to tell people.
enum Way {
    Web(Box<Web>),
    Mail(Box<Mail>),
}

/// Whether a host is this very machine: alone there may something go in the clear.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// One channel, set up and not yet at work.
pub struct Channel {
    settings: ChannelSettings,
    way: Way,
    path: PathBuf,
    /// Where it stopped; none if it is new.
    place: Option<Outbox>,
}

impl Channel {
    /// Reads its secrets and authorities, and its place in the ledger, which is kept in `folder`.
    ///
    /// # Errors
    /// [`SetupError`], which says what to mend.
    pub fn new(settings: &ChannelSettings, folder: &Path) -> Result<Self, SetupError> {
        let fail = |fault| SetupError { name: settings.name.to_string(), fault };
        let way = match settings.kind {
            ChannelKind::Email => Mail::new(settings).map(Box::new).map(Way::Mail),
            _ => Web::new(settings).map(Box::new).map(Way::Web),
        };
        let path = folder.join(format!("{}.json", settings.name));
        let place = Outbox::read(&path);
        let place = place.map_err(|error| fail(format!("{}: {error}", path.display())))?;
        Ok(Self { settings: settings.clone(), way: way.map_err(fail)?, path, place })
    }

    /// Puts it to work for a broker, from where it stopped, or from now on. Its links begin with
    /// `console`.
    pub fn teller(self, broker: &Broker, clock: &Arc<dyn Clock>, console: Option<&str>) -> Teller {
        let Self { settings, way, path, place } = self;
        let outbox = place.unwrap_or_else(|| {
            let new = Outbox::at_end(&path, broker.tree().head().growth.size());
            // If it cannot be, it is tried again with the first that there is to tell.
            if let Err(error) = new.write() {
                tracing::error!(channel = %settings.name, %error, "a place cannot be written down");
            }
            new
        });
        let (broker, clock, counts) = (broker.clone(), Arc::clone(clock), Arc::default());
        let console = console.unwrap_or_default().to_owned();
        Teller { settings, way, broker, clock, console, outbox, counts }
    }
}

/// One channel at work.
pub struct Teller {
    settings: ChannelSettings,
    way: Way,
    broker: Broker,
    clock: Arc<dyn Clock>,
    /// Where people find more.
    console: String,
    outbox: Outbox,
    counts: Arc<ChannelCounts>,
}

/// The channel is not there: nothing else is tried for a while.
struct Away;

impl Teller {
    /// Its name, and how it does.
    pub fn counts(&self) -> (String, Arc<ChannelCounts>) {
        (self.settings.name.to_string(), Arc::clone(&self.counts))
    }

    /// Tells what is to be told, until `ended` says so.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut pause = Duration::ZERO;
        loop {
            let wait = limits::NOTIFY_INTERVAL.max(pause);
            if ended.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            let Some(round) = ended.run_until_cancelled(self.round()).await else { return };
            self.count();
            pause = match round {
                Ok(()) => Duration::ZERO,
                Err(Away) => (2 * pause).clamp(limits::NOTIFY_DELAY_MIN, limits::NOTIFY_DELAY_MAX),
            };
        }
    }

    /// Looks what is new; tells what is due, and what has become of what was told.
    async fn round(&mut self) -> Result<(), Away> {
        let size = self.broker.tree().head().growth.size();
        let broker = self.broker.clone();
        if self.outbox.look(size, |entry| notice::matters(&broker, entry)) {
            // Not written, it is found again after a crash.
            self.keep().await;
        }
        self.count();
        for entry in self.outbox.due(Instant::now()) {
            self.begin(entry).await?;
        }
        for (key, incident) in self.outbox.begun(Instant::now()) {
            self.follow(&key, incident).await?;
        }
        Ok(())
    }

    /// Tells of a rung, if what was to be done is still undone and nobody is dealing with it.
    async fn begin(&mut self, entry: u64) -> Result<(), Away> {
        let now = self.clock.now();
        let known = notice::rung(&self.broker, entry).and_then(|(key, _)| {
            let (record, stands) = notice::stands(&self.broker, &key, now)?;
            Some((key, record, stands))
        });
        // Nobody is woken for an exercise, or for what somebody has done meanwhile.
        let Some((key, record, stands)) = known.filter(|(.., stands)| *stands != Stands::Over)
        else {
            self.outbox.done(entry);
            return Ok(());
        };
        let before = self.outbox.incident(&key);
        let incident = Incident {
            entry,
            cared_for: before.and_then(|before| before.cared_for),
            times: before.map_or(1, |before| before.times),
        };
        let notice = self.notice(What::Begun, (&key, &record), incident);
        let quiet = !notice.is_pressing() && self.settings.is_quiet(now);
        if quiet || matches!(stands, Stands::CaredFor(_)) {
            self.outbox.hold(entry);
            return Ok(());
        }
        // Written first: what those outside may have of it can then be taken back.
        self.outbox.begin(key, incident);
        if !self.keep().await {
            return Err(Away);
        }
        match self.tell(&notice).await {
            Ok(()) => {
                self.outbox.done(entry);
                self.keep().await;
                Ok(())
            }
            Err(failure) => {
                self.outbox.failed(entry, Instant::now());
                self.failed(&notice, failure).await
            }
        }
    }

    /// Tells what has become of an incident: somebody is dealing with it, or no longer; it is over.
    async fn follow(&mut self, key: &Key, incident: Incident) -> Result<(), Away> {
        let Some((record, stands)) = notice::stands(&self.broker, key, self.clock.now()) else {
            self.outbox.end(key);
            return Ok(());
        };
        let what = match (stands, incident.cared_for) {
            (Stands::Over, _) => What::Over,
            (Stands::CaredFor(by), before) if before != Some(by) => What::CaredFor,
            // Whoever was dealing with it has not: it is begun anew, as another incident, since
            // tools ring nobody for one that was acknowledged.
            (Stands::Undone, Some(_)) => What::Over,
            (Stands::Undone | Stands::CaredFor(_), _) => return Ok(()),
        };
        let newest = Incident { entry: record.changed.1, ..incident };
        let notice = self.notice(what, (key, &record), newest);
        if let Err(failure) = self.tell(&notice).await {
            self.outbox.refused(key, Instant::now());
            return self.failed(&notice, failure).await;
        }
        match stands {
            Stands::Over => self.outbox.end(key),
            Stands::CaredFor(by) => {
                self.outbox.begin(key.clone(), Incident { cared_for: Some(by), ..incident });
            }
            Stands::Undone => {
                let times = incident.times.saturating_add(1);
                self.outbox.begin(key.clone(), Incident { cared_for: None, times, ..incident });
                self.outbox.again(incident.entry);
            }
        }
        self.keep().await;
        Ok(())
    }

    fn notice(&self, what: What, about: (&Key, &DeliveryRecord), incident: Incident) -> Notice {
        let from = (&self.broker, self.console.as_str());
        Notice::of(from, what, about, (incident.entry, incident.times))
    }

    /// Tells one, if this channel has a word for it.
    async fn tell(&self, notice: &Notice) -> Result<(), Failure> {
        let wanted = match self.settings.kind {
            ChannelKind::CloudEvents | ChannelKind::PagerDuty => true,
            ChannelKind::Alertmanager => notice.what != What::CaredFor,
            ChannelKind::Email => notice.what == What::Begun,
        };
        if !wanted {
            return Ok(());
        }
        let telling = async {
            match &self.way {
                Way::Web(web) => web.tell(notice, self.clock.now()).await,
                Way::Mail(mail) => mail.tell(notice).await,
            }
        };
        let told = tokio::time::timeout(limits::NOTIFY_TIME_MAX, telling).await;
        told.unwrap_or_else(|_| Err(Failure::Channel("it did not answer in time".into())))?;
        self.counts.told.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What comes of a failure: whether others may still be tried.
    async fn failed(&self, notice: &Notice, failure: Failure) -> Result<(), Away> {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        let (channel, entry) = (&self.settings.name, notice.entry);
        match failure {
            Failure::Channel(fault) => {
                tracing::warn!(%channel, fault, "people cannot be told; it is tried again");
                Err(Away)
            }
            Failure::Notice(fault) => {
                tracing::error!(%channel, entry, fault, "a notice was refused; it is tried again");
                Ok(())
            }
            Failure::Redirect(to) => {
                tracing::error!(%channel, to, "a redirect is not followed; set the address right");
                if let Err(error) = self.broker.record_redirect(channel.as_str()).await {
                    tracing::error!(%error, "the refused redirect could not be recorded");
                }
                Ok(())
            }
        }
    }

    /// Writes the channel's place down; whether that went well.
    async fn keep(&mut self) -> bool {
        let kept = tokio::task::block_in_place(|| self.outbox.write());
        if let Err(error) = &kept {
            tracing::error!(channel = %self.settings.name, %error, "a place cannot be written down");
        }
        kept.is_ok()
    }

    fn count(&self) {
        self.counts.waiting.store(self.outbox.waiting() as u64, Ordering::Relaxed);
        let oldest = self.outbox.oldest();
        let oldest = oldest.and_then(|entry| records::meta(self.broker.index(), entry));
        let oldest = oldest.map_or(0, |meta| meta.time / 1_000_000_000);
        self.counts.oldest.store(oldest, Ordering::Relaxed);
    }
}
