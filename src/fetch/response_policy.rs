//! Decides at the head of a response what is done about it.

use std::time::Duration;

use super::condition::Condition;
use super::options::FetchOptions;
use super::resume::ResumePoint;
use super::resume_tag::Validators;
use super::status;
use crate::error::Failure;
use crate::http::range::{self, RangeSpec, ShortRange};
use crate::http::{Error, Head, HttpUrl, redirect};
use crate::net::proxy::Proxy;
use crate::report::Report;

/// What is done about a response, decided at its head.
#[derive(Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Its body is written. A 206 may end before the requested range does.
    Deliver(Option<ShortRange>),
    /// Another URL is requested.
    Redirect(HttpUrl),
    /// The URL is requested again, not before this delay if the response has one.
    Retry(Option<Duration>),
    /// The URL is requested again without the partial file.
    Restart,
    /// The file is already complete.
    AlreadyComplete,
}

impl NextAction {
    /// The kind of action, for the trace.
    pub fn name(&self) -> &'static str {
        match self {
            NextAction::Deliver(_) => "deliver",
            NextAction::Redirect(_) => "redirect",
            NextAction::Retry(_) => "retry",
            NextAction::Restart => "restart",
            NextAction::AlreadyComplete => "already complete",
        }
    }
}

/// One request, and what its response is compared to.
pub struct ResponsePolicy<'a> {
    pub options: &'a FetchOptions,
    /// Receives warnings and the event of the head.
    pub report: &'a Report,
    pub url: &'a HttpUrl,
    pub conn: u64,
    /// The bytes of an earlier run that the request continues.
    pub resume_point: Option<&'a ResumePoint>,
    pub condition: Option<&'a Condition>,
    /// The proxy that the request itself was sent to.
    pub proxy: Option<&'a Proxy>,
    /// No retry follows.
    pub is_last_attempt: bool,
    /// The body is saved in a file.
    pub has_file: bool,
}

impl ResponsePolicy<'_> {
    /// Decides what is done about the response with `head` and `length` bytes of body.
    ///
    /// Fails at [`Phase::Receive`](crate::error::Phase::Receive): 47 for a redirect that is not
    /// followed, 8 for the wrong range, 22 for an error page that would replace a file.
    pub fn next_action(&self, head: &Head, length: Option<u64>) -> Result<NextAction, Failure> {
        if self.options.output.raw {
            return Ok(NextAction::Deliver(None));
        }
        if let Some(url) = self.redirect(head).map_err(|error| error.failure(self.url))? {
            return Ok(NextAction::Redirect(url));
        }
        if !self.is_last_attempt && status::is_retryable_status(head.status) {
            return Ok(NextAction::Retry(status::retry_after(head)));
        }
        let restarts = head.status == 416 && self.resume_point.is_some_and(|p| !p.is_complete());
        if self.is_refused(head.status) && !restarts {
            return Err(self.error_page(head));
        }
        let action = match self.resume_point {
            Some(point) => self.resume_action(head, length, point),
            None => self.first_action(head),
        };
        action.map_err(|error| error.failure(self.url))
    }

    /// Whether a response of this status fails and is not saved: it describes an error and would
    /// replace a file.
    pub fn is_refused(&self, status: u16) -> bool {
        status >= 400 && !self.options.response.any_status && self.has_file
    }

    pub fn warn(&self, text: &str) {
        self.report.warn(Some(self.conn), format!("{}: {text}", self.url));
    }

    /// The target of a redirect that is followed; fails with 47 on one from https to http unless
    /// allowed.
    fn redirect(&self, head: &Head) -> Result<Option<HttpUrl>, Error> {
        let request = &self.options.request;
        if request.max_redirects == 0 {
            return Ok(None);
        }
        match redirect::target(head, self.url)? {
            Some(to) if self.url.is_tls() && !to.is_tls() && !request.allow_downgrade => {
                let text = format!("redirect from https to {to} (--allow-downgrade permits it)");
                Err(Error::redirect(text))
            }
            target => Ok(target),
        }
    }

    fn error_page(&self, head: &Head) -> Failure {
        let failure = status::server_error(head, self.url, self.proxy);
        if self.options.request.head || failure.hint.is_some() {
            return failure;
        }
        failure.with_hint("--any-status saves the error page")
    }

    /// The action for a request without a resume point.
    fn first_action(&self, head: &Head) -> Result<NextAction, Error> {
        let short = self.check_range(head)?;
        // A server without conditional requests sends what it has, however old it is.
        let condition = self.condition.filter(|_| head.status == 200);
        if condition.is_some_and(|condition| condition.covers(&Validators::load(head))) {
            return Ok(NextAction::AlreadyComplete);
        }
        Ok(NextAction::Deliver(short))
    }

    fn check_range(&self, head: &Head) -> Result<Option<ShortRange>, Error> {
        match (&self.options.request.range, head.status) {
            (Some(range), 206) => return range::check_range(head, range.spec),
            (Some(_), 200) => self.warn("the server ignored the range and sends the complete body"),
            (None, 206) => self.warn("the server sends a range that was not requested"),
            _ => {}
        }
        Ok(None)
    }

    /// The action for a request that continues `point`.
    fn resume_action(
        &self,
        head: &Head,
        length: Option<u64>,
        point: &ResumePoint,
    ) -> Result<NextAction, Error> {
        let received = Validators::load(head);
        match head.status {
            206 if point.is_complete() => Err(Error::protocol("206 to a request without a range")),
            206 => {
                let short = range::check_range(head, RangeSpec::From(point.length, None))?;
                if point.is_stale(&received) || is_encoded(head) {
                    self.warn("the file has changed on the server: downloading it from the start");
                    return Ok(NextAction::Restart);
                }
                Ok(NextAction::Deliver(short))
            }
            416 => {
                let total = range::content_range(head)?.and_then(|range| range.total);
                if total == Some(point.length) && !point.is_stale(&received) {
                    return Ok(NextAction::AlreadyComplete);
                }
                self.warn(CANNOT_CONTINUE);
                Ok(NextAction::Restart)
            }
            200 if !is_encoded(head) && point.is_all_of(&received, length) => {
                Ok(NextAction::AlreadyComplete)
            }
            200..=299 => {
                self.warn(CANNOT_CONTINUE);
                Ok(NextAction::Deliver(None))
            }
            _ => Ok(NextAction::Deliver(None)),
        }
    }
}

/// The warning before a download starts over.
const CANNOT_CONTINUE: &str =
    "the file has changed on the server, or cannot be continued: downloading it from the start";

/// Whether the body has a content coding.
pub fn is_encoded(head: &Head) -> bool {
    !head.tokens("content-encoding").is_empty()
}
