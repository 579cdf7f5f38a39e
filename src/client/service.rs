//! A service on a connection that was made here, in place of stdin and stdout.

use std::thread;

use super::result::{CONN, SessionResult};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::activity::Activity;
use crate::net::stream::{EndedBy, Stream};
use crate::report::context::Context;
use crate::report::event::{Endpoints, Event};
use crate::service::{Connection, Service};

/// Connects by `connect`, and serves the connection to its end.
///
/// Fails at the phase that broke, and with 130 or 143 at a signal, which closes the connection.
pub fn serve(
    context: &Context,
    service: impl Service,
    connect: impl FnOnce() -> Result<Stream, Failure>,
) -> Result<ExitCode, Failure> {
    let stream = connect()?;
    let (info, handle) = (stream.info.clone(), stream.handle.clone());
    context.report.emit(&Event::Connected(Endpoints::new(CONN, &info)));
    let shutdown = context.shutdown.clone();
    let abort = move || {
        // It runs until the shutdown, or the end of the process.
        let _ = shutdown.wait_any(&mut [], None);
        handle.abort();
    };
    let watch = thread::Builder::new().name("shutdown".into()).stack_size(64 << 10).spawn(abort);
    watch.map_err(|e| Failure::local_resource(&info.peer, e))?;
    let mut connection =
        Connection::new(CONN, stream, Activity::default(), context.shutdown.clone());
    let outcome = service.serve(&mut connection);
    service.close();
    let result = SessionResult {
        bytes_in: connection.bytes_in,
        bytes_out: connection.bytes_out,
        by: outcome.as_ref().map_or(EndedBy::Local, |outcome| outcome.by),
        outcome: outcome.map(|_| ExitCode::Done),
        sparkline: None,
    };
    context.report.emit(&result.closed_event(&info));
    if let Some(reason) = context.shutdown.reason() {
        return Err(Failure::shutdown(Phase::Receive, &info.peer, reason));
    }
    result.outcome
}
