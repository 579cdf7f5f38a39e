//! What a handshake has to tell under `-v`, and what its failures mean.

use rustls::{AlertDescription, Connection, Error, InvalidMessage, ProtocolVersion};

use super::certificate::{CertificateInfo, sha256};
use super::finding::Finding;
use super::words;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::layer::HandshakeContext;

/// Tells what was agreed on, and who the peer says it is.
pub(super) fn log_session(connection: &Connection, talk: &HandshakeContext<'_>) {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let suite = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown cipher");
    let protocol = match connection.alpn_protocol() {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => "none".to_string(),
    };
    talk.log(format!("TLS: {version}, {}, ALPN {protocol}", suite.replace("TLS13_", "TLS_")));
    let Some(own) = connection.peer_certificates().and_then(|chain| chain.first()) else { return };
    talk.log(match CertificateInfo::of(own) {
        Some(told) => format!(
            "TLS: the peer's certificate: {}, for {}, signed by {}, valid from {} to {}, SHA-256 {}",
            told.subject,
            told.names.join(", "),
            told.issuer,
            told.from,
            told.to,
            sha256(own)
        ),
        None => "TLS: the peer's certificate cannot be read".to_string(),
    });
}

/// What rustls found wrong, as a failure: code 60 for the peer's certificate, 35 for the rest.
pub(super) fn failure(error: &Error, whom: &str, finding: Option<Finding>) -> Failure {
    let failed = |why: String| Failure::new(Phase::Tls, whom, why);
    match error {
        Error::InvalidCertificate(_) => {
            let Finding { why, hint } = finding.unwrap_or_else(|| words::of(error).into());
            let mut failure = failed(why).with_code(ExitCode::Certificate);
            failure.hint = hint;
            failure
        }
        Error::NoCertificatesPresented => {
            failed("the peer shows no certificate".into()).with_code(ExitCode::Certificate)
        }
        Error::AlertReceived(alert) => failed(alert_message(*alert)),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            failed("what came is not TLS".into())
        }
        other => failed(words::of(other)),
    }
}

/// What the peer's alert means for us (RFC 8446 §6.2).
pub(super) fn alert_message(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let name = alert.as_str().unwrap_or("unknown");
    match alert {
        Alert::CertificateRequired => "the peer wants a certificate of ours (--cert)".to_string(),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => format!("the peer does not accept our certificate ({name})"),
        Alert::NoApplicationProtocol => "the peer speaks none of our --alpn protocols".to_string(),
        Alert::ProtocolVersion => "the peer speaks no version of TLS that we do".to_string(),
        Alert::UnrecognisedName => "the peer does not know this name (--server-name)".to_string(),
        _ => format!("the peer refused the handshake ({name})"),
    }
}
