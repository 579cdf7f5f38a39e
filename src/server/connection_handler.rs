//! Serves accepted connections: handshake, service, and the events about both.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connection_tracker::TrackedConnection;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::{Closed, Endpoints, Event, Level, Relayed, Role, Side};
use crate::report::hexdump::ServerDump;
use crate::report::traffic::SentContent;
use crate::service::connection::HalfCloseHook;
use crate::service::{Connection, Service, ServiceOutcome};

/// The connection handler of a server of streams; all connections share it.
pub struct ConnectionHandler {
    /// What is done with each connection.
    pub service: Box<dyn Service>,
    layer: Option<Arc<dyn Layer>>,
    /// The hex dump of all connections.
    hex_dump: Option<ServerDump>,
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

/// An accepted connection; emits its `closed` event when dropped, also after a panic.
struct OpenConnection<'a> {
    connection: Connection,
    report: &'a Report,
    relays: bool,
    outcome: ServiceOutcome,
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        if !self.report.is_enabled(Level::Normal) {
            return;
        }
        let Connection { conn, bytes_in, bytes_out, .. } = self.connection;
        let (bytes_to_target, bytes_to_client) = (bytes_in, bytes_out);
        self.report.emit(&Event::Closed(Closed {
            bytes_in,
            bytes_out,
            relayed: self.relays.then_some(Relayed { bytes_to_target, bytes_to_client }),
            exit_status: self.outcome.exit_status,
            saved: self.outcome.saved.take(),
            ..Closed::new(conn, self.connection.info(), self.outcome.by, Role::Server)
        }));
    }
}

impl ConnectionHandler {
    /// A handler that runs `service` behind `layer` for each connection.
    pub fn new(
        context: &Context,
        service: Box<dyn Service>,
        layer: Option<Arc<dyn Layer>>,
        is_single: bool,
    ) -> ConnectionHandler {
        let (context, span) = (context.clone(), tracing::Span::current());
        let (hex_dump, failure) = (None, Mutex::new(None));
        ConnectionHandler { service, layer, hex_dump, context, span, is_single, failure }
    }

    /// The same handler, which dumps all connections.
    pub fn with_hex_dump(self, hex_dump: Option<ServerDump>) -> ConnectionHandler {
        ConnectionHandler { hex_dump, ..self }
    }

    /// Serves one connection until it is closed, on the connection's own thread.
    pub fn serve(&self, stream: Stream, tracked: TrackedConnection) {
        let (conn, peer) = (tracked.conn, &stream.info.peer);
        let span = tracing::debug_span!(parent: &self.span, "connection", conn, %peer);
        let _span = span.entered();
        self.log_accepted(conn, &stream);
        let Context { report, shutdown } = &self.context;
        let activity = tracked.activity.clone();
        // Dropped before `tracked`: the event is emitted before the server counts the close.
        let mut open = OpenConnection {
            connection: Connection::new(conn, stream, activity, shutdown.clone()),
            report,
            relays: self.service.relays(),
            outcome: EndedBy::Local.into(),
        };
        open.outcome = self.serve_connection(&mut open.connection, &tracked);
        // If the shutdown closed the connection, its reason is what ended it.
        if let Some(reason) = shutdown.reason()
            && open.connection.stream.handle.closed_locally()
            && matches!(open.outcome.by, EndedBy::Reset | EndedBy::Signal)
        {
            open.outcome.by = reason.into();
        }
    }

    /// Whether a connection counts towards the limit of the complete run when it is accepted; else
    /// it does after the layer's handshake.
    pub fn counts_on_accept(&self) -> bool {
        self.layer.is_none()
    }

    /// Called when a connection was closed because of an access rule or the limit per address.
    pub fn on_rejected(&self, peer: &Address, why: &str) {
        self.context.report.warn(None, format!("rejected {peer}: {why}"));
    }

    /// Called when a connection was lost to a shortage of descriptors, memory or threads.
    pub fn on_accept_failed(&self, failure: Failure) {
        if self.counts_on_accept() {
            self.record_failure(None, failure, ErrorLine::Print);
        } else {
            self.context.report.failure(None, &failure);
        }
    }

    /// Called when accept(2) begins to fail, once per series of failures.
    pub fn on_warning(&self, message: String) {
        self.context.report.warn(None, message);
    }

    // What runs before and after the service is not inlined, so that it has no stack while the service
    // waits: an idle connection has 11 KiB instead of 15.

    /// Performs the handshake and runs the service; returns how both ended.
    #[inline(never)]
    fn serve_connection(
        &self,
        connection: &mut Connection,
        tracked: &TrackedConnection,
    ) -> ServiceOutcome {
        let conn = connection.conn;
        if let Some(layer) = &self.layer {
            if let Err(failure) = self.handshake(layer.as_ref(), connection) {
                let is_by_peer = failure.is_peer_close();
                if is_by_peer && self.is_drained(connection) {
                    return EndedBy::Signal.into();
                }
                // It does not count, so its failure is not that of the run either.
                self.context.report.failure(Some(conn), &failure);
                let by = if is_by_peer { EndedBy::Peer } else { EndedBy::from(&failure) };
                return by.into();
            }
            tracked.count();
        }
        if self.hex_dump.is_some() || self.context.report.shows_traffic() {
            self.observe(connection);
        }
        let outcome = self.run_service(connection);
        connection.stream.handle.observe_close();
        outcome.unwrap_or_else(|failure| self.on_failure(tracked, failure))
    }

    /// Whether the shutdown of the run has closed the connection.
    fn is_drained(&self, connection: &Connection) -> bool {
        self.context.shutdown.reason().is_some() && connection.stream.handle.closed_locally()
    }

    /// Puts `layer` around the stream.
    #[inline(never)]
    fn handshake(&self, layer: &dyn Layer, connection: &mut Connection) -> Result<(), Failure> {
        let (conn, peer) = (connection.conn, connection.info().peer.to_string());
        let log = |event| self.context.report.on_socket_event_of(conn, &peer, event);
        connection.stream = layer.wrap(
            connection.take_stream(),
            &HandshakeContext {
                target: peer.clone(),
                deadline: None,
                timeout: Duration::ZERO,
                shutdown: None,
                activity: Some(&connection.activity),
                emit: &log,
            },
        )?;
        Ok(())
    }

    /// Adds the observers of `-vv` and `--hex`.
    #[inline(never)]
    fn observe(&self, connection: &mut Connection) {
        let (conn, stream) = (connection.conn, connection.take_stream());
        let stream = self.context.report.observe(conn, stream, SentContent::Shown);
        connection.stream = match &self.hex_dump {
            Some(hex_dump) => hex_dump.observe(conn, stream),
            None => stream,
        };
    }

    #[inline(never)]
    fn log_accepted(&self, conn: u64, stream: &Stream) {
        let report = &self.context.report;
        if report.is_enabled(Level::Normal) {
            let resources = report.is_verbose().then(|| resources(stream));
            let ends = Endpoints::new(conn, &stream.info);
            report.emit(&Event::Accepted(Endpoints { resources, ..ends }));
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
    #[inline(never)]
    fn on_failure(&self, tracked: &TrackedConnection, failure: Failure) -> ServiceOutcome {
        // The shutdown of the run ended it early, without a reply to its last request.
        if failure.code == ExitCode::Terminated {
            tracked.count_reset();
        }
        let by = EndedBy::from(&failure);
        let is_transfer = matches!(failure.phase, Phase::Send | Phase::Shutdown | Phase::Receive);
        let line = match by {
            EndedBy::Local => ErrorLine::Print,
            _ if is_transfer => ErrorLine::Omit,
            _ => ErrorLine::Print,
        };
        if let (ErrorLine::Omit, Some(reason)) = (line, failure.reason()) {
            self.context.report.step(|| format!("{failure}; {reason}"));
        }
        self.record_failure(Some(tracked.conn), failure, line);
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
