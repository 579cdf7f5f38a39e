//! The datagram server: starts it, runs it to its end, and chooses the exit code.

mod delay_queue;
mod exec;
pub mod handler;
mod incoming;
mod log;
pub mod options;
pub mod print;
mod rate_limit;
mod reply_policy;
mod run;
mod stats;

use socket2::Socket;

use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout;
use crate::process::groups;
use crate::process::systemd;
use crate::report::context::Context;
use crate::report::event::Event;
use crate::shutdown::ShutdownReason;
use options::DatagramServerOptions;
use run::DatagramServer;

/// Serves datagrams on a bound UDP or Unix `socket` until shutdown, a limit, or the end of stdout,
/// and emits the totals.
///
/// Fails at [`Phase::Bind`] if the socket is not bound, at [`Phase::Stdout`] if payloads cannot be
/// printed, and at [`Phase::Listen`] with 28 after `options.accept_timeout` without a datagram.
pub fn serve(
    socket: Socket,
    options: DatagramServerOptions,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut server = DatagramServer::open(socket, options, context)?;
    systemd::notify_ready();
    groups::reap_orphans();
    let outcome = server.run();
    systemd::notify_stopping();
    let closed = server.close();
    context.report.emit(&Event::Totals(server.totals()));
    let reason = match outcome {
        Err(failure) if stdout::is_broken_pipe(&failure) => None,
        Err(failure) => return Err(failure),
        Ok(reason) => reason.or(closed.interrupted_by),
    };
    match reason {
        None => Ok(ExitCode::Done),
        Some(ShutdownReason::Interrupt) => Ok(ExitCode::Interrupted),
        Some(ShutdownReason::Terminate) if closed.work_dropped => Ok(ExitCode::Terminated),
        Some(ShutdownReason::Terminate) => Ok(ExitCode::Done),
        Some(reason @ ShutdownReason::Deadline) => {
            Err(Failure::shutdown(Phase::Listen, server.local(), reason))
        }
    }
}
