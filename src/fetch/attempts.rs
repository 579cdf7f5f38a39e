//! The attempts and redirects of one download.

use std::time::Duration;

use super::options::FetchOptions;
use super::status;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::HttpUrl;

/// The attempts and redirects of one download. Each attempt begins with the first URL.
pub struct Attempts<'a> {
    options: &'a FetchOptions,
    start_url: HttpUrl,
    /// The URL to request next.
    pub url: HttpUrl,
    redirects: u32,
    /// The number of retries that have begun.
    pub retries: u32,
}

impl<'a> Attempts<'a> {
    pub fn new(options: &'a FetchOptions, url: HttpUrl) -> Attempts<'a> {
        Attempts { options, start_url: url.clone(), url, redirects: 0, retries: 0 }
    }

    /// Whether no attempt follows the current one.
    pub fn is_last(&self) -> bool {
        self.retries >= self.options.retry.max_retries
    }

    /// Whether an attempt follows one that failed in this way.
    pub fn can_retry(&self, failure: &Failure) -> bool {
        !self.is_last() && status::is_retryable(failure)
    }

    /// Follows a redirect to `url`. Fails with 47 on more than `--max-redirects`.
    pub fn redirect(&mut self, url: HttpUrl) -> Result<(), Failure> {
        let max = self.options.request.max_redirects;
        self.redirects += 1;
        if self.redirects > max {
            let why = format!("more than {max} redirects");
            let failure = Failure::new(Phase::Receive, &self.url, why);
            return Err(failure.with_code(ExitCode::Redirect));
        }
        self.url = url;
        Ok(())
    }

    /// Begins the next attempt; returns the delay before it, at least `min_delay`.
    pub fn retry(&mut self, min_delay: Duration) -> Duration {
        self.retries += 1;
        self.redirects = 0;
        self.url = self.start_url.clone();
        min_delay.max(self.options.retry.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::tests::options;
    use crate::net::retry::RetryPolicy;

    fn url(text: &str) -> HttpUrl {
        HttpUrl::parse(text, &|_| Ok(80)).unwrap()
    }

    #[test]
    fn redirects_of_each_attempt_are_counted_anew() {
        let mut options = options();
        options.request.max_redirects = 1;
        options.retry = RetryPolicy { max_retries: 1, delay: Duration::from_secs(1) };
        let mut attempts = Attempts::new(&options, url("http://h/a"));
        attempts.redirect(url("http://h/b")).unwrap();
        assert_eq!(attempts.url.to_string(), "http://h/b");
        assert_eq!(attempts.retry(Duration::from_secs(3)), Duration::from_secs(3));
        assert_eq!((attempts.url.to_string().as_str(), attempts.retries), ("http://h/a", 1));
        attempts.redirect(url("http://h/b")).unwrap();
        let failure = attempts.redirect(url("http://h/c")).unwrap_err();
        assert_eq!(failure.code, ExitCode::Redirect);
    }

    #[test]
    fn failure_that_may_pass_is_retried_before_the_last_attempt() {
        for (max_retries, code, is_retried) in [
            (1, ExitCode::Partial, true),
            (0, ExitCode::Partial, false),
            (1, ExitCode::Protocol, false),
        ] {
            let mut options = options();
            options.retry = RetryPolicy { max_retries, delay: Duration::ZERO };
            let attempts = Attempts::new(&options, url("http://h/"));
            let failure = Failure::new(Phase::Receive, "h", "why").with_code(code);
            assert_eq!(attempts.can_retry(&failure), is_retried, "{failure}");
        }
    }
}
