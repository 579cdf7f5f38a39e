//! The name servers to query: those of resolv.conf(5), or the one that the user names.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::error::{Failure, Phase};
use crate::resolver::addresses::addresses;
use crate::resolver::family::Family;
use crate::resolver::getaddrinfo;
use crate::resolver::host_port::split_host_port;
use crate::resolver::services;

/// The port of DNS.
const PORT: u16 = 53;
/// The maximum number of name servers that the C library uses (resolv.conf(5), MAXNS).
const MAX_SERVERS: usize = 3;

/// Returns the name servers of resolv.conf in their order; 127.0.0.1 if it has none, as the C library
/// does.
///
/// A file that does not exist or is not readable for the user counts as empty. Another error (such
/// as too many open files) fails at [`Phase::Resolve`] with 75: 127.0.0.1 would be the wrong server.
pub fn configured() -> Result<Vec<SocketAddr>, Failure> {
    Ok(in_resolv_conf(&resolv_conf()?))
}

/// Reads resolv.conf; fails as [`configured`] does.
pub(super) fn resolv_conf() -> Result<String, Failure> {
    match std::fs::read("/etc/resolv.conf") {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(e) if is_permanent(&e) => Ok(String::new()),
        Err(e) => Err(Failure::resolver("/etc/resolv.conf", e)),
    }
}

/// Whether the error is one of the file system, which glibc treats as an empty file.
fn is_permanent(error: &io::Error) -> bool {
    let permanent =
        [libc::ENOENT, libc::EACCES, libc::EPERM, libc::EISDIR, libc::ELOOP, libc::ENOTDIR];
    error.raw_os_error().is_some_and(|errno| permanent.contains(&errno))
}

fn in_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let named: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next()).flatten()
        })
        .filter_map(numeric)
        .take(MAX_SERVERS)
        .collect();
    if named.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { named }
}

/// Parses the address of a server, with an optional zone.
fn numeric(word: &str) -> Option<SocketAddr> {
    let mut address = getaddrinfo::numeric(word, Family::Any).ok()??.into_iter().next()?;
    address.set_port(PORT);
    Some(address)
}

/// Returns the server of `ADDR[:PORT]`: `192.0.2.53`, `192.0.2.53:5353`, `::1`, `[::1]:5353`, with an
/// optional zone, or a name that the system resolves until `deadline`. The default port is 53.
///
/// Fails with 2 if the word is malformed.
pub fn server(word: &str, deadline: Option<Instant>) -> Result<SocketAddr, Failure> {
    let (host, port) = split_host_port(word)?;
    let port = port.map_or(Ok(PORT), |port| services::port(port, "udp"))?;
    if port == 0 {
        return Err(Failure::usage(Phase::Port, word, "port 0 cannot be connected to"));
    }
    let found = addresses(host, port, Family::Any, deadline)?;
    let no_address = || Failure::new(Phase::Resolve, word, "the name has no address");
    found.into_iter().next().ok_or_else(no_address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn resolv_conf_is_parsed_as_by_the_c_library() {
        let text = "# x\nsearch a b\nnameserver 192.0.2.1\nnameserver\t::1\nnameserver bad\n\
                    nameserver fe80::1%lo\nnameserver 192.0.2.4\n";
        let servers: Vec<String> = in_resolv_conf(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[::1]:53", "[fe80::1%1]:53"]);
        assert_eq!(in_resolv_conf("options edns0"), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn server_is_an_address_with_an_optional_port() {
        let parsed = |word| server(word, None).map(|server| server.to_string());
        assert_eq!(parsed("192.0.2.53").unwrap(), "192.0.2.53:53");
        assert_eq!(parsed("192.0.2.53:5353").unwrap(), "192.0.2.53:5353");
        assert_eq!(parsed("::1").unwrap(), "[::1]:53");
        assert_eq!(parsed("[::1]").unwrap(), "[::1]:53");
        assert_eq!(parsed("[::1]:5353").unwrap(), "[::1]:5353");
        assert_eq!(parsed("fe80::1%lo").unwrap(), "[fe80::1%1]:53");
        for word in ["", "192.0.2.53:70000", "[::1", "[::1]5353", "1:2:3", "192.0.2.53:0"] {
            assert_eq!(parsed(word).unwrap_err().code, ExitCode::Usage, "{word:?}");
        }
    }
}
