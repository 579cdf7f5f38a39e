//! One attempt to connect to an endpoint: its limits, and its failures.

use std::io;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::socket_event::{OnSocketEvent, SocketEvent};
use crate::error::{ExitCode, Failure, Phase};
use crate::poll::earliest;
use crate::resolver::Deadline;
use crate::shutdown::{Shutdown, ShutdownReason};

/// One attempt to connect: name, TCP and layers together.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The endpoint that failures name.
    pub endpoint: &'a Endpoint,
    /// The limit of this attempt, and the moment it passes.
    pub timeout: Option<Duration>,
    pub timeout_at: Option<Instant>,
    pub shutdown: &'a Shutdown,
    pub emit: OnSocketEvent<'a>,
}

impl<'a> Attempt<'a> {
    /// An attempt that begins now.
    pub fn new(
        endpoint: &'a Endpoint,
        timeout: Option<Duration>,
        shutdown: &'a Shutdown,
        emit: OnSocketEvent<'a>,
    ) -> Attempt<'a> {
        let timeout_at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Attempt { endpoint, timeout, timeout_at, shutdown, emit }
    }

    /// The limit of this attempt, or the end of the run if that comes first.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.timeout_at, self.shutdown.deadline())
    }

    /// The same for the resolver.
    pub fn resolve_deadline(&self) -> Deadline<'a> {
        Deadline::from(self.deadline()).or(self.shutdown)
    }

    /// Emits a line of a layer.
    pub fn log(&self, text: String) {
        (self.emit)(SocketEvent::Layer(text));
    }

    /// The failure to connect.
    pub fn failed(&self, error: io::Error) -> Failure {
        let failure = Failure::new(Phase::Connect, self.endpoint, error);
        // tcp(7), `tcp_syn_retries`: the kernel's own time limit.
        match failure.errno() {
            Some(libc::ETIMEDOUT) => failure.with_code(ExitCode::Timeout),
            _ => failure,
        }
    }

    /// The run ends while connecting.
    pub fn cancelled(&self, reason: ShutdownReason) -> Failure {
        Failure::shutdown(Phase::Connect, self.endpoint, reason)
    }

    /// The deadline has passed: that of this attempt, or that of the run.
    pub fn timed_out(&self) -> Failure {
        match (self.timeout, self.timeout_at) {
            (Some(timeout), Some(at)) if at <= Instant::now() => {
                Failure::timeout(Phase::Connect, self.endpoint, timeout)
            }
            _ => self.cancelled(ShutdownReason::Deadline),
        }
    }
}
