//! `udp-client`: sends datagrams and prints the replies, or pings.

use crate::datagram::client;
use crate::datagram::client::ping::ping;
use crate::datagram::client::targets::Targets;
use crate::error::{ExitCode, Failure};
use crate::flags::connect::TargetArgs;
use crate::flags::datagram_client::{DatagramClientFlags, DatagramSocketFlags};
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;

/// Arguments of udp-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) datagrams: DatagramClientFlags,
    #[command(flatten)]
    pub(crate) socket: DatagramSocketFlags,
}

impl Args {
    /// Sends the datagrams and waits for replies.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let endpoint = self.target.endpoint()?;
        let context = Context::new(report, self.datagrams.timeout.0)?;
        let log = |event| report.on_socket_event(event);
        let targets = || Targets::udp(&endpoint, self.socket.options(), &context, &log);
        if let Some(options) = self.datagrams.ping_options()? {
            return ping(targets()?, options, &context, Stdout::standard());
        }
        let job = self.datagrams.send_job(report, rustix::stdio::stdin())?;
        client::run(targets()?, job, &context, Stdout::standard())
    }
}
