//! `tour`: the five tutorials that sockit grew from, live on this machine's loopback.
//!
//! Each step is a real run of this very program, so the tour cannot promise what the program
//! does not do; it is also the quickest check of a machine's sockets, IPv6 and resolver.

mod chapters;
mod process;
mod runner;

use std::ops::RangeInclusive;

use chapters::{CHAPTERS, Chapter};
use runner::ChapterRunner;

use crate::error::{ExitCode, Failure};
use crate::flags::run;
use crate::net::stdout;
use crate::report::Report;

const NUMBERS: RangeInclusive<i64> = 1..=CHAPTERS.len() as i64;

/// What the user asks of tour.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this chapter
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(NUMBERS))]
    pub chapter: Option<u8>,
    /// Name the chapters
    #[arg(long, conflicts_with = "chapter")]
    pub list: bool,
}

impl Args {
    /// Walks through the chapters; the code is 1 if any step did not do what it says.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        if self.list {
            stdout::write_document(list().as_bytes())?;
            return Ok(ExitCode::Done);
        }
        let stop = run::stop(None)?;
        let wanted = |number: usize| self.chapter.is_none_or(|n| usize::from(n) == number);
        let mut failed = 0;
        for (number, chapter) in (1..).zip(&CHAPTERS).filter(|(number, _)| wanted(*number)) {
            let mut scene = ChapterRunner::new(&stop, report)?;
            match play(&mut scene, number, chapter) {
                Err(failure) if stdout::is_broken_pipe(&failure) => return Ok(ExitCode::Done),
                played => played?,
            }
            failed += scene.failed;
        }
        let told = match failed {
            0 => "Everything did what it says.\n".to_string(),
            n => format!("{n} of the steps above did not do what they say.\n"),
        };
        stdout::write_document(told.as_bytes())?;
        Ok(if failed == 0 { ExitCode::Done } else { ExitCode::Negative })
    }
}

fn play(scene: &mut ChapterRunner<'_>, number: usize, chapter: &Chapter) -> Result<(), Failure> {
    stdout::write_all(format!("{number}. {}\n\n", chapter.title).as_bytes())?;
    for step in chapter.steps {
        scene.play(step)?;
    }
    stdout::write_all(format!("   Remember: {}\n\n", chapter.remember).as_bytes())
}

fn list() -> String {
    let lines =
        (1..).zip(&CHAPTERS).map(|(n, chapter): (usize, _)| format!("{n}  {}\n", chapter.title));
    lines.collect()
}
