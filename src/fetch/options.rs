//! What http-get requests, accepts and writes; the same for each URL of a run.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::partial_file::KeptName;
use crate::error::Failure;
use crate::http::ParserOptions;
use crate::http::range::RequestedRange;
use crate::http::request::CustomHeader;
use crate::http::url::UserInfo;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::net::retry::RetryPolicy;
use crate::net::route::Route;

/// The options of a run of http-get.
pub struct FetchOptions {
    /// What is requested.
    pub request: RequestOptions,
    /// What is accepted as a response.
    pub response: ResponseOptions,
    /// What is written where.
    pub output: OutputOptions,
    /// Time and speed limits of each exchange.
    pub limits: LimitOptions,
    /// How often a failed exchange is tried again.
    pub retry: RetryPolicy,
    /// How connections are made.
    pub connector: Box<dyn Connector>,
}

/// What is requested.
pub struct RequestOptions {
    /// HEAD instead of GET.
    pub head: bool,
    /// HTTP/1.0 instead of HTTP/1.1.
    pub http10: bool,
    /// The user's own header fields.
    pub headers: Vec<CustomHeader>,
    /// User name and password for the origin of the first URL.
    pub user: Option<UserInfo>,
    /// The requested bytes.
    pub range: Option<RequestedRange>,
    /// The file or date that the response must be newer than.
    pub time_condition: Option<PathBuf>,
    /// Whether the connection is half-closed after the request.
    pub half_close: bool,
    /// Time between connecting and the request.
    pub delay: Duration,
    /// Addresses that replace name lookups.
    pub host_overrides: Vec<HostOverride>,
    /// Redirects that are followed; 0 = the redirect itself is the response.
    pub max_redirects: u32,
    /// Whether a redirect may lead from https to http.
    pub allow_downgrade: bool,
}

/// What is accepted as a response.
pub struct ResponseOptions {
    /// Syntax and size limits of the response.
    pub parser: ParserOptions,
    /// Whether a status of 400 and above is a success too.
    pub any_status: bool,
}

/// What is written where.
#[derive(Clone, Copy)]
pub struct OutputOptions {
    /// The response header is written to stdout before the body.
    pub include_header: bool,
    /// The name that an incomplete file is kept under.
    pub kept_name: KeptName,
    /// A partial file is continued.
    pub resume: bool,
    /// The response is written as received, header and framing included.
    pub raw: bool,
    /// An event with the times of each phase is emitted at the end.
    pub stats: bool,
}

/// Time and speed limits of one exchange.
#[derive(Clone, Copy)]
pub struct LimitOptions {
    /// The longest wait for received bytes, or for space to send.
    pub idle_timeout: Option<Duration>,
    /// The most bytes received per second.
    pub max_rate: Option<u64>,
    /// The fewest bytes received per second, on average over a time.
    pub min_rate: Option<(u64, Duration)>,
}

/// An address that replaces the lookup of a host at one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOverride {
    /// The host as in a URL, in lower case, or `*` for every host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address to connect to.
    pub address: IpAddr,
}

impl HostOverride {
    /// The host that matches every host, as in curl.
    pub const EVERY_HOST: &str = "*";

    /// Returns the override for this host and port; one for every host has the lowest priority.
    pub fn find<'a>(all: &'a [HostOverride], host: &str, port: u16) -> Option<&'a HostOverride> {
        let of_port = || all.iter().filter(|entry| entry.port == port);
        let named = of_port().find(|entry| entry.host.eq_ignore_ascii_case(host));
        named.or_else(|| of_port().find(|entry| entry.host == HostOverride::EVERY_HOST))
    }
}

/// Whether the server name and the client certificate given by the user apply to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRole {
    /// It has the origin that the user named.
    Named,
    /// A redirect led to it.
    Redirected,
}

/// Makes the parts of a connection.
pub trait Connector {
    /// Returns a dialer for a direct connection to `endpoint`, without TLS.
    fn dialer(&self, endpoint: Endpoint) -> Dialer;

    /// Returns the route to `endpoint` under `scheme`, `http` or `https`.
    ///
    /// Fails with code 2 on a malformed proxy.
    fn route(&self, scheme: &str, endpoint: &Endpoint) -> Result<Route, Failure>;

    /// Returns the TLS layer of a connection to `host`.
    ///
    /// Fails with 26 on a file that cannot be read, with 2 on a malformed value.
    fn tls(&self, host: &str, role: ServerRole) -> Result<Arc<dyn Layer>, Failure>;
}
