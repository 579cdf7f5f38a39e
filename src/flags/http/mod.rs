//! Flags of http-get.

mod output;
mod request;
mod response;

use std::sync::Arc;

use super::client_tls::ClientTls;
use super::connect::ConnectFlags;
use crate::error::{Failure, Phase};
use crate::fetch::FetchOptions;
use crate::fetch::options::{Connector, ResponseOptions, ServerRole};
use crate::http::ParserOptions;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::net::route::Route;
use crate::net::unix::UnixAddress;
use output::OutputFlags;
use request::RequestFlags;
use response::ResponseFlags;

/// All flags of http-get.
#[derive(Debug, clap::Args)]
pub struct HttpFlags {
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    #[command(flatten)]
    pub(crate) request: RequestFlags,
    #[command(flatten)]
    pub(crate) response: ResponseFlags,
    #[command(flatten)]
    pub(crate) connect: ConnectFlags,
    #[command(flatten)]
    pub(crate) tls: ClientTls,
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
            None => self.connect.route.route(scheme, &endpoint.host),
        }
    }

    fn tls(&self, host: &str, role: ServerRole) -> Result<Arc<dyn Layer>, Failure> {
        match role {
            ServerRole::Named => self.tls.layer(host),
            ServerRole::Redirected => self.tls.without_identity().layer(host),
        }
    }
}
