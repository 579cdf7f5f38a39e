//! Whom to call, and how patiently.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use super::retry::RetryFlags;
use super::socket::{SocketFlags, TcpFlags};
use super::values::{self, Limit};
use crate::error::Failure;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::proxy::{Proxy, Route, environment};
use crate::resolver::host_port::split_host_port;
use crate::resolver::{Family, getaddrinfo};

/// Host and port, as two words or one.
#[derive(Debug, Args)]
pub struct Target {
    /// A name, an IPv4 or IPv6 address; HOST:PORT and [V6]:PORT too [default: 127.0.0.1]
    #[arg(value_name = "HOST", value_hint = clap::ValueHint::Hostname)]
    pub host: Option<String>,
    /// A number or a service name such as http [default: 9999]
    #[arg(value_name = "PORT")]
    pub port: Option<String>,
}

impl Target {
    /// The endpoint these words name; fails with code 2 on a malformed one.
    pub fn endpoint(&self) -> Result<Endpoint, Failure> {
        Endpoint::read(self.host.as_deref(), self.port.as_deref(), ("127.0.0.1", "9999"))
    }
}

/// Only one address family.
#[derive(Debug, Args)]
pub struct FamilyFlags {
    /// IPv4 only
    #[arg(short = '4', long = "ipv4", conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6")]
    pub ipv6: bool,
}

impl FamilyFlags {
    /// The family these flags ask for.
    pub fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }
}

/// How to connect.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connecting")]
pub struct ConnectFlags {
    /// Only this family
    #[command(flatten)]
    pub families: FamilyFlags,
    /// Limit for the connection to stand: name, TCP, proxy and TLS together; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::limit)]
    pub connect_timeout: Limit,
    /// Come from this address (and port)
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = source)]
    pub source: Option<SocketAddr>,
    /// What if nobody answers
    #[command(flatten)]
    pub retrying: RetryFlags,
    /// Go by way of a proxy: socks5://, socks5h:// or http://[USER:PASSWORD@]HOST:PORT
    ///
    /// With socks5h and http the proxy looks the name up. '' = none, whatever the environment says.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Options on the connection
    #[command(flatten)]
    pub streams: TcpFlags,
    /// Options on the socket
    #[command(flatten)]
    pub socket: SocketFlags,
}

impl ConnectFlags {
    /// The call these flags ask for, to `endpoint`.
    pub fn dial(&self, endpoint: Endpoint) -> Dialer {
        Dialer {
            endpoint,
            family: self.families.family(),
            options: self.streams.added_to(self.socket.options()),
            source: self.source,
            timeout: self.connect_timeout.0,
            retry: self.retrying.retry(),
            route: Route::Direct,
            layer: None,
        }
    }

    /// The way to `endpoint` under `scheme` (`http`, `https`, `tcp`): `--proxy`, or what the
    /// environment says. Requests for http URLs go to an HTTP proxy itself.
    ///
    /// Fails with code 2 on a word that is no proxy.
    pub fn route(&self, scheme: &str, endpoint: &Endpoint) -> Result<Route, Failure> {
        let proxy = match self.proxy.as_deref() {
            Some("") => None,
            Some(word) => Some(Proxy::parse(word)?),
            None => environment::proxy(scheme, &endpoint.host)?,
        };
        Ok(match proxy {
            None => Route::Direct,
            Some(proxy) if scheme == "http" && proxy.is_http() => Route::To(proxy),
            Some(proxy) => Route::Through(proxy),
        })
    }
}

/// Reads `ADDR`, `ADDR:PORT`, `V6` or `[V6]:PORT`; port 0 lets the kernel choose.
pub fn source(word: &str) -> Result<SocketAddr, String> {
    let malformed = || format!("'{word}' is not an address, or an address and a port");
    let (host, port) = split_host_port(word).map_err(|_| malformed())?;
    let port = match port {
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => None,
        port => port.unwrap_or("0").parse().ok(),
    };
    let ip = host.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).ok();
    let mut address = ip.or_else(|| zoned(host)).ok_or_else(malformed)?;
    address.set_port(port.ok_or_else(malformed)?);
    Ok(address)
}

/// `fe80::1%eth0`, which std does not read: the system resolves zones.
fn zoned(host: &str) -> Option<SocketAddr> {
    let found = host.contains('%').then(|| getaddrinfo::numeric(host, Family::V6))?;
    found.ok()??.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_with_or_without_a_port() {
        for (word, shown) in [
            ("127.0.0.2", "127.0.0.2:0"),
            ("127.0.0.2:5000", "127.0.0.2:5000"),
            ("::1", "[::1]:0"),
            ("[::1]", "[::1]:0"),
            ("[::1]:5000", "[::1]:5000"),
            ("fe80::1%1", "[fe80::1%1]:0"),
            ("[fe80::1%1]:5000", "[fe80::1%1]:5000"),
        ] {
            assert_eq!(source(word).unwrap().to_string(), shown);
        }
        for word in ["", "localhost", "127.0.0.1:70000", "1.2.3", ":80", "::1:+80", "127.0.0.1:"] {
            assert!(source(word).is_err(), "{word}");
        }
    }
}
