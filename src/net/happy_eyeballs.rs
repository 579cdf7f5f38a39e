//! Happy Eyeballs (RFC 8305): all addresses of a name are tried, a little apart, and the first
//! that answers wins.
//!
//! One thread and one `poll(2)` over non-blocking connects: a single address costs no thread,
//! and everything ends at the same moment as the deadline or the cord.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::Socket;

use super::address::with_zone_hint;
use super::connect_event::{ConnectEvent, OnConnectEvent};
use super::dial::Dialer;
use crate::error::Failure;
use crate::shutdown::{Shutdown, WaitOutcome, earliest};

/// How long one attempt has the field to itself (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

struct Race<'a> {
    dial: &'a Dialer,
    tell: OnConnectEvent<'a>,
    waiting: VecDeque<SocketAddr>,
    running: Vec<(Socket, SocketAddr)>,
    next_start: Instant,
    /// The failure of the first address, which is the one the user named in spirit.
    first_failure: Option<(SocketAddr, Failure)>,
    first: Option<SocketAddr>,
}

/// Connects to whichever of `addresses` answers first; the others are given up.
///
/// Fails with the first address's failure when all have failed, with code 28 past `until`.
pub(super) fn race(
    dial: &Dialer,
    addresses: Vec<SocketAddr>,
    until: Option<Instant>,
    stop: &Shutdown,
    tell: OnConnectEvent<'_>,
) -> Result<(Socket, SocketAddr), Failure> {
    let began = Instant::now();
    let waiting = interleaved(addresses);
    let first = waiting.front().copied();
    let mut race = Race {
        dial,
        tell,
        waiting,
        running: Vec::new(),
        next_start: began,
        first_failure: None,
        first,
    };
    loop {
        if let Some(winner) = race.start_due()? {
            return Ok(winner);
        }
        if race.running.is_empty() {
            return Err(race.final_error());
        }
        match race.wait(until, stop)? {
            WaitOutcome::Shutdown(crate::shutdown::ShutdownReason::Deadline)
            | WaitOutcome::TimedOut
                if until.is_some_and(|at| at <= Instant::now()) =>
            {
                return Err(dial.late(began));
            }
            WaitOutcome::Shutdown(reason) => return Err(dial.stopped(reason)),
            WaitOutcome::TimedOut => {}
            WaitOutcome::Ready(_) => {
                if let Some(winner) = race.finish_ready() {
                    return Ok(winner);
                }
                if until.is_some_and(|at| at <= Instant::now()) {
                    return Err(dial.late(began));
                }
            }
        }
    }
}

impl Race<'_> {
    /// Starts every attempt whose time has come.
    fn start_due(&mut self) -> Result<Option<(Socket, SocketAddr)>, Failure> {
        while !self.waiting.is_empty()
            && (self.running.is_empty() || self.next_start <= Instant::now())
        {
            let Some(address) = self.waiting.pop_front() else { break };
            if let Some(winner) = self.start(address)? {
                return Ok(Some(winner));
            }
        }
        Ok(None)
    }

    fn start(&mut self, address: SocketAddr) -> Result<Option<(Socket, SocketAddr)>, Failure> {
        let socket = match self.dial.socket(&address) {
            Ok(socket) => socket,
            // A family this machine does not have is one more address that does not answer.
            Err(failure) if !self.waiting.is_empty() || !self.running.is_empty() => {
                self.failed(address, failure);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        (self.tell)(ConnectEvent::Socket(address));
        (self.tell)(ConnectEvent::Connecting(address));
        self.next_start = Instant::now() + HEAD_START;
        let begun = socket.set_nonblocking(true).and_then(|()| start_connect(&socket, &address));
        match begun {
            Ok(()) => return Ok(self.on_connected(socket, address)),
            Err(e) if is_under_way(&e) => self.running.push((socket, address)),
            Err(e) => self.failed(address, self.dial.failed(e)),
        }
        Ok(None)
    }

    fn wait(&self, until: Option<Instant>, stop: &Shutdown) -> Result<WaitOutcome, Failure> {
        let next = (!self.waiting.is_empty()).then_some(self.next_start);
        let mut fds: Vec<PollFd<'_>> = self
            .running
            .iter()
            .map(|(socket, _)| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT))
            .collect();
        stop.wait_any(&mut fds, earliest(until, next)).map_err(|e| self.dial.failed(e))
    }

    /// Judges every attempt that has an answer.
    fn finish_ready(&mut self) -> Option<(Socket, SocketAddr)> {
        for (socket, address) in std::mem::take(&mut self.running) {
            match connect_result(&socket) {
                None => self.running.push((socket, address)),
                Some(Ok(())) => {
                    if let Some(winner) = self.on_connected(socket, address) {
                        return Some(winner);
                    }
                }
                Some(Err(e)) => self.failed(address, self.dial.failed(e)),
            }
        }
        None
    }

    fn on_connected(
        &mut self,
        socket: Socket,
        address: SocketAddr,
    ) -> Option<(Socket, SocketAddr)> {
        let ours = socket.local_addr().ok().and_then(|local| local.as_socket());
        // Nobody listened, and the kernel chose that very port for us: TCP's simultaneous open
        // (RFC 9293 §3.5) has connected the socket to itself.
        let refused = match ours {
            Some(ours) if ours == address => Err(libc::ECONNREFUSED),
            _ => Ok(()),
        };
        let ready = refused
            .map_err(std::io::Error::from_raw_os_error)
            .and_then(|()| socket.set_nonblocking(false));
        match ready {
            Ok(()) => {
                (self.tell)(ConnectEvent::Connected(address));
                Some((socket, address))
            }
            Err(e) => {
                self.failed(address, self.dial.failed(e));
                None
            }
        }
    }

    fn failed(&mut self, address: SocketAddr, failure: Failure) {
        let failure = with_zone_hint(failure, &address);
        (self.tell)(ConnectEvent::Failed(address, failure.cause()));
        tracing::debug!(%address, %failure, "attempt failed");
        self.next_start = Instant::now();
        if self.first_failure.is_none() || self.first == Some(address) {
            self.first_failure = Some((address, failure));
        }
    }

    fn final_error(self) -> Failure {
        match self.first_failure {
            Some((_, failure)) => failure,
            None => self.dial.failed(std::io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

/// Begins an attempt. One that a signal has interrupted may run or not (connect(2)): asked again,
/// the kernel says which.
fn start_connect(socket: &Socket, address: &SocketAddr) -> std::io::Result<()> {
    let address = (*address).into();
    match socket.connect(&address) {
        Err(e) if e.kind() == std::io::ErrorKind::Interrupted => socket.connect(&address),
        begun => begun,
    }
}

fn is_under_way(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY))
}

/// What became of an attempt, if something has.
fn connect_result(socket: &Socket) -> Option<std::io::Result<()>> {
    if super::tcp_info::was_established(socket.as_fd()) {
        return Some(Ok(()));
    }
    match socket.take_error() {
        Ok(Some(error)) | Err(error) => Some(Err(error)),
        Ok(None) => match socket.peer_addr() {
            Ok(_) => Some(Ok(())),
            Err(_) => None,
        },
    }
}

/// First one family, then the other, alternating (RFC 8305 §4), each in its own order.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut ours, mut theirs): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut order = VecDeque::with_capacity(ours.len() + theirs.len());
    while let Some(address) = ours.pop_front() {
        order.push_back(address);
        order.extend(theirs.pop_front());
    }
    order.extend(theirs);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::endpoint::Endpoint;
    use crate::net::retry::Retry;
    use std::net::TcpListener;

    fn dial() -> Dialer {
        Dialer {
            endpoint: Endpoint { host: "test".into(), port: "1".into() },
            family: Default::default(),
            options: Default::default(),
            source: None,
            timeout: Some(Duration::from_secs(5)),
            retry: Retry::default(),
            route: Default::default(),
            layer: None,
        }
    }

    #[test]
    fn families_alternate_and_keep_their_order() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"].map(address);
        let wanted = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"].map(address);
        assert_eq!(interleaved(given.to_vec()), wanted);
    }

    #[test]
    fn a_refused_address_gives_way_to_the_next_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let good = listener.local_addr().unwrap();
        let began = Instant::now();
        let stop = Shutdown::new(None).unwrap();
        let (_, winner) = race(&dial(), vec![gone, good], None, &stop, &|_| ()).unwrap();
        assert_eq!(winner, good);
        assert!(began.elapsed() < HEAD_START);
    }

    #[test]
    fn when_all_fail_the_first_failure_is_told() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stop = Shutdown::new(None).unwrap();
        let failure = race(&dial(), vec![gone, gone], None, &stop, &|_| ()).unwrap_err();
        assert_eq!(failure.to_string(), "connect test:1: Connection refused");
    }
}
