//! Happy Eyeballs (RFC 8305): connects to all addresses of a name, a little apart, and keeps the
//! connection that is established first.
//!
//! One thread and one `poll(2)` over non-blocking connects, which also ends at the deadline and at
//! the end of the run.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::Socket;

use super::address::with_zone_hint;
use super::attempt::Attempt;
use super::candidate::Candidate;
use super::socket_event::SocketEvent;
use crate::error::Failure;
use crate::poll::earliest;
use crate::shutdown::{ShutdownReason, WaitOutcome};

/// Delay between the addresses (RFC 8305 §5, connection attempt delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Opens a socket for an address, not yet connected.
pub(super) type OpenSocket<'a> = &'a dyn Fn(&SocketAddr) -> Result<Socket, Failure>;

struct Race<'a> {
    attempt: &'a Attempt<'a>,
    open: OpenSocket<'a>,
    waiting: VecDeque<SocketAddr>,
    running: Vec<Candidate>,
    next_start: Instant,
    /// The address that the resolver preferred: its failure is the one to report.
    preferred: Option<SocketAddr>,
    failure: Option<Failure>,
    /// Whether there is no other address: the failure is that of the run.
    is_only: bool,
}

/// Connects to whichever of `addresses` answers first, and abandons the others.
///
/// Fails with the first address's failure when all have failed, with code 28 past the deadline.
pub(super) fn connect(
    addresses: Vec<SocketAddr>,
    attempt: &Attempt<'_>,
    open: OpenSocket<'_>,
) -> Result<Candidate, Failure> {
    let waiting = interleave(addresses);
    let (preferred, is_only) = (waiting.front().copied(), waiting.len() == 1);
    tracing::debug!(addresses = waiting.len(), "connecting");
    let (running, next_start) = (Vec::new(), Instant::now());
    let mut race =
        Race { attempt, open, waiting, running, next_start, preferred, failure: None, is_only };
    let connected = loop {
        if let Some(connected) = race.start_due()? {
            break connected;
        }
        if race.running.is_empty() {
            let no_address = || attempt.failed(io::ErrorKind::AddrNotAvailable.into());
            return Err(race.failure.unwrap_or_else(no_address));
        }
        if let Some(connected) = race.wait()? {
            break connected;
        }
    };
    for Candidate { address, .. } in race.running {
        (attempt.emit)(SocketEvent::Abandoned(address.into()));
    }
    Ok(connected)
}

impl Race<'_> {
    /// Starts to connect to every address that is due.
    fn start_due(&mut self) -> Result<Option<Candidate>, Failure> {
        while (self.running.is_empty() || self.next_start <= Instant::now())
            && let Some(address) = self.waiting.pop_front()
        {
            if let Some(connected) = self.start(address)? {
                return Ok(Some(connected));
            }
        }
        Ok(None)
    }

    fn start(&mut self, address: SocketAddr) -> Result<Option<Candidate>, Failure> {
        let socket = match (self.open)(&address) {
            Ok(socket) => socket,
            // A family that this machine lacks counts as one more address that does not answer.
            Err(failure) if !self.waiting.is_empty() || !self.running.is_empty() => {
                self.failed(address, failure);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let waiting = self.waiting.len();
        tracing::debug!(%address, waiting, running = self.running.len(), "connects");
        (self.attempt.emit)(SocketEvent::Connecting(address.into()));
        self.next_start = Instant::now() + ATTEMPT_DELAY;
        let candidate = Candidate { socket, address };
        let result = candidate.start();
        Ok(self.on_result(candidate, result))
    }

    /// Waits for an answer, or until the next address is due.
    fn wait(&mut self) -> Result<Option<Candidate>, Failure> {
        let deadline = self.attempt.deadline();
        let is_over = || deadline.is_some_and(|at| at <= Instant::now());
        match self.poll(deadline)? {
            WaitOutcome::Shutdown(ShutdownReason::Deadline) | WaitOutcome::TimedOut
                if is_over() =>
            {
                Err(self.timed_out())
            }
            WaitOutcome::Shutdown(reason) => Err(self.cancelled(reason)),
            WaitOutcome::TimedOut => Ok(None),
            WaitOutcome::Ready(_) => match self.take_connected() {
                None if is_over() => Err(self.timed_out()),
                connected => Ok(connected),
            },
        }
    }

    fn poll(&self, deadline: Option<Instant>) -> Result<WaitOutcome, Failure> {
        let next = (!self.waiting.is_empty()).then_some(self.next_start);
        let running = self.running.iter();
        let mut fds: Vec<_> =
            running.map(|candidate| PollFd::new(&candidate.socket, PollFlags::OUT)).collect();
        let woken = self.attempt.shutdown.wait_any(&mut fds, earliest(deadline, next));
        woken.map_err(|e| self.attempt.failed(e))
    }

    /// Takes the first connection that is established, and drops those that have failed.
    fn take_connected(&mut self) -> Option<Candidate> {
        let mut candidates = std::mem::take(&mut self.running).into_iter();
        let connected = candidates.by_ref().find_map(|candidate| {
            let result = candidate.result();
            self.on_result(candidate, result)
        });
        self.running.extend(candidates);
        connected
    }

    /// The run ends. A connection that has been established meanwhile is reset: its peer would take an
    /// orderly end for an empty transfer.
    fn cancelled(&self, reason: ShutdownReason) -> Failure {
        for Candidate { socket, .. } in &self.running {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.attempt.cancelled(reason)
    }

    /// The deadline has passed for all that still connect.
    fn timed_out(&self) -> Failure {
        for Candidate { address, .. } in &self.running {
            (self.attempt.emit)(SocketEvent::TimedOut((*address).into()));
        }
        self.attempt.timed_out()
    }

    /// Returns the candidate if it is connected, and keeps it if it has no result yet.
    fn on_result(
        &mut self,
        candidate: Candidate,
        result: Option<io::Result<()>>,
    ) -> Option<Candidate> {
        let address = candidate.address;
        match result {
            None => self.running.push(candidate),
            Some(Ok(())) => {
                tracing::debug!(%address, "connected");
                (self.attempt.emit)(SocketEvent::Connected(address.into()));
                return Some(candidate);
            }
            Some(Err(e)) => self.failed(address, self.attempt.failed(e)),
        }
        None
    }

    fn failed(&mut self, address: SocketAddr, failure: Failure) {
        let failure = with_zone_hint(failure, &address);
        let cause = match failure.reason() {
            Some(reason) if !self.is_only => format!("{}; {reason}", failure.cause()),
            _ => failure.cause(),
        };
        (self.attempt.emit)(SocketEvent::Failed(address.into(), cause));
        tracing::debug!(%address, cause = failure.cause(), "failed; trying the next address");
        self.next_start = Instant::now();
        if self.failure.is_none() || self.preferred == Some(address) {
            self.failure = Some(failure);
        }
    }
}

/// Alternates the two families (RFC 8305 §4), each in its own order.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut preferred, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut order = VecDeque::with_capacity(preferred.len() + other.len());
    while let Some(address) = preferred.pop_front() {
        order.push_back(address);
        order.extend(other.pop_front());
    }
    order.extend(other);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::endpoint::Endpoint;
    use crate::net::socket::SocketOptions;
    use crate::shutdown::Shutdown;
    use std::net::TcpListener;

    #[test]
    fn families_alternate_in_their_order() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"].map(address);
        let wanted = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"].map(address);
        assert_eq!(interleave(given.to_vec()), wanted);
    }

    #[test]
    fn shutdown_resets_what_is_established() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { host: "test".into(), port: "1".into() };
        let shutdown = Shutdown::new(None).unwrap();
        shutdown.trigger(ShutdownReason::Terminate);
        let attempt = Attempt::new(&endpoint, None, &shutdown, &|_| ());
        let address = listener.local_addr().unwrap();
        let open = |address: &SocketAddr| SocketOptions::default().tcp_socket(address);
        assert!(connect(vec![address], &attempt, &open).is_err());
        let (mut accepted, _) = listener.accept().unwrap();
        let end = std::io::Read::read(&mut accepted, &mut [0]);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
