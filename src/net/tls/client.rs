//! The TLS client.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, SignatureScheme};

use super::certificate::{CertificateInfo, Identity};
use super::fingerprint::Sha256;
use super::handshake::{Handshake, HandshakeError};
use super::key_log::key_log;
use super::records::RecordBuffer;
use super::trust::{TrustPolicy, TrustSource};
use super::verify::ServerVerifier;
use super::verify_error::VerifyError;
use super::{OnTruncation, STACK, describe, error_text, provider};
use crate::error::{Failure, Phase};
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::socket_event::SocketEvent;
use crate::net::stream::{PeerCertificate, Stream};

/// How long to wait for a server to refuse the client certificate, when it sends nothing else: one
/// that accepts it mostly sends a ticket immediately.
const CLIENT_CERT_ALERT_WAIT: Duration = Duration::from_millis(500);

const PLAIN_HINT: &str = "if this port does not use TLS, omit --tls (or use http)";

/// Options of a TLS client.
#[derive(Debug, Default)]
pub struct ClientOptions {
    /// The name that the server's certificate must have.
    pub server_name: String,
    /// The trusted CA certificates (PEM), instead of the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Do not verify the certificate; report what would have failed.
    pub insecure: bool,
    /// Accepted fingerprints of the server's certificate.
    pub pins: Vec<Sha256>,
    /// Protocols to offer.
    pub alpn: Vec<Vec<u8>>,
    /// The client certificate.
    pub identity: Option<Identity>,
    /// How to treat an end of stream without close_notify.
    pub on_truncation: OnTruncation,
}

/// A TLS client for any number of connections.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    name: ServerName<'static>,
    trust: Arc<TrustPolicy>,
    cert_resolver: Arc<ClientCertResolver>,
    on_truncation: OnTruncation,
}

impl Client {
    /// Prepares the configuration, and reads the trusted roots.
    ///
    /// Fails at [`Phase::File`] with 26 for what cannot be read, at [`Phase::Tls`] with 2 for a
    /// name that no certificate could have.
    pub fn new(options: ClientOptions) -> Result<Client, Failure> {
        let name = server_name(&options.server_name)?;
        let roots = TrustSource::load(options.ca_file.as_deref(), &options.pins)?;
        let key = options.identity.map(Identity::certified).transpose()?.map(Arc::new);
        let cert_resolver = Arc::new(ClientCertResolver { key, requested: AtomicBool::new(false) });
        let trust = TrustPolicy { roots, pins: options.pins, insecure: options.insecure };
        let trust = Arc::new(trust);
        let verifier = ServerVerifier::new(trust.clone());
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::new(Phase::Tls, &options.server_name, e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(cert_resolver.clone());
        config.alpn_protocols = options.alpn;
        config.resumption = Resumption::disabled();
        config.key_log = key_log()?;
        let on_truncation = options.on_truncation;
        Ok(Client { config, name, trust, cert_resolver, on_truncation })
    }

    fn handshake(&self, handshake: &mut Handshake<'_>) -> Result<(), HandshakeError> {
        handshake.complete()?;
        let version = handshake.connection.protocol_version();
        let is_requested = self.cert_resolver.requested.swap(false, Ordering::SeqCst);
        if is_requested && version == Some(ProtocolVersion::TLSv1_3) {
            handshake.await_client_cert_result(CLIENT_CERT_ALERT_WAIT)?;
        }
        Ok(())
    }
}

impl Layer for Client {
    fn wrap(&self, stream: Stream, context: &HandshakeContext<'_>) -> Result<Stream, Failure> {
        let verifier = Arc::new(ServerVerifier::new(self.trust.clone()));
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(verifier.clone());
        let connection = ClientConnection::new(Arc::new(config), self.name.clone())
            .map_err(|e| Failure::new(Phase::Tls, &context.target, error_text::of(&e)))?
            .into();
        context.log(format!("TLS: starting the handshake with {}...", self.name.to_str()));
        context.log_message(format!("> TLS ClientHello: server name {}", self.name.to_str()));
        let (records, plain_hint) = (RecordBuffer::new(), PLAIN_HINT);
        let mut handshake = Handshake { stream, connection, context, records, plain_hint };
        if let Err(error) = self.handshake(&mut handshake) {
            return Err(handshake.fail(error, verifier.verify_error()));
        }
        let info = describe::log_session(&handshake.connection, context);
        if let Some(VerifyError { why, .. }) = verifier.verify_error() {
            let why = format!("--insecure: this would have failed: {why}");
            (context.emit)(SocketEvent::Warning(why));
        } else {
            handshake.stream.info.peer_name = info.as_ref().and_then(CertificateInfo::name);
        }
        handshake.stream.info.certificate = info.map(PeerCertificate::from);
        (context.emit)(SocketEvent::Secured(context.target.clone()));
        Ok(handshake.into_stream(self.on_truncation))
    }

    fn stack_size(&self) -> usize {
        STACK
    }
}

impl From<CertificateInfo> for PeerCertificate {
    fn from(info: CertificateInfo) -> PeerCertificate {
        let name = info.name().unwrap_or_default();
        let subject = if info.subject.is_empty() { name } else { info.subject };
        PeerCertificate { subject, not_after: info.validity.1 }
    }
}

/// The name or address that the certificate must have: without zone and final dot, in ASCII.
fn server_name(word: &str) -> Result<ServerName<'static>, Failure> {
    let bad = || Failure::usage(Phase::Tls, word, "not a name that a certificate could have");
    let bare = word.split_once('%').map_or(word, |(address, _)| address);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let ascii = if bare.is_ascii() {
        bare.to_string()
    } else {
        idna::domain_to_ascii(bare).map_err(|_| bad())?
    };
    ServerName::try_from(ascii).map_err(|_| bad())
}

/// The client certificate, if there is one, and whether the server has requested it.
#[derive(Debug)]
struct ClientCertResolver {
    key: Option<Arc<CertifiedKey>>,
    requested: AtomicBool,
}

impl ResolvesClientCert for ClientCertResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.requested.store(true, Ordering::SeqCst);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // True even without one, so that a request is noticed.
        true
    }
}
