//! Port numbers and service names (services(5)), in both directions.

use std::net::{Ipv4Addr, SocketAddr};

use dns_lookup::AddrInfoHints;

use crate::error::{Failure, Phase, message_without_errno};

/// Returns the port of `word` for `proto` (`tcp` or `udp`): a number from 0 to 65535, or a service
/// of services(5).
///
/// Fails at [`Phase::Port`]: with 2 for a number out of range, a sign, an empty word or an unknown
/// protocol, with 6 for a service that the system does not know.
pub fn port(word: &str, proto: &str) -> Result<u16, Failure> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(word);
    }
    if !is_service_name(word) {
        return Err(usage(word, "a port is a number from 0 to 65535 or the name of a service"));
    }
    let hints = transport(word, proto)?;
    let found = dns_lookup::getaddrinfo(None, Some(word), Some(hints))
        .map_err(std::io::Error::from)
        .and_then(|mut found| found.next().transpose())
        .map_err(|error| unknown(word, proto, &message_without_errno(&error)))?;
    found
        .map(|tuple| tuple.sockaddr.port())
        .ok_or_else(|| unknown(word, proto, "the system returned no port"))
}

/// Returns the name of the service on `port` for `proto` (`tcp` or `udp`), if services(5) has one.
pub fn service_name(port: u16, proto: &str) -> Option<String> {
    let flags = match proto {
        "tcp" => libc::NI_NUMERICHOST,
        "udp" => libc::NI_NUMERICHOST | libc::NI_DGRAM,
        _ => return None,
    };
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let (_, service) = dns_lookup::getnameinfo(&address, flags).ok()?;
    // getnameinfo(3) returns the number of a port that has no service.
    (service != port.to_string()).then_some(service)
}

fn number(word: &str) -> Result<u16, Failure> {
    match word.trim_start_matches('0') {
        "" => Ok(0),
        significant => significant.parse().map_err(|_| usage(word, "a port is at most 65535")),
    }
}

/// Whether `word` may be passed on as a service name: the C library parses ` 80`, `+80` and `-1` as
/// numbers and wraps them.
fn is_service_name(word: &str) -> bool {
    !word.is_empty()
        && !word.starts_with(['+', '-'])
        && !word.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The hints for services of `proto`.
fn transport(word: &str, proto: &str) -> Result<AddrInfoHints, Failure> {
    let hints = |socktype, protocol| {
        Ok(AddrInfoHints { flags: 0, address: libc::AF_INET, socktype, protocol })
    };
    match proto {
        "tcp" => hints(libc::SOCK_STREAM, libc::IPPROTO_TCP),
        "udp" => hints(libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        _ => Err(usage(&format!("{word}/{proto}"), "the protocol is tcp or udp")),
    }
}

fn usage(word: &str, why: &'static str) -> Failure {
    let word = if word.is_empty() { "''" } else { word };
    Failure::usage(Phase::Port, word, why)
}

fn unknown(word: &str, proto: &str, cause: &str) -> Failure {
    let cause = cause.rsplit(": ").next().unwrap_or(cause);
    Failure::new(Phase::Port, format!("{word}/{proto}"), cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn port_number_out_of_range_is_usage_error() {
        assert_eq!(port("0", "tcp").unwrap(), 0);
        assert_eq!(port("65535", "udp").unwrap(), 65535);
        assert_eq!(port("00080", "tcp").unwrap(), 80);
        for word in ["65536", "70000", "99999999999999999999", "", "+80", "-1", " 80", "8\0"] {
            let error = port(word, "tcp").unwrap_err();
            assert_eq!((error.phase, error.code), (Phase::Port, ExitCode::Usage), "{word:?}");
        }
    }

    #[test]
    fn services_are_found_in_both_directions() {
        assert_eq!(port("http", "tcp").unwrap(), 80);
        assert_eq!(port("domain", "udp").unwrap(), 53);
        assert_eq!(service_name(80, "tcp").as_deref(), Some("http"));
        assert_eq!(service_name(1, "nosuch"), None);
    }

    #[test]
    fn unknown_service_is_absent() {
        for word in ["nosuchservice", "0x50", "80x"] {
            let absent = port(word, "tcp").unwrap_err();
            assert_eq!((absent.phase, absent.code), (Phase::Port, ExitCode::Resolve), "{word}");
        }
    }
}
