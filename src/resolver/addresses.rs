//! The addresses of a host, with a deadline: numeric forms, the hosts file, then the C library.

use std::net::SocketAddr;

use super::blocking::{Deadline, run_with_deadline};
use super::family::Family;
use super::localhost::is_localhost;
use super::{getaddrinfo, hosts_file};
use crate::error::Failure;

/// Returns the addresses of `host` with `port` filled in, in RFC 6724 order, without duplicates.
///
/// Numeric forms (`127.1`, `0x7f.1`, `fe80::1%eth0`), names under `localhost` and names of the
/// hosts file are resolved on the calling thread and never wait.
///
/// Fails at [`Phase::Resolve`](crate::error::Phase::Resolve): an unknown name with code 6, a
/// failing resolver with 75, a passed deadline with 28, a malformed name with 2.
pub fn addresses<'a>(
    host: &str,
    port: u16,
    family: Family,
    deadline: impl Into<Deadline<'a>>,
) -> Result<Vec<SocketAddr>, Failure> {
    let deadline = deadline.into();
    let mut found = match getaddrinfo::numeric(host, family)? {
        Some(found) => {
            tracing::trace!(host, "is an address");
            found
        }
        None if !deadline.has_passed() && is_local(host, family) => {
            tracing::debug!(host, "is a local name, which needs no query");
            getaddrinfo::addresses(host, family)?
        }
        None => {
            tracing::debug!(host, "looking up");
            let name = host.to_string();
            run_with_deadline(host, deadline, move || getaddrinfo::addresses(&name, family))??
        }
    };
    tracing::debug!(host, addresses = found.len(), "is resolved");
    found.iter_mut().for_each(|address| address.set_port(port));
    Ok(found)
}

/// Whether `host` is an address in one of its numeric forms, which needs no lookup.
pub fn is_address(host: &str) -> bool {
    matches!(getaddrinfo::numeric(host, Family::Any), Ok(Some(_)))
}

/// Whether the addresses of `host` are known without a query: a name under `localhost`, or one of
/// the hosts file.
fn is_local(host: &str, family: Family) -> bool {
    is_localhost(host) || hosts_file::lists_name(host, family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use std::net::{IpAddr, Ipv6Addr};
    use std::time::Instant;

    fn ips(host: &str, family: Family) -> Vec<IpAddr> {
        addresses(host, 80, family, None).unwrap().iter().map(SocketAddr::ip).collect()
    }

    #[test]
    fn numeric_forms_are_parsed_as_by_the_system() {
        for word in ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"] {
            assert_eq!(ips(word, Family::Any), [IpAddr::from([127, 0, 0, 1])], "{word}");
        }
        assert_eq!(ips("::1", Family::Any), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }

    #[test]
    fn zone_becomes_scope_id() {
        let found = addresses("fe80::1%1", 9, Family::Any, None).unwrap();
        let SocketAddr::V6(only) = found[0] else { panic!("{found:?}") };
        assert_eq!((only.scope_id(), only.port()), (1, 9));
        assert_eq!(addresses("fe80::1%lo", 9, Family::Any, None).unwrap(), found);
        let absent = addresses("fe80::1%nosuchif", 9, Family::Any, None).unwrap_err();
        assert_eq!(absent.code, ExitCode::Resolve);
    }

    #[test]
    fn malformed_name_is_usage_error() {
        let long = "a.".repeat(200);
        for word in ["", "a\0b", long.as_str(), "a b", "xn--a\u{1f}b", "\u{200b}"] {
            let error = addresses(word, 1, Family::Any, None).unwrap_err();
            assert_eq!(error.code, ExitCode::Usage, "{word:?}: {error}");
        }
    }

    #[test]
    fn passed_deadline_is_a_timeout() {
        let passed = addresses("localhost", 1, Family::Any, Some(Instant::now())).unwrap_err();
        assert_eq!(passed.code, ExitCode::Timeout);
    }
}
