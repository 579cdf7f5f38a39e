//! The C library's resolver as it is: these calls wait for as long as it likes.
//!
//! Most callers want the bounded forms one floor up; a list of names brings threads of its
//! own and calls these directly.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dns_lookup::{AddrInfo, AddrInfoHints, LookupError};

use super::localhost::local;
use super::{Family, malformed};
use crate::error::{ExitCode, Failure, Phase, message_without_errno};

/// The longest name DNS can carry, in its text form without the last dot (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;

/// What `dns-lookup` writes before the system's own words.
const PREFIX: &str = "failed to lookup address information: ";

/// The addresses of a numeric form, or `None` for a name; never waits.
pub fn numeric(host: &str, family: Family) -> Result<Option<Vec<SocketAddr>>, Failure> {
    let host = well_formed(host)?;
    let hints = hints(family, libc::SOCK_STREAM, libc::AI_NUMERICHOST);
    match dns_lookup::getaddrinfo(Some(&resolve_zone(host)), None, Some(hints)) {
        Ok(found) => Ok(Some(distinct(host, found)?)),
        Err(error) if error.error_num() == libc::EAI_NONAME => Ok(None),
        Err(error) => Err(lookup_error(host, error)),
    }
}

/// `::1%lo` with the number of its zone in place of the name: the C library looks names of zones
/// up for link-local addresses only, though every address may have one (RFC 4007 §11).
fn resolve_zone(host: &str) -> Cow<'_, str> {
    let zoned = host.split_once('%').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    match zoned.and_then(|(address, zone)| Some((address, interface(zone)?))) {
        Some((address, index)) => Cow::Owned(format!("{address}%{index}")),
        None => Cow::Borrowed(host),
    }
}

/// The number of the network interface with this name.
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

/// The addresses of `host` in the order a program would try them, none twice, port 0.
///
/// `AI_ADDRCONFIG` is not asked for: it hides families where only loopback is configured.
pub fn addresses(host: &str, family: Family) -> Result<Vec<SocketAddr>, Failure> {
    let ascii = ascii(well_formed(host)?)?;
    if let Some(found) = local(&ascii, family) {
        return Ok(found);
    }
    let hints = hints(family, libc::SOCK_STREAM, 0);
    let found = dns_lookup::getaddrinfo(Some(&ascii), None, Some(hints));
    distinct(host, found.map_err(|error| lookup_error(host, error))?)
}

/// Every tuple `getaddrinfo(3)` gives for `host` and `service`, all socket types, with the
/// canonical name in the first.
pub fn tuples(host: &str, service: Option<&str>, family: Family) -> Result<Vec<AddrInfo>, Failure> {
    let ascii = ascii(well_formed(host)?)?;
    if let Some(found) = local(&ascii, family) {
        return tuples_of(&found, &ascii, service);
    }
    let hints = hints(family, 0, libc::AI_CANONNAME);
    dns_lookup::getaddrinfo(Some(&ascii), service, Some(hints))
        .map_err(|error| lookup_error(host, error))?
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(Phase::Resolve, host, error))
}

/// The tuples of these addresses, as if they had been found for `name`.
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

/// The one name `getnameinfo(3)` gives an address; a v4-mapped address is asked as IPv4.
pub fn name(address: SocketAddr) -> Result<Option<String>, Failure> {
    let plain = match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, 0)),
        IpAddr::V6(_) => address,
    };
    let flags = libc::NI_NAMEREQD | libc::NI_NUMERICSERV;
    match dns_lookup::getnameinfo(&plain, flags) {
        Ok((name, _)) => Ok(Some(name)),
        Err(error) if exit_code(error.error_num()) == ExitCode::Resolve => Ok(None),
        Err(error) => Err(lookup_error(&address.ip().to_string(), error)),
    }
}

/// An address in figures, its zone by the interface's name where there is one.
pub fn format_ip(address: &SocketAddr) -> String {
    let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => match dns_lookup::getnameinfo(address, flags) {
            Ok((figures, _)) => figures,
            Err(_) => format!("{}%{}", v6.ip(), v6.scope_id()),
        },
        _ => address.ip().to_string(),
    }
}

/// A host in the form the resolver wants: names beyond ASCII in their `xn--` form
/// (UTS 46, RFC 5891), all else as it is.
pub fn ascii(host: &str) -> Result<String, Failure> {
    if host.is_ascii() {
        return Ok(host.to_string());
    }
    match idna::domain_to_ascii(host) {
        Ok(ascii) if !ascii.is_empty() && ascii.len() <= LONGEST_NAME + 1 => Ok(ascii),
        _ => Err(malformed(host, "this is no internationalised domain name (IDNA)")),
    }
}

/// `host` itself, unless it can be neither name nor address.
pub fn well_formed(host: &str) -> Result<&str, Failure> {
    if host.is_empty() {
        return Err(malformed("''", "the name is empty"));
    }
    if host.bytes().any(|byte| byte == 0) {
        return Err(malformed(host, "the name holds a NUL byte"));
    }
    if host.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err(malformed(host, "the name holds a blank or a control character"));
    }
    if host.is_ascii() && host.trim_end_matches('.').len() > LONGEST_NAME {
        return Err(malformed(host, "the name is longer than 253 characters"));
    }
    Ok(host)
}

fn hints(family: Family, socktype: i32, flags: i32) -> AddrInfoHints {
    let address = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    AddrInfoHints { flags, address, socktype, protocol: 0 }
}

/// The addresses in their order, each once; a hosts file may name one twice.
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

/// What a `getaddrinfo(3)` error means to the shell, in the system's own words.
fn lookup_error(host: &str, error: LookupError) -> Failure {
    let code = exit_code(error.error_num());
    let error = std::io::Error::from(error);
    // EAI_SYSTEM, and glibc has forgotten the number that goes with it.
    if error.raw_os_error() == Some(0) {
        return Failure::new(Phase::Resolve, host, "the system's resolver failed").with_code(code);
    }
    let text = message_without_errno(&error);
    let text = text.strip_prefix(PREFIX).unwrap_or(&text).to_string();
    Failure::new(Phase::Resolve, host, text).with_code(code)
}

/// Absent is 6; a resolver or a system in trouble is 75; a word it cannot encode is 2.
///
/// `EAI_ADDRFAMILY` (glibc: -9) and `EAI_NODATA` are absences too: the name is there, but
/// not in this family.
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
    fn every_address_may_have_a_zone_by_name() {
        let found = numeric("::1%lo", Family::Any).unwrap().unwrap();
        assert_eq!(found[0].ip(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(numeric("::1%no-such-if", Family::Any).unwrap(), None);
    }

    #[test]
    fn absent_and_failing_stay_apart() {
        let absent = lookup_error("db", LookupError::new(libc::EAI_NONAME));
        assert_eq!(absent.code, ExitCode::Resolve);
        assert_eq!(absent.to_string(), "resolve db: Name or service not known");
        for number in [libc::EAI_AGAIN, libc::EAI_FAIL, libc::EAI_MEMORY] {
            assert_eq!(lookup_error("db", LookupError::new(number)).code, ExitCode::TryAgain);
        }
    }

    #[test]
    fn names_beyond_ascii_take_their_wire_form() {
        assert_eq!(ascii("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(ascii("BÜCHER.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(ascii("xn--bcher-kva.example").unwrap(), "xn--bcher-kva.example");
        assert!(ascii("bücher..example\u{202e}").is_err());
    }

    #[test]
    fn every_socket_type_has_its_tuple() {
        let found = tuples("127.0.0.1", Some("80"), Family::Any).unwrap();
        let types: Vec<i32> = found.iter().map(|tuple| tuple.socktype).collect();
        assert_eq!(types, [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW]);
        assert_eq!(found[0].canonname.as_deref(), Some("127.0.0.1"));
    }
}
