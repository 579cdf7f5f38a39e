//! `udp-server`: prints datagrams, or replies to each.

use super::sandbox;
use crate::datagram::bind;
use crate::datagram::server;
use crate::datagram::server::options::DatagramServerOptions;
use crate::error::{ExitCode, Failure};
use crate::flags::datagram_limits::DatagramLimitFlags;
use crate::flags::datagram_service::DatagramServiceFlags;
use crate::flags::listen::ListenFlags;
use crate::flags::run_as::RunAsFlags;
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;

/// Arguments of udp-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(crate) service: DatagramServiceFlags,
    #[command(flatten)]
    pub(crate) limits: DatagramLimitFlags,
    /// Receive what is sent to this multicast group (address or name)
    ///
    /// With --host '' unicast datagrams to the port are received too; otherwise only datagrams to
    /// the group, on the interface of --host and on that of the routing table (or on --interface).
    #[arg(long, value_name = "GROUP", help_heading = "Listening")]
    pub join: Option<String>,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) run_as: RunAsFlags,
}

impl Args {
    /// Serves until shutdown or a limit.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let context = Context::new(report, self.limits.timeout.0)?;
        let (handler, delay) = (self.service.handler()?, self.service.delay());
        let hex = self.service.print.dump(report)?;
        let options = self.limits.server_options(&self.listen, handler, delay);
        let log = |event| report.on_socket_event(event);
        let bind = self.listen.bind(&context.shutdown, &log);
        let socket = bind::udp_socket("udp-server", bind, self.join.as_deref())?;
        self.run_as.switch_user()?;
        let stdout = Stdout::standard();
        self.listen.print_port.print(&bind::local_address(&socket)?, stdout)?;
        sandbox::enter(sandbox::udp_server(&self.service), report);
        let options = DatagramServerOptions { hex, ..options };
        server::serve(socket, options, &context, stdout)
    }
}
