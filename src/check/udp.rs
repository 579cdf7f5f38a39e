//! One attempt at a UDP port: open if it answers a datagram, closed if ICMP reports it so.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::{Domain, Socket};

use super::options::CheckOptions;
use super::verdict::Verdict;
use crate::datagram::MAX_UDP_PAYLOAD;
use crate::error::{Failure, Phase};
use crate::net::address::{Address, with_zone_hint};
use crate::poll::earliest;
use crate::report::context::Context;
use crate::report::event::check::CheckStatus;
use crate::report::traffic::TrafficLog;
use crate::shutdown::{Shutdown, WaitOutcome};

/// The payload: some servers take an empty datagram for the end of all.
const PAYLOAD: &[u8] = b"X";
/// Delay before the datagram is sent again: one may be lost, and ICMP errors are rate-limited.
const RESEND_DELAY: Duration = Duration::from_secs(1);
/// How often it is sent.
const MAX_SENDS: u32 = 3;

/// Sends a datagram to `address` and waits for an answer or an ICMP error.
///
/// Fails at [`Phase::Socket`], [`Phase::Bind`] or [`Phase::Connect`] when the local system refuses,
/// or when the network reports that the address cannot be reached.
pub fn probe(
    address: SocketAddr,
    options: &CheckOptions,
    limit: Option<Duration>,
    context: &Context,
) -> Result<Verdict, Failure> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let (socket, traffic) = (open(address, options)?, TrafficLog::of_datagrams(&context.report));
    let (peer, shutdown) = (Address::from(address), &context.shutdown);
    let probe = UdpProbe { socket, peer, traffic, shutdown };
    for sends in 1.. {
        let resend = (sends < MAX_SENDS).then(|| Instant::now() + RESEND_DELAY);
        if let Some(verdict) = probe.run(earliest(deadline, resend)) {
            return verdict.map_err(|e| Failure::new(Phase::Connect, address, e));
        }
        if shutdown.reason().is_some() || deadline.is_some_and(|at| at <= Instant::now()) {
            break;
        }
    }
    Ok(Verdict::new(CheckStatus::NoAnswer))
}

/// Opens a socket that is connected to `address`, so that only its datagrams and the ICMP errors
/// about it arrive.
fn open(address: SocketAddr, options: &CheckOptions) -> Result<Socket, Failure> {
    let socket = options.socket.udp_socket(&address)?;
    if let Some(source) = options.source {
        let bound = socket.bind(&source.into());
        bound.map_err(|e| with_zone_hint(Failure::new(Phase::Bind, source, e), &source))?;
    }
    let failed = |e| with_zone_hint(Failure::new(Phase::Connect, address, e), &address);
    #[cfg(target_os = "linux")]
    crate::process::sockopt::receive_icmp_errors(socket.as_fd(), Domain::for_address(address))
        .map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    socket.connect(&address.into()).map_err(failed)?;
    let local = socket.local_addr().map_err(failed)?.as_socket();
    // With that very port chosen by the kernel as the local one, the socket would answer itself.
    if local == Some(address) {
        return Err(failed(io::Error::from_raw_os_error(libc::ECONNREFUSED)));
    }
    Ok(socket)
}

/// A socket that is connected to the port, and where its datagrams are logged.
struct UdpProbe<'a> {
    socket: Socket,
    peer: Address,
    traffic: Option<TrafficLog>,
    shutdown: &'a Shutdown,
}

impl UdpProbe<'_> {
    /// Sends one datagram; `None` if nothing is known about the port at `deadline`.
    fn run(&self, deadline: Option<Instant>) -> Option<io::Result<Verdict>> {
        match self.send_and_receive(deadline) {
            Ok(()) => Some(Ok(Verdict::new(CheckStatus::Open))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                Some(Ok(Verdict::new(CheckStatus::Closed)))
            }
            Err(e) => Some(Err(e)),
        }
    }

    fn send_and_receive(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.socket.send(PAYLOAD)?;
        if let Some(traffic) = &self.traffic {
            traffic.sent_datagram(&self.peer, PAYLOAD);
        }
        let waited = self.shutdown.wait(self.socket.as_fd(), PollFlags::IN, deadline)?;
        if !matches!(waited, WaitOutcome::Ready(_)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut buffer = vec![0; MAX_UDP_PAYLOAD];
        let n = io::Read::read(&mut &self.socket, &mut buffer)?;
        if let Some(traffic) = &self.traffic {
            traffic.received_datagram(&self.peer, &buffer[..n]);
        }
        Ok(())
    }
}
