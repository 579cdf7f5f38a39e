//! Certificates: reading them from files, generating them, their fingerprints and descriptions.

use std::net::IpAddr;
use std::path::Path;

use chrono::Datelike;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Version};

use super::fingerprint::Sha256;
use super::{error_text, provider};
use crate::error::{ExitCode, Failure, Phase};

/// A certificate chain and its private key.
#[derive(Debug)]
pub struct Identity {
    /// The end-entity certificate, then the intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads PEM files; without a key file the key is in the file of the certificate.
    ///
    /// Fails at [`Phase::File`] with code 26, also when the file has no certificate or key.
    pub fn read(chain: &Path, key: Option<&Path>) -> Result<Identity, Failure> {
        let at = key.unwrap_or(chain);
        let key = PrivateKeyDer::from_pem_file(at).map_err(|e| match e {
            pem::Error::NoItemsFound => unreadable(at, "it has no private key (PEM)"),
            other => not_pem(at, other),
        })?;
        Ok(Identity { chain: read(chain)?, key })
    }

    /// Generates a self-signed certificate for these names, valid for a year. Clients can verify it
    /// by its fingerprint only.
    pub fn generate_self_signed(names: &[String]) -> Result<Identity, Failure> {
        let failed = |e: rcgen::Error| Failure::new(Phase::Tls, "--tls", e);
        let key = rcgen::KeyPair::generate().map_err(failed)?;
        let mut params = rcgen::CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "sockit throw-away");
        // From yesterday, for clocks that are slow.
        let (from, to) = (day(-1), day(365));
        params.not_before = rcgen::date_time_ymd(from.year(), from.month() as u8, from.day() as u8);
        params.not_after = rcgen::date_time_ymd(to.year(), to.month() as u8, to.day() as u8);
        let certificate = params.self_signed(&key).map_err(failed)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Identity { chain: vec![certificate.der().clone()], key: key.into() })
    }

    /// SHA-256 of the end-entity certificate.
    pub fn sha256(&self) -> Sha256 {
        self.chain.first().map_or(Sha256([0; 32]), |der| Sha256::of(der))
    }

    /// The certificate with its key as rustls uses it; fails with 26 when they do not match.
    pub(super) fn certified(self) -> Result<CertifiedKey, Failure> {
        CertifiedKey::from_der(self.chain, self.key, &provider()).map_err(|e| unusable(&e))
    }
}

/// The date that is this many days from now.
fn day(from_now: i64) -> chrono::NaiveDate {
    let today = chrono::Utc::now().date_naive();
    today.checked_add_signed(chrono::TimeDelta::days(from_now)).unwrap_or(today)
}

/// Reads the certificates of a PEM file, at least one.
///
/// Fails at [`Phase::File`] with code 26.
pub fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| not_pem(path, e))?;
    if found.is_empty() {
        return Err(unreadable(path, "it has no certificate (PEM)"));
    }
    Ok(found)
}

fn not_pem(path: &Path, error: pem::Error) -> Failure {
    let why = match error {
        pem::Error::Io(e) => return Failure::new(Phase::File, path.display(), e),
        pem::Error::MissingSectionEnd { .. } => "a section does not end".to_string(),
        pem::Error::IllegalSectionStart { .. } => "the start of a section is malformed".to_string(),
        pem::Error::Base64Decode(_) => "its base64 is malformed".to_string(),
        other => other.to_string(),
    };
    unreadable(path, &format!("not a PEM file: {why}"))
}

/// A local certificate that rustls does not accept: code 26.
pub(super) fn unusable(error: &rustls::Error) -> Failure {
    use rustls::Error as Bad;
    let why = match error {
        Bad::InconsistentKeys(_) => "the key does not match the certificate".to_string(),
        Bad::InvalidCertificate(why) => {
            format!("the certificate cannot be used: {}", error_text::of_certificate(why))
        }
        other => format!("the certificate or its key cannot be used: {}", error_text::of(other)),
    };
    Failure::new(Phase::File, "--cert", why)
}

pub(super) fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(Phase::File, path.display(), why).with_code(ExitCode::Read)
}

/// The fields of a certificate, which is not verified: the peer may have chosen all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Its subject, `CN=…`.
    pub subject: String,
    /// The issuer, `CN=…`.
    pub issuer: String,
    /// The alternative names: DNS names, addresses and others.
    pub names: Vec<String>,
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// Start of the validity, as text.
    pub from: String,
    /// End of the validity, as text.
    pub to: String,
    /// Start and end in seconds since 1970.
    pub validity: (i64, i64),
    /// Whether it is of X.509 version 1, which has no extensions.
    pub is_version_1: bool,
}

impl CertificateInfo {
    /// Parses a certificate; `None` if it is malformed.
    pub fn of(der: &[u8]) -> Option<CertificateInfo> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let names = alternative.map_or(&[][..], |found| &found.value.general_names);
        let common_name = certificate.subject().iter_common_name().next();
        let validity = certificate.validity();
        Some(CertificateInfo {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names: names.iter().filter_map(name).collect(),
            common_name: common_name.and_then(|name| name.as_str().ok()).map(str::to_string),
            from: validity.not_before.to_string(),
            to: validity.not_after.to_string(),
            validity: (validity.not_before.timestamp(), validity.not_after.timestamp()),
            is_version_1: certificate.version() == X509Version::V1,
        })
    }

    /// The first alternative name, or the common name.
    pub fn name(&self) -> Option<String> {
        self.names.first().or(self.common_name.as_ref()).cloned()
    }

    /// Whether issuer and subject are the same.
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some(name.to_string())
        }
        GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_certificate_has_its_names() {
        let names = ["localhost".to_string(), "127.0.0.1".to_string()];
        let identity = Identity::generate_self_signed(&names).unwrap();
        let info = CertificateInfo::of(&identity.chain[0]).unwrap();
        assert_eq!(info.names, names);
        assert!(info.is_self_signed());
        assert!(info.validity.0 < info.validity.1);
    }
}
