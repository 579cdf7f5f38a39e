//! A question over UDP: sent again while nothing comes, strays passed over.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::error::{MalformedResponse, Mismatch, MismatchCounts, Trouble};
use super::question::{EncodedQuery, Question};
use super::response::{Response, read};

/// The first wait for a reply before the question is sent again; each further one is twice
/// as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The largest datagram there is; a reply may be longer than what we offered.
const LARGEST: usize = 65_535;

/// Sends `query` to `server` and waits for its reply until `until`.
pub(super) fn exchange(
    question: &Question,
    query: &EncodedQuery,
    server: SocketAddr,
    until: Option<Instant>,
) -> Result<(Response, MismatchCounts), Trouble> {
    let socket = open(server)?;
    let mut strays = MismatchCounts::default();
    let mut pause = FIRST_PAUSE;
    let mut buffer = vec![0; LARGEST];
    loop {
        send(&socket, &query.bytes, server)?;
        let again = Instant::now() + pause;
        let step = until.map_or(again, |until| until.min(again));
        while let Some((len, source)) = receive(&socket, &mut buffer, step)? {
            match validate(&buffer[..len], source, server, question, query.id) {
                Err(MalformedResponse::Mismatch(stray)) => strays.count(stray),
                verdict => {
                    return verdict
                        .map(|reply| (reply, strays))
                        .map_err(Trouble::MalformedResponse);
                }
            }
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(if strays.is_empty() {
                Trouble::Late
            } else {
                MalformedResponse::MismatchCounts(strays).into()
            });
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// A socket on a port the kernel picks at random, not connected, so that a reply from
/// elsewhere is seen and can be told.
fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // A connected socket would drop replies from a wrong source before they can be counted; an
    // unconnected one gets a refusal as ECONNREFUSED only so. Without it the deadline decides.
    #[cfg(target_os = "linux")]
    let _ = crate::process::sockopt::receive_icmp_errors(socket.as_fd(), server.is_ipv6());
    Ok(socket)
}

/// A refusal of the datagram before may surface on this send; the second one tells for good.
fn send(socket: &UdpSocket, bytes: &[u8], server: SocketAddr) -> io::Result<()> {
    match socket.send_to(bytes, server) {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            socket.send_to(bytes, server).map(drop)
        }
        sent => sent.map(drop),
    }
}

/// The next datagram before `step`, or `None` when that time has come.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    step: Instant,
) -> io::Result<Option<(usize, SocketAddr)>> {
    loop {
        let left = step.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match socket.recv_from(buffer) {
            Ok(came) => return Ok(Some(came)),
            Err(error) if passing(&error) => (),
            Err(error) => return Err(error),
        }
    }
}

fn passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn validate(
    bytes: &[u8],
    source: SocketAddr,
    server: SocketAddr,
    question: &Question,
    id: u16,
) -> Result<Response, MalformedResponse> {
    if (source.ip(), source.port()) != (server.ip(), server.port()) {
        return Err(MalformedResponse::Mismatch(Mismatch::Source));
    }
    read(bytes, question, id)
}
