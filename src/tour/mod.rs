//! The tour: runs the examples of the tutorials and of the relay, on loopback.
//!
//! Each step runs this program and checks its output and exit code, so the tour also tests sockets,
//! IPv6 and the resolver of a machine.

mod chapters;
mod process;
mod runner;

use chapters::{CHAPTERS, Chapter};
use runner::ChapterRunner;

use crate::error::{ExitCode, Failure};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;

/// The number of chapters.
pub const CHAPTER_COUNT: usize = CHAPTERS.len();

/// Runs chapter `only`, counted from 1, or all of them, and prints their steps on stdout. The exit
/// code is 1 if a step had another result than expected.
///
/// Fails if stdout or the temporary directory cannot be written, and when the run is stopped.
pub fn run(context: &Context, only: Option<usize>) -> Result<ExitCode, Failure> {
    let mut failed = 0;
    let chapters = (1..).zip(&CHAPTERS);
    for (number, chapter) in chapters.filter(|(n, _)| only.is_none_or(|only| only == *n)) {
        let mut runner = ChapterRunner::new(context)?;
        match run_chapter(&mut runner, number, chapter) {
            Err(failure) if is_broken_pipe(&failure) => return Ok(ExitCode::Done),
            result => result?,
        }
        failed += runner.failed;
    }
    let summary = match failed {
        0 => "Everything did what it says.\n".to_string(),
        n => format!("{n} of the steps above did not do what they say.\n"),
    };
    Stdout::standard().write_document(summary.as_bytes())?;
    Ok(if failed == 0 { ExitCode::Done } else { ExitCode::Negative })
}

fn run_chapter(
    runner: &mut ChapterRunner<'_>,
    number: usize,
    chapter: &Chapter,
) -> Result<(), Failure> {
    Stdout::standard().write_all(format!("{number}. {}\n\n", chapter.title).as_bytes())?;
    for step in chapter.steps {
        runner.run_step(step)?;
    }
    Stdout::standard().write_all(format!("   Remember: {}\n\n", chapter.remember).as_bytes())
}

/// Returns the numbers and titles of the chapters, a line each.
pub fn titles() -> String {
    (1..)
        .zip(&CHAPTERS)
        .map(|(n, chapter): (usize, _)| format!("{n}  {}\n", chapter.title))
        .collect()
}
