//! Prints results: a line of text or one JSON object per target.

use super::run::CheckResult;
use crate::error::Failure;
use crate::report::Report;
use crate::report::event::Event;
use crate::report::json;

/// Prints results on the stream of `write`; `-q` leaves them out.
pub struct ResultPrinter<'a> {
    /// Decides between text and JSON, and writes the event file.
    pub report: &'a Report,
    /// Whether the times of `--count` are drawn too: the stream is a terminal.
    pub draws: bool,
    /// Writes complete lines.
    pub write: &'a dyn Fn(&[u8]) -> Result<(), Failure>,
}

impl ResultPrinter<'_> {
    /// Prints `results`; fails as the stream does.
    pub fn print(&self, results: &[CheckResult<'_>]) -> Result<(), Failure> {
        let text: String = results.iter().map(|result| self.format(result)).collect();
        if self.report.is_quiet() { Ok(()) } else { (self.write)(text.as_bytes()) }
    }

    fn format(&self, result: &CheckResult<'_>) -> String {
        let report = result.verdict.report(result.target);
        let histogram = report.times.as_ref().map(|times| times.histogram.clone());
        let line = report.line();
        let event = Event::Checked(Box::new(report));
        self.report.emit_to_file(&event);
        if self.report.is_json() {
            return json::line(&event) + "\n";
        }
        match histogram.filter(|_| self.draws) {
            Some(histogram) => format!("{line}\n{histogram}\n"),
            None => format!("{line}\n"),
        }
    }
}
