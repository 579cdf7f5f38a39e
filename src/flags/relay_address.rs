//! The addresses of the relay: where it listens, and its target.

use std::ffi::OsStr;
use std::net::IpAddr;

use super::connect::ConnectFlags;
use crate::error::{Failure, Phase};
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::listen::{ListenOptions, Listener};
use crate::net::route::Route;
use crate::net::socket_event::OnSocketEvent;
use crate::net::unix::{self, UnixAddress};
use crate::process::systemd::{SocketKind, passed_socket};
use crate::report::context::Context;
use crate::resolver::Family;
use crate::resolver::host_port::split_host_port;
use crate::resolver::is_localhost;
use crate::shutdown::Shutdown;

/// The permissions of the file of a Unix socket, as of unix-server.
const UNIX_MODE: u32 = 0o600;

/// An address to listen on or to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayAddress {
    /// Host and port. To listen on, the empty host is every interface, and the kernel chooses port 0.
    Inet(Endpoint),
    /// A Unix socket.
    Unix(UnixAddress),
}

impl RelayAddress {
    /// Parses an address to listen on: `PORT`, `HOST:PORT`, `:PORT`, `*:PORT` or `unix:PATH`.
    ///
    /// Fails with exit code 2 on anything else.
    pub fn parse_listen(word: &str) -> Result<RelayAddress, Failure> {
        if let Some(name) = parse_unix(word)? {
            return Ok(RelayAddress::Unix(name));
        }
        let (host, port) = if word.is_empty() || word.contains([':', '[', '.', '/']) {
            split_host_port(word)?
        } else {
            ("127.0.0.1", Some(word))
        };
        match port.filter(|port| !port.is_empty()) {
            Some(port) => {
                Ok(RelayAddress::Inet(Endpoint { host: host.to_string(), port: port.to_string() }))
            }
            None => Err(Failure::usage(Phase::Port, word, "the port to listen on is missing")
                .with_hint("write PORT, HOST:PORT, :PORT or unix:PATH")),
        }
    }

    /// Parses an address to connect to: `HOST:PORT` or `unix:PATH`.
    ///
    /// Fails with exit code 2 on anything else, and on a path that is too long for a socket.
    pub fn parse_target(word: &str) -> Result<RelayAddress, Failure> {
        let Some(name) = parse_unix(word)? else {
            return Endpoint::parse(word).map(RelayAddress::Inet);
        };
        match name.address() {
            Ok(_) => Ok(RelayAddress::Unix(name)),
            Err(e) => Err(Failure::usage(Phase::Connect, word, e)),
        }
    }

    /// Whether a connection to `target` would arrive here, as far as the words show: a loop.
    pub fn is_same_as(&self, target: &RelayAddress) -> bool {
        match (self, target) {
            (RelayAddress::Unix(listen), RelayAddress::Unix(target)) => listen == target,
            (RelayAddress::Inet(listen), RelayAddress::Inet(target)) => {
                listen.port == target.port && is_same_host(&listen.host, &target.host)
            }
            _ => false,
        }
    }

    /// The socket that a service manager has passed, or one that listens here with a queue of `backlog`
    /// connections.
    ///
    /// Fails as [`ListenOptions::listen`], [`unix::listen`] and [`passed_socket`] do.
    pub fn listener(
        &self,
        connect: &ConnectFlags,
        backlog: i32,
        context: &Context,
    ) -> Result<Listener, Failure> {
        let inet = matches!(self, RelayAddress::Inet(_));
        if let Some(socket) = passed_socket(SocketKind { name: "relay", inet, stream: true })? {
            return Listener::passed(socket);
        }
        let log = |event| context.report.on_socket_event(event);
        match self {
            RelayAddress::Unix(name) => unix::listen(name, UNIX_MODE, backlog, &log),
            RelayAddress::Inet(address) => {
                bind(address, connect, &context.shutdown, &log).listen(backlog)
            }
        }
    }

    /// A dialer of this target with the options of `connect`, without TLS; `scheme` selects the proxy
    /// of the environment.
    ///
    /// Fails with exit code 2 on a malformed proxy.
    pub fn dialer(&self, connect: &ConnectFlags, scheme: &str) -> Result<Dialer, Failure> {
        let (endpoint, route) = match self {
            RelayAddress::Inet(endpoint) => {
                (endpoint.clone(), connect.route.route(scheme, &endpoint.host)?)
            }
            RelayAddress::Unix(name) => {
                let endpoint = Endpoint { host: name.to_string(), port: "unix".to_string() };
                (endpoint, Route::Unix(name.clone()))
            }
        };
        Ok(Dialer { route, ..connect.dial(endpoint) })
    }
}

/// Parses `unix:PATH`; `None` for other words.
fn parse_unix(word: &str) -> Result<Option<UnixAddress>, Failure> {
    match word.strip_prefix("unix:") {
        Some("") => Err(Failure::usage(Phase::Connect, word, "the path is empty")),
        path => Ok(path.map(|path| UnixAddress::parse(OsStr::new(path)))),
    }
}

/// How to listen on `address`, with the options of `connect` on each socket.
pub fn bind<'a>(
    address: &Endpoint,
    connect: &ConnectFlags,
    shutdown: &'a Shutdown,
    emit: OnSocketEvent<'a>,
) -> ListenOptions<'a> {
    ListenOptions {
        host: address.host.clone(),
        port: address.port.clone(),
        family: Family::Any,
        socket_options: connect.route.socket_options(),
        deadline: shutdown.into(),
        emit,
    }
}

/// Whether a listener on `listen` accepts connections to `target`.
fn is_same_host(listen: &str, target: &str) -> bool {
    if listen.eq_ignore_ascii_case(target) {
        return true;
    }
    let (Some(from), Some(to)) = (LocalHost::of(listen), LocalHost::of(target)) else {
        return false;
    };
    match (from, to) {
        (LocalHost::Loopback(one), LocalHost::Loopback(other)) => one == other,
        // A client that connects to every interface reaches loopback; localhost is either family.
        (LocalHost::Loopback(ip), _) | (LocalHost::Name, LocalHost::Loopback(ip)) => {
            is_standard(ip)
        }
        (LocalHost::Any | LocalHost::Name, _) => true,
    }
}

/// A word for this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LocalHost {
    /// Every interface.
    Any,
    /// `localhost`.
    Name,
    /// A loopback address.
    Loopback(IpAddr),
}

impl LocalHost {
    fn of(host: &str) -> Option<LocalHost> {
        let address = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        match address {
            _ if matches!(host, "" | "*") => Some(LocalHost::Any),
            Some(ip) if ip.is_unspecified() => Some(LocalHost::Any),
            Some(ip) if ip.is_loopback() => Some(LocalHost::Loopback(ip)),
            None if is_localhost(host) => Some(LocalHost::Name),
            _ => None,
        }
    }
}

/// Whether `localhost` means this loopback address.
fn is_standard(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 1]) || ip.is_ipv6()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn listen_address_has_127_0_0_1_as_default_host() {
        for (word, shown) in [
            ("8080", "127.0.0.1:8080"),
            ("http", "127.0.0.1:http"),
            ("0", "127.0.0.1:0"),
            (":8080", ":8080"),
            ("*:8080", "*:8080"),
            ("localhost:8080", "localhost:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:@a", "unix:@a"),
        ] {
            let shown_address = match RelayAddress::parse_listen(word).unwrap() {
                RelayAddress::Inet(address) => address.to_string(),
                RelayAddress::Unix(name) => format!("unix:{name}"),
            };
            assert_eq!(shown_address, shown);
        }
        for word in ["", "::1", "127.0.0.1", "a:b:c", "host:", "http://a:1", "unix:"] {
            assert_eq!(
                RelayAddress::parse_listen(word).unwrap_err().code,
                ExitCode::Usage,
                "{word}"
            );
        }
    }

    #[test]
    fn malformed_target_is_a_usage_error() {
        let long = format!("unix:{}", "x".repeat(200));
        for word in ["", "host", "host:", "host:0", "unix:", &long] {
            let failure = RelayAddress::parse_target(word).unwrap_err();
            assert_eq!(failure.code, ExitCode::Usage, "{word}");
        }
    }

    #[test]
    fn visible_loop_is_found() {
        let is_loop = |listen: &str, target: &str| {
            let target = RelayAddress::parse_target(target).unwrap();
            RelayAddress::parse_listen(listen).unwrap().is_same_as(&target)
        };
        for (listen, target) in [
            ("8080", "127.0.0.1:8080"),
            ("8080", "localhost:8080"),
            (":8080", "127.0.0.2:8080"),
            ("*:8080", "[::1]:8080"),
            ("db:1", "DB:1"),
            ("[::1]:8080", "localhost:8080"),
            ("unix:/a", "unix:/a"),
        ] {
            assert!(is_loop(listen, target), "{listen} {target}");
        }
        for (listen, target) in [
            ("8080", "127.0.0.1:8081"),
            ("8080", "127.0.0.2:8080"),
            (":8080", "db:8080"),
            ("8080", "[::1]:8080"),
            ("unix:/a", "unix:/b"),
        ] {
            assert!(!is_loop(listen, target), "{listen} {target}");
        }
    }
}
