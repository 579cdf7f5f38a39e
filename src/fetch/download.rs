//! Downloads one URL: retries, redirects, and the connection of each exchange.

use std::time::Duration;

use super::attempts::Attempts;
use super::condition::Condition;
use super::connection::HttpConnection;
use super::exchange::{Exchange, NextAction};
use super::limits::Limits;
use super::options::FetchOptions;
use super::output::BodyOutput;
use super::resume::ResumePoint;
use super::timings::Timing;
use super::transaction::Transaction;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::HttpUrl;
use crate::http::request::masked_lines;
use crate::net::connect_event::ConnectEvent;
use crate::net::proxy::Route;
use crate::net::stdout;
use crate::report::context::Context;
use crate::report::event::{Closed, Endpoints, Event, Role};
use crate::report::traffic::SentContent;

/// The download of one URL.
pub struct Download<'a> {
    /// The report and the end of the run.
    pub context: &'a Context,
    /// The options of the run.
    pub options: &'a FetchOptions,
    /// The URL that the user named.
    pub start_url: HttpUrl,
    /// What the response must be newer than.
    pub condition: Option<Condition>,
    /// The times of its phases.
    pub timing: Timing,
    /// The number of the current connection, from 1.
    pub conn: u64,
    bytes: u64,
}

impl<'a> Download<'a> {
    /// The download of `url`.
    pub fn new(context: &'a Context, options: &'a FetchOptions, url: HttpUrl) -> Download<'a> {
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
    pub fn run(mut self, mut output: BodyOutput) -> Result<ExitCode, Failure> {
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
        let event = ConnectEvent::Retrying(attempts.retries, delay);
        self.context.report.step(|| event.to_string());
        self.sleep(delay, Phase::Receive)
    }

    fn sleep(&self, delay: Duration, phase: Phase) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(phase, &self.start_url, reason);
        self.context.shutdown.sleep(delay).map_err(stopped)
    }

    /// One exchange with one server.
    fn exchange(
        &mut self,
        attempts: &Attempts<'_>,
        output: &mut BodyOutput,
        resume_point: Option<&ResumePoint>,
    ) -> Result<NextAction, Failure> {
        let url = &attempts.url;
        let dialer = self.dialer(url)?;
        let proxy = if let Route::To(proxy) = &dialer.route { Some(proxy) } else { None };
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
        let exchange = Exchange {
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
        let result = sent.and_then(|()| Transaction::new(exchange, &mut connection, output).run());
        self.close(connection);
        result.map_err(|failure| failure.of_conn(self.conn))
    }

    fn close(&mut self, mut connection: HttpConnection) {
        connection.close();
        self.timing.first_byte(connection.first_byte);
        self.bytes += connection.bytes_in;
        let info = &connection.stream.info;
        self.context.report.emit(&Event::Closed(Closed {
            conn: self.conn,
            bytes_in: connection.bytes_in,
            bytes_out: connection.bytes_out,
            seconds: info.began.elapsed().as_secs_f64(),
            local: info.local.to_string(),
            peer: info.peer.to_string(),
            ended_by: connection.ended_by,
            relayed: None,
            exit_status: None,
            saved: None,
            role: Role::Client,
        }));
    }

    fn send(&self, connection: &mut HttpConnection, request: &[u8]) -> Result<(), Failure> {
        let options = &self.options.request;
        let report = &self.context.report;
        report.log_delay(options.delay);
        if !options.delay.is_zero() {
            self.sleep(options.delay, Phase::Send)?;
        }
        if report.shows_traffic() {
            let lines = masked_lines(request);
            report.emit(&Event::Request { conn: self.conn, lines });
        }
        connection.send(request)?;
        if options.half_close && connection.bytes_out == request.len() as u64 {
            connection.half_close();
        }
        Ok(())
    }
}
