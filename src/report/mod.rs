//! Telling people: stderr is talk, and talk is events.
//!
//! Everything that is told goes through [`Report::tell`] as an [`event::Event`]; text and JSON
//! are two renderings of it. stdout is data and not written from here, except where the facts
//! are the product.

pub mod context;
pub mod datagram_stats;
pub mod escape;
pub mod event;
pub mod hexdump;
pub mod json;
pub mod line_writer;
pub mod lookup;
pub mod progress;
pub mod sparkline;
pub mod terminal_text;
pub mod text;

use std::fs::File;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{ExitCode, Failure};
use crate::net::connect_event::ConnectEvent;
use event::{Event, Level};
use line_writer::LineWriter;
use text::Palette;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: errors only.
    Quiet,
    /// Warnings, and for servers a line per connection.
    Usual,
    /// `-v`: each step.
    Steps,
}

/// When lines carry colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR; anywhere with CLICOLOR_FORCE.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How this run talks.
#[derive(Debug)]
pub struct ReportOptions {
    /// How much.
    pub verbosity: Verbosity,
    /// JSON Lines instead of text.
    pub json: bool,
    /// Colour in text.
    pub colour: Colour,
    /// A file that gets every event as JSON Lines, and its name.
    pub events: Option<(File, String)>,
}

type LinePrinter = Box<dyn FnMut(String) + Send>;

/// A cheap handle to the run's voice.
#[derive(Clone)]
pub struct Report(Arc<Inner>);

struct Inner {
    verbosity: Verbosity,
    json: bool,
    palette: Palette,
    talk: Mutex<LineWriter>,
    events: Option<Mutex<LineWriter>>,
    lost: AtomicBool,
    above: Mutex<Option<LinePrinter>>,
}

impl Report {
    /// A voice of this manner.
    pub fn new(manner: ReportOptions) -> Report {
        Report(Arc::new(Inner {
            verbosity: manner.verbosity,
            json: manner.json,
            palette: palette(manner.colour),
            talk: Mutex::new(LineWriter::stderr()),
            events: manner.events.map(|(file, name)| Mutex::new(LineWriter::file(file, name))),
            lost: AtomicBool::new(false),
            above: Mutex::new(None),
        }))
    }

    /// The voice of a run whose own flags could not be obeyed.
    pub fn plain() -> Report {
        let (verbosity, colour) = (Verbosity::Usual, Colour::Never);
        Report::new(ReportOptions { verbosity, json: false, colour, events: None })
    }

    /// Tells an event to everyone who wants to hear it.
    pub fn emit(&self, event: &Event) {
        self.emit_to_file(event);
        if self.hears(event.level()) {
            self.line(match self.0.json {
                true => json::line(event),
                false => text::line(event, self.0.palette),
            });
        }
    }

    /// Writes an event to the events file alone: one that is told on stdout, being the product.
    pub fn emit_to_file(&self, event: &Event) {
        if let Some(events) = &self.0.events
            && (event.level() < Level::Step || self.wants_steps())
        {
            let kept = lock(events).line(&json::line(event));
            if let Err(failure) = kept {
                self.record_write_error(&failure);
            }
        }
    }

    /// Tells once what a file of talk (events, a dump) could not take. The run goes on, but it
    /// will not have been [`Code::Done`].
    pub fn record_write_error(&self, failure: &Failure) {
        if !self.0.lost.swap(true, Ordering::Relaxed) {
            self.failure(None, failure);
        }
    }

    /// The number of a run that by itself ended with `code`, once all has been told.
    pub fn finish(&self, code: ExitCode) -> ExitCode {
        if let Some(events) = &self.0.events {
            let left = lock(events).end();
            if let Err(failure) = left {
                self.record_write_error(&failure);
            }
        }
        match code {
            ExitCode::Done if self.0.lost.load(Ordering::Relaxed) => ExitCode::Write,
            code => code,
        }
    }

    /// Whether there is an events file.
    pub fn writes_event_file(&self) -> bool {
        self.0.events.is_some()
    }

    /// Whether anybody hears events of this level, so that nobody need make them in vain.
    pub fn wants(&self, level: Level) -> bool {
        self.0.events.is_some() || self.hears(level)
    }

    /// Tells a failure: of connection `conn` of a server, or of the run.
    pub fn failure(&self, conn: Option<u64>, failure: &Failure) {
        self.emit(&Event::failure(conn, failure));
    }

    /// Tells something the user should know.
    pub fn warn(&self, conn: Option<u64>, message: impl Into<String>) {
        self.emit(&Event::Warning { conn, message: message.into() });
    }

    /// Tells a step, under `-v`; `message` is only made if somebody hears it.
    pub fn step<M: Into<String>>(&self, message: impl FnOnce() -> M) {
        if self.wants_steps() {
            self.emit(&Event::Step { message: message().into() });
        }
    }

    /// Tells a step on the way to a connection, as loudly as it deserves.
    pub fn on_connect_event(&self, step: ConnectEvent) {
        match step {
            ConnectEvent::Warning(why) => self.warn(None, why),
            step => self.step(|| step.to_string()),
        }
    }

    /// Whether `-v` was given.
    pub fn wants_steps(&self) -> bool {
        self.0.verbosity >= Verbosity::Steps
    }

    /// Whether anybody hears facts: under `-v`, in JSON or in the events file.
    pub fn wants_facts(&self) -> bool {
        self.hears(Level::Fact) || self.0.events.is_some()
    }

    /// Whether `-q` was given.
    pub fn is_quiet(&self) -> bool {
        self.0.verbosity == Verbosity::Quiet
    }

    /// Whether talk is JSON.
    pub fn is_json(&self) -> bool {
        self.0.json
    }

    /// Whether talk may draw: text on a terminal, and not told to be quiet.
    pub fn can_draw(&self) -> bool {
        !self.0.json && !self.is_quiet() && std::io::stderr().is_terminal()
    }

    /// While a prompt owns the terminal, lines go through `above`, which prints them above it.
    pub fn set_line_printer(&self, above: Option<LinePrinter>) {
        *lock(&self.0.above) = above;
    }

    fn hears(&self, level: Level) -> bool {
        let needed = match level {
            Level::Error => Verbosity::Quiet,
            Level::Usual => Verbosity::Usual,
            Level::Fact if self.0.json => Verbosity::Usual,
            Level::Fact | Level::Step => Verbosity::Steps,
        };
        self.0.verbosity >= needed
    }

    fn line(&self, line: String) {
        match lock(&self.0.above).as_mut() {
            Some(above) => above(line + "\n"),
            // stderr never fails: there would be nobody to tell.
            None => drop(lock(&self.0.talk).line(&line)),
        }
    }
}

/// A lock that a panicking connection left behind is as good as new: lines are written whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn palette(colour: Colour) -> Palette {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let coloured = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if value("NO_COLOR").is_some() => false,
        Colour::Auto => match value("CLICOLOR_FORCE") {
            Some(force) => force != "0",
            None => std::io::stderr().is_terminal() && value("TERM").is_none_or(|t| t != "dumb"),
        },
    };
    if coloured { Palette::Coloured } else { Palette::Plain }
}
