//! What a download does after each exchange: redirects, retries, and what the partial file is for.

use std::time::Duration;

use super::exchange::{ExchangeResult, NextAction};
use super::options::FetchOptions;
use super::status;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::HttpUrl;

/// What a download does next.
#[derive(Debug)]
pub enum DownloadStep {
    /// Sends a request for [`DownloadState::url`].
    Request,
    /// Sends it again, without the partial file.
    Restart,
    /// Starts over with the first URL.
    Retry {
        /// After this time.
        delay: Duration,
        /// The failure that is the reason, if it is one.
        cause: Option<Failure>,
    },
    /// Gives the partial file, which is complete, its final name. The download succeeded.
    Promote,
    /// Ends successfully.
    Done,
    /// Ends with this failure.
    Fail(Failure),
}

/// Whether a further attempt is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeatable {
    /// It is.
    Yes,
    /// It is not: the run is shut down, or a part of the response is on stdout.
    No,
}

/// The attempts and redirects of one download.
///
/// | how the exchange ended | what follows |
/// |---|---|
/// | complete, below 400 (or `--any-status`) | `Done` |
/// | complete, 400 or above | `Fail` (22) |
/// | the file is complete already | `Promote` |
/// | redirect, at most `--max-redirects` of them | `Request` the new URL |
/// | redirect beyond that | `Fail` (47) |
/// | the partial file cannot be continued | `Restart` |
/// | 408, 429, 500, 502, 503, 504 before the last attempt | `Retry`, not before Retry-After |
/// | transient failure before the last attempt, repeatable | `Retry` with its cause |
/// | any other failure | `Fail` |
pub struct DownloadState<'a> {
    options: &'a FetchOptions,
    start_url: HttpUrl,
    url: HttpUrl,
    redirects: u32,
    /// The current attempt, counted from 1.
    attempt: u32,
}

impl<'a> DownloadState<'a> {
    /// The state before the first request for `url`.
    pub fn new(options: &'a FetchOptions, url: HttpUrl) -> DownloadState<'a> {
        DownloadState { options, start_url: url.clone(), url, redirects: 0, attempt: 1 }
    }

    /// The URL to request next.
    pub fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// The number of retries that have begun.
    pub fn retries(&self) -> u32 {
        self.attempt - 1
    }

    /// Whether no attempt follows the current one.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt > self.options.retry.times
    }

    /// Decides what follows an exchange.
    pub fn next(
        &mut self,
        ended: Result<ExchangeResult, Failure>,
        repeatable: Repeatable,
    ) -> DownloadStep {
        let ExchangeResult { action, status_error } = match ended {
            Ok(result) => result,
            Err(failure) => return self.after_failure(failure, repeatable),
        };
        match (action, status_error) {
            (NextAction::Redirect(url), _) => self.redirect(url),
            (NextAction::Restart, _) => DownloadStep::Restart,
            (NextAction::Retry(delay), _) => self.retry(delay.unwrap_or_default(), None),
            (NextAction::AlreadyComplete, _) => DownloadStep::Promote,
            (NextAction::Deliver(_), Some(failure)) if !self.options.response.any_status => {
                DownloadStep::Fail(failure)
            }
            (NextAction::Deliver(_), _) => DownloadStep::Done,
        }
    }

    fn redirect(&mut self, url: HttpUrl) -> DownloadStep {
        let max = self.options.request.max_redirects;
        self.redirects += 1;
        if self.redirects > max {
            let why = format!("more than {max} redirects");
            let failure = Failure::new(Phase::Receive, &self.url, why);
            return DownloadStep::Fail(failure.with_code(ExitCode::Redirect));
        }
        self.url = url;
        DownloadStep::Request
    }

    fn after_failure(&mut self, failure: Failure, repeatable: Repeatable) -> DownloadStep {
        let is_final = self.is_last_attempt() || repeatable == Repeatable::No;
        if is_final || !status::is_retryable(&failure) {
            return DownloadStep::Fail(failure);
        }
        self.retry(Duration::ZERO, Some(failure))
    }

    fn retry(&mut self, min_delay: Duration, cause: Option<Failure>) -> DownloadStep {
        self.attempt += 1;
        self.redirects = 0;
        self.url = self.start_url.clone();
        DownloadStep::Retry { delay: min_delay.max(self.options.retry.delay), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::tests::options;
    use crate::net::retry::Retry;

    fn url(text: &str) -> HttpUrl {
        HttpUrl::parse(text, &|_| Ok(80)).unwrap()
    }

    fn result(action: NextAction) -> Result<ExchangeResult, Failure> {
        Ok(ExchangeResult { action, status_error: None })
    }

    fn failure(code: ExitCode) -> Failure {
        Failure::new(Phase::Receive, "h", "why").with_code(code)
    }

    #[test]
    fn every_end_of_an_exchange_has_its_next_step() {
        let mut options = options();
        options.request.max_redirects = 1;
        options.retry = Retry { times: 1, delay: Duration::from_secs(1) };
        let mut state = DownloadState::new(&options, url("http://h/a"));
        let step = |state: &mut DownloadState<'_>, ended| state.next(ended, Repeatable::Yes);
        let to = |text| result(NextAction::Redirect(url(text)));

        assert!(matches!(step(&mut state, to("http://h/b")), DownloadStep::Request));
        assert_eq!(state.url().to_string(), "http://h/b");
        assert!(matches!(step(&mut state, result(NextAction::Restart)), DownloadStep::Restart));
        let promote = step(&mut state, result(NextAction::AlreadyComplete));
        assert!(matches!(promote, DownloadStep::Promote));
        assert!(matches!(step(&mut state, result(NextAction::Deliver(None))), DownloadStep::Done));

        let wait = Some(Duration::from_secs(3));
        let retry = step(&mut state, result(NextAction::Retry(wait)));
        let DownloadStep::Retry { delay, cause: None } = retry else { panic!("{retry:?}") };
        assert_eq!((Some(delay), state.url().to_string().as_str()), (wait, "http://h/a"));
        // The redirects of each attempt are counted anew.
        assert!(matches!(step(&mut state, to("http://h/b")), DownloadStep::Request));
        let DownloadStep::Fail(last) = step(&mut state, to("http://h/c")) else { panic!() };
        assert_eq!(last.code, ExitCode::Redirect);
    }

    #[test]
    fn failure_is_retried_only_if_it_may_pass_and_nothing_was_written() {
        for (times, code, repeatable, retries) in [
            (1, ExitCode::Partial, Repeatable::Yes, true),
            (0, ExitCode::Partial, Repeatable::Yes, false),
            (1, ExitCode::Partial, Repeatable::No, false),
            (1, ExitCode::Protocol, Repeatable::Yes, false),
        ] {
            let mut options = options();
            options.retry = Retry { times, delay: Duration::ZERO };
            let mut state = DownloadState::new(&options, url("http://h/"));
            let next = state.next(Err(failure(code)), repeatable);
            assert_eq!(
                matches!(next, DownloadStep::Retry { cause: Some(_), .. }),
                retries,
                "{next:?}"
            );
            assert_eq!(state.retries(), u32::from(retries));
        }
    }

    #[test]
    fn error_status_fails_unless_any_status() {
        for (any_status, fails) in [(false, true), (true, false)] {
            let mut options = options();
            options.response.any_status = any_status;
            let mut state = DownloadState::new(&options, url("http://h/"));
            let status_error = Some(failure(ExitCode::Status));
            let ended = ExchangeResult { action: NextAction::Deliver(None), status_error };
            let next = state.next(Ok(ended), Repeatable::Yes);
            assert_eq!(matches!(next, DownloadStep::Fail(_)), fails, "{next:?}");
        }
    }
}
