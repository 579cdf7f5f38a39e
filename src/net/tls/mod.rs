//! TLS, all of it: the last layer between a connected socket and the user's bytes.
//!
//! [`client::Client`] and [`server::Server`] hold the handshake on the connection's own thread
//! and return a stream whose two halves may be used from two threads (`halves`). The verdicts
//! about certificates are in `judge`, files and fingerprints in [`certificate`].

pub mod certificate;
pub mod client;
mod describe;
mod finding;
mod handshake;
mod key_log;
pub mod server;
mod stream;
mod verify;
mod words;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Bytes of stack that TLS gets on top of a service's own. Measured by the pages touched: 44 KiB
/// together with the echo service in a build without optimisation, a client certificate
/// demanded, 24 KiB in a release; the rest is for longer chains and larger keys.
pub const STACK: usize = 128 << 10;

/// What a bare end of the stream, without close_notify (RFC 8446 §6.1), is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTruncation {
    /// A failure, because data may be missing.
    #[default]
    Fail,
    /// The end of the data, unless it comes inside a record.
    End,
}

/// The cryptography of every connection. AES-128 comes first, as in browsers: it is no weaker
/// link than the key exchange beside it, and costs a fifth less than AES-256.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite));
    Arc::new(provider)
}

fn is_aes_128(suite: &rustls::SupportedCipherSuite) -> bool {
    use rustls::CipherSuite as Name;
    matches!(
        suite.suite(),
        Name::TLS13_AES_128_GCM_SHA256
            | Name::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | Name::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

#[cfg(test)]
mod tests;
