//! The socket of a datagram client for one address of its peer.

use std::io;
use std::os::fd::AsFd;
use std::slice;

use rustix::event::PollFlags;
#[cfg(target_os = "linux")]
use socket2::Domain;
use socket2::{SockAddr, Socket, Type};

use crate::datagram::{DatagramSocket, LocalSource, RecvBuffer, RecvMeta, Transmit};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::socket_event::SocketEvent;
use crate::net::socket_file::SocketFileGuard;
use crate::net::unix::{self, BoundSocket, UnixAddress};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::{Endpoints, Event};
use crate::shutdown::WaitOutcome;

/// A socket for one address of the peer.
pub struct ClientSocket {
    /// The socket.
    pub socket: DatagramSocket,
    /// The peer's address, for messages.
    pub address: Address,
    /// The peer, if the socket is not connected to it.
    pub destination: Option<SockAddr>,
    /// The only sender whose replies are accepted, if the socket receives those of others too.
    pub expected_sender: Option<Address>,
    /// The file of a bound Unix socket.
    pub socket_file: Option<SocketFileGuard>,
}

impl ClientSocket {
    /// A socket that is connected to `address`. Fails at [`Phase::Socket`].
    pub fn new(
        socket: Socket,
        address: Address,
        buffer: RecvBuffer,
        context: &Context,
    ) -> Result<ClientSocket, Failure> {
        let socket = DatagramSocket::for_client(socket, buffer, context)
            .map_err(|e| Failure::new(Phase::Socket, &address, e))?;
        let (destination, expected_sender) = (None, None);
        Ok(ClientSocket { socket, address, destination, expected_sender, socket_file: None })
    }

    /// Opens a Unix socket that is connected to `name`, and bound to `local` or another name.
    ///
    /// Fails at [`Phase::Socket`], [`Phase::Bind`] or [`Phase::Connect`].
    pub fn open_unix(
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
        let log = |event| context.report.on_socket_event(event);
        let BoundSocket { socket, socket_file } = match local {
            Some(local) => unix::bind(local, Type::DGRAM, 0o600, &log)?,
            None => bind_unix(name, &context.report)?,
        };
        socket.connect(&peer).map_err(failed)?;
        log(SocketEvent::Connected(Address::from(&peer)));
        let opened = ClientSocket::new(socket, Address::from(&peer), RecvBuffer::Grow, context)?;
        Ok(ClientSocket { socket_file, ..opened })
    }

    /// Waits for the first datagram to `socket`, which stays in the queue: its sender is the peer.
    ///
    /// Fails at [`Phase::Receive`], also at shutdown.
    pub fn await_sender(socket: Socket, context: &Context) -> Result<ClientSocket, Failure> {
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
        let opened = ClientSocket::new(socket, address, RecvBuffer::Grow, context)?;
        Ok(ClientSocket { destination: Some(sender), ..opened })
    }

    /// Sends one datagram. Fails with `WouldBlock` if the buffer stays full.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = Ok(());
        let (destination, source) = (self.destination.as_ref(), LocalSource::default());
        let transmit = Transmit { destination, source, contents: bytes.into(), segment_size: 0 };
        let mut on_error = |_: &Transmit<'_>, e: &io::Error| outcome = Err(clone_error(e));
        self.socket.send(slice::from_ref(&transmit), &mut on_error);
        outcome
    }

    /// Whether a datagram is from another sender; it is logged under `-v` then.
    pub fn is_foreign(&self, meta: &RecvMeta, report: &Report) -> bool {
        let sender = Address::from(&meta.peer);
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

/// A Unix socket with a name, without which the peer cannot reply: binding to the empty name
/// assigns a unique abstract one (unix(7), "autobind").
#[cfg(target_os = "linux")]
fn bind_unix(peer: &UnixAddress, report: &Report) -> Result<BoundSocket, Failure> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)
        .map_err(|e| Failure::new(Phase::Socket, peer, e))?;
    report.on_socket_event(SocketEvent::Socket("Unix, datagram".into()));
    SockAddr::unix("")
        .and_then(|unnamed| socket.bind(&unnamed))
        .map_err(|e| Failure::new(Phase::Bind, peer, e))?;
    report.on_socket_event(SocketEvent::Bound("a name that the kernel chooses".into()));
    Ok(BoundSocket { socket, socket_file: None })
}

/// A Unix socket with a name, without which the peer cannot reply: a file that is removed at exit.
#[cfg(not(target_os = "linux"))]
fn bind_unix(_: &UnixAddress, report: &Report) -> Result<BoundSocket, Failure> {
    let log = |event| report.on_socket_event(event);
    let file = format!("sockit-{}.sock", std::process::id());
    unix::bind(&UnixAddress::Path(std::env::temp_dir().join(file)), Type::DGRAM, 0o600, &log)
}
