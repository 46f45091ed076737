//! A certificate authority for development, tests and small pilots.
//!
//! Takes names and dates; gives certificates, keys and revocation lists as PEM. ECDSA P-256
//! throughout: Ed25519 certificates fail with gRPC in other languages. It reads no clock and
//! writes no file. A real exchange brings its own authority.
//! Knows: domain.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::Error;
use super::certificate::{identity_uri, serial_hex};
use crate::domain::ids::{AgencyId, ExchangeName, SystemName};

/// The last second of the year 9999, where X.509 time ends.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;
/// Bytes of randomness in a serial number; RFC 5280 allows 20 bytes and asks for chance.
const SERIAL_BYTES: usize = 16;

/// From when to when a certificate or revocation list holds, both included, as Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before_unix: u64,
    /// The last second.
    pub not_after_unix: u64,
}

/// A certificate and its key, as the files they will be.
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PKCS#8 v1 in PEM; the file must have mode 0600.
    pub key_pem: Zeroizing<String>,
    /// The serial number in lower-case hex, as a revocation wants it.
    pub serial: String,
}

/// An authority whose key is at hand.
pub struct DevelopmentCa {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl DevelopmentCa {
    /// A new authority with a new key, for the exchange of that name.
    ///
    /// # Errors
    /// [`Error::Issue`] when `validity` lies outside the years 1970 to 9999 or chance fails.
    pub fn create(exchange: &ExchangeName, validity: Validity) -> Result<Self, Error> {
        let serial = random_serial()?;
        let mut params = params(validity, &serial)?;
        // The serial makes the name unique: a revocation list finds its authority by name.
        let common = format!("Cairn development CA {}", &serial_hex(&serial)[..8]);
        params.distinguished_name.push(DnType::OrganizationName, exchange.as_str());
        params.distinguished_name.push(DnType::CommonName, common);
        let key = new_key()?;
        let (params, certificate_pem) = sign_ca(params, &key)?;
        Ok(Self { certificate_pem, issuer: Issuer::new(params, key) })
    }

    /// The authority made earlier by [`DevelopmentCa::create`].
    ///
    /// # Errors
    /// [`Error::Issue`] when the PEM cannot be read, the key is not the certificate's, or the
    /// certificate is not one that `create` made.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let unreadable = || Error::Issue("the authority's certificate cannot be read".to_owned());
        let der =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| unreadable())?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
        let key = KeyPair::from_pem(key_pem)
            .map_err(|_| Error::Issue("the authority's key cannot be read".to_owned()))?;
        let always = Validity { not_before_unix: 0, not_after_unix: UNIX_SECONDS_MAX };
        let mut params = params(always, &[1])?;
        let subject = certificate.subject();
        let text = |name: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
            name.and_then(|name| name.as_str().ok().map(str::to_owned)).ok_or_else(unreadable)
        };
        let organization = text(subject.iter_organization().next())?;
        let common = text(subject.iter_common_name().next())?;
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, common);
        // Signed once more to compare: what we issue must chain to this very name and key.
        let (params, again_pem) = sign_ca(params, &key)?;
        let again =
            CertificateDer::from_pem_slice(again_pem.as_bytes()).map_err(|_| unreadable())?;
        let (_, again) = X509Certificate::from_der(&again).map_err(|_| unreadable())?;
        if again.public_key().raw != certificate.public_key().raw {
            return Err(Error::Issue("the key is not the authority's".to_owned()));
        }
        if again.subject().as_raw() != subject.as_raw() {
            return Err(Error::Issue("not an authority that Cairn made".to_owned()));
        }
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, PEM: what the other side is to trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's private key, PKCS#8 in PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// A server's certificate for DNS names and IP addresses, at least one.
    ///
    /// # Errors
    /// [`Error::Issue`] when there is no name or one cannot be a DNS name.
    pub fn issue_server(&self, names: &[&str], validity: Validity) -> Result<Issued, Error> {
        let first = names.first();
        let first = first.ok_or_else(|| Error::Issue("a server needs a name".to_owned()))?;
        let serial = random_serial()?;
        let mut params = params(validity, &serial)?;
        params.distinguished_name.push(DnType::CommonName, *first);
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().map_err(refused)?),
            });
        }
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth, &serial)
    }

    /// The certificate of one agency's system, carrying its identity as a URI.
    ///
    /// # Errors
    /// [`Error::Issue`] when `validity` is out of range or chance fails.
    pub fn issue_client(
        &self,
        exchange: &ExchangeName,
        agency: &AgencyId,
        system: &SystemName,
        validity: Validity,
    ) -> Result<Issued, Error> {
        let serial = random_serial()?;
        let mut params = params(validity, &serial)?;
        // For people who read certificates; no program may take the identity from here.
        params.distinguished_name.push(DnType::OrganizationName, agency.as_str());
        params.distinguished_name.push(DnType::CommonName, system.as_str());
        let uri = identity_uri(exchange, agency, system);
        let uri = uri.as_str().try_into().map_err(refused)?;
        params.subject_alt_names.push(SanType::URI(uri));
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth, &serial)
    }

    /// A revocation list of the given serial numbers (hex), PEM. The whole list each time.
    ///
    /// `validity` is its this-update and next-update.
    ///
    /// # Errors
    /// [`Error::Issue`] when a serial number is not hex.
    pub fn crl(&self, revoked: &[&str], validity: Validity) -> Result<String, Error> {
        let the_year_1970 = rcgen::date_time_ymd(1970, 1, 1);
        let this_update = the_year_1970 + since_1970(validity.not_before_unix)?;
        let revoked_certs = revoked
            .iter()
            .map(|serial| {
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&serial_bytes(serial)?),
                    revocation_time: this_update,
                    reason_code: None,
                    invalidity_date: None,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        CertificateRevocationListParams {
            this_update,
            next_update: the_year_1970 + since_1970(validity.not_after_unix)?,
            // Time never goes back, so the later list has the higher number, as it must.
            crl_number: SerialNumber::from(validity.not_before_unix),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .and_then(|list| list.pem())
        .map_err(refused)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
        serial: &[u8],
    ) -> Result<Issued, Error> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            serial: serial_hex(serial),
        })
    }
}

/// Makes an authority of `params` and signs it with its own key.
fn sign_ca(
    mut params: CertificateParams,
    key: &KeyPair,
) -> Result<(CertificateParams, String), Error> {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(key).map_err(refused)?;
    Ok((params, certificate.pem()))
}

fn params(validity: Validity, serial: &[u8]) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let the_year_1970 = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = the_year_1970 + since_1970(validity.not_before_unix)?;
    params.not_after = the_year_1970 + since_1970(validity.not_after_unix)?;
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.key_identifier_method = KeyIdMethod::Sha256;
    Ok(params)
}

fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(refused)
}

/// A positive number of full length: the top bits are 01.
fn random_serial() -> Result<[u8; SERIAL_BYTES], Error> {
    let mut serial = [0; SERIAL_BYTES];
    getrandom::fill(&mut serial).map_err(refused)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

fn serial_bytes(hex: &str) -> Result<Vec<u8>, Error> {
    let fault = || Error::Issue("a serial number is an even number of hex digits".to_owned());
    let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex.is_empty() || !hex.len().is_multiple_of(2) || !digits {
        return Err(fault());
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| fault()))
        .collect()
}

/// A date as rcgen counts it: from 1970, as far as X.509 goes.
fn since_1970(unix: u64) -> Result<Duration, Error> {
    match unix > UNIX_SECONDS_MAX {
        true => Err(Error::Issue("a date after the year 9999".to_owned())),
        false => Ok(Duration::from_secs(unix)),
    }
}

fn refused(fault: impl ToString) -> Error {
    Error::Issue(fault.to_string())
}

#[cfg(test)]
mod tests;
