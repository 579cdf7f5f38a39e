//! `resolve`: looks up names, addresses and services, and verifies addresses.

use super::sandbox;
use crate::error::{ExitCode, Failure};
use crate::flags::lookup::LookupFlags;
use crate::lookup::{self, QuestionList};
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;

const SEVERAL: &str = "With several questions, each output line but a verdict of --verify ends with \
                       its question; the exit code is that of the worst result.";

/// Arguments of resolve.
#[derive(Debug, clap::Args)]
#[command(after_help = SEVERAL)]
pub struct Args {
    /// Name (or NAME:PORT), address, or service (:http, http/tcp, 80/udp) to look up
    #[arg(value_name = "NAME|ADDRESS|:SERVICE", required_unless_present = "file",
          value_parser = not_of_dig)]
    pub questions: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: LookupFlags,
}

impl Args {
    /// Answers all questions; the exit code is that of the worst answer.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let options = self.flags.options(report)?;
        let (words, file) = (self.questions, self.flags.file);
        let questions = QuestionList { words, file, stdin: rustix::stdio::stdin() };
        sandbox::enter(sandbox::network(), report);
        // Not 1, which would be a negative answer.
        let context = Context::new(report, None);
        let context = context.map_err(|failure| failure.with_code(ExitCode::TryAgain))?;
        lookup::run(&context, options, questions, Stdout::standard())
    }
}

/// Rejects `@server` and `+option` of dig.
fn not_of_dig(word: &str) -> Result<String, &'static str> {
    if word.starts_with(['@', '+']) {
        return Err("neither a name, an address nor a service");
    }
    Ok(word.to_string())
}
