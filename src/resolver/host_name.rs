//! The syntax of host names, checked before any lookup.

use crate::error::{Failure, Phase};

/// The maximum length of a domain name in text form, without the trailing dot (RFC 1035 §2.3.4).
const MAX_NAME_LEN: usize = 253;

/// Converts an internationalized name to its `xn--` form (UTS 46, RFC 5891); ASCII stays as it is.
pub fn to_ascii(host: &str) -> Result<String, Failure> {
    if host.is_ascii() {
        return Ok(host.to_string());
    }
    match idna::domain_to_ascii(host) {
        Ok(ascii) if !ascii.is_empty() && ascii.len() <= MAX_NAME_LEN + 1 => Ok(ascii),
        _ => Err(malformed(host, "not a valid internationalized domain name (IDNA)")),
    }
}

/// Returns `host` if it may be a name or an address.
///
/// Fails with 2 at [`Phase::Resolve`] otherwise.
pub fn check_name(host: &str) -> Result<&str, Failure> {
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
    let is_long = host.is_ascii() && host.trim_end_matches('.').len() > MAX_NAME_LEN;
    match host {
        "" => Err(malformed("''", "the name is empty")),
        _ if host.contains('\0') => Err(malformed(host, "the name contains a NUL byte")),
        _ if host.bytes().any(is_blank) => {
            Err(malformed(host, "the name contains a space or a control character"))
        }
        _ if is_long => Err(malformed(host, "the name is longer than 253 characters")),
        _ => Ok(host),
    }
}

fn malformed(host: &str, why: &'static str) -> Failure {
    Failure::usage(Phase::Resolve, host, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internationalized_names_are_converted_to_ascii() {
        assert_eq!(to_ascii("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(to_ascii("BÜCHER.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(to_ascii("xn--bcher-kva.example").unwrap(), "xn--bcher-kva.example");
        assert!(to_ascii("bücher..example\u{202e}").is_err());
    }
}
