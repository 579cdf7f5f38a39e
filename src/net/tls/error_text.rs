//! Errors of rustls and webpki as text for users, without Rust's debug forms.

use std::fmt::Debug;

use rustls::{CertificateError, Error};

/// For a certificate without extensions, which webpki does not support.
const VERSION_1: &str = "X.509 version 1 is not supported; openssl req -x509 makes version 3";

/// The text of an error.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => {
            format!("the peer's certificate is not accepted: {}", of_certificate(why))
        }
        Error::PeerIncompatible(why) => format!("the peer is incompatible: {}", spaced(why)),
        Error::PeerMisbehaved(why) => format!("the peer violates the protocol: {}", spaced(why)),
        Error::InvalidMessage(why) => format!("received a corrupt message: {}", spaced(why)),
        Error::InappropriateMessage { got_type, .. } => {
            format!("received an unexpected message: {}", spaced(got_type))
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!("received an unexpected handshake message: {}", spaced(got_type))
        }
        Error::AlertReceived(alert) => format!("received a fatal alert: {}", spaced(alert)),
        other => other.to_string(),
    }
}

/// The text of an error in a certificate.
pub(super) fn of_certificate(error: &CertificateError) -> String {
    let text = match error {
        CertificateError::Other(rustls::OtherError(inside)) => inside.to_string(),
        CertificateError::InvalidPurposeContext { .. } => return error.to_string(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            return "it has expired".to_string();
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            return "it is not yet valid".to_string();
        }
        other => format!("{other:?}"),
    };
    match text.as_str() {
        "UnsupportedCertVersion" => VERSION_1.to_string(),
        "BadSignature" => "it is signed by another key than its issuer's".to_string(),
        "CaUsedAsEndEntity" => "it is a certificate authority's, not a server's".to_string(),
        text => spaced_name(text),
    }
}

/// The name of an enum's variant as words: `NoCipherSuitesInCommon` is `no cipher suites in common`.
fn spaced(error: &impl Debug) -> String {
    spaced_name(&format!("{error:?}"))
}

/// The same for a debug text, whose fields are left out; a text that is no such name stays.
fn spaced_name(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let has_fields = rest.is_empty() || rest.starts_with(['(', '{']) || rest.starts_with(" {");
    if !has_fields || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return text.to_string();
    }
    let mut words = String::new();
    let mut previous = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        previous = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[test]
    fn no_debug_form_reaches_the_text() {
        let other = |text: &str| {
            let inside = std::io::Error::other(text.to_string());
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(inside))))
        };
        let certificate = Error::InvalidCertificate;
        for (error, end) in [
            (other("CaUsedAsEndEntity"), "it is a certificate authority's, not a server's"),
            (other("UnsupportedCertVersion"), VERSION_1),
            (other("TrailingData(Certificate)"), "not accepted: trailing data"),
            (other("some text (of an issuer)"), "not accepted: some text (of an issuer)"),
            (certificate(CertificateError::UnhandledCriticalExtension), "critical extension"),
            (certificate(CertificateError::Expired), "not accepted: it has expired"),
            (
                certificate(CertificateError::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: vec![1],
                    supported_algorithms: vec![],
                }),
                "not accepted: unsupported signature algorithm context",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "the peer is incompatible: no cipher suites in common",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments),
                "the peer violates the protocol: too many empty fragments",
            ),
            (
                Error::InvalidMessage(InvalidMessage::TrailingData("x")),
                "received a corrupt message: trailing data",
            ),
        ] {
            assert!(of(&error).ends_with(end), "{}", of(&error));
        }
    }
}
