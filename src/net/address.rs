//! Addresses of sockets, as the kernel reports them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use socket2::SockAddr;

use crate::error::Failure;

/// The address of one end of a connection, or of a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4 or IPv6; a v4-mapped address is stored as IPv4.
    Inet(SocketAddr),
    /// A Unix socket bound to a path.
    Unix(PathBuf),
    /// A Unix socket with a name in Linux's abstract namespace, shown with a leading `@`.
    Abstract(Vec<u8>),
    /// A Unix socket without a name (most clients).
    Unnamed,
}

impl Address {
    /// Returns the IP address, if there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.inet().map(|address| address.ip())
    }

    /// Returns the socket address, if it is an internet one.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Address::Inet(address) => Some(*address),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        // `::ffff:a.b.c.d` is `a.b.c.d` (RFC 4291 §2.5.5.2).
        Address::Inet(match address.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
            IpAddr::V6(_) => address,
        })
    }
}

impl From<&SockAddr> for Address {
    fn from(address: &SockAddr) -> Address {
        if let Some(inet) = address.as_socket() {
            return inet.into();
        }
        if let Some(path) = address.as_pathname() {
            return Address::Unix(path.to_path_buf());
        }
        abstract_name(address).map_or(Address::Unnamed, Address::Abstract)
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &SockAddr) -> Option<Vec<u8>> {
    address.as_abstract_namespace().map(<[u8]>::to_vec)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &SockAddr) -> Option<Vec<u8>> {
    None
}

/// Adds a hint to the failure to use `address` if it is a link-local one without its interface, which
/// the kernel refuses with `EINVAL` (RFC 4007 §6).
pub fn with_zone_hint(failure: Failure, address: &SocketAddr) -> Failure {
    match (failure.errno(), address) {
        (Some(libc::EINVAL), SocketAddr::V6(v6))
            if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 =>
        {
            failure.with_hint(format!(
                "a link-local address needs its interface, as in {}%eth0",
                address.ip()
            ))
        }
        _ => failure,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
            Address::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Address::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_address_is_shown_as_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:80".parse().unwrap();
        assert_eq!(Address::from(mapped).to_string(), "192.0.2.7:80");
        let plain: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!(Address::from(plain).to_string(), "[2001:db8::1]:80");
    }
}
