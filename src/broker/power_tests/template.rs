//! An exchange with three agencies on a simulated disk, made once and copied for every run.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use tempfile::TempDir;

use super::super::recovery::{self, DataFolder};
use crate::{
    clock::{Clock, ManualClock, Moment, SystemClock},
    directory::Directory,
    domain::{
        document::Document,
        ids::{ExchangeName, InboxId, RoleName},
    },
    identity::{DevelopmentCa, Peer, Validity},
    ledger::note::Vkey,
    proto::{self, SignedChange, directory_change::Change},
    store::{disk::Dir, journal::Options, simulated::SimDisk},
    wire::client::{
        compose::Composer,
        enrol::{self, Enrolment},
        folder::{SystemFolder, SystemSettings},
    },
};

const EXCHANGE: &str = "cairn.example/power";
const AGENCIES: [&str; 3] = ["police", "school", "social-work"];
/// Concerns ready to be said: enough for the longest run.
const CONCERNS: usize = 96;
/// Short, so that runs come to new segments.
const OPTIONS: Options = Options { segment_bytes: 96 * 1024 };

/// One system of an agency.
pub(super) struct Speaker {
    pub(super) folder: SystemFolder,
    pub(super) peer: Arc<Peer>,
}

/// A concern that nobody has said yet.
pub(super) struct Concern {
    /// Which speaker says it.
    pub(super) from: usize,
    pub(super) envelope: Vec<u8>,
}

pub(super) struct Template {
    folder: TempDir,
    disk: SimDisk,
    pub(super) now: Moment,
    pub(super) vkey: Vkey,
    pub(super) speakers: Vec<Speaker>,
    pub(super) directory: Directory,
    pub(super) concerns: Vec<Concern>,
    /// Another content under the request id of the first concern.
    pub(super) conflict: Vec<u8>,
}

/// The one template.
pub(super) fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(Template::make)
}

fn data_in(folder: &Path, disk: &SimDisk) -> DataFolder {
    let dir = Dir::on(Arc::new(disk.clone()), folder.join("data"));
    DataFolder::with_journal_on(dir, OPTIONS)
}

impl Template {
    fn make() -> Template {
        let folder = tempfile::tempdir().unwrap();
        let disk = SimDisk::new(folder.path().join("data"), 0);
        let data = data_in(folder.path(), &disk);
        let name: ExchangeName = EXCHANGE.parse().unwrap();
        let now = SystemClock.now();
        data.create(&name).unwrap();
        let vkey = data.vkey().unwrap();
        let unix = now.unix_seconds() as u64;
        let validity = Validity { not_before_unix: unix - 3600, not_after_unix: unix + 86_400 };
        let ca = DevelopmentCa::create(&name, validity).unwrap();
        let speakers: Vec<Speaker> = AGENCIES
            .iter()
            .map(|agency| speaker(folder.path(), &name, agency, &ca, validity, &vkey))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let running = recovery::open(&data, Arc::new(ManualClock::at(now))).unwrap();
        let directory = runtime.block_on(async {
            running.settle().await.unwrap();
            for change in changes(&speakers, now) {
                running.broker.change(&speakers[0].peer, change).await.unwrap();
            }
            Directory::clone(&running.broker.directory())
        });
        running.close();
        let concern = |number, narrative| concern(&speakers, &directory, now, number, narrative);
        let concerns = (0..CONCERNS).map(|number| concern(number, "A made-up concern.")).collect();
        let conflict = concern(0, "Another made-up concern.").envelope;
        Template { folder, disk, now, vkey, speakers, directory, concerns, conflict }
    }

    /// A copy in a folder of its own.
    pub(super) fn copy(&self, folder: &Path, seed: u64) -> (DataFolder, SimDisk) {
        copy_folder(&self.folder.path().join("data"), &folder.join("data"));
        let disk = self.disk.copy(folder.join("data"), seed);
        (data_in(folder, &disk), disk)
    }
}

/// The same data folder on the disk as a power cut left it.
pub(super) fn on(folder: &Path, disk: &SimDisk) -> DataFolder {
    data_in(folder, disk)
}

/// Copies a folder of plain files and folders.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn speaker(
    folder: &Path,
    exchange: &ExchangeName,
    agency: &str,
    ca: &DevelopmentCa,
    validity: Validity,
    vkey: &Vkey,
) -> Speaker {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let settings = SystemSettings {
        exchange: exchange.clone(),
        agency: agency.parse().unwrap(),
        system: "system".parse().unwrap(),
        server: "127.0.0.1:1".into(),
        server_name: "localhost".into(),
    };
    let issued = ca.issue_client(exchange, &settings.agency, &settings.system, validity).unwrap();
    let der = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
    let peer = Arc::new(Peer::from_certificate(&der, exchange).unwrap());
    let roles: [RoleName; 1] = ["duty".parse().unwrap()];
    let enrolment = Enrolment { settings, roles: &roles, ca, validity, vkey, secret: None };
    let folder = enrol::make_folder(&folder.join("systems").join(agency), &enrolment).unwrap();
    Speaker { folder, peer }
}

/// What the directory must learn of them.
fn changes(speakers: &[Speaker], now: Moment) -> Vec<SignedChange> {
    let unsigned = |change| enrol::unsigned(EXCHANGE, change);
    let mut changes = Vec::new();
    for Speaker { folder, .. } in speakers {
        let agency = folder.settings.agency.to_string();
        changes.push(unsigned(Change::Agency(proto::Agency {
            id: agency.clone(),
            kind: "other".into(),
            name: agency.clone(),
            area: String::new(),
        })));
        changes.push(unsigned(Change::System(proto::System {
            agency,
            name: "system".into(),
            roles: vec!["agency".into()],
            suspended: false,
        })));
        changes.push(enrol::signing_key(folder, now));
        let inbox = Change::Inbox(proto::Inbox {
            id: inbox_of(folder).to_string(),
            phone: "0131 496 0000".into(),
            calendar: "24x7".into(),
            deputy: String::new(),
            ..proto::Inbox::default()
        });
        changes.push(enrol::signed(EXCHANGE, inbox, &[folder]));
        changes.extend(enrol::sealing_keys(folder, now));
    }
    let agreement = Change::Agreement(proto::Agreement {
        id: "all".into(),
        title: "Agreement of a test".into(),
        parties: AGENCIES.iter().map(ToString::to_string).collect(),
        classes: vec!["wellbeing".into()],
        lawful_bases: vec!["public_task".into()],
        valid_from: "2020-01-01".into(),
        valid_to: "2099-12-31".into(),
        review_by: String::new(),
        review_key: Vec::new(),
        no_review_key_reason: "a test".into(),
        profiles: Vec::new(),
    });
    let parties: Vec<&SystemFolder> = speakers.iter().map(|speaker| &speaker.folder).collect();
    changes.push(enrol::signed(EXCHANGE, agreement, &parties));
    changes
}

/// The one inbox of a speaker.
pub(super) fn inbox_of(folder: &SystemFolder) -> InboxId {
    InboxId::new(&folder.settings.agency, &"duty".parse().unwrap())
}

fn concern(
    speakers: &[Speaker],
    directory: &Directory,
    now: Moment,
    number: usize,
    narrative: &str,
) -> Concern {
    let from = number % 2;
    let document = json!({
        "kind": "concern", "reference": format!("P-{number}"), "from": AGENCIES[from],
        "to": ["social-work/duty"], "urgency": "prompt", "class": "wellbeing",
        "agreement": "all", "lawful_basis": "public_task",
        "purpose": "to decide what help is needed", "action_requested": "for your assessment",
        "created_at": "2026-11-16T06:00:42Z",
        "concern": {"category": "neglect", "narrative": narrative},
        "child": {"given_names": "Marker", "family_name": "Quillfeather"}, "exercise": true,
    });
    let document = Document::parse(document.to_string().as_bytes()).unwrap();
    let composer = Composer::new(&speakers[from].folder, directory, now);
    Concern { from, envelope: composer.concern(&document).unwrap() }
}
