//! Runs the lookups of a list of questions and prints the answers.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::batch::{Batch, BatchEvent};
use super::options::LookupOptions;
use super::print::AnswerPrinter;
use super::question_file;
use super::resolve::resolve;
use super::work_queue::Questions;
use crate::error::{ExitCode, Failure};
use crate::net::stdout::Stdout;
use crate::report::context::Context;

/// The questions of a run.
#[derive(Debug)]
pub struct QuestionList {
    /// The questions of the command line.
    pub words: Vec<String>,
    /// A file with further questions; `-` is stdin.
    pub file: Option<PathBuf>,
    /// Standard input.
    pub stdin: BorrowedFd<'static>,
}

impl QuestionList {
    fn open(self) -> Result<Questions, Failure> {
        let words = self.words.into_iter().map(Ok);
        match self.file {
            Some(path) => Ok(Box::new(words.chain(question_file::open(&path, self.stdin)?))),
            None => Ok(Box::new(words)),
        }
    }
}

/// Answers all questions and prints each answer when it and those before it are ready. The exit
/// code is that of the worst answer.
///
/// Fails with 26 if the file cannot be read, with 23 if stdout cannot be written, and with 75 if no
/// thread can be created.
pub fn run(
    context: &Context,
    options: LookupOptions,
    questions: QuestionList,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let max_jobs = match questions.file {
        Some(_) => options.max_jobs,
        None => options.max_jobs.min(questions.words.len()),
    };
    let limits = options.batch_limits(max_jobs);
    let mut printer = AnswerPrinter::new(context, stdout);
    printer.has_questions = questions.file.is_some() || questions.words.len() > 1;
    let file = questions.file.clone();
    let lookup = Box::new(move |word: &str, deadline| resolve(&options, word, deadline));
    let batch = Batch::start(questions.open()?, lookup, limits).map_err(no_thread)?;
    if let Some(file) = &file {
        printer.show_progress(|| question_file::count(file));
    }
    print_all(context, &batch, printer, file.as_deref())
}

fn print_all(
    context: &Context,
    batch: &Batch,
    mut printer: AnswerPrinter<'_>,
    file: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let stop = &context.shutdown;
    while !printer.stdout_closed {
        let ready = stop.reason().map(BatchEvent::Stopped).or_else(|| batch.poll());
        let event = match ready {
            Some(event) => event,
            None => {
                printer.flush()?;
                batch.wait(stop, printer.stdout.fd()).map_err(no_thread)?
            }
        };
        match event {
            BatchEvent::Answer(job) => job.answer.get().map_or(Ok(()), |a| printer.print(a))?,
            BatchEvent::Stopped(reason) => return Ok(printer.stopped(reason)),
            BatchEvent::ReadError(error) => {
                printer.flush()?;
                return Err(question_file::read_error(file, error));
            }
            BatchEvent::StdoutClosed => break,
            BatchEvent::End => return printer.finish(),
        }
    }
    Ok(ExitCode::Done)
}

fn no_thread(error: io::Error) -> Failure {
    Failure::resolver("-", error)
}
