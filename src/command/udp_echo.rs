//! `udp-echo`: sends every datagram back to its sender, from the address it was sent to.

use std::time::Duration;

use crate::datagram::listen;
use crate::datagram::listen::{Handler, ServerConfig};
use crate::error::ExitCode;
use crate::flags::datagram_limits::DatagramLimitFlags;
use crate::flags::listen::ListenFlags;
use crate::flags::run;
use crate::flags::run_as::RunAsFlags;
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;

/// What the user asks of udp-echo.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often
    #[command(flatten)]
    pub answering: DatagramLimitFlags,
    /// Where
    #[command(flatten)]
    pub binding: ListenFlags,
    /// As whom
    #[command(flatten)]
    pub identity: RunAsFlags,
}

impl Args {
    /// Echoes until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let stop = run::stop(self.answering.timeout.0)?;
        let socket = listen::socket("udp-echo", || self.binding.bind(&stop).datagram())?;
        self.identity.switch_user()?;
        self.binding.print_port(&listen::local(&socket)?)?;
        super::confine(&SandboxPolicy::default(), report);
        let plan = ServerConfig {
            socket,
            keep_recv_buffer: self.binding.socket.recv_buffer.is_some(),
            duty: Handler::Echo,
            max_rate: self.answering.max_rate,
            max_datagrams: self.answering.most(),
            accept_timeout: self.answering.accept_timeout.0,
            delay: Duration::ZERO,
            grace: listen::GRACE,
        };
        Ok(crate::datagram::server::serve(plan, report, &stop)?)
    }
}
