//! Opens the UDP socket of a datagram client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::Socket;

use super::client_socket::ClientSocket;
use crate::datagram::{RecvBuffer, multicast};
use crate::error::{Failure, Phase};
use crate::net::address::{Address, with_zone_hint};
use crate::net::retry::RetryPolicy;
use crate::net::socket::SocketOptions;
use crate::net::socket_event::SocketEvent;
use crate::report::Report;
use crate::report::context::Context;
use crate::resolver::Family;

/// How the socket of a UDP client is opened.
#[derive(Debug, Clone)]
pub struct TargetOptions {
    /// Only addresses of this family.
    pub family: Family,
    /// The local address to send from.
    pub source: Option<SocketAddr>,
    /// How often the name and the addresses are tried again.
    pub retry: RetryPolicy,
    /// Allow a broadcast address (`SO_BROADCAST`), and accept replies from any sender.
    pub broadcast: bool,
    /// Hop limit of multicast datagrams.
    pub multicast_hops: Option<u8>,
    /// Options of the socket.
    pub socket: SocketOptions,
}

/// The senders whose datagrams a UDP client receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Senders {
    /// Any: a group or a broadcast address has many receivers.
    Any,
    /// The peer: the kernel drops other datagrams.
    Peer,
    /// The peer: other datagrams are logged (`-v`), such as a reply from another address.
    LoggedPeer,
}

/// Opens a UDP socket that sends to `address`.
///
/// Fails at [`Phase::Socket`], [`Phase::Bind`] or [`Phase::Connect`].
pub fn open(
    address: SocketAddr,
    options: &TargetOptions,
    context: &Context,
) -> Result<ClientSocket, Failure> {
    let report = &context.report;
    let socket = options.socket.udp_socket(&address)?;
    report.on_socket_event(SocketEvent::socket(&address, Some("UDP")));
    set_options(&socket, &address, options)?;
    let source = bind(&socket, &address, options)?;
    report.on_socket_event(SocketEvent::Bound(source.to_string()));
    let senders = senders(&address, options, report);
    let mut expected_sender = None;
    if senders == Senders::LoggedPeer {
        report.step(|| "Creating a second socket to check the route... done.");
        expected_sender = Some(probe_peer(address, &options.socket)?);
        report.step(|| format!("Connecting it to {address}... done."));
    } else if senders == Senders::Peer {
        connect(&socket, address)?;
        report.on_socket_event(SocketEvent::Connected(address.into()));
    }
    let keep = options.socket.recv_buffer.is_some();
    let buffer = if keep { RecvBuffer::Keep } else { RecvBuffer::Grow };
    let opened = ClientSocket::new(socket, address.into(), buffer, context)?;
    if senders == Senders::LoggedPeer {
        opened.socket.enable_icmp_errors();
    }
    let destination = (senders != Senders::Peer).then(|| address.into());
    Ok(ClientSocket { destination, expected_sender, ..opened })
}

fn senders(address: &SocketAddr, options: &TargetOptions, report: &Report) -> Senders {
    if address.ip().is_multicast() || options.broadcast {
        Senders::Any
    } else if report.is_verbose() && cfg!(target_os = "linux") {
        Senders::LoggedPeer
    } else {
        Senders::Peer
    }
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
/// the address that 0.0.0.0 means.
fn probe_peer(address: SocketAddr, options: &SocketOptions) -> Result<Address, Failure> {
    let probe = options.udp_socket(&address)?;
    connect(&probe, address)?;
    let peer = probe.peer_addr().map_err(|e| Failure::new(Phase::Socket, address, e))?;
    Ok(Address::from(&peer))
}
