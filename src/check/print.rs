//! Prints results: a line of text or one JSON object per target.

use super::target::CheckTarget;
use super::verdict::{TargetVerdict, Verdict};
use crate::error::Failure;
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;
use crate::report::event::Event;
use crate::report::json;

/// Prints results on stdout, on a terminal with a histogram of counted times; `-q` leaves them out.
pub struct ResultPrinter<'a> {
    /// Decides between text and JSON, and ends a wait for the reader of stdout.
    pub context: &'a Context,
    /// Where results are printed.
    pub stdout: Stdout,
}

impl ResultPrinter<'_> {
    /// Prints `results`, verdicts on some of `targets`.
    ///
    /// Fails with 23 if stdout cannot be written; that its reader has closed it is no error.
    pub fn print(&self, targets: &[CheckTarget], results: &[TargetVerdict]) -> Result<(), Failure> {
        let line = |result: &TargetVerdict| self.format(&targets[result.target], &result.verdict);
        let text: String = results.iter().map(line).collect();
        if self.context.report.is_quiet() {
            return Ok(());
        }
        match self.stdout.write_all_or_shutdown(text.as_bytes(), None, &self.context.shutdown) {
            Err(failure) if is_broken_pipe(&failure) => Ok(()),
            done => done,
        }
    }

    fn format(&self, target: &CheckTarget, verdict: &Verdict) -> String {
        let report = verdict.report(target);
        let histogram = report.times.as_ref().map(|times| times.histogram.clone());
        let line = report.line();
        let event = Event::Checked(Box::new(report));
        self.context.report.emit_to_file(&event);
        if self.context.report.is_json() {
            return json::line(&event) + "\n";
        }
        match histogram.filter(|_| self.stdout.is_terminal()) {
            Some(histogram) => format!("{line}\n{histogram}\n"),
            None => format!("{line}\n"),
        }
    }
}
