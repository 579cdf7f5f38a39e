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

use super::accept_backoff::{AcceptBackoff, MAX_PAUSE};
use super::connection_handler::ConnectionHandler;
use super::connection_tracker::{Capacity, ConnectionTracker};
use super::limits::ServerLimits;
use super::per_ip_limit::{PerIpLimit, PerIpPermit};
use super::thread_pool::ThreadPool;
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::listen::Listener;
use crate::net::stream::Stream;
use crate::poll::{earliest, poll_until};
use crate::process::signals;
use crate::process::systemd;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome};

/// How a run of the accept loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeOutcome {
    /// The limit of the complete run was reached, and all connections are closed.
    Completed,
    /// The run was shut down, and all connections are closed.
    Stopped {
        /// Why.
        reason: ShutdownReason,
        /// Connections that were reset.
        resets: usize,
    },
}

/// Why no more connections are accepted.
enum AcceptEnd {
    /// The limit of the complete run is reached.
    LimitReached,
    /// The run is shut down.
    Shutdown(ShutdownReason),
}

/// A listener with the limits, the list of open connections and the threads that serve them.
pub struct AcceptLoop {
    listener: Listener,
    limits: ServerLimits,
    /// The open connections.
    pub connections: ConnectionTracker,
    pool: ThreadPool,
    per_ip: Option<PerIpLimit>,
    handler: Arc<ConnectionHandler>,
    conn: u64,
}

impl AcceptLoop {
    /// An accept loop on `listener`, whose connections have threads with `stack_size` bytes of stack.
    ///
    /// Fails at [`Phase::Listen`] when no pipe can be created.
    pub fn new(
        listener: Listener,
        limits: ServerLimits,
        stack_size: usize,
        handler: Arc<ConnectionHandler>,
    ) -> Result<AcceptLoop, Failure> {
        let max_open = limits.max_conns as usize;
        let connections = ConnectionTracker::new(max_open, limits.max_accepts)
            .map_err(|e| Failure::new(Phase::Listen, &listener.local, e))?;
        let per_ip = limits.max_conns_per_ip.map(PerIpLimit::new);
        let pool = ThreadPool::new(stack_size);
        Ok(AcceptLoop { listener, limits, connections, pool, per_ip, handler, conn: 0 })
    }

    /// Accepts connections until the limits or `shutdown` end it, then waits for the open ones.
    ///
    /// Fails at [`Phase::Listen`]: with 28 when no connection arrived for `accept_timeout`, with 45
    /// when the listener itself is broken.
    pub fn run(mut self, shutdown: &Shutdown) -> Result<ServeOutcome, Failure> {
        // Without the handlers these signals end the process as they do by default.
        let _ = signals::reset_connections_on_sighup();
        let accepted = self.accept_all(shutdown);
        if matches!(accepted, Ok(AcceptEnd::Shutdown(_))) {
            systemd::notify_stopping();
        }
        let AcceptLoop { listener, limits, connections, .. } = self;
        // Further connections are refused from now on instead of waiting in the backlog.
        drop(listener);
        let stopped = match accepted {
            Ok(AcceptEnd::Shutdown(reason)) => Err(reason),
            // Open connections are served to their end, also after a timeout of accept.
            _ => connections.wait_until_empty(shutdown),
        };
        match stopped {
            Err(reason) => Ok(drain(&connections, reason, &limits, shutdown)),
            Ok(()) => accepted.map(|_| ServeOutcome::Completed),
        }
    }

    /// Accepts until the limit of the complete run or a shutdown.
    fn accept_all(&mut self, shutdown: &Shutdown) -> Result<AcceptEnd, Failure> {
        let mut backoff = AcceptBackoff::default();
        let mut last_accept = Instant::now();
        loop {
            // While the limits are reached, connections wait in the backlog.
            if self.connections.capacity() == Capacity::Full {
                let limit = self.limits.max_conns;
                tracing::debug!(limit, "no capacity: connections wait in the backlog");
            }
            // A shutdown ends each wait of this loop, and is noticed here.
            let _ = self.connections.wait_for_capacity(shutdown);
            if self.connections.capacity() == Capacity::Exhausted {
                return Ok(AcceptEnd::LimitReached);
            }
            if let Some(reason) = shutdown.reason() {
                return Ok(AcceptEnd::Shutdown(reason));
            }
            match self.listener.socket.accept() {
                Ok((socket, peer)) => {
                    (backoff, last_accept) = (AcceptBackoff::default(), Instant::now());
                    self.dispatch(socket, &peer);
                }
                // Without a descriptor accept(2) fails before it checks for a connection.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock || !self.has_pending() => {
                    self.wait_for_connection(shutdown, last_accept)?;
                }
                Err(e) => {
                    let warn = |message| self.handler.on_warning(message);
                    let pause = backoff.next_pause(&e, &self.listener.local, warn)?;
                    let _ = shutdown.sleep(pause);
                }
            }
        }
    }

    /// Whether a connection waits in the backlog.
    fn has_pending(&self) -> bool {
        let mut fds = [PollFd::new(&self.listener.socket, PollFlags::IN)];
        poll_until(&mut fds, Some(Instant::now())).is_ok_and(|ready| ready > 0)
    }

    /// Waits for a connection or a shutdown, until `accept_timeout` after `last_accept`.
    fn wait_for_connection(
        &self,
        shutdown: &Shutdown,
        last_accept: Instant,
    ) -> Result<(), Failure> {
        let timeout = self.limits.accept_timeout;
        let deadline = timeout.and_then(|timeout| last_accept.checked_add(timeout));
        let local = &self.listener.local;
        match shutdown.wait(self.listener.socket.as_fd(), PollFlags::IN, deadline) {
            Ok(WaitOutcome::Ready(_) | WaitOutcome::Shutdown(_)) => {}
            Ok(WaitOutcome::TimedOut) => {
                return Err(Failure::timeout(Phase::Listen, local, timeout.unwrap_or_default()));
            }
            // poll(2) lacks memory, which is a shortage like those of accept(2).
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => {
                let _ = shutdown.sleep(MAX_PAUSE);
            }
            Err(e) => return Err(Failure::new(Phase::Listen, local, e)),
        }
        Ok(())
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
        let stream = match self.stream_of(socket, peer.clone()) {
            Ok(stream) => stream,
            Err(e) => {
                self.count_accepted(conn);
                return self.report_lost(&peer, e);
            }
        };
        tracing::debug!(conn, %peer, "accepted");
        let handle = stream.handle.clone();
        let tracked = self.connections.track(conn, handle.clone(), per_ip);
        self.count_accepted(conn);
        let handler = self.handler.clone();
        if let Err(e) = self.pool.run(move || handler.serve(stream, tracked)) {
            // An orderly close would look like a complete, empty reply.
            handle.abort();
            self.report_lost(&peer, e);
        }
    }

    fn report_lost(&self, peer: &Address, e: io::Error) {
        self.handler.on_accept_failed(Failure::local_resource(peer, e));
    }

    fn count_accepted(&self, conn: u64) {
        if self.handler.counts_on_accept() {
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

    /// The stream of an accepted socket, whose waits are limited by `--idle-timeout`; it is reset if that
    /// fails.
    fn stream_of(&self, socket: Socket, peer: Address) -> io::Result<Stream> {
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

/// Ends the open connections of a run that is shut down: after SIGINT and SIGTERM they have `--grace`,
/// after the time limit of the run none.
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
    let deadline = earliest(Instant::now().checked_add(grace), shutdown.deadline());
    ServeOutcome::Stopped { reason, resets: connections.drain(deadline) }
}
