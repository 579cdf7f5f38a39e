//! `tcp-client`: connects by TCP and talks: pipe, prompt or script.

use super::usage;
use crate::failure::Code;
use crate::flags::dial::{Dialling, Target};
use crate::flags::run;
use crate::report::Report;
use crate::report::event::{Ends, Event};

/// What the user asks of tcp-client.
#[derive(Debug, clap::Args)]
#[command(after_long_help = usage::exit_codes())]
pub struct Args {
    /// Whom
    #[command(flatten)]
    pub target: Target,
    /// How
    #[command(flatten)]
    pub dialling: Dialling,
}

impl Args {
    /// Connects and talks to the end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        let endpoint = self.target.endpoint()?;
        let stop = run::stop(None)?;
        let dial = self.dialling.dial(endpoint);
        let stream = dial.call(&stop, &|step| report.step(|| step.to_string()))?;
        report.tell(&Event::Connected(Ends::new(1, &stream.facts)));
        Ok(Code::Done)
    }
}
