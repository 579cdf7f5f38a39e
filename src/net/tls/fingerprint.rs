//! Fingerprints of certificates.

use std::fmt;

use rustls::crypto::ring::cipher_suite;

/// SHA-256 of a certificate's DER, by which it can be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The fingerprint of a certificate.
    pub fn of(der: &[u8]) -> Sha256 {
        let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        let hash = suite.map(|suite| suite.common.hash_provider.hash(der));
        Sha256(hash.and_then(|hash| hash.as_ref().try_into().ok()).unwrap_or_default())
    }

    /// Parses 64 hexadecimal digits, with optional colons.
    pub fn parse(word: &str) -> Option<Sha256> {
        let digits: Vec<u8> = word.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, two) in bytes.iter_mut().zip(digits.chunks(2)) {
            let high = char::from(two[0]).to_digit(16)?;
            let low = char::from(two[1]).to_digit(16)?;
            *byte = (high << 4 | low) as u8;
        }
        Some(Sha256(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_is_hexadecimal_with_or_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(Sha256::parse(&plain), Sha256::parse(&colons));
        assert_eq!(Sha256::parse(&plain).unwrap().to_string(), plain);
        for word in ["", "ab", &plain[1..], &plain.replace('a', "x"), &"é".repeat(32)] {
            assert_eq!(Sha256::parse(word), None, "{word}");
        }
        assert_eq!(Sha256::of(b"").to_string()[..16], *"e3b0c44298fc1c14");
    }
}
