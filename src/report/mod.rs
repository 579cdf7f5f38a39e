//! The log of a run: events on stderr, as text or JSON Lines.
//!
//! Everything is logged by [`Report::emit`] as an [`event::Event`]; text and JSON are two formats
//! of it. stdout is data and is not written from here.

mod bulk_sum;
mod connect_steps;
pub mod context;
pub mod escape;
pub mod event;
pub mod excerpt;
pub mod hexdump;
pub mod json;
pub mod line_writer;
pub mod netcat;
pub mod progress;
pub mod sparkline;
pub mod terminal_text;
pub mod text;
pub mod traffic;

use std::fs::File;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::{ExitCode, Failure};
use event::{Event, Level};
use line_writer::LineWriter;
use netcat::NetcatWords;
pub use text::ColorWhen;
use text::Palette;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: errors only.
    Quiet,
    /// Warnings, and for servers a line per connection.
    Normal,
    /// `-v`: each step.
    Verbose,
    /// `-vv`: what crosses the network.
    Traffic,
}

/// What is logged, where and how.
#[derive(Debug)]
pub struct ReportOptions {
    /// How much.
    pub verbosity: Verbosity,
    /// JSON Lines instead of text.
    pub json: bool,
    /// Color in text.
    pub color: ColorWhen,
    /// A file for all events as JSON Lines, and its name.
    pub events: Option<(File, String)>,
}

type LinePrinter = Box<dyn FnMut(String) + Send>;

/// Logs events. Clones share one log.
#[derive(Clone)]
pub struct Report(Arc<Inner>);

struct Inner {
    verbosity: Verbosity,
    json: bool,
    palette: Palette,
    log: Mutex<LineWriter>,
    events: Option<Mutex<LineWriter>>,
    has_write_error: AtomicBool,
    line_printer: Mutex<Option<LinePrinter>>,
    netcat: OnceLock<NetcatWords>,
}

impl Report {
    /// A log with these options.
    pub fn new(options: ReportOptions) -> Report {
        Report(Arc::new(Inner {
            verbosity: options.verbosity,
            json: options.json,
            palette: Palette::new(options.color),
            log: Mutex::new(LineWriter::stderr()),
            events: options.events.map(|(file, name)| Mutex::new(LineWriter::file(file, name))),
            has_write_error: AtomicBool::new(false),
            line_printer: Mutex::new(None),
            netcat: OnceLock::new(),
        }))
    }

    /// The log of a run whose own options cannot be used.
    pub fn plain() -> Report {
        let (verbosity, color) = (Verbosity::Normal, ColorWhen::Never);
        Report::new(ReportOptions { verbosity, json: false, color, events: None })
    }

    /// A log that writes to its events file only.
    #[cfg(test)]
    pub fn without_stderr(options: ReportOptions) -> Report {
        let mut report = Report::new(options);
        let null = File::options().write(true).open("/dev/null").unwrap();
        let inner = Arc::get_mut(&mut report.0).unwrap();
        inner.log = Mutex::new(LineWriter::file(null, "/dev/null".into()));
        report
    }

    /// Logs an event.
    pub fn emit(&self, event: &Event) {
        self.emit_to_file(event);
        if let Some(words) = self.0.netcat.get() {
            return words.line(event).into_iter().for_each(|line| self.print_line(line));
        }
        if self.prints(event.level()) {
            self.print_line(if self.0.json {
                json::line(event)
            } else {
                text::line(event, self.0.palette)
            });
        }
    }

    /// Logs in the words of netcat from now on, unless the log is JSON Lines. The first call counts.
    pub fn use_netcat_words(&self, words: NetcatWords) {
        if !self.0.json {
            let _ = self.0.netcat.set(words);
        }
    }

    /// Whether the names of addresses are looked up for the log.
    pub fn looks_up_names(&self) -> bool {
        self.0.netcat.get().is_some_and(|words| words.verbose && !words.numeric)
    }

    /// Writes an event to the events file only, where the command prints it on stdout itself.
    pub fn emit_to_file(&self, event: &Event) {
        if let Some(events) = &self.0.events
            && (event.level() < Level::Step || self.prints(event.level()))
        {
            let written = lock(events).line(&json::line(event));
            if let Err(failure) = written {
                self.record_write_error(&failure);
            }
        }
    }

    /// Logs the first write error of an events file or a hex dump. The run continues, but does not
    /// end with [`ExitCode::Done`].
    pub fn record_write_error(&self, failure: &Failure) {
        if !self.0.has_write_error.swap(true, Ordering::Relaxed) {
            self.failure(None, failure);
        }
    }

    /// Ends the log; returns the exit code of a run that ended with `code` by itself.
    pub fn finish(&self, code: ExitCode) -> ExitCode {
        if let Some(events) = &self.0.events {
            let ended = lock(events).end();
            if let Err(failure) = ended {
                self.record_write_error(&failure);
            }
        }
        match code {
            ExitCode::Done if self.0.has_write_error.load(Ordering::Relaxed) => ExitCode::Write,
            code => code,
        }
    }

    /// Whether there is an events file.
    pub fn writes_event_file(&self) -> bool {
        self.0.events.is_some()
    }

    /// Whether events of this level are logged at all.
    pub fn is_enabled(&self, level: Level) -> bool {
        self.0.events.is_some() || self.prints(level)
    }

    /// Logs a failure: of connection `conn` of a server, or of the run.
    pub fn failure(&self, conn: Option<u64>, failure: &Failure) {
        let mut event = Event::failure(conn, failure);
        if let Event::Error(event) = &mut event {
            event.reason = failure.reason().filter(|_| self.is_verbose());
        }
        self.emit(&event);
    }

    /// Logs a warning.
    pub fn warn(&self, conn: Option<u64>, message: impl Into<String>) {
        self.emit(&Event::Warning { conn, message: message.into() });
    }

    /// Logs a step, under `-v`; `message` is called only then.
    pub fn step<M: Into<String>>(&self, message: impl FnOnce() -> M) {
        self.step_at(Level::Step, message);
    }

    /// Logs a step where `level` is logged; `message` is called only then.
    pub fn step_at<M: Into<String>>(&self, level: Level, message: impl FnOnce() -> M) {
        if self.prints(level) {
            self.emit(&Event::Step { message: message().into(), level });
        }
    }

    /// Logs the pause before the first byte is sent, if there is one.
    pub fn log_delay(&self, delay: Duration) {
        if !delay.is_zero() {
            self.step(|| format!("Waiting {} before sending", text::duration(delay)));
        }
    }

    /// Whether `-v` was given.
    pub fn is_verbose(&self) -> bool {
        self.0.verbosity >= Verbosity::Verbose
    }

    /// Whether `-vv` was given.
    pub fn shows_traffic(&self) -> bool {
        self.0.verbosity >= Verbosity::Traffic
    }

    /// Whether `-q` was given.
    pub fn is_quiet(&self) -> bool {
        self.0.verbosity == Verbosity::Quiet
    }

    /// Whether the log is JSON Lines.
    pub fn is_json(&self) -> bool {
        self.0.json
    }

    /// Whether progress may be drawn: the log is text on a terminal, without `-q`.
    pub fn can_draw(&self) -> bool {
        !self.0.json && !self.is_quiet() && std::io::stderr().is_terminal()
    }

    /// Sets what prints lines while a prompt or a progress bar occupies the last line of the
    /// terminal.
    pub fn set_line_printer(&self, printer: Option<LinePrinter>) {
        *lock(&self.0.line_printer) = printer;
    }

    fn prints(&self, level: Level) -> bool {
        let needed = match level {
            Level::Error => Verbosity::Quiet,
            Level::Normal => Verbosity::Normal,
            Level::Detail if self.0.json => Verbosity::Normal,
            Level::Detail | Level::Step => Verbosity::Verbose,
            Level::Traffic => Verbosity::Traffic,
        };
        self.0.verbosity >= needed
    }

    fn print_line(&self, line: String) {
        match lock(&self.0.line_printer).as_mut() {
            Some(print) => print(line + "\n"),
            // A write error of stderr cannot be logged.
            None => drop(lock(&self.0.log).line(&line)),
        }
    }
}

/// Locks; a thread that panicked has left complete lines behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
