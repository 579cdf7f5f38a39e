//! Answers on stdout: lines for people and pipes, or one JSON object per question.

use std::io::{self, IsTerminal};

use super::answer::{Answer, Note};
use crate::error::{ExitCode, Failure};
use crate::net::stdout;
use crate::report::Report;
use crate::report::event::Event;
use crate::report::lookup::{LookupReport, shown};
use crate::report::progress::Progress;
use crate::shutdown::{Shutdown, ShutdownReason};

/// Past this much of them, answers are handed to the reader even while more are ready.
const PLENTY: usize = 64 * 1024;

/// Where answers go, and what they come to.
pub struct AnswerPrinter<'a> {
    report: &'a Report,
    /// What ends a wait for the reader; nothing where nobody listens for signals.
    stop: Option<&'a Shutdown>,
    out: Vec<u8>,
    table: bool,
    many: bool,
    stdout_closed: bool,
    exit_code: u8,
    answers: u64,
    progress: Option<Progress>,
}

impl<'a> AnswerPrinter<'a> {
    /// For one question, or for `many`, whose lines name their question.
    pub fn new(report: &'a Report, many: bool, stop: Option<&'a Shutdown>) -> AnswerPrinter<'a> {
        let table = io::stdout().is_terminal();
        let out = Vec::new();
        let (unheard, worst, answers, progress) = (false, 0, 0, None);
        AnswerPrinter {
            report,
            stop,
            out,
            table,
            many,
            stdout_closed: unheard,
            exit_code: worst,
            answers,
            progress,
        }
    }

    /// Shows how far a list is, if stderr is a terminal and the answers go elsewhere.
    pub fn show_progress(&mut self, total: impl FnOnce() -> Option<u64>) {
        if self.table || !self.report.can_draw() {
            return;
        }
        let progress = Progress::of_answers(total());
        self.report.set_line_printer(Some(progress.line_printer()));
        self.progress = Some(progress);
    }

    /// Tells one answer; a failure is talk, whether or not there are facts beside it.
    ///
    /// Fails as [`AnswerPrinter::flush`] does.
    pub fn report(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.exit_code = self.exit_code.max(answer.facts.code);
        self.answers += 1;
        if let Some(progress) = &self.progress {
            progress.set_position(self.answers);
        }
        for note in &answer.notes {
            match note {
                Note::Step(step) => self.report.step(|| step),
                Note::Warning(warning) => self.report.warn(None, warning),
            }
        }
        let text = match self.report.is_json() || self.report.writes_event_file() {
            true => self.event(&answer.facts),
            false => self.lines(&answer.facts),
        };
        self.out.extend_from_slice(text.as_bytes());
        if self.out.len() > PLENTY {
            self.flush()?;
        }
        if let Some(failure) = &answer.failure {
            self.flush()?;
            self.report.failure(None, failure);
        }
        Ok(())
    }

    /// Hands everything told so far to the reader.
    ///
    /// Fails at [`crate::error::Stage::Stdout`]: with 23, or when the run is to end before a slow
    /// reader has taken all. One that went away is no failure.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.out);
        let written = match self.stop {
            Some(stop) => stdout::write_all_or_shutdown(&text, stop),
            None => stdout::write_all(&text),
        };
        match written {
            Err(failure) if stdout::is_broken_pipe(&failure) => {
                self.stdout_closed = true;
                Ok(())
            }
            written => written,
        }
    }

    /// The end of all answers: the run's code.
    pub fn end(mut self) -> Result<ExitCode, Failure> {
        self.flush()?;
        let worst = ExitCode::ALL.iter().find(|(code, _)| code.number() == self.exit_code);
        Ok(worst.map_or(ExitCode::Negative, |(code, _)| *code))
    }

    /// The code of a run that was ended early.
    pub fn stopped(mut self, reason: ShutdownReason) -> ExitCode {
        // The answers so far are worth having; what else happens to them no longer matters.
        let _ = self.flush();
        match reason {
            ShutdownReason::Interrupt => ExitCode::Interrupted,
            ShutdownReason::Terminate => ExitCode::Terminated,
            ShutdownReason::Deadline => ExitCode::Timeout,
        }
    }

    /// Whether the reader has gone.
    pub fn is_stdout_closed(&self) -> bool {
        self.stdout_closed
    }

    fn event(&self, facts: &LookupReport) -> String {
        let event = Event::Resolved(Box::new(facts.clone()));
        self.report.emit_to_file(&event);
        match self.report.is_json() {
            true => crate::report::json::line(&event) + "\n",
            false => self.lines(facts),
        }
    }

    fn lines(&self, facts: &LookupReport) -> String {
        let mut rows = facts.rows();
        if self.many && facts.verdict.is_none() {
            let question = shown(&facts.name);
            rows.iter_mut().for_each(|row| row.push(question.clone()));
        }
        if self.table { aligned(&rows) } else { tabbed(&rows) }
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

/// For programs: cells with a tab between.
fn tabbed(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| row.join("\t") + "\n").collect()
}

/// For people: cells under each other.
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
    fn cells_are_tabbed_for_programs_and_aligned_for_people() {
        let rows = [vec!["a".to_string(), "long".into()], vec!["bcd".into(), "x".into()]];
        assert_eq!(tabbed(&rows), "a\tlong\nbcd\tx\n");
        assert_eq!(aligned(&rows), "a    long\nbcd  x\n");
        assert_eq!(aligned(&[]), "");
    }
}
