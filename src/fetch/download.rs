//! Downloads one URL: retries, redirects, and the connection of each exchange.

mod connect;

use std::time::Duration;

use super::attempts::Attempts;
use super::condition::Condition;
use super::connection::HttpConnection;
use super::limits::Limits;
use super::options::FetchOptions;
use super::output::{BodyOutput, Destination};
use super::response_policy::{NextAction, ResponsePolicy};
use super::response_reader::ResponseReader;
use super::resume::ResumePoint;
use super::timings::Timing;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::HttpUrl;
use crate::net::route::Route;
use crate::net::socket_event::SocketEvent;
use crate::net::stdout::{self, Stdout};
use crate::report::context::Context;
use crate::report::event::{Endpoints, Event};
use crate::report::traffic::SentContent;

/// Downloads each URL in turn to its destination. The first failure decides the exit code, further
/// ones are printed.
pub fn run(
    context: &Context,
    options: &FetchOptions,
    downloads: Vec<(HttpUrl, Destination)>,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let mut first = Ok(ExitCode::Done);
    for (url, destination) in downloads {
        let output = BodyOutput::new(destination, stdout, context);
        let result = Download::new(context, options, url).run(output);
        match (&first, result) {
            (Ok(_), result) => first = result,
            (Err(_), Err(failure)) => context.report.failure(None, &failure),
            (Err(_), Ok(_)) => {}
        }
        if context.shutdown.reason().is_some() {
            break;
        }
    }
    first
}

/// The download of one URL.
pub struct Download<'a> {
    pub context: &'a Context,
    pub options: &'a FetchOptions,
    /// The URL that the user named.
    pub start_url: HttpUrl,
    /// What the response must be newer than.
    pub condition: Option<Condition>,
    pub timing: Timing,
    /// The number of the current connection, from 1.
    pub conn: u64,
    /// Bytes received, over all connections.
    pub bytes: u64,
}

impl<'a> Download<'a> {
    fn new(context: &'a Context, options: &'a FetchOptions, url: HttpUrl) -> Download<'a> {
        Download {
            context,
            options,
            start_url: url,
            condition: options.request.time_condition.as_deref().and_then(Condition::read),
            timing: Timing::start(),
            conn: 0,
            bytes: 0,
        }
    }

    /// Downloads to `output`, with the retries of the options.
    ///
    /// Fails at the phase of the last exchange; with 22 for a status of 400 or above.
    fn run(mut self, mut output: BodyOutput) -> Result<ExitCode, Failure> {
        self.warn_without_condition(&output);
        let result = self.exchanges(&mut output);
        if self.options.output.stats {
            self.context.report.emit(&self.timing.event(self.bytes));
        }
        match result {
            Err(failure) if !stdout::is_broken_pipe(&failure) => Err(failure),
            _ => Ok(ExitCode::Done),
        }
    }

    /// The file to write may be missing; any other value that is no file is a mistake.
    fn warn_without_condition(&self, output: &BodyOutput) {
        let Some(value) = &self.options.request.time_condition else { return };
        if self.condition.is_none() && !value.exists() && output.file() != Some(value) {
            let text = format!("--time-condition {}: neither a file nor a date", value.display());
            self.context.report.warn(None, text);
        }
    }

    /// Makes one exchange after the other.
    ///
    /// | how the exchange ended | what follows |
    /// |---|---|
    /// | complete, below 400 (or `--any-status`) | success |
    /// | complete, 400 or above | failure (22) |
    /// | the file is complete already | the partial file takes its final name |
    /// | redirect, at most `--max-redirects` of them | the new URL; failure (47) beyond that |
    /// | the partial file cannot be continued | the same URL without it |
    /// | 408, 429, 500, 502, 503, 504 before the last attempt | a retry, not before Retry-After |
    /// | transient failure before the last attempt, nothing on stdout | a retry |
    /// | any other failure | failure |
    fn exchanges(&mut self, output: &mut BodyOutput) -> Result<(), Failure> {
        let mut attempts = Attempts::new(self.options, self.start_url.clone());
        let mut resume_point = self.find_resume_point(output)?;
        loop {
            let ended = self.exchange(&attempts, output, resume_point.as_ref());
            let is_final = output.stdout_written || self.context.shutdown.reason().is_some();
            let min_delay = match ended {
                Ok(NextAction::Deliver(_)) => return Ok(()),
                Ok(NextAction::AlreadyComplete) => match (resume_point, output.file()) {
                    (Some(point), Some(path)) => return point.promote(path),
                    _ => return Ok(()),
                },
                Ok(NextAction::Redirect(url)) => {
                    attempts.redirect(url)?;
                    continue;
                }
                Ok(NextAction::Restart) => {
                    resume_point = None;
                    continue;
                }
                Ok(NextAction::Retry(delay)) => delay.unwrap_or_default(),
                Err(failure) if is_final || !attempts.can_retry(&failure) => return Err(failure),
                Err(failure) => {
                    self.warn_of_retry(&failure);
                    Duration::ZERO
                }
            };
            // Its partial file is locked.
            drop(resume_point.take());
            self.retry(&mut attempts, min_delay)?;
            resume_point = self.find_resume_point(output)?;
        }
    }

    fn find_resume_point(&self, output: &BodyOutput) -> Result<Option<ResumePoint>, Failure> {
        match output.file() {
            Some(path) if self.options.output.resume => ResumePoint::find(path),
            _ => Ok(None),
        }
    }

    fn warn_of_retry(&self, failure: &Failure) {
        let connected = matches!(failure.phase, Phase::Send | Phase::Receive);
        self.context.report.warn(connected.then_some(self.conn), failure.to_string());
    }

    /// Begins the next attempt, after its delay.
    fn retry(&self, attempts: &mut Attempts<'_>, min_delay: Duration) -> Result<(), Failure> {
        let delay = attempts.retry(min_delay);
        let event = SocketEvent::Retrying(attempts.retries, delay);
        self.context.report.step(|| event.to_string());
        self.sleep(delay, Phase::Receive)
    }

    /// Sleeps at `phase`, unless the run is to end.
    pub fn sleep(&self, delay: Duration, phase: Phase) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(phase, &self.start_url, reason);
        self.context.shutdown.sleep(delay).map_err(stopped)
    }

    fn exchange(
        &mut self,
        attempts: &Attempts<'_>,
        output: &mut BodyOutput,
        resume_point: Option<&ResumePoint>,
    ) -> Result<NextAction, Failure> {
        let url = &attempts.url;
        let dialer = self.dialer(url)?;
        let proxy = if let Route::ForwardProxy(proxy) = &dialer.route { Some(proxy) } else { None };
        let request = self.request(url, resume_point, proxy).bytes();
        let stream = self.connect(&dialer)?;
        let Context { report, shutdown } = self.context;
        report.emit(&Event::Connected(Endpoints::new(self.conn, &stream.info)));
        let peer = &stream.info.peer;
        let _span = tracing::debug_span!("connection", conn = self.conn, %peer).entered();
        let stream = report.observe(self.conn, stream, SentContent::Hidden);
        let limits = Limits::new(&self.options.limits);
        let mut connection = HttpConnection::new(stream, url.to_string(), limits, shutdown.clone());
        connection.stdout = output.stdout_pipe();
        let policy = ResponsePolicy {
            options: self.options,
            report,
            url,
            conn: self.conn,
            resume_point,
            condition: self.condition.as_ref(),
            proxy,
            is_last_attempt: attempts.is_last(),
            has_file: output.file().is_some(),
        };
        let sent = self.send(&mut connection, &request);
        let result = sent.and_then(|()| ResponseReader::new(policy, &mut connection, output).run());
        self.close(connection);
        result.map_err(|failure| failure.of_conn(self.conn))
    }
}
