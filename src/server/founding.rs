//! Founding an exchange: its keys and ledger, a development authority, and the
//! operators' own systems.
//!
//! Knows: broker, identity, wire::client, crypto.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, ensure};

use crate::{
    broker::recovery::{self, DataFolder, Running},
    clock::{Clock, Moment},
    crypto::keyfile,
    domain::ids::{AgencyId, ExchangeName, SystemName},
    identity::{DevelopmentCa, Peer, Validity},
    ledger::note::Vkey,
    proto::{self, SignedChange, directory_change::Change},
    wire::client::{
        enrol::{self, Enrolment},
        folder::{SystemFolder, SystemSettings},
    },
};

/// The agency that runs the exchange.
pub const OPERATOR: &str = "operator";
/// Its systems, and what each may do.
pub const OPERATOR_SYSTEMS: [(&str, &str); 3] =
    [("admin", "directory_admin"), ("on-call", "on_call"), ("auditor", "auditor")];
/// Development certificates are good for this long.
const VALID_SECONDS: u64 = 365 * 24 * 3600;

/// By what clock an exchange is founded, and how long its development certificates are good.
#[derive(Clone)]
pub struct Dates {
    /// What its first entries and keys go by.
    pub clock: Arc<dyn Clock>,
    /// Of every certificate, and of the revocation list.
    pub validity: Validity,
}

impl Dates {
    /// From now on, by this clock, with the usual validity.
    pub fn of(clock: Arc<dyn Clock>) -> Self {
        let validity = validity(clock.now());
        Self { clock, validity }
    }
}

/// Makes an exchange in a folder that has none: keys, ledger, development authority,
/// operators' systems, settings. Gives the ledger's verifier key.
///
/// # Errors
/// In words, with what to do.
pub async fn found(
    folder: &Path,
    exchange: &ExchangeName,
    listen: SocketAddr,
    names: &[String],
    dates: &Dates,
) -> anyhow::Result<Vkey> {
    ensure!(
        !folder.join("cairn.toml").exists(),
        "{}: there is an exchange here already",
        folder.display()
    );
    let Dates { clock, validity } = dates;
    let validity = *validity;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let data = DataFolder::at(folder.join("data"));
    data.create(exchange)?;
    let vkey = data.vkey()?;
    let ca = DevelopmentCa::create(exchange, validity)?;
    write_authority(folder, &ca, names, validity)?;
    let server_name = names.first().cloned().unwrap_or_else(|| "localhost".into());
    let mut systems = Vec::new();
    for (system, role) in OPERATOR_SYSTEMS {
        let settings = SystemSettings {
            exchange: exchange.clone(),
            agency: OPERATOR.parse()?,
            system: system.parse()?,
            server: listen.to_string(),
            server_name: server_name.clone(),
        };
        let path = folder.join("systems").join(OPERATOR).join(system);
        let (vkey, secret) = (&vkey, None);
        let enrolment = Enrolment { settings, roles: &[], ca: &ca, validity, vkey, secret };
        systems.push((enrol::make_folder(&path, &enrolment)?, role));
    }
    let running = tokio::task::block_in_place(|| recovery::open(&data, Arc::clone(clock)))?;
    let registered = register(&running, &ca, exchange, &systems, dates).await;
    tokio::task::block_in_place(|| running.close());
    registered?;
    fs::write(folder.join("cairn.toml"), settings_text(listen))?;
    Ok(vkey)
}

/// The first entries: the operators' agency and systems. From then on the directory
/// changes through its service alone.
async fn register(
    running: &Running,
    ca: &DevelopmentCa,
    exchange: &ExchangeName,
    systems: &[(SystemFolder, &str)],
    dates: &Dates,
) -> anyhow::Result<()> {
    running.settle().await?;
    let peer = operator_peer(ca, exchange, dates.validity)?;
    let agency = proto::Agency {
        id: OPERATOR.into(),
        kind: "other".into(),
        name: "Operators of the exchange".into(),
        area: String::new(),
    };
    let mut changes: Vec<SignedChange> =
        vec![enrol::unsigned(exchange.as_str(), Change::Agency(agency))];
    for (folder, role) in systems {
        let system = proto::System {
            agency: OPERATOR.into(),
            name: folder.settings.system.to_string(),
            roles: vec![(*role).to_owned()],
            suspended: false,
        };
        changes.push(enrol::unsigned(exchange.as_str(), Change::System(system)));
    }
    let first = &systems.first().context("invariant: operators have systems")?.0;
    for (folder, _) in systems {
        let mut change = enrol::signing_key(folder, dates.clock.now());
        // Keys after the agency's first are vouched for by it.
        change.signatures.push(enrol::signature(first, &change.change));
        changes.push(change);
    }
    for change in changes {
        running.broker.change(&peer, change).await?;
    }
    Ok(())
}

/// The operators' administrator, as its certificate shows it.
fn operator_peer(
    ca: &DevelopmentCa,
    exchange: &ExchangeName,
    validity: Validity,
) -> anyhow::Result<Peer> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let agency: AgencyId = OPERATOR.parse()?;
    let system: SystemName = OPERATOR_SYSTEMS[0].0.parse()?;
    let issued = ca.issue_client(exchange, &agency, &system, validity)?;
    let der = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes())?;
    Ok(Peer::from_certificate(&der, exchange)?)
}

/// From yesterday, for clocks that are behind, for a year.
pub fn validity(now: Moment) -> Validity {
    let now = u64::try_from(now.unix_seconds()).unwrap_or(0);
    Validity { not_before_unix: now.saturating_sub(24 * 3600), not_after_unix: now + VALID_SECONDS }
}

fn write_authority(
    folder: &Path,
    ca: &DevelopmentCa,
    names: &[String],
    validity: Validity,
) -> anyhow::Result<()> {
    for part in ["ca", "tls"] {
        fs::create_dir_all(folder.join(part))?;
    }
    fs::write(folder.join("ca/ca.pem"), ca.certificate_pem())?;
    keyfile::write_private(&folder.join("ca/ca.key"), ca.key_pem().as_bytes())?;
    fs::write(folder.join("ca/ca.crl"), ca.crl(&[], validity)?)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = ca.issue_server(&names, validity)?;
    fs::write(folder.join("tls/server.pem"), &server.certificate_pem)?;
    keyfile::write_private(&folder.join("tls/server.key"), server.key_pem.as_bytes())?;
    Ok(())
}

fn settings_text(listen: SocketAddr) -> String {
    format!(
        "# Settings of `cairn serve`; deploy/cairn.toml explains every key.\n\
         data = \"data\"\nlisten = \"{listen}\"\nmetrics = \"127.0.0.1:7480\"\n\n\
         [tls]\ncertificate = \"tls/server.pem\"\nkey = \"tls/server.key\"\n\
         client_ca = \"ca/ca.pem\"\ncrls = [\"ca/ca.crl\"]\n\n\
         # The console for people, once browsers trust the certificate.\n\
         # [console]\n# listen = \"127.0.0.1:7444\"\n# url = \"https://localhost:7444\"\n"
    )
}
