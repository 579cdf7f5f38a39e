//! The TLS server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};

use super::certificate::{self, Identity};
use super::fingerprint::Sha256;
use super::handshake::Handshake;
use super::key_log::key_log;
use super::records::RecordBuffer;
use super::trust::TrustAnchors;
use super::verify::ClientVerifier;
use super::{OnTruncation, STACK, describe, provider};
use crate::error::{Failure, Phase};
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::Stream;

/// Limit of a handshake, from the accepted connection on.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const PLAIN_HINT: &str = "the client must use TLS on this port (sockit: --tls)";

/// Options of a TLS server.
#[derive(Debug)]
pub struct TlsServerOptions {
    /// The certificate of the server.
    pub identity: Identity,
    /// Supported protocols.
    pub alpn: Vec<Vec<u8>>,
    /// The CA certificates (PEM) that client certificates must be signed by.
    pub client_ca: Option<PathBuf>,
    /// Accept clients without a certificate too.
    pub client_optional: bool,
    /// How to treat an end of stream without close_notify.
    pub on_truncation: OnTruncation,
}

/// A TLS server for any number of connections.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    /// SHA-256 of the certificate.
    pub sha256: Sha256,
    on_truncation: OnTruncation,
}

impl Server {
    /// Prepares the configuration.
    ///
    /// Fails at [`Phase::File`] with 26 for files that cannot be read or do not match.
    pub fn new(options: TlsServerOptions) -> Result<Server, Failure> {
        let sha256 = options.identity.sha256();
        let verifies_clients = options.client_ca.is_some();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::new(Phase::Tls, "--tls", e))?;
        let builder = match &options.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let anchors = TrustAnchors::of_clients(path, options.client_optional)?;
                builder.with_client_cert_verifier(Arc::new(ClientVerifier(anchors)))
            }
        };
        let Identity { chain, key } = options.identity;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|e| certificate::unusable(&e))?;
        config.alpn_protocols = options.alpn;
        config.key_log = key_log()?;
        config.ignore_client_order = true;
        // Sessions are not resumed. A ticket that the client never reads would turn its close into a
        // reset (tcp(7)), which can destroy the last data it sent. After a client certificate one
        // ticket is sent nevertheless: it shows that the certificate was accepted.
        config.send_tls13_tickets = usize::from(verifies_clients);
        if !verifies_clients {
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Server { config: Arc::new(config), sha256, on_truncation: options.on_truncation })
    }
}

impl Layer for Server {
    fn wrap(&self, stream: Stream, context: &HandshakeContext<'_>) -> Result<Stream, Failure> {
        let context = context.until(stream.info.began.checked_add(HANDSHAKE_TIMEOUT));
        let context = &HandshakeContext { timeout: HANDSHAKE_TIMEOUT, ..context };
        let connection = ServerConnection::new(self.config.clone())
            .map_err(|e| Failure::new(Phase::Tls, &context.target, e))?
            .into();
        let (records, plain_hint) = (RecordBuffer::new(), PLAIN_HINT);
        let mut handshake = Handshake { stream, connection, context, records, plain_hint };
        if let Err(error) = handshake.complete() {
            return Err(handshake.fail(error, None));
        }
        // No answer carries the acknowledgement of the client's last flight, and until it arrives a
        // client with Nagle's algorithm holds its first request back (tcp(7)).
        #[cfg(target_os = "linux")]
        let _ = handshake.stream.handle.socket().set_tcp_quickack(true);
        let info = describe::log_session(&handshake.connection, context);
        handshake.stream.info.peer_name = info.and_then(|info| info.name());
        Ok(handshake.into_stream(self.on_truncation))
    }

    fn stack_size(&self) -> usize {
        STACK
    }
}
