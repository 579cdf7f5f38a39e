//! Trying again: how often, after which pause, and after which failures.

use std::net::IpAddr;
use std::time::Duration;

use super::connect_event::{ConnectEvent, OnConnectEvent};
use crate::error::{ExitCode, Failure, Phase};
use crate::shutdown::Shutdown;

/// Further rounds after a failed one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry {
    /// How many.
    pub times: u32,
    /// Pause before each.
    pub delay: Duration,
}

/// The rounds of one run.
pub struct RetryState<'a> {
    retry: Retry,
    done: u32,
    stop: &'a Shutdown,
    tell: OnConnectEvent<'a>,
}

impl Retry {
    /// Does `attempt`, again where its failure allows it, until it is done.
    ///
    /// Fails as the last attempt did, or as [`RetryState::follow`].
    pub fn call<T>(
        self,
        stop: &Shutdown,
        tell: OnConnectEvent<'_>,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut rounds = RetryState::new(self, stop, tell);
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) => rounds.backoff(failure)?,
            }
        }
    }
}

impl<'a> RetryState<'a> {
    /// None of them used yet.
    pub fn new(retry: Retry, stop: &'a Shutdown, tell: OnConnectEvent<'a>) -> RetryState<'a> {
        RetryState { retry, done: 0, stop, tell }
    }

    /// Whether a round is left that may follow this failure.
    pub fn can_retry(&self, failure: &Failure) -> bool {
        self.done < self.retry.times && is_transient(failure) && failure.stage != Phase::Socket
    }

    /// Pauses before the next round.
    ///
    /// Fails with `failure` itself when no round may follow it, and at [`Stage::Connect`] when the
    /// run is to end.
    pub fn backoff(&mut self, failure: Failure) -> Result<(), Failure> {
        if !self.can_retry(&failure) {
            return Err(failure);
        }
        self.done += 1;
        (self.tell)(ConnectEvent::Layer(failure.to_string()));
        (self.tell)(ConnectEvent::Retrying(self.done, self.retry.delay));
        let stopped = |reason| Failure::shutdown(Phase::Connect, &failure.endpoint, reason);
        self.stop.sleep(self.retry.delay).map_err(stopped)
    }
}

/// Whether another attempt to connect may succeed. A name that is absent may exist later: that of
/// a container appears when the container starts. The name of a service does not, and an address does
/// not change its family.
pub fn is_transient(failure: &Failure) -> bool {
    match failure.code {
        ExitCode::Connect | ExitCode::Timeout | ExitCode::TryAgain => true,
        ExitCode::Resolve => {
            failure.stage == Phase::Resolve && failure.endpoint.parse::<IpAddr>().is_err()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(times: u32, code: ExitCode) -> (u32, Failure) {
        attempts_at(Phase::Connect, times, code)
    }

    fn attempts_at(stage: Phase, times: u32, code: ExitCode) -> (u32, Failure) {
        let (stop, mut attempts) = (Shutdown::new(None).unwrap(), 0);
        let retry = Retry { times, delay: Duration::ZERO };
        let failed = retry.call::<()>(&stop, &|_| {}, || {
            attempts += 1;
            Err(Failure::new(stage, "db:1", "no").with_code(code))
        });
        (attempts, failed.unwrap_err())
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert_eq!(attempts(3, ExitCode::Connect).0, 4);
        assert_eq!(attempts(0, ExitCode::Connect).0, 1);
        assert_eq!(attempts(3, ExitCode::Tls).0, 1);
        assert_eq!(attempts(1, ExitCode::TryAgain).1.to_string(), "connect db:1: no");
    }

    #[test]
    fn absent_name_is_tried_again_absent_service_is_not() {
        let (tries, failure) = attempts_at(Phase::Resolve, 3, ExitCode::Resolve);
        assert_eq!((tries, failure.code), (4, ExitCode::Resolve));
        assert_eq!(attempts_at(Phase::Port, 3, ExitCode::Resolve).0, 1);
    }

    #[test]
    fn the_end_of_the_run_ends_a_pause() {
        let stop = Shutdown::new(None).unwrap();
        stop.trigger(crate::shutdown::ShutdownReason::Interrupt);
        let retry = Retry { times: 1, delay: Duration::from_secs(20) };
        let refused = || Err::<(), _>(Failure::new(Phase::Connect, "db:1", "no"));
        let failed = retry.call(&stop, &|_| {}, refused).unwrap_err();
        assert_eq!(failed.code, ExitCode::Interrupted);
    }
}
