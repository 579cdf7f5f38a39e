//! `tcp-server`: listens on TCP and runs a service for each connection.

use super::sandbox;
use crate::error::{ExitCode, Failure};
use crate::flags::listen::ListenFlags;
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_hex::ServerHexFlag;
use crate::flags::server_limits::ServerLimitFlags;
use crate::flags::server_tls::ServerTls;
use crate::flags::service::ServiceFlags;
use crate::flags::socket::TcpFlags;
use crate::net::stdio::StdStreams;
use crate::report::Report;
use crate::report::context::Context;
use crate::server::{self, ServerOptions};

/// Arguments of tcp-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(crate) service: ServiceFlags,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) tcp: TcpFlags,
    #[command(flatten)]
    pub(crate) limits: ServerLimitFlags,
    #[command(flatten)]
    pub(crate) tls: ServerTls,
    #[command(flatten)]
    pub(crate) run_as: RunAsFlags,
    #[command(flatten)]
    pub(crate) hex: ServerHexFlag,
}

impl Args {
    /// Serves until the limits or a signal end the run.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let context = Context::new(report, self.limits.timeout.0)?;
        let mut limits = self.limits.limits(&context.shutdown)?;
        let tls = self.tls.serving(&self.listen.host)?;
        self.tls.warn_readable_key(report);
        let (hex_dump, std) = (self.hex.open(report)?, StdStreams::of_process());
        let service = self.service.service(&mut limits, std, report)?;
        let log = |event| report.on_socket_event(event);
        let bind = self.listen.bind(&context.shutdown, &log);
        let listener = self.listen.listener(&self.tcp, self.limits.backlog, bind)?;
        self.run_as.switch_user()?;
        self.listen.print_port.print(&listener.local, std.stdout)?;
        if let Some(tls) = &tls {
            tls.log_certificate(report);
        }
        sandbox::enter(sandbox::tcp_server(&self.service), report);
        let layer = tls.map(|tls| tls.layer);
        let options = ServerOptions { listener, limits, service, layer, hex_dump };
        server::run(&context, options)
    }
}
