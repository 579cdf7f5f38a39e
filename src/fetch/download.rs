//! Downloads one URL: retries, redirects, and the connection of each exchange.

use std::time::Duration;

use super::condition::Condition;
use super::connection::HttpConnection;
use super::exchange::{Exchange, NextAction};
use super::limits::Limits;
use super::options::{FetchOptions, HostOverride, ServerRole};
use super::output::{BodyOutput, Destination};
use super::response_handler::{BodyHandler, ExchangeResult};
use super::resume::ResumePoint;
use super::status;
use super::timings::Timing;
use super::transaction::Transaction;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::HttpUrl;
use crate::http::request::Request;
use crate::net::connect_event::ConnectEvent;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::proxy::basic::basic_auth;
use crate::net::proxy::{Proxy, Route};
use crate::net::retry::Retry;
use crate::net::stdout;
use crate::net::stream::Stream;
use crate::report::context::Context;
use crate::report::event::{Closed, Endpoints, Event, Role};

/// How one try ended.
enum AttemptOutcome {
    Done,
    Retry(Option<Duration>),
}

/// A connection and the request to send over it.
struct PreparedRequest {
    stream: Stream,
    bytes: Vec<u8>,
    /// The proxy that the request itself is sent to.
    proxy: Option<Proxy>,
}

/// The download of one URL.
pub struct Download<'a> {
    context: &'a Context,
    options: &'a FetchOptions,
    start_url: HttpUrl,
    condition: Option<Condition>,
    timing: Timing,
    conn: u64,
    bytes: u64,
    has_layers: bool,
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
            has_layers: false,
        }
    }

    /// Downloads to `destination`, with the retries of the options.
    ///
    /// Fails at the phase of the last exchange; with 22 for a status of 400 or above.
    pub fn run(mut self, destination: Destination) -> Result<ExitCode, Failure> {
        let mut output = BodyOutput::new(destination, self.context);
        self.warn_without_condition(&output);
        let result = self.with_retries(&mut output);
        if self.options.output.stats {
            self.context.report.emit(&self.timing.event(self.has_layers, self.bytes));
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

    fn with_retries(&mut self, output: &mut BodyOutput) -> Result<(), Failure> {
        let retry = &self.options.retry;
        for round in 1.. {
            let is_last = round > retry.times;
            let requested = match self.attempt(output, is_last) {
                Ok(AttemptOutcome::Done) => return Ok(()),
                Ok(AttemptOutcome::Retry(delay)) => delay,
                Err(failure) if is_last || !self.is_retryable(&failure, output) => {
                    return Err(failure);
                }
                Err(failure) => {
                    let connected = matches!(failure.phase, Phase::Send | Phase::Receive);
                    let conn = connected.then_some(self.conn);
                    self.context.report.warn(conn, failure.to_string());
                    None
                }
            };
            let delay = requested.unwrap_or_default().max(retry.delay);
            self.context.report.step(|| ConnectEvent::Retrying(round, delay).to_string());
            self.sleep(delay, Phase::Receive)?;
        }
        Ok(())
    }

    /// Whether a further try may succeed; not when part of the body is on stdout.
    fn is_retryable(&self, failure: &Failure, output: &BodyOutput) -> bool {
        let is_final = output.stdout_written || self.context.shutdown.reason().is_some();
        !is_final && status::is_retryable(failure)
    }

    fn sleep(&self, delay: Duration, phase: Phase) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(phase, &self.start_url, reason);
        self.context.shutdown.sleep(delay).map_err(stopped)
    }

    /// One try, with all redirects.
    fn attempt(
        &mut self,
        output: &mut BodyOutput,
        is_last: bool,
    ) -> Result<AttemptOutcome, Failure> {
        let mut url = self.start_url.clone();
        let mut redirects = 0;
        let mut resume_point = match output.file() {
            Some(path) if self.options.output.resume => ResumePoint::find(path)?,
            _ => None,
        };
        loop {
            let result = self.request_once(&url, output, resume_point.as_ref(), is_last)?;
            match result.action {
                NextAction::Redirect(next) => {
                    redirects += 1;
                    self.check_redirects(redirects, &url)?;
                    url = next;
                }
                NextAction::Restart => resume_point = None,
                NextAction::Retry(delay) => return Ok(AttemptOutcome::Retry(delay)),
                NextAction::AlreadyComplete => {
                    if let (Some(point), Some(path)) = (&resume_point, output.file()) {
                        point.promote(path)?;
                    }
                    return Ok(AttemptOutcome::Done);
                }
                NextAction::Deliver(_) => return self.check_status(result.status_error),
            }
        }
    }

    fn check_redirects(&self, count: u32, url: &HttpUrl) -> Result<(), Failure> {
        let max = self.options.request.max_redirects;
        if count <= max {
            return Ok(());
        }
        let failure = Failure::new(Phase::Receive, url, format!("more than {max} redirects"));
        Err(failure.with_code(ExitCode::Redirect))
    }

    /// Returns the failure of a complete response with a status of 400 or above.
    fn check_status(&self, status_error: Option<Failure>) -> Result<AttemptOutcome, Failure> {
        match status_error {
            Some(failure) if !self.options.response.any_status => Err(failure.of_conn(self.conn)),
            _ => Ok(AttemptOutcome::Done),
        }
    }

    /// One exchange with one server.
    fn request_once(
        &mut self,
        url: &HttpUrl,
        output: &mut BodyOutput,
        resume_point: Option<&ResumePoint>,
        is_last_try: bool,
    ) -> Result<ExchangeResult, Failure> {
        let PreparedRequest { stream, bytes, proxy } = self.connect(url, resume_point)?;
        let Context { report, shutdown } = self.context;
        report.emit(&Event::Connected(Endpoints::new(self.conn, &stream.info)));
        let limits = Limits::new(&self.options.limits);
        let mut connection =
            HttpConnection::new(stream, url.to_string(), limits, shutdown, output.stdout_pipe())?;
        let exchange = Exchange {
            options: self.options,
            report,
            url,
            conn: self.conn,
            resume_point,
            condition: self.condition.as_ref(),
            proxy: proxy.as_ref(),
            is_last_try,
            has_file: output.file().is_some(),
        };
        let mut handler = BodyHandler::new(exchange, output);
        let read = self.send(&mut connection, &bytes).and_then(|()| {
            let parser = self.options.response.parser.clone();
            let raw = self.options.output.raw;
            Transaction::new(&mut connection, url, parser, raw).read(&mut handler)
        });
        let result = handler.end(read);
        connection.close();
        self.timing.first_byte(connection.first_byte);
        self.bytes += connection.bytes_in;
        report.emit(&self.closed_event(&connection));
        result.map_err(|failure| failure.of_conn(self.conn))
    }

    fn send(&self, connection: &mut HttpConnection<'_>, request: &[u8]) -> Result<(), Failure> {
        let options = &self.options.request;
        if !options.delay.is_zero() {
            self.sleep(options.delay, Phase::Send)?;
        }
        connection.send(request, options.half_close)
    }

    /// Connects to the server of `url`, or to the proxy before it.
    fn connect(
        &mut self,
        url: &HttpUrl,
        resume_point: Option<&ResumePoint>,
    ) -> Result<PreparedRequest, Failure> {
        let dialer = self.dialer(url)?;
        let proxy = match &dialer.route {
            Route::To(proxy) => Some(proxy.clone()),
            _ => None,
        };
        let bytes = self.request(url, resume_point, proxy.as_ref()).bytes();
        self.conn += 1;
        let report = &self.context.report;
        let stream = dialer.connect(&self.context.shutdown, &|step| {
            self.timing.step(&step);
            match step {
                ConnectEvent::Warning(text) => report.warn(Some(self.conn), text),
                step => report.on_connect_event(step),
            }
        })?;
        self.timing.connected();
        Ok(PreparedRequest { stream, bytes, proxy })
    }

    fn dialer(&mut self, url: &HttpUrl) -> Result<Dialer, Failure> {
        let (host, port) = (url.host(), url.port());
        let named = Endpoint { host: host.clone(), port: port.to_string() };
        let connector = &self.options.connector;
        let route = connector.route(if url.is_tls() { "https" } else { "http" }, &named)?;
        let role =
            if self.is_start_origin(url) { ServerRole::Named } else { ServerRole::Redirected };
        let bare = host.split_once('%').map_or(host.as_str(), |(address, _)| address);
        let layer = url.is_tls().then(|| connector.tls(bare, role)).transpose()?;
        self.has_layers = layer.is_some() || matches!(route, Route::To(_) | Route::Through(_));
        let entry = HostOverride::find(&self.options.request.host_overrides, &host, port);
        let host = entry.map_or(host, |entry| entry.address.to_string());
        let dialer = connector.dialer(Endpoint { host, ..named });
        Ok(Dialer { retry: Retry::default(), route, layer, ..dialer })
    }

    /// Whether `url` has the origin that the user named.
    fn is_start_origin(&self, url: &HttpUrl) -> bool {
        url.origin() == self.start_url.origin()
    }

    fn request<'r>(
        &'r self,
        url: &'r HttpUrl,
        resume_point: Option<&'r ResumePoint>,
        proxy: Option<&Proxy>,
    ) -> Request<'r> {
        let FetchOptions { request: options, response, output, .. } = self.options;
        let user = options.user.as_ref().or(self.start_url.user());
        let wants_plain =
            !response.parser.decode || output.raw || output.resume || options.range.is_some();
        Request {
            url,
            head: options.head,
            http10: options.http10,
            absolute: proxy.is_some(),
            same_origin: self.is_start_origin(url),
            custom_headers: &options.headers,
            authorization: user.map(|(user, word)| basic_auth(user.as_bytes(), word.as_bytes())),
            proxy_authorization: proxy.and_then(Proxy::authorization),
            range: options.range.clone().or(resume_point.and_then(ResumePoint::range)),
            conditions: match (resume_point, &self.condition) {
                (Some(point), _) => vec![point.condition()],
                (None, Some(condition)) => condition.fields(),
                (None, None) => Vec::new(),
            },
            accept_encoding: !wants_plain,
        }
    }

    fn closed_event(&self, connection: &HttpConnection<'_>) -> Event {
        let info = connection.info();
        Event::Closed(Closed {
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
        })
    }
}
