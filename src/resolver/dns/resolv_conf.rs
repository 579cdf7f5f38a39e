//! Which server: the ones of resolv.conf(5), or one the user names.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::error::{Failure, Phase};
use crate::net::endpoint::split_host_port;
use crate::resolver;
use crate::resolver::Family;

/// Where name servers listen.
const PORT: u16 = 53;
/// As many as the C library uses (resolv.conf(5), MAXNS).
const MOST: usize = 3;

/// The servers of the system's resolv.conf, in their order; the local one where it names
/// none, as the C library does.
///
/// A file that is not there or not for us names none; one that cannot be read for another reason
/// (no more descriptors) fails at [`Stage::Resolve`] with 75, since the local server would be the
/// wrong one.
pub fn configured() -> Result<Vec<SocketAddr>, Failure> {
    Ok(in_resolv_conf(&resolv_conf()?))
}

/// The text of resolv.conf, on the same terms.
pub(super) fn resolv_conf() -> Result<String, Failure> {
    match std::fs::read("/etc/resolv.conf") {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(e) if is_lasting(&e) => Ok(String::new()),
        Err(e) => Err(Failure::resolver("/etc/resolv.conf", e)),
    }
}

/// Whether an error lies in the file system itself, which is where glibc draws the line.
fn is_lasting(error: &io::Error) -> bool {
    let lasting =
        [libc::ENOENT, libc::EACCES, libc::EPERM, libc::EISDIR, libc::ELOOP, libc::ENOTDIR];
    error.raw_os_error().is_some_and(|errno| lasting.contains(&errno))
}

fn in_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let named: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next()).flatten()
        })
        .filter_map(numeric)
        .take(MOST)
        .collect();
    if named.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { named }
}

/// A server in numeric form, with a zone where it has one.
fn numeric(word: &str) -> Option<SocketAddr> {
    let mut address =
        resolver::getaddrinfo::numeric(word, Family::Any).ok()??.into_iter().next()?;
    address.set_port(PORT);
    Some(address)
}

/// The server `ADDR[:PORT]` names: `192.0.2.53`, `192.0.2.53:5353`, `::1`, `[::1]:5353`, with
/// zones, and by name where the system knows one. Port 53 unless given.
///
/// A malformed word is usage (2).
pub fn server(word: &str, until: Option<Instant>) -> Result<SocketAddr, Failure> {
    let (host, port) = split_host_port(word)?;
    let port = port.map_or(Ok(PORT), |port| resolver::port(port, "udp"))?;
    if port == 0 {
        return Err(Failure::usage(Phase::Port, word, "a server has no port 0"));
    }
    let found = resolver::addresses(host, port, Family::Any, until)?;
    let absent = || Failure::new(Phase::Resolve, word, "the name has no address");
    found.into_iter().next().ok_or_else(absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_reads_it() {
        let text = "# x\nsearch a b\nnameserver 192.0.2.1\nnameserver\t::1\nnameserver bad\n\
                    nameserver fe80::1%lo\nnameserver 192.0.2.4\n";
        let servers: Vec<String> = in_resolv_conf(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[::1]:53", "[fe80::1%1]:53"]);
        assert_eq!(in_resolv_conf("options edns0"), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn a_server_is_an_address_with_or_without_a_port() {
        let told = |word| server(word, None).map(|server| server.to_string());
        assert_eq!(told("192.0.2.53").unwrap(), "192.0.2.53:53");
        assert_eq!(told("192.0.2.53:5353").unwrap(), "192.0.2.53:5353");
        assert_eq!(told("::1").unwrap(), "[::1]:53");
        assert_eq!(told("[::1]").unwrap(), "[::1]:53");
        assert_eq!(told("[::1]:5353").unwrap(), "[::1]:5353");
        assert_eq!(told("fe80::1%lo").unwrap(), "[fe80::1%1]:53");
        for word in ["", "192.0.2.53:70000", "[::1", "[::1]5353", "1:2:3", "192.0.2.53:0"] {
            assert_eq!(told(word).unwrap_err().code, ExitCode::Usage, "{word:?}");
        }
    }
}
