//! The data folder: what is where, how it is made, how its index is made anew.
//!
//! ```text
//! data/exchange.toml   origin name and ledger id
//! data/keys/           ledger.key · exchange.secret (mode 0600)
//! data/journal/        the truth
//! data/index/          disposable
//! data/people.json     who may sign in at the console
//! data/told/           how far each channel has told people
//! data/witnessed       the newest checkpoint that enough witnesses have cosigned
//! data/lock            one server at a time
//! ```
//!
//! Knows: store, crypto, ledger, domain.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    OpenError,
    fold::{Fold, empty_head},
    vkey,
};
use crate::{
    crypto::{keyfile, sign::SigningKey, tag::ExchangeSecret},
    domain::ids::ExchangeName,
    ledger::{checkpoint::Checkpoint, merkle::empty_root, note::Vkey},
    store::{
        Index, Journal, JournalError, Store,
        disk::Dir,
        files,
        journal::{Evidence, Options, Recovery},
        lock::DataLock,
    },
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The origin name, such as `cairn.example/ardness`.
    exchange: String,
    /// 16 random bytes in hexadecimal, in every file of the journal.
    ledger: String,
}

/// The parts of a data folder.
#[derive(Debug, Clone)]
pub struct DataFolder {
    dir: Dir,
    options: Options,
}

impl DataFolder {
    /// The folder at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { dir: Dir::from(&path.into()), options: Options::default() }
    }

    /// The same, its journal in this folder of another disk.
    #[cfg(test)]
    pub(crate) fn with_journal_on(dir: Dir, options: Options) -> Self {
        Self { dir, options }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// The same, with the disk it is on.
    pub(crate) fn journal_dir(&self) -> Dir {
        self.dir.beside(self.journal())
    }

    /// Opens the journal: [`Journal::open`].
    pub(super) fn open_journal(
        &self,
        ledger: [u8; 16],
        evidence: Evidence,
        label: &str,
    ) -> Result<(Journal, Recovery), JournalError> {
        Journal::open_with(self.journal_dir(), Some(ledger), evidence, label, self.options)
    }

    /// The index's folder.
    pub fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Who may sign in at the console.
    pub fn people(&self) -> PathBuf {
        self.dir.join("people.json")
    }

    /// How far each channel has told people.
    pub fn told(&self) -> PathBuf {
        self.dir.join("told")
    }

    /// The newest checkpoint that enough witnesses have cosigned.
    pub fn witnessed(&self) -> PathBuf {
        self.dir.join("witnessed")
    }

    /// The exchange's own keys.
    pub fn keys(&self) -> PathBuf {
        self.dir.join("keys")
    }

    /// The exchange that lives here.
    ///
    /// # Errors
    /// If there is none, or its settings cannot be read.
    pub fn exchange(&self) -> Result<ExchangeName, OpenError> {
        let (exchange, _) = self.read_settings()?;
        exchange.parse().map_err(|error| self.unreadable(error))
    }

    fn settings(&self) -> PathBuf {
        self.dir.join("exchange.toml")
    }

    /// Makes a new exchange: its keys and an empty ledger.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one; what the file system or the random
    /// source says.
    pub fn create(&self, exchange: &ExchangeName) -> Result<(), OpenError> {
        if self.settings().exists() {
            return Err(OpenError::Exists(self.path().to_owned()));
        }
        for folder in [self.path(), &self.keys(), &self.journal()] {
            if !folder.exists() {
                fs::create_dir_all(folder.parent().unwrap_or(folder))?;
                files::create_dir(folder)?;
            }
        }
        let mut ledger = [0; 16];
        getrandom::fill(&mut ledger).map_err(|error| io::Error::other(error.to_string()))?;
        keyfile::write_signing_key(&self.keys().join("ledger.key"), &SigningKey::generate()?)?;
        let secret = ExchangeSecret::generate()?;
        keyfile::write_exchange_secret(&self.keys().join("exchange.secret"), &secret)?;
        Journal::create_with(self.journal_dir(), ledger, self.options)?;
        let settings = Settings { exchange: exchange.to_string(), ledger: hex(&ledger) };
        // Last, so that a half-made folder is no exchange.
        let text = toml::to_string(&settings).map_err(|error| self.unreadable(error))?;
        Ok(files::write_atomic(&self.settings(), text.as_bytes())?)
    }

    pub(super) fn read_settings(&self) -> Result<(String, [u8; 16]), OpenError> {
        let text = match fs::read_to_string(self.settings()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::NoExchange(self.path().to_owned()));
            }
            Err(error) => return Err(self.unreadable(error)),
        };
        let settings: Settings = toml::from_str(&text).map_err(|error| self.unreadable(error))?;
        settings.exchange.parse::<ExchangeName>().map_err(|error| self.unreadable(error))?;
        let ledger = unhex(&settings.ledger)
            .ok_or_else(|| self.unreadable("`ledger` must be 32 hexadecimal digits"))?;
        Ok((settings.exchange, ledger))
    }

    fn unreadable(&self, reason: impl ToString) -> OpenError {
        OpenError::Settings { path: self.settings(), reason: reason.to_string() }
    }

    /// The verifier key of the ledger, from its private key.
    ///
    /// # Errors
    /// If settings or key cannot be read.
    pub fn vkey(&self) -> Result<Vkey, OpenError> {
        let (exchange, _) = self.read_settings()?;
        let key = keyfile::read_signing_key(&self.keys().join("ledger.key"))?;
        vkey(&exchange, &key)
    }

    /// The signed checkpoint of this ledger when it was empty, with which witnesses can be asked
    /// before anything is opened.
    ///
    /// # Errors
    /// As [`DataFolder::vkey`].
    pub fn empty_checkpoint(&self) -> Result<Vec<u8>, OpenError> {
        let (exchange, _) = self.read_settings()?;
        let key = keyfile::read_signing_key(&self.keys().join("ledger.key"))?;
        let empty = Checkpoint::new(&exchange, 0, empty_root());
        empty.map(|empty| empty.sign(&key)).map_err(|error| self.unreadable(error))
    }

    /// Throws the index away and rebuilds it. The exchange must not be running.
    ///
    /// # Errors
    /// As [`open`].
    pub fn reindex(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Reindexed, OpenError> {
        let (_, ledger) = self.read_settings()?;
        let _lock = DataLock::acquire(self.path())?;
        let old = self.index().exists().then(|| Index::open(&self.index()).ok()).flatten();
        let mark = old.as_ref().and_then(Index::watermark).filter(|mark| mark.ledger == ledger);
        let evidence = Evidence {
            index_watermark: mark.as_ref().map(|mark| mark.size),
            ..Evidence::default()
        };
        let (journal, recovery) = self.open_journal(ledger, evidence, "reindex")?;
        let reader = journal.reader();
        // Compared as a start would leave it: what it lacks is folded into it first.
        let old_hash = old.zip(mark).and_then(|(index, mark)| {
            let fold = Fold { index: &index, reader: &reader, ledger };
            let head = fold.head_at(&mark).ok()?;
            fold.follow(head, recovery.size, &mut |_, _| {}).ok()?;
            Some(index.content_hash())
        });
        Index::set_aside(&self.index())?;
        let index = Index::open(&self.index())?;
        let head = Fold { index: &index, reader: &reader, ledger }.follow(
            empty_head(),
            recovery.size,
            progress,
        )?;
        let new_hash = index.content_hash();
        Store::new(journal, index).close()?;
        Ok(Reindexed { size: head.growth.size(), old_hash, new_hash })
    }
}

/// What a rebuild found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reindexed {
    /// Entries folded.
    pub size: u64,
    /// The hash of the index before, brought up to the journal, if it could be.
    pub old_hash: Option<[u8; 32]>,
    /// The hash of the index now.
    pub new_hash: [u8; 32],
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let value = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(value.to_be_bytes())
}
