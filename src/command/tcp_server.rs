//! `tcp-server`: listens on TCP and serves each caller on its own thread.

use super::hosting::choice::Choice;
use super::hosting::{self, Plan};
use super::usage;
use crate::failure::Code;
use crate::flags::bind::Binding;
use crate::flags::run;
use crate::flags::serve::Serving;
use crate::net::address::Address;
use crate::pump::stdout;
use crate::report::Report;

/// What the user asks of tcp-server.
#[derive(Debug, clap::Args)]
#[command(after_long_help = usage::exit_codes())]
pub struct Args {
    /// Which service
    #[command(flatten)]
    pub choice: Choice,
    /// Where
    #[command(flatten)]
    pub binding: Binding,
    /// For whom
    #[command(flatten)]
    pub serving: Serving,
}

impl Args {
    /// Serves until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        let stop = run::stop(self.serving.timeout.0)?;
        let mut limits = self.serving.limits()?;
        let service = self.choice.service(&mut limits)?;
        let listener = self.binding.bind().listen(self.serving.backlog)?;
        if self.binding.print_port {
            print_port(&listener.local)?;
        }
        let plan = Plan { listener, limits, service, layer: None, layer_stack: 0 };
        Ok(hosting::serve(plan, report, &stop)?)
    }
}

/// `--print-port`: the bound port alone on stdout's first line, for scripts.
pub(super) fn print_port(local: &Address) -> Result<(), crate::failure::Failure> {
    let port = local.inet().map_or(0, |address| address.port());
    stdout::write_all(format!("{port}\n").as_bytes())
}
