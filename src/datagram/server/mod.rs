//! The datagram server: starts it, and runs it to its end.

mod delay_queue;
mod dispatch;
mod ending;
mod exec;
pub mod handler;
mod incoming;
mod log;
pub mod options;
pub mod print;
mod rate_limit;
mod reply_policy;
mod run;

use socket2::Socket;

use crate::error::{ExitCode, Failure};
use crate::net::stdout::Stdout;
use crate::process::orphans;
use crate::process::systemd;
use crate::report::context::Context;
use options::DatagramServerOptions;
use run::DatagramServer;

/// Serves datagrams on a bound UDP or Unix `socket` until shutdown, a limit, or the end of stdout,
/// and emits the totals.
///
/// Fails at [`Phase::Bind`](crate::error::Phase::Bind) if the socket is not bound, at
/// [`Phase::Stdout`](crate::error::Phase::Stdout) if payloads cannot be printed, and at
/// [`Phase::Listen`](crate::error::Phase::Listen) with 28 at a time limit.
pub fn serve(
    socket: Socket,
    options: DatagramServerOptions,
    context: &Context,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let mut server = DatagramServer::open(socket, options, context, stdout)?;
    systemd::notify_ready();
    orphans::start_reaper();
    let outcome = server.run();
    systemd::notify_stopping();
    server.close(outcome)
}
