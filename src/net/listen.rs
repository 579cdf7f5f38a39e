//! Listening: a local address becomes a listening or bound socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Socket, Type};

use super::address::{Address, with_zone_hint};
use super::endpoint::parse_host;
use super::name_lookup::NameLookup;
use super::socket::SocketOptions;
use super::socket_event::{OnSocketEvent, SocketEvent};
use super::socket_file::SocketFileGuard;
use crate::error::{ExitCode, Failure, Phase};
use crate::resolver::{Deadline, Family};

/// Where to listen, and how.
#[derive(Clone)]
pub struct ListenOptions<'a> {
    /// An address or name; empty, `*` and `::` are every interface of both families.
    pub host: String,
    /// A number, 0 included, or a service name.
    pub port: String,
    /// Only this family.
    pub family: Family,
    /// Options on the socket.
    pub socket_options: SocketOptions,
    /// The deadline for resolving the host.
    pub deadline: Deadline<'a>,
    /// Receives the steps.
    pub emit: OnSocketEvent<'a>,
}

/// A listening socket and its address.
#[derive(Debug)]
pub struct Listener {
    /// The socket, non-blocking.
    pub socket: Socket,
    /// The bound address with its actual port.
    pub local: Address,
    /// The file of a Unix socket, removed when the listener is dropped.
    pub socket_file: Option<SocketFileGuard>,
}

impl Listener {
    /// A listening socket that a service manager passed.
    ///
    /// Fails at [`Phase::Listen`] when it has no address.
    pub fn passed(socket: Socket) -> Result<Listener, Failure> {
        let local = socket.local_addr();
        let local = local.map_err(|e| Failure::new(Phase::Listen, "LISTEN_FDS", e))?;
        Ok(Listener { local: Address::from(&local), socket, socket_file: None })
    }

    /// Lets a bound socket listen with this `backlog` (listen(2)).
    pub(super) fn start(
        socket: Socket,
        socket_file: Option<SocketFileGuard>,
        backlog: i32,
        emit: OnSocketEvent<'_>,
    ) -> io::Result<Listener> {
        socket.listen(backlog)?;
        emit(SocketEvent::Listening(backlog));
        socket.set_nonblocking(true)?;
        let local = Address::from(&socket.local_addr()?);
        Ok(Listener { socket, local, socket_file })
    }
}

impl ListenOptions<'_> {
    /// Listens on a TCP socket with this `backlog` (listen(2)).
    ///
    /// Fails at [`Phase::Resolve`], [`Phase::Port`], [`Phase::Socket`], [`Phase::Bind`] or
    /// [`Phase::Listen`]; the last three with code 45.
    pub fn listen(&self, backlog: i32) -> Result<Listener, Failure> {
        let socket = self.bind_first(Type::STREAM)?;
        Listener::start(socket, None, backlog, self.emit)
            .map_err(|e| self.with_hints(Failure::new(Phase::Listen, self, e), Type::STREAM))
    }

    /// Binds a UDP socket, blocking; fails as [`ListenOptions::listen`] does.
    pub fn bind_datagram(&self) -> Result<Socket, Failure> {
        self.bind_first(Type::DGRAM)
    }

    /// Binds to the first address that succeeds.
    fn bind_first(&self, kind: Type) -> Result<Socket, Failure> {
        let mut first_failure = None;
        for address in self.addresses(kind)? {
            match self.bind(kind, &address) {
                Ok(socket) => return Ok(socket),
                Err(failure) => {
                    tracing::debug!(%address, cause = failure.cause(), "cannot be bound, the next is due");
                    first_failure = first_failure.or(Some(failure));
                }
            }
        }
        Err(first_failure
            .unwrap_or_else(|| Failure::new(Phase::Bind, self, "no address to bind to")))
    }

    fn addresses(&self, kind: Type) -> Result<Vec<SocketAddr>, Failure> {
        let ListenOptions { family, deadline, emit, .. } = *self;
        let lookup = NameLookup { family, deadline, emit };
        let port = lookup.port(&self.port, if kind == Type::STREAM { "tcp" } else { "udp" })?;
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match (self.is_any_interface(), self.family) {
            (true, Family::Any) => Ok(vec![v6, v4]),
            (true, Family::V4) => Ok(vec![v4]),
            (true, Family::V6) => Ok(vec![v6]),
            (false, _) => lookup.addresses(parse_host(&self.host)?, port),
        }
    }

    /// Whether the host means all interfaces.
    pub fn is_any_interface(&self) -> bool {
        matches!(self.host.as_str(), "" | "*" | "::" | "[::]")
    }

    fn bind(&self, kind: Type, address: &SocketAddr) -> Result<Socket, Failure> {
        let opened = self.socket_options.open(kind, address);
        let socket = opened.map_err(|failure| failure.with_code(ExitCode::Bind))?;
        let protocol = if kind == Type::STREAM { "TCP" } else { "UDP" };
        (self.emit)(SocketEvent::socket(address, Some(protocol)));
        self.prepare(&socket, kind, address)
            .and_then(|()| socket.bind(&(*address).into()))
            .map_err(|e| self.with_hints(Failure::new(Phase::Bind, address, e), kind))
            .map_err(|failure| with_zone_hint(failure, address))?;
        (self.emit)(SocketEvent::Bound(address.to_string()));
        Ok(socket)
    }

    fn prepare(&self, socket: &Socket, kind: Type, address: &SocketAddr) -> io::Result<()> {
        if kind == Type::STREAM || address.ip().is_multicast() {
            // Allows to bind while connections of an earlier run are in TIME_WAIT, and several
            // members of a multicast group on one machine.
            socket.set_reuse_address(true)?;
            (self.emit)(SocketEvent::ReuseAddress);
        }
        if address.is_ipv6() {
            let both = self.is_any_interface() && self.family == Family::Any;
            socket.set_only_v6(!both)?;
        }
        Ok(())
    }

    fn with_hints(&self, failure: Failure, kind: Type) -> Failure {
        match failure.errno() {
            Some(libc::EACCES) => failure.with_hint("a port below 1024 needs privilege"),
            Some(libc::EADDRINUSE) => match super::port_owner::owner_of_port(&self.port, kind) {
                Some(owner) => failure.with_hint(format!("the port is in use by {owner}")),
                None => failure.with_hint("the port is in use; port 0 takes a free one"),
            },
            _ => failure,
        }
    }
}

impl std::fmt::Display for ListenOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.host.trim_matches(['[', ']']);
        if host.contains(':') {
            write!(f, "[{host}]:{}", self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
