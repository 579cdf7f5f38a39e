//! TLS towards callers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::NoServerSessionStorage;
use rustls::{Connection, ServerConfig, ServerConnection};

use super::certificate::{self, CertificateInfo, Identity, Sha256};
use super::handshake::{Handshake, linger_close};
use super::key_log::key_log;
use super::stream::{RecordBuffer, split};
use super::verify::{ClientVerifier, TrustAnchors};
use super::{OnTruncation, describe, provider};
use crate::error::{Failure, Phase};
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::Stream;
use crate::shutdown::earliest;

/// How long a caller may take for its handshake, counted from its connection.
const LIMIT: Duration = Duration::from_secs(10);

const PLAIN_HINT: &str = "the caller must speak TLS on this port (sockit: --tls)";

/// What a server wants.
#[derive(Debug)]
pub struct ServerOptions {
    /// Our certificate.
    pub identity: Identity,
    /// Protocols we speak.
    pub alpn: Vec<Vec<u8>>,
    /// Whose certificates callers must show.
    pub client_ca: Option<PathBuf>,
    /// Callers without a certificate are welcome nevertheless.
    pub client_optional: bool,
    /// What a bare end of the stream is taken for.
    pub on_truncation: OnTruncation,
}

/// TLS as a server.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    /// SHA-256 of our certificate.
    pub sha256: Sha256,
    on_truncation: OnTruncation,
}

impl Server {
    /// Makes everything ready that needs no caller.
    ///
    /// Fails at [`Stage::File`] with 26 for what cannot be read or does not go together.
    pub fn new(plan: ServerOptions) -> Result<Server, Failure> {
        let provider = provider();
        let sha256 = plan.identity.sha256();
        let knows_callers = plan.client_ca.is_some();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::new(Phase::Tls, "--tls", e))?;
        let builder = match &plan.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let found = certificate::read(path)?;
                let anchors = TrustAnchors::of_clients(found, plan.client_optional, provider)
                    .map_err(|why| certificate::unreadable(path, &why))?;
                builder.with_client_cert_verifier(Arc::new(ClientVerifier(anchors)))
            }
        };
        let Identity { chain, key } = plan.identity;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|e| certificate::unusable(&e))?;
        config.alpn_protocols = plan.alpn;
        config.key_log = key_log()?;
        config.ignore_client_order = true;
        // Nobody resumes a session here. A ticket that its receiver never reads would turn that
        // receiver's close into a reset (tcp(7)), which can destroy its last words. Who has shown
        // a certificate gets one all the same: it is the sign that the certificate was accepted.
        config.send_tls13_tickets = usize::from(knows_callers);
        if !knows_callers {
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Server { config: Arc::new(config), sha256, on_truncation: plan.on_truncation })
    }
}

impl Layer for Server {
    fn wrap(&self, mut stream: Stream, talk: &HandshakeContext<'_>) -> Result<Stream, Failure> {
        let until = earliest(talk.until, stream.facts.began.checked_add(LIMIT));
        let talk = &HandshakeContext { target: talk.target.clone(), until, limit: LIMIT, ..*talk };
        let connection = ServerConnection::new(self.config.clone())
            .map_err(|e| Failure::new(Phase::Tls, &talk.target, e))?;
        let mut connection = Connection::Server(connection);
        let mut opening = Handshake {
            stream: &mut stream,
            talk,
            intake: RecordBuffer::new(),
            plain_hint: PLAIN_HINT,
            mute_hint: None,
        };
        let held = opening.complete(&mut connection);
        let intake = opening.intake;
        if let Err(broken) = held {
            let failure = broken.failure(&talk.target, None);
            if !failure.timed_out() {
                linger_close(stream, talk);
            }
            return Err(failure);
        }
        describe::log_session(&connection, talk);
        let caller = connection.peer_certificates().and_then(|chain| chain.first());
        stream.facts.peer_name = caller.and_then(|own| CertificateInfo::of(own)?.name());
        Ok(split(stream, connection, intake, self.on_truncation))
    }
}
