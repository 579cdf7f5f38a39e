//! The context of a run.

use std::time::{Duration, Instant};

use super::Report;
use crate::error::Failure;
use crate::process::signals::trigger_on_signals;
use crate::shutdown::Shutdown;

/// Where events go, and what ends the run early. Clones share both.
#[derive(Clone)]
pub struct Context {
    /// Log lines and events.
    pub report: Report,
    /// Triggered by SIGINT, SIGTERM and the time limit of the run.
    pub shutdown: Shutdown,
}

impl Context {
    /// A context whose run may take as long as `limit`, or without a limit.
    ///
    /// Fails at `Phase::Socket` when no wake pipe can be created, or no signal
    /// handler installed.
    pub fn new(report: &Report, limit: Option<Duration>) -> Result<Context, Failure> {
        let failed = |e| Failure::local_resource("signals", e);
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let shutdown = Shutdown::new(deadline).map_err(failed)?;
        trigger_on_signals(&shutdown).map_err(failed)?;
        Ok(Context { report: report.clone(), shutdown })
    }
}
