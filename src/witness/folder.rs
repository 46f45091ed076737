//! A witness's folder: its key, and what it has cosigned of each ledger.
//!
//! ```text
//! witness.key          its private key (mode 0600)
//! witness.vkey         its name and public key, for exchanges and policies
//! logs/<hash>          of one ledger: its key, then the checkpoint cosigned last; the hash is
//!                      SHA-256 of the origin
//! refused/<hash>.…     signed checkpoints that did not go on from there: evidence
//! tls/                 a development authority and certificate
//! lock                 one process at a time
//! ```
//!
//! Judging, writing and cosigning is one step, and what was cosigned is durable before the
//! cosignature leaves. A write that failed ends the witness: only a new start reads what the disk
//! has.
//!
//! Holds: I1, I4, I9, I10. Knows: store, identity, ledger, crypto, clock, limits.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use super::judge::{Head, Refused, judge};
use crate::{
    clock::Moment,
    crypto::{KeyError, KeyFileError, keyfile, sign::SigningKey},
    domain::ids::ExchangeName,
    identity::{self, DevelopmentCa, Validity},
    ledger::{
        self,
        add_checkpoint::AddCheckpoint,
        checkpoint::{Checkpoint, EMPTY_TREE_RULE},
        merkle::Hash,
        note::{KeyKind, Note, SignatureLine, Vkey},
    },
    limits,
    store::{
        files,
        lock::{DataLock, LockError},
    },
};

/// Why a witness's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is a witness already.
    #[error("{}: there is a witness here already; name another folder", .0.display())]
    Exists(PathBuf),
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its key.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// No randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The development certificate cannot be made.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The ledger is followed already.
    #[error("the ledger {origin} is followed already, with the key {vkey}")]
    Followed {
        /// Its origin.
        origin: String,
        /// Its key.
        vkey: Box<Vkey>,
    },
    /// A file is not what this program wrote there.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A ledger, and the checkpoint of it that was cosigned last.
struct Followed {
    vkey: Vkey,
    head: Head,
    /// With the cosignature; empty if none was ever made.
    note: Vec<u8>,
}

/// What add-checkpoint answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The line of the cosignature.
    Cosigned(String),
    /// What was cosigned last has this size.
    Conflict(u64),
    /// Refused, with the status and why.
    Refused(u16, String),
}

/// A witness at work in its folder.
pub struct WitnessFolder {
    path: PathBuf,
    key: SigningKey,
    vkey: Vkey,
    /// One checkpoint at a time is judged, written and cosigned.
    judging: Mutex<()>,
    _lock: DataLock,
}

impl WitnessFolder {
    /// Makes a witness: its key, and a development certificate for these host names. Gives its key
    /// for others.
    ///
    /// # Errors
    /// [`Fault::Exists`], or what stood in the way.
    pub fn make(
        path: &Path,
        name: &ExchangeName,
        hosts: &[String],
        validity: Validity,
    ) -> Result<Vkey, Fault> {
        let file = |path: &Path, source| Fault::File { path: path.to_owned(), source };
        if path.join("witness.key").exists() {
            return Err(Fault::Exists(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(|source| file(path, source))?;
        for part in ["logs", "refused", "tls"] {
            let folder = path.join(part);
            files::create_dir(&folder).map_err(|source| file(&folder, source))?;
        }
        let ca = DevelopmentCa::create(name, validity)?;
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let server = ca.issue_server(&hosts, validity)?;
        for (name, pem) in
            [("ca.pem", ca.certificate_pem()), ("server.pem", &server.certificate_pem)]
        {
            let path = path.join("tls").join(name);
            files::write_atomic(&path, pem.as_bytes()).map_err(|source| file(&path, source))?;
        }
        keyfile::write_private(&path.join("tls/server.key"), server.key_pem.as_bytes())?;
        let key = SigningKey::generate()?;
        let vkey = vkey(path, name.as_str(), &key)?;
        let public = path.join("witness.vkey");
        files::write_atomic(&public, format!("{vkey}\n").as_bytes())
            .map_err(|source| file(&public, source))?;
        // Last, so that a half-made folder is no witness.
        keyfile::write_signing_key(&path.join("witness.key"), &key)?;
        Ok(vkey)
    }

    /// Opens it for this process alone.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let public = path.join("witness.vkey");
        let text = fs::read_to_string(&public)
            .map_err(|source| Fault::File { path: public.clone(), source })?;
        let damaged = |reason: &str| Fault::Damaged { path: public.clone(), reason: reason.into() };
        let vkey = Vkey::parse(text.trim()).map_err(|error| damaged(&error.to_string()))?;
        let key = keyfile::read_signing_key(&path.join("witness.key"))?;
        if vkey.kind() != KeyKind::Cosignature || *vkey.public() != key.public() {
            return Err(damaged("it is not the public half of witness.key"));
        }
        let lock = DataLock::acquire(path)?;
        let judging = Mutex::new(());
        let witness = Self { path: path.to_owned(), key, vkey, judging, _lock: lock };
        // What cannot be read now could not be told from a ledger that was never seen.
        witness.followed()?;
        Ok(witness)
    }

    /// Its key, for others.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// The ledgers it follows, and the size that it cosigned last of each.
    ///
    /// # Errors
    /// [`Fault`] if a file of one cannot be read.
    pub fn followed(&self) -> Result<Vec<(String, u64)>, Fault> {
        let folder = self.path.join("logs");
        let refused = |source| Fault::File { path: folder.clone(), source };
        let mut all = Vec::new();
        for entry in fs::read_dir(&folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            // One that was being made when the power went was told to nobody.
            if path.to_string_lossy().ends_with(files::TEMPORARY) {
                continue;
            }
            if let Some(log) = self.read(&path)? {
                all.push((log.vkey.name().to_owned(), log.head.size));
            }
        }
        all.sort();
        Ok(all)
    }

    /// Follows a ledger from its beginning.
    ///
    /// # Errors
    /// [`Fault::Followed`] if its origin is followed already, with this key or another.
    pub fn follow(path: &Path, log: &Vkey) -> Result<(), Fault> {
        let file = path.join("logs").join(hash(log.name()));
        let refused = |source| Fault::File { path: file.clone(), source };
        if log.kind() != KeyKind::Ed25519 {
            let reason = "this is the key of a witness, not of a ledger".to_owned();
            return Err(Fault::Damaged { path: file, reason });
        }
        if let Ok(known) = fs::read_to_string(&file) {
            let vkey = Vkey::parse(known.lines().next().unwrap_or_default())
                .map_err(|error| Fault::Damaged { path: file, reason: error.to_string() })?;
            let origin = log.name().to_owned();
            return Err(Fault::Followed { origin, vkey: Box::new(vkey) });
        }
        files::write_atomic(&file, format!("{log}\n").as_bytes()).map_err(refused)
    }

    /// The checkpoint that was cosigned last of the ledger with this hash of its origin.
    pub(super) fn cosigned(&self, hash: &str) -> Result<Option<Vec<u8>>, Fault> {
        let named = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !named {
            return Ok(None);
        }
        let log = self.read(&self.path.join("logs").join(hash.to_ascii_lowercase()))?;
        Ok(log.map(|log| log.note).filter(|note| !note.is_empty()))
    }

    /// Judges a request; if it is good, makes what it says durable and cosigns it.
    ///
    /// # Errors
    /// [`Fault`]: nothing more may be cosigned before a new start.
    pub(super) fn add_checkpoint(&self, body: &[u8], now: Moment) -> Result<Answer, Fault> {
        let refused = |status, why: &dyn ToString| Ok(Answer::Refused(status, why.to_string()));
        let parsed = AddCheckpoint::parse(body)
            .and_then(|request| Ok((Note::parse(&request.checkpoint)?, request)));
        let (note, request) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return refused(400, &error),
        };
        let origin = note.text().split('\n').next().unwrap_or_default();
        let path = self.path.join("logs").join(hash(origin));
        let _alone = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = self.read(&path)? else {
            return refused(404, &"this witness does not follow that ledger");
        };
        let opened = Checkpoint::open(&request.checkpoint, &log.vkey);
        let checkpoint = match opened {
            Ok(checkpoint) => checkpoint,
            Err(ledger::Error::Malformed(EMPTY_TREE_RULE)) => {
                return refused(422, &EMPTY_TREE_RULE);
            }
            Err(error @ (ledger::Error::Malformed(_) | ledger::Error::OutOfRange)) => {
                return refused(400, &error);
            }
            Err(error) => return refused(403, &error),
        };
        match judge(&log.head, &checkpoint, &request) {
            Ok(()) => self.cosign(&path, &log.vkey, note, now).map(Answer::Cosigned),
            Err(Refused::Smaller) => refused(400, &"the checkpoint is smaller than the old size"),
            Err(Refused::Elsewhere(size)) => Ok(Answer::Conflict(size)),
            Err(Refused::Fork) => {
                self.keep("fork", &checkpoint, &note);
                refused(422, &"this witness cosigned another root for as many entries")
            }
            Err(Refused::Unproved) => {
                self.keep("unproved", &checkpoint, &note);
                refused(422, &"the proof does not lead from what this witness cosigned")
            }
        }
    }

    /// Writes down that this checkpoint is cosigned, and only then gives the line.
    fn cosign(&self, path: &Path, log: &Vkey, note: Note, now: Moment) -> Result<String, Fault> {
        let damaged = |error: ledger::Error| Fault::Damaged {
            path: path.to_owned(),
            reason: format!("cannot be cosigned: {error}"),
        };
        let name = self.vkey.name();
        let line = SignatureLine::cosign(note.text(), name, &self.key, now.seconds());
        let line = line.map_err(damaged)?;
        let text = line.to_text();
        // The ledger's line and ours; whatever else came with it was not verified.
        let mut kept = note.of(log);
        kept.add(line, &self.vkey).map_err(damaged)?;
        let bytes = [format!("{log}\n").as_bytes(), &kept.to_bytes()].concat();
        files::write_atomic(path, &bytes)
            .map_err(|source| Fault::File { path: path.to_owned(), source })?;
        Ok(text)
    }

    /// What is written of a ledger; none if it is not followed.
    fn read(&self, path: &Path) -> Result<Option<Followed>, Fault> {
        let damaged =
            |reason: &str| Fault::Damaged { path: path.to_owned(), reason: reason.into() };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Fault::File { path: path.to_owned(), source }),
        };
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let vkey = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let vkey = Vkey::parse(vkey).map_err(|error| damaged(&error.to_string()))?;
        let note = bytes.get(end + 1..).ok_or_else(|| damaged("it is cut short"))?.to_vec();
        let mut head = Head::default();
        if !note.is_empty() {
            let keys = [vkey.clone(), self.vkey.clone()];
            let checkpoint =
                Checkpoint::open_any(&note, &keys).map_err(|error| damaged(&error.to_string()))?;
            let signed = Note::parse(&note).and_then(|note| note.verify(&keys));
            if signed.is_ok_and(|signed| signed.len() != 2) {
                return Err(damaged("it is not cosigned by this witness"));
            }
            head = Head { size: checkpoint.size(), root: checkpoint.root() };
        }
        Ok(Some(Followed { vkey, head, note }))
    }

    /// Keeps a signed checkpoint that does not go on from what was cosigned, once, and only so many.
    fn keep(&self, kind: &str, checkpoint: &Checkpoint, note: &Note) {
        let (origin, size, root) = (checkpoint.origin(), checkpoint.size(), checkpoint.root());
        let folder = self.path.join("refused");
        let of_kind = format!("{}.{kind}-", hash(origin));
        let path = folder.join(format!("{of_kind}{size}-{}", short(&root)));
        let kept = fs::read_dir(&folder).map_or(0, |entries| {
            let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
            names.filter(|name| name.to_string_lossy().starts_with(&of_kind)).count()
        });
        // Anybody may show the same again, or many: the lines have a bound too.
        if path.exists() || kept >= limits::WITNESS_EVIDENCE_MAX {
            return;
        }
        tracing::error!(origin, size, %root, kind, "a signed checkpoint is refused");
        if let Err(error) = files::write_atomic(&path, &note.to_bytes()) {
            tracing::error!(path = %path.display(), %error, "the evidence could not be kept");
        }
    }
}

fn vkey(path: &Path, name: &str, key: &SigningKey) -> Result<Vkey, Fault> {
    Vkey::new(name, KeyKind::Cosignature, key.public())
        .map_err(|error| Fault::Damaged { path: path.to_owned(), reason: error.to_string() })
}

/// The file name of a ledger, and its name in the monitoring address.
fn hash(origin: &str) -> String {
    Hash::from_bytes(Sha256::digest(origin).into()).to_string()
}

fn short(root: &Hash) -> String {
    root.to_string().chars().take(16).collect()
}
