//! Prints answers on stdout: lines of text, or one JSON object per question.

use super::answer::{Answer, Note};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::lookup::{LookupReport, shown};
use crate::report::event::{Event, Level};
use crate::report::json;
use crate::report::progress::Progress;
use crate::shutdown::{Shutdown, ShutdownReason};

/// The size in bytes at which buffered output is written even if more answers are ready.
const MAX_BUFFERED: usize = 64 * 1024;

/// Prints answers in their order, and keeps the exit code of the worst one.
pub struct AnswerPrinter<'a> {
    report: &'a Report,
    pub stdout: Stdout,
    /// Ends a wait for the reader of stdout.
    stop: &'a Shutdown,
    buffer: Vec<u8>,
    is_terminal: bool,
    /// Whether each line ends with its question, for runs with several ones.
    pub has_questions: bool,
    pub stdout_closed: bool,
    exit_code: u8,
    answer_count: u64,
    progress: Option<Progress>,
}

impl<'a> AnswerPrinter<'a> {
    /// Creates a printer to `stdout`, whose writes end with the run.
    pub fn new(context: &'a Context, stdout: Stdout) -> AnswerPrinter<'a> {
        AnswerPrinter {
            report: &context.report,
            stdout,
            stop: &context.shutdown,
            buffer: Vec::new(),
            is_terminal: stdout.is_terminal(),
            has_questions: false,
            stdout_closed: false,
            exit_code: 0,
            answer_count: 0,
            progress: None,
        }
    }

    /// Shows the progress of a file, if stderr is a terminal and stdout is not.
    pub fn show_progress(&mut self, total: impl FnOnce() -> Option<u64>) {
        if self.is_terminal || !self.report.can_draw() {
            return;
        }
        let progress = Progress::of_answers(total());
        self.report.set_line_printer(Some(progress.line_printer()));
        self.progress = Some(progress);
    }

    /// Prints one answer on stdout, its failure and its messages on stderr.
    ///
    /// Fails as [`AnswerPrinter::flush`] does.
    pub fn print(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.exit_code = self.exit_code.max(answer.result.code);
        self.answer_count += 1;
        if let Some(progress) = &self.progress {
            progress.set_position(self.answer_count);
        }
        for note in &answer.notes {
            match note {
                Note::Step(step) => self.report.step(|| step),
                Note::Traffic(line) => self.report.step_at(Level::Traffic, || line),
                Note::Warning(warning) => self.report.warn(None, warning),
            }
        }
        let text = self.format(&answer.result);
        self.buffer.extend_from_slice(text.as_bytes());
        if self.buffer.len() > MAX_BUFFERED {
            self.flush()?;
        }
        if let Some(failure) = &answer.failure {
            self.flush()?;
            self.report.failure(None, failure);
        }
        Ok(())
    }

    /// Writes the buffered output to stdout.
    ///
    /// Fails at [`Phase::Stdout`]: with 23, or when the run is stopped
    /// before the reader has read everything. That the reader closed stdout (EPIPE) is not an error.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.buffer);
        match self.stdout.write_all_or_shutdown(&text, None, self.stop) {
            Err(failure) if is_broken_pipe(&failure) => {
                self.stdout_closed = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Writes the rest of the output and returns the exit code of the run.
    pub fn finish(mut self) -> Result<ExitCode, Failure> {
        self.flush()?;
        let code = ExitCode::ALL.iter().find(|(code, _)| code.number() == self.exit_code);
        Ok(code.map_or(ExitCode::Negative, |(code, _)| *code))
    }

    /// Writes the rest of the output and returns the exit code of a stopped run.
    pub fn stopped(mut self, reason: ShutdownReason) -> ExitCode {
        // A write error does not change the exit code of a signal.
        let _ = self.flush();
        Failure::shutdown(Phase::Stdout, "-", reason).code
    }

    /// Formats a result for stdout, and emits it to the event file.
    fn format(&self, result: &LookupReport) -> String {
        if self.report.is_json() || self.report.writes_event_file() {
            let event = Event::Resolved(Box::new(result.clone()));
            self.report.emit_to_file(&event);
            if self.report.is_json() {
                return json::line(&event) + "\n";
            }
        }
        self.lines(result)
    }

    fn lines(&self, result: &LookupReport) -> String {
        let mut rows = result.rows();
        if self.has_questions && result.verdict.is_none() {
            let question = shown(&result.name);
            rows.iter_mut().for_each(|row| row.push(question.clone()));
        }
        if self.is_terminal { aligned(&rows) } else { tabbed(&rows) }
    }
}

impl Drop for AnswerPrinter<'_> {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.clear();
            self.report.set_line_printer(None);
        }
    }
}

/// Separates cells by tabs, for programs.
fn tabbed(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| row.join("\t") + "\n").collect()
}

/// Aligns cells in columns, for a terminal.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |row: &Vec<String>, at: usize| row.get(at).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().map(|row| cell(row, at)).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_tabbed_in_pipes_and_aligned_on_terminals() {
        let rows = [vec!["a".to_string(), "long".into()], vec!["bcd".into(), "x".into()]];
        assert_eq!(tabbed(&rows), "a\tlong\nbcd\tx\n");
        assert_eq!(aligned(&rows), "a    long\nbcd  x\n");
        assert_eq!(aligned(&[]), "");
    }
}
