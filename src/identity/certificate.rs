//! From a certificate to the identity it proves.
//!
//! Takes the DER of an end-entity certificate whose chain TLS has verified; gives a `Peer`. The
//! identity is one URI in the subject alternative name, `cairn://<exchange>/<agency>/<system>`;
//! nothing else in the certificate says who it is, least of all its common name.
//! Holds: I2, I12. Knows: domain.

use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::people::Person;
use crate::domain::ids::{AgencyId, ExchangeName, SystemName};

/// The scheme and the slashes that every identity begins with.
const SCHEME: &str = "cairn://";
/// What makes a URI claim to be ours: it must then be right in every part.
const SCHEME_NAME: &str = "cairn:";
/// The context tag of `uniformResourceIdentifier` in a `GeneralName` (RFC 5280, 4.2.1.6).
const URI_TAG: u32 = 6;

/// The system that speaks, as its certificate names it, or for which a person has signed in.
///
/// Only this room makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The exchange that the certificate is for; always the one this program serves.
    pub exchange: ExchangeName,
    /// The agency that the system belongs to.
    pub agency: AgencyId,
    /// The system.
    pub system: SystemName,
    /// SHA-256 of the certificate's DER; zeros for a person who signed in.
    pub certificate_sha256: [u8; 32],
    /// The certificate's serial number in lower-case hex, without leading zero bytes; empty for a
    /// person who signed in.
    pub serial: String,
    /// The last second at which the certificate, or the person's access, is valid, as Unix time.
    pub not_after_unix: u64,
    /// SHA-256 of the issuer's name in DER: a serial number means something only beside it.
    pub(super) issuer_sha256: [u8; 32],
}

/// Why a certificate proves no identity here. None of these carries text from the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// Its identity names another exchange.
    #[error("the identity in the certificate is for another exchange")]
    AnotherExchange,
    /// Its identity is not `cairn://<exchange>/<agency>/<system>` to the letter.
    #[error("the identity in the certificate is not cairn://<exchange>/<agency>/<system>")]
    BadShape,
    /// It holds more than one identity.
    #[error("the certificate holds more than one identity")]
    MoreThanOne,
    /// It holds no identity.
    #[error("the certificate holds no identity: a cairn:// URI as subject alternative name")]
    None,
    /// It, or its subject alternative name, cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
}

impl Peer {
    /// The system for which this person has signed in.
    pub(super) fn signed_in(person: &Person, exchange: &ExchangeName) -> Self {
        Self {
            exchange: exchange.clone(),
            agency: person.agency.clone(),
            system: person.system.clone(),
            certificate_sha256: [0; 32],
            serial: String::new(),
            not_after_unix: person.until,
            issuer_sha256: [0; 32],
        }
    }

    /// Reads the identity out of one end-entity certificate.
    ///
    /// `exchange` is this exchange's name, compared byte for byte. The chain, the signature and
    /// the dates are TLS's business and not looked at here.
    ///
    /// # Errors
    /// A [`NoIdentity`] when the certificate does not name exactly one system of this exchange.
    pub fn from_certificate(der: &[u8], exchange: &ExchangeName) -> Result<Self, NoIdentity> {
        let certificate = match X509Certificate::from_der(der) {
            Ok(([], certificate)) => certificate,
            Ok(_) | Err(_) => return Err(NoIdentity::Unreadable),
        };
        let (agency, system) = parts(the_uri(&certificate)?, exchange)?;
        let not_after = certificate.validity().not_after.timestamp();
        Ok(Self {
            exchange: exchange.clone(),
            agency,
            system,
            certificate_sha256: Sha256::digest(der).into(),
            serial: serial_hex(certificate.raw_serial()),
            not_after_unix: u64::try_from(not_after).unwrap_or(0),
            issuer_sha256: name_sha256(certificate.issuer().as_raw()),
        })
    }
}

/// The one URI of the certificate that claims our scheme, in whatever case it writes it.
fn the_uri<'a>(certificate: &'a X509Certificate<'a>) -> Result<&'a str, NoIdentity> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| NoIdentity::Unreadable)?
        .ok_or(NoIdentity::None)?;
    let mut found = None;
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) if claims_scheme(uri) && found.replace(*uri).is_some() => {
                return Err(NoIdentity::MoreThanOne);
            }
            // A URI that is not even text could be meant as ours by a laxer reader.
            GeneralName::Invalid(tag, _) if tag.0 == URI_TAG => {
                return Err(NoIdentity::Unreadable);
            }
            _ => {}
        }
    }
    found.ok_or(NoIdentity::None)
}

fn claims_scheme(uri: &str) -> bool {
    uri.get(..SCHEME_NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME_NAME))
}

/// Agency and system of an identity, which are its last two parts: ids hold no slash, while the
/// name of an exchange may.
fn parts(uri: &str, exchange: &ExchangeName) -> Result<(AgencyId, SystemName), NoIdentity> {
    let path = uri.strip_prefix(SCHEME).ok_or(NoIdentity::BadShape)?;
    let mut from_the_end = path.rsplitn(3, '/');
    let mut part = || from_the_end.next().ok_or(NoIdentity::BadShape);
    let (system, agency, named) = (part()?, part()?, part()?);
    let system = system.parse().map_err(|_| NoIdentity::BadShape)?;
    let agency = agency.parse().map_err(|_| NoIdentity::BadShape)?;
    let named: ExchangeName = named.parse().map_err(|_| NoIdentity::BadShape)?;
    match named == *exchange {
        true => Ok((agency, system)),
        false => Err(NoIdentity::AnotherExchange),
    }
}

/// The identity that certificates of this system carry.
pub(super) fn identity_uri(
    exchange: &ExchangeName,
    agency: &AgencyId,
    system: &SystemName,
) -> String {
    format!("{SCHEME}{exchange}/{agency}/{system}")
}

/// A serial number as lower-case hex. DER puts a zero byte before a set top bit; other tools do
/// not show it, so neither do we.
pub(super) fn serial_hex(serial: &[u8]) -> String {
    let significant = serial.iter().skip_while(|byte| **byte == 0);
    significant.map(|byte| format!("{byte:02x}")).collect()
}

/// What stands for an issuer's name in a [`Peer`] and among the revoked.
pub(super) fn name_sha256(name_der: &[u8]) -> [u8; 32] {
    Sha256::digest(name_der).into()
}

#[cfg(test)]
mod tests;
