//! The limit over a whole run, and the cord it pulls.

use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::shutdown::Shutdown;

/// The run's cord: pulled by SIGINT, SIGTERM and, if there is a `limit`, by the clock.
///
/// Fails when no pipe can be had for it.
pub fn stop(limit: Option<Duration>) -> Result<Shutdown, Failure> {
    let failed = |e| Failure::local_resource("signals", e);
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let stop = Shutdown::new(deadline).map_err(failed)?;
    crate::process::signals::trigger_on_signals(&stop).map_err(failed)?;
    Ok(stop)
}
