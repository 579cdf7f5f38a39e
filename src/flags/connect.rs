//! Flags for connecting: target, address family, timeout, proxy.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use super::retry::RetryFlags;
use super::socket::{SocketFlags, TcpFlags};
use super::values::{self, Limit};
use crate::error::Failure;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::proxy::{Proxy, environment};
use crate::net::route::Route;
use crate::net::socket::SocketOptions;
use crate::resolver::host_port::split_host_port;
use crate::resolver::{Family, getaddrinfo};

/// Host and port, as two arguments or one.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Host name, IPv4 or IPv6 address, also HOST:PORT or [IPV6]:PORT [default: 127.0.0.1]
    #[arg(value_name = "HOST", value_hint = clap::ValueHint::Hostname)]
    pub host: Option<String>,
    /// Port number or service name such as http [default: 9999]
    #[arg(value_name = "PORT")]
    pub port: Option<String>,
}

impl TargetArgs {
    /// The endpoint of these arguments; fails with code 2 if malformed.
    pub fn endpoint(&self) -> Result<Endpoint, Failure> {
        Endpoint::read(self.host.as_deref(), self.port.as_deref(), ("127.0.0.1", "9999"))
    }
}

/// Restriction to one address family.
#[derive(Debug, Args)]
pub struct FamilyFlags {
    /// Use IPv4 only
    #[arg(short = '4', long = "ipv4", conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long = "ipv6")]
    pub ipv6: bool,
}

impl FamilyFlags {
    /// The address family to use.
    pub fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }

    /// The address family to use: without a flag that of the local address, if there is one.
    pub fn family_with(&self, source: Option<SocketAddr>) -> Family {
        match (self.family(), source) {
            (Family::Any, Some(SocketAddr::V4(_))) => Family::V4,
            (Family::Any, Some(SocketAddr::V6(_))) => Family::V6,
            (family, _) => family,
        }
    }
}

/// Flags of connections over IP: the proxy, and the options of the socket.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct RouteFlags {
    /// Connect through a proxy: socks5://, socks5h:// or http://[USER:PASSWORD@]HOST:PORT
    ///
    /// With socks5h and http the proxy resolves the host name. '' connects directly and ignores the
    /// environment variables.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    #[command(flatten)]
    pub(crate) streams: TcpFlags,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

impl RouteFlags {
    /// The route to `host` for `scheme` (`http`, `https`, `tcp`): through `--proxy`, or through
    /// the proxy of the environment variables. An HTTP proxy gets requests for http URLs itself.
    ///
    /// Fails with code 2 on a malformed proxy.
    pub fn route(&self, scheme: &str, host: &str) -> Result<Route, Failure> {
        let proxy = match self.proxy.as_deref() {
            Some("") => None,
            Some(url) => Some(Proxy::parse(url)?),
            None => environment::proxy(scheme, host)?,
        };
        Ok(match proxy {
            None => Route::Direct,
            Some(proxy) if scheme == "http" && proxy.is_http() => Route::ForwardProxy(proxy),
            Some(proxy) => Route::Tunnel(proxy),
        })
    }

    /// Whether a proxy was given as a flag.
    pub fn has_proxy(&self) -> bool {
        self.proxy.as_ref().is_some_and(|url| !url.is_empty())
    }

    /// The options of each socket.
    pub fn socket_options(&self) -> SocketOptions {
        self.streams.added_to(self.socket.options())
    }
}

/// Flags of clients that connect over IP.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectFlags {
    #[command(flatten)]
    pub(crate) families: FamilyFlags,
    /// Timeout for connecting: DNS, TCP, proxy and TLS together; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::limit)]
    pub connect_timeout: Limit,
    /// Local address (and port) to connect from
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = source)]
    pub source: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) retrying: RetryFlags,
    #[command(flatten)]
    pub(crate) route: RouteFlags,
}

impl ConnectFlags {
    /// A dialer of `endpoint` with these options, without proxy and TLS.
    pub fn dial(&self, endpoint: Endpoint) -> Dialer {
        Dialer {
            endpoint,
            family: self.families.family(),
            socket_options: self.route.socket_options(),
            source: self.source,
            timeout: self.connect_timeout.0,
            retry: self.retrying.retry(),
            route: Route::Direct,
            layer: None,
        }
    }
}

/// Parses `ADDR`, `ADDR:PORT`, `V6` or `[V6]:PORT`; with port 0 the kernel chooses one.
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

/// Parses `fe80::1%eth0`, which std does not: the system resolves zones.
fn zoned(host: &str) -> Option<SocketAddr> {
    let found = host.contains('%').then(|| getaddrinfo::numeric(host, Family::V6))?;
    found.ok()??.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_an_address_with_or_without_a_port() {
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
