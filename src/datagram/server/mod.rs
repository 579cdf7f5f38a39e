//! Running a server of datagrams: what it needs, how it begins, and what its end means.

pub mod delay_queue;
pub mod exec;
pub mod handler;
pub mod log;
pub mod print;
pub mod rate_limit;
pub mod reply_policy;
pub mod run;
pub mod stats;

use std::time::Duration;

use socket2::Socket;

use super::listen::Handler;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout;
use crate::process::groups;
use crate::process::systemd;
use crate::report::Report;
use crate::report::event::Event;
use crate::shutdown::{Shutdown, ShutdownReason};
use run::DatagramServer;

/// Everything a run of a server of datagrams needs, decided.
#[derive(Debug)]
pub struct ServerConfig {
    /// Bound, UDP or Unix.
    pub socket: Socket,
    /// The user has chosen the size of its receive buffer.
    pub keep_recv_buffer: bool,
    /// What is done with each datagram.
    pub duty: Handler,
    /// Answers a second to one source; 0 = no limit.
    pub max_rate: u32,
    /// Leave after so many datagrams.
    pub max_datagrams: Option<u64>,
    /// Leave when nothing has come for this long.
    pub accept_timeout: Option<Duration>,
    /// Time before each answer.
    pub delay: Duration,
    /// How long programs may still take when the run is to end.
    pub grace: Duration,
}

/// Serves until a signal, the limit or a failed stdout ends it, and tells the totals.
///
/// Fails at [`Stage::Bind`] on a socket that is not bound, at [`Stage::Stdout`] when payloads
/// cannot be printed, at [`Stage::Listen`] with 28 when nothing has come for `plan.quiet`.
pub fn serve(plan: ServerConfig, report: &Report, stop: &Shutdown) -> Result<ExitCode, Failure> {
    let mut office = DatagramServer::open(plan, report, stop)?;
    systemd::notify_ready();
    groups::reap_orphans();
    let outcome = office.serve();
    systemd::notify_stopping();
    let closed = office.close();
    report.emit(&Event::Totals(office.totals()));
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
        Some(ShutdownReason::Deadline) => {
            Err(Failure::shutdown(Phase::Listen, office.local(), ShutdownReason::Deadline))
        }
    }
}
