//! `tcp-client`: connects by TCP and talks: pipe, prompt or script.

use super::{conversation, usage};
use crate::failure::Code;
use crate::flags::dial::{Dialling, Target};
use crate::flags::talk::Talk;
use crate::net::dial::Dial;
use crate::report::Report;

/// What the user asks of tcp-client.
#[derive(Debug, clap::Args)]
#[command(after_long_help = usage::exit_codes())]
pub struct Args {
    /// Whom
    #[command(flatten)]
    pub target: Target,
    /// What to say
    #[command(flatten)]
    pub talk: Talk,
    /// How to connect
    #[command(flatten)]
    pub dialling: Dialling,
}

impl Args {
    /// Connects and talks to the end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        let endpoint = self.target.endpoint()?;
        let route = self.dialling.route("tcp", &endpoint)?;
        let dial = Dial { route, ..self.dialling.dial(endpoint) };
        let tell = |step: crate::net::step::Step| report.step(|| step.to_string());
        Ok(conversation::hold(&self.talk, report, |stop| dial.call(stop, &tell))?)
    }
}
