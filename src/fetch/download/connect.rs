//! The connection of one exchange: connecting, the request that is sent over it, closing.

use super::Download;
use crate::error::{Failure, Phase};
use crate::fetch::connection::HttpConnection;
use crate::fetch::options::{FetchOptions, HostOverride, ServerRole};
use crate::fetch::resume::ResumePoint;
use crate::http::HttpUrl;
use crate::http::request::{Request, masked_lines};
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::proxy::Proxy;
use crate::net::proxy::basic::basic_auth;
use crate::net::retry::RetryPolicy;
use crate::net::route::Route;
use crate::net::socket_event::SocketEvent;
use crate::net::stream::Stream;
use crate::report::event::{Closed, Event, Role};

impl Download<'_> {
    /// Connects to the server of a URL, or to the proxy before it.
    pub fn connect(&mut self, dialer: &Dialer) -> Result<Stream, Failure> {
        self.conn += 1;
        let report = &self.context.report;
        let stream = dialer.connect(&self.context.shutdown, &|step| {
            self.timing.step(&step);
            match step {
                SocketEvent::Warning(text) => report.warn(Some(self.conn), text),
                step => report.on_socket_event(step),
            }
        })?;
        self.timing.connected();
        Ok(stream)
    }

    /// Decides how the server of `url` is reached.
    ///
    /// Fails with 2 on a malformed proxy or TLS option, with 26 on a file that cannot be read.
    pub fn dialer(&mut self, url: &HttpUrl) -> Result<Dialer, Failure> {
        let (host, port) = (url.host(), url.port());
        let named = Endpoint { host: host.clone(), port: port.to_string() };
        let connector = &self.options.connector;
        let route = connector.route(if url.is_tls() { "https" } else { "http" }, &named)?;
        let role =
            if self.is_start_origin(url) { ServerRole::Named } else { ServerRole::Redirected };
        let bare = host.split_once('%').map_or(host.as_str(), |(address, _)| address);
        let layer = url.is_tls().then(|| connector.tls(bare, role)).transpose()?;
        self.timing.has_layers =
            layer.is_some() || matches!(route, Route::ForwardProxy(_) | Route::Tunnel(_));
        let entry = HostOverride::find(&self.options.request.host_overrides, &host, port);
        let host = entry.map_or(host, |entry| entry.address.to_string());
        let dialer = connector.dialer(Endpoint { host, ..named });
        Ok(Dialer { retry: RetryPolicy::default(), route, layer, ..dialer })
    }

    /// Whether `url` has the origin that the user named.
    fn is_start_origin(&self, url: &HttpUrl) -> bool {
        url.origin() == self.start_url.origin()
    }

    /// The request for `url`, which `proxy` forwards if there is one.
    pub fn request<'r>(
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
            range: match &options.range {
                Some(range) => Some(range.value.clone()),
                None => resume_point.and_then(ResumePoint::range),
            },
            conditions: match (resume_point, &self.condition) {
                (Some(point), _) => vec![point.condition()],
                (None, Some(condition)) => condition.fields(),
                (None, None) => Vec::new(),
            },
            accept_encoding: !wants_plain,
        }
    }

    /// Sends the request, after `--delay`.
    pub fn send(&self, connection: &mut HttpConnection, request: &[u8]) -> Result<(), Failure> {
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

    /// Closes the connection, and counts what it received.
    pub fn close(&mut self, mut connection: HttpConnection) {
        connection.close();
        self.timing.first_byte(connection.first_byte);
        self.bytes += connection.bytes_in;
        let HttpConnection { stream, bytes_in, bytes_out, ended_by, .. } = connection;
        let closed = Closed::new(self.conn, &stream.info, ended_by, Role::Client);
        self.context.report.emit(&Event::Closed(Closed { bytes_in, bytes_out, ..closed }));
    }
}
