//! Trying again: how often, after which pause, and after which failures.

use std::net::IpAddr;
use std::time::Duration;

use super::connect_event::{Listener, Step};
use crate::error::{Code, Failure, Stage};
use crate::shutdown::Stop;

/// Further rounds after a failed one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry {
    /// How many.
    pub times: u32,
    /// Pause before each.
    pub delay: Duration,
}

/// The rounds of one run.
pub struct Rounds<'a> {
    retry: Retry,
    done: u32,
    stop: &'a Stop,
    tell: Listener<'a>,
}

impl Retry {
    /// Does `attempt`, again where its failure allows it, until it is done.
    ///
    /// Fails as the last attempt did, or as [`Rounds::follow`].
    pub fn call<T>(
        self,
        stop: &Stop,
        tell: Listener<'_>,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut rounds = Rounds::new(self, stop, tell);
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) => rounds.follow(failure)?,
            }
        }
    }
}

impl<'a> Rounds<'a> {
    /// None of them used yet.
    pub fn new(retry: Retry, stop: &'a Stop, tell: Listener<'a>) -> Rounds<'a> {
        Rounds { retry, done: 0, stop, tell }
    }

    /// Whether a round is left that may follow this failure.
    pub fn may_follow(&self, failure: &Failure) -> bool {
        self.done < self.retry.times && is_transient(failure) && failure.stage != Stage::Socket
    }

    /// Pauses before the next round.
    ///
    /// Fails with `failure` itself when no round may follow it, and at [`Stage::Connect`] when the
    /// run is to end.
    pub fn follow(&mut self, failure: Failure) -> Result<(), Failure> {
        if !self.may_follow(&failure) {
            return Err(failure);
        }
        self.done += 1;
        (self.tell)(Step::Layer(failure.to_string()));
        (self.tell)(Step::Retrying(self.done, self.retry.delay));
        let stopped = |reason| Failure::stopped(Stage::Connect, &failure.endpoint, reason);
        self.stop.sleep(self.retry.delay).map_err(stopped)
    }
}

/// Whether another attempt to connect may succeed. A name that is absent may exist later: that of
/// a container appears when the container starts. The name of a service does not, and an address does
/// not change its family.
pub fn is_transient(failure: &Failure) -> bool {
    match failure.code {
        Code::Connect | Code::Timeout | Code::TryAgain => true,
        Code::Resolve => {
            failure.stage == Stage::Resolve && failure.endpoint.parse::<IpAddr>().is_err()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(times: u32, code: Code) -> (u32, Failure) {
        attempts_at(Stage::Connect, times, code)
    }

    fn attempts_at(stage: Stage, times: u32, code: Code) -> (u32, Failure) {
        let (stop, mut attempts) = (Stop::new(None).unwrap(), 0);
        let retry = Retry { times, delay: Duration::ZERO };
        let failed = retry.call::<()>(&stop, &|_| {}, || {
            attempts += 1;
            Err(Failure::new(stage, "db:1", "no").with_code(code))
        });
        (attempts, failed.unwrap_err())
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert_eq!(attempts(3, Code::Connect).0, 4);
        assert_eq!(attempts(0, Code::Connect).0, 1);
        assert_eq!(attempts(3, Code::Tls).0, 1);
        assert_eq!(attempts(1, Code::TryAgain).1.to_string(), "connect db:1: no");
    }

    #[test]
    fn absent_name_is_tried_again_absent_service_is_not() {
        let (tries, failure) = attempts_at(Stage::Resolve, 3, Code::Resolve);
        assert_eq!((tries, failure.code), (4, Code::Resolve));
        assert_eq!(attempts_at(Stage::Port, 3, Code::Resolve).0, 1);
    }

    #[test]
    fn the_end_of_the_run_ends_a_pause() {
        let stop = Stop::new(None).unwrap();
        stop.pull(crate::shutdown::Reason::Interrupt);
        let retry = Retry { times: 1, delay: Duration::from_secs(20) };
        let refused = || Err::<(), _>(Failure::new(Stage::Connect, "db:1", "no"));
        let failed = retry.call(&stop, &|_| {}, refused).unwrap_err();
        assert_eq!(failed.code, Code::Interrupted);
    }
}
