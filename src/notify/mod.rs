//! Telling people: notices that leave the exchange, by webhook and by e-mail.
//!
//! ```text
//! notice    what an entry of the ledger means for people: what is wrong, who, since when, what to do
//! outbox    which entries a channel has yet to tell: the ledger is the queue, this is the place in it
//! shapes    the same notice for Alertmanager, PagerDuty and CloudEvents
//! web       one POST, signed, following nothing
//! mail      one message by SMTP
//! ```
//!
//! Each channel reads the ledger from where it stopped, and tries again without end: what it has
//! told is written down after it was taken, so a crash repeats a notice and never loses one. No
//! notice holds a child's name, a word of a concern or a sender's own reference.
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
    notice::{Notice, What},
    outbox::Outbox,
    web::Web,
};
use crate::{
    broker::Broker,
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

/// One channel, set up and not yet at work.
pub struct Channel {
    settings: ChannelSettings,
    way: Way,
}

impl Channel {
    /// Reads its secrets and authorities.
    ///
    /// # Errors
    /// [`SetupError`], which says what to mend.
    pub fn new(settings: &ChannelSettings) -> Result<Self, SetupError> {
        let way = match settings.kind {
            ChannelKind::Email => Mail::new(settings).map(Box::new).map(Way::Mail),
            _ => Web::new(settings).map(Box::new).map(Way::Web),
        };
        let fail = |fault| SetupError { name: settings.name.to_string(), fault };
        Ok(Self { settings: settings.clone(), way: way.map_err(fail)? })
    }

    /// Puts it to work for a broker. Its place in the ledger is kept in `folder`; its links begin
    /// with `console`.
    pub fn teller(
        self,
        broker: &Broker,
        clock: &Arc<dyn Clock>,
        console: Option<&str>,
        folder: &Path,
    ) -> Teller {
        let Self { settings, way } = self;
        Teller {
            path: folder.join(format!("{}.json", settings.name)),
            console: console.unwrap_or_default().to_owned(),
            broker: broker.clone(),
            clock: Arc::clone(clock),
            counts: Arc::default(),
            settings,
            way,
        }
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
    path: PathBuf,
    counts: Arc<ChannelCounts>,
}

impl Teller {
    /// Its name, and how it does.
    pub fn counts(&self) -> (String, Arc<ChannelCounts>) {
        (self.settings.name.to_string(), Arc::clone(&self.counts))
    }

    /// Tells what is to be told, until `ended` says so.
    pub async fn run(self, ended: CancellationToken) {
        let mut pause = Duration::ZERO;
        let opening = (self.path.clone(), self.broker.tree().head().growth.size());
        let opened = blocking(move || Outbox::open(&opening.0, opening.1)).await;
        let mut outbox = match opened {
            Ok(outbox) => outbox,
            Err(error) => {
                tracing::error!(channel = %self.settings.name, %error,
                    "people are not told: this channel's place in the ledger cannot be read");
                return;
            }
        };
        loop {
            let wait = limits::NOTIFY_INTERVAL.max(pause);
            if ended.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            let round = self.round(&mut outbox);
            let Some(well) = ended.run_until_cancelled(round).await else { return };
            pause = match well {
                true => Duration::ZERO,
                false => (2 * pause).clamp(limits::NOTIFY_DELAY_MIN, limits::NOTIFY_DELAY_MAX),
            };
        }
    }

    /// Looks what is new, and tells what is due; whether the channel is there.
    async fn round(&self, outbox: &mut Outbox) -> bool {
        let size = self.broker.tree().head().growth.size();
        let broker = self.broker.clone();
        if outbox.look(size, |entry| notice::matters(&broker, entry)) && !self.keep(outbox).await {
            return false;
        }
        let mut well = true;
        for entry in outbox.due(Instant::now()) {
            match self.tell(entry).await {
                Ok(told) => {
                    outbox.told(entry);
                    self.counts.told.fetch_add(u64::from(told), Ordering::Relaxed);
                    if !self.keep(outbox).await {
                        return false;
                    }
                }
                Err(None) => {}
                Err(Some(failure)) => {
                    well = self.failed(outbox, entry, failure).await;
                    if !well {
                        break;
                    }
                }
            }
        }
        self.count(outbox);
        well
    }

    /// Tells one; whether there was anything left to tell. `None`: not at this hour.
    async fn tell(&self, entry: u64) -> Result<bool, Option<Failure>> {
        let Some(notice) = Notice::of(&self.broker, &self.console, entry) else { return Ok(false) };
        let stale = notice.what == What::Begun && notice.is_over;
        let wanted = match self.settings.kind {
            ChannelKind::CloudEvents => true,
            // Nobody is woken for what somebody has done meanwhile.
            ChannelKind::PagerDuty => !stale,
            ChannelKind::Alertmanager => !stale && notice.what != What::CaredFor,
            ChannelKind::Email => !stale && notice.what == What::Begun,
        };
        if !wanted {
            return Ok(false);
        }
        if !notice.is_pressing() && self.settings.is_quiet(self.clock.now()) {
            return Err(None);
        }
        let told = match &self.way {
            Way::Web(web) => web.tell(&notice, self.clock.now()).await,
            Way::Mail(mail) => mail.tell(&notice).await,
        };
        told.map(|()| true).map_err(Some)
    }

    /// What comes of a failure; whether the others may still be tried.
    async fn failed(&self, outbox: &mut Outbox, entry: u64, failure: Failure) -> bool {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        let channel = &self.settings.name;
        match failure {
            Failure::Channel(fault) => {
                tracing::warn!(%channel, fault, "people cannot be told; it is tried again");
                false
            }
            Failure::Notice(fault) => {
                tracing::error!(%channel, entry, fault, "a notice was refused; it is tried again");
                outbox.put_off(entry, Instant::now());
                true
            }
            Failure::Redirect(to) => {
                tracing::error!(%channel, to, "a redirect is not followed; set the address right");
                if let Err(error) = self.broker.record_redirect(channel.as_str()).await {
                    tracing::error!(%error, "the refused redirect could not be recorded");
                }
                outbox.put_off(entry, Instant::now());
                true
            }
        }
    }

    /// Writes the channel's place down; whether that went well.
    async fn keep(&self, outbox: &Outbox) -> bool {
        let (path, text) = (self.path.clone(), outbox.text());
        let kept = blocking(move || crate::store::files::write_atomic(&path, &text)).await;
        if let Err(error) = &kept {
            tracing::error!(channel = %self.settings.name, %error, "a place cannot be written down");
        }
        kept.is_ok()
    }

    fn count(&self, outbox: &Outbox) {
        self.counts.waiting.store(outbox.waiting() as u64, Ordering::Relaxed);
        let oldest = outbox.oldest().and_then(|entry| {
            crate::broker::records::meta(self.broker.index(), entry).map(|meta| meta.time)
        });
        self.counts.oldest.store(oldest.map_or(0, |at| at / 1_000_000_000), Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
