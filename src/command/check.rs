//! `check`: is something listening there, now or soon?

use std::ffi::OsString;

use super::sandbox;
use crate::check::print::ResultPrinter;
use crate::check::target;
use crate::check::{self, AddressCoverage};
use crate::error::{ExitCode, Failure};
use crate::flags::check::CheckFlags;
use crate::net::stdout::Stdout;
use crate::process::program::Replacement;
use crate::report::Report;
use crate::report::context::Context;

const RESULTS: &str = "Prints a line per target: open, refused, timeout, unreachable, no such \
                       name, resolver failed; for UDP open (answered), closed (ICMP), no answer. \
                       The exit code is 0 if all are open, else that of the first which is not: \
                       7, 28, 6 or 75.";

/// Arguments of check.
#[derive(Debug, clap::Args)]
#[command(after_help = RESULTS)]
pub struct Args {
    /// HOST:PORT, HOST:22,80,8000-8010, udp:HOST:PORT or unix:PATH
    #[arg(value_name = "TARGET", required = true, value_hint = clap::ValueHint::Hostname)]
    pub targets: Vec<OsString>,
    /// Program with arguments that replaces sockit if the check succeeds
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) check: CheckFlags,
}

impl Args {
    /// Checks the targets; then becomes the command, if one was given.
    ///
    /// Fails with 2 on malformed targets and on flags that do not apply to them, with 26 if the
    /// command does not exist, and as [`check::run`] does.
    pub fn run(mut self, report: &Report) -> Result<ExitCode, Failure> {
        let targets = target::parse_all(&self.targets)?;
        let addresses =
            if report.is_verbose() { AddressCoverage::All } else { AddressCoverage::FirstOpen };
        let options = self.check.options(targets, addresses)?;
        let command = std::mem::take(&mut self.command);
        let command = (!command.is_empty()).then(|| Replacement::find(command)).transpose()?;
        self.check.tls_options.warn_readable_key(report);
        if command.is_none() {
            sandbox::enter(sandbox::check(&options), report);
        }
        let context = Context::new(report, None)?;
        let printer = ResultPrinter { context: &context, stdout: Stdout::standard() };
        let code =
            check::run(&context, options, &mut |targets, results| printer.print(targets, results))?;
        match command {
            Some(command) if code == ExitCode::Done => Err(command.exec()),
            _ => Ok(code),
        }
    }
}
