//! `sockit tour`: runs its chapters on loopback.

use std::ops::RangeInclusive;

use crate::error::{ExitCode, Failure};
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;
use crate::tour;

const CHAPTERS: RangeInclusive<i64> = 1..=tour::CHAPTER_COUNT as i64;

/// The flags of `tour`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only chapter N
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(CHAPTERS))]
    pub chapter: Option<u8>,
    /// Print the titles of the chapters
    #[arg(long, conflicts_with = "chapter")]
    pub list: bool,
}

impl Args {
    /// Runs the chapters; the exit code is 1 if a step had another result than expected.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        if self.list {
            Stdout::standard().write_document(tour::titles().as_bytes())?;
            return Ok(ExitCode::Done);
        }
        tour::run(&Context::new(report, None)?, self.chapter.map(usize::from))
    }
}
