//! A TLS server that reads, with a self-signed certificate that the clients do not verify.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The TLS configuration of the server.
#[derive(Clone)]
pub struct Sink(Arc<ServerConfig>);

impl Sink {
    /// Generates a certificate.
    pub fn new() -> Sink {
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]);
        let made = made.expect("a certificate");
        let key = made.signing_key.serialize_der().try_into().expect("its key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate with its key");
        Sink(Arc::new(config))
    }

    /// Returns a reader of the decrypted bytes.
    pub fn over(&self, stream: TcpStream) -> Option<impl Read + use<>> {
        let session = ServerConnection::new(self.0.clone()).ok()?;
        Some(Clear(StreamOwned::new(session, stream)))
    }
}

/// Treats the end of the TCP stream without close_notify as an end: the hash shows whether all
/// bytes have arrived.
struct Clear(StreamOwned<ServerConnection, TcpStream>);

impl Read for Clear {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            done => done,
        }
    }
}
