//! Tracing to stderr: what was decided, and why. Off by default.

use std::io::{self, Write};
use std::sync::Mutex;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::report::event::Event;
use crate::report::json;
use crate::report::line_writer::LineWriter;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of text.
    Text,
    /// Each line is an event.
    Json,
}

/// Starts the log if `-vvv`, `SOCKIT_LOG` or `RUST_LOG` is given; the variables contain
/// `target=level` lists and take precedence over the flag. A malformed list is ignored.
pub fn start(verbose: u8, format: LogFormat) {
    let all = Targets::new().with_target("sockit", LevelFilter::TRACE);
    let Some(targets) = from_environment().or((verbose > 2).then_some(all)) else { return };
    let lines = Mutex::new(LogWriter { lines: LineWriter::stderr(), format });
    let lines = tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(false);
    let lines = match format {
        // An event has its time already.
        LogFormat::Json => lines.without_time().with_filter(targets).boxed(),
        LogFormat::Text => lines.with_filter(targets).boxed(),
    };
    // Fails if the log was started before, which has the same effect.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines));
}

/// Writes log lines to stderr: without a reader lines are lost, and the run continues.
struct LogWriter {
    lines: LineWriter,
    format: LogFormat,
}

impl Write for LogWriter {
    /// Writes one event, which arrives in one piece with its line end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event).trim_end_matches('\n').to_string();
        let _ = match self.format {
            LogFormat::Json => self.lines.line(&json::line(&Event::Log { message: text })),
            LogFormat::Text => self.lines.line(&text),
        };
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn from_environment() -> Option<Targets> {
    let list = std::env::var("SOCKIT_LOG").or_else(|_| std::env::var("RUST_LOG")).ok()?;
    list.parse().ok()
}
