//! The tour: runs the examples of the tutorials and of the relay, on loopback.
//!
//! Each step runs this program and checks its output and exit code, so the tour also tests sockets,
//! IPv6 and the resolver of a machine.

mod chapter;
mod process;
mod runner;

use runner::ChapterRunner;

use crate::error::{ExitCode, Failure};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;

/// The number of chapters.
pub const CHAPTERS: u8 = 6;

/// Runs chapter `only`, counted from 1, or all of them, and prints their steps on `stdout`. The exit
/// code is 1 if a step had another result than expected.
///
/// Fails if stdout or the temporary directory cannot be written, and when the run is stopped.
pub fn run(context: &Context, stdout: Stdout, only: Option<usize>) -> Result<ExitCode, Failure> {
    let mut failed = 0;
    let chapters = (1..).zip(chapter::all());
    for (number, chapter) in chapters.filter(|(n, _)| only.is_none_or(|only| only == *n)) {
        let mut runner = ChapterRunner::new(context, stdout)?;
        match runner.run_chapter(number, &chapter) {
            Err(failure) if is_broken_pipe(&failure) => return Ok(ExitCode::Done),
            result => result?,
        }
        failed += runner.failed;
    }
    let summary = match failed {
        0 => "All steps had the expected result.\n".to_string(),
        n => format!("{n} of the steps above had another result than expected.\n"),
    };
    stdout.write_document(summary.as_bytes())?;
    Ok(if failed == 0 { ExitCode::Done } else { ExitCode::Negative })
}

/// The titles of the chapters, in their order.
pub fn titles() -> Vec<&'static str> {
    chapter::all().iter().map(|chapter| chapter.title).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_chapter_is_counted() {
        assert_eq!(super::titles().len(), usize::from(super::CHAPTERS));
    }
}
