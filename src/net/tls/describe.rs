//! The lines of a handshake under `-v`, and the texts of its failures.

use rustls::{AlertDescription, Connection, Error, InvalidMessage};

use super::certificate::CertificateInfo;
use super::error_text;
use super::fingerprint::Sha256;
use super::verify_error::VerifyError;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::layer::HandshakeContext;

/// Logs the negotiated session and the peer's certificate, and under `-vv` both hellos. Returns the
/// fields of the certificate.
pub(super) fn log_session(
    connection: &Connection,
    context: &HandshakeContext<'_>,
) -> Option<CertificateInfo> {
    let version = connection.protocol_version().and_then(|version| version.as_str());
    let version = version.unwrap_or("TLS").replace('_', ".");
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let suite = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown cipher");
    let protocol = connection.alpn_protocol().map_or("none".into(), String::from_utf8_lossy);
    let suite = suite.replace("TLS13_", "TLS_");
    log_hellos(connection, &format!("{version}, {suite}"), context);
    context.log(format!("TLS: {version}, {suite}, ALPN {protocol}"));
    let end_entity = connection.peer_certificates()?.first()?;
    let info = CertificateInfo::of(end_entity);
    context.log(match &info {
        Some(info) => format!(
            "TLS: the peer's certificate: {}, for {}, signed by {}, valid from {} to {}, SHA-256 {}",
            info.subject,
            info.names.join(", "),
            info.issuer,
            info.from,
            info.to,
            Sha256::of(end_entity)
        ),
        None => "TLS: the peer's certificate cannot be read".to_string(),
    });
    info
}

/// Logs what both sides have proposed and chosen (RFC 8446 §4.1).
fn log_hellos(connection: &Connection, session: &str, context: &HandshakeContext<'_>) {
    let group = connection.negotiated_key_exchange_group().map(|group| group.name());
    let group = group.and_then(|group| group.as_str()).unwrap_or("unknown");
    let server_hello = format!("TLS ServerHello: {session}, key exchange {group}");
    match connection {
        Connection::Client(_) => context.log_message(format!("< {server_hello}")),
        Connection::Server(server) => {
            let name = server.server_name().unwrap_or("none");
            context.log_message(format!("< TLS ClientHello: server name {name}"));
            context.log_message(format!("> {server_hello}"));
        }
    }
}

/// An error of rustls as a failure: code 60 for the peer's certificate, 35 for the rest.
pub(super) fn failure(error: &Error, target: &str, verify_error: Option<VerifyError>) -> Failure {
    let failed = |why: String| Failure::new(Phase::Tls, target, why);
    match error {
        Error::InvalidCertificate(_) => {
            let VerifyError { why, hint } =
                verify_error.unwrap_or_else(|| error_text::of(error).into());
            let mut failure = failed(why).with_code(ExitCode::Certificate);
            failure.hint = hint;
            failure
        }
        Error::NoCertificatesPresented => {
            failed("the peer sent no certificate".into()).with_code(ExitCode::Certificate)
        }
        Error::AlertReceived(alert) => failed(alert_message(*alert)),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            failed("the received data is not TLS".into())
        }
        other => failed(error_text::of(other)),
    }
}

/// The text of an alert from the peer (RFC 8446 §6.2).
pub(super) fn alert_message(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let name = alert.as_str().unwrap_or("unknown");
    match alert {
        Alert::CertificateRequired => "the peer requires a client certificate (--cert)".to_string(),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => format!("the peer does not accept the local certificate ({name})"),
        Alert::NoApplicationProtocol => {
            "the peer supports none of the --alpn protocols".to_string()
        }
        Alert::ProtocolVersion => "the peer and sockit have no TLS version in common".to_string(),
        Alert::UnrecognisedName => {
            "the peer has no certificate for this name (--server-name)".to_string()
        }
        _ => format!("the peer refused the handshake ({name})"),
    }
}
