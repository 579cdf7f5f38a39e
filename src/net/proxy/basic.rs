//! Basic authentication.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The value of an `Authorization` or `Proxy-Authorization` field (RFC 7617 §2).
pub fn basic_auth(user: &[u8], password: &[u8]) -> String {
    format!("Basic {}", BASE64_STANDARD.encode([user, b":", password].concat()))
}
