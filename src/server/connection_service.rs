//! Serves accepted connections: handshake, service, and the events about both.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::accept_loop::{Accepted, ConnectionHandler, Counting};
use super::connections::TrackedConnection;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::activity::Activity;
use crate::net::address::Address;
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::process::systemd;
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::{Closed, Endpoints, Event, Level, Relayed, Role, Side};
use crate::report::hexdump::ServerDump;
use crate::report::traffic::SentContent;
use crate::service::connection::HalfCloseHook;
use crate::service::{Connection, Service, ServiceOutcome};

/// The connection handler of a server of streams; all connections share it.
pub struct ConnectionService {
    /// What is done with each connection.
    pub service: Box<dyn Service>,
    /// The hex dump of all connections.
    pub dump: Option<ServerDump>,
    layer: Option<Arc<dyn Layer>>,
    context: Context,
    /// The span of the command.
    span: tracing::Span,
    /// The run has one connection only: its failure is that of the run, and is printed by it.
    is_single: bool,
    /// The most recent failure of a connection.
    failure: Mutex<Option<Failure>>,
}

/// Whether a failure is printed as an error line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorLine {
    Print,
    Omit,
}

/// Emits the `closed` event of a connection when dropped, also after a panic.
struct ClosedEventGuard<'a> {
    report: &'a Report,
    info: ConnectionInfo,
    conn: u64,
    bytes_in: u64,
    bytes_out: u64,
    relays: bool,
    outcome: ServiceOutcome,
}

impl ClosedEventGuard<'_> {
    fn new<'a>(report: &'a Report, conn: u64, info: &ConnectionInfo) -> ClosedEventGuard<'a> {
        let (info, outcome) = (info.clone(), EndedBy::Local.into());
        let (bytes_in, bytes_out, relays) = (0, 0, false);
        ClosedEventGuard { report, info, conn, bytes_in, bytes_out, relays, outcome }
    }
}

impl Drop for ClosedEventGuard<'_> {
    fn drop(&mut self) {
        if !self.report.is_enabled(Level::Normal) {
            return;
        }
        let (bytes_to_target, bytes_to_client) = (self.bytes_in, self.bytes_out);
        self.report.emit(&Event::Closed(Closed {
            conn: self.conn,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            seconds: self.info.began.elapsed().as_secs_f64(),
            local: self.info.local.to_string(),
            peer: self.info.peer.to_string(),
            ended_by: self.outcome.by,
            relayed: self.relays.then_some(Relayed { bytes_to_target, bytes_to_client }),
            exit_status: self.outcome.exit_status,
            saved: self.outcome.saved.take(),
            role: Role::Server,
        }));
    }
}

impl ConnectionHandler for ConnectionService {
    fn serve(&self, accepted: Accepted) {
        let Accepted { conn, stream, permit } = accepted;
        let peer = &stream.info.peer;
        let span = tracing::debug_span!(parent: &self.span, "connection", conn, %peer);
        let _span = span.entered();
        self.log_accepted(conn, &stream);
        let report = &self.context.report;
        let handle = stream.handle.clone();
        // Dropped before the permit: the event is emitted before the server counts the close.
        let mut closed = ClosedEventGuard::new(report, conn, &stream.info);
        closed.relays = self.service.relays();
        self.serve_stream(stream, &permit.tracked, &mut closed);
        // A connection that the shutdown of the run ended was ended by the reason of that.
        if let Some(reason) = self.context.shutdown.reason()
            && handle.closed_locally()
            && matches!(closed.outcome.by, EndedBy::Reset | EndedBy::Signal)
        {
            closed.outcome.by = reason.into();
        }
    }

    fn counting(&self) -> Counting {
        match self.layer {
            Some(_) => Counting::OnHandshake,
            None => Counting::OnAccept,
        }
    }

    fn on_rejected(&self, peer: &Address, why: &str) {
        self.context.report.warn(None, format!("rejected {peer}: {why}"));
    }

    fn on_accept_failed(&self, failure: Failure) {
        match self.counting() {
            Counting::OnAccept => self.record_failure(None, failure, ErrorLine::Print),
            Counting::OnHandshake => self.context.report.failure(None, &failure),
        }
    }

    fn on_warning(&self, message: String) {
        self.context.report.warn(None, message);
    }

    fn on_shutdown(&self) {
        systemd::notify_stopping();
    }
}

impl ConnectionService {
    /// A handler that runs `service` behind `layer` for each connection.
    pub fn new(
        context: &Context,
        service: Box<dyn Service>,
        layer: Option<Arc<dyn Layer>>,
        is_single: bool,
    ) -> ConnectionService {
        let (context, span) = (context.clone(), tracing::Span::current());
        let failure = Mutex::new(None);
        ConnectionService { service, dump: None, layer, context, span, is_single, failure }
    }

    /// Performs the handshake, runs the service, and stores in `closed` how both ended.
    fn serve_stream(
        &self,
        stream: Stream,
        tracked: &TrackedConnection,
        closed: &mut ClosedEventGuard<'_>,
    ) {
        let stream = match self.handshake(stream, &tracked.activity, closed.conn) {
            Ok(stream) => stream,
            // It does not count, so its failure is not that of the run either.
            Err(failure) => {
                self.context.report.failure(Some(closed.conn), &failure);
                closed.outcome = ended_by(&failure).into();
                return;
            }
        };
        if self.counting() == Counting::OnHandshake {
            tracked.count();
        }
        let (activity, shutdown) = (tracked.activity.clone(), self.context.shutdown.clone());
        let handle = stream.handle.clone();
        let stream = self.observe(closed.conn, stream);
        let mut connection = Connection::new(closed.conn, stream, activity, shutdown);
        let outcome = self.run_service(&mut connection);
        handle.observe_close();
        (closed.bytes_in, closed.bytes_out) = (connection.bytes_in, connection.bytes_out);
        closed.outcome = outcome.unwrap_or_else(|failure| self.on_failure(closed.conn, failure));
    }

    /// The stream behind the layer's handshake, or the stream itself without a layer.
    fn handshake(&self, stream: Stream, activity: &Activity, conn: u64) -> Result<Stream, Failure> {
        let Some(layer) = &self.layer else { return Ok(stream) };
        let (report, peer) = (&self.context.report, stream.info.peer.to_string());
        let log = |event| report.on_connect_event_of(conn, &peer, event);
        layer.wrap(
            stream,
            &HandshakeContext {
                target: peer.clone(),
                deadline: None,
                timeout: Duration::ZERO,
                shutdown: None,
                activity: Some(activity),
                emit: &log,
            },
        )
    }

    fn log_accepted(&self, conn: u64, stream: &Stream) {
        let report = &self.context.report;
        if report.is_enabled(Level::Normal) {
            let resources = report.is_verbose().then(|| resources(stream));
            let ends = Endpoints::new(conn, &stream.info);
            report.emit(&Event::Accepted(Endpoints { resources, ..ends }));
        }
    }

    /// The stream with the observers of `-vv` and `--hex`, where they are on.
    fn observe(&self, conn: u64, stream: Stream) -> Stream {
        let stream = self.context.report.observe(conn, stream, SentContent::Shown);
        match &self.dump {
            Some(dump) => dump.observe(conn, stream),
            None => stream,
        }
    }

    /// Emits the half-closes of connection `conn`.
    fn half_close_hook(&self, conn: u64, info: &ConnectionInfo) -> HalfCloseHook {
        let (report, peer) = (self.context.report.clone(), info.peer.to_string());
        Box::new(move |side| {
            let by = if side == EndedBy::Local { Side::Local } else { Side::Peer };
            report.emit(&Event::HalfClosed { conn, by, peer: Some(peer.clone()) });
        })
    }

    /// Runs the service on a connection whose handshake is complete.
    fn run_service(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let report = &self.context.report;
        if report.is_enabled(Level::Detail) {
            connection.on_half_close =
                Some(self.half_close_hook(connection.conn, connection.info()));
        }
        let outcome = self.service.serve(connection);
        let (bytes_in, bytes_out) = (connection.bytes_in, connection.bytes_out);
        tracing::debug!(bytes_in, bytes_out, failed = outcome.is_err(), "service has ended");
        if connection.saw_tls_hello && self.layer.is_none() {
            let why = "the client speaks TLS to a port without TLS (--tls)";
            report.warn(Some(connection.conn), why);
        }
        let outcome = outcome?;
        let stream = &connection.stream;
        stream.handle.check_truncation(&stream.info.peer, connection.bytes_in)?;
        Ok(outcome)
    }

    /// How a failure ended its connection. Where a peer closed or reset it, the `closed` event is
    /// enough; any other failure gets an error line, also that of a relay to connect to its target.
    fn on_failure(&self, conn: u64, failure: Failure) -> ServiceOutcome {
        let by = ended_by(&failure);
        let is_transfer = matches!(failure.phase, Phase::Send | Phase::Shutdown | Phase::Receive);
        let line = match by {
            EndedBy::Local => ErrorLine::Print,
            _ if is_transfer => ErrorLine::Omit,
            _ => ErrorLine::Print,
        };
        if let (ErrorLine::Omit, Some(reason)) = (line, failure.reason()) {
            self.context.report.step(|| format!("{failure}; {reason}"));
        }
        self.record_failure(Some(conn), failure, line);
        by.into()
    }

    /// Stores the failure. A run of one connection prints it itself.
    fn record_failure(&self, conn: Option<u64>, failure: Failure, line: ErrorLine) {
        if line == ErrorLine::Print && !self.is_single {
            self.context.report.failure(conn, &failure);
        }
        let mut stored = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        stored.insert(failure).conn = conn;
    }

    /// The most recent failure of a connection.
    pub fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The descriptor of an accepted connection, and the thread that serves it.
fn resources(stream: &Stream) -> String {
    let socket = stream.handle.socket().as_raw_fd();
    #[cfg(target_os = "linux")]
    return format!("socket {socket}, thread {}", rustix::thread::gettid());
    #[cfg(not(target_os = "linux"))]
    return format!("socket {socket}");
}

/// Whether the error number is caused by the peer or the network (tcp(7), ip(7)).
fn is_peer_error(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNRESET
            | libc::EPIPE
            | libc::ETIMEDOUT
            | libc::ENOTCONN
            | libc::ECONNABORTED
            | libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EPROTO
    )
}

/// How a failure ended its connection.
pub fn ended_by(failure: &Failure) -> EndedBy {
    match (failure.code, failure.errno()) {
        (ExitCode::Timeout, _) => EndedBy::Timeout,
        (ExitCode::Interrupted | ExitCode::Terminated, _) => EndedBy::Signal,
        (_, Some(errno)) if is_peer_error(errno) => EndedBy::Reset,
        (ExitCode::Partial | ExitCode::Send | ExitCode::Receive, None) => EndedBy::Reset,
        _ => EndedBy::Local,
    }
}
