//! Taking callers in: one thread each, as many as the limits allow, for as long as the run lasts.
//!
//! Nothing that one caller does, and no shortage of descriptors or threads, ends the loop: it is
//! told once, the caller concerned suffers, and the loop goes on.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::{SockAddr, Socket};

use super::access::{AccessRules, PerIpLimit, PerIpPermit};
use super::connections::{ConnectionTracker, DrainOutcome, Quota, Room, TrackedConnection};
use super::thread_pool::Pool;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::listen::Listener;
use crate::net::stream::Stream;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, poll_until};

/// The first pause after a failed accept, doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Short enough that service resumes promptly, long enough to cost nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Failures in a row, none of them a shortage, after which the listener itself must be broken.
const MOST_FAILURES: u32 = 64;

/// Whom to let in, how many and how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of the whole run; then leave.
    pub accepts: Option<u32>,
    /// Connections at once.
    pub at_once: u32,
    /// Connections at once from one address.
    pub per_ip: Option<u32>,
    /// Leave when nobody has called for this long.
    pub quiet: Option<Duration>,
    /// A connection without a byte for this long is ended.
    pub idle: Option<Duration>,
    /// Time to finish when the run is ended.
    pub grace: Duration,
    /// Bytes of stack of a connection's thread; `None` is what the service needs.
    pub stack: Option<usize>,
    /// Addresses that are welcome.
    pub rules: AccessRules,
}

/// One accepted connection, on its own thread.
pub struct Accepted {
    /// Counts connections of this run from 1.
    pub conn: u64,
    /// The bare connection.
    pub stream: Stream,
    /// Its place on the list of the living.
    pub entered: TrackedConnection,
    place: Option<PerIpPermit>,
}

/// Who receives callers.
pub trait ConnectionHandler: Send + Sync + 'static {
    /// Serves one caller to its end, on the caller's own thread.
    fn serve(&self, caller: Accepted);
    /// When a connection counts towards the limit of the whole run.
    fn counting(&self) -> Counting {
        Counting::Accepted
    }
    /// Hears of a caller that was turned away by a rule.
    fn on_rejected(&self, peer: &Address, why: &str);
    /// Hears of a caller that was lost to a shortage.
    fn on_accept_failed(&self, failure: Failure);
    /// Hears of something that concerns the accepting itself, once per spell of trouble.
    fn on_warning(&self, message: String);
    /// Hears that no more callers are let in, before those who are in are seen out.
    fn on_shutdown(&self) {}
}

/// When a connection counts towards the limit of the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// As soon as it is accepted.
    Accepted,
    /// When the host says so ([`Entered::count`]), because its handshake is complete.
    Served,
}

/// How accepting came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeOutcome {
    /// As many were served as were asked for.
    Served,
    /// The cord was pulled; all connections have been seen out.
    Stopped(ShutdownReason, DrainOutcome),
}

/// A listener and everything that its callers share.
pub struct AcceptLoop {
    listener: Listener,
    limits: Limits,
    live: ConnectionTracker,
    pool: Pool,
    per_ip: Option<PerIpLimit>,
    host: Arc<dyn ConnectionHandler>,
    conn: u64,
}

impl AcceptLoop {
    /// A reception that has not yet let anybody in. `stack` is what a thread of this service
    /// needs at least, in bytes.
    ///
    /// Fails at [`Stage::Listen`] when no pipe can be had.
    pub fn new(
        listener: Listener,
        limits: Limits,
        stack: usize,
        host: Arc<dyn ConnectionHandler>,
    ) -> Result<AcceptLoop, Failure> {
        let live = ConnectionTracker::new()
            .map_err(|e| Failure::new(Phase::Listen, &listener.local, e))?;
        let per_ip = limits.per_ip.map(PerIpLimit::new);
        let pool = Pool::new(limits.stack.unwrap_or(stack));
        Ok(AcceptLoop { listener, limits, live, pool, per_ip, host, conn: 0 })
    }

    /// Lets callers in until the limits or the cord end it, then sees everyone out.
    ///
    /// Fails at [`Stage::Listen`]: with 28 when nobody called for `limits.quiet`, with 45 when the
    /// listener itself is broken.
    pub fn run(mut self, stop: &Shutdown) -> Result<ServeOutcome, Failure> {
        let ended = self.accept_all(stop);
        if matches!(ended, Ok(Some(_))) {
            self.host.on_shutdown();
        }
        let AcceptLoop { listener, limits, live, host: _host, .. } = self;
        // From here on further callers are refused, not left waiting.
        drop(listener);
        if let Ok(Some(reason)) = ended {
            return Ok(drained(&live, reason, &limits, stop));
        }
        // Whoever is in already is served to the end, also where nobody else has come in time.
        match live.wait_until_empty(stop) {
            Ok(()) => ended.map(|_| ServeOutcome::Served),
            Err(reason) => Ok(drained(&live, reason, &limits, stop)),
        }
    }

    /// `None` when enough were accepted, else why the cord was pulled.
    fn accept_all(&mut self, stop: &Shutdown) -> Result<Option<ShutdownReason>, Failure> {
        let mut trouble = AcceptBackoff::default();
        let mut quiet_since = Instant::now();
        let concurrent = self.limits.at_once as usize;
        let quota = Quota { concurrent, whole_run: self.limits.accepts };
        loop {
            // While all places are taken, callers wait in the backlog.
            let waited = self.live.wait_for_room(&quota, stop);
            if self.live.room(&quota) == Room::Spent {
                return Ok(None);
            }
            if let Some(reason) = stop.reason().or(waited.err()) {
                return Ok(Some(reason));
            }
            match self.listener.socket.accept() {
                Ok((socket, peer)) => {
                    trouble = AcceptBackoff::default();
                    quiet_since = Instant::now();
                    self.dispatch(socket, &peer);
                }
                // Without a descriptor accept(2) fails before it looks whether anybody calls.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock || !self.has_pending() => {
                    if let Some(reason) = self.wait_for_caller(stop, quiet_since)? {
                        return Ok(Some(reason));
                    }
                }
                Err(e) => {
                    let pause = trouble.pause(&e, &self.listener.local, self.host.as_ref())?;
                    if let Err(reason) = stop.sleep(pause) {
                        return Ok(Some(reason));
                    }
                }
            }
        }
    }

    /// Whether somebody waits to be let in.
    fn has_pending(&self) -> bool {
        let mut fds = [PollFd::new(&self.listener.socket, PollFlags::IN)];
        poll_until(&mut fds, Some(Instant::now())).is_ok_and(|ready| ready > 0)
    }

    fn wait_for_caller(
        &self,
        stop: &Shutdown,
        since: Instant,
    ) -> Result<Option<ShutdownReason>, Failure> {
        use std::os::fd::AsFd;
        let until = self.limits.quiet.and_then(|quiet| since.checked_add(quiet));
        let local = &self.listener.local;
        match stop.wait(self.listener.socket.as_fd(), PollFlags::IN, until) {
            Ok(WaitOutcome::Shutdown(reason)) => Ok(Some(reason)),
            Ok(WaitOutcome::Ready(_)) => Ok(None),
            Ok(WaitOutcome::TimedOut) => {
                let limit = self.limits.quiet.unwrap_or_default();
                Err(Failure::timeout(Phase::Listen, local, limit))
            }
            // poll(2) lacks memory: no reason to leave, and nothing that a pause does not mend.
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => Ok(stop.sleep(LONGEST_PAUSE).err()),
            Err(e) => Err(Failure::new(Phase::Listen, local, e)),
        }
    }

    /// Gives a fresh connection its thread, unless it is not welcome.
    fn dispatch(&mut self, socket: Socket, peer: &SockAddr) {
        let peer = Address::from(peer);
        let place = match self.admit(&peer) {
            Ok(place) => place,
            Err(why) => return self.host.on_rejected(&peer, &why),
        };
        self.conn += 1;
        let conn = self.conn;
        let stream = match self.prepare(socket, peer.clone()) {
            Ok(stream) => stream,
            Err(e) => {
                self.count_accepted(conn);
                let failure = Failure::new(Phase::Socket, &peer, e);
                return self.host.on_accept_failed(failure.with_code(ExitCode::Negative));
            }
        };
        let hangup = stream.hangup.clone();
        let entered = self.live.enter(conn, hangup.clone());
        self.count_accepted(conn);
        let caller = Accepted { conn, stream, entered, place };
        let host = self.host.clone();
        if let Err(e) = self.pool.run(move || host.serve(caller)) {
            // A clean end would say that this was all.
            hangup.abort();
            self.host.on_accept_failed(Failure::local_resource(&peer, e));
        }
    }

    fn count_accepted(&self, conn: u64) {
        if self.host.counting() == Counting::Accepted {
            self.live.count(conn);
        }
    }

    fn admit(&self, peer: &Address) -> Result<Option<PerIpPermit>, String> {
        let Some(ip) = peer.ip() else { return Ok(None) };
        if !self.limits.rules.allows(ip) {
            return Err("denied by rule".to_string());
        }
        match &self.per_ip {
            Some(per_ip) => per_ip.take(ip).map(Some).ok_or_else(|| per_ip.full(ip)),
            None => Ok(None),
        }
    }

    fn prepare(&self, socket: Socket, peer: Address) -> io::Result<Stream> {
        // Some systems hand the listener's non-blocking mode on (accept(2), BSD).
        #[cfg(not(target_os = "linux"))]
        socket.set_nonblocking(false)?;
        let stream = Stream::with_peer(socket, peer)?;
        if self.limits.idle.is_some() {
            let limited = stream.hangup.limit_waits(self.limits.idle);
            limited.inspect_err(|_| stream.hangup.abort())?;
        }
        Ok(stream)
    }
}

impl Accepted {
    /// The parts that the service uses, and the guard that gives the places back when dropped.
    pub fn split(self) -> (u64, Stream, ConnectionPermit) {
        (self.conn, self.stream, ConnectionPermit { entered: self.entered, _place: self.place })
    }
}

/// What is given back when a connection is over.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// The place on the list of the living.
    pub entered: TrackedConnection,
    _place: Option<PerIpPermit>,
}

fn drained(
    live: &ConnectionTracker,
    reason: ShutdownReason,
    limits: &Limits,
    stop: &Shutdown,
) -> ServeOutcome {
    let grace = if reason == ShutdownReason::Deadline { Duration::ZERO } else { limits.grace };
    let late = || stop.deadline().is_some_and(|at| at <= Instant::now());
    ServeOutcome::Stopped(reason, live.drain(grace, &late))
}

/// A spell of failed accepts.
#[derive(Default)]
struct AcceptBackoff {
    failures: u32,
    others: u32,
    pause: Duration,
}

impl AcceptBackoff {
    /// How long to pause after this failure; an error when pausing is no use any more.
    fn pause(
        &mut self,
        e: &io::Error,
        local: &Address,
        host: &dyn ConnectionHandler,
    ) -> Result<Duration, Failure> {
        match e.raw_os_error() {
            // The caller gave up, or its network did, between its SYN and our accept: accept(2)
            // tells of such errors and asks that they be treated like EAGAIN.
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
                | libc::EPERM,
            ) => {}
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {}
            _ => self.others += 1,
        }
        if self.others >= MOST_FAILURES {
            return Err(Failure::new(Phase::Listen, local, io::Error::from(e.kind())));
        }
        if self.failures == 0 {
            let why = crate::error::message_without_errno(e);
            host.on_warning(format!("accepting on {local}: {why}; callers wait"));
        }
        self.failures += 1;
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Ok(self.pause)
    }
}
