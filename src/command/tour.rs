//! `sockit tour`: runs its chapters on loopback.

use crate::error::{ExitCode, Failure};
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;
use crate::tour;

/// The flags of `tour`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only chapter N
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(tour::CHAPTERS)))]
    pub chapter: Option<u8>,
    /// Print the titles of the chapters
    #[arg(long, conflicts_with = "chapter")]
    pub list: bool,
}

impl Args {
    /// Runs the chapters; the exit code is 1 if a step had another result than expected.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let stdout = Stdout::standard();
        if self.list {
            let lines =
                (1..).zip(tour::titles()).map(|(n, title): (u8, _)| format!("{n}  {title}\n"));
            stdout.write_document(lines.collect::<String>().as_bytes())?;
            return Ok(ExitCode::Done);
        }
        tour::run(&Context::new(report, None)?, stdout, self.chapter.map(usize::from))
    }
}
