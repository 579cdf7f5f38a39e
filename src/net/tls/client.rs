//! TLS towards a server.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, Connection, ProtocolVersion, SignatureScheme};

use super::certificate::{self, CertificateInfo, Identity, Sha256};
use super::finding::Finding;
use super::handshake::{Handshake, HandshakeError, linger_close};
use super::key_log::key_log;
use super::stream::{RecordBuffer, split};
use super::verify::{ServerVerifier, TrustAnchors, TrustSource};
use super::{OnTruncation, describe, provider, words};
use crate::error::{Failure, Phase};
use crate::net::connect_event::ConnectEvent;
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::Stream;
use crate::shutdown::{earliest, poll_until};

/// How long a server that asked for our certificate may take to refuse it, when it has nothing
/// else to say: those that accept it mostly send a ticket at once.
const CLIENT_CERT_ALERT_WAIT: Duration = Duration::from_millis(500);

const PLAIN_HINT: &str = "if this is a plain port, leave --tls (or the s of https) out";

/// What a client wants.
#[derive(Debug, Default)]
pub struct ClientOptions {
    /// The name that the server's certificate must have.
    pub server_name: String,
    /// Whom to believe instead of the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Believe anybody, and tell what would have failed.
    pub insecure: bool,
    /// Fingerprints of which the server's certificate must have one.
    pub pins: Vec<Sha256>,
    /// Protocols to offer.
    pub alpn: Vec<Vec<u8>>,
    /// Our own certificate.
    pub identity: Option<Identity>,
    /// What a bare end of the stream is taken for.
    pub on_truncation: OnTruncation,
}

/// TLS as a client, ready for any number of connections.
#[derive(Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    trust: TrustSource,
    pins: Vec<Sha256>,
    insecure: bool,
    ours: Arc<ClientCertResolver>,
    on_truncation: OnTruncation,
}

impl Client {
    /// Makes everything ready that needs no peer; reads the roots.
    ///
    /// Fails at [`Stage::File`] with 26 for what cannot be read, at [`Stage::Tls`] with 2 for a
    /// name that no certificate could have.
    pub fn new(plan: ClientOptions) -> Result<Client, Failure> {
        let provider = provider();
        let name = server_name(&plan.server_name)?;
        let trust = trust(&plan)?;
        let ours = Arc::new(ClientCertResolver::new(plan.identity)?);
        let judge = verifier(&trust, &plan.pins, plan.insecure);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::new(Phase::Tls, &plan.server_name, e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_client_cert_resolver(ours.clone());
        config.alpn_protocols = plan.alpn;
        config.resumption = Resumption::disabled();
        config.key_log = key_log()?;
        let ClientOptions { pins, insecure, on_truncation, .. } = plan;
        Ok(Client { config: Arc::new(config), name, trust, pins, insecure, ours, on_truncation })
    }

    fn handshake(
        &self,
        opening: &mut Handshake<'_, '_>,
        connection: &mut Connection,
    ) -> Result<(), HandshakeError> {
        opening.complete(connection)?;
        let late_verdict = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if late_verdict && self.ours.asked.swap(false, Ordering::SeqCst) && speaks_soon(opening) {
            opening.await_client_cert_result(connection)?;
        }
        Ok(())
    }
}

/// Whether the server has something to say, or said it already, right after the handshake.
fn speaks_soon(opening: &Handshake<'_, '_>) -> bool {
    if !opening.intake.waiting().is_empty() {
        return false;
    }
    use std::os::fd::AsFd;
    let socket = opening.stream.hangup.socket();
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
    let until = earliest(opening.talk.until, Instant::now().checked_add(CLIENT_CERT_ALERT_WAIT));
    poll_until(&mut fds, until).is_ok_and(|ready| ready > 0)
}

impl Layer for Client {
    fn wrap(&self, mut stream: Stream, talk: &HandshakeContext<'_>) -> Result<Stream, Failure> {
        let judge = Arc::new(verifier(&self.trust, &self.pins, self.insecure));
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(judge.clone());
        let connection = ClientConnection::new(Arc::new(config), self.name.clone())
            .map_err(|e| Failure::new(Phase::Tls, &talk.target, words::of(&e)))?;
        let mut connection = Connection::Client(connection);
        talk.log(format!("TLS: greeting {}...", self.name.to_str()));
        let mut opening = Handshake {
            stream: &mut stream,
            talk,
            intake: RecordBuffer::new(),
            plain_hint: PLAIN_HINT,
            mute_hint: Some(PLAIN_HINT),
        };
        let held = self.handshake(&mut opening, &mut connection);
        let intake = opening.intake;
        if let Err(broken) = held {
            let failure = broken.failure(&talk.target, judge.verify_error());
            if !failure.timed_out() {
                linger_close(stream, talk);
            }
            return Err(failure);
        }
        describe::log_session(&connection, talk);
        match judge.verify_error() {
            Some(Finding { why, .. }) => {
                let why = format!("--insecure: this would have failed: {why}");
                (talk.tell)(ConnectEvent::Warning(why));
            }
            None => stream.facts.peer_name = peer_name(&connection),
        }
        (talk.tell)(ConnectEvent::Secured(talk.target.clone()));
        Ok(split(stream, connection, intake, self.on_truncation))
    }
}

fn peer_name(connection: &Connection) -> Option<String> {
    let own = connection.peer_certificates()?.first()?;
    CertificateInfo::of(own)?.name()
}

fn verifier(trust: &TrustSource, pins: &[Sha256], insecure: bool) -> ServerVerifier {
    ServerVerifier {
        trust: trust.clone(),
        pins: pins.to_vec(),
        insecure,
        provider: provider(),
        finding: Mutex::default(),
    }
}

/// A file, the pins alone, or the system.
fn trust(plan: &ClientOptions) -> Result<TrustSource, Failure> {
    if let Some(path) = &plan.ca_file {
        let anchors = TrustAnchors::of_servers(certificate::read(path)?, provider())
            .map_err(|why| certificate::unreadable(path, &why))?;
        return Ok(TrustSource::File(anchors));
    }
    if !plan.pins.is_empty() {
        return Ok(TrustSource::PinsOnly);
    }
    let system = rustls_platform_verifier::Verifier::new(provider());
    if let Err(why) = &system {
        tracing::debug!(%why, "no roots");
    }
    Ok(TrustSource::System(system.ok().map(Arc::new)))
}

/// The name or address that a certificate must have: without zone and final dot, in ASCII.
fn server_name(word: &str) -> Result<ServerName<'static>, Failure> {
    let bad = || Failure::usage(Phase::Tls, word, "not a name that a certificate could have");
    let bare = word.split_once('%').map_or(word, |(address, _)| address);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let ascii = match bare.is_ascii() {
        true => bare.to_string(),
        false => idna::domain_to_ascii(bare).map_err(|_| bad())?,
    };
    ServerName::try_from(ascii).map_err(|_| bad())
}

/// Our own certificate, if we have one, and whether we were asked for it.
#[derive(Debug)]
struct ClientCertResolver {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ClientCertResolver {
    fn new(identity: Option<Identity>) -> Result<ClientCertResolver, Failure> {
        let key = identity.map(|identity| certified(identity).map(Arc::new)).transpose()?;
        Ok(ClientCertResolver { key, asked: AtomicBool::new(false) })
    }
}

/// A certificate and key that belong together; 26 when they do not.
fn certified(identity: Identity) -> Result<CertifiedKey, Failure> {
    let Identity { chain, key } = identity;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| certificate::unusable(&e))
}

impl ResolvesClientCert for ClientCertResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::SeqCst);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // True even without one, so that we notice when a server asks.
        true
    }
}
