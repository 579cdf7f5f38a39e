//! Runs a check: workers make the attempts, the calling thread hands over the results.

use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::options::CheckOptions;
use super::outcome::outcome;
use super::target::CheckTarget;
use super::verdict::TargetVerdict;
use super::workers::Workers;
use crate::error::{ExitCode, Failure, Phase};
use crate::poll::clear;
use crate::report::context::Context;
use crate::shutdown::{Shutdown, WaitOutcome};

/// Receives all targets of the run, and verdicts in the order of the targets, those that are known at a
/// time together.
pub type OnResults<'a> = &'a mut dyn FnMut(&[CheckTarget], &[TargetVerdict]) -> Result<(), Failure>;

/// Checks all targets. The exit code is 0 when enough of them have the wanted state, else that of
/// the first which has not.
///
/// Fails with 28 when the time limit of a wait passes, with 130 or 143 at a signal, with 1 if no
/// thread can be created, and as `on_results` does.
pub fn run(
    context: &Context,
    options: CheckOptions,
    on_results: OnResults<'_>,
) -> Result<ExitCode, Failure> {
    let workers = Workers::start(options, &context.report).map_err(no_resource)?;
    let reported = report_all(&workers, &context.shutdown, on_results);
    workers.prober.stop();
    reported.and_then(|()| outcome(&workers.prober.options, &workers.lock().schedule))
}

fn no_resource(error: std::io::Error) -> Failure {
    Failure::local_resource("check", error)
}

/// What the calling thread has to do next.
struct Ready {
    results: Vec<TargetVerdict>,
    is_over: bool,
    next_check: Option<Instant>,
}

/// Hands over all results.
fn report_all(
    workers: &Workers,
    shutdown: &Shutdown,
    on_results: OnResults<'_>,
) -> Result<(), Failure> {
    loop {
        // Set before the results are taken, so that one in between writes to the pipe.
        workers.wake_on_result();
        let ready = take_results(workers);
        if !ready.results.is_empty() {
            on_results(&workers.prober.options.targets, &ready.results)?;
        }
        if ready.is_over {
            return Ok(());
        }
        let mut fds = [PollFd::from_borrowed_fd(workers.wake_rx(), PollFlags::IN)];
        match shutdown.wait_any(&mut fds, ready.next_check).map_err(no_resource)? {
            WaitOutcome::Shutdown(reason) => {
                return Err(Failure::shutdown(Phase::Connect, "-", reason));
            }
            WaitOutcome::Ready(_) => clear(workers.wake_rx()),
            WaitOutcome::TimedOut => {}
        }
    }
}

fn take_results(workers: &Workers) -> Ready {
    let now = Instant::now();
    let schedule = &mut workers.lock().schedule;
    let is_over = schedule.is_over(now);
    let mut results: Vec<_> = std::iter::from_fn(|| schedule.take_decided()).collect();
    if is_over {
        results.extend(std::iter::from_fn(|| schedule.take_rest()));
    }
    Ready { results, is_over, next_check: schedule.next_check(now) }
}
