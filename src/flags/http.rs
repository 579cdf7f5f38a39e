//! The flags of http-get.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::connect::ConnectFlags;
use super::tls::ClientTls;
use super::values::{self, Limit};
use crate::error::{Failure, Phase};
use crate::fetch::FetchOptions;
use crate::fetch::options::{
    Connector, HostOverride, LimitOptions, OutputOptions, RequestOptions, ResponseOptions,
    ServerRole,
};
use crate::fetch::output::Destination;
use crate::fetch::partial_file::KeptName;
use crate::http::range::RequestedRange;
use crate::http::request::{self, CustomHeader};
use crate::http::url::UserInfo;
use crate::http::{HttpUrl, Leniency, ParserOptions};
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::net::proxy::Route;
use crate::net::unix::UnixAddress;

/// The default of `--max-redirects`.
const MAX_REDIRECTS: u32 = 10;

/// All flags of http-get.
#[derive(Debug, clap::Args)]
pub struct HttpFlags {
    /// Output
    #[command(flatten)]
    pub output: OutputFlags,
    /// Request
    #[command(flatten)]
    pub request: RequestFlags,
    /// Response
    #[command(flatten)]
    pub response: ResponseFlags,
    /// Connection
    #[command(flatten)]
    pub connect: ConnectFlags,
    /// TLS
    #[command(flatten)]
    pub tls: ClientTls,
}

/// Where the response is written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Save the body in FILE, through FILE.part; once per URL; - is stdout
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Vec<PathBuf>,
    /// Save the body under the last segment of the URL
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub remote_name: bool,
    /// Write the response header to stdout before the body
    #[arg(short, long)]
    pub include: bool,
    /// Rename FILE.part to FILE even if the transfer is interrupted
    #[arg(long)]
    pub keep_partial: bool,
    /// Continue FILE.part if the file on the server is unchanged; download a complete FILE only if
    /// it has changed
    #[arg(long = "continue", conflicts_with_all = ["range", "raw", "head"])]
    pub resume: bool,
    /// Write the complete response as received, with header and framing
    #[arg(long)]
    pub raw: bool,
    /// Print the times of name lookup, connecting, TLS, first byte and the complete transfer
    #[arg(long)]
    pub stats: bool,
}

/// What is requested.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub struct RequestFlags {
    /// Send HEAD instead of GET: only the header is received
    #[arg(short = 'I', long)]
    pub head: bool,
    /// Add the header 'Name: value'; 'Name:' removes a default header, 'Name;' sends it empty
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    pub headers: Vec<CustomHeader>,
    /// User name and password for Basic authentication; sent to the origin of the URL only
    #[arg(long, value_name = "USER:PASSWORD", value_parser = user, hide_env_values = true)]
    pub user: Option<UserInfo>,
    /// Request only these bytes: 0-99, 100- or -100
    #[arg(long, value_name = "RANGE", value_parser = byte_range, allow_hyphen_values = true)]
    pub range: Option<RequestedRange>,
    /// Download only if newer than FILE (its ETag or date) or DATE; otherwise exit with 0
    #[arg(short = 'z', long, alias = "time-cond", value_name = "FILE|DATE",
          value_hint = clap::ValueHint::FilePath, conflicts_with = "resume")]
    pub time_condition: Option<PathBuf>,
    /// Send an HTTP/1.0 request
    #[arg(long = "http1.0")]
    pub http10: bool,
    /// Half-close the connection after the request
    #[arg(long)]
    pub half_close: bool,
    /// Time between connecting and the request [default: 0]
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::duration)]
    pub delay: Duration,
    /// Connect to ADDRESS for HOST:PORT; * as HOST matches all other hosts
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = host_override)]
    pub resolve: Vec<HostOverride>,
    /// Connect to the Unix socket PATH for every URL; a leading @ means an abstract name
    #[arg(long, value_name = "PATH", value_parser = unix_name,
          value_hint = clap::ValueHint::AnyPath, conflicts_with_all = ["source", "resolve"])]
    pub unix: Option<UnixAddress>,
    /// Maximum number of redirects to follow; 0 = the redirect itself is the response
    #[arg(long, value_name = "N", default_value_t = MAX_REDIRECTS)]
    pub max_redirects: u32,
    /// Follow redirects from https to http too
    #[arg(long)]
    pub allow_downgrade: bool,
}

/// What is accepted as a response.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Response")]
pub struct ResponseFlags {
    /// Write a gzip, deflate, br or zstd body without decoding it
    #[arg(long)]
    pub no_decode: bool,
    /// Maximum decoded size in bytes (replaces the decompression-bomb heuristic); 0 = none
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub max_decoded: Option<u64>,
    /// Maximum size of the header in bytes
    #[arg(long, value_name = "SIZE", default_value = "256Ki", value_parser = header_size)]
    pub max_header: usize,
    /// Accept malformed header and chunk-size lines (length errors are always fatal)
    #[arg(long)]
    pub lenient: bool,
    /// Accept HTTP/0.9 responses
    #[arg(long = "http0.9")]
    pub http09: bool,
    /// Exit with 0 for every status, 400 and above too
    #[arg(long)]
    pub any_status: bool,
    /// Receive at most SIZE bytes per second
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Exit with 28 if less than SIZE bytes per second arrive, averaged over --speed-time
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub speed_limit: Option<u64>,
    /// Time over which --speed-limit is averaged
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = speed_time,
          requires = "speed_limit")]
    pub speed_time: Duration,
    /// Exit with 28 if no data arrives for this time; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::limit)]
    pub idle_timeout: Limit,
    /// Maximum time for the complete run; 0 = none [default: 0]
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub timeout: Limit,
}

impl HttpFlags {
    /// Converts the flags.
    ///
    /// Fails with code 2 on a proxy beside `--unix`, which bypasses every proxy.
    pub fn options(self) -> Result<FetchOptions, Failure> {
        if self.request.unix.is_some() && self.connect.route.has_proxy() {
            return Err(Failure::usage(Phase::Proxy, "--proxy", "cannot be used with --unix"));
        }
        let HttpFlags { output, request, response, connect, tls } = self;
        let parser = ParserOptions { head_request: request.head, ..response.parser_options() };
        Ok(FetchOptions {
            response: ResponseOptions { parser, any_status: response.any_status },
            limits: response.limits(),
            output: output.options(),
            retry: connect.retrying.retry(),
            connector: Box::new(HttpConnector { unix: request.unix.clone(), connect, tls }),
            request: request.options(),
        })
    }
}

impl OutputFlags {
    /// Returns the destination of each body.
    ///
    /// Fails with code 2 on more files than URLs, a URL without a file name, or `--continue`
    /// without a file.
    pub fn destinations(&self, urls: &[HttpUrl]) -> Result<Vec<Destination>, Failure> {
        if self.output.len() > urls.len() {
            return Err(Failure::usage(Phase::File, "--output", "more files than URLs"));
        }
        urls.iter().enumerate().map(|(k, url)| self.destination(k, url)).collect()
    }

    fn destination(&self, k: usize, url: &HttpUrl) -> Result<Destination, Failure> {
        let destination = match self.output.get(k) {
            Some(path) if path.as_os_str() != "-" => Destination::File(path.clone()),
            None if self.remote_name => match url.file_name() {
                Some(name) => Destination::File(name.into()),
                None => {
                    let failure = Failure::usage(Phase::File, url, "the URL has no file name");
                    return Err(failure.with_hint("-o FILE sets the file"));
                }
            },
            _ => Destination::Stdout,
        };
        if self.resume && destination == Destination::Stdout {
            let why = "only a file (-o, -O) can be continued";
            return Err(Failure::usage(Phase::File, "--continue", why));
        }
        Ok(destination)
    }

    fn options(&self) -> OutputOptions {
        OutputOptions {
            include_header: self.include,
            kept_name: if self.keep_partial { KeptName::Target } else { KeptName::Part },
            resume: self.resume,
            raw: self.raw,
            stats: self.stats,
        }
    }
}

impl RequestFlags {
    fn options(self) -> RequestOptions {
        RequestOptions {
            head: self.head,
            http10: self.http10,
            headers: self.headers,
            user: self.user,
            range: self.range,
            time_condition: self.time_condition,
            half_close: self.half_close,
            delay: self.delay,
            host_overrides: self.resolve,
            max_redirects: self.max_redirects,
            allow_downgrade: self.allow_downgrade,
        }
    }
}

impl ResponseFlags {
    fn parser_options(&self) -> ParserOptions {
        ParserOptions {
            max_header: self.max_header,
            max_decoded: self.max_decoded.map(|max| if max == 0 { u64::MAX } else { max }),
            decode: !self.no_decode,
            leniency: if self.lenient { Leniency::Lenient } else { Leniency::Strict },
            http09: self.http09,
            ..ParserOptions::default()
        }
    }

    fn limits(&self) -> LimitOptions {
        LimitOptions {
            idle_timeout: self.idle_timeout.0,
            max_rate: self.rate,
            min_rate: self.speed_limit.map(|rate| (rate, self.speed_time)),
        }
    }
}

/// Connects according to the flags.
struct HttpConnector {
    unix: Option<UnixAddress>,
    connect: ConnectFlags,
    tls: ClientTls,
}

impl Connector for HttpConnector {
    fn dialer(&self, endpoint: Endpoint) -> Dialer {
        self.connect.dial(endpoint)
    }

    fn route(&self, scheme: &str, endpoint: &Endpoint) -> Result<Route, Failure> {
        match &self.unix {
            Some(name) => Ok(Route::Unix(name.clone())),
            None => self.connect.route(scheme, endpoint),
        }
    }

    fn tls(&self, host: &str, role: ServerRole) -> Result<Arc<dyn Layer>, Failure> {
        match role {
            ServerRole::Named => self.tls.layer(host),
            ServerRole::Redirected => self.tls.without_identity().layer(host),
        }
    }
}

fn unix_name(word: &str) -> Result<UnixAddress, String> {
    let name = UnixAddress::parse(word.as_ref());
    name.address().map(|_| name).map_err(|e| e.to_string())
}

fn speed_time(word: &str) -> Result<Duration, String> {
    match values::duration(word)? {
        Duration::ZERO => Err("the time must be longer than 0".to_string()),
        time => Ok(time),
    }
}

fn parse_header(word: &str) -> Result<CustomHeader, String> {
    CustomHeader::parse(word).map_err(|error| error.to_string())
}

fn user(word: &str) -> Result<UserInfo, String> {
    request::parse_user(word).map_err(|error| error.to_string())
}

fn byte_range(word: &str) -> Result<RequestedRange, String> {
    RequestedRange::parse(word).map_err(|error| error.to_string())
}

fn header_size(word: &str) -> Result<usize, String> {
    match values::size(word)? {
        bytes @ 64..=0x4000_0000 => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a header size from 64 bytes to 1Gi")),
    }
}

/// Parses `HOST:PORT:ADDRESS` as in curl; brackets around an IPv6 address are optional.
fn host_override(word: &str) -> Result<HostOverride, String> {
    let bad = || format!("'{word}' is not HOST:PORT:ADDRESS");
    let (host, rest) = match word.strip_prefix('[') {
        Some(inside) => inside.split_once("]:").ok_or_else(bad)?,
        None => word.split_once(':').ok_or_else(bad)?,
    };
    let (port, address) = rest.split_once(':').ok_or_else(bad)?;
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    match (url_host(host), port.parse(), address.parse()) {
        (Some(host), Ok(port), Ok(address)) => Ok(HostOverride { host, port, address }),
        _ => Err(bad()),
    }
}

/// Normalizes a host as in URLs; none for a host that no URL can have, such as `*.test`.
fn url_host(host: &str) -> Option<String> {
    if host == HostOverride::EVERY_HOST {
        return Some(host.to_string());
    }
    if host.contains(['*', '/', '?', '#', '@', '\\']) || host.starts_with(['+', '-']) {
        return None;
    }
    let authority = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let url = HttpUrl::parse(&format!("http://{authority}/"), &|_| Ok(0)).ok()?;
    Some(url.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_override_has_the_form_of_curl() {
        for (word, host, port, address) in [
            ("h:80:127.0.0.1", "h", 80, "127.0.0.1"),
            ("H:443:[::1]", "h", 443, "::1"),
            ("h:443:::1", "h", 443, "::1"),
            ("[::2]:443:::1", "::2", 443, "::1"),
            ("[0::0:2]:443:::1", "::2", 443, "::1"),
            ("[fe80::1%eth0]:443:::1", "fe80::1%eth0", 443, "::1"),
            ("B\u{fc}cher.test:443:::1", "xn--bcher-kva.test", 443, "::1"),
            ("*:80:127.0.0.1", "*", 80, "127.0.0.1"),
        ] {
            let read = host_override(word).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port));
            assert_eq!(read.address.to_string(), address);
        }
        for word in [
            "",
            "h",
            "h:80",
            "h:80:",
            "h:80:name",
            "h:70000:127.0.0.1",
            ":80:127.0.0.1",
            "h\r\n:80:127.0.0.1",
            "*.test:80:127.0.0.1",
            "+h:80:127.0.0.1",
            "u@h:80:127.0.0.1",
            "h/p:80:127.0.0.1",
        ] {
            assert!(host_override(word).is_err(), "{word}");
        }
    }

    #[test]
    fn override_for_every_host_has_lowest_priority() {
        let all = ["*:80:127.0.0.1", "h:80:127.0.0.2"].map(|word| host_override(word).unwrap());
        let found = |host, port| {
            HostOverride::find(&all, host, port).map(|entry| entry.address.to_string())
        };
        assert_eq!(found("H", 80).as_deref(), Some("127.0.0.2"));
        assert_eq!(found("other.test", 80).as_deref(), Some("127.0.0.1"));
        assert_eq!(found("h", 81), None);
    }
}
