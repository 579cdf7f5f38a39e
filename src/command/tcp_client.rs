//! `tcp-client`: connects by TCP and runs a session: pipe, prompt or script.

use std::sync::Arc;

use crate::client::{self, SessionOptions};
use crate::error::{ExitCode, Failure};
use crate::flags::client_tls::ClientTls;
use crate::flags::connect::{ConnectFlags, TargetArgs};
use crate::flags::session::SessionFlags;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::net::stdio::StdStreams;
use crate::report::Report;
use crate::report::context::Context;

/// Arguments of tcp-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
    #[command(flatten)]
    pub(crate) connect: ConnectFlags,
    /// Use TLS
    #[arg(long, help_heading = "TLS")]
    pub tls: bool,
    #[command(flatten)]
    pub(crate) tls_options: ClientTls,
}

impl Args {
    /// Connects and runs the session.
    ///
    /// Fails with 2 on flags without `--tls` that need it, and as [`client::run`] does.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let dialer = self.dialer(report)?;
        let context = Context::new(report, self.session.run_timeout())?;
        let options = SessionOptions::from(&self.session);
        let log = |event| report.on_socket_event(event);
        client::run(&context, &options, StdStreams::of_process(), || {
            dialer.connect(&context.shutdown, &log)
        })
    }

    /// The dialer of the server.
    ///
    /// Fails with 2 on flags without `--tls` that need it, and on a malformed address.
    pub fn dialer(&self, report: &Report) -> Result<Dialer, Failure> {
        let endpoint = self.target.endpoint()?;
        let scheme = if self.tls { "https" } else { "tcp" };
        let route = self.connect.route.route(scheme, &endpoint.host)?;
        let layer = self.layer(&endpoint)?;
        self.tls_options.warn_readable_key(report);
        Ok(Dialer { route, layer, ..self.connect.dial(endpoint) })
    }

    fn layer(&self, endpoint: &Endpoint) -> Result<Option<Arc<dyn Layer>>, Failure> {
        if self.tls {
            return self.tls_options.layer(&endpoint.host).map(Some);
        }
        self.tls_options.reject()?;
        Ok(None)
    }
}
