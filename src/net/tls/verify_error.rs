//! Reasons why a certificate is not accepted, as text for users.

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, Error};

use super::certificate::CertificateInfo;
use super::error_text;
use super::fingerprint::Sha256;

/// A certificate that is not accepted.
#[derive(Debug, Clone)]
pub(super) struct VerifyError {
    /// The reason.
    pub(super) why: String,
    /// What the user can do.
    pub(super) hint: Option<String>,
}

impl From<String> for VerifyError {
    fn from(why: String) -> VerifyError {
        VerifyError { why, hint: None }
    }
}

/// Explains why the certificate `end_entity` is not accepted. `rootless`: the system has no trusted roots.
pub(super) fn explain(
    error: &Error,
    end_entity: &CertificateDer<'_>,
    name: Option<&ServerName<'_>>,
    rootless: bool,
) -> VerifyError {
    let Error::InvalidCertificate(error) = error else { return error_text::of(error).into() };
    let Some(info) = CertificateInfo::of(end_entity) else {
        return "not a certificate".to_string().into();
    };
    use CertificateError as Bad;
    let why = match error {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            format!("the certificate has expired: it was valid until {}", info.to)
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            format!("the certificate is not yet valid: it will be from {}", info.from)
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => wrong_name(&info, name),
        Bad::Other(_) if info.is_version_1 => {
            format!("the certificate is not accepted: {}", error_text::of_certificate(error))
        }
        _ if info.is_self_signed() => return self_signed(&info, end_entity),
        Bad::UnknownIssuer if rootless => {
            format!("unknown issuer ({}): this system has no trusted certificates", info.issuer)
        }
        Bad::UnknownIssuer => {
            format!("unknown issuer: the certificate is signed by {}", info.issuer)
        }
        Bad::BadSignature => {
            format!("unknown issuer: {} is known, but with another key", info.issuer)
        }
        other => format!("the certificate is not accepted: {}", error_text::of_certificate(other)),
    };
    why.into()
}

fn self_signed(info: &CertificateInfo, end_entity: &CertificateDer<'_>) -> VerifyError {
    let why =
        format!("self-signed certificate ({}), which we have no reason to trust", info.subject);
    let hint = "--ca-file FILE trusts it, or --pin if this is its SHA-256:";
    VerifyError { why, hint: Some(format!("{hint} {}", Sha256::of(end_entity))) }
}

fn wrong_name(info: &CertificateInfo, name: Option<&ServerName<'_>>) -> String {
    let wanted = name.map(|name| name.to_str()).unwrap_or_default();
    let names = match (info.names.as_slice(), &info.common_name) {
        ([], Some(name)) => format!("{name} (as a common name only, which no longer counts)"),
        ([], None) => "no name".to_string(),
        (names, _) => names.join(", "),
    };
    format!("wrong name: the certificate is for {names}, not for {wanted}")
}
