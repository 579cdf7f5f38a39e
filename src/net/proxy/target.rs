//! What a proxy is asked to connect to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What a proxy is asked to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A name, which the proxy resolves, and a port.
    Name(String, u16),
    /// An address and a port.
    Address(SocketAddr),
}

impl Target {
    /// A host as the user wrote it: an address if it is one (without its zone, which has no meaning
    /// on another machine), else a name.
    pub fn new(host: &str, port: u16) -> Target {
        let bare = host.split_once('%').map_or(host, |(address, _)| address);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Target::Address(SocketAddr::new(ip, port)),
            Err(_) => Target::Name(host.to_string(), port),
        }
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        match self {
            Target::Name(_, port) => *port,
            Target::Address(address) => address.port(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(name, port) => write!(f, "{name}:{port}"),
            Target::Address(SocketAddr::V6(at)) => write!(f, "[{}]:{}", at.ip(), at.port()),
            Target::Address(at) => write!(f, "{at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_an_address_if_possible() {
        assert_eq!(Target::new("fe80::1%eth0", 7).to_string(), "[fe80::1]:7");
        assert_eq!(Target::new("db.example", 7).to_string(), "db.example:7");
    }
}
