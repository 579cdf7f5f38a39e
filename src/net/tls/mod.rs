//! TLS, the last layer between a connected socket and the user's bytes.
//!
//! [`client::Client`] and [`server::Server`] perform the handshake on the thread of the connection
//! and return a stream whose two halves may be used from two threads (`stream`).

pub mod certificate;
pub mod client;
mod describe;
mod error_text;
pub mod fingerprint;
mod handshake;
mod key_log;
mod reader;
mod records;
pub mod server;
mod state;
mod stream;
mod trust;
mod verify;
mod verify_error;
mod writer;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Bytes of stack that TLS needs in addition to a service. Measured by the touched pages: 44 KiB
/// together with the echo service in a build without optimisation and with a client certificate,
/// 24 KiB in a release; the rest is for longer chains and larger keys.
const STACK: usize = 128 << 10;

/// How to treat an end of stream without close_notify (RFC 8446 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTruncation {
    /// A failure, because data may be missing.
    #[default]
    Fail,
    /// The end of the data, unless it is inside a record.
    End,
}

/// The cryptography of every connection. AES-128 comes first, as in browsers: it is not weaker than
/// the key exchange, and costs a fifth less than AES-256.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = suite.suite().as_str();
        !name.is_some_and(|name| name.contains("AES_128_GCM"))
    });
    Arc::new(provider)
}

#[cfg(test)]
mod tests;
