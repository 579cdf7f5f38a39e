//! What every server of streams does: choose a service, receive callers, tell what became of
//! each, and leave with the right number. tcp-server and unix-server differ only in where they
//! listen.

pub mod accept_loop;
pub mod access;
pub mod connections;
pub mod thread_pool;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::connect_event::ConnectEvent;
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::listen::Listener;
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::process::groups;
use crate::process::inherited_fds;
use crate::report::Report;
use crate::report::event::{Closed, Endpoints, Event, Level, Role, Side};
use crate::service::connection::HalfCloseHook;
use crate::service::{Connection, Service, ServiceOutcome};
use crate::shutdown::{Shutdown, ShutdownReason};
use accept_loop::{AcceptLoop, Accepted, ConnectionHandler, Counting, Limits, ServeOutcome};
use connections::{Activity, DrainOutcome};

/// Everything a run of a server needs, decided.
pub struct Plan {
    /// Where callers come in.
    pub listener: Listener,
    /// How many, whom, how long.
    pub limits: Limits,
    /// What is done with each.
    pub service: Box<dyn Service>,
    /// What is wrapped around each first.
    pub layer: Option<Arc<dyn Layer>>,
    /// Bytes of stack that the layer needs on top of the service's.
    pub layer_stack: usize,
}

/// Serves until the limits, a signal or a failure of the listener end it.
///
/// Fails as [`Reception::run`] does. With one accepted connection only, its failure is the run's.
pub fn serve(mut plan: Plan, report: &Report, stop: &Shutdown) -> Result<ExitCode, Failure> {
    // What the user asks for is the service's; the layer below it takes its own.
    plan.limits.stack = plan.limits.stack.map(|own| own + plan.layer_stack);
    let single = plan.limits.accepts == Some(1);
    let stack = plan.service.stack() + plan.layer_stack;
    let rooms = Arc::new(ConnectionService {
        service: plan.service,
        layer: plan.layer,
        report: report.clone(),
        stop: stop.clone(),
        single,
        failure: Mutex::new(None),
    });
    let local = plan.listener.local.to_string();
    let reception = AcceptLoop::new(plan.listener, plan.limits, stack, rooms.clone())?;
    report.emit(&Event::Listening { local: local.clone(), awaited: "connection" });
    inherited_fds::notify_ready();
    groups::reap_orphans();
    let ended = reception.run(stop);
    rooms.service.close();
    match ended? {
        ServeOutcome::Served if single => rooms.outcome(),
        ServeOutcome::Served => Ok(ExitCode::Done),
        ServeOutcome::Stopped(ShutdownReason::Deadline, _) => {
            Err(Failure::shutdown(Phase::Listen, local, ShutdownReason::Deadline))
        }
        ServeOutcome::Stopped(reason, drained) => {
            let cut = rooms.outcome().is_err_and(|failure| failure.code == ExitCode::Terminated);
            let drained = if cut { DrainOutcome::Aborted(1) } else { drained };
            Ok(stopped(reason, drained, report))
        }
    }
}

fn stopped(reason: ShutdownReason, drained: DrainOutcome, report: &Report) -> ExitCode {
    if let DrainOutcome::Aborted(n) = drained {
        let connections = if n == 1 { "connection" } else { "connections" };
        report.warn(None, format!("{n} {connections} had to be reset"));
    }
    match (reason, drained) {
        (ShutdownReason::Interrupt, _) => ExitCode::Interrupted,
        (_, DrainOutcome::Clean) => ExitCode::Done,
        (_, DrainOutcome::Aborted(_)) => ExitCode::Terminated,
    }
}

/// Errors by which the kernel tells what became of the peer, and not of us (tcp(7), ip(7)).
fn is_of_the_peer(errno: i32) -> bool {
    let peers = [
        libc::ECONNRESET,
        libc::EPIPE,
        libc::ETIMEDOUT,
        libc::ENOTCONN,
        libc::ECONNABORTED,
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EPROTO,
    ];
    peers.contains(&errno)
}

/// How a failure ends its connection.
fn ending_of(failure: &Failure) -> EndedBy {
    match (failure.code, failure.errno()) {
        (ExitCode::Timeout, _) => EndedBy::Timeout,
        (ExitCode::Interrupted | ExitCode::Terminated, _) => EndedBy::Signal,
        (_, Some(errno)) if is_of_the_peer(errno) => EndedBy::Reset,
        (ExitCode::Partial | ExitCode::Send | ExitCode::Receive, None) => EndedBy::Reset,
        _ => EndedBy::Us,
    }
}

/// Where connections are served: what all of them share.
struct ConnectionService {
    service: Box<dyn Service>,
    layer: Option<Arc<dyn Layer>>,
    report: Report,
    stop: Shutdown,
    /// There is one connection only: its failure is the run's, and told as such.
    single: bool,
    /// The failure of the latest connection that failed.
    failure: Mutex<Option<Failure>>,
}

/// Tells that a connection is over when dropped, so that a panic tells it too.
struct ClosedEventGuard<'a> {
    report: &'a Report,
    facts: ConnectionInfo,
    conn: u64,
    bytes_in: u64,
    bytes_out: u64,
    ended: ServiceOutcome,
    began: Instant,
}

impl ClosedEventGuard<'_> {
    fn new<'a>(report: &'a Report, conn: u64, facts: &ConnectionInfo) -> ClosedEventGuard<'a> {
        let (began, ended) = (facts.began, EndedBy::Us.into());
        ClosedEventGuard {
            report,
            facts: facts.clone(),
            conn,
            bytes_in: 0,
            bytes_out: 0,
            ended,
            began,
        }
    }
}

impl Drop for ClosedEventGuard<'_> {
    fn drop(&mut self) {
        if !self.report.is_enabled(Level::Normal) {
            return;
        }
        self.report.emit(&Event::Closed(Closed {
            conn: self.conn,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            seconds: self.began.elapsed().as_secs_f64(),
            local: self.facts.local.to_string(),
            peer: self.facts.peer.to_string(),
            ended_by: self.ended.by,
            exit_status: self.ended.exit_status,
            saved: self.ended.saved.take(),
            role: Role::Server,
        }));
    }
}

impl ConnectionHandler for ConnectionService {
    fn serve(&self, caller: Accepted) {
        let (conn, stream, leave) = caller.split();
        if self.report.is_enabled(Level::Normal) {
            self.report.emit(&Event::Accepted(Endpoints::new(conn, &stream.facts)));
        }
        let mut farewell = ClosedEventGuard::new(&self.report, conn, &stream.facts);
        let hangup = stream.hangup.clone();
        farewell.ended = match self.handshake(stream, &leave.entered.mood, conn) {
            Ok(stream) => {
                if self.counting() == Counting::Served {
                    leave.entered.count();
                }
                let mood = leave.entered.mood.clone();
                let mut guest = Connection::new(conn, stream, mood, self.stop.clone());
                let outcome = self.attend(&mut guest);
                farewell.bytes_in = guest.bytes_in;
                farewell.bytes_out = guest.bytes_out;
                outcome.unwrap_or_else(|failure| self.failed(conn, failure))
            }
            // It does not count, so its failure is not the run's either.
            Err(failure) => {
                self.report.failure(Some(conn), &failure);
                ending_of(&failure).into()
            }
        };
        // What ended because we ended it was ended by whoever stopped us.
        if let Some(reason) = self.stop.reason()
            && hangup.closed_locally()
            && matches!(farewell.ended.by, EndedBy::Reset | EndedBy::Signal)
        {
            farewell.ended.by = reason.into();
        }
        drop(farewell);
        drop(leave);
    }

    fn counting(&self) -> Counting {
        match self.layer {
            Some(_) => Counting::Served,
            None => Counting::Accepted,
        }
    }

    fn on_rejected(&self, peer: &Address, why: &str) {
        self.report.warn(None, format!("turned away {peer}: {why}"));
    }

    fn on_accept_failed(&self, failure: Failure) {
        match self.counting() {
            Counting::Accepted => self.record_failure(None, failure, true),
            Counting::Served => self.report.failure(None, &failure),
        }
    }

    fn on_warning(&self, message: String) {
        self.report.warn(None, message);
    }

    fn on_shutdown(&self) {
        inherited_fds::notify_stopping();
    }
}

impl ConnectionService {
    /// The stream as the service is to see it: behind its handshake, if there is one. A caller
    /// who does not come to the end of it is owed nothing.
    fn handshake(&self, stream: Stream, mood: &Activity, conn: u64) -> Result<Stream, Failure> {
        let Some(layer) = &self.layer else { return Ok(stream) };
        let whom = stream.facts.peer.to_string();
        let tell = |step: ConnectEvent| match step {
            ConnectEvent::Warning(why) => self.report.warn(Some(conn), why),
            step => self.report.step(|| format!("{}: {step}", whom)),
        };
        layer.wrap(
            stream,
            &HandshakeContext {
                target: whom.clone(),
                until: None,
                limit: Duration::ZERO,
                stop: None,
                activity: Some(mood),
                tell: &tell,
            },
        )
    }

    /// Tells half-closes of connection `conn`.
    fn half_close_hook(&self, conn: u64, facts: &ConnectionInfo) -> HalfCloseHook {
        let (report, peer) = (self.report.clone(), facts.peer.to_string());
        Box::new(move |side| {
            let by = if side == EndedBy::Us { Side::Us } else { Side::Peer };
            report.emit(&Event::HalfClosed { conn, by, peer: Some(peer.clone()) });
        })
    }

    /// Serves one guest behind its handshake.
    fn attend(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        if self.report.is_enabled(Level::Detail) {
            guest.news = Some(self.half_close_hook(guest.conn, guest.facts()));
        }
        let outcome = self.service.serve(guest);
        if guest.saw_tls_hello && self.layer.is_none() {
            self.report.warn(Some(guest.conn), "the caller speaks TLS to a plain port (--tls)");
        }
        let ended = outcome?;
        guest.stream.hangup.check_truncation(&guest.stream.facts.peer, guest.bytes_in)?;
        Ok(ended)
    }

    /// How a failure ended its connection. A peer that went away is told by the `closed` event
    /// alone; whatever else went wrong gets its line.
    fn failed(&self, conn: u64, failure: Failure) -> ServiceOutcome {
        let by = ending_of(&failure);
        let told = by == EndedBy::Us || failure.stage == Phase::Tls;
        self.record_failure(Some(conn), failure, told);
        by.into()
    }

    /// Remembers the failure; it is told here unless the run ends with it and tells it then.
    fn record_failure(&self, conn: Option<u64>, failure: Failure, told: bool) {
        if told && !self.single {
            self.report.failure(conn, &failure);
        }
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    fn outcome(&self) -> Result<ExitCode, Failure> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failure),
            None => Ok(ExitCode::Done),
        }
    }
}
