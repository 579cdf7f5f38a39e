//! One URL to its end: redirects, further tries, and what the answer's status means for us.

pub mod binary_body;
pub mod condition;
pub mod connection;
pub mod events;
pub mod limits;
pub mod output;
pub mod partial_file;
pub mod read_watchdog;
pub mod response_handler;
pub mod resume;
pub mod resume_tag;
pub mod retryable;
pub mod speed_limit;
#[cfg(target_os = "linux")]
pub mod splice;
pub mod status_error;
pub mod timings;
pub mod transaction;

use std::time::Duration;

use crate::command::http_get::Args;
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::http::HostOverride;
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
use crate::report::Report;
use crate::report::event::{Closed, Endpoints, Event, Role};
use crate::shutdown::Shutdown;
use condition::Condition;
use connection::HttpConnection;
use output::{BodyOutput, Destination};
use response_handler::BodyHandler;
use resume::ResumePoint;
use timings::Timing;
use transaction::Transaction;

/// What is to be done about an answer, decided at its head.
#[derive(Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Its body is what was asked for.
    Deliver,
    /// It leads elsewhere.
    Redirect(HttpUrl),
    /// It may be better later, after this long if it said so.
    Again(Option<Duration>),
    /// What stands of the file is of no use: ask for all of it.
    Restart,
    /// What stands of the file is all of it.
    AlreadyComplete,
}

/// How one try ended.
enum AttemptOutcome {
    Done(ExitCode),
    Again(Option<Duration>),
}

/// The fetching of one URL.
pub struct Fetch<'a> {
    args: &'a Args,
    start_url: HttpUrl,
    report: &'a Report,
    stop: &'a Shutdown,
    condition: Option<Condition>,
    timing: Timing,
    conn: u64,
    bytes: u64,
    layered: bool,
    /// The proxy that the last request itself went to.
    forward: Option<Proxy>,
    /// What the status of the last answer means where it is 400 or above.
    refusal: Option<Failure>,
}

impl<'a> Fetch<'a> {
    /// The fetching of `home` as `args` say.
    pub fn new(args: &'a Args, home: HttpUrl, report: &'a Report, stop: &'a Shutdown) -> Fetch<'a> {
        let timing = Timing::start();
        let condition = args.asking.time_condition.as_deref().and_then(Condition::read);
        Fetch {
            args,
            start_url: home,
            report,
            stop,
            condition,
            timing,
            conn: 0,
            bytes: 0,
            layered: false,
            forward: None,
            refusal: None,
        }
    }

    /// Gets it to `place`, trying again where that may help.
    ///
    /// Fails at whichever stage it broke; with 22 for a status of 400 or above.
    pub fn get(mut self, place: Destination) -> Result<ExitCode, Failure> {
        let mut output = BodyOutput::new(place, self.report, self.stop);
        self.warn_without_condition(&output);
        let outcome = self.with_retries(&mut output);
        if self.args.saving.stats {
            self.report.emit(&self.timing.event(self.layered, self.bytes));
        }
        match outcome {
            Err(failure) if stdout::is_broken_pipe(&failure) => Ok(ExitCode::Done),
            outcome => outcome,
        }
    }

    /// A file that is to be written may be missing; any other word that is no file is a mistake.
    fn warn_without_condition(&self, output: &BodyOutput) {
        let Some(word) = &self.args.asking.time_condition else { return };
        if self.condition.is_none() && !word.exists() && output.file() != Some(word) {
            let word = word.display();
            self.report.warn(None, format!("--time-condition {word}: neither a file nor a date"));
        }
    }

    fn with_retries(&mut self, output: &mut BodyOutput) -> Result<ExitCode, Failure> {
        let retry = self.args.dialling.retrying.retry();
        let mut round = 0;
        loop {
            let last = round >= retry.times;
            let asked = match self.attempt(output, last) {
                Ok(AttemptOutcome::Done(code)) => return Ok(code),
                Ok(AttemptOutcome::Again(asked)) => asked,
                Err(failure) => {
                    let hopeless = last || output.stdout_written || self.stop.reason().is_some();
                    if hopeless || !retryable::is_retryable(&failure) {
                        return Err(failure);
                    }
                    let stood = matches!(failure.stage, Phase::Send | Phase::Receive);
                    self.report.warn(stood.then_some(self.conn), failure.to_string());
                    None
                }
            };
            round += 1;
            let wait = asked.unwrap_or_default().max(retry.delay);
            self.report.step(|| ConnectEvent::Retrying(round, wait).to_string());
            let stopped = |reason| Failure::shutdown(Phase::Receive, &self.start_url, reason);
            self.stop.sleep(wait).map_err(stopped)?;
        }
    }

    /// One try, over all redirects.
    fn attempt(&mut self, output: &mut BodyOutput, last: bool) -> Result<AttemptOutcome, Failure> {
        let mut link = self.start_url.clone();
        let mut hops = 0;
        let mut standing = match output.file() {
            Some(path) if self.args.saving.resume => ResumePoint::find(path)?,
            _ => None,
        };
        loop {
            let hop = self.request_once(&link, output, standing.as_ref(), last)?;
            match hop {
                (NextAction::Redirect(next), _) => {
                    hops += 1;
                    if hops > self.args.asking.max_redirects {
                        let why = format!("more than {} redirects", hops - 1);
                        let failure = Failure::new(Phase::Receive, &link, why);
                        return Err(failure.with_code(ExitCode::Redirect));
                    }
                    link = next;
                }
                (NextAction::Restart, _) => standing = None,
                (NextAction::Again(asked), _) => return Ok(AttemptOutcome::Again(asked)),
                (NextAction::AlreadyComplete, _) => {
                    if let (Some(standing), Some(path)) = (&standing, output.file()) {
                        standing.promote(path)?;
                    }
                    return Ok(AttemptOutcome::Done(ExitCode::Done));
                }
                (NextAction::Deliver, status) => return self.check_status(&link, status),
            }
        }
    }

    /// What the status of a whole answer means.
    fn check_status(
        &mut self,
        link: &HttpUrl,
        status: Option<u16>,
    ) -> Result<AttemptOutcome, Failure> {
        match status {
            Some(status) if status >= 400 && !self.args.judging.any_status => {
                let refusal = self.refusal.take();
                let failure = refusal.unwrap_or_else(|| status_error::by_status(status, link));
                Err(failure.of_conn(self.conn))
            }
            _ => Ok(AttemptOutcome::Done(ExitCode::Done)),
        }
    }

    /// One exchange with one server.
    fn request_once(
        &mut self,
        link: &HttpUrl,
        output: &mut BodyOutput,
        standing: Option<&ResumePoint>,
        last: bool,
    ) -> Result<(NextAction, Option<u16>), Failure> {
        let (stream, request) = self.connect(link, standing)?;
        self.report.emit(&Event::Connected(Endpoints::new(self.conn, &stream.facts)));
        let limits = self.args.judging.limits();
        let mut wire =
            HttpConnection::new(stream, link.to_string(), limits, self.stop, output.stdout_pipe())?;
        let mut hearer =
            BodyHandler::new(self.args, self.report, link, self.conn, output, standing, last)
                .with_condition(self.condition.as_ref());
        hearer.forward = self.forward.as_ref();
        let read = self.send_and_receive(&mut wire, &request).and_then(|()| {
            let mut exchange =
                Transaction::new(&mut wire, link, self.args.rules(), self.args.saving.raw);
            exchange.read(&mut hearer)
        });
        let refusal = hearer.refusal.take();
        let outcome = hearer.end(read);
        self.refusal = refusal;
        wire.close();
        self.timing.first_byte(wire.first_byte);
        self.bytes += wire.bytes_in;
        self.report.emit(&self.closed(&wire));
        outcome.map_err(|failure| failure.of_conn(self.conn))
    }

    fn send_and_receive(
        &self,
        wire: &mut HttpConnection<'_>,
        request: &[u8],
    ) -> Result<(), Failure> {
        let delay = self.args.asking.delay;
        if !delay.is_zero() {
            let stopped = |reason| Failure::shutdown(Phase::Send, &self.start_url, reason);
            self.stop.sleep(delay).map_err(stopped)?;
        }
        wire.send(request, self.args.asking.half_close)
    }

    /// Connects towards `link`, and says what is to be sent there.
    fn connect(
        &mut self,
        link: &HttpUrl,
        standing: Option<&ResumePoint>,
    ) -> Result<(Stream, Vec<u8>), Failure> {
        let (dial, forward) = self.dial(link)?;
        let request = self.request(link, standing, forward.as_ref()).bytes();
        self.forward = forward;
        self.conn += 1;
        let stream = dial.connect(self.stop, &|step| {
            self.timing.step(&step);
            match step {
                ConnectEvent::Warning(why) => self.report.warn(Some(self.conn), why),
                step => self.report.on_connect_event(step),
            }
        })?;
        self.timing.connected();
        Ok((stream, request))
    }

    /// The call to `link`, and the login for a proxy that gets the request itself.
    fn dial(&mut self, link: &HttpUrl) -> Result<(Dialer, Option<Proxy>), Failure> {
        let (host, port) = (link.host(), link.port());
        let pinned = HostOverride::find(&self.args.asking.resolve, &host, port);
        let address = pinned.map(|pin| pin.address.to_string());
        let named = Endpoint { host: host.clone(), port: port.to_string() };
        let scheme = if link.is_tls() { "https" } else { "http" };
        let route = match &self.args.asking.unix {
            Some(name) => Route::Unix(name.clone()),
            None => self.args.dialling.route(scheme, &named)?,
        };
        let bare = host.split_once('%').map_or(host.as_str(), |(address, _)| address);
        let elsewhere;
        let trust = match link.origin() == self.start_url.origin() {
            true => &self.args.trust,
            false => {
                elsewhere = self.args.trust.without_identity();
                &elsewhere
            }
        };
        let layer = link.is_tls().then(|| trust.layer(bare)).transpose()?;
        self.layered = layer.is_some() || matches!(route, Route::To(_) | Route::Through(_));
        let forward = match &route {
            Route::To(proxy) => Some(proxy.clone()),
            _ => None,
        };
        let endpoint = Endpoint { host: address.unwrap_or(host), ..named };
        let dial = self.args.dialling.dial(endpoint);
        Ok((Dialer { retry: Retry::default(), route, layer, ..dial }, forward))
    }

    fn request<'r>(
        &'r self,
        link: &'r HttpUrl,
        standing: Option<&'r ResumePoint>,
        forward: Option<&Proxy>,
    ) -> Request<'r> {
        let asking = &self.args.asking;
        let user = asking.user.as_ref().or(self.start_url.user());
        let plain = self.args.judging.no_decode
            || self.args.saving.raw
            || self.args.saving.resume
            || asking.range.is_some();
        Request {
            link,
            head: asking.head,
            http10: asking.http10,
            absolute: forward.is_some(),
            same_origin: link.origin() == self.start_url.origin(),
            own: &asking.headers,
            authorization: user.map(|(user, word)| basic_auth(user.as_bytes(), word.as_bytes())),
            proxy_login: forward.and_then(Proxy::authorization),
            range: asking.range.clone().or(standing.and_then(ResumePoint::range)),
            conditions: match (standing, &self.condition) {
                (Some(standing), _) => vec![standing.condition()],
                (None, Some(condition)) => condition.fields(),
                (None, None) => Vec::new(),
            },
            accept_encoding: !plain,
        }
    }

    fn closed(&self, wire: &HttpConnection<'_>) -> Event {
        let facts = wire.facts();
        Event::Closed(Closed {
            conn: self.conn,
            bytes_in: wire.bytes_in,
            bytes_out: wire.bytes_out,
            seconds: facts.began.elapsed().as_secs_f64(),
            local: facts.local.to_string(),
            peer: facts.peer.to_string(),
            ended_by: wire.ended_by,
            exit_status: None,
            saved: None,
            role: Role::Client,
        })
    }
}
