//! What the fuzz targets share: one small exchange with known keys, and ways to turn the bytes of a
//! fuzzer into choices.
//!
//! The keys are made from numbers that anyone can read here; they guard nothing.

pub mod entries;
pub mod frames;
pub mod golden;
pub mod reference;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use cairn::clock::Moment;
use cairn::crypto::seal::{SealingKeyPair, wrap_digest};
use cairn::crypto::sign::{DIRECTORY_TYPE, STATEMENT_TYPE, SigningKey, sign_dsse};
use cairn::crypto::seal;
use cairn::directory::Directory;
use cairn::domain::ids::ExchangeName;
use cairn::identity::issue::{DevelopmentCa, Validity};
use cairn::identity::{Peer, certificate::NoIdentity};
use cairn::ledger::note::{KeyKind, Vkey};
use cairn::proto::{self, directory_change::Change};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// The exchange's origin name.
pub const EXCHANGE: &str = "cairn.example/fuzz";
/// Two agencies with a system, an inbox and an agreement each has signed.
pub const AGENCIES: [&str; 2] = ["police-ardness", "sw-ardness"];
/// The system of each.
pub const SYSTEM: &str = "desk";
/// The agreement between them.
pub const AGREEMENT: &str = "ardness/1";
/// The moment at which everything is judged: 2026-01-15.
pub const NOW: Moment = Moment(1_768_435_200_000_000_000);

/// A small exchange.
pub struct World {
    /// Who is who.
    pub directory: Directory,
    /// The systems, as their certificates name them.
    pub peers: [Arc<Peer>; 2],
    /// The certificates themselves, DER.
    pub certificates: [Vec<u8>; 2],
    /// What each signs with.
    pub signers: [SigningKey; 2],
    /// What each inbox opens with.
    pub sealing: [SealingKeyPair; 2],
    /// Every change of the directory, in order.
    pub changes: Vec<proto::SignedChange>,
}

/// The exchange, made once.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// The inbox of an agency.
pub fn inbox(agency: &str) -> String {
    format!("{agency}/duty")
}

/// The exchange's name, parsed.
pub fn exchange() -> ExchangeName {
    EXCHANGE.parse().expect("a name")
}

/// The ledger's key.
pub fn ledger_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// What others verify it with.
pub fn vkey() -> Vkey {
    Vkey::new(EXCHANGE, KeyKind::Ed25519, ledger_key().public()).expect("a key name")
}

impl World {
    fn new() -> Self {
        let signers = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let sealing = [3, 4].map(|seed| SealingKeyPair::from_seed(&[seed; 32]));
        let certificates = certificates();
        let peers = certificates.each_ref().map(|der| Arc::new(peer(der).expect("a peer")));
        let mut world = Self {
            directory: Directory::of(EXCHANGE),
            peers,
            certificates,
            signers,
            sealing,
            changes: Vec::new(),
        };
        for change in world.founding() {
            world.enter(change);
        }
        world
    }

    fn founding(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (at, agency) in AGENCIES.iter().enumerate() {
            let agency = (*agency).to_owned();
            let (id, kind, name) = (agency.clone(), "police".to_owned(), agency.clone());
            changes.push(Change::Agency(proto::Agency { id, kind, name, area: String::new() }));
            let (name, roles) = (SYSTEM.to_owned(), vec!["agency".to_owned()]);
            let system = proto::System { agency: agency.clone(), name, roles, suspended: false };
            changes.push(Change::System(system));
            let calendar = "weekdays".to_owned();
            let inbox = proto::Inbox { id: inbox(&agency), calendar, ..Default::default() };
            changes.push(Change::Inbox(inbox.clone()));
            changes.push(Change::SigningKey(proto::SigningKey {
                agency,
                system: SYSTEM.to_owned(),
                public_key: self.signers[at].public().to_bytes().to_vec(),
                ..Default::default()
            }));
            let public_key = self.sealing[at].public().to_bytes();
            let key = proto::SealingKey { inbox: inbox.id, public_key, valid_from: 0, valid_to: 0 };
            changes.push(Change::SealingKey(key));
        }
        changes.push(Change::Agreement(proto::Agreement {
            id: AGREEMENT.to_owned(),
            title: "For the fuzzer".to_owned(),
            parties: AGENCIES.map(str::to_owned).to_vec(),
            classes: vec!["child_protection".to_owned()],
            lawful_bases: vec!["public_task".to_owned()],
            valid_from: "2026-01-01".to_owned(),
            valid_to: "2026-12-31".to_owned(),
            no_review_key_reason: "made up".to_owned(),
            ..Default::default()
        }));
        changes
    }

    fn enter(&mut self, change: Change) {
        let change = proto::DirectoryChange { exchange: EXCHANGE.to_owned(), change: Some(change) };
        let signed = self.signed_change(proto::encode(&change), 0b11);
        self.directory.judge(&signed, NOW).expect("a change that may be made");
        self.directory.apply(self.changes.len() as u64, &signed);
        self.changes.push(signed);
    }

    /// A change signed by the agencies whose bit is set.
    pub fn signed_change(&self, change: Vec<u8>, by: u8) -> proto::SignedChange {
        let signing = self.signers.iter().enumerate().filter(|(at, _)| by >> at & 1 == 1);
        let signatures = signing.map(|(_, key)| signature(key, DIRECTORY_TYPE, &change)).collect();
        proto::SignedChange { change, signatures }
    }

    /// An envelope of these signed bytes, with the signature of the agency at this place.
    pub fn envelope(
        &self,
        by: usize,
        statement: Vec<u8>,
        body: Option<proto::SealedBody>,
    ) -> Vec<u8> {
        let signature = Some(signature(&self.signers[by], STATEMENT_TYPE, &statement));
        proto::encode(&proto::Envelope { statement, signature, body })
    }
}

fn signature(key: &SigningKey, kind: &str, payload: &[u8]) -> proto::Signature {
    let signature = sign_dsse(key, kind, payload).to_vec();
    proto::Signature { key_id: key.key_id().0.to_vec(), signature }
}

/// What a certificate proves in this exchange.
pub fn peer(der: &[u8]) -> Result<Peer, NoIdentity> {
    Peer::from_certificate(der, &exchange())
}

fn certificates() -> [Vec<u8>; 2] {
    let validity = Validity { not_before_unix: 1_700_000_000, not_after_unix: 4_000_000_000 };
    let authority = DevelopmentCa::create(&exchange(), validity).expect("an authority");
    AGENCIES.map(|agency| {
        let (agency, system) = (agency.parse().expect("an id"), SYSTEM.parse().expect("a name"));
        let issued = authority.issue_client(&exchange(), &agency, &system, validity);
        let pem = issued.expect("a certificate").certificate_pem;
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("one certificate").to_vec()
    })
}

/// What a statement must say of a body so that it is the very one that was signed for.
pub fn seal_of(body: &proto::SealedBody, key_commitment: Vec<u8>) -> Option<proto::Seal> {
    let nonce: &[u8; 12] = body.nonce.as_slice().try_into().ok()?;
    let digest_of = |wrap: &proto::Wrap| {
        let sha256 = wrap_digest(&wrap.enc, &wrap.wrapped).to_vec();
        let (inbox, agreement) = (wrap.inbox.clone(), wrap.agreement.clone());
        proto::WrapDigest { inbox, agreement, key_id: wrap.key_id.clone(), sha256 }
    };
    Some(proto::Seal {
        suite: seal::SUITE.to_owned(),
        body_sha256: seal::body_digest(nonce, &body.ciphertext).to_vec(),
        key_commitment,
        wraps: body.wraps.iter().map(digest_of).collect(),
    })
}

/// The bytes of a fuzzer, taken as choices. When they run out, every choice is zero.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bytes = self.take(4);
        bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) % bound
    }

    /// The next bytes, fewer if there are fewer.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A place in `bytes` and another value for it, drawn from the bytes themselves so that a finding
/// is found again.
pub fn harmed(bytes: &[u8]) -> Option<Vec<u8>> {
    let chance = crc32c::crc32c(bytes);
    let mut harmed = bytes.to_vec();
    let at = (chance >> 8) as usize % bytes.len().max(1);
    *harmed.get_mut(at)? ^= (chance as u8).max(1);
    Some(harmed)
}

/// A folder in memory where there is one: the journal syncs a lot.
pub fn scratch() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::tempdir_in(folder).expect("a folder")
}
