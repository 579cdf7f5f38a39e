//! The result of a client session.

use std::time::Duration;

use crate::error::{ExitCode, Failure};
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy};
use crate::report::event::{Closed, Event, Role, Stats};

/// The number of a client's only connection.
pub const CONN: u64 = 1;

/// How a session ended.
pub struct SessionResult {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Who or what ended the connection.
    pub by: EndedBy,
    /// The exit code, or what failed.
    pub outcome: Result<ExitCode, Failure>,
    /// The transfer rate over time, for a terminal.
    pub sparkline: Option<String>,
}

impl SessionResult {
    /// The result of a session that could not start.
    pub fn not_started(failure: Failure) -> SessionResult {
        let outcome = Err(failure);
        SessionResult { bytes_in: 0, bytes_out: 0, by: EndedBy::Local, outcome, sparkline: None }
    }

    /// Turns success, or an expectation that was not met, into a failure if the peer's stream was
    /// truncated.
    pub fn check_truncation(&mut self, handle: &ConnectionHandle, info: &ConnectionInfo) {
        let explained = match &self.outcome {
            Ok(_) => true,
            Err(failure) => failure.code == ExitCode::Negative,
        };
        if let Err(failure) = handle.check_truncation(&info.peer, self.bytes_in)
            && explained
        {
            self.by = EndedBy::Reset;
            self.outcome = Err(failure);
        }
    }

    /// The event of the closed connection.
    pub fn closed_event(&self, info: &ConnectionInfo) -> Event {
        let (bytes_in, bytes_out) = (self.bytes_in, self.bytes_out);
        let closed = Closed::new(CONN, info, self.by, Role::Client);
        Event::Closed(Closed { bytes_in, bytes_out, ..closed })
    }

    /// The event of `--stats`; `connect_time` includes name lookup, proxy and TLS.
    pub fn stats_event(&self, info: &ConnectionInfo, connect_time: Duration) -> Event {
        let seconds = info.began.elapsed().as_secs_f64();
        let rate = |bytes: u64| if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
        Event::Stats(Stats {
            conn: CONN,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            seconds,
            rate_in: rate(self.bytes_in),
            rate_out: rate(self.bytes_out),
            connect_milliseconds: connect_time.as_secs_f64() * 1e3,
            ended_by: self.by,
            sparkline: self.sparkline.clone(),
        })
    }
}
