//! Why a certificate is not accepted, in words a person can act on.

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, Error};

use super::certificate::{CertificateInfo, sha256};
use super::words;

/// Why a certificate is not accepted.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// The reason.
    pub(super) why: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl From<String> for Finding {
    fn from(why: String) -> Finding {
        Finding { why, hint: None }
    }
}

/// Why a certificate is not accepted, and what to do about it.
pub(super) fn why(
    error: &Error,
    own: &CertificateDer<'_>,
    name: Option<&ServerName<'_>>,
    rootless: bool,
) -> Finding {
    let Error::InvalidCertificate(error) = error else { return words::of(error).into() };
    let Some(told) = CertificateInfo::of(own) else {
        return "not a certificate".to_string().into();
    };
    use CertificateError as Bad;
    let why = match error {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            format!("the certificate has expired: it was valid until {}", told.to)
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            format!("the certificate is not yet valid: it will be from {}", told.from)
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => wrong_name(&told, name),
        Bad::Other(_) if told.is_version_1 => {
            format!("the certificate is not accepted: {}", words::of_certificate(error))
        }
        _ if told.is_self_signed() => return self_signed(&told, own),
        Bad::UnknownIssuer if rootless => {
            format!("unknown issuer ({}): this system has no trusted certificates", told.issuer)
        }
        Bad::UnknownIssuer => {
            format!("unknown issuer: the certificate is signed by {}", told.issuer)
        }
        Bad::BadSignature => {
            format!("unknown issuer: {} is known, but with another key", told.issuer)
        }
        other => format!("the certificate is not accepted: {}", words::of_certificate(other)),
    };
    why.into()
}

fn self_signed(told: &CertificateInfo, own: &CertificateDer<'_>) -> Finding {
    let why =
        format!("self-signed certificate ({}), which we have no reason to trust", told.subject);
    let hint = "--ca-file FILE trusts it, or --pin if this is its SHA-256:";
    Finding { why, hint: Some(format!("{hint} {}", sha256(own))) }
}

fn wrong_name(told: &CertificateInfo, name: Option<&ServerName<'_>>) -> String {
    let wanted = name.map(|name| name.to_str()).unwrap_or_default();
    let names = match (told.names.as_slice(), &told.common_name) {
        ([], Some(name)) => format!("{name} (as a common name only, which no longer counts)"),
        ([], None) => "no name at all".to_string(),
        (names, _) => names.join(", "),
    };
    format!("wrong name: the certificate is for {names}, not for {wanted}")
}
