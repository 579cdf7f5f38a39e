//! The addresses that a datagram client sends to, and a socket for each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use rustix::event::PollFlags;
#[cfg(target_os = "linux")]
use socket2::Domain;
use socket2::{SockAddr, Socket, Type};

use crate::datagram::{DatagramSocket, RecvBuffer, RecvMeta, Transmit, multicast};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::{Address, with_zone_hint};
use crate::net::connect_event::{ConnectEvent, OnConnectEvent};
use crate::net::endpoint::Endpoint;
use crate::net::name_lookup::NameLookup;
use crate::net::retry::{Retry, RetryState};
use crate::net::socket::SocketOptions;
use crate::net::socket_file::SocketFileGuard;
use crate::net::unix;
use crate::net::unix::{BoundSocket, UnixAddress};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::{Endpoints, Event};
use crate::resolver::Family;
use crate::shutdown::WaitOutcome;

/// How the socket of a UDP client is opened.
#[derive(Debug, Clone)]
pub struct TargetOptions {
    /// Only addresses of this family.
    pub family: Family,
    /// The local address to send from.
    pub source: Option<SocketAddr>,
    /// How often the name and the addresses are tried again.
    pub retry: Retry,
    /// Allow a broadcast address (`SO_BROADCAST`), and accept replies from any sender.
    pub broadcast: bool,
    /// Hop limit of multicast datagrams.
    pub multicast_hops: Option<u8>,
    /// Options of the socket.
    pub socket: SocketOptions,
}

/// A socket for one address of the peer.
#[derive(Debug)]
pub struct ClientSocket {
    /// The socket.
    pub socket: DatagramSocket,
    /// The peer's address, for messages.
    pub address: Address,
    /// The peer, if the socket is not connected to it.
    destination: Option<SockAddr>,
    /// The only sender whose replies are accepted, if the socket receives those of others too.
    expected_sender: Option<Address>,
    _socket_file: Option<SocketFileGuard>,
}

/// The addresses of the peer in the order to try them, repeated as `--retry` says.
pub struct Targets<'a> {
    addresses: PeerAddresses<'a>,
    /// Addresses tried since the last retry.
    tried: usize,
    context: &'a Context,
    retries: RetryState<'a>,
}

enum PeerAddresses<'a> {
    Udp(Vec<SocketAddr>, TargetOptions),
    Unix {
        peer: &'a UnixAddress,
        local: Option<&'a UnixAddress>,
    },
    /// The first sender to this bound socket.
    Sender(Option<Socket>),
}

impl ClientSocket {
    /// Sends one datagram. Fails with `WouldBlock` if the buffer stays full.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = Ok(());
        let transmit = Transmit::to(self.destination.as_ref(), bytes);
        let mut on_error = |_: &Transmit<'_>, e: &io::Error| outcome = Err(clone_error(e));
        self.socket.sender().send(std::slice::from_ref(&transmit), &mut on_error);
        outcome
    }

    /// Whether a datagram is from another sender; it is logged under `-v` then.
    pub fn is_foreign(&self, meta: &RecvMeta, report: &Report) -> bool {
        let sender = meta.peer_address();
        let foreign = self.expected_sender.as_ref().is_some_and(|expected| *expected != sender);
        if foreign {
            report.step(|| format!("Ignored a datagram from {sender}: not from {}", self.address));
        }
        foreign
    }

    /// The failure for a datagram that could not be sent; code 2 if it is too long.
    pub fn send_failure(&self, error: io::Error) -> Failure {
        let too_long = error.raw_os_error() == Some(libc::EMSGSIZE);
        let failure = Failure::new(Phase::Send, &self.address, error);
        if too_long { failure.with_code(ExitCode::Usage) } else { failure }
    }

    /// The failure for an ICMP error after `received` replies.
    pub fn icmp_failure(&self, errno: i32, received: u64) -> Failure {
        let error = io::Error::from_raw_os_error(errno);
        match received {
            0 => Failure::new(Phase::Connect, &self.address, error),
            _ => Failure::new(Phase::Receive, &self.address, error).with_code(ExitCode::Partial),
        }
    }
}

fn clone_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

impl<'a> Targets<'a> {
    /// Every address of `endpoint`.
    ///
    /// Fails at [`Phase::Port`] or [`Phase::Resolve`], and at [`Phase::Bind`] if none has the
    /// family of the source address.
    pub fn udp(
        endpoint: &Endpoint,
        options: TargetOptions,
        context: &'a Context,
        on_event: OnConnectEvent<'a>,
    ) -> Result<Targets<'a>, Failure> {
        let Endpoint { host, port } = endpoint;
        let deadline = (&context.shutdown).into();
        let lookup = NameLookup { family: options.family, deadline, emit: on_event };
        let port = lookup.port(port, "udp")?;
        let retry = options.retry;
        let find = || lookup.addresses(host, port);
        let mut addresses = retry.call(&context.shutdown, on_event, find)?;
        if let Some(source) = options.source {
            addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
            if addresses.is_empty() {
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Phase::Bind, source, why));
            }
        }
        let addresses = PeerAddresses::Udp(addresses, options);
        Ok(Targets::new(addresses, retry, context, on_event))
    }

    /// The Unix datagram socket at `address`.
    pub fn unix(
        address: &'a UnixAddress,
        retry: Retry,
        context: &'a Context,
        on_event: OnConnectEvent<'a>,
    ) -> Targets<'a> {
        Targets::new(PeerAddresses::Unix { peer: address, local: None }, retry, context, on_event)
    }

    /// The same targets, from a Unix socket that is bound to `local`.
    pub fn from_unix(mut self, local: Option<&'a UnixAddress>) -> Targets<'a> {
        if let PeerAddresses::Unix { peer, .. } = self.addresses {
            self.addresses = PeerAddresses::Unix { peer, local };
        }
        self
    }

    /// The first that sends a datagram to the bound `socket`; datagrams of others are received too.
    pub fn first_sender(
        socket: Socket,
        context: &'a Context,
        on_event: OnConnectEvent<'a>,
    ) -> Targets<'a> {
        let addresses = PeerAddresses::Sender(Some(socket));
        Targets::new(addresses, Retry::default(), context, on_event)
    }

    /// Whether the target is a client of ours.
    pub fn is_server(&self) -> bool {
        matches!(self.addresses, PeerAddresses::Sender(_))
    }

    fn new(
        addresses: PeerAddresses<'a>,
        retry: Retry,
        context: &'a Context,
        on_event: OnConnectEvent<'a>,
    ) -> Targets<'a> {
        let retries = RetryState::new(retry, &context.shutdown, on_event);
        Targets { addresses, tried: 0, context, retries }
    }

    /// Opens a socket for the first address where that is possible. Fails at [`Phase::Socket`],
    /// [`Phase::Bind`] or [`Phase::Connect`].
    pub fn first(&mut self) -> Result<ClientSocket, Failure> {
        loop {
            let failure = match self.next() {
                Some(Ok(socket)) => return Ok(socket),
                Some(Err(failure)) => failure,
                None => Failure::new(Phase::Connect, "-", "no address to send to"),
            };
            self.retries.backoff(failure)?;
            self.tried = 0;
        }
    }

    /// Opens a socket for the address after one that failed with `failure`; `None` if there is no
    /// other.
    ///
    /// Fails at shutdown during a pause, or as [`Targets::first`].
    pub fn next_after(&mut self, failure: Failure) -> Result<Option<ClientSocket>, Failure> {
        if let Some(Ok(socket)) = self.next() {
            return Ok(Some(socket));
        }
        if !self.retries.can_retry(&failure) {
            return Ok(None);
        }
        self.retries.backoff(failure)?;
        self.tried = 0;
        self.first().map(Some)
    }

    /// Opens the next address that can be opened. Returns the first failure if none can, and
    /// `None` if no address is left.
    fn next(&mut self) -> Option<Result<ClientSocket, Failure>> {
        let mut first_failure = None;
        while let Some(opened) = self.open_next() {
            match opened {
                Ok(socket) => {
                    self.context.report.step(|| format!("Writing to {}", socket.address));
                    return Some(Ok(socket));
                }
                Err(failure) => first_failure = first_failure.or(Some(Err(failure))),
            }
        }
        first_failure
    }

    fn open_next(&mut self) -> Option<Result<ClientSocket, Failure>> {
        let nth = self.tried;
        self.tried += 1;
        match &mut self.addresses {
            PeerAddresses::Unix { peer, local } => {
                (nth == 0).then(|| open_unix(peer, *local, self.context))
            }
            PeerAddresses::Sender(socket) => Some(await_sender(socket.take()?, self.context)),
            PeerAddresses::Udp(addresses, options) => {
                let observed = self.context.report.is_verbose() && cfg!(target_os = "linux");
                let senders = if observed { Senders::Any } else { Senders::Peer };
                let address = addresses.get(nth)?;
                Some(open_udp(*address, options, senders, self.context))
            }
        }
    }
}

/// The senders a socket receives datagrams from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Senders {
    /// The peer only: the kernel drops other datagrams.
    Peer,
    /// Any, so that a reply from another address or port can be logged.
    Any,
}

fn open_udp(
    address: SocketAddr,
    options: &TargetOptions,
    senders: Senders,
    context: &Context,
) -> Result<ClientSocket, Failure> {
    let report = &context.report;
    let socket = options.socket.udp_socket(&address)?;
    report.on_connect_event(ConnectEvent::socket(&address, ", UDP"));
    let many_receivers = address.ip().is_multicast() || options.broadcast;
    set_options(&socket, &address, options)?;
    let source = bind(&socket, &address, options)?;
    report.on_connect_event(ConnectEvent::Bound(source.to_string()));
    let mut expected_sender = None;
    if !many_receivers && senders == Senders::Any {
        report.step(|| "Creating a second socket to check the route... done.");
        expected_sender = Some(probe_peer(address, &options.socket)?);
        report.step(|| format!("Connecting it to {address}... done."));
    } else if !many_receivers {
        connect(&socket, address)?;
        report.on_connect_event(ConnectEvent::Connected(address.into()));
    }
    let buffer =
        if options.socket.recv_buffer.is_some() { RecvBuffer::Keep } else { RecvBuffer::Grow };
    let socket = DatagramSocket::for_client(socket, buffer, &context.shutdown)
        .map_err(|e| Failure::new(Phase::Socket, address, e))?;
    socket.sender().log_traffic(report);
    if expected_sender.is_some() {
        socket.enable_icmp_errors();
    }
    let unconnected = many_receivers || expected_sender.is_some();
    let destination = unconnected.then(|| address.into());
    let address = Address::from(address);
    Ok(ClientSocket { socket, address, destination, expected_sender, _socket_file: None })
}

fn set_options(
    socket: &Socket,
    address: &SocketAddr,
    options: &TargetOptions,
) -> Result<(), Failure> {
    let failed = |flag: &'static str| move |e: io::Error| Failure::new(Phase::Socket, flag, e);
    if options.broadcast {
        socket.set_broadcast(true).map_err(failed("--broadcast"))?;
    }
    if let Some(hops) = options.multicast_hops {
        multicast::set_hops(socket, address, hops).map_err(failed("--multicast-ttl"))?;
    }
    let many_receivers = address.ip().is_multicast() || options.broadcast;
    if let (true, Some(IpAddr::V4(ip))) = (many_receivers, options.source.map(|s| s.ip())) {
        socket.set_multicast_if_v4(&ip).map_err(failed("--source"))?;
    }
    Ok(())
}

/// Binds the socket, and returns the address it was bound to.
fn bind(
    socket: &Socket,
    address: &SocketAddr,
    options: &TargetOptions,
) -> Result<SocketAddr, Failure> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = options.source.unwrap_or(SocketAddr::new(any, 0));
    let failed = |e| with_zone_hint(Failure::new(Phase::Bind, source, e), &source);
    socket.bind(&source.into()).map_err(failed)?;
    Ok(source)
}

fn connect(socket: &Socket, address: SocketAddr) -> Result<(), Failure> {
    socket.connect(&address.into()).map_err(|e| {
        let denied = e.raw_os_error() == Some(libc::EACCES);
        let failure = Failure::new(Phase::Connect, address, e);
        if denied {
            failure.with_hint("--broadcast allows sending to a broadcast address")
        } else {
            with_zone_hint(failure, &address)
        }
    })
}

/// Connects another socket, to fail where connecting would (no route, no permission) and to learn
/// the address that 0.0.0.0 stands for.
fn probe_peer(address: SocketAddr, options: &SocketOptions) -> Result<Address, Failure> {
    let probe = options.udp_socket(&address)?;
    connect(&probe, address)?;
    let peer = probe.peer_addr().map_err(|e| Failure::new(Phase::Socket, address, e))?;
    Ok(Address::from(&peer))
}

/// Waits for the first datagram, which stays in the queue.
fn await_sender(socket: Socket, context: &Context) -> Result<ClientSocket, Failure> {
    let failed = |e| Failure::new(Phase::Receive, "-", e);
    let waited = context.shutdown.wait(socket.as_fd(), PollFlags::IN, None).map_err(failed)?;
    if let WaitOutcome::Shutdown(reason) = waited {
        return Err(Failure::shutdown(Phase::Receive, "-", reason));
    }
    let sender = socket.peek_sender().map_err(failed)?;
    let local = Address::from(&socket.local_addr().map_err(failed)?);
    let address = Address::from(&sender);
    context.report.emit(&Event::Accepted(Endpoints {
        conn: 1,
        local: local.to_string(),
        peer: address.to_string(),
        ..Endpoints::default()
    }));
    let socket = DatagramSocket::for_client(socket, RecvBuffer::Grow, &context.shutdown);
    let socket = socket.map_err(failed)?;
    let (destination, expected_sender) = (Some(sender), None);
    Ok(ClientSocket { socket, address, destination, expected_sender, _socket_file: None })
}

fn open_unix(
    name: &UnixAddress,
    local: Option<&UnixAddress>,
    context: &Context,
) -> Result<ClientSocket, Failure> {
    let failed = |e: io::Error| match e.raw_os_error() {
        Some(libc::EPROTOTYPE) => Failure::new(Phase::Connect, name, e)
            .with_hint("it is no datagram socket; try without --datagram"),
        _ => Failure::new(Phase::Connect, name, e),
    };
    let peer = name.address().map_err(failed)?;
    let bound = match local {
        Some(local) => {
            let log = |event| context.report.on_connect_event(event);
            unix::bind(local, Type::DGRAM, 0o600, &log)?
        }
        None => bind_unix(name, &context.report)?,
    };
    let BoundSocket { socket, socket_file: _socket_file } = bound;
    socket.connect(&peer).map_err(failed)?;
    context.report.on_connect_event(ConnectEvent::Connected(Address::from(&peer)));
    let socket = DatagramSocket::for_client(socket, RecvBuffer::Grow, &context.shutdown);
    let socket = socket.map_err(failed)?;
    socket.sender().log_traffic(&context.report);
    let (destination, expected_sender) = (None, None);
    let address = Address::from(&peer);
    Ok(ClientSocket { socket, address, destination, expected_sender, _socket_file })
}

/// A Unix socket with a name, without which the peer cannot reply: binding to the empty name
/// assigns a unique abstract one (unix(7), "autobind").
#[cfg(target_os = "linux")]
fn bind_unix(peer: &UnixAddress, report: &Report) -> Result<BoundSocket, Failure> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)
        .map_err(|e| Failure::new(Phase::Socket, peer, e))?;
    report.on_connect_event(ConnectEvent::Socket("Unix, datagram".into()));
    SockAddr::unix("")
        .and_then(|unnamed| socket.bind(&unnamed))
        .map_err(|e| Failure::new(Phase::Bind, peer, e))?;
    report.on_connect_event(ConnectEvent::Bound("a name that the kernel chooses".into()));
    Ok(BoundSocket { socket, socket_file: None })
}

/// A Unix socket with a name, without which the peer cannot reply: a file that is removed at exit.
#[cfg(not(target_os = "linux"))]
fn bind_unix(_: &UnixAddress, report: &Report) -> Result<BoundSocket, Failure> {
    let log = |event| report.on_connect_event(event);
    let file = format!("sockit-{}.sock", std::process::id());
    unix::bind(&UnixAddress::Path(std::env::temp_dir().join(file)), Type::DGRAM, 0o600, &log)
}
