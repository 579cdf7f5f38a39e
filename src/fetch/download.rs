//! Downloads one URL: retries, redirects, and the connection of each exchange.

use std::time::Duration;

use super::condition::Condition;
use super::connection::HttpConnection;
use super::download_state::{DownloadState, DownloadStep, Repeatable};
use super::exchange::Exchange;
use super::limits::Limits;
use super::options::{FetchOptions, HostOverride, ServerRole};
use super::output::BodyOutput;
use super::read_watchdog::Interrupts;
use super::response_handler::{BodyHandler, ExchangeResult};
use super::resume::ResumePoint;
use super::timings::Timing;
use super::transaction::Transaction;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::HttpUrl;
use crate::http::request::{Request, masked_lines};
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
use crate::report::traffic::SentContent;

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

    /// Logs the request, under `-vv`.
    fn log_request(&self, request: &[u8]) {
        if self.context.report.shows_traffic() {
            let lines = masked_lines(request);
            self.context.report.emit(&Event::Request { conn: self.conn, lines });
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

    /// Makes one exchange after the other, as [`DownloadState`] decides.
    fn exchanges(&mut self, output: &mut BodyOutput) -> Result<(), Failure> {
        let mut state = DownloadState::new(self.options, self.start_url.clone());
        let mut resume_point = self.find_resume_point(output)?;
        loop {
            let ended = self.exchange(&state, output, resume_point.as_ref());
            match state.next(ended, self.repeatable(output)) {
                DownloadStep::Request => {}
                DownloadStep::Restart => resume_point = None,
                DownloadStep::Retry { delay, cause } => {
                    // Its partial file is locked.
                    drop(resume_point.take());
                    self.pause(state.retries(), delay, cause)?;
                    resume_point = self.find_resume_point(output)?;
                }
                DownloadStep::Promote => return promote(resume_point, output),
                DownloadStep::Done => return Ok(()),
                DownloadStep::Fail(failure) => return Err(failure),
            }
        }
    }

    fn find_resume_point(&self, output: &BodyOutput) -> Result<Option<ResumePoint>, Failure> {
        match output.file() {
            Some(path) if self.options.output.resume => ResumePoint::find(path),
            _ => Ok(None),
        }
    }

    fn repeatable(&self, output: &BodyOutput) -> Repeatable {
        let is_final = output.stdout_written || self.context.shutdown.reason().is_some();
        if is_final { Repeatable::No } else { Repeatable::Yes }
    }

    /// Waits before retry number `retry`, and logs why it is made.
    fn pause(&self, retry: u32, delay: Duration, cause: Option<Failure>) -> Result<(), Failure> {
        let report = &self.context.report;
        if let Some(failure) = cause {
            let connected = matches!(failure.phase, Phase::Send | Phase::Receive);
            report.warn(connected.then_some(self.conn), failure.to_string());
        }
        report.step(|| ConnectEvent::Retrying(retry, delay).to_string());
        self.sleep(delay, Phase::Receive)
    }

    fn sleep(&self, delay: Duration, phase: Phase) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(phase, &self.start_url, reason);
        self.context.shutdown.sleep(delay).map_err(stopped)
    }

    /// One exchange with one server.
    fn exchange(
        &mut self,
        state: &DownloadState<'_>,
        output: &mut BodyOutput,
        resume_point: Option<&ResumePoint>,
    ) -> Result<ExchangeResult, Failure> {
        let url = state.url();
        let PreparedRequest { stream, bytes, proxy } = self.connect(url, resume_point)?;
        let Context { report, shutdown } = self.context;
        report.emit(&Event::Connected(Endpoints::new(self.conn, &stream.info)));
        let peer = &stream.info.peer;
        let _span = tracing::debug_span!("connection", conn = self.conn, %peer).entered();
        let stream = report.observe(self.conn, stream, SentContent::Hidden);
        let interrupts = Interrupts { shutdown: shutdown.clone(), output: output.stdout_pipe() };
        let limits = Limits::new(&self.options.limits);
        let mut connection = HttpConnection::new(stream, url.to_string(), limits, interrupts)?;
        let exchange = Exchange {
            options: self.options,
            report,
            url,
            conn: self.conn,
            resume_point,
            condition: self.condition.as_ref(),
            proxy: proxy.as_ref(),
            is_last_attempt: state.is_last_attempt(),
            has_file: output.file().is_some(),
        };
        let mut handler = BodyHandler::new(exchange, output);
        let sent = self.send(&mut connection, &bytes);
        let read = sent
            .and_then(|()| Transaction::new(&mut connection, url, self.options).read(&mut handler));
        let result = handler.end(read);
        if let Ok(ExchangeResult { action, .. }) = &result {
            tracing::debug!(%url, action = action.name(), "response");
        }
        self.close(connection);
        result.map_err(|failure| failure.of_conn(self.conn))
    }

    fn close(&mut self, mut connection: HttpConnection) {
        connection.close();
        self.timing.first_byte(connection.first_byte);
        self.bytes += connection.bytes_in;
        self.context.report.emit(&self.closed_event(&connection));
    }

    fn send(&self, connection: &mut HttpConnection, request: &[u8]) -> Result<(), Failure> {
        let options = &self.options.request;
        self.context.report.log_delay(options.delay);
        if !options.delay.is_zero() {
            self.sleep(options.delay, Phase::Send)?;
        }
        self.log_request(request);
        connection.send(request)?;
        if options.half_close && connection.bytes_out == request.len() as u64 {
            connection.half_close();
        }
        Ok(())
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
        self.timing.has_layers =
            layer.is_some() || matches!(route, Route::To(_) | Route::Through(_));
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
            authorization: user
                .map(|login| basic_auth(login.user.as_bytes(), login.password.as_bytes())),
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

    fn closed_event(&self, connection: &HttpConnection) -> Event {
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

/// Gives a partial file that is complete its final name.
fn promote(point: Option<ResumePoint>, output: &BodyOutput) -> Result<(), Failure> {
    match (point, output.file()) {
        (Some(point), Some(path)) => point.promote(path),
        _ => Ok(()),
    }
}
