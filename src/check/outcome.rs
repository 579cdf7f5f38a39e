//! The outcome of a check: its exit code, or the error of a wait.

use std::time::Duration;

use super::options::{CheckOptions, Repeat, Until};
use super::schedule::Schedule;
use super::verdict::{TargetVerdict, Verdict};
use crate::error::{ExitCode, Failure};

/// Targets that the error of a wait names.
const MAX_NAMED: usize = 4;

/// The exit code of the run, or the failure of a wait.
///
/// Fails with 28 when the time limit of a wait has passed.
pub fn outcome<D>(options: &CheckOptions, schedule: &Schedule<D>) -> Result<ExitCode, Failure> {
    let mut missing = schedule.missing();
    let first = missing.next().filter(|_| !schedule.is_met());
    match (first, options.goal.repeat) {
        (None, _) => Ok(ExitCode::Done),
        (Some(TargetVerdict { target, verdict }), Repeat::Wait { limit: Some(limit), .. }) => {
            let others: Vec<_> = missing.collect();
            let cause = wait_cause(options, &verdict, limit, &others);
            let target = &options.targets[target];
            Err(Failure::new(verdict.phase, target, cause).with_code(ExitCode::Timeout))
        }
        (Some(missing), _) => Ok(missing.verdict.exit_code()),
    }
}

/// The cause of a failed wait: `not open after 15s: Connection refused; also missing: …`.
fn wait_cause(
    options: &CheckOptions,
    first: &Verdict,
    limit: Duration,
    others: &[TargetVerdict],
) -> String {
    let wanted = match options.goal.until {
        Until::Open => "open",
        Until::Closed => "closed",
    };
    let limit = humantime::format_duration(limit);
    let mut cause = format!("not {wanted} after {limit}: {}", first.reason());
    for (n, TargetVerdict { target, verdict }) in others.iter().take(MAX_NAMED - 1).enumerate() {
        let separator = if n == 0 { "; also " } else { ", " };
        let target = &options.targets[*target];
        cause += &format!("{separator}{target}: {}", verdict.reason_with_phase());
    }
    match others.len().saturating_sub(MAX_NAMED - 1) {
        0 => cause,
        more => format!("{cause} and {more} more"),
    }
}
