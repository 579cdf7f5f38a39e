//! Retries: how many, after which delay, and after which failures.

use std::net::IpAddr;
use std::time::Duration;

use super::socket_event::{OnSocketEvent, SocketEvent};
use crate::error::{ExitCode, Failure, Phase};
use crate::shutdown::Shutdown;

/// The retry policy of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryPolicy {
    /// Maximum number of retries.
    pub max_retries: u32,
    /// Delay before each.
    pub delay: Duration,
}

/// The retries of a run so far.
pub struct RetryState<'a> {
    retry: RetryPolicy,
    done: u32,
    shutdown: &'a Shutdown,
    emit: OnSocketEvent<'a>,
}

impl RetryPolicy {
    /// Calls `attempt` until it succeeds, as long as its failure may be retried.
    ///
    /// Fails as the last attempt did, or as [`RetryState::wait_before_retry`].
    pub fn call<T>(
        self,
        shutdown: &Shutdown,
        emit: OnSocketEvent<'_>,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut state = RetryState::new(self, shutdown, emit);
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) => state.wait_before_retry(failure)?,
            }
        }
    }
}

impl<'a> RetryState<'a> {
    /// The state before the first attempt.
    pub fn new(
        retry: RetryPolicy,
        shutdown: &'a Shutdown,
        emit: OnSocketEvent<'a>,
    ) -> RetryState<'a> {
        RetryState { retry, done: 0, shutdown, emit }
    }

    /// Whether another attempt may follow this failure.
    pub fn can_retry(&self, failure: &Failure) -> bool {
        self.done < self.retry.max_retries && is_transient(failure)
    }

    /// Waits for the delay before the next attempt.
    ///
    /// Fails with `failure` itself when no attempt may follow it, and at [`Phase::Connect`] when the
    /// run is to end.
    pub fn wait_before_retry(&mut self, failure: Failure) -> Result<(), Failure> {
        if !self.can_retry(&failure) {
            return Err(failure);
        }
        self.done += 1;
        let delay = self.retry.delay.as_secs_f64();
        tracing::debug!(retry = self.done, of = self.retry.max_retries, delay, "will be retried");
        (self.emit)(SocketEvent::Layer(failure.to_string()));
        (self.emit)(SocketEvent::Retrying(self.done, self.retry.delay));
        let cancelled = |reason| Failure::shutdown(Phase::Connect, &failure.target, reason);
        self.shutdown.sleep(self.retry.delay).map_err(cancelled)
    }
}

/// Whether another attempt to connect may succeed. A name that is absent may exist later: that of
/// a container appears when the container starts. The name of a service does not, an address does not
/// change its family, and the local system refuses a socket or its options again.
pub fn is_transient(failure: &Failure) -> bool {
    match failure.code {
        _ if failure.phase == Phase::Socket => false,
        ExitCode::Connect | ExitCode::Timeout | ExitCode::TryAgain => true,
        ExitCode::Resolve => {
            failure.phase == Phase::Resolve && failure.target.parse::<IpAddr>().is_err()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(max_retries: u32, code: ExitCode) -> (u32, Failure) {
        attempts_at(Phase::Connect, max_retries, code)
    }

    fn attempts_at(phase: Phase, max_retries: u32, code: ExitCode) -> (u32, Failure) {
        let (shutdown, mut attempts) = (Shutdown::new(None).unwrap(), 0);
        let retry = RetryPolicy { max_retries, delay: Duration::ZERO };
        let failed = retry.call::<()>(&shutdown, &|_| {}, || {
            attempts += 1;
            Err(Failure::new(phase, "db:1", "no").with_code(code))
        });
        (attempts, failed.unwrap_err())
    }

    #[test]
    fn only_transient_failures_are_retried() {
        assert_eq!(attempts(3, ExitCode::Connect).0, 4);
        assert_eq!(attempts(0, ExitCode::Connect).0, 1);
        assert_eq!(attempts(3, ExitCode::Tls).0, 1);
        assert_eq!(attempts_at(Phase::Socket, 3, ExitCode::Connect).0, 1);
        assert_eq!(attempts(1, ExitCode::TryAgain).1.to_string(), "connect db:1: no");
    }

    #[test]
    fn absent_name_is_retried_absent_service_is_not() {
        let (tries, failure) = attempts_at(Phase::Resolve, 3, ExitCode::Resolve);
        assert_eq!((tries, failure.code), (4, ExitCode::Resolve));
        assert_eq!(attempts_at(Phase::Port, 3, ExitCode::Resolve).0, 1);
    }

    #[test]
    fn shutdown_ends_the_delay() {
        let shutdown = Shutdown::new(None).unwrap();
        shutdown.trigger(crate::shutdown::ShutdownReason::Interrupt);
        let retry = RetryPolicy { max_retries: 1, delay: Duration::from_secs(20) };
        let refused = || Err::<(), _>(Failure::new(Phase::Connect, "db:1", "no"));
        let failed = retry.call(&shutdown, &|_| {}, refused).unwrap_err();
        assert_eq!(failed.code, ExitCode::Interrupted);
    }
}
