//! The TLS client.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, Connection, ProtocolVersion, SignatureScheme};

use super::certificate::{self, CertificateInfo, Identity, Sha256};
use super::handshake::{Handshake, HandshakeError, linger_close};
use super::key_log::key_log;
use super::stream::{RecordBuffer, split};
use super::verify::{ServerVerifier, TrustAnchors, TrustPolicy, TrustSource};
use super::verify_error::VerifyError;
use super::{OnTruncation, describe, error_text, provider};
use crate::error::{Failure, Phase};
use crate::net::connect_event::ConnectEvent;
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::{PeerCertificate, Stream};
use crate::shutdown::{earliest, poll_until};

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
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    trust: TrustPolicy,
    cert_resolver: Arc<ClientCertResolver>,
    on_truncation: OnTruncation,
}

impl Client {
    /// Prepares the configuration, and reads the trusted roots.
    ///
    /// Fails at [`Phase::File`] with 26 for what cannot be read, at [`Phase::Tls`] with 2 for a
    /// name that no certificate could have.
    pub fn new(options: ClientOptions) -> Result<Client, Failure> {
        let provider = provider();
        let name = server_name(&options.server_name)?;
        let roots = trusted_roots(&options)?;
        let cert_resolver = Arc::new(ClientCertResolver::new(options.identity)?);
        let trust = TrustPolicy { roots, pins: options.pins, insecure: options.insecure };
        let verifier = ServerVerifier::new(trust.clone());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::new(Phase::Tls, &options.server_name, e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(cert_resolver.clone());
        config.alpn_protocols = options.alpn;
        config.resumption = Resumption::disabled();
        config.key_log = key_log()?;
        let (config, on_truncation) = (Arc::new(config), options.on_truncation);
        Ok(Client { config, name, trust, cert_resolver, on_truncation })
    }

    fn handshake(
        &self,
        handshake: &mut Handshake<'_, '_>,
        connection: &mut Connection,
    ) -> Result<(), HandshakeError> {
        handshake.complete(connection)?;
        let is_answer_late = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if is_answer_late
            && self.cert_resolver.requested.swap(false, Ordering::SeqCst)
            && sends_soon(handshake)
        {
            handshake.await_client_cert_result(connection)?;
        }
        Ok(())
    }
}

/// Whether the server sends something right after the handshake, and has sent nothing yet.
fn sends_soon(handshake: &Handshake<'_, '_>) -> bool {
    if !handshake.records.unread().is_empty() {
        return false;
    }
    use std::os::fd::AsFd;
    let socket = handshake.stream.handle.socket();
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
    let deadline =
        earliest(handshake.context.deadline, Instant::now().checked_add(CLIENT_CERT_ALERT_WAIT));
    poll_until(&mut fds, deadline).is_ok_and(|ready| ready > 0)
}

impl Layer for Client {
    fn wrap(&self, mut stream: Stream, context: &HandshakeContext<'_>) -> Result<Stream, Failure> {
        let verifier = Arc::new(ServerVerifier::new(self.trust.clone()));
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(verifier.clone());
        let connection = ClientConnection::new(Arc::new(config), self.name.clone())
            .map_err(|e| Failure::new(Phase::Tls, &context.target, error_text::of(&e)))?;
        let mut connection = Connection::Client(connection);
        context.log(format!("TLS: starting the handshake with {}...", self.name.to_str()));
        context.log_message(format!("> TLS ClientHello: server name {}", self.name.to_str()));
        let mut handshake = Handshake {
            stream: &mut stream,
            context,
            records: RecordBuffer::new(),
            plain_hint: PLAIN_HINT,
            silent_hint: Some(PLAIN_HINT),
        };
        let outcome = self.handshake(&mut handshake, &mut connection);
        let records = handshake.records;
        if let Err(error) = outcome {
            let failure = error.failure(&context.target, verifier.verify_error());
            if !failure.timed_out() {
                linger_close(stream, context);
            }
            return Err(failure);
        }
        describe::log_session(&connection, context);
        match verifier.verify_error() {
            Some(VerifyError { why, .. }) => {
                let why = format!("--insecure: this would have failed: {why}");
                (context.emit)(ConnectEvent::Warning(why));
            }
            None => stream.info.peer_name = certificate(&connection).and_then(|info| info.name()),
        }
        stream.info.certificate = certificate(&connection).map(PeerCertificate::from);
        (context.emit)(ConnectEvent::Secured(context.target.clone()));
        Ok(split(stream, connection, records, self.on_truncation))
    }
}

fn certificate(connection: &Connection) -> Option<CertificateInfo> {
    CertificateInfo::of(connection.peer_certificates()?.first()?)
}

impl From<CertificateInfo> for PeerCertificate {
    fn from(info: CertificateInfo) -> PeerCertificate {
        let name = info.name().unwrap_or_default();
        let subject = if info.subject.is_empty() { name } else { info.subject };
        PeerCertificate { subject, not_after: info.validity.1 }
    }
}

/// The certificates of a file, the pins only, or the roots of the system.
fn trusted_roots(options: &ClientOptions) -> Result<TrustSource, Failure> {
    if let Some(path) = &options.ca_file {
        let anchors = TrustAnchors::of_servers(certificate::read(path)?, provider())
            .map_err(|why| certificate::unreadable(path, &why))?;
        return Ok(TrustSource::File(anchors));
    }
    if !options.pins.is_empty() {
        return Ok(TrustSource::PinsOnly);
    }
    let system = rustls_platform_verifier::Verifier::new(provider());
    if let Err(why) = &system {
        tracing::debug!(%why, "no system roots");
    }
    Ok(TrustSource::System(system.ok().map(Arc::new)))
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

impl ClientCertResolver {
    fn new(identity: Option<Identity>) -> Result<ClientCertResolver, Failure> {
        let key = identity.map(|identity| certified(identity).map(Arc::new)).transpose()?;
        Ok(ClientCertResolver { key, requested: AtomicBool::new(false) })
    }
}

/// A certificate with its key; fails with 26 when they do not match.
fn certified(identity: Identity) -> Result<CertifiedKey, Failure> {
    let Identity { chain, key } = identity;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| certificate::unusable(&e))
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
