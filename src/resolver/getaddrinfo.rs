//! The C library's resolver, `getaddrinfo(3)` and `getnameinfo(3)`; these calls have no time limit.
//!
//! [`super::addresses`] has a deadline; `resolve` has its own threads and calls these directly.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dns_lookup::{AddrInfo, AddrInfoHints, LookupError};

use super::family::Family;
use super::host_name::{check_name, to_ascii};
use super::localhost::localhost_addresses;
use crate::error::{ExitCode, Failure, Phase, message_without_errno};

/// What the crate `dns-lookup` puts before the message of gai_strerror(3).
const MESSAGE_PREFIX: &str = "failed to lookup address information: ";

/// Parses a numeric form of an address; `None` for a name. Never waits.
///
/// Fails at [`Phase::Resolve`], with 2 for a malformed name.
pub fn numeric(host: &str, family: Family) -> Result<Option<Vec<SocketAddr>>, Failure> {
    let host = check_name(host)?;
    let hints = hints(family, libc::SOCK_STREAM, libc::AI_NUMERICHOST);
    match dns_lookup::getaddrinfo(Some(&resolve_zone(host)), None, Some(hints)) {
        Ok(found) => Ok(Some(distinct(host, found)?)),
        Err(error) if error.error_num() == libc::EAI_NONAME => Ok(None),
        Err(error) => Err(lookup_error(host, error)),
    }
}

/// Replaces the zone name in `::1%lo` by its interface index: the C library looks zone names up for
/// link-local addresses only, though every address may have a zone (RFC 4007 §11).
fn resolve_zone(host: &str) -> Cow<'_, str> {
    let zoned = host.split_once('%').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    match zoned.and_then(|(address, zone)| Some((address, interface(zone)?))) {
        Some((address, index)) => Cow::Owned(format!("{address}%{index}")),
        None => Cow::Borrowed(host),
    }
}

/// Returns the index of the network interface `name`.
#[cfg(target_os = "linux")]
fn interface(name: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(&socket, name).ok()
}

#[cfg(not(target_os = "linux"))]
fn interface(_: &str) -> Option<u32> {
    None
}

/// Returns the addresses of `host` in the order of getaddrinfo(3), without duplicates, with port 0.
///
/// `AI_ADDRCONFIG` is not set: it hides a family that is configured on loopback only.
///
/// Fails at [`Phase::Resolve`]: 6 for an unknown name, 75 for a failing resolver, 2 for a malformed
/// name.
pub fn addresses(host: &str, family: Family) -> Result<Vec<SocketAddr>, Failure> {
    let ascii = to_ascii(check_name(host)?)?;
    if let Some(found) = localhost_addresses(&ascii, family) {
        return Ok(found);
    }
    let hints = hints(family, libc::SOCK_STREAM, 0);
    let found = dns_lookup::getaddrinfo(Some(&ascii), None, Some(hints));
    distinct(host, found.map_err(|error| lookup_error(host, error))?)
}

/// Returns every entry of `getaddrinfo(3)` for `host` and `service`, of all socket types; the first
/// one has the canonical name. Fails as [`addresses`] does.
pub fn tuples(host: &str, service: Option<&str>, family: Family) -> Result<Vec<AddrInfo>, Failure> {
    let ascii = to_ascii(check_name(host)?)?;
    if let Some(found) = localhost_addresses(&ascii, family) {
        return tuples_of(&found, &ascii, service);
    }
    let hints = hints(family, 0, libc::AI_CANONNAME);
    dns_lookup::getaddrinfo(Some(&ascii), service, Some(hints))
        .map_err(|error| lookup_error(host, error))?
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(Phase::Resolve, host, error))
}

/// Returns the entries for `addresses`, with `name` as canonical name.
fn tuples_of(
    addresses: &[SocketAddr],
    name: &str,
    service: Option<&str>,
) -> Result<Vec<AddrInfo>, Failure> {
    let mut all = Vec::new();
    for address in addresses {
        all.extend(tuples(&address.ip().to_string(), service, Family::Any)?);
    }
    for (nth, tuple) in all.iter_mut().enumerate() {
        tuple.canonname = (nth == 0).then(|| name.to_string());
    }
    Ok(all)
}

/// Returns the name that `getnameinfo(3)` has for `address`; a v4-mapped address is looked up as
/// IPv4.
///
/// Fails at [`Phase::Resolve`] with 75 if the resolver fails.
pub fn name(address: SocketAddr) -> Result<Option<String>, Failure> {
    let canonical = match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, 0)),
        IpAddr::V6(_) => address,
    };
    let flags = libc::NI_NAMEREQD | libc::NI_NUMERICSERV;
    match dns_lookup::getnameinfo(&canonical, flags) {
        // A line of the hosts file that has no name gives an empty one.
        Ok((name, _)) => Ok(Some(name).filter(|name| !name.is_empty())),
        Err(error) if exit_code(error.error_num()) == ExitCode::Resolve => Ok(None),
        Err(error) => Err(lookup_error(&address.ip().to_string(), error)),
    }
}

/// Formats an address without its port, the zone as the name of its interface if it has one.
pub fn format_ip(address: &SocketAddr) -> String {
    let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => match dns_lookup::getnameinfo(address, flags) {
            Ok((text, _)) => text,
            Err(_) => format!("{}%{}", v6.ip(), v6.scope_id()),
        },
        _ => address.ip().to_string(),
    }
}

fn hints(family: Family, socktype: i32, flags: i32) -> AddrInfoHints {
    let address = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    AddrInfoHints { flags, address, socktype, protocol: 0 }
}

/// Collects the addresses in their order without duplicates; a hosts file may list one twice.
fn distinct(
    host: &str,
    found: impl Iterator<Item = std::io::Result<AddrInfo>>,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for tuple in found {
        let address = tuple.map_err(|error| Failure::new(Phase::Resolve, host, error))?.sockaddr;
        if seen.insert(address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Converts a `getaddrinfo(3)` error, with the message of gai_strerror(3).
fn lookup_error(host: &str, error: LookupError) -> Failure {
    let code = exit_code(error.error_num());
    let error = std::io::Error::from(error);
    // EAI_SYSTEM, but glibc did not keep errno.
    if error.raw_os_error() == Some(0) {
        return Failure::new(Phase::Resolve, host, "the system's resolver failed").with_code(code);
    }
    let text = message_without_errno(&error);
    let text = text.strip_prefix(MESSAGE_PREFIX).unwrap_or(&text).to_string();
    Failure::new(Phase::Resolve, host, text).with_code(code)
}

/// Returns the exit code of a `getaddrinfo(3)` error: 6 for an unknown name, 75 for a failing
/// resolver or a lack of resources, 2 for a name that cannot be encoded.
///
/// `EAI_ADDRFAMILY` (glibc: -9) and `EAI_NODATA` are 6 too: the name exists, but has no address in
/// this family.
fn exit_code(number: i32) -> ExitCode {
    const EAI_IDN_ENCODE: i32 = -105;
    match number {
        libc::EAI_AGAIN | libc::EAI_FAIL | libc::EAI_MEMORY | libc::EAI_SYSTEM => {
            ExitCode::TryAgain
        }
        EAI_IDN_ENCODE => ExitCode::Usage,
        _ => ExitCode::Resolve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn any_address_may_have_a_zone_name() {
        let found = numeric("::1%lo", Family::Any).unwrap().unwrap();
        assert_eq!(found[0].ip(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(numeric("::1%no-such-if", Family::Any).unwrap(), None);
    }

    #[test]
    fn unknown_name_and_failing_resolver_have_different_codes() {
        let absent = lookup_error("db", LookupError::new(libc::EAI_NONAME));
        assert_eq!(absent.code, ExitCode::Resolve);
        assert_eq!(absent.to_string(), "resolve db: Name or service not known");
        for number in [libc::EAI_AGAIN, libc::EAI_FAIL, libc::EAI_MEMORY] {
            assert_eq!(lookup_error("db", LookupError::new(number)).code, ExitCode::TryAgain);
        }
    }

    #[test]
    fn tuples_have_every_socket_type() {
        let found = tuples("127.0.0.1", Some("80"), Family::Any).unwrap();
        let types: Vec<i32> = found.iter().map(|tuple| tuple.socktype).collect();
        assert_eq!(types, [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW]);
        assert_eq!(found[0].canonname.as_deref(), Some("127.0.0.1"));
    }
}
