//! Whom a client of datagrams writes to, and from which socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

#[cfg(target_os = "linux")]
use socket2::Domain;
use socket2::{SockAddr, Socket, Type};

use crate::datagram::{DatagramSocket, RecvMeta, Transmit, set_hops};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::datagram_client::DatagramSocketFlags;
use crate::net::address::{Address, with_zone_hint};
use crate::net::connect_event::{ConnectEvent, OnConnectEvent};
use crate::net::endpoint::Endpoint;
use crate::net::retry::{Retry, RetryState};
use crate::net::unix;
use crate::report::Report;
use crate::resolver;
use crate::shutdown::Shutdown;

/// A socket, and whom it writes to.
#[derive(Debug)]
pub struct ClientSocket {
    /// The socket.
    pub mailbox: DatagramSocket,
    /// The peer, where the socket is not connected: answers to a group or a whole network come
    /// from other addresses than the one that was written to.
    pub peer: Option<SockAddr>,
    /// The only sender that counts, where the socket is not connected and reports the others.
    only_from: Option<Address>,
    /// The peer, for people.
    pub shown: Address,
    _claim: Option<unix::SocketFileGuard>,
}

/// Where lines come from: one after the other until somebody answers, and from the first again
/// where `--retry` asks for it.
pub struct Targets<'a> {
    kind: SocketKind<'a>,
    /// Lines that this round has tried.
    tried: usize,
    stop: &'a Shutdown,
    rounds: RetryState<'a>,
}

enum SocketKind<'a> {
    Udp { addresses: Vec<SocketAddr>, calling: &'a DatagramSocketFlags },
    Unix { name: &'a unix::UnixAddress },
}

impl ClientSocket {
    /// Sends one datagram. A datagram for which there is no room after a moment is `WouldBlock`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = Ok(());
        let letter = Transmit::to(self.peer.as_ref(), bytes);
        let mut lost = |_: &Transmit<'_>, e: &io::Error| outcome = Err(reconnect(e));
        self.mailbox.send(std::slice::from_ref(&letter), &mut lost);
        outcome
    }

    /// Whether a datagram is another sender's, which is reported under `-v`.
    pub fn ignores(&self, envelope: &RecvMeta, report: &Report) -> bool {
        let sender = envelope.address();
        let foreign = self.only_from.as_ref().is_some_and(|peer| *peer != sender);
        if foreign {
            report.step(|| format!("Ignored a datagram from {sender}: not from {}", self.shown));
        }
        foreign
    }

    /// The failure of a datagram that could not be sent.
    pub fn unsent(&self, error: io::Error) -> Failure {
        let too_long = error.raw_os_error() == Some(libc::EMSGSIZE);
        let failure = Failure::new(Phase::Send, &self.shown, error);
        if too_long { failure.with_code(ExitCode::Usage) } else { failure }
    }

    /// The failure of a datagram that nobody took, `heard` answers having come before.
    pub fn refused(&self, errno: i32, heard: u64) -> Failure {
        let error = io::Error::from_raw_os_error(errno);
        match heard {
            0 => Failure::new(Phase::Connect, &self.shown, error),
            _ => Failure::new(Phase::Receive, &self.shown, error).with_code(ExitCode::Partial),
        }
    }
}

fn reconnect(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

impl<'a> Targets<'a> {
    /// To every address of `endpoint` in turn.
    ///
    /// Fails at [`Stage::Port`] or [`Stage::Resolve`].
    pub fn udp(
        endpoint: &Endpoint,
        calling: &'a DatagramSocketFlags,
        stop: &'a Shutdown,
        tell: OnConnectEvent<'a>,
    ) -> Result<Targets<'a>, Failure> {
        let Endpoint { host, port } = endpoint;
        let port = resolver::port(port, "udp")?;
        let retry = calling.retrying.retry();
        let mut found = retry.call(stop, tell, || {
            tell(ConnectEvent::Resolving(host.clone()));
            resolver::addresses(host, port, calling.families.family(), stop)
        })?;
        if let Some(source) = calling.source {
            found.retain(|address| address.is_ipv4() == source.is_ipv4());
            if found.is_empty() {
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Phase::Bind, source, why));
            }
        }
        let kind = SocketKind::Udp { addresses: found, calling };
        Ok(Targets { kind, tried: 0, stop, rounds: RetryState::new(retry, stop, tell) })
    }

    /// To the Unix datagram socket at `name`.
    pub fn unix(
        name: &'a unix::UnixAddress,
        retry: Retry,
        stop: &'a Shutdown,
        tell: OnConnectEvent<'a>,
    ) -> Targets<'a> {
        let kind = SocketKind::Unix { name };
        Targets { kind, tried: 0, stop, rounds: RetryState::new(retry, stop, tell) }
    }

    /// The first line that can be opened. Fails at [`Stage::Socket`], [`Stage::Bind`] or
    /// [`Stage::Connect`].
    pub fn first(&mut self, report: &Report) -> Result<ClientSocket, Failure> {
        loop {
            let failure = match self.next(report) {
                Some(Ok(line)) => return Ok(line),
                Some(Err(failure)) => failure,
                None => Failure::new(Phase::Connect, "-", "no address to write to"),
            };
            self.rounds.backoff(failure)?;
            self.tried = 0;
        }
    }

    /// The line to go on with after one on which nobody answered; nothing when none is left.
    ///
    /// Fails when the run is to end in a pause between rounds, or as [`Targets::first`].
    pub fn next_after_refusal(
        &mut self,
        refused: Failure,
        report: &Report,
    ) -> Result<Option<ClientSocket>, Failure> {
        if let Some(Ok(line)) = self.next(report) {
            return Ok(Some(line));
        }
        if !self.rounds.can_retry(&refused) {
            return Ok(None);
        }
        self.rounds.backoff(refused)?;
        self.tried = 0;
        self.first(report).map(Some)
    }

    /// The next line of this round that can be opened; the first failure when none can, nothing
    /// when none is left.
    fn next(&mut self, report: &Report) -> Option<Result<ClientSocket, Failure>> {
        let mut first_failure = None;
        while let Some(opened) = self.open(report) {
            match opened {
                Ok(line) => {
                    report.step(|| format!("Writing to {}", line.shown));
                    return Some(Ok(line));
                }
                Err(failure) => first_failure = first_failure.or(Some(Err(failure))),
            }
        }
        first_failure
    }

    fn open(&mut self, report: &Report) -> Option<Result<ClientSocket, Failure>> {
        let nth = self.tried;
        self.tried += 1;
        match &self.kind {
            SocketKind::Unix { name } => (nth == 0).then(|| unix_line(name, self.stop)),
            SocketKind::Udp { addresses, calling } => {
                let watched = report.is_verbose() && cfg!(target_os = "linux");
                let senders = if watched { Senders::Reported } else { Senders::Peer };
                addresses.get(nth).map(|address| udp_line(*address, calling, senders, self.stop))
            }
        }
    }
}

/// Whose datagrams a socket receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Senders {
    /// The peer's only: the kernel drops the others.
    Peer,
    /// All, so that a reply from another address or port can be reported.
    Reported,
}

fn udp_line(
    address: SocketAddr,
    calling: &DatagramSocketFlags,
    senders: Senders,
    stop: &Shutdown,
) -> Result<ClientSocket, Failure> {
    let options = calling.socket.options();
    let socket = options.udp_socket(&address)?;
    let many = address.ip().is_multicast() || calling.broadcast;
    if calling.broadcast {
        set("--broadcast", socket.set_broadcast(true))?;
    }
    if let Some(hops) = calling.multicast_ttl {
        set("--multicast-ttl", set_hops(&socket, address.is_ipv6(), hops))?;
    }
    if let (true, Some(IpAddr::V4(ip))) = (many, calling.source.map(|source| source.ip())) {
        set("--source", socket.set_multicast_if_v4(&ip))?;
    }
    let unspecified = SocketAddr::new(unspecified(&address), 0);
    let source = calling.source.unwrap_or(unspecified);
    let unbound = |e| with_zone_hint(Failure::new(Phase::Bind, source, e), &source);
    socket.bind(&source.into()).map_err(unbound)?;
    let connect = |socket: &Socket| {
        socket.connect(&address.into()).map_err(|e| refused_by_kernel(address, e))
    };
    let failed = |e| Failure::new(Phase::Socket, address, e);
    let mut only_from = None;
    if !many && senders == Senders::Reported {
        // What connecting would have found out: no route, no permission, and which address
        // 0.0.0.0 stands for.
        let trial = options.udp_socket(&address)?;
        connect(&trial)?;
        only_from = Some(Address::from(&trial.peer_addr().map_err(failed)?));
    } else if !many {
        connect(&socket)?;
    }
    let mailbox =
        DatagramSocket::for_client(socket, options.recv_buffer.is_some(), stop).map_err(failed)?;
    if only_from.is_some() {
        mailbox.receive_errors();
    }
    let unconnected = many || only_from.is_some();
    let (peer, shown) = (unconnected.then(|| address.into()), Address::from(address));
    Ok(ClientSocket { mailbox, peer, only_from, shown, _claim: None })
}

fn unix_line(name: &unix::UnixAddress, stop: &Shutdown) -> Result<ClientSocket, Failure> {
    let failed = |e: io::Error| match e.raw_os_error() {
        Some(libc::EPROTOTYPE) => Failure::new(Phase::Connect, name, e)
            .with_hint("it is no datagram socket; without --datagram it may be reached"),
        _ => Failure::new(Phase::Connect, name, e),
    };
    let address = name.address().map_err(failed)?;
    let (socket, claim) = named_socket(name)?;
    socket.connect(&address).map_err(failed)?;
    let mailbox = DatagramSocket::for_client(socket, false, stop).map_err(failed)?;
    let shown = Address::from(&address);
    Ok(ClientSocket { mailbox, peer: None, only_from: None, shown, _claim: claim })
}

/// A socket with a name of its own, or nobody could answer: bound to no name, it is given an
/// abstract one that nobody else has (unix(7), "autobind").
#[cfg(target_os = "linux")]
fn named_socket(
    peer: &unix::UnixAddress,
) -> Result<(Socket, Option<unix::SocketFileGuard>), Failure> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)
        .map_err(|e| Failure::new(Phase::Socket, peer, e))?;
    SockAddr::unix("")
        .and_then(|unnamed| socket.bind(&unnamed))
        .map_err(|e| Failure::new(Phase::Bind, peer, e))?;
    Ok((socket, None))
}

/// A socket with a name of its own, or nobody could answer: a file that goes with the run.
#[cfg(not(target_os = "linux"))]
fn named_socket(_: &unix::Name) -> Result<(Socket, Option<unix::Claim>), Failure> {
    let file = format!("sockit-{}.sock", std::process::id());
    unix::bind(&unix::Name::Path(std::env::temp_dir().join(file)), Type::DGRAM, 0o600)
}

fn set(option: &str, done: io::Result<()>) -> Result<(), Failure> {
    done.map_err(|e| Failure::new(Phase::Socket, option, e))
}

fn unspecified(address: &SocketAddr) -> IpAddr {
    match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn refused_by_kernel(address: SocketAddr, error: io::Error) -> Failure {
    let denied = error.raw_os_error() == Some(libc::EACCES);
    let failure = Failure::new(Phase::Connect, address, error);
    match denied {
        true => failure.with_hint("--broadcast allows writing to a whole network"),
        false => with_zone_hint(failure, &address),
    }
}
