//! Stream servers, for tcp-server and unix-server: an accept loop with limits, a service for each
//! connection, and an exit code.

pub mod accept_backoff;
pub mod accept_loop;
pub mod access;
pub mod connection_handler;
pub mod connection_tracker;
pub mod limits;
pub mod per_ip_limit;
pub mod thread_pool;

use std::sync::Arc;

use crate::error::{ExitCode, Failure, Phase};
use crate::net::layer::{self, Layer};
use crate::net::listen::Listener;
use crate::process::orphans;
use crate::process::systemd;
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::Event;
use crate::report::hexdump::ServerDump;
use crate::service::Service;
use crate::shutdown::ShutdownReason;
use accept_loop::{AcceptLoop, ServeOutcome};
use connection_handler::ConnectionHandler;
use limits::ServerLimits;

/// What a server of streams is started with.
pub struct ServerOptions {
    /// The listening socket.
    pub listener: Listener,
    /// Limits and access rules.
    pub limits: ServerLimits,
    /// What is done with each connection.
    pub service: Box<dyn Service>,
    /// The layer around each connection: TLS.
    pub layer: Option<Arc<dyn Layer>>,
    /// The hex dump of all connections.
    pub hex_dump: Option<ServerDump>,
}

/// Serves until the limits, a signal or a failure of the listener end it.
///
/// Fails as [`AcceptLoop::run`] does. With a limit of one connection, its failure is that of the
/// run.
pub fn run(context: &Context, options: ServerOptions) -> Result<ExitCode, Failure> {
    let Context { report, shutdown } = context;
    let is_single = options.limits.max_accepts == Some(1);
    let service_stack = options.limits.stack_size.unwrap_or(options.service.stack_size());
    let stack_size = service_stack + layer::stack_size(options.layer.as_ref());
    let handler = ConnectionHandler::new(context, options.service, options.layer, is_single);
    let handler = Arc::new(handler.with_hex_dump(options.hex_dump));
    let local = options.listener.local.to_string();
    let accept_loop =
        AcceptLoop::new(options.listener, options.limits, stack_size, handler.clone())?;
    report.emit(&Event::Listening { local: local.clone(), awaited: "connection" });
    systemd::notify_ready();
    orphans::start_reaper();
    let connections = accept_loop.connections.clone();
    let outcome = accept_loop.run(shutdown);
    handler.service.close();
    // Their threads may have waited for what the service has stopped now, such as programs.
    connections.wait_for_closed_service();
    match outcome? {
        ServeOutcome::Completed if is_single => {
            handler.take_failure().map_or(Ok(ExitCode::Done), Err)
        }
        ServeOutcome::Completed => Ok(ExitCode::Done),
        ServeOutcome::Stopped { reason: ShutdownReason::Deadline, .. } => {
            Err(Failure::shutdown(Phase::Listen, local, ShutdownReason::Deadline))
        }
        ServeOutcome::Stopped { reason, resets } => Ok(exit_code(reason, resets, report)),
    }
}

/// The exit code of a run that a signal ended; warns of connections that were reset.
fn exit_code(reason: ShutdownReason, resets: usize, report: &Report) -> ExitCode {
    if resets > 0 {
        let connections = if resets == 1 { "connection was" } else { "connections were" };
        report.warn(None, format!("{resets} {connections} reset at shutdown"));
    }
    match (reason, resets) {
        (ShutdownReason::Interrupt, _) => ExitCode::Interrupted,
        (_, 0) => ExitCode::Done,
        (_, 1..) => ExitCode::Terminated,
    }
}

#[cfg(test)]
mod tests;
