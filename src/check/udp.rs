//! One attempt at a UDP port: open if it answers a datagram, closed if ICMP reports it so.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::{Domain, Socket};

use super::options::CheckOptions;
use super::verdict::Verdict;
use crate::error::{Failure, Phase};
use crate::net::address::with_zone_hint;
use crate::report::check::CheckStatus;
use crate::shutdown::{Shutdown, WaitOutcome, earliest};

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
    shutdown: &Shutdown,
) -> Result<Verdict, Failure> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let socket = open(address, options)?;
    let failed = |e| Failure::new(Phase::Connect, address, e);
    for sends in 1.. {
        let resend = (sends < MAX_SENDS).then(|| Instant::now() + RESEND_DELAY);
        if let Some(verdict) = exchange(&socket, earliest(deadline, resend), shutdown) {
            return verdict.map_err(failed);
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

/// Sends one datagram; `None` if nothing is known about the port at `deadline`.
fn exchange(
    socket: &Socket,
    deadline: Option<Instant>,
    shutdown: &Shutdown,
) -> Option<io::Result<Verdict>> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1];
    let received = socket.send(PAYLOAD).and_then(|_| {
        match shutdown.wait(socket.as_fd(), PollFlags::IN, deadline)? {
            WaitOutcome::Ready(_) => socket.recv(&mut buffer),
            WaitOutcome::TimedOut | WaitOutcome::Shutdown(_) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    });
    match received {
        Ok(_) => Some(Ok(Verdict::new(CheckStatus::Open))),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            Some(Ok(Verdict::new(CheckStatus::Closed)))
        }
        Err(e) => Some(Err(e)),
    }
}
