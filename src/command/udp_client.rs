//! `udp-client`: sends datagrams and prints what comes back, or pings.

use crate::datagram::client::targets::Targets;
use crate::datagram::listen::{ping, talk};
use crate::error::ExitCode;
use crate::flags::connect::TargetArgs;
use crate::flags::datagram_client::{DatagramClientFlags, DatagramSocketFlags};
use crate::flags::run;
use crate::report::Report;

/// What the user asks of udp-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom
    #[command(flatten)]
    pub target: TargetArgs,
    /// What
    #[command(flatten)]
    pub asking: DatagramClientFlags,
    /// How
    #[command(flatten)]
    pub calling: DatagramSocketFlags,
}

impl Args {
    /// Sends, listens, and leaves.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let endpoint = self.target.endpoint()?;
        let stop = run::stop(self.asking.timeout.0)?;
        let tell = |step| report.on_connect_event(step);
        let lines = || Targets::udp(&endpoint, &self.calling, &stop, &tell);
        Ok(match self.asking.ping()? {
            Some(plan) => ping(lines()?, plan, report, &stop)?,
            None => {
                let letters = self.asking.letters(report)?;
                talk(lines()?, letters, report, &stop)?
            }
        })
    }
}
