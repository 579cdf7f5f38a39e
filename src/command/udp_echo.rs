//! `udp-echo`: sends every datagram back to its sender, from the address it was sent to.

use std::time::Duration;

use super::sandbox;
use crate::datagram::bind;
use crate::datagram::server;
use crate::datagram::server::handler::Handler;
use crate::datagram::server::options::DatagramServerOptions;
use crate::error::{ExitCode, Failure};
use crate::flags::datagram_limits::DatagramLimitFlags;
use crate::flags::listen::ListenFlags;
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_hex::ServerHexFlag;
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;

/// Arguments of udp-echo.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(crate) limits: DatagramLimitFlags,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) run_as: RunAsFlags,
    #[command(flatten)]
    pub(crate) hex: ServerHexFlag,
}

impl Args {
    /// Serves until shutdown or a limit.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let context = Context::new(report, self.limits.timeout.0)?;
        let hex = self.hex.open(report)?;
        let options = self.limits.server_options(&self.listen, Handler::Echo, Duration::ZERO);
        let log = |event| report.on_socket_event(event);
        let bind = self.listen.bind(&context.shutdown, &log);
        let socket = bind::udp_socket("udp-echo", bind, None)?;
        self.run_as.switch_user()?;
        let stdout = Stdout::standard();
        self.listen.print_port.print(&bind::local_address(&socket)?, stdout)?;
        sandbox::enter(sandbox::udp_echo(), report);
        let options = DatagramServerOptions { hex, ..options };
        server::serve(socket, options, &context, stdout)
    }
}
