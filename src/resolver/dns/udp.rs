//! DNS over UDP: retransmits the query, and ignores datagrams that do not match it.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use socket2::Domain;

use super::error::{MalformedResponse, Mismatch, MismatchCounts, QueryError};
use super::question::EncodedQuery;
use super::response::{Response, read};
#[cfg(target_os = "linux")]
use crate::process::sockopt::receive_icmp_errors;

/// The time before the first retransmission; it doubles with each one, up to [`MAX_RETRANSMIT`].
const FIRST_RETRANSMIT: Duration = Duration::from_secs(1);
const MAX_RETRANSMIT: Duration = Duration::from_secs(8);

/// The maximum size of a UDP datagram; a reply may exceed the advertised payload size.
const MAX_DATAGRAM: usize = 65_535;

/// Sends `query` to `server` and waits for the reply until `deadline`; counts the datagrams that do
/// not match.
pub(super) fn exchange(
    query: &EncodedQuery<'_>,
    server: SocketAddr,
    deadline: Option<Instant>,
    mismatches: &mut MismatchCounts,
) -> Result<Response, QueryError> {
    let socket = open(server)?;
    let mut timeout = FIRST_RETRANSMIT;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        send(&socket, &query.bytes, server)?;
        let retransmit = Instant::now() + timeout;
        let wait_until = deadline.map_or(retransmit, |deadline| deadline.min(retransmit));
        while let Some(Datagram { len, source }) = receive(&socket, &mut buffer, wait_until)? {
            if (source.ip(), source.port()) != (server.ip(), server.port()) {
                mismatches.count(Mismatch::Source);
                continue;
            }
            // Before anything else: a forged datagram may be malformed too.
            if !buffer[..len].starts_with(&query.id.to_be_bytes()) {
                mismatches.count(Mismatch::Id);
                continue;
            }
            match read(&buffer[..len], query.question, query.id) {
                Err(MalformedResponse::Mismatch(mismatch)) => mismatches.count(mismatch),
                response => return Ok(response?),
            }
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(if mismatches.is_empty() {
                QueryError::TimedOut
            } else {
                MalformedResponse::MismatchCounts(mismatches.clone()).into()
            });
        }
        timeout = MAX_RETRANSMIT.min(timeout * 2);
        let timeout = timeout.as_secs_f64();
        tracing::debug!(%server, timeout, "has not replied, the query is sent again");
    }
}

/// Opens a socket on a random port. It is not connected, so that replies from another source can be
/// counted.
fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // An unconnected socket reports ICMP errors (ECONNREFUSED) only with IP_RECVERR; without it the
    // query ends at its deadline.
    #[cfg(target_os = "linux")]
    let _ = receive_icmp_errors(socket.as_fd(), Domain::for_address(server));
    Ok(socket)
}

/// Sends one datagram, twice if interrupted.
fn send(socket: &UdpSocket, bytes: &[u8], server: SocketAddr) -> io::Result<()> {
    match socket.send_to(bytes, server) {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            socket.send_to(bytes, server).map(drop)
        }
        sent => sent.map(drop),
    }
}

/// A received datagram.
struct Datagram {
    len: usize,
    source: SocketAddr,
}

/// Receives the next datagram; `None` at `wait_until`.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    wait_until: Instant,
) -> io::Result<Option<Datagram>> {
    loop {
        let remaining = wait_until.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(remaining.max(Duration::from_millis(1))))?;
        match socket.recv_from(buffer) {
            Ok((len, source)) => return Ok(Some(Datagram { len, source })),
            Err(error) if is_transient(&error) => (),
            Err(error) => return Err(error),
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
