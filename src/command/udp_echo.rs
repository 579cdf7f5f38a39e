//! `udp-echo`: sends every datagram back to its sender, from the address it was sent to.

use std::time::Duration;

use super::tcp_server::print_port;
use crate::datagram::listen;
use crate::datagram::listen::{Duty, Plan};
use crate::error::Code;
use crate::flags::datagram_limits::Answering;
use crate::flags::listen::Binding;
use crate::flags::run;
use crate::flags::run_as::Identity;
use crate::process::sandbox::Needs;
use crate::report::Report;

/// What the user asks of udp-echo.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often
    #[command(flatten)]
    pub answering: Answering,
    /// Where
    #[command(flatten)]
    pub binding: Binding,
    /// As whom
    #[command(flatten)]
    pub identity: Identity,
}

impl Args {
    /// Echoes until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        let stop = run::stop(self.answering.timeout.0)?;
        let socket = listen::socket("udp-echo", || self.binding.bind(&stop).datagram())?;
        self.identity.assume()?;
        if self.binding.print_port {
            print_port(&listen::local(&socket)?)?;
        }
        super::confine(&Needs::default(), report);
        let plan = Plan {
            socket,
            narrow: self.binding.socket.recv_buffer.is_some(),
            duty: Duty::Echo,
            max_rate: self.answering.max_rate,
            most: self.answering.most(),
            quiet: self.answering.accept_timeout.0,
            delay: Duration::ZERO,
            grace: listen::GRACE,
        };
        Ok(crate::datagram::server::serve(plan, report, &stop)?)
    }
}
