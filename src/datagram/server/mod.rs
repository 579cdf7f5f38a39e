//! The datagram server: starts it, and runs it to its end.
//!
//! The path of one datagram: `run` waits for the socket and for what is due next, and receives a
//! batch with one recvmmsg(2). `dispatch` takes each group of the batch, which is one datagram, or
//! several of one sender that the kernel merged. `log` counts it, and logs and dumps it where that
//! is shown. A truncated datagram is dropped; another is printed, discarded or answered, as the
//! [`handler`] says. `reply_policy` decides how many of a group are answered: none to a source that
//! would answer in turn, and no more than `rate_limit` allows. The handler adds their replies to
//! those of the batch, which are sent with one sendmmsg(2), from the address that was sent to; what
//! was sent is counted and logged by the socket. With `--delay` the datagrams wait in `delay_queue`
//! first, and a program of `exec` sends its output itself. ICMP errors are counted after each
//! receive. `ending` has the reasons for which the loop ends.

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

use std::sync::Arc;

use socket2::Socket;

use crate::datagram::DatagramSocket;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout::Stdout;
use crate::process::orphans;
use crate::process::systemd;
use crate::report::context::Context;
use options::DatagramServerOptions;
use run::DatagramServer;

/// Serves datagrams on a bound UDP or Unix `socket` until shutdown, a limit, or the end of stdout,
/// and emits the totals.
///
/// Fails at [`Phase::Bind`] if the socket is not bound, at [`Phase::Stdout`] if payloads cannot be
/// printed, and at [`Phase::Listen`] with 28 at a time limit.
pub fn serve(
    socket: Socket,
    options: DatagramServerOptions,
    context: &Context,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let socket = DatagramSocket::for_server(socket, options.recv_buffer, context)
        .map_err(|e| Failure::new(Phase::Bind, "-", e))?;
    let socket = Arc::new(DatagramSocket { dump: options.hex.clone(), ..socket });
    let mut server = DatagramServer::new(&socket, options, &context.report, stdout);
    systemd::notify_ready();
    orphans::start_reaper();
    let outcome = server.run();
    systemd::notify_stopping();
    server.close(outcome)
}
