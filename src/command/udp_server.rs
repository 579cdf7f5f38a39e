//! `udp-server`: prints datagrams, or answers each by a service.

use crate::datagram::listen::ServerConfig;
use crate::datagram::{listen, multicast_bind};
use crate::error::ExitCode;
use crate::flags::datagram_limits::DatagramLimitFlags;
use crate::flags::datagram_service::DatagramServiceFlags;
use crate::flags::listen::ListenFlags;
use crate::flags::run;
use crate::flags::run_as::RunAsFlags;
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;

/// What the user asks of udp-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which service
    #[command(flatten)]
    pub choice: DatagramServiceFlags,
    /// How often
    #[command(flatten)]
    pub answering: DatagramLimitFlags,
    /// Hear what is sent to this multicast group
    ///
    /// With --host '' what else comes to the port is heard too; otherwise only what is sent to the
    /// group, on the interface of the host and on the one that the routes name (or --interface).
    #[arg(long, value_name = "GROUP", help_heading = "Listening")]
    pub join: Option<String>,
    /// Where
    #[command(flatten)]
    pub binding: ListenFlags,
    /// As whom
    #[command(flatten)]
    pub identity: RunAsFlags,
}

impl Args {
    /// Serves until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let stop = run::stop(self.answering.timeout.0)?;
        let duty = self.choice.duty()?;
        let bind = self.binding.bind(&stop);
        let socket = listen::socket("udp-server", || match &self.join {
            Some(group) => multicast_bind::bind(bind, group),
            None => bind.datagram(),
        })?;
        self.identity.switch_user()?;
        self.binding.print_port(&listen::local(&socket)?)?;
        if !self.choice.starts_programs() {
            super::confine(&SandboxPolicy::default(), report);
        }
        let plan = ServerConfig {
            socket,
            keep_recv_buffer: self.binding.socket.recv_buffer.is_some(),
            duty,
            max_rate: self.answering.max_rate,
            max_datagrams: self.answering.most(),
            accept_timeout: self.answering.accept_timeout.0,
            delay: self.choice.delay(),
            grace: listen::GRACE,
        };
        Ok(crate::datagram::server::serve(plan, report, &stop)?)
    }
}
