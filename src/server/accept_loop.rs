//! The accept loop: accepts connections within the limits and serves each on its own thread.
//!
//! No client, and no shortage of descriptors or threads, ends the loop: a shortage is reported
//! once, the connection concerned is lost, and accepting continues.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::{SockAddr, Socket};

use super::access::AccessRules;
use super::connections::{Capacity, ConnectionTracker, DrainOutcome, Quota, TrackedConnection};
use super::per_ip_limit::{PerIpLimit, PerIpPermit};
use super::thread_pool::ThreadPool;
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::listen::Listener;
use crate::net::stream::Stream;
use crate::process::signals;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, poll_until};

/// The first pause after a failed accept, doubled up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(5);
/// Short enough to resume promptly, long enough to use no processor time.
const MAX_PAUSE: Duration = Duration::from_millis(250);
/// Consecutive failures, none of them a shortage, after which the listener is considered broken.
const MAX_FAILURES: u32 = 64;

/// The limits of a server of streams.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections of the complete run, after which the server exits.
    pub max_accepts: Option<u32>,
    /// Concurrent connections.
    pub max_conns: u32,
    /// Concurrent connections from one address.
    pub max_conns_per_ip: Option<u32>,
    /// The server exits if no connection arrives for this long.
    pub accept_timeout: Option<Duration>,
    /// A connection is closed if no byte moves for this long.
    pub idle_timeout: Option<Duration>,
    /// Time for open connections to finish when the run is shut down.
    pub grace: Duration,
    /// Bytes of stack of a connection's thread; `None` is what the service needs.
    pub stack_size: Option<usize>,
    /// The addresses from which connections are accepted.
    pub rules: AccessRules,
}

/// An accepted connection, on its own thread.
pub struct Accepted {
    /// Number of the connection in this run, from 1.
    pub conn: u64,
    /// The connection, without TLS.
    pub stream: Stream,
    /// Its part of the limits.
    pub permit: ConnectionPermit,
}

/// A connection's part of the limits, given back when this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// The entry in the list of open connections.
    pub tracked: TrackedConnection,
    _per_ip: Option<PerIpPermit>,
}

/// Serves the connections that an [`AcceptLoop`] accepts.
pub trait ConnectionHandler: Send + Sync + 'static {
    /// Serves one connection until it is closed, on the connection's own thread.
    fn serve(&self, accepted: Accepted);
    /// When a connection counts towards the limit of the complete run.
    fn counting(&self) -> Counting {
        Counting::OnAccept
    }
    /// Called when a connection was closed because of an access rule or the limit per address.
    fn on_rejected(&self, peer: &Address, why: &str);
    /// Called when a connection was lost to a shortage of descriptors, memory or threads.
    fn on_accept_failed(&self, failure: Failure);
    /// Called when accept(2) begins to fail, once per series of failures.
    fn on_warning(&self, message: String);
    /// Called when accepting ends, before the open connections are drained.
    fn on_shutdown(&self) {}
}

/// When a connection counts towards the limit of the complete run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// When it is accepted.
    OnAccept,
    /// When the handler calls [`TrackedConnection::count`], after the handshake.
    OnHandshake,
}

/// How a run of the accept loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeOutcome {
    /// The limit of the complete run was reached, and all connections are closed.
    Completed,
    /// The run was shut down, and all connections are closed.
    Stopped(ShutdownReason, DrainOutcome),
}

/// A listener with the limits, the list of open connections and the threads that serve them.
pub struct AcceptLoop {
    listener: Listener,
    limits: ServerLimits,
    connections: ConnectionTracker,
    pool: ThreadPool,
    per_ip: Option<PerIpLimit>,
    handler: Arc<dyn ConnectionHandler>,
    conn: u64,
}

impl AcceptLoop {
    /// An accept loop on `listener`. `stack_size` is what a thread of the service needs, in bytes;
    /// the limits may ask for another size.
    ///
    /// Fails at [`Phase::Listen`] when no pipe can be created.
    pub fn new(
        listener: Listener,
        limits: ServerLimits,
        stack_size: usize,
        handler: Arc<dyn ConnectionHandler>,
    ) -> Result<AcceptLoop, Failure> {
        let connections = ConnectionTracker::new()
            .map_err(|e| Failure::new(Phase::Listen, &listener.local, e))?;
        let per_ip = limits.max_conns_per_ip.map(PerIpLimit::new);
        let pool = ThreadPool::new(limits.stack_size.unwrap_or(stack_size));
        Ok(AcceptLoop { listener, limits, connections, pool, per_ip, handler, conn: 0 })
    }

    /// Accepts connections until the limits or `shutdown` end it, then waits for the open ones.
    ///
    /// Fails at [`Phase::Listen`]: with 28 when no connection arrived for `accept_timeout`, with 45
    /// when the listener itself is broken.
    pub fn run(mut self, shutdown: &Shutdown) -> Result<ServeOutcome, Failure> {
        // Without the handlers these signals end the process as they do by default.
        let _ = signals::reset_on_hangup();
        let accepted = self.accept_all(shutdown);
        if matches!(accepted, Ok(Some(_))) {
            self.handler.on_shutdown();
        }
        let AcceptLoop { listener, limits, connections, handler: _handler, .. } = self;
        // Further connections are refused from now on instead of waiting in the backlog.
        drop(listener);
        if let Ok(Some(reason)) = accepted {
            return Ok(drain(&connections, reason, &limits, shutdown));
        }
        // Open connections are served to their end, also after a timeout of accept.
        match connections.wait_until_empty(shutdown) {
            Ok(()) => accepted.map(|_| ServeOutcome::Completed),
            Err(reason) => Ok(drain(&connections, reason, &limits, shutdown)),
        }
    }

    /// Accepts until the limit of the complete run (`None`) or a shutdown.
    fn accept_all(&mut self, shutdown: &Shutdown) -> Result<Option<ShutdownReason>, Failure> {
        let mut backoff = AcceptBackoff::default();
        let mut last_accept = Instant::now();
        let concurrent = self.limits.max_conns as usize;
        let quota = Quota { concurrent, total: self.limits.max_accepts };
        loop {
            // While the quota is full, connections wait in the backlog.
            if self.connections.capacity(&quota) == Capacity::Full {
                let limit = self.limits.max_conns;
                tracing::debug!(limit, "no capacity: connections wait in the backlog");
            }
            let waited = self.connections.wait_for_capacity(&quota, shutdown);
            if self.connections.capacity(&quota) == Capacity::Exhausted {
                return Ok(None);
            }
            if let Some(reason) = shutdown.reason().or(waited.err()) {
                return Ok(Some(reason));
            }
            let waited = match self.listener.socket.accept() {
                Ok((socket, peer)) => {
                    (backoff, last_accept) = (AcceptBackoff::default(), Instant::now());
                    self.dispatch(socket, &peer);
                    Ok(())
                }
                // Without a descriptor accept(2) fails before it checks for a connection.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock || !self.has_pending() => {
                    self.wait_for_connection(shutdown, last_accept)?
                }
                Err(e) => {
                    let warn = |message| self.handler.on_warning(message);
                    shutdown.sleep(backoff.next_pause(&e, &self.listener.local, warn)?)
                }
            };
            if let Err(reason) = waited {
                return Ok(Some(reason));
            }
        }
    }

    /// Whether a connection waits in the backlog.
    fn has_pending(&self) -> bool {
        let mut fds = [PollFd::new(&self.listener.socket, PollFlags::IN)];
        poll_until(&mut fds, Some(Instant::now())).is_ok_and(|ready| ready > 0)
    }

    /// Waits for a connection, until `accept_timeout` after `last_accept`.
    fn wait_for_connection(
        &self,
        shutdown: &Shutdown,
        last_accept: Instant,
    ) -> Result<Result<(), ShutdownReason>, Failure> {
        let timeout = self.limits.accept_timeout;
        let deadline = timeout.and_then(|timeout| last_accept.checked_add(timeout));
        let local = &self.listener.local;
        match shutdown.wait(self.listener.socket.as_fd(), PollFlags::IN, deadline) {
            Ok(WaitOutcome::Shutdown(reason)) => Ok(Err(reason)),
            Ok(WaitOutcome::Ready(_)) => Ok(Ok(())),
            Ok(WaitOutcome::TimedOut) => {
                Err(Failure::timeout(Phase::Listen, local, timeout.unwrap_or_default()))
            }
            // poll(2) lacks memory, which is a shortage like those of accept(2).
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => Ok(shutdown.sleep(MAX_PAUSE)),
            Err(e) => Err(Failure::new(Phase::Listen, local, e)),
        }
    }

    /// Serves a new connection on a thread, if the rules and limits allow it.
    fn dispatch(&mut self, socket: Socket, peer: &SockAddr) {
        let peer = Address::from(peer);
        let per_ip = match self.check_access(&peer) {
            Ok(permit) => permit,
            Err(why) => {
                tracing::debug!(%peer, why, "rejected by a rule or limit");
                return self.handler.on_rejected(&peer, &why);
            }
        };
        self.conn += 1;
        let conn = self.conn;
        let stream = match self.prepare(socket, peer.clone()) {
            Ok(stream) => stream,
            Err(e) => {
                self.count_accepted(conn);
                return self.report_lost(&peer, e);
            }
        };
        tracing::debug!(conn, %peer, "accepted, is given to a thread");
        let handle = stream.handle.clone();
        let tracked = self.connections.track(conn, handle.clone());
        self.count_accepted(conn);
        let permit = ConnectionPermit { tracked, _per_ip: per_ip };
        let accepted = Accepted { conn, stream, permit };
        let handler = self.handler.clone();
        if let Err(e) = self.pool.run(move || handler.serve(accepted)) {
            // An orderly close would look like a complete, empty reply.
            handle.abort();
            self.report_lost(&peer, e);
        }
    }

    fn report_lost(&self, peer: &Address, e: io::Error) {
        self.handler.on_accept_failed(Failure::local_resource(peer, e));
    }

    fn count_accepted(&self, conn: u64) {
        if self.handler.counting() == Counting::OnAccept {
            self.connections.count(conn);
        }
    }

    /// Applies the access rules and the limit per address; fails with the reason.
    fn check_access(&self, peer: &Address) -> Result<Option<PerIpPermit>, String> {
        let Some(ip) = peer.ip() else { return Ok(None) };
        if !self.limits.rules.allows(ip) {
            return Err("denied by rule".to_string());
        }
        self.per_ip.as_ref().map(|limit| limit.acquire(ip)).transpose()
    }

    fn prepare(&self, socket: Socket, peer: Address) -> io::Result<Stream> {
        // Some systems pass the listener's non-blocking mode on (accept(2), BSD).
        #[cfg(not(target_os = "linux"))]
        socket.set_nonblocking(false)?;
        let stream = Stream::with_peer(socket, peer)?;
        if self.limits.idle_timeout.is_some() {
            let limited = stream.handle.limit_waits(self.limits.idle_timeout);
            limited.inspect_err(|_| stream.handle.abort())?;
        }
        Ok(stream)
    }
}

fn drain(
    connections: &ConnectionTracker,
    reason: ShutdownReason,
    limits: &ServerLimits,
    shutdown: &Shutdown,
) -> ServeOutcome {
    let is_deadline = reason == ShutdownReason::Deadline;
    let grace = if is_deadline { Duration::ZERO } else { limits.grace };
    tracing::debug!(
        grace = grace.as_secs_f64(),
        "shutdown: idle connections are closed, others may finish"
    );
    let is_urgent = || shutdown.deadline().is_some_and(|at| at <= Instant::now());
    ServeOutcome::Stopped(reason, connections.drain(grace, &is_urgent))
}

/// A series of failed calls of accept(2).
#[derive(Default)]
struct AcceptBackoff {
    failures: u32,
    /// Failures that are neither the peer's nor a shortage.
    unexpected: u32,
    pause: Duration,
}

impl AcceptBackoff {
    /// How long to pause after this failure; the first of a series is passed to `warn`.
    ///
    /// Fails when the listener is broken.
    fn next_pause(
        &mut self,
        e: &io::Error,
        local: &Address,
        warn: impl FnOnce(String),
    ) -> Result<Duration, Failure> {
        if !is_transient(e) {
            self.unexpected += 1;
        }
        if self.unexpected >= MAX_FAILURES {
            return Err(Failure::new(Phase::Listen, local, io::Error::from(e.kind())));
        }
        if self.failures == 0 {
            let why = crate::error::message_without_errno(e);
            warn(format!("accept on {local}: {why}; new connections wait in the backlog"));
        }
        self.failures += 1;
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        let pause = self.pause.as_secs_f64();
        tracing::debug!(failures = self.failures, pause, "accept(2) fails, pauses");
        Ok(self.pause)
    }
}

/// Whether a failure of accept(2) does not concern the listener: the connection failed between
/// its SYN and the accept (accept(2) asks to treat these errors like EAGAIN), or there is a shortage.
fn is_transient(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[test]
    fn shortages_pause_longer_each_time_and_warn_once() {
        let (mut backoff, mut warnings) = (AcceptBackoff::default(), Vec::new());
        let mut pauses = Vec::new();
        for _ in 0..100 {
            let pause = backoff.next_pause(&errno(libc::EMFILE), &Address::Unnamed, |warning| {
                warnings.push(warning);
            });
            pauses.push(pause.unwrap());
        }
        assert_eq!((pauses[0], pauses[1], pauses[99]), (MIN_PAUSE, 2 * MIN_PAUSE, MAX_PAUSE));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].ends_with("new connections wait in the backlog"), "{}", warnings[0]);
    }

    #[test]
    fn listener_that_always_fails_is_broken() {
        let mut backoff = AcceptBackoff::default();
        let mut fail = || backoff.next_pause(&errno(libc::EBADF), &Address::Unnamed, drop);
        for _ in 1..MAX_FAILURES {
            fail().unwrap();
        }
        assert_eq!(fail().unwrap_err().phase, Phase::Listen);
    }
}
